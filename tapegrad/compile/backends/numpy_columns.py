"""A program over columns of numbers, as numpy operations on blocks that stay in the cache.

Each operation writes into the buffer of a value that is dead by then, where there is one. Numbers
that are the same for all rows stand in arrays without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.row_code import RowCode
from tapegrad.compile.conditions import numbers
from tapegrad.compile.partition import slots_read
from tapegrad.compile.program import Program
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Truths: TypeAlias = NDArray[np.bool_]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = slice | NDArray[np.intp]

__all__ = ["BLOCK", "ColumnCode", "compiled", "fingerprint", "rows"]

BLOCK: Final = 4096
"""Rows at a time: 32 KiB a buffer."""


@final
@attrs.frozen
class _Uniform:
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


def rows(program: Program, options: RowOptions) -> RowCode:
    """Compile a program for rows; only ``shared`` of the options changes anything here."""
    code = compiled(program, options.shared)

    def run(
        shared: Floats,
        leaves: Sequence[Floats],
        rows: range | NDArray[np.int64],
        out: Floats,
        flips: Flips,
    ) -> None:
        count = len(rows)
        found = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        code(shared.tolist(), leaves, found, out[:, :count], flips[:count])

    return run


def fingerprint() -> Mapping[str, str]:
    """Tell the instructions that numpy's loops are compiled for and that it found here."""
    found = np.show_config(mode="dicts") or {}
    simd = found.get("SIMD Extensions", {})
    return {"instructions": ",".join([*simd.get("baseline", []), *simd.get("found", [])])}


def compiled(program: Program, uniform: int) -> ColumnCode:
    """Compile a program whose first ``uniform`` inputs are the same for all rows."""
    return ColumnCode(program, uniform)


@final
class ColumnCode:
    """Runs a program over rows, in several threads at a time."""

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
        """Run these rows of the leaves, as described at ``RowCode``."""
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
        """Take steps that no other thread is running."""
        if width == BLOCK:
            with suppress(IndexError):
                return self._ready.pop()
        return self._bound(width)

    def _bound(self, width: int) -> _Bound:
        """Bind the steps to buffers of their own."""
        floats = np.empty((self._sizes[0], width), np.float64)
        truths = np.empty((self._sizes[1], width), np.bool_)
        same = np.array([*[0.0] * self._uniform, *self._constants])
        block = _Block()

        def place(argument: object) -> object:
            if isinstance(argument, _Uniform):
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
    """Return the rows from one to another of those asked for."""
    if isinstance(rows, slice):
        first = rows.start or 0
        return slice(first + start, first + stop)
    return rows[start:stop]


def _columns(leaves: Sequence[Floats], rows: Rows) -> Iterator[Floats]:
    """Yield the columns of the leaves, one for each input that differs between rows."""
    for leaf in leaves:
        yield from leaf[rows].T if leaf.ndim > 1 else [leaf[rows]]


# The functions that a step calls, besides ufuncs.


def _load(block: _Block, index: int, out: Floats) -> None:
    out[:] = block.columns[index]


def _write_output(block: _Block, index: int, value: Floats) -> None:
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
    """Compute a power; for 0.5 numpy takes the root, which differs at -0.0 and -inf."""
    below = x == -np.inf
    np.power(x, y, out=out)
    if not y.ndim and y == 0.5:
        out += 0.0
        out[below] = np.inf


def _call_host(
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
    """Compute x * y + z from a product in two pieces; out of range, by the row."""
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


# The steps of a program, and which buffers they use.


@final
class _Pool:
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
        self.floats, self.truths = _Pool(truths=False), _Pool(truths=True)
        self.steps: list[_Step] = []
        self.places: dict[int, _Uniform | _Buffer] = {}
        self.conditions: dict[int, _Buffer] = {}
        self.read_as_numbers = numbers(program)
        self.guards = {slot: index for index, slot in enumerate(program.expected)}
        self.outputs: dict[int, list[int]] = {}
        for index, slot in enumerate(program.outputs):
            self.outputs.setdefault(slot, []).append(index)
        same = [*range(uniform), *program.constants]
        self.places |= {slot: _Uniform(index) for index, slot in enumerate(same)}
        self.last = {
            operand: slot
            for slot in range(program.inputs, len(program))
            for operand in slots_read(program, slot)
        }
        self.write()

    def write(self) -> None:
        program = self.program
        for slot in self.outputs:
            if slot < program.inputs or slot in program.constants:
                self.write_output(slot)
        for slot in range(program.inputs, len(program)):
            if slot not in program.constants:
                self.entry(slot)

    def step(self, function: Callable[..., object], *arguments: object) -> None:
        self.steps.append((function, arguments))

    def number(self, slot: int) -> _Uniform | _Buffer:
        """Return where a slot's numbers stand; an input is loaded when it is first read."""
        if slot not in self.places:
            self.places[slot] = self.floats.take()
            self.step(_load, _Block, slot - self.uniform, self.places[slot])
        return self.places[slot]

    def truth(self, slot: int) -> _Buffer:
        """Return where a slot's truth values stand."""
        if slot not in self.conditions:
            number = self.number(slot)
            self.conditions[slot] = self.truths.take()
            self.step(np.not_equal, number, 0.0, self.conditions[slot])
        return self.conditions[slot]

    def write_output(self, slot: int) -> None:
        """Write an output out as soon as it is there."""
        for index in self.outputs.get(slot, ()):
            self.step(_write_output, _Block, index, self.number(slot))
        if slot not in self.last:
            self.release(slot)

    def release(self, slot: int) -> None:
        """Free the buffers of a slot that nothing reads any more."""
        self.floats.give(self.places.pop(slot, None))
        self.truths.give(self.conditions.pop(slot, None))

    def finish(self, slot: int) -> None:
        """Free the buffers that this entry was the last to read."""
        for operand in set(slots_read(self.program, slot)):
            if self.last[operand] == slot:
                self.release(operand)

    def entry(self, slot: int) -> None:
        """Write the steps of one entry."""
        row = self.program.rows[slot]
        operands = self.program.operands[slot]
        if slot in self.guards:
            truth, expected = self.truth(operands[0]), self.program.expected[slot]
            self.step(_check, _Block, self.guards[slot], expected, truth)
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
        read = self.truth if row.kind == "connective" else self.number
        operands = [read(operand) for operand in self.program.operands[slot]]
        self.finish(slot)
        self.conditions[slot] = self.truths.take()
        self.step(getattr(np, row.ufuncs[0]), *operands, self.conditions[slot])
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
        if row.core and row.ufuncs:
            ufunc = _power if row is ops.pow else getattr(np, row.ufuncs[0])
            self.step(ufunc, *operands, out)
        elif row is ops.fma:
            self.step(_fma, _Block, row.value, out, *operands)
        else:
            statics = (program.statics[slot],) if slot in program.statics else ()
            self.step(_call_host, _Block, row.value, out, holds, statics, *operands)
