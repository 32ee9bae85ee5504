"""A program cut into functions of a few hundred entries, for backends that write text.

Compilers take more than linear time over one long function. What lives longer than the function
that computes it passes through a buffer, in which a place is used again once its value is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, final

import attrs

from tapegrad.program import Program

__all__ = ["Part", "needs", "numbers", "parts"]

_TRUTHS: Final = frozenset({"and_", "or_", "not_", "guard"})


@final
@attrs.frozen
class Part:
    """The entries of one function; where it finds what it reads, and leaves what others need."""

    inputs: Sequence[int]
    slots: Sequence[int]
    reads: Mapping[int, int]
    writes: Mapping[int, int]


def needs(program: Program, slot: int) -> tuple[int, ...]:
    """The slots that an entry reads, the condition of a rare call among them."""
    operands = program.operands[slot]
    return (*operands, program.rarely[slot]) if slot in program.rarely else operands


Needs: TypeAlias = Callable[[Program, int], Sequence[int]]


def parts(program: Program, size: int, needs: Needs = needs) -> tuple[list[Part], int]:
    """The functions of ``size`` entries each, and how many places the buffer has.

    The outputs are read by the last. Inputs and constants are entries of none.
    """
    inner = [slot for slot in range(program.inputs, len(program)) if slot not in program.constants]
    cut = [inner[start : start + size] for start in range(0, max(len(inner), 1), size)]
    home = {slot: index for index, slots in enumerate(cut) for slot in slots}
    reads = [{operand for slot in slots for operand in needs(program, slot)} for slots in cut]
    reads[-1].update(program.outputs)
    found, places = [], _Places(home, reads)
    for index, slots in enumerate(cut):
        inputs = sorted(slot for slot in reads[index] if slot < program.inputs)
        found.append(Part(inputs, slots, places.read(index), places.written(slots)))
    return found, places.size


@final
class _Places:
    """Gives what a later function reads a place until the last of its readers is done."""

    def __init__(self, home: Mapping[int, int], reads: Sequence[set[int]]) -> None:
        self.readers = [
            sorted(slot for slot in read if home.get(slot, index) < index)
            for index, read in enumerate(reads)
        ]
        self.last = {slot: index for index, read in enumerate(self.readers) for slot in read}
        self.places: dict[int, int] = {}
        self.free: list[int] = []
        self.size = 0

    def read(self, index: int) -> Mapping[int, int]:
        """Where a function finds what others left; places it is the last to read are free then."""
        found = {slot: self.places[slot] for slot in self.readers[index]}
        self.free += [place for slot, place in found.items() if self.last[slot] == index]
        return found

    def written(self, slots: Sequence[int]) -> Mapping[int, int]:
        """Where a function leaves what others need."""
        return {slot: self.take(slot) for slot in slots if slot in self.last}

    def take(self, slot: int) -> int:
        if self.free:
            self.places[slot] = self.free.pop()
        else:
            self.places[slot] = self.size
            self.size += 1
        return self.places[slot]


def numbers(program: Program) -> frozenset[int]:
    """The conditions that are read as the numbers 1 and 0, and not only asked for their truth."""
    read = set(program.outputs)
    for slot in range(program.inputs, len(program)):
        name, operands = program.rows[slot].name, program.operands[slot]
        if name not in _TRUTHS:
            read.update(operands[1:] if name == "where" else operands)
    return frozenset(slot for slot in read if program.rows[slot].is_truth)
