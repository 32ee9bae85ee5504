"""The row of the table for a loop, with its derivatives, which are loops."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod
from typing import Any, Final, cast

import numpy as np
from attrs import evolve

from tapegrad.compile.scan.derived import backward, forward
from tapegrad.compile.scan.flat import cut
from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.run import run
from tapegrad.compile.scan.step import Apply, Cells
from tapegrad.ops.array_rows import concatenate, flat_in_many, getitem, reshape
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, Shape, shape_of

__all__ = ["SCAN"]


def _value(numbers: Any, *given: Any) -> Any:
    *xs, loop = given
    return run(loop, numbers, xs)


def _rows(numbers: Operand, start: int, count: int, width: int) -> Operand:
    """A part of an array as rows, one for each step."""
    return reshape(getitem(numbers, (slice(start, start + count * width),)), (count, width))


def _some(*rows: Operand) -> list[Operand]:
    """The arrays whose rows are not empty."""
    return [x for x in rows if shape_of(x)[1]]


def _flat(*rows: Operand) -> list[Operand]:
    """Rows side by side as one array; none where they are empty."""
    some = _some(*rows)
    if not some:
        return []
    found = concatenate(*some, 1) if len(some) > 1 else some[0]
    shape = shape_of(found)
    return [reshape(found, (shape[0] * shape[1],))]


def _joined(*parts: Operand) -> Operand:
    """Vectors one after the other."""
    some = [x for x in parts if shape_of(x)[0]] or [*parts[:1]]
    return concatenate(*some, 0) if len(some) > 1 else some[0]


def _parts_of(shapes: Sequence[Shape], xs: Sequence[Operand]) -> Iterator[tuple[int, int]]:
    """The parts of x that hold numbers, each with the index of the array that it is in."""
    ends = [*accumulate(shape_of(x)[1] for x in xs)]
    starts = accumulate(map(prod, shapes), initial=0)
    for part, (shape, start) in enumerate(zip(shapes, starts, strict=False)):
        if prod(shape):
            yield part, bisect_right(ends, start)


def _pulls(
    wanted: Sequence[int], b: Operand, z: Operand, numbers: Operand, *given: Any
) -> list[Operand]:
    """The cotangents of the operands that are wanted, which a loop backwards finds.

    A loop that does not keep the carries is run again for them.
    """
    *xs, loop = given
    count, sizes = loop.count, loop.step.sizes
    carry, _, held, y = sizes.widths
    parts = tuple(part for part, x in _parts_of(sizes.x, xs) if x + 1 in wanted)
    before = z if loop.keeps else SCAN(numbers, *xs, evolve(loop, keeps=True))
    from_before = _rows(b, carry, count, carry) if loop.keeps else np.zeros((count, carry))
    rows = _some(
        _rows(before, carry, count, carry),
        *xs,
        cast(Operand, from_before),
        _rows(b, carry + count * loop.kept, count, y),
    )
    fixed = getitem(numbers, (slice(carry, carry + held),))
    start = _joined(getitem(b, (slice(0, carry),)), cast(Operand, np.zeros(held)), fixed)
    name = f"the reverse sweep of {loop.name}"
    back = Loop(backward(loop.step, parts), count, not loop.backwards, name, keeps=False)
    found = SCAN(start, *rows, cast(Operand, back))
    ends, widths = carry + held, [shape_of(xs[index - 1])[1] for index in wanted if index]
    shares = _side_by_side(_rows(found, ends, count, sum(widths)), widths)
    return [next(shares) if index else getitem(found, (slice(0, ends),)) for index in wanted]


def _side_by_side(rows: Operand, widths: Sequence[int]) -> Iterator[Operand]:
    """The arrays of these widths that stand side by side."""
    if len(widths) == 1:
        yield rows
        return
    for end, width in zip(accumulate(widths), widths, strict=True):
        yield getitem(rows, (slice(None), slice(end - width, end)))


def _push(dots: Sequence[Operand | None], z: Operand, *given: Any) -> Operand:
    """The tangent of a loop: a loop of numbers with tangents."""
    *operands, loop = given
    count = loop.count
    carry, _, _, y = loop.step.sizes.widths
    numbers, *xs = operands
    dot, *xs_dot = (
        cast(Operand, np.zeros(shape_of(x))) if one is None else one
        for one, x in zip(dots, operands, strict=True)
    )
    ends = (slice(0, carry),), (slice(carry, None),)
    start = _joined(*(getitem(x, part) for part in ends for x in (numbers, dot)))
    name = f"the tangents of {loop.name}"
    along = evolve(loop, step=forward(loop.step), name=name)
    found = SCAN(start, *xs, *xs_dot, along)
    before = _rows(found, 2 * carry, count, along.kept)
    ys = _rows(found, 2 * carry + along.kept * count, count, 2 * y)
    return _joined(
        getitem(found, (slice(carry, 2 * carry),)),
        *_flat(getitem(before, (slice(None), slice(carry, None)))),
        *_flat(getitem(ys, (slice(None), slice(y, None)))),
    )


def _expanded(apply: Apply, numbers: Cells, *given: Any) -> Cells:
    """The entries of all steps, one after the other."""
    *xs, loop = given
    sizes, count = loop.step.sizes, loop.count
    carry = sizes.widths[0]
    state, fixed = numbers[:carry], cut(numbers[carry:], sizes.held)
    rows = np.concatenate(xs, 1) if xs else np.empty((count, 0), object)
    before, ys = [], []
    for x in rows[::-1] if loop.backwards else rows:
        before.append(state)
        operands = [*cut(state, sizes.carry), *cut(x, sizes.x), *fixed]
        found = loop.step.expanded(apply, operands)
        state, y = (
            np.concatenate([np.empty(0, object), *map(np.ravel, given)])
            for given in (found[: len(sizes.carry)], found[len(sizes.carry) :])
        )
        ys.append(y)
    order = -1 if loop.backwards else 1
    return np.concatenate([state, *(before[::order] if loop.keeps else ()), *ys[::order]])


SCAN: Final = Primitive(
    "scan", cast(Any, _value), flat_in_many, "A loop, whose steps are a tape by themselves.",
    has_static=True, static_type=Loop, module=__name__, reference="SCAN",
    array=ArrayRule(_pulls, _push, joint=True, together=True, expand=_expanded),
)  # fmt: skip
