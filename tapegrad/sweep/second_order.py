"""Sweeps a tape in reverse with tangents: cotangents, and how they change along one direction.

This is forward over reverse mode, on floats, in one sweep. Where an operand receives the share
``b * p`` of a cotangent b, the tangent of the share is ``b' * p + b * p'``. The partial p is made
of rows, so p' follows from their partials, and no second derivative is stated anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.inline import Symbol
from tapegrad.ops.primitive import Operand, Primitive, Traced, primal
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, source_of, times
from tapegrad.sweep.conditional_terms import ConditionalArithmetic, ConditionalTerm, seeded

__all__ = ["second_order"]

FloatColumn: TypeAlias = list[float | None]
"""For each slot a derivative; None where none has reached it."""


def second_order(
    columns: EntryColumns, tangents: FloatColumn, seeds: Mapping[int, float]
) -> tuple[FloatColumn, FloatColumn]:
    """Computes the cotangents of all slots, and their tangents from those of the slots.

    For one output seeded with 1.0 the tangents of the inputs' cotangents are the Hessian times the
    direction. Works on floats only.
    """
    cotangents = seeded(len(columns), seeds)
    changes: FloatColumn = [None] * len(columns)
    _SWEEP(columns, range(max(seeds, default=-1), -1, -1), tangents, cotangents, changes)
    return cotangents, changes


@final
@attrs.frozen
class _DualNumber(Traced):
    """A number, or a symbol for one, with its tangent; a row applied to such gives both."""

    value: Operand
    tangent: ConditionalTerm[Operand] | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _DualNumber:
        values, tangents = zip(*map(_parts, operands), strict=True)
        value = row(*values)
        if row.kind == "choice":
            return _DualNumber(value, _ARITHMETIC.selected(values[0], *tangents[1:]))
        return _DualNumber(value, _ARITHMETIC.pushed(row, value, values, tangents))

    def _primal(self) -> float:
        return primal(self.value)


_ARITHMETIC: Final = ConditionalArithmetic[Operand]()


def _parts(operand: Operand) -> tuple[Operand, ConditionalTerm[Operand] | None]:
    """The value and the tangent of a dual number; a plain number has no tangent."""
    return (operand.value, operand.tangent) if isinstance(operand, _DualNumber) else (operand, None)


def _contribute_all(
    columns: EntryColumns,
    slot: int,
    tangents: FloatColumn,
    cotangents: FloatColumn,
    changes: FloatColumn,
) -> None:
    """Adds the shares of all operands of one entry, and their tangents."""
    row, cotangent, change = columns.row(slot), cast(float, cotangents[slot]), changes[slot]
    operands, static = columns.operands(slot), cast("tuple[float, ...]", columns.static(slot))
    result, *duals = (_dual(columns, tangents, place) for place in (slot, *operands))
    arguments: tuple[Operand, ...] = (result, *duals, *static)
    partial_in = None if row.at_once is None else row.each_partial(*arguments)
    for index, operand in enumerate(operands):
        partial = partial_in(index) if partial_in else row.partial(index, *arguments)
        if partial is None:
            continue
        value, term = cast("tuple[float, tuple[float, None] | None]", _parts(partial))
        cotangents[operand] = _sum(cotangents[operand], cotangent * value)
        share = None if term is None else cotangent * term[0]
        if change is not None:
            share = _sum(share, change * value)
        if share is not None:
            changes[operand] = _sum(changes[operand], share)


def _dual(columns: EntryColumns, tangents: FloatColumn, slot: int) -> _DualNumber:
    """The value of a slot with its tangent."""
    tangent = tangents[slot]
    return _DualNumber(columns.values[slot], None if tangent is None else (tangent, None))


def _sum(total: float | None, share: float) -> float:
    """The sum of a total, which is None as long as nothing was added, and a share."""
    return share if total is None else total + share


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``, and the tangent of the share."""
    slot = operand.slot
    slopes = {} if operand.is_constant else _slopes(operand.row, operand.index)
    lines = f"q = {operand.partial}\n"
    lines += f"{accumulate(f'cotangents[{slot}]', 'b * q')}s = None if e is None else e * q\n"
    for variable, (slope, condition) in slopes.items():
        present = f" and {condition}" if condition else ""
        lines += f"t = {_TANGENTS[variable]}\nif t is not None{present}:\n"
        lines += f"    u = {times('b', slope)} * t\n    s = u if s is None else s + u\n"
    return f"{lines}if s is not None:\n{indent(accumulate(f'changes[{slot}]', 's'), '    ')}"


_TANGENTS: Final = {
    "y": "tangents[k]", "x0": "tangents[i]", "x1": "tangents[j]",
}  # fmt: skip

_SWEEP: Final = Sweep(
    state="tangents, cotangents, changes",
    arrive="b = cotangents[k]\nif b is None:\n    continue\ne = changes[k]\n",
    operand=_contribute,
    any_entry=_contribute_all,
    pairs=False,
)


def _slopes(row: Primitive, index: int) -> dict[str, tuple[str, str]]:
    """The slopes of a partial in the result and in each operand, each with its condition.

    Those that are 0 are left out, and a slope that is always there has an empty condition.
    """
    slopes = {}
    names = ["y", *(f"x{number}" for number in range(row.arity or 0))]
    for name in names:
        moving = [
            _DualNumber(Symbol(other), (1.0, None) if other == name else None)
            for other in [*names, *["n"] * row.has_static]
        ]
        _, term = _parts(cast(Operand, row.partial(index, *moving)))
        if term is not None:
            slope, condition = term
            slopes[name] = source_of(slope), "" if condition is None else source_of(condition)
    return slopes
