"""Runs the steps of a loop by compiled code: one by one, or many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.step import Options, Step, StepPath
from tapegrad.ops.primitive import Operand, Shape

__all__ = ["parts", "run", "side_by_side"]

Floats: TypeAlias = NDArray[np.float64]

_ENTRIES: Final = 1 << 14
"""The most entries of steps that one call of compiled code does, where there are many steps."""
_MOST, _FEWEST = 1024, 32
"""The steps of the longest blocks and of the shortest."""
_PAYS: Final = 1_000_000
"""The entries that Python's code has run before compiling blocks has paid for itself."""


@final
@attrs.frozen(eq=False)
class Rows:
    """The arrays that steps read and write, a row for each: x, the carry before it, and y.

    The carries have no width where they are not kept. What is ``held`` is the same for all, and
    ``numbers`` are those of the steps.
    """

    numbers: range
    held: Floats
    xs: Floats
    before: Floats
    ys: Floats

    def part(self, start: int, stop: int | None) -> Rows:
        """Some of the steps."""
        part = slice(start, stop)
        return Rows(self.numbers[part], self.held, self.xs[part], self.before[part], self.ys[part])

    def backwards(self) -> Rows:
        """The steps in the other order."""
        return Rows(self.numbers[::-1], self.held, self.xs[::-1], self.before[::-1], self.ys[::-1])


def run(loop: Loop, numbers: Floats, data: Floats) -> Floats:
    """The result of a loop on the two arrays that it takes; ``Loop`` says what stands in them."""
    sizes, count, kept = loop.step.sizes, loop.count, loop.kept
    carry, _, held, y = sizes.widths
    moving, resting = loop.x_widths
    found = np.empty(carry + count * (kept + y))
    middle = carry + count * kept
    rows = Rows(
        range(count),
        numbers[carry : carry + held],
        side_by_side(
            sizes.x, loop.moving,
            numbers[carry + held :].reshape(count, moving), data.reshape(count, resting),
        ),
        found[carry:middle].reshape(count, kept),
        found[middle:].reshape(count, y),
    )  # fmt: skip
    runs = _of_numbers if sizes.is_of_numbers else _of_arrays
    found[:carry] = runs(loop.step, numbers[:carry], rows.backwards() if loop.backwards else rows)
    return found


def side_by_side(shapes: Sequence[Shape], moving: Sequence[bool], numbers: Any, data: Any) -> Any:
    """Rows of the parts that are moving and rows of the others as rows of all parts in order."""
    if all(moving) or not any(moving):
        return numbers if all(moving) else data
    moves = np.repeat(moving, [prod(shape) for shape in shapes])
    found = np.empty((len(numbers), len(moves)), numbers.dtype)
    found[:, moves] = numbers
    found[:, ~moves] = data
    return found


