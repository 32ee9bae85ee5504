"""LLVM's text of a program in pieces: a loop's body stands there once, however often it runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

from tapegrad.compile.backends.llvm.function import Function, ModulePlan
from tapegrad.compile.backends.llvm.given_numbers import FIRST_PLACE, GivenBlock
from tapegrad.compile.loops import Piece, Table
from tapegrad.compile.piece_buffer import Carried, Input, Place, PlacedPiece

__all__ = ["PieceFunction"]

_TURN: Final = {"call": 1, "rows": 100, "sums": 100}
"""Entries in one turn of a loop, which runs a shorter body several times: for rows that is quicker,
for one call it is not."""

_IN_LINE: Final = 50
"""The entries that a function in line counts for. A longer turn needs more vectors than there are
registers, since all of it is in one block."""

_NEAR: Final = 8
"""The largest number that is in the text. A larger one may depend on how often loops run, and so
the code is given it."""

_LATEST: Final = 8
"""How many pointers into an array are looked through for one that is near."""


@final
class PieceFunction(Function):
    """Writes the function of one piece.

    ``iteration`` is the number of the iteration that is being written; ``unchanged`` has the names
    of the inputs of the body that are the same in all, ``places`` where its slots are stored in
    each iteration, and ``latest`` where those of the latest one are. ``near`` are the elements of
    arrays to which there are pointers. The numbers ``to_give`` stand where ``%S`` points.
    """

    exact: Collection[int]
    numbers: dict[int, str]
    truths: dict[int, str]
    alive: str
    placed: PlacedPiece
    piece: Piece
    to_give: GivenBlock

    def __init__(self, plan: ModulePlan, placed: PlacedPiece) -> None:
        super().__init__(plan, placed.piece.body)
        # Which iterations guards depend on is not asked: where there are guards, on any.
        self.exact = range(len(self.program)) if plan.exact else ()
        self.placed, self.piece, self.to_give = placed, placed.piece, plan.given.block()
        self.near: dict[tuple[str, int], list[tuple[int, str]]] = {}
        far = self.given_integer(FIRST_PLACE)
        self.buffer: str = self.early(f"getelementptr double, ptr %S, i64 {far}")
        self.first_guard: str | int = self.start(self.piece.guard if self.program.expected else 0)
        self.first_output: str | int = self.start(self.piece.output if self.program.outputs else 0)
        self.iteration: str | int = 0
        self.unchanged: dict[int, str] = {}
        self.places: dict[int, list[Place]] = {}
        self.latest: list[tuple[int, int]] = []
        self.tables: dict[int, str] = {}
        for stored in placed.stored:
            slot = self.piece.start + stored.entry
            if stored.place.step:
                self.places.setdefault(slot, []).append(stored.place)
            else:
                self.latest.append((slot, stored.place.first))

    def write(self) -> None:
        """Writes the copies, the body or its loop, and the stores of the last iteration."""
        placed, count = self.placed, self.piece.count
        for to, origin in placed.copies:
            self.store(self.load(*self.stored(origin)), self.place(*self.stored(to)))
        for slot, source in placed.sources.items():
            if isinstance(source, Input | Place) and source.step == 0:
                self.unchanged[slot] = self.read(slot)
        carried = {what: self.load(*self.stored(x)) for what, x in placed.starts.items()}
        if count > 1:
            self.unchanged |= {slot: self.number(slot) for slot in self.program.constants}
            self.loops(carried)
        else:
            self.trip(0, carried)
        for slot, place in self.latest:
            self.store(self.number(slot), self.place(*self.stored(place)))

    def times(self) -> int:
        """How often a turn of the loop runs the body; there are at least two turns."""
        count, length = self.piece.count, self.piece.length + self.piece.again
        length += _IN_LINE * sum(map(self.is_in_line, self.piece.entries))
        times = max(_TURN[self.mode.name] // max(length, 1), 1)
        return times if count >= 2 * times else 1 << (count // 2).bit_length() - 1

    def loops(self, carried: dict[Carried, str]) -> None:
        """Writes the loop, and before it another one for what is no whole turn of it."""
        count, times, first = self.piece.count, self.times(), "0"
        if times > 1:
            rest = self.given(count % times)
            self.line(f"%some = icmp sgt i64 {rest}, 0")
            before = self.block
            self.line("br i1 %some, label %few, label %all")
            after = self.loop("few", "0", rest, carried, 1)
            few = self.block
            self.line("br label %all")
            self.begin("all")
            first, kind = rest, self.mode.type
            carried = {
                what: self.new(f"phi {kind} [ {x}, %{before} ], [ {after[what]}, %{few} ]")
                for what, x in carried.items()
            }
        self.line("br label %loop")
        self.loop("loop", first, self.given(count), carried, times)

    def loop(
        self, name: str, first: str, end: str, carried: dict[Carried, str], times: int
    ) -> dict[Carried, str]:
        """Writes a loop from one iteration to another, to which the block before it leads."""
        before, kind = self.block, self.mode.type
        self.begin(name)
        head, turn, self.alive = len(self.lines), f"%{name}.turn", ""
        names = {what: f"%{name}.carried{what.entry}.{what.back}" for what in carried}
        latest = names
        for time in range(times):
            latest = self.trip(self.new(f"add i64 {turn}, {time}") if time else turn, latest)
        self.line(f"%{name}.next = add i64 {turn}, {times}")
        self.line(f"%{name}.more = icmp slt i64 %{name}.next, {end}")
        self.line(f"br i1 %{name}.more, label %{name}, label %{name}.done")
        self.lines[head:head] = [
            f"  {turn} = phi i64 [ {first}, %{before} ], [ %{name}.next, %{self.block} ]",
            *(
                f"  {one} = phi {kind} [ {carried[what]}, %{before} ], "
                f"[ {latest[what]}, %{self.block} ]"
                for what, one in names.items()
            ),
        ]
        self.begin(f"{name}.done")
        self.alive = ""
        return latest

    def trip(self, iteration: str | int, carried: dict[Carried, str]) -> dict[Carried, str]:
        """Writes one iteration, and returns what it carries into the next."""
        piece = self.piece
        self.iteration, self.numbers, self.truths = iteration, dict(self.unchanged), {}
        self.numbers |= {slot: carried[what] for slot, what in self.placed.carried.items()}
        for slot in range(piece.start - piece.again, len(piece.body)):
            self.entry(slot)
        outputs = piece.body.outputs
        for index, slot in enumerate(outputs):
            place = self.counted(self.first_output, index, len(outputs))
            self.write_output(place, self.number(slot))
        return {
            what: self.number(piece.start + what.entry)
            if what.back == 1
            else carried[Carried(what.entry, what.back - 1)]
            for what in carried
        }

    def entry(self, slot: int) -> None:
        """Writes one entry, and stores its value for later pieces."""
        if slot in self.program.expected:
            self.guard(slot)
            return
        if not self.condition(slot):
            self.numbers[slot] = self.value(slot)
        for place in self.places.get(slot, ()):
            self.store(self.number(slot), self.place(*self.stored(place.first, place.step)))

    def read(self, slot: int) -> str:
        """Loads an input of the body that is not carried along."""
        source = self.placed.sources[slot]
        if isinstance(source, Table):
            return self.load_same(self.table(slot, source), self.iteration)
        if isinstance(source, Place):
            return self.load(*self.stored(source.first, source.step))
        shared = self.plan.shared
        if source.first < shared:
            return self.load_same(*self.element("%U", source.first, source.step))
        return self.load(*self.element("%X", source.first - shared, source.step))

    def guard_index(self, slot: int) -> str:
        """The index of a guard, as it is written."""
        index, step = self.program.guard_indices[slot], len(self.program.expected)
        found = str(self.counted(self.first_guard, index, step))
        return self.new(f"trunc i64 {found} to i32") if found.startswith("%") else found

    # What the code is given.

    def given_integer(self, index: int) -> str:
        """Loads an integer that the code is given."""
        place = self.early(f"getelementptr i64, ptr %S, i64 {index}")
        return self.early(f"load i64, ptr {place}, align 8")

    def given(self, number: int) -> str:
        """An integer that is not in the text."""
        return self.given_integer(self.to_give.integer(number))

    def known(self, constant: float) -> str:
        """A constant of the program, in the text where it has but a few digits."""
        if abs(constant) <= _NEAR and (4.0 * constant).is_integer():
            return self.constant(constant)
        return self.load_same("%S", self.to_give.constant(constant))

    def start(self, number: int) -> str | int:
        """The first one of what is counted, in the text where that is small."""
        return number if number <= _NEAR else self.given(number)

    def table(self, slot: int, table: Table) -> str:
        """A pointer to the constants that an input of the body is."""
        if slot not in self.tables:
            begin = self.given_integer(self.to_give.table(table.constants))
            self.tables[slot] = self.early(f"getelementptr double, ptr %S, i64 {begin}")
        return self.tables[slot]

    def stored(self, first: int, step: int = 0) -> tuple[str, str | int]:
        """The same as ``element`` for a place of the buffer."""
        return self.element(self.buffer, first, step)

    def element(self, array: str, first: int, step: int) -> tuple[str, str | int]:
        """A pointer into an array, and which of the elements from there on is wanted.

        That is element ``first`` of the array at first, and in each iteration ``step`` more.
        """
        pointers = self.near.setdefault((array, step), [(0, array)])
        for near, pointer in (pointers[0], *pointers[:0:-1][:_LATEST]):
            if abs(first - near) <= max(_NEAR, 2 * abs(step)):
                return pointer, self.moved(first - near, step)
        kind = "double" if array == "%U" else self.mode.type
        pointer = self.early(f"getelementptr {kind}, ptr {array}, i64 {self.given(first)}")
        pointers.append((first, pointer))
        return pointer, self.moved(0, step)

    def counted(self, start: str | int, first: int, step: int) -> str | int:
        """A number that is ``first`` after ``start`` at first, and ``step`` more in each turn."""
        if isinstance(start, int):
            return self.moved(start + first, step)
        return self.new(f"add i64 {self.moved(first, step)}, {start}")

    def moved(self, first: int, step: int) -> str | int:
        """A number that is ``first`` at first and ``step`` more in each iteration."""
        if isinstance(self.iteration, int):
            return first + step * self.iteration
        if step == 0:
            return first
        far = self.new(f"mul i64 {self.iteration}, {step}")
        return self.new(f"add i64 {far}, {first}")
