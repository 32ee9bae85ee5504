"""Partition of a program into functions of a few hundred entries, for backends that write text.

Compilers take more than linear time over one long function. A value that a later function reads
passes through a buffer, whose places are used again once the last function that reads them is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, final

import attrs

from tapegrad.compile.program import Program

__all__ = ["Partition", "ProgramPart", "SlotsRead", "partition", "rematerialised", "slots_read"]

SlotsRead: TypeAlias = Callable[[Program, int], Sequence[int]]
"""Gives the slots that an entry reads."""


@final
@attrs.frozen
class ProgramPart:
    """One function: its entries, the inputs it reads, and the places of the buffer it uses.

    ``reads`` and ``writes`` map slots to places: those computed by earlier functions, and those of
    its own that later functions read.
    """

    inputs: Sequence[int]
    slots: Sequence[int]
    reads: Mapping[int, int]
    writes: Mapping[int, int]


@final
@attrs.frozen
class Partition:
    """A program's functions in order, and how many places their buffer has."""

    parts: Sequence[ProgramPart]
    places: int


def slots_read(program: Program, slot: int) -> Sequence[int]:
    """The slots that an entry reads, the condition that skips a call among them."""
    operands = program.operands[slot]
    return (*operands, program.skip_where[slot]) if slot in program.skip_where else operands


def partition(
    program: Program,
    size: int,
    *,
    reads: SlotsRead = slots_read,
    at_end: Collection[int] | None = None,
    again: Mapping[int, Collection[int]] | None = None,
) -> Partition:
    """Partitions a program into functions of ``size`` entries. Inputs and constants are no entries.

    The last function reads the slots ``at_end``, by default the outputs. Where a function needs an
    entry of another that is in ``again``, it computes it anew and reads the slots given there.
    """
    entries = [s for s in range(program.inputs, len(program)) if s not in program.constants]
    cut = [entries[start : start + size] for start in range(0, max(len(entries), 1), size)]
    needed = [{operand for slot in slots for operand in reads(program, slot)} for slots in cut]
    needed[-1].update(program.outputs if at_end is None else at_end)
    outside = [_outside(slots, need, again or {}) for slots, need in zip(cut, needed, strict=True)]
    places, count = _places(cut, outside)
    parts = [
        ProgramPart(
            inputs=[slot for slot in read if slot < program.inputs],
            slots=slots,
            reads={slot: places[slot] for slot in read if slot in places},
            writes={slot: places[slot] for slot in slots if slot in places},
        )
        for slots, read in zip(cut, outside, strict=True)
    ]
    return Partition(parts, count)


def _outside(
    slots: Sequence[int], needed: Collection[int], again: Mapping[int, Collection[int]]
) -> list[int]:
    """The slots that a function reads and does not compute, in order."""
    missing = set(needed).difference(slots)
    return sorted({base for slot in missing for base in again.get(slot, (slot,))})


def _places(
    cut: Sequence[Sequence[int]], outside: Sequence[Sequence[int]]
) -> tuple[dict[int, int], int]:
    """Gives each entry that a later function reads a place, and counts the places."""
    last = {slot: index for index, read in enumerate(outside) for slot in read}
    places: dict[int, int] = {}
    free: list[int] = []
    count = 0
    for index, slots in enumerate(cut):
        for slot in slots:
            if slot not in last:
                continue
            if free:
                places[slot] = free.pop()
            else:
                places[slot] = count
                count += 1
        free += [places[s] for s in outside[index] if s in places and last[s] == index]
    return places, count


def rematerialised(program: Program, effort: int) -> dict[int, set[int]]:
    """Finds the entries that are quicker to compute again than to keep in the buffer.

    Each is at most ``effort`` quick operations away from inputs, constants and at most
    one other entry, to which it is mapped.
    """
    found: dict[int, set[int]] = {}
    efforts: dict[int, int] = {}
    for slot in range(program.inputs, len(program)):
        if not program.rows[slot].quick:
            continue
        operands = program.operands[slot]
        bases = {base for operand in operands for base in found.get(operand, {operand})}
        bases = {base for base in bases if base >= program.inputs and base not in program.constants}
        total = 1 + sum(efforts.get(operand, 0) for operand in operands)
        if len(bases) <= 1 and total <= effort:
            found[slot], efforts[slot] = bases, total
    return found
