"""A program cut into functions of a few hundred entries, for backends that write text.

Compilers take more than linear time over one long function. What lives longer than the function
that computes it passes through a buffer, in which a place is used again once its value is dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import attrs

from tapegrad.program import Program

__all__ = ["CONDITIONS", "Part", "needs", "numbers", "parts"]

CONDITIONS: Final = frozenset(
    {"lt", "le", "gt", "ge", "eq", "ne", "and_", "or_", "not_", "isnan", "isinf", "isfinite"}
)
"""The rows that give a truth value."""

_TRUTHS: Final = frozenset({"and_", "or_", "not_", "guard"})


@final
@attrs.frozen
class Part:
    """The entries of one function; where it finds what it reads, and leaves what others need."""

    slots: Sequence[int]
    reads: Mapping[int, int]
    writes: Mapping[int, int]


def parts(program: Program, size: int) -> tuple[list[Part], int]:
    """The functions of ``size`` entries each, and how many places the buffer has.

    The outputs are read by the last. Inputs and constants are entries of none.
    """
    inner = [slot for slot in range(program.inputs, len(program)) if slot not in program.constants]
    cut = [inner[start : start + size] for start in range(0, max(len(inner), 1), size)]
    home = {slot: index for index, slots in enumerate(cut) for slot in slots}
    readers: list[set[int]] = [set() for _ in cut]
    for slot, index in home.items():
        for operand in needs(program, slot):
            if home.get(operand, index) < index:
                readers[index].add(operand)
    readers[-1] |= {slot for slot in program.outputs if home.get(slot, len(cut) - 1) < len(cut) - 1}
    return _placed(cut, readers)


def needs(program: Program, slot: int) -> tuple[int, ...]:
    """The slots that an entry reads, the condition of a rare call among them."""
    operands = program.operands[slot]
    return (*operands, program.rarely[slot]) if slot in program.rarely else operands


def _placed(cut: Sequence[Sequence[int]], readers: Sequence[set[int]]) -> tuple[list[Part], int]:
    """Give what is read by a later function a place until the last of its readers."""
    last = {slot: index for index, read in enumerate(readers) for slot in read}
    places: dict[int, int] = {}
    free: list[int] = []
    found = []
    size = 0
    for index, slots in enumerate(cut):
        reads = {slot: places[slot] for slot in sorted(readers[index])}
        free += [place for slot, place in reads.items() if last[slot] == index]
        for slot in slots:
            if slot in last:
                places[slot] = free.pop() if free else size
                size = max(size, places[slot] + 1)
        found.append(Part(slots, reads, {slot: places[slot] for slot in slots if slot in last}))
    return found, size


def numbers(program: Program) -> frozenset[int]:
    """The conditions that are read as the numbers 1 and 0, and not only asked for their truth."""
    read = set(program.outputs)
    for slot in range(program.inputs, len(program)):
        name, operands = program.rows[slot].name, program.operands[slot]
        if name not in _TRUTHS:
            read.update(operands[1:] if name == "where" else operands)
    return frozenset(slot for slot in read if program.rows[slot].name in CONDITIONS)
