"""Loops found again in the straight line of a program, so that a body is compiled once.

The *numbers* of a program are its inputs, and then its entries in order; constants have none. What
entry *i* of a loop's body reads in iteration *t* is number ``first + step * t``: of the same
iteration, of an earlier one, of another loop (backwards, too), an input, or always the same. The
order of the entries stays as it is, and with it every bit.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias, TypeVar, final

import attrs

from tapegrad._support.cached import cached
from tapegrad.compile.partition import SlotsRead, slots_read
from tapegrad.compile.program import Program
from tapegrad.entries.repeats import Repeat, repeats
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["APART", "Line", "Piece", "Read", "Source", "Table", "bits_of", "line_of"]

V = TypeVar("V")

_WORTH: Final = 400
"""The fewest entries that loops have to save: shorter code is made as soon in a straight line."""

_WORTH_LEFT: Final = 60
"""The same where a loop has a guard: then there are more paths, which have the same code."""

APART: Final = 2**48
"""The distance between the numbers of entries, inputs and constants where repetitions are sought:
none reads now one kind and now another."""
_CONSTANT: Final = 3 * APART


@final
@attrs.frozen
class Read:
    """The number that is read in iteration *t*: ``first + step * t``."""

    first: int
    step: int = 0

    def at(self, iteration: int) -> int:
        """The number that is read in an iteration."""
        return self.first + self.step * iteration


@final
@attrs.frozen
class Table:
    """The constants of a loop's iterations."""

    constants: tuple[float, ...]


Source: TypeAlias = Read | Table
"""The origin of an input of a body."""


@final
@attrs.frozen(eq=False)
class Piece:
    """A body that runs ``count`` times, one time after the other; in a straight piece, once.

    The inputs of the ``body`` are in each iteration what ``sources`` says. Its entries are numbers
    from ``first`` on, but for those before them that compute ``again`` what other pieces have. Its
    guards and its outputs are those of the program from ``guard`` and ``output`` on. In the next
    iteration each of them goes on where this one ends.
    """

    body: Program
    sources: tuple[Source, ...]
    count: int
    first: int
    guard: int
    output: int
    again: int = 0

    @property
    def start(self) -> int:
        """The body's slot of its first entry that is a number."""
        return self.body.inputs + len(self.body.constants) + self.again

    @property
    def length(self) -> int:
        """The number of entries of the body that are numbers."""
        return len(self.body) - self.start

    @property
    def entries(self) -> range:
        """The body's slots of its entries that are numbers."""
        return range(self.start, len(self.body))