def _of_numbers(step: Step, carry: Floats, rows: Rows) -> Floats:
    """The last carry of a loop of numbers; fills in the carries and each y."""
    if not step.paths:
        step.learned(_lists(carry, rows.xs[0], rows.held))
    count, done, entries = len(rows.xs), 0, len(step.paths[0].tape)
    made = step.paths[0].made
    made.work += count * entries
    pays = made.work >= _PAYS
    if pays and step.only_path is not None:
        longest = min(_MOST, max(_FEWEST, 1 << (_ENTRIES // entries).bit_length() - 1))
        for block in sorted({longest, _FEWEST}, reverse=True):
            stop = count - (count - done) % block
            carry = _in_blocks(step, carry, rows.part(done, stop), block)
            done = stop
    return _one_by_one(step, carry, rows.part(done, None), natively=pays)


def _lists(*parts: Floats) -> list[Operand]:
    return [number for part in parts for number in part.tolist()]


def _in_blocks(step: Step, carry: Floats, rows: Rows, block: int) -> Floats:
    """The carry after blocks of steps, each of which is one call of compiled code."""
    (count, kept), width = rows.before.shape, len(carry)
    if not count:
        return carry
    example = _lists(carry, rows.xs[0], rows.held)
    options = Options(block, natively=True, keeps=kept > 0)
    run = step.paths[0].code(step.sizes, example, options).run_bytes
    given = np.concatenate((carry, rows.held, rows.xs[:block].ravel()))
    first, middle = width + len(rows.held), width + kept * block
    for start in range(0, count, block):
        part = slice(start, start + block)
        given[first:] = rows.xs[part].ravel()
        found = np.frombuffer(cast(Any, run(given.tobytes())))
        rows.before[part] = found[width:middle].reshape(block, kept)
        rows.ys[part] = found[middle:].reshape(block, -1)
        given[:width] = carry = found[:width]
    return carry


def _one_by_one(step: Step, carry: Floats, rows: Rows, *, natively: bool) -> Floats:
    """The last carry of steps that are run by themselves, each on the path that it takes."""
    width, kept = len(carry), rows.before.shape[1]
    options = Options(1, natively=natively, keeps=kept > 0)
    state, held = carry.tolist(), rows.held.tolist()
    path: StepPath | None = None
    table: list[Sequence[float]] = []
    for number, x in zip(rows.numbers, rows.xs.tolist(), strict=True):
        path, found = _taken(step, path, (state, x, held), number, options)
        table.append(found)
        state = list(found[:width])
    if table:
        of_all = np.array(table)
        rows.before[:] = of_all[:, width : width + kept]
        rows.ys[:] = of_all[:, width + kept :]
    return np.array(state)


def _taken(
    step: Step,
    latest: StepPath | None,
    operands: tuple[list[Any], list[Any], list[Any]],
    number: int,
    options: Options,
) -> tuple[StepPath, Sequence[Any]]:
    """The path that a step takes, tried from the latest one on, and what it gives.

    The operands are the carry, x and what is held; an error says the step's ``number``.
    """
    carry, x, held = operands
    example, given = [*carry, *x, *held], [*carry, *held, *x]
    others = [path for path in step.paths if path is not latest]
    for path in others if latest is None else [latest, *others]:
        found = path.code(step.sizes, example, options).run(given)
        if not isinstance(found, int):
            return path, found
    try:
        path = step.learned(example)
    except Exception as error:
        error.add_note(f"raised in step {number:,} of scan")
        raise
    found = path.code(step.sizes, example, options).run(given)
    return path, cast("Sequence[Any]", found)


def _of_arrays(step: Step, carry: Floats, rows: Rows) -> Floats:
    """The last carry of a loop with arrays, whose steps are run by themselves."""
    sizes = step.sizes
    state, held = _plain(carry, sizes.carry), _plain(rows.held, sizes.held)
    options = Options(1, natively=True, keeps=False)
    keeps = rows.before.shape[1] > 0
    path: StepPath | None = None
    for index, number in enumerate(rows.numbers):
        x = _plain(rows.xs[index], sizes.x)
        path, found = _taken(step, path, (state, x, held), number, options)
        if keeps:
            _fill(rows.before[index], state)
        _fill(rows.ys[index], found[len(state) :])
        # The next step may be computed where these stand.
        state = [
            part.copy() if isinstance(part, np.ndarray) else part for part in found[: len(state)]
        ]
    last = np.empty(len(carry))
    _fill(last, state)
    return last


def parts(numbers: Any, shapes: Sequence[Shape]) -> list[Any]:
    """The arrays of these shapes that stand side by side, also where a shape has no axes."""
    ends = accumulate(map(prod, shapes))
    return [
        numbers[end - prod(shape) : end].reshape(shape)
        for end, shape in zip(ends, shapes, strict=True)
    ]


def _plain(numbers: Floats, shapes: Sequence[Shape]) -> list[Any]:
    """The same, with floats of Python's for those without axes."""
    return [part if part.ndim else float(part) for part in parts(numbers, shapes)]


def _fill(numbers: Floats, parts: Sequence[Any]) -> None:
    """Writes parts side by side."""
    start = 0
    for part in parts:
        size = np.size(part)
        numbers[start : start + size] = np.ravel(part)
        start += size
