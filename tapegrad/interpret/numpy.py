"""A program over columns of numbers, as numpy operations on blocks that stay in the cache.

Each operation writes into the buffer of a value that is dead by then, where there is one. Numbers
that are the same for all rows stand in arrays without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.primitive import Primitive
from tapegrad.program import Program
from tapegrad.straight import needs, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Truths: TypeAlias = NDArray[np.bool_]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = slice | NDArray[np.intp]

__all__ = ["BLOCK", "Columns", "compiled"]

BLOCK: Final = 4096
"""Rows at a time: 32 KiB a buffer."""

_UFUNCS: Final[dict[str, np.ufunc]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "abs": np.absolute, "pow": np.power, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and_": np.logical_and,
    "or_": np.logical_or, "not_": np.logical_not, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "copysign": np.copysign, "fmod": np.fmod, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt,
    "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
}  # fmt: skip
"""The core rows that numpy has; the others are asked row by row."""


@final
@attrs.frozen
class _Same:
    """A number that is the same for all rows: a constant, or one of those given."""

    index: int


@final
@attrs.frozen
class _Buffer:
    """A column of the block: numbers, or truth values."""

    index: int
    truths: bool = False


_Step: TypeAlias = tuple[Callable[..., object], tuple[Any, ...]]
"""A function and its arguments; places among them become arrays when the step is bound."""


def compiled(program: Program, uniform: int) -> Columns:
    """The program over rows; its first ``uniform`` inputs are the same for all of them."""
    return Columns(program, uniform)


@final
class Columns:
    """A program over rows, which several threads may run at a time."""

    def __init__(self, program: Program, uniform: int) -> None:
        plan = _Plan(program, uniform)
        self._steps, self._uniform = plan.steps, uniform
        self._constants = list(program.constants.values())
        self._sizes = plan.floats.size, plan.truths.size
        self._ready: list[_Bound] = []

    def __call__(
        self,
        shared: Sequence[float],
        leaves: Sequence[Floats],
        rows: Rows,
        out: Floats,
        flips: Flips,
    ) -> None:
        """The outputs of these rows of the leaves, one in each row of ``out``.

        A leaf has one or two axes, the rows first. ``flips`` gets -1, or the index of the first
        guard that came out differently, for a row whose outputs then mean nothing.
        """
        count = out.shape[1]
        with np.errstate(all="ignore"):
            for start in range(0, count, BLOCK):
                stop = min(start + BLOCK, count)
                columns = list(_columns(leaves, _part(rows, start, stop)))
                self._run(shared, columns, out[:, start:stop], flips[start:stop])

    def _run(
        self, shared: Sequence[float], columns: list[Floats], out: Floats, flips: Flips
    ) -> None:
        width = len(flips)
        bound = self._free(width)
        bound.same[: self._uniform] = shared
        bound.block.columns, bound.block.out, bound.block.flips = columns, out, flips
        flips[:] = -1
        for function, arguments in bound.steps:
            function(*arguments)
        if width == BLOCK:
            self._ready.append(bound)

    def _free(self, width: int) -> _Bound:
        """Steps that no other thread is running."""
        if width == BLOCK:
            with suppress(IndexError):
                return self._ready.pop()
        return self._bound(width)

    def _bound(self, width: int) -> _Bound:
        """The steps on buffers of their own."""
        floats = np.empty((self._sizes[0], width), np.float64)
        truths = np.empty((self._sizes[1], width), np.bool_)
        same = np.array([*[0.0] * self._uniform, *self._constants])
        block = _Block()

        def place(argument: object) -> object:
            if isinstance(argument, _Same):
                return same[argument.index : argument.index + 1].reshape(())
            if isinstance(argument, _Buffer):
                return (truths if argument.truths else floats)[argument.index]
            return block if argument is _Block else argument

        steps = [(function, tuple(map(place, given))) for function, given in self._steps]
        return _Bound(steps, same, block)


@final
class _Block:
    """The rows at hand: their inputs, where their outputs go, and the guards that flipped."""

    columns: Sequence[Floats]
    out: Floats
    flips: Flips


@final
@attrs.frozen(eq=False)
class _Bound:
    """Steps on buffers, the numbers that are the same for all rows, and the rows at hand."""

    steps: Sequence[_Step]
    same: Floats
    block: _Block


def _part(rows: Rows, start: int, stop: int) -> Rows:
    """The rows from one to another of those asked for."""
    if isinstance(rows, slice):
        first = rows.start or 0
        return slice(first + start, first + stop)
    return rows[start:stop]


def _columns(leaves: Sequence[Floats], rows: Rows) -> Iterator[Floats]:
    """The columns of the leaves, one for each input that differs between rows."""
    for leaf in leaves:
        yield from leaf[rows].T if leaf.ndim > 1 else [leaf[rows]]


# What a step may do besides calling a ufunc.


def _load(block: _Block, index: int, out: Floats) -> None:
    out[:] = block.columns[index]


def _hand_over(block: _Block, index: int, value: Floats) -> None:
    block.out[index] = value


def _check(block: _Block, index: int, expected: bool, truth: Truths) -> None:
    """Mark the rows whose guard came out differently, and no earlier one did."""
    if truth.all() if expected else not truth.any():
        return
    flipped = ~truth if expected else truth
    block.flips[flipped & (block.flips < 0)] = index


def _select(out: Floats, truth: Truths, value: Floats) -> None:
    np.putmask(out, truth, value)


def _power(x: Floats, y: Floats, out: Floats) -> None:
    """A power; for the exponent 0.5 numpy takes the root, which differs at -0.0 and -inf."""
    below = x == -np.inf
    np.power(x, y, out=out)
    if not y.ndim and y == 0.5:
        out += 0.0
        out[below] = np.inf


def _ask(
    block: _Block,
    function: Callable[..., float],
    out: Floats,
    holds: Truths | None,
    statics: tuple[object, ...],
    *operands: Floats,
) -> None:
    """Call a row's function for each row still on the path, or for those that need it."""
    wanted = block.flips < 0
    if holds is not None:
        wanted &= ~holds
    lanes = np.flatnonzero(wanted)
    columns = [x[lanes].tolist() if x.ndim else repeat(x.item(), lanes.size) for x in operands]
    given = (repeat(static, lanes.size) for static in statics)
    out[lanes] = list(map(function, *columns, *given))


