"""The row of the table for a loop, with its derivatives, which are loops."""

from __future__ import annotations

from typing import Any, Final, cast, final

import attrs
import numpy as np
from attrs import evolve

from tapegrad.compile.paths import AnyTape
from tapegrad.compile.scan.derived import backward, forward
from tapegrad.compile.scan.run import parts, run, side_by_side
from tapegrad.compile.scan.step import Apply, Cells, Sizes, Step
from tapegrad.entries.entries import Looped
from tapegrad.ops.array_rows import concatenate, getitem, reshape
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, shape_of

__all__ = ["SCAN", "Loop"]


@final
@attrs.frozen(repr=False)
class Loop(Looped):
    """``count`` calls of a step, from the first x to the last, or ``backwards``.

    A loop takes two arrays of numbers: the first carry, what is held, and a row for each step of
    the parts of x that are ``moving``; and a row for each step of the other parts of x. It gives
    the last carry, a row of the carry before each step where it ``keeps`` them, and a row of y of
    each step.
    """

    step: Step
    count: int
    moving: tuple[bool, ...]
    backwards: bool = False
    name: str = "step"
    keeps: bool = True

    @property
    def kept(self) -> int:
        """The count of the numbers of a step's carry that stand in the result."""
        return Sizes.width(self.step.sizes.carry) if self.keeps else 0

    @property
    def tape(self) -> AnyTape:
        """The tape of one step; where the step has several ways, of the first that was taken."""
        return self.step.paths[0].tape

    def __repr__(self) -> str:
        return f"{self.count:,} steps of {self.name}"


def _value(numbers: Any, data: Any, loop: Loop) -> Any:
    return run(loop.step, loop.moving, loop.count, (numbers, data), loop.backwards, loop.keeps)


def _widths(sizes: Sizes) -> tuple[int, ...]:
    return tuple(map(Sizes.width, (sizes.carry, sizes.x, sizes.held, sizes.y)))


def _rows(numbers: Operand, start: int, count: int, width: int) -> Operand:
    """A part of an array as rows, one for each step."""
    return reshape(getitem(numbers, (slice(start, start + count * width),)), (count, width))


def _flat(*rows: Operand) -> list[Operand]:
    """Rows side by side as one array; none where they are empty."""
    some = [x for x in rows if shape_of(x)[1]]
    if not some:
        return []
    found = concatenate(*some, 1) if len(some) > 1 else some[0]
    shape = shape_of(found)
    return [reshape(found, (shape[0] * shape[1],))]


def _joined(*parts: Operand) -> Operand:
    """Vectors one after the other."""
    some = [x for x in parts if shape_of(x)[0]] or [*parts[:1]]
    return concatenate(*some, 0) if len(some) > 1 else some[0]


def _part_widths(loop: Loop) -> tuple[int, int]:
    """The widths of the parts of x that are moving, and of the others."""
    x = loop.step.sizes.x
    moving = Sizes.width([shape for shape, moves in zip(x, loop.moving, strict=True) if moves])
    return moving, Sizes.width(x) - moving


def _pull(i: int, b: Operand, z: Operand, numbers: Operand, data: Operand, loop: Loop) -> Operand:
    """The cotangents of the numbers, or for ``i`` = 1 of the data: a loop backwards.

    A loop that does not keep the carries is run again for them.
    """
    count, sizes = loop.count, loop.step.sizes
    carry, _, held, y = _widths(sizes)
    widths = _part_widths(loop)
    wanted = tuple(index for index, moves in enumerate(loop.moving) if moves is (i == 0))
    before = z if loop.keeps else SCAN(numbers, data, cast(Operand, evolve(loop, keeps=True)))
    from_before = _rows(b, carry, count, carry) if loop.keeps else np.zeros((count, carry))
    rows = _flat(
        _rows(before, carry, count, carry),
        _rows(numbers, carry + held, count, widths[0]),
        cast(Operand, from_before),
        _rows(b, carry + count * loop.kept, count, y),
    )
    fixed = getitem(numbers, (slice(carry, carry + held),))
    given = _joined(getitem(b, (slice(0, carry),)), cast(Operand, np.zeros(held)), fixed, *rows)
    states, outside = (True,) * len(sizes.carry), (True,) * len((*sizes.carry, *sizes.y))
    back = Loop(
        backward(loop.step, wanted),
        count,
        (*states, *loop.moving, *outside),
        not loop.backwards,
        f"the reverse sweep of {loop.name}",
        keeps=False,
    )
    found = SCAN(given, data, cast(Operand, back))
    ends = carry + held
    xs = getitem(found, (slice(ends, ends + count * widths[i]),))
    return xs if i else _joined(getitem(found, (slice(0, ends),)), xs)


