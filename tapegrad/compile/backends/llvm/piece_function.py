"""LLVM's text of a program in pieces: a loop's body stands there once, however often it runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

from tapegrad.compile.backends.llvm.function import Function, ModulePlan
from tapegrad.compile.loops import Piece, Table
from tapegrad.compile.piece_buffer import Carried, Input, Place, PlacedPiece

__all__ = ["PieceFunction"]

_TURN: Final = {"call": 1, "rows": 100, "sums": 100}
"""Entries in one turn of a loop, which runs a shorter body several times: for rows that is quicker,
for one call it is not."""


@final
class PieceFunction(Function):
    """Writes the function of one piece.

    ``iteration`` is the number of the iteration that is being written; ``unchanged`` has the names
    of the inputs of the body that are the same in all, ``places`` where its slots are stored in
    each iteration, and ``latest`` where those of the latest one are.
    """

    exact: Collection[int]
    numbers: dict[int, str]
    truths: dict[int, str]
    alive: str
    placed: PlacedPiece
    piece: Piece

    def __init__(self, plan: ModulePlan, placed: PlacedPiece, index: int) -> None:
        super().__init__(plan, placed.piece.body, index)
        # Which iterations guards depend on is not asked: where there are guards, on any.
        self.exact = range(len(self.program)) if plan.exact else ()
        self.placed, self.piece = placed, placed.piece
        self.iteration: str | int = 0
        self.unchanged: dict[int, str] = {}
        self.places: dict[int, list[Place]] = {}
        self.latest: list[tuple[int, int]] = []
        for stored in placed.stored:
            slot = self.piece.start + stored.entry
            if stored.place.step:
                self.places.setdefault(slot, []).append(stored.place)
            else:
                self.latest.append((slot, stored.place.first))

    def write(self) -> None:
        """Writes the copies, the loop, and the iterations that are left."""
        placed, count = self.placed, self.piece.count
        for to, origin in placed.copies:
            self.store(self.load("%S", origin), self.place("%S", to))
        for slot, source in placed.sources.items():
            if isinstance(source, Input | Place) and source.step == 0:
                self.unchanged[slot] = self.read(slot)
        carried = {what: self.load("%S", place) for what, place in placed.starts.items()}
        times = max(_TURN[self.mode.name] // max(self.piece.length, 1), 1)
        turns = count // times
        if turns > 1:
            carried = self.loop(carried, times, turns)
        for iteration in range(times * turns if turns > 1 else 0, count):
            carried = self.body(iteration, carried)
        for slot, place in self.latest:
            self.store(self.number(slot), self.place("%S", place))

    def loop(self, carried: dict[Carried, str], times: int, turns: int) -> dict[Carried, str]:
        """Writes the loop, which runs the body so many times in each of its turns."""
        before, kind = self.block, self.mode.type
        self.line("br label %loop")
        self.begin("loop")
        head, first, self.alive = len(self.lines), "%turn", ""
        names = {what: f"%carried{what.entry}.{what.back}" for what in carried}
        latest = names
        for time in range(times):
            latest = self.body(self.new(f"add i64 {first}, {time}") if time else first, latest)
        self.line(f"%next = add i64 {first}, {times}")
        self.line(f"%more = icmp slt i64 %next, {times * turns}")
        self.line("br i1 %more, label %loop, label %done")
        self.lines[head:head] = [
            f"  {first} = phi i64 [ 0, %{before} ], [ %next, %{self.block} ]",
            *(
                f"  {name} = phi {kind} [ {carried[what]}, %{before} ], "
                f"[ {latest[what]}, %{self.block} ]"
                for what, name in names.items()
            ),
        ]
        self.begin("done")
        self.alive = ""
        return latest

    def body(self, iteration: str | int, carried: dict[Carried, str]) -> dict[Carried, str]:
        """Writes one iteration, and returns what it carries into the next."""
        piece = self.piece
        self.iteration, self.numbers, self.truths = iteration, dict(self.unchanged), {}
        self.numbers |= {slot: carried[what] for slot, what in self.placed.carried.items()}
        for slot in piece.entries:
            self.entry(slot)
        for index, slot in enumerate(piece.body.outputs, piece.output):
            self.write_output(self.moved(index, len(piece.body.outputs)), self.number(slot))
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
            self.store(self.number(slot), self.place("%S", self.moved(place.first, place.step)))

    def read(self, slot: int) -> str:
        """Loads an input of the body that is not carried along."""
        source = self.placed.sources[slot]
        if isinstance(source, Table):
            name = self.plan.declarations.table(source.constants)
            return self.load_same(name, self.iteration)
        if isinstance(source, Place):
            return self.load("%S", self.moved(source.first, source.step))
        shared = self.plan.shared
        if source.first < shared:
            return self.load_same("%U", self.moved(source.first, source.step))
        return self.load("%X", self.moved(source.first - shared, source.step))

    def guard_index(self, slot: int) -> str:
        """The index of a guard, as it is written."""
        index = self.piece.guard + self.program.guard_indices[slot]
        moved = str(self.moved(index, len(self.program.expected)))
        return self.new(f"trunc i64 {moved} to i32") if moved.startswith("%") else moved

    def moved(self, first: int, step: int) -> str | int:
        """A number that is ``first`` at first and ``step`` more in each iteration."""
        if isinstance(self.iteration, int):
            return first + step * self.iteration
        if step == 0:
            return first
        far = self.new(f"mul i64 {self.iteration}, {step}")
        return self.new(f"add i64 {far}, {first}")
