"""Writes a program as functions of statements, for languages with variables and expressions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import ClassVar, Final

from tapegrad.compile.partition import ProgramPart, SlotsRead, partition, slots_read
from tapegrad.compile.program import Program

__all__ = ["OPERATORS", "FunctionWriter"]

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

    It becomes one function or several; ``b`` is an array of the values that pass from one to a
    later one. A language says how it writes an ``input``, the ``declaration`` of a variable, and
    the statement that puts a variable into ``b`` (``store``).
    """

    input: ClassVar[str]
    declaration: ClassVar[str]
    store: ClassVar[str]
    program: Program
    name: str
    parts: Sequence[ProgramPart]
    places: int

    def __init__(self, program: Program, name: str, reads: SlotsRead = slots_read) -> None:
        self.program, self.name = program, name
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
        lines += [self.store.format(place, slot) for slot, place in part.writes.items()]
        return indent("\n".join([*lines, *end]), "    ")

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
