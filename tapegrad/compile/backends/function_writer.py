"""Writes a program as functions of statements, for languages with variables and expressions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from textwrap import indent
from typing import ClassVar, Final

from tapegrad.compile.loops import Table, line_of
from tapegrad.compile.partition import ProgramPart, SlotsRead, partition, slots_read
from tapegrad.compile.piece_buffer import (
    Carried,
    Input,
    Place,
    PlacedPiece,
    Source,
    piece_buffer,
)
from tapegrad.compile.program import Program

__all__ = ["OPERATORS", "FunctionWriter", "indented", "moves"]

_ENTRIES: Final = 500
"""Entries in one function."""

OPERATORS: Final[Mapping[str, str]] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
}
"""The rows that are the same expression in every such language."""


class FunctionWriter(ABC):
    """Writes a program, whose slot *i* is the variable ``v<i>``.

    It becomes one function or several: ``parts`` of a straight line, or ``pieces`` where loops pay.
    ``b`` is an array of the values that pass from one to a later one. A language says how it writes
    an ``input``, an ``output``, the ``declaration`` of a variable, of one that changes
    (``variable``), an ``assignment``, and a loop (``looped``). While a piece is written, the
    ``program`` is its body, and ``t`` the number of its iteration.
    """

    input: ClassVar[str]
    output: ClassVar[str]
    declaration: ClassVar[str]
    variable: ClassVar[str]
    assignment: ClassVar[str]
    program: Program
    name: str
    parts: Sequence[ProgramPart]
    pieces: Sequence[PlacedPiece]
    places: int
    numeric: Collection[int]

    def __init__(self, program: Program, name: str, reads: SlotsRead = slots_read) -> None:
        self.program, self.name = program, name
        self.numeric = program.numeric_truths
        self.placed: PlacedPiece | None = None
        self.tables: list[Sequence[float]] = []
        self.parts, self.pieces = (), ()
        line = line_of(program, reads)
        if line.pays:
            buffer = piece_buffer(line, _ENTRIES)
            self.pieces, self.places = buffer.pieces, buffer.places
        else:
            partitioned = partition(program, _ENTRIES, reads=reads)
            self.parts, self.places = partitioned.parts, partitioned.places

    @abstractmethod
    def entry(self, slot: int) -> Iterator[str]:
        """The statements of one entry."""

    @abstractmethod
    def literal(self, number: float) -> str:
        """A number, to the bit."""

    def body(self, part: ProgramPart, end: Sequence[str]) -> str:
        """The statements of one function, indented."""
        lines = [self.declared(slot, self.input.format(slot)) for slot in part.inputs]
        lines += [self.declared(slot, f"b[{place}]") for slot, place in part.reads.items()]
        lines += [line for slot in part.slots for line in self.entry(slot)]
        lines += [self.stored(place, slot) for slot, place in part.writes.items()]
        return indented([*lines, *end])

    def piece_body(self, placed: PlacedPiece, end: Sequence[str]) -> str:
        """The statements of the function of a piece, indented."""
        piece = placed.piece
        self.placed, self.program = placed, piece.body
        leaves = {piece.start + stored.entry for stored in placed.stored}
        leaves |= {piece.start + what.entry for what in placed.starts}
        truths = {slot for slot in leaves if piece.body.rows[slot].is_truth}
        self.numeric = piece.body.numeric_truths | truths
        lines = [self.assigned(f"b[{to}]", f"b[{origin}]") for to, origin in placed.copies]
        lines += [
            self.declared(slot, self.source(source))
            for slot, source in placed.sources.items()
            if not moves(source)
        ]
        lines += [
            self.variable.format(carried_name(what), f"b[{place}]")
            for what, place in placed.starts.items()
        ]
        lines += self.looped(placed) if piece.count > 1 else self.iteration(placed)
        return indented([*lines, *end])

    def iteration(self, placed: PlacedPiece) -> Iterator[str]:
        """The statements of one iteration, once what it reads is there."""
        piece = placed.piece
        for slot, what in placed.carried.items():
            yield self.declared(slot, carried_name(what))
        for slot in piece.entries:
            yield from self.entry(slot)
        for stored in placed.stored:
            yield self.stored(self.stored_at(stored.place), piece.start + stored.entry)
        outputs = piece.body.outputs
        for index, slot in enumerate(outputs, piece.output):
            place = self.output.format(self.moved(index, len(outputs)))
            yield self.assigned(place, self.operand(slot))
        for what in sorted(placed.starts, key=lambda what: -what.back):
            latest = f"v{piece.start + what.entry}"
            before = latest if what.back == 1 else carried_name(what, -1)
            yield self.assigned(carried_name(what), before)

    @abstractmethod
    def looped(self, placed: PlacedPiece) -> Iterator[str]:
        """The statements of a loop, whose iterations are as ``iteration`` gives them."""

    def source(self, source: Source) -> str:
        """An input of a body, in an expression."""
        if isinstance(source, Table):
            self.tables.append(source.constants)
            return f"k{len(self.tables) - 1}[t]"
        place = self.moved(source.first, source.step)
        return self.input.format(place) if isinstance(source, Input) else f"b[{place}]"

    def stored_at(self, place: Place) -> str:
        """The place at which an iteration stores a value."""
        return self.moved(place.first, place.step)

    def stored(self, place: object, slot: int) -> str:
        """The statement that puts the variable of a slot into the buffer."""
        return self.assigned(f"b[{place}]", f"v{slot}")

    def assigned(self, place: str, value: str) -> str:
        """The statement that gives a place this value."""
        return self.assignment.format(place, value)

    def guard_index(self, slot: int) -> str:
        """The index of a guard, in an expression."""
        index = self.program.guard_indices[slot]
        if self.placed is None:
            return str(index)
        return self.moved(self.placed.piece.guard + index, len(self.program.expected))

    def moved(self, first: int, step: int) -> str:
        """An expression that is ``first`` at first and ``step`` more in each iteration."""
        is_loop = self.placed is not None and self.placed.piece.count > 1
        if not is_loop or not step:
            return str(first)
        return f"{first} {'-' if step < 0 else '+'} {f'{abs(step)} * ' if abs(step) > 1 else ''}t"

    def declared(self, slot: int, value: str) -> str:
        """The statement that gives the variable of a slot this value."""
        return self.declaration.format(slot, value)

    def operand(self, slot: int) -> str:
        """A slot's value in an expression."""
        constants = self.program.constants
        return self.literal(constants[slot]) if slot in constants else f"v{slot}"

    def operands(self, slot: int) -> list[str]:
        """The operands of an entry, in expressions."""
        return [self.operand(operand) for operand in self.program.operands[slot]]


def indented(lines: Iterable[str]) -> str:
    """Statements in a function or in a loop."""
    return indent("\n".join(lines), "    ")


def moves(source: Source) -> bool:
    """Whether a source is another one in each iteration."""
    return isinstance(source, Table) or source.step != 0


def carried_name(what: Carried, later: int = 0) -> str:
    """The variable of what is carried, or of the same so many iterations later."""
    return f"c{what.entry}_{what.back + later}"
