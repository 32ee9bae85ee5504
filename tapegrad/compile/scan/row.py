"""The row of the table for a loop, with its derivatives, which are loops."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from attrs import evolve

from tapegrad.compile.scan.derived import backward, forward
from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.run import parts, run, side_by_side
from tapegrad.compile.scan.step import Apply, Cells
from tapegrad.ops.array_rows import FLAT2, concatenate, getitem, reshape
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, shape_of

__all__ = ["SCAN"]


def _value(numbers: Any, data: Any, loop: Loop) -> Any:
    return run(loop, numbers, data)


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


def _pull(i: int, b: Operand, z: Operand, numbers: Operand, data: Operand, loop: Loop) -> Operand:
    """The cotangents of the numbers, or for ``i`` = 1 of the data: a loop backwards.

    A loop that does not keep the carries is run again for them.
    """
    count, sizes = loop.count, loop.step.sizes
    carry, _, held, y = sizes.widths
    widths = loop.x_widths
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
    count = loop.count
    carry, _, held, y = loop.step.sizes.widths
    moving, resting = loop.x_widths
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
    carry, _, held, _ = sizes.widths
    moving, resting = loop.x_widths
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


SCAN: Final = Primitive(
    "scan", cast(Any, _value), FLAT2, "A loop, whose steps are a tape by themselves.",
    has_static=True, static_type=Loop, module=__name__, reference="SCAN",
    array=ArrayRule(
        (lambda *given: _pull(0, *given), lambda *given: _pull(1, *given)),
        _push, joint=True, expand=_expanded,
    ),
)  # fmt: skip