def _push(
    dots: tuple[Operand | None, Operand | None],
    z: Operand,
    numbers: Operand,
    data: Operand,
    loop: Loop,
) -> Operand:
    """The tangent of a loop: a loop of numbers with tangents."""
    count, sizes = loop.count, loop.step.sizes
    carry, _, held, y = _widths(sizes)
    moving, resting = _part_widths(loop)
    dot, data_dot = (
        cast(Operand, np.zeros(shape_of(x))) if one is None else one
        for one, x in zip(dots, (numbers, data), strict=True)
    )
    parts = [
        getitem(x, (part,))
        for part in (slice(0, carry), slice(carry, carry + held))
        for x in (numbers, dot)
    ]
    given = _joined(
        *parts, *_flat(*(_rows(x, carry + held, count, moving) for x in (numbers, dot)))
    )
    beside = _flat(*(_rows(x, 0, count, resting) for x in (data, data_dot)))
    name = f"the tangents of {loop.name}"
    along = evolve(loop, step=forward(loop.step), moving=2 * loop.moving, name=name)
    found = SCAN(given, beside[0] if beside else data, cast(Operand, along))
    before = _rows(found, 2 * carry, count, along.kept)
    ys = _rows(found, 2 * carry + along.kept * count, count, 2 * y)
    return _joined(
        getitem(found, (slice(carry, 2 * carry),)),
        *_flat(getitem(before, (slice(None), slice(carry, None)))),
        *_flat(getitem(ys, (slice(None), slice(y, None)))),
    )


def _expanded(apply: Apply, numbers: Cells, data: Cells, loop: Loop) -> Cells:
    """The entries of all steps, one after the other."""
    sizes, count = loop.step.sizes, loop.count
    carry, _, held, _ = _widths(sizes)
    moving, resting = _part_widths(loop)
    state, fixed = numbers[:carry], parts(numbers[carry : carry + held], sizes.held)
    xs = side_by_side(
        sizes.x, loop.moving,
        numbers[carry + held :].reshape(count, moving), data.reshape(count, resting),
    )  # fmt: skip
    before, ys = [], []
    for x in xs[::-1] if loop.backwards else xs:
        before.append(state)
        operands = [*parts(state, sizes.carry), *parts(x, sizes.x), *fixed]
        found = loop.step.expanded(apply, operands)
        state, y = (
            np.concatenate([np.empty(0, object), *map(np.ravel, given)])
            for given in (found[: len(sizes.carry)], found[len(sizes.carry) :])
        )
        ys.append(y)
    order = -1 if loop.backwards else 1
    return np.concatenate([state, *(before[::order] if loop.keeps else ()), *ys[::order]])


def _flat_in_both(i: int, *_: object) -> None:
    """The partial of a row that has a rule for arrays."""


SCAN: Final = Primitive(
    "scan", cast(Any, _value), (None, None), "A loop, whose steps are a tape by themselves.",
    has_static=True, static_type=Loop, module=__name__, reference="SCAN",
    array=ArrayRule(
        (lambda *given: _pull(0, *given), lambda *given: _pull(1, *given)),
        _push, joint=True, expand=_expanded,
    ),
)  # fmt: skip
