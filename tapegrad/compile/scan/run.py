"""Runs the steps of a loop by compiled code: many at a time, or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad.compile.backends.interface import RunSteps
from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.step import Step, StepPath
from tapegrad.ops.primitive import Shape

__all__ = ["parts", "run"]

Floats: TypeAlias = NDArray[np.float64]

_AT_ONCE: Final = 1 << 22
"""The entries that one call of compiled code does: in between, after milliseconds, an interrupt is
heard."""


@final
@attrs.frozen(eq=False)
class _Run:
    """A loop, its result as far as it is ``found``, what is ``held``, and the rows of x."""

    loop: Loop
    found: Floats
    held: Floats
    xs: Sequence[Floats]

    @property
    def state(self) -> Floats:
        """The carry."""
        return self.found[: self.loop.step.sizes.widths[0]]

    @property
    def before(self) -> Floats:
        """A row of the carry before each step, without any numbers where it is not kept."""
        count, kept, width = self.loop.count, self.loop.kept, self.loop.step.sizes.widths[0]
        return self.found[width : width + count * kept].reshape(count, kept)

    @property
    def ys(self) -> Floats:
        """A row of each y."""
        count, width = self.loop.count, self.loop.step.sizes.widths[3]
        return self.found[len(self.found) - count * width :].reshape(count, width)

    def x(self, number: int) -> Floats:
        """The numbers of x of a step."""
        return np.concatenate([np.empty(0), *(x[number] for x in self.xs)])

    def operands(self, number: int) -> tuple[list[Any], list[Any], list[Any]]:
        """The carry, the x of a step, and what is held, as numbers and arrays."""
        sizes = self.loop.step.sizes
        parts = (self.state, sizes.carry), (self.x(number), sizes.x), (self.held, sizes.held)
        state, x, held = (_plain(*part) for part in parts)
        return state, x, held

    def lists(self, numbers: range) -> list[list[float]]:
        """The same of several steps."""
        rows = [x[_slice(numbers)] for x in self.xs]
        found = np.concatenate(rows, 1) if rows else np.empty((len(numbers), 0))
        return cast("list[list[float]]", found.tolist())


def _slice(numbers: range) -> slice:
    """The part of an array that has rows of these numbers."""
    stop = None if numbers.stop < 0 else numbers.stop
    return slice(numbers.start, stop, numbers.step)


def run(loop: Loop, numbers: Floats, xs: Sequence[Floats]) -> Floats:
    """The result of a loop on the arrays that it takes; ``Loop`` says what stands in them."""
    sizes = loop.step.sizes
    found, carry = np.empty(loop.size), sizes.widths[0]
    found[:carry] = numbers[:carry]
    _run(_Run(loop, found, numbers[carry:], [np.ascontiguousarray(x, float) for x in xs]))
    return found


def _run(given: _Run) -> None:
    """Runs all steps."""
    loop, step, left = given.loop, given.loop.step, given.loop.numbers
    if not step.paths:
        state, x, held = given.operands(left[0])
        step.learned([*state, *x, *held])
    step.count(loop.count)
    widths = tuple([x.shape[1] for x in given.xs])
    while left:
        code = step.loop(widths, keeps=loop.keeps)
        if code is not None:
            left = _at_once(code, given, left)
        alone = left if code is None else left[:1]
        if alone and step.sizes.is_of_numbers:
            _one_by_one(given, alone, natively=code is None and step.pays)
        elif alone:
            _on_arrays(given, alone)
        left = left[len(alone) :]


def _at_once(code: RunSteps, given: _Run, left: range) -> range:
    """Runs steps up to one that goes a way which is not known; gives those that are left."""
    loop, held = given.loop, given.held.tobytes()
    size = max(_AT_ONCE // loop.step.length, 1)
    while left:
        part = left[:size]
        done = code(part, loop.count, given.found, held, given.xs)
        left = left[done:]
        if done < len(part):
            break
    return left


def _one_by_one(given: _Run, numbers: range, *, natively: bool) -> None:
    """Runs steps by themselves, each on the path that it takes."""
    step, state, before = given.loop.step, given.state, given.before
    width, now, held = len(state), state.tolist(), given.held.tolist()
    path: StepPath | None = None
    states: list[Sequence[float]] = []
    table: list[Sequence[float]] = []
    for number, x in zip(numbers, given.lists(numbers), strict=True):
        path, found = _taken(step, path, (now, x, held), number, natively=natively)
        states.append(now)
        table.append(found)
        now = list(found[:width])
    state[:] = now
    given.ys[_slice(numbers)] = np.array(table)[:, width:]
    if before.shape[1]:
        before[_slice(numbers)] = states


def _taken(
    step: Step,
    latest: StepPath | None,
    operands: tuple[list[Any], list[Any], list[Any]],
    number: int,
    *,
    natively: bool,
) -> tuple[StepPath, Sequence[Any]]:
    """The path that a step takes, tried from the latest one on, and what it gives.

    The operands are the carry, x and what is held; an error says the step's ``number``.
    """
    carry, x, held = operands
    given = [*carry, *held, *x]
    others = [path for path in step.paths if path is not latest]
    for path in others if latest is None else [latest, *others]:
        found = path.code(step.sizes, natively=natively).run(given)
        if not isinstance(found, int):
            return path, found
    try:
        path = step.learned([*carry, *x, *held])
    except Exception as error:
        error.add_note(f"raised in step {number:,} of scan")
        raise
    found = path.code(step.sizes, natively=natively).run(given)
    return path, cast("Sequence[Any]", found)


def _on_arrays(given: _Run, numbers: range) -> None:
    """The same where some of what a step takes or gives are arrays."""
    loop, before, ys = given.loop, given.before, given.ys
    now, _, held = given.operands(numbers[0])
    path: StepPath | None = None
    for number in numbers:
        _, x, _ = given.operands(number)
        path, found = _taken(loop.step, path, (now, x, held), number, natively=True)
        if loop.keeps:
            _fill(before[number], now)
        _fill(ys[number], found[len(now) :])
        # The next step may be computed where these stand.
        now = [part.copy() if isinstance(part, np.ndarray) else part for part in found[: len(now)]]
    _fill(given.state, now)


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
