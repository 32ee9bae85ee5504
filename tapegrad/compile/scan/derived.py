"""The steps of the loops that are a loop's derivatives: they have derivatives in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol, cast, final

import attrs

from tapegrad.compile.scan.step import Sizes, Step, StepPath
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.structure import Branch
from tapegrad.recording.trace import trace
from tapegrad.transforms.products import jvp, vjp
from tapegrad.transforms.record import tape_of

__all__ = ["backward", "forward"]

Numbers = tuple[Operand, ...]


def backward(step: Step, wanted: tuple[int, ...]) -> Step:
    """The step of the reverse sweep of a loop.

    Its carry is the cotangents of the carry and of what is held; its x is the carry before the
    step, x, and the cotangents that the carry before the step and y get from outside the loop; its
    y is the cotangents of the ``wanted`` parts of x.
    """

    def made(step: Step) -> Step:
        own = step.sizes
        sizes = Sizes(
            carry=own.carry + own.held,
            x=own.carry + own.x + own.carry + own.y,
            held=own.held,
            y=tuple(own.x[index] for index in wanted),
        )
        return Step(sizes, _Derived(_Backward(step, wanted)))

    return step.derived(wanted, made)


def forward(step: Step) -> Step:
    """The step on numbers with tangents: each part of what a step takes, then their tangents."""

    def made(step: Step) -> Step:
        own = step.sizes
        sizes = Sizes(2 * own.carry, 2 * own.x, 2 * own.held, 2 * own.y)
        return Step(sizes, _Derived(_Forward(step)))

    return step.derived("forward", made)


class _Function(Protocol):
    """A step that is made of another: numbers in groups to numbers."""

    @property
    def groups(self) -> dict[str, int]:
        """How many numbers and arrays there are of each kind, by name and in order."""

    def __call__(self, operands: Numbers) -> Numbers:
        """The new carry and y."""


@final
@attrs.frozen
class _Derived:
    """The rule of a step that is made of another: it is recorded on any numbers at any time."""

    function: _Function

    def __call__(self, operands: Sequence[Operand], /) -> StepPath:
        """The path on these operands."""
        traced = trace(self.function, tuple(operands), {}, positions=True)
        parts = iter(cast(Branch, traced.parameters).children)
        named = {
            name: Branch(tuple, tuple(range(count)), tuple(islice(parts, count)))
            for name, count in self.function.groups.items()
            if count
        }
        parameters = Branch(dict, tuple(named), tuple(named.values()))
        return StepPath(attrs.evolve(tape_of(self.function, traced), parameters=parameters))


@final
@attrs.frozen
class _Backward:
    """The reverse sweep of one step."""

    step: Step
    wanted: tuple[int, ...]

    @property
    def groups(self) -> dict[str, int]:
        """The kinds of what ``backward`` says that the step takes."""
        own = self.step.sizes
        carry, x, held, y = map(len, (own.carry, own.x, own.held, own.y))
        return {
            "carry_bar": carry,
            "held_bar": held,
            "carry": carry,
            "x": x,
            "more_carry_bar": carry,
            "y_bar": y,
            "held": held,
        }

    def __call__(self, operands: Numbers) -> Numbers:
        """The cotangents before the step, and those of the wanted parts of x."""
        bars, held_bars, before, xs, more_bars, y_bars, held = _split(operands, self.groups)
        _, pullback = vjp(_parts(self.step), (*before, *xs, *held))
        shares = pullback((*bars, *y_bars))
        carry, x = len(before), len(xs)
        down = map(ops.add, shares[:carry], more_bars)
        held_down = map(ops.add, held_bars, shares[carry + x :])
        found = (shares[carry + index] for index in self.wanted)
        return cast(Numbers, (*down, *held_down, *found))


@final
@attrs.frozen
class _Forward:
    """One step on numbers with tangents."""

    step: Step

    @property
    def groups(self) -> dict[str, int]:
        """The kinds of what a step takes, each followed by its tangents."""
        own = self.step.sizes
        kinds = {"carry": own.carry, "x": own.x, "held": own.held}
        return {name + dot: len(shapes) for name, shapes in kinds.items() for dot in ("", "_dot")}

    def __call__(self, operands: Numbers) -> Numbers:
        """The new carry and y, each followed by its tangents."""
        before, before_dot, xs, xs_dot, held, held_dot = _split(operands, self.groups)
        at, along = (*before, *xs, *held), (*before_dot, *xs_dot, *held_dot)
        found, dots = jvp(_parts(self.step), at, along)
        carry = len(before)
        return (*found[:carry], *dots[:carry], *found[carry:], *dots[carry:])


def _parts(step: Step) -> Callable[[Numbers], Numbers]:
    return lambda operands: tuple(step(operands))


def _split(operands: Numbers, groups: Mapping[str, int]) -> list[Numbers]:
    """The operands in their groups."""
    rest = iter(operands)
    return [tuple(islice(rest, count)) for count in groups.values()]