def _fma(
    block: _Block, function: Callable[..., float], out: Floats, x: Floats, y: Floats, z: Floats
) -> None:
    """x * y + z with the product in two pieces, and the row's function out of their range."""
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    rest = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    total = product + z
    back = total - product
    rest += (product - (total - back)) + (z - back)
    inside = _in_range(x, 1e-140, 1e140) & _in_range(y, 1e-140, 1e140) & (abs(z) < 1e300)
    np.add(total, rest, out=out)
    _ask(block, function, out, np.broadcast_to(inside, out.shape), (), x, y, z)


def _halves(x: Floats) -> tuple[Floats, Floats]:
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    return high, x - high


def _in_range(x: Floats, low: float, high: float) -> Truths:
    size = abs(x)
    return (size > low) & (size < high)


# The steps of a program, and which buffers they use.


@final
class _Room:
    """Buffers of one kind: how many there are, and which are free."""

    def __init__(self, *, truths: bool) -> None:
        self.truths = truths
        self.size = 0
        self.free: list[_Buffer] = []

    def take(self) -> _Buffer:
        if self.free:
            return self.free.pop()
        self.size += 1
        return _Buffer(self.size - 1, self.truths)

    def give(self, buffer: object) -> None:
        if isinstance(buffer, _Buffer):
            self.free.append(buffer)


