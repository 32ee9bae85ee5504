"""Records a loop as one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from math import isqrt, prod
from typing import Any, Final, cast

import numpy as np

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.compile.scan.flat import joined, parted, places
from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.row import SCAN
from tapegrad.compile.scan.step import Sizes, Step
from tapegrad.compile.scan.users_step import MoreHeldError, UsersStep
from tapegrad.errors import InputError
from tapegrad.ops.array_rows import concatenate, getitem, reshape
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, primal, shape_of
from tapegrad.pytree.key_paths import Keys, key_path
from tapegrad.pytree.matching import described_difference
from tapegrad.pytree.numbers import RejectedError
from tapegrad.pytree.structure import (
    Branch,
    Leaf,
    Role,
    Static,
    Structure,
    build,
    named_error,
    split_value,
)

__all__ = ["recorded"]

_AS_DATA: Final = "pass it as data after the first argument"
"""The advice of refusals of a parameter, which a carry and an x are not."""


def recorded(
    step: Callable[..., object], carry: object, items: Sequence[object], memory: float | None
) -> tuple[object, list[object]]:
    """The last carry and each y of a loop in which some numbers are traced.

    Raises:
        InputError: when the derivatives of the loop cannot do with so much ``memory``.
    """
    structure, first = _taken_apart(carry, "carry")
    of_x, columns = _columns(items)
    rule = UsersStep(step, structure, of_x)
    rule.begin(first, columns)
    if len(items) > 1:
        rule.look_again(columns)
    piece = _piece(rule, first, columns, len(items), memory)
    run = _run if piece is None else partial(_run_in_pieces, piece)
    last, ys = run(rule, first, columns, len(items))
    return build(structure, last), _listed(rule.y, ys, len(items))


def _run(
    rule: UsersStep, first: Sequence[Operand], columns: Sequence[Operand], count: int
) -> tuple[list[Operand], list[Operand]]:
    """The last carry of a loop, which is one entry, and y as columns."""
    while True:
        loop, numbers = _loop(rule, first, columns, count)
        rows = _rows(columns)
        with suppress(MoreHeldError):
            found = SCAN(numbers, *rows, cast(Operand, loop))
            return _results(found, loop.step.sizes, count)


def _loop(
    rule: UsersStep, first: Sequence[Operand], columns: Sequence[Operand], count: int
) -> tuple[Loop, Operand]:
    """The loop, and the first carry and what it holds as an array."""
    held = list(rule.held)
    sizes = Sizes(
        carry=tuple(map(shape_of, first)),
        x=tuple(shape_of(column)[1:] for column in columns),
        held=tuple(map(shape_of, held)),
        y=rule.given,
    )
    return Loop(Step(sizes, rule, rule.paths), count, name=name_of(rule.f)), joined([*first, *held])


def _run_in_pieces(
    piece: int, rule: UsersStep, first: Sequence[Operand], columns: Sequence[Operand], count: int
) -> tuple[list[Operand], list[Operand]]:
    """The same of a loop of loops of ``piece`` steps, the insides of which are run again."""
    pieces = count // piece
    whole = pieces * piece

    def step(carry: tuple[Operand, ...], x: tuple[Operand, ...]) -> object:
        last, ys = _run(rule, carry, x, piece)
        return tuple(last), tuple(ys)

    step.__qualname__ = f"{piece:,} steps of {name_of(rule.f)}"
    heads = [
        reshape(getitem(x, (slice(0, whole),)), (pieces, piece, *shape_of(x)[1:])) for x in columns
    ]
    outer = UsersStep(step, _tuple_of(first), _tuple_of([cast(Any, primal(x))[0] for x in heads]))
    outer.begin(first, heads)
    last, found = _run(outer, first, heads, pieces)
    ys = [reshape(y, (whole, *shape_of(y)[2:])) for y in found]
    if whole < count:
        tails = [getitem(x, (slice(whole, count),)) for x in columns]
        last, rest = _run(rule, last, tails, count - whole)
        ys = [concatenate(y, more, 0) for y, more in zip(ys, rest, strict=True)]
    return last, ys


def _tuple_of(parts: Sequence[Operand]) -> Structure:
    return Branch(tuple, tuple(range(len(parts))), tuple(Leaf(shape_of(part)) for part in parts))


def _piece(
    rule: UsersStep,
    first: Sequence[Operand],
    columns: Sequence[Operand],
    count: int,
    memory: float | None,
) -> int | None:
    """The steps of a piece such that so many bytes do; None where all steps are one.

    Kept are the carries before each piece and y; and of one piece what its reverse sweep reads.

    Raises:
        InputError: when no pieces are short enough.
    """
    carry, y = Sizes.width([*map(shape_of, first)]), Sizes.width(rule.given)
    x = Sizes.width([shape_of(column)[1:] for column in columns])
    if memory is None or 8 * count * (carry + y) <= memory:
        return None

    def needed(piece: int) -> int:
        return 8 * (carry * -(-count // piece) + y * count + swept * piece)

    swept = 2 * (2 * carry + x + y)
    piece = max(1, isqrt(carry * count // swept))  # what needs least, apart from whole pieces
    if needed(piece) > memory:
        raise InputError(
            f"scan ({here()}) was given memory={memory:,} for {count:,} steps: give it "
            f"{needed(piece):,} bytes"
        )
    while needed(2 * piece) <= memory:
        piece *= 2
    return min(piece, count)


def _path(name: str, keys: Keys) -> str:
    return f"{name} at {key_path(keys)}" if keys else name


def _taken_apart(value: object, name: str) -> tuple[Structure, list[Operand]]:
    """The structure of a carry or of an x, and its numbers; None has none."""
    if value is None:
        return Static(None), []
    if isinstance(value, np.ndarray):
        # It is traced where it holds traced numbers.
        value = serving("numpy.creation").asarray(value)
    leaves: list[Operand] = []
    try:
        return split_value(value, Role.PARAMETERS, leaves), leaves
    except RejectedError as rejected:
        what = rejected.what.replace(f"{_AS_DATA}, or its", "pass its")
        rejected.what = what.replace(_AS_DATA, "read it from around the step")
        raise named_error(rejected, partial(_path, name)) from None


def _columns(items: Sequence[object]) -> tuple[Structure, list[Operand]]:
    """The structure of x, and for each number in it those of all steps as an array.

    Raises:
        InputError: when one is built otherwise than the first.
    """
    if shape_of(items):
        return Leaf(shape_of(items)[1:]), _taken_apart(items, "xs")[1]
    kinds = set(map(type, items))
    if kinds == {type(None)}:
        return Static(None), []
    if kinds <= {float, int}:
        with suppress(OverflowError):  # an int, which is named below
            return Leaf(), [cast(Operand, np.array(items, float))]
    structure: Structure = Leaf()
    rows: list[list[Operand]] = []
    for index, item in enumerate(items):
        found, leaves = _taken_apart(item, f"xs:{index}")
        if index and (difference := described_difference(structure, found)):
            place, given, expected = difference
            raise InputError(
                f"{_path(f'xs:{index}', place)} is {given}, where the first of xs has {expected} "
                f"({here()}): give each step the same structure"
            )
        structure = found
        rows.append(leaves)
    stack = serving("numpy.shapes").stack
    return structure, [cast(Operand, stack(column)) for column in zip(*rows, strict=True)]


def _rows(columns: Sequence[Operand]) -> list[Operand]:
    """The columns that hold numbers, with the numbers of a step as a row."""
    shapes = ((shape_of(x)[0], prod(shape_of(x)[1:])) for x in columns)
    return [reshape(x, shape) for x, shape in zip(columns, shapes, strict=True) if shape[1]]


def _results(found: Operand, sizes: Sizes, count: int) -> tuple[list[Operand], list[Operand]]:
    """The parts of the last carry, and those of y as columns, of what a loop gave."""
    width = Sizes.width(sizes.y)
    start = Sizes.width(sizes.carry) * (1 + count)
    last = parted(found, sizes.carry)
    if not sizes.y:
        return last, []
    rows = reshape(getitem(found, (slice(start, start + count * width),)), (count, width))
    return last, [
        reshape(getitem(rows, (slice(None), slice(at, at + prod(shape)))), (count, *shape))
        for at, shape in places(sizes.y)
    ]


def _listed(structure: Structure, ys: Sequence[Operand], count: int) -> list[object]:
    """The y of each step; what cannot hold numbers is the same for all."""
    if isinstance(structure, Static):
        return [structure.value] * count
    given = zip(*(_each(y) for y in ys), strict=True) if ys else repeat((), count)
    return [build(structure, leaves) for leaves in given]


def _each(column: Operand) -> Iterator[Operand]:
    """The parts of a column, one for each step."""
    return (getitem(column, (index,)) for index in range(shape_of(column)[0]))
