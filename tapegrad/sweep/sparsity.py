"""Finds which derivatives of a tape can be other than zero: patterns of Jacobians and Hessians.

Values are not read. The set of inputs that an entry depends on is the union of its operands' sets,
those of operands that the row is flat in left out. Two inputs interact in a Hessian where a partial
in one operand reads another operand: the nonlinear domains of A. Walther, Computing sparse Hessians
with automatic differentiation (2008), here one pair of sets at a time, and only at entries that the
output depends on. A partial is run on symbols that remember what they were made of, which shows the
operands that it reads; so sums, steps, ``abs`` and ``maximum`` make no inputs interact.

A pattern belongs to a tape, not to a point: it holds for every replay, whichever arm a ``where``
selects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, reduce
from itertools import chain, repeat
from operator import or_
from typing import Final, TypeAlias, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.sweep.sparse_matrix import Sparsity, transposed

__all__ = ["hessian_sparsity", "jacobian_sparsity"]

InputSet: TypeAlias = tuple[int, int]
"""A set of inputs: the lowest, and bits for it and those above."""

Indices: TypeAlias = tuple[int, ...]
"""Operands of an entry, by index."""

_EMPTY: Final[InputSet] = (0, 0)
_CACHED_ROWS: Final = 512
"""The most rows, each with a number of operands, that are remembered."""


def jacobian_sparsity(columns: EntryColumns, width: int, outputs: Sequence[int]) -> Sparsity:
    """Finds the pattern of the derivative of ``outputs`` in the first ``width`` slots.

    This takes one pass, and for each entry a union of as many bits as its inputs are apart.
    """
    sets = _dependencies(columns, width)
    return _sparsity([list(_members(sets[slot])) for slot in outputs], width)


def hessian_sparsity(columns: EntryColumns, width: int, output: int) -> Sparsity:
    """Finds the pattern of the second derivative of ``output`` in the first ``width`` slots.

    It is symmetric. This takes a pass up for the dependencies and one down, over the entries that
    the output depends on; a pair of sets takes as many unions as the smaller one has members.
    """
    interacting = [_EMPTY] * width
    for pair in set(_interactions(columns, _dependencies(columns, width), output)):
        few, many = sorted(pair, key=lambda members: members[1].bit_count())
        for member in _members(few):
            interacting[member] = _union(interacting[member], many)
    half = [list(_members(members)) for members in interacting]
    other_half = transposed(half, width)
    lines = [sorted({*one, *other}) for one, other in zip(half, other_half, strict=True)]
    return _sparsity(lines, width)


def _sparsity(lines: Sequence[Sequence[int]], width: int) -> Sparsity:
    """The pattern that has the columns ``lines[i]`` in row i."""
    rows = chain.from_iterable(repeat(row, len(line)) for row, line in enumerate(lines))
    return Sparsity(tuple(rows), tuple(chain.from_iterable(lines)), (len(lines), width))


def _dependencies(columns: EntryColumns, width: int) -> list[InputSet]:
    """Finds for every slot the inputs that its derivative is not flat in."""
    sets = [(slot, 1) for slot in range(width)] + [_EMPTY] * (len(columns) - width)
    for slot in range(width, len(columns)):
        operands = columns.operands(slot)
        if operands:
            row = columns.row(slot)
            passing = (sets[operands[index]] for index in _differentiated(row, len(operands)))
            sets[slot] = reduce(_union, passing, _EMPTY)
    return sets


def _interactions(
    columns: EntryColumns, sets: Sequence[InputSet], output: int
) -> Iterator[tuple[InputSet, InputSet]]:
    """Yields pairs of sets; every member of one interacts with every member of the other."""
    own = (columns.table.base or columns.table).codes
    live = bytearray(len(columns))
    live[output] = True
    for slot in range(output, -1, -1):
        if not live[slot] or not sets[slot][1]:
            continue
        row, operands = columns.row(slot), columns.operands(slot)
        for index in _differentiated(row, len(operands)):
            live[operands[index]] = True
        for indices, read in _interacting_operands(row, len(operands), is_own=row in own):
            one, other = (
                reduce(_union, (sets[operands[place]] for place in places), _EMPTY)
                for places in (indices, read)
            )
            if one[1] and other[1]:
                yield min(one, other), max(one, other)


@lru_cache(_CACHED_ROWS)
def _differentiated(row: Primitive, count: int) -> Indices:
    """The indices of the operands that the row is not flat in."""
    return tuple(row.differentiated_operands(count))


@lru_cache(_CACHED_ROWS)
def _interacting_operands(
    row: Primitive, count: int, *, is_own: bool
) -> tuple[tuple[Indices, Indices], ...]:
    """Pairs of operands and the operands that the partials in them read.

    A partial of a user's row may branch on the numbers it is given, so it counts as reading all.
    """
    passing = _differentiated(row, count)
    result = _DependentSymbol(sum(1 << index for index in passing))
    symbols = [_DependentSymbol(result.operands & 1 << index) for index in range(count)]
    symbols += [_DependentSymbol(0)] * row.has_static
    found: dict[int, list[int]] = {}
    partial_in = row.each_partial(result, *symbols)
    for index in passing:
        partial = partial_in(index) if is_own else _unknown(row, index, result)
        if read := _operands_of(partial):
            found.setdefault(read, []).append(index)
    return tuple((tuple(indices), tuple(_members((0, read)))) for read, indices in found.items())


def _unknown(row: Primitive, index: int, result: _DependentSymbol) -> Operand | None:
    """The result, which depends on every operand, unless the partial is a number or None."""
    partial = row.partials[index] if isinstance(row.partials, tuple) else row.partials
    return result if callable(partial) else partial


@final
@attrs.frozen
class _DependentSymbol(Traced):
    """A symbol for a number; ``operands`` has a bit for each that the number varies with."""

    operands: int

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _DependentSymbol:
        passing = _differentiated(row, len(operands) - row.has_static)
        return _DependentSymbol(
            reduce(or_, (_operands_of(operands[index]) for index in passing), 0)
        )


def _operands_of(operand: Operand | None) -> int:
    """The operands that a partial varies with, as bits."""
    return operand.operands if isinstance(operand, _DependentSymbol) else 0


def _union(one: InputSet, other: InputSet) -> InputSet:
    """The union of two sets; no new set where one contains the other."""
    (low, bits), (start, more) = one, other
    if not more or one is other:
        return one
    if not bits:
        return other
    if start < low:
        return _union(other, one)
    both = bits | more << (start - low)
    return one if both == bits else (low, both)


def _members(inputs: InputSet) -> Iterator[int]:
    """The inputs of a set, in order."""
    low, bits = inputs
    text = bin(bits)[:1:-1]
    place = text.find("1")
    while place >= 0:
        yield low + place
        place = text.find("1", place + 1)