@final
class _Plan:
    """Writes the steps of a program."""

    def __init__(self, program: Program, uniform: int) -> None:
        self.program, self.uniform = program, uniform
        self.floats, self.truths = _Room(truths=False), _Room(truths=True)
        self.steps: list[_Step] = []
        self.places: dict[int, _Same | _Buffer] = {}
        self.conditions: dict[int, _Buffer] = {}
        self.read_as_numbers = numbers(program)
        self.guards = {slot: index for index, slot in enumerate(program.expected)}
        self.outputs: dict[int, list[int]] = {}
        for index, slot in enumerate(program.outputs):
            self.outputs.setdefault(slot, []).append(index)
        same = [*range(uniform), *program.constants]
        self.places |= {slot: _Same(index) for index, slot in enumerate(same)}
        self.last = {
            operand: slot
            for slot in range(program.inputs, len(program))
            for operand in needs(program, slot)
        }
        self.write()

    def write(self) -> None:
        program = self.program
        for slot in self.outputs:
            if slot < program.inputs or slot in program.constants:
                self.hand_over(slot)
        for slot in range(program.inputs, len(program)):
            if slot not in program.constants:
                self.entry(slot)

    def step(self, function: Callable[..., object], *arguments: object) -> None:
        self.steps.append((function, arguments))

    def number(self, slot: int) -> _Same | _Buffer:
        """Where a slot's numbers stand; an input is loaded when it is first read."""
        if slot not in self.places:
            self.places[slot] = self.floats.take()
            self.step(_load, _Block, slot - self.uniform, self.places[slot])
        return self.places[slot]

    def truth(self, slot: int) -> _Buffer:
        """Where a slot's truth values stand."""
        if slot not in self.conditions:
            number = self.number(slot)
            self.conditions[slot] = self.truths.take()
            self.step(np.not_equal, number, 0.0, self.conditions[slot])
        return self.conditions[slot]

    def hand_over(self, slot: int) -> None:
        """Write an output out as soon as it is there."""
        for index in self.outputs.get(slot, ()):
            self.step(_hand_over, _Block, index, self.number(slot))
        if slot not in self.last:
            self.release(slot)

    def release(self, slot: int) -> None:
        """The buffers of a slot that nothing reads any more."""
        self.floats.give(self.places.pop(slot, None))
        self.truths.give(self.conditions.pop(slot, None))

    def finish(self, slot: int) -> None:
        """Release what this entry was the last to read."""
        for operand in set(needs(self.program, slot)):
            if self.last[operand] == slot:
                self.release(operand)

    def entry(self, slot: int) -> None:
        """The steps of one entry."""
        row = self.program.rows[slot]
        operands = self.program.operands[slot]
        if slot in self.guards:
            truth, expected = self.truth(operands[0]), self.program.expected[slot]
            self.step(_check, _Block, self.guards[slot], expected, truth)
            self.finish(slot)
            return
        if row.is_truth:
            self.condition(slot, row)
        elif row.name == "where":
            self.choice(slot)
        else:
            self.value(slot, row)
        self.hand_over(slot)

    def condition(self, slot: int, row: Primitive) -> None:
        read = self.truth if row.name in {"and_", "or_", "not_"} else self.number
        operands = [read(operand) for operand in self.program.operands[slot]]
        self.finish(slot)
        self.conditions[slot] = self.truths.take()
        self.step(_UFUNCS[row.name], *operands, self.conditions[slot])
        if slot in self.read_as_numbers:
            self.places[slot] = self.floats.take()
            self.step(np.copyto, self.places[slot], self.conditions[slot])

    def choice(self, slot: int) -> None:
        """Write one arm over the other, in its own buffer where that is dead by then."""
        chosen, x, y = self.program.operands[slot]
        truth, first, second = self.truth(chosen), self.number(x), self.number(y)
        if self.last[y] == slot and isinstance(second, _Buffer) and y != x:
            out = self.places.pop(y)
        else:
            out = self.floats.take()
            self.step(np.copyto, out, second)
        self.step(_select, out, truth, first)
        self.finish(slot)
        self.places[slot] = out

    def value(self, slot: int, row: Primitive) -> None:
        program = self.program
        operands = [self.number(operand) for operand in program.operands[slot]]
        holds = self.truth(program.rarely[slot]) if slot in program.rarely else None
        self.finish(slot)
        self.places[slot] = out = self.floats.take()
        if row.name in _UFUNCS:
            self.step(_power if row.name == "pow" else _UFUNCS[row.name], *operands, out)
        elif row.name == "fma":
            self.step(_fma, _Block, row.value, out, *operands)
        else:
            statics = (program.statics[slot],) if slot in program.statics else ()
            self.step(_ask, _Block, row.value, out, holds, statics, *operands)
