"""A part of a tape: what stands around a name, between two names, or weighs most.

A part is a column of flags, 1 for the entries in it. Everything is linear in the tape's length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest

from tapegrad.entries.columns import Columns
from tapegrad.entries.operand_columns import OperandColumns, flags_of_codes, operand_columns
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import primal

__all__ = ["around", "between", "largest", "passages"]

Flags = bytearray


def around(columns: Columns, starts: Iterable[int], depth: int) -> Flags:
    """The entries within ``depth`` steps of some, a step leading to an operand or to a user."""
    joined = operand_columns(columns)
    users = _Users(joined)
    flags = Flags(len(columns))
    frontier = list(starts)
    for slot in frontier:
        flags[slot] = 1
    while frontier and depth > 0:
        depth -= 1
        near = []
        for slot in frontier:
            for other in (*joined.operands(slot), *users.of(slot)):
                if not flags[other]:
                    flags[other] = 1
                    near.append(other)
        frontier = near
    return flags


class _Users:
    """For each entry those that read it: chains of links, the last one first."""

    def __init__(self, joined: OperandColumns) -> None:
        self.first = [-1] * (len(joined.left) + 1)  # the last is for what reads nothing
        self.link: list[int] = []
        self.user: list[int] = []
        for slot, operands in enumerate(zip(joined.left, joined.right, strict=True)):
            self._add(slot, joined.pools.get(slot, operands))

    def _add(self, slot: int, operands: Iterable[int]) -> None:
        for operand in operands:
            self.link.append(self.first[operand])
            self.user.append(slot)
            self.first[operand] = len(self.user) - 1

    def of(self, slot: int) -> Iterator[int]:
        """The entries that read one."""
        index = self.first[slot]
        while index >= 0:
            yield self.user[index]
            index = self.link[index]


def between(columns: Columns, starts: Iterable[int], ends: Iterable[int]) -> Flags:
    """The entries on a path of operands and users from one of ``starts`` to one of ``ends``."""
    joined = operand_columns(columns)
    after, before = Flags(len(columns) + 1), Flags(len(columns) + 1)
    for flags, slots in ((after, starts), (before, ends)):
        for slot in slots:
            flags[slot] = 1
    for slot, (left, right) in enumerate(zip(joined.left, joined.right, strict=True)):
        read = joined.pools.get(slot, ())
        if after[left] or after[right] or any(after[operand] for operand in read):
            after[slot] = 1
    for slot in range(len(columns) - 1, -1, -1):
        if before[slot]:
            for operand in joined.operands(slot):
                before[operand] = 1
    return Flags(a and b for a, b in zip(after[:-1], before, strict=False))


def largest(
    columns: Columns, cotangents: Sequence[float | None], kept: Sequence[int], count: int
) -> Flags:
    """Of the entries kept the ``count`` with the largest |cotangent x value|; nan is largest."""
    rows = columns.table.codes
    unranked = flags_of_codes(columns.codes, (rows[ops.constant], rows[ops.guard]))

    def weight(slot: int) -> float:
        product = (cotangents[slot] or 0.0) * primal(columns.values[slot])
        return float("inf") if product != product else abs(product)

    candidates = (
        slot
        for slot, (keep, skip) in enumerate(zip(kept, unranked, strict=True))
        if keep and not skip and cotangents[slot] is not None
    )
    flags = Flags(len(columns))
    for slot in nlargest(count, candidates, key=weight):
        flags[slot] = 1
    return flags


def passages(columns: Columns, slots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of some entries, one of which reaches the other through entries left out only.

    A pair that others already connect is not given. Sets of entries are held as the bits of an
    int, so ``slots`` should be few.
    """
    joined = operand_columns(columns)
    bit = {slot: 1 << index for index, slot in enumerate(slots)}
    reached = [0] * (len(columns) + 1)  # the kept entries met first on the way up
    above: dict[int, int] = {}
    for slot in range(len(columns)):
        operands = joined.operands(slot)
        met = 0
        for operand in operands:
            met |= reached[operand]
        if slot in bit:
            direct = [operand for operand in operands if operand in bit]
            known = 0
            for operand in direct:
                known |= bit[operand] | above[operand]
            for tail in _bits(met & ~known, slots):
                if not known & bit[tail]:
                    yield tail, slot
                    known |= bit[tail] | above[tail]
            above[slot], met = known, bit[slot]
        reached[slot] = met


def _bits(mask: int, slots: Sequence[int]) -> Iterator[int]:
    """The slots whose bits are set, highest first."""
    while mask:
        index = mask.bit_length() - 1
        yield slots[index]
        mask ^= 1 << index