@final
@attrs.frozen(eq=False, slots=False)
class Line:
    """A program's entries in order, then its outputs as entries that read one slot each.

    Of each the line has the slot (for outputs, the program's length) and the slots that it reads.
    ``numbers`` has the number of each slot, and ``loops`` the stretches of the line that are loops.
    """

    program: Program
    slots: Sequence[int]
    reads: Sequence[Sequence[int]]
    numbers: Sequence[int]
    loops: Sequence[Repeat]

    @property
    def saves(self) -> int:
        """The entries that need not be written, where each body is written once."""
        return sum(loop.saves for loop in self.loops)

    @property
    def pays(self) -> bool:
        """Whether the loops save enough to be written as loops."""
        worth = _WORTH_LEFT if self.are_left else _WORTH
        return self.saves >= max(worth, len(self.slots) // 2)

    @property
    def are_left(self) -> bool:
        """Whether there is a loop with a guard, so that other paths leave it earlier or later."""
        expected = self.program.expected
        firsts = (self.slots[loop.first : loop.first + loop.length] for loop in self.loops)
        return any(slot in expected for slots in firsts for slot in slots)

    def shortened(self, counts: Mapping[int, int]) -> Line:
        """The line whose loops that begin with these numbers run so many times, if that pays.

        What is left of them is straight.
        """
        inputs = self.program.inputs
        loops = [
            attrs.evolve(loop, count=counts.get(inputs + loop.first, loop.count))
            for loop in self.loops
        ]
        return attrs.evolve(self, loops=[loop for loop in loops if loop.pays])

    def read(self, place: int, operand: int) -> int | bytes:
        """The number that an entry of the line reads, or the bits of a constant."""
        slot = self.reads[place][operand]
        number = self.numbers[slot]
        if number == _CONSTANT:
            return bits_of(self.program.constants[slot])
        return number - APART if number >= APART else number

    def pieces(self, size: int) -> Iterator[Piece]:
        """The loops, and what is straight in pieces of at most ``size`` entries."""
        at = 0
        for loop in (*self.loops, Repeat(len(self.slots), 0, 0)):
            for start in range(at, loop.first, size):
                yield self._piece(Repeat(start, min(size, loop.first - start), 1))
            if loop.count:
                yield self._piece(loop)
            at = loop.stop

    @cached
    def _guards(self) -> Sequence[int]:
        return tuple(self.program.expected)

    def _piece(self, stretch: Repeat) -> Piece:
        program = self.program
        entries = len(self.slots) - len(program.outputs)
        body = _Body(self, stretch)
        return Piece(
            body.program(),
            tuple(body.sources),
            stretch.count,
            program.inputs + stretch.first,
            bisect_left(self._guards, self.slots[stretch.first]),
            max(stretch.first - entries, 0),
        )


def line_of(program: Program, slots_read: SlotsRead = slots_read) -> Line:
    """The line of a program, of whose entries each reads these slots, and the loops in it."""
    inputs, end = program.inputs, len(program)
    numbers = [_CONSTANT] * end
    numbers[:inputs] = range(APART, APART + inputs)
    slots: list[int] = []
    reads: list[Sequence[int]] = []
    keys: list[Hashable] = []
    for before, after in pairwise([inputs - 1, *sorted(program.constants), end]):
        between = range(before + 1, after)
        first = inputs + len(slots)
        numbers[before + 1 : after] = range(first, first + len(between))
        slots += between
        reads += program.operands[before + 1 : after]
        keys += program.rows[before + 1 : after]
    for slot in program.skip_where:
        reads[numbers[slot] - inputs] = slots_read(program, slot)
    _tell_apart(program, slots, numbers, keys)
    slots += [end] * len(program.outputs)
    reads += [(output,) for output in program.outputs]
    keys += [None] * len(program.outputs)
    return Line(program, slots, reads, numbers, repeats(keys, reads, numbers, inputs))


def _tell_apart(
    program: Program, entries: Sequence[int], numbers: Sequence[int], keys: list[Hashable]
) -> None:
    """Changes the keys, which are rows so far, where a row does not say all that an entry does."""
    odd = {row for row in {*program.rows} if row in _SPECIAL or row.arity is None}
    of_odd = {slot for slot in (entries if odd else ()) if program.rows[slot] in odd}
    for slot in of_odd | {*program.statics, *program.expected, *program.skip_where}:
        row, operands = program.rows[slot], program.operands[slot]
        special = _SPECIAL.get(row, ())
        constants = [x if (x := program.constants.get(y)) in special else None for y in operands]
        keys[numbers[slot] - program.inputs] = (
            row,
            len(operands),
            static_key(program.statics[slot]) if slot in program.statics else None,
            program.expected.get(slot),
            slot in program.skip_where,
            *constants,
        )


_SPECIAL: Final[Mapping[Primitive, Collection[float | None]]] = {ops.pow: (2.0,)}
"""The constants for which backends spell a row in another way."""


def bits_of(number: float) -> bytes:
    """The bits of a number, which tell all numbers apart."""
    return struct.pack("d", number)


@final
class _Body:
    """Writes one repetition of a stretch as a program of its own; ``sources`` are its inputs.

    What an entry reads is an entry of the same repetition, a constant by its bits, or a source.
    """

    def __init__(self, line: Line, stretch: Repeat) -> None:
        self.line, self.stretch = line, stretch
        places = range(stretch.first, stretch.first + stretch.length)
        self.slots = [line.slots[place] for place in places]
        self.reads = [
            [self.read(place, operand) for operand in range(len(line.reads[place]))]
            for place in places
        ]
        read = dict.fromkeys(x for reads in self.reads for x in reads)
        self.sources = [x for x in read if isinstance(x, Read | Table)]
        self.constants = [x for x in read if isinstance(x, bytes)]

    def read(self, place: int, operand: int) -> int | bytes | Source:
        """The operand of an entry: an entry of the body by its index, a constant, or a source."""
        line, length, count = self.line, self.stretch.length, self.stretch.count
        number = line.numbers[line.reads[place][operand]]
        if number == _CONSTANT:
            return self.constant(place, operand)
        step = 0
        if count > 1:
            step = line.numbers[line.reads[place + length][operand]] - number
        if number >= APART:
            return Read(number - APART, step)
        first = line.program.inputs + self.stretch.first
        if number >= first and (count == 1 or step == length):
            return number - first
        return Read(number, step)

    def constant(self, place: int, operand: int) -> bytes | Table:
        """The constant that an entry reads, or those of all repetitions."""
        reads, constants = self.line.reads, self.line.program.constants
        places = range(place, self.stretch.stop, self.stretch.length)
        found = [constants[reads[again][operand]] for again in places]
        first = bits_of(found[0])
        same = all(number is found[0] or bits_of(number) == first for number in found)
        return first if same else Table(tuple(found))

    def program(self) -> Program:
        """The body: what it reads, its constants, and then its entries."""
        whole, inputs = self.line.program, len(self.sources)
        start = inputs + len(self.constants)
        new: dict[object, int] = {
            x: slot for slot, x in enumerate([*self.sources, *self.constants])
        }
        reads = [
            tuple([start + x if isinstance(x, int) else new[x] for x in found])
            for found in self.reads
        ]
        entries = [slot for slot in self.slots if slot < len(whole)]
        places = {slot: start + place for place, slot in enumerate(entries)}
        skipped = [slot in whole.skip_where for slot in entries]
        skips = _picked(whole.skip_where, places)
        return Program(
            rows=[
                *[ops.input] * inputs,
                *[ops.constant] * len(self.constants),
                *[whole.rows[slot] for slot in entries],
            ],
            operands=[
                *[()] * start,
                *[found[: len(found) - skip] for found, skip in zip(reads, skipped, strict=False)],
            ],
            constants={new[x]: struct.unpack("d", x)[0] for x in self.constants},
            statics=_picked(whole.statics, places),
            expected=_picked(whole.expected, places),
            skip_where={slot: reads[slot - start][-1] for slot in skips},
            guards=(),
            inputs=inputs,
            outputs=tuple([slot for (slot,) in reads[len(entries) :]]),
            near=whole.near,
        )


def _picked(column: Mapping[int, V], new: Mapping[int, int]) -> dict[int, V]:
    """The values that a column has for these slots, by their new numbers."""
    return {new[slot]: column[slot] for slot in new if slot in column} if column else {}
