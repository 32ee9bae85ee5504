"""Runs the steps of a loop by compiled code: many at a time, or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad.compile.backends.interface import RunFloats, RunSteps
from tapegrad.compile.scan.loop import Loop
from tapegrad.compile.scan.step import Step

__all__ = ["run"]

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

    def rows(self, numbers: range) -> Floats:
        """The numbers of x of some steps, a row for each."""
        found = [x[_slice(numbers)] for x in self.xs]
        if len(found) == 1:
            return found[0]
        return np.concatenate([np.empty((len(numbers), 0)), *found], 1)

    def operands(self, number: int) -> list[Any]:
        """The carry, the x of a step, and what is held, as numbers and arrays."""
        (x,) = self.rows(range(number, number + 1))
        return self.loop.step.operands(self.state, x, self.held)


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
        step.learned(given.operands(left[0]))
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
    run: RunFloats | None = None
    states: list[Sequence[float]] = []
    table: list[Sequence[float]] = []
    for number, x in zip(numbers, given.rows(numbers).tolist(), strict=True):
        run, found = _taken(step, run, (now, x, held), number, natively=natively)
        states.append(now)
        table.append(found)
        now = list(found[:width])
    state[:] = now
    given.ys[_slice(numbers)] = np.array(table)[:, width:]
    if before.shape[1]:
        before[_slice(numbers)] = states


def _taken(
    step: Step,
    latest: RunFloats | None,
    operands: tuple[Any, Any, Any],
    number: int,
    *,
    natively: bool,
) -> tuple[RunFloats, Sequence[Any]]:
    """The code of the path that a step takes, tried from the latest one on, and what it gives.

    The operands are the carry, x and what is held; an error says the step's ``number``.
    """
    carry, x, held = operands
    given = [*carry, *held, *x] if step.sizes.is_of_numbers else [carry, held, x]
    if latest is not None and not isinstance(found := latest(given), int):
        return latest, found
    for path in step.paths:
        run = path.code(step.sizes, natively=natively).run
        if not isinstance(found := run(given), int):
            return run, found
    try:
        path = step.learned(step.operands(*map(np.asarray, operands)))
    except Exception as error:
        error.add_note(f"raised in step {number:,} of scan")
        raise
    run = path.code(step.sizes, natively=natively).run
    return run, cast("Sequence[Any]", run(given))


def _on_arrays(given: _Run, numbers: range) -> None:
    """The same where some of what a step takes or gives are arrays: by vectors."""
    loop, before, ys = given.loop, given.before, given.ys
    now, run = given.state.copy(), None
    for number, x in zip(numbers, given.rows(numbers), strict=True):
        operands = now, x, given.held
        run, found = _taken(loop.step, run, operands, number, natively=True)
        if loop.keeps:
            before[number] = now
        now, ys[number] = found
    given.state[:] = now
