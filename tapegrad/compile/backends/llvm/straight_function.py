"""LLVM's text of a program in a straight line: functions of a few hundred entries each.

A value that one of them needs of another passes through a buffer, or is computed again.
"""

from __future__ import annotations

from typing import Final, final

from tapegrad.compile.backends.llvm.function import Function, ModulePlan
from tapegrad.compile.partition import Partition, ProgramPart, partition, rematerialised
from tapegrad.compile.program import Program

__all__ = ["RareFunction", "StraightFunction", "StraightParts"]

_ENTRIES: Final = {"call": 500, "rows": 1000, "sums": 1000}
"""Entries in one function: longer ones take LLVM more time an entry, shorter ones pass more values
through the buffer."""

_EFFORT: Final = 3
"""The most quick operations by which a value is computed again instead of kept."""


@final
class StraightParts:
    """The functions of a program, and what they share.

    The slots ``at_end`` are outputs that the last function writes; those in ``again`` are computed
    again where they are needed.
    """

    at_end: set[int]
    again: dict[int, set[int]]
    partition: Partition

    def __init__(self, plan: ModulePlan, *, in_one: bool = False) -> None:
        program = plan.program
        self.at_end = _at_end(program)
        self.again = rematerialised(program, _EFFORT)
        size = len(program) if in_one else _ENTRIES[plan.mode.name]
        self.partition = partition(program, size, at_end=self.at_end, again=self.again)


def _at_end(program: Program) -> set[int]:
    """The outputs that are no entry of a function, or stand before the last guard."""
    last = max(program.expected, default=program.inputs - 1)
    return {slot for slot in program.outputs if slot <= last or slot in program.constants}


class StraightFunction(Function):
    """Writes one function: some entries, one after the other."""

    def __init__(self, plan: ModulePlan, parts: StraightParts, index: int) -> None:
        super().__init__(plan, plan.program)
        self.parts = parts
        self.part: ProgramPart = parts.partition.parts[index]

    def write(self) -> None:
        """Writes the entries, one after the other."""
        for slot in self.part.slots:
            self.entry(slot)
        if self.part is self.parts.partition.parts[-1]:
            for slot in sorted(self.parts.at_end):
                self.write_outputs(slot)

    def read(self, slot: int) -> str:
        """Loads an input or a place of the buffer, or computes an entry again."""
        shared = self.plan.shared
        if slot < shared:
            return self.load_same("%U", slot)
        if slot < self.program.inputs:
            return self.load("%X", slot - shared)
        if slot in self.parts.again:
            return self.number(slot) if self.condition(slot) else self.value(slot)
        return self.load("%S", self.part.reads[slot])

    def truth(self, slot: int) -> str:
        """The name of a slot's value as a condition."""
        if slot not in self.truths and slot in self.parts.again:
            self.condition(slot)
        return super().truth(slot)

    def guard_index(self, slot: int) -> str:
        """The index of a guard, as it is written."""
        return str(self.program.guard_indices[slot])

    def entry(self, slot: int) -> None:
        """Writes one entry, and stores its value for later functions and as an output."""
        if slot in self.program.guard_indices:
            self.guard(slot)
            return
        if not self.condition(slot):
            self.numbers[slot] = self.value(slot)
        if slot in self.part.writes:
            self.store(self.number(slot), self.place("%S", self.part.writes[slot]))
        if slot in self.program.output_indices and slot not in self.parts.at_end:
            self.write_outputs(slot)

    def write_outputs(self, slot: int) -> None:
        """Writes a slot out as each of the outputs that it is."""
        value = self.number(slot)
        for index in self.program.output_indices[slot]:
            self.write_output(index, value)


@final
class RareFunction(StraightFunction):
    """Writes a program of numbers alone as a function of an array of its inputs."""

    def __init__(self, plan: ModulePlan) -> None:
        super().__init__(plan, StraightParts(plan, in_one=True), 0)

    def text(self) -> str:
        """The text of the function."""
        for slot in self.part.slots:
            if not self.condition(slot):
                self.numbers[slot] = self.value(slot)
        (output,) = self.program.outputs
        self.store(self.number(output), "%answer")
        head = "define void @rare(ptr %X, ptr %answer) nounwind {"
        return "\n".join([head, "entry:", *self.lines, "  ret void", "}"])
