"""The numpy operations of a program, and the buffers that they read and write.

Each operation writes into the buffer of a value that is dead by then, where there is one. Numbers
that are the same for all rows stand in arrays without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.compile.partition import slots_read
from tapegrad.compile.program import Program
from tapegrad.compile.rare import rare_operands, rare_program
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Truths: TypeAlias = NDArray[np.bool_]
    Flips: TypeAlias = NDArray[np.int32]

__all__ = ["Buffer", "FunctionOf", "Plan", "RareCode", "RowBlock", "Step", "Uniform", "numpys"]


@final
@attrs.frozen
class Uniform:
    """A number that is the same for all rows: a constant, or one of those given."""

    index: int


@final
@attrs.frozen
class Buffer:
    """A column of the block: numbers, or truth values."""

    index: int
    truths: bool = False


Step: TypeAlias = tuple[Callable[..., object], tuple[Any, ...]]
"""A function and its arguments; places among them become arrays when the step is bound."""


FunctionOf: TypeAlias = Callable[[Program, int], Callable[..., object] | None]
"""Gives the function that computes an entry from its operands' numbers, into the last argument."""


RareCode: TypeAlias = "Callable[[Sequence[Floats]], Floats]"
"""Runs the program of what is rarely needed: a column for each operand in, its value out."""


@final
class RowBlock:
    """The rows at hand: their inputs, where their outputs go, and the guards that flipped."""

    columns: Sequence[Floats]
    out: Floats
    flips: Flips


@final
class _BufferPool:
    """Buffers of one kind: how many there are, and which are free."""

    size: int

    def __init__(self, *, truths: bool) -> None:
        self.truths = truths
        self.size = 0
        self.free: list[Buffer] = []

    def take(self) -> Buffer:
        if self.free:
            return self.free.pop()
        self.size += 1
        return Buffer(self.size - 1, self.truths)

    def give(self, buffer: object) -> None:
        if isinstance(buffer, Buffer):
            self.free.append(buffer)


@final
class Plan:
    """Writes the steps of a program; ``compile_rare`` compiles that of what is rarely needed.

    The functions of core rows are those that ``function_of`` gives.
    """

    program: Program
    uniform: int
    compile_rare: Callable[[Program], RareCode]
    function_of: FunctionOf
    floats: _BufferPool
    truths: _BufferPool
    last: dict[int, int]

    def __init__(
        self,
        program: Program,
        uniform: int,
        compile_rare: Callable[[Program], RareCode],
        function_of: FunctionOf,
    ) -> None:
        self.program, self.uniform, self.compile_rare = program, uniform, compile_rare
        self.function_of = function_of
        self.floats, self.truths = _BufferPool(truths=False), _BufferPool(truths=True)
        self.steps: list[Step] = []
        self.places: dict[int, Uniform | Buffer] = {}
        self.conditions: dict[int, Buffer] = {}
        same = [*range(uniform), *program.constants]
        self.places |= {slot: Uniform(index) for index, slot in enumerate(same)}
        self.last = {
            operand: slot
            for slot in range(program.inputs, len(program))
            for operand in slots_read(program, slot)
        }
        for slot in program.output_indices:
            if slot < program.inputs or slot in program.constants:
                self.write_output(slot)
        for slot in range(program.inputs, len(program)):
            if slot not in program.constants:
                self.entry(slot)

    def step(self, function: Callable[..., object], *arguments: object) -> None:
        """Appends a step."""
        self.steps.append((function, arguments))

    def number(self, slot: int) -> Uniform | Buffer:
        """The place of a slot's numbers; an input is loaded when it is first read."""
        if slot not in self.places:
            self.places[slot] = self.floats.take()
            self.step(_load, RowBlock, slot - self.uniform, self.places[slot])
        return self.places[slot]

    def truth(self, slot: int) -> Buffer:
        """The place of a slot's truth values."""
        if slot not in self.conditions:
            number = self.number(slot)
            self.conditions[slot] = self.truths.take()
            self.step(np.not_equal, number, 0.0, self.conditions[slot])
        return self.conditions[slot]

    def write_output(self, slot: int) -> None:
        """Writes an output out as soon as it is there."""
        for index in self.program.output_indices.get(slot, ()):
            self.step(_write_output, RowBlock, index, self.number(slot))
        if slot not in self.last:
            self.release(slot)

    def release(self, slot: int) -> None:
        """Frees the buffers of a slot that nothing reads any more."""
        self.floats.give(self.places.pop(slot, None))
        self.truths.give(self.conditions.pop(slot, None))

    def finish(self, slot: int) -> None:
        """Frees the buffers that this entry was the last to read."""
        for operand in set(slots_read(self.program, slot)):
            if self.last[operand] == slot:
                self.release(operand)

    def entry(self, slot: int) -> None:
        """Writes the steps of one entry."""
        program, row = self.program, self.program.rows[slot]
        if slot in program.expected:
            (condition,) = program.operands[slot]
            truth, index = self.truth(condition), program.guard_indices[slot]
            self.step(_check, RowBlock, index, program.expected[slot], truth)
            self.finish(slot)
            return
        if row.is_truth:
            self.condition(slot, row)
        elif row.kind == "choice":
            self.choice(slot)
        else:
            self.value(slot, row)
        self.write_output(slot)

    def condition(self, slot: int, row: Primitive) -> None:
        """Writes the steps of an entry that gives truth values."""
        read = self.truth if row.kind == "connective" else self.number
        operands = [read(operand) for operand in self.program.operands[slot]]
        self.finish(slot)
        self.conditions[slot] = self.truths.take()
        self.step(getattr(np, row.ufuncs[0]), *operands, self.conditions[slot])
        if slot in self.program.numeric_truths:
            self.places[slot] = self.floats.take()
            self.step(np.copyto, self.places[slot], self.conditions[slot])

    def choice(self, slot: int) -> None:
        """Writes one arm over the other, in its own buffer where that is dead by then."""
        chosen, x, y = self.program.operands[slot]
        truth, first, second = self.truth(chosen), self.number(x), self.number(y)
        if self.last[y] == slot and isinstance(second, Buffer) and y != x:
            out = self.places.pop(y)
        else:
            out = self.floats.take()
            self.step(np.copyto, out, second)
        self.step(_select, out, truth, first)
        self.finish(slot)
        self.places[slot] = out

    def value(self, slot: int, row: Primitive) -> None:
        """Writes the steps of an entry that gives numbers."""
        program = self.program
        operands = [self.number(operand) for operand in program.operands[slot]]
        holds = self.truth(program.skip_where[slot]) if slot in program.skip_where else None
        if row is ops.fma:  # it reads its operands again when it has written
            out = self.floats.take()
            self.finish(slot)
        else:
            self.finish(slot)
            out = self.floats.take()
        self.places[slot] = out
        rare = rare_program(program, slot)
        function = self.function_of(program, slot)
        if function is not None:
            self.step(function, *operands, out)
        elif row is ops.fma:
            self.step(_fma, RowBlock, row.value, out, *operands)
        elif rare is not None:
            static = rare_operands(program, slot)
            self.step(_call_rare, self.compile_rare(rare), out, holds, static, *operands)
        else:
            self.step(_call_host, RowBlock, row.value, out, holds, program.static(slot), *operands)


# The functions that a step calls, besides ufuncs.


def _load(block: RowBlock, index: int, out: Floats) -> None:
    out[:] = block.columns[index]


def _write_output(block: RowBlock, index: int, value: Floats) -> None:
    block.out[index] = value


def _check(block: RowBlock, index: int, expected: bool, truth: Truths) -> None:
    """Marks the rows whose guard came out differently, and no earlier one did."""
    if truth.all() if expected else not truth.any():
        return
    flipped = ~truth if expected else truth
    block.flips[flipped & (block.flips < 0)] = index


def _select(out: Floats, truth: Truths, value: Floats) -> None:
    np.putmask(out, truth, value)


def _power(x: Floats, y: Floats, out: Floats) -> None:
    """Computes a power; for 0.5 numpy takes the root, which differs at -0.0 and -inf."""
    below = x == -np.inf
    np.power(x, y, out=out)
    if not y.ndim and y == 0.5:
        out += 0.0
        out[below] = np.inf


def _mantissa(x: Floats, out: Floats) -> None:
    out[...] = np.frexp(x)[0]


def _exponent(x: Floats, out: Floats) -> None:
    out[...] = np.where(np.isfinite(x), np.frexp(x)[1], 0.0)


def _power_of_2(n: Floats, out: Floats) -> None:
    known = (n >= -1022.0) & (n <= 1023.0) & (np.trunc(n) == n)
    out[...] = np.where(known, np.ldexp(1.0, np.where(known, n, 0.0).astype(np.int64)), np.nan)


_FUNCTIONS: Final[Mapping[Primitive, Callable[..., None]]] = {
    ops.pow: _power,
    ops.mantissa: _mantissa,
    ops.exponent: _exponent,
    ops.power_of_2: _power_of_2,
}
"""The functions of rows for which numpy has no function that does the same."""


def numpys(program: Program, slot: int) -> Callable[..., object] | None:
    """The function by which numpy computes an entry, if it has one."""
    row = program.rows[slot]
    ufunc = getattr(np, row.ufuncs[0]) if row.core and row.ufuncs else None
    return _FUNCTIONS.get(row, ufunc)


def _call_rare(
    code: RareCode, out: Floats, holds: Truths, static: Sequence[float], *operands: Floats
) -> None:
    """Computes what is rarely needed for the rows that need it."""
    lanes = np.flatnonzero(~holds)
    if lanes.size:
        columns = [x[lanes] if x.ndim else np.full(lanes.size, x) for x in operands]
        out[lanes] = code([*columns, *(np.full(lanes.size, number) for number in static)])


def _call_host(
    block: RowBlock,
    function: Callable[..., float],
    out: Floats,
    holds: Truths | None,
    statics: tuple[object, ...],
    *operands: Floats,
) -> None:
    """Calls a row's function for each row still on the path, or for those that need it."""
    wanted = block.flips < 0
    if holds is not None:
        wanted &= ~holds
    lanes = np.flatnonzero(wanted)
    columns = [x[lanes].tolist() if x.ndim else repeat(x.item(), lanes.size) for x in operands]
    given = (repeat(static, lanes.size) for static in statics)
    out[lanes] = list(map(function, *columns, *given))


def _fma(
    block: RowBlock, function: Callable[..., float], out: Floats, x: Floats, y: Floats, z: Floats
) -> None:
    """Computes x * y + z from a product in two pieces; out of range, by the row."""
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    rest = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    total = product + z
    back = total - product
    rest += (product - (total - back)) + (z - back)
    inside = _in_range(x, 1e-140, 1e140) & _in_range(y, 1e-140, 1e140) & (abs(z) < 1e300)
    np.add(total, rest, out=out)
    _call_host(block, function, out, np.broadcast_to(inside, out.shape), (), x, y, z)


def _halves(x: Floats) -> tuple[Floats, Floats]:
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    return high, x - high


def _in_range(x: Floats, low: float, high: float) -> Truths:
    size = abs(x)
    return (size > low) & (size < high)
