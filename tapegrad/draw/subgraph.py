"""Parts of a tape: the entries around a name, between two names, or with the largest products.

A part is a column of flags, 1 for the entries in it. Everything is linear in the tape's length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import groupby
from math import inf, isnan

from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.inspect.ends import ends
from tapegrad.sweep.gradient import Cotangents

__all__ = ["around", "between", "indirect_arrows", "largest"]

Flags = bytearray


def around(columns: EntryColumns, starts: Sequence[int], depth: int) -> Flags:
    """The entries within ``depth`` steps of some, a step leading to an operand or to a user."""
    users = defaultdict[int, list[int]](list)
    for slot, operand in columns.reads():
        users[operand].append(slot)
    flags = _flags(columns, starts)
    frontier = list(starts)
    while frontier and depth > 0:
        depth -= 1
        near = []
        for slot in frontier:
            for other in (*columns.operands(slot), *users.get(slot, ())):
                if not flags[other]:
                    flags[other] = 1
                    near.append(other)
        frontier = near
    return flags


def between(columns: EntryColumns, starts: Iterable[int], ends: Iterable[int]) -> Flags:
    """The entries on a chain from operand to user that leads from a start to an end."""
    after, before = _flags(columns, starts), _flags(columns, ends)
    for slot, operand in columns.reads():
        if after[operand]:
            after[slot] = 1
    for slot, operand in columns.reads(backwards=True):
        if before[slot]:
            before[operand] = 1
    return Flags(map(int.__and__, after, before))


def largest(entries: Entries, cotangents: Cotangents, kept: Sequence[int], count: int) -> Flags:
    """Of the entries kept the ``count`` with the largest |cotangent x value|; nan is largest.

    Constants and guards are not ranked.
    """
    values = entries.numbers
    ranked = [row.kind not in {"constant", "guard"} for row in entries.table.rows]

    def weight(slot: int) -> float:
        bar = cotangents[slot]
        products = ends((0.0 if bar is None else bar) * values[slot])
        return max((inf if isnan(product) else abs(product) for product in products), default=0.0)

    candidates = (
        slot
        for slot, (keep, code) in enumerate(zip(kept, entries.codes, strict=True))
        if keep and ranked[code] and cotangents[slot] is not None
    )
    return _flags(entries.columns, nlargest(count, candidates, key=weight))


def _flags(columns: EntryColumns, slots: Iterable[int]) -> Flags:
    flags = Flags(len(columns))
    for slot in slots:
        flags[slot] = 1
    return flags


def indirect_arrows(columns: EntryColumns, slots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of some entries, one of which reaches the other through entries left out only.

    A pair that others already connect is not given. Sets of entries are held as the bits of an
    int, so ``slots`` should be few.
    """
    bit = {slot: 1 << index for index, slot in enumerate(slots)}
    reached = [bit.get(slot, 0) for slot in range(len(columns))]  # the kept entries met first
    above = dict.fromkeys(slots, 0)
    for slot, reads in groupby(columns.reads(), key=lambda read: read[0]):
        operands = [operand for _, operand in reads]
        met = known = 0
        for operand in operands:
            met |= reached[operand]
            if operand in bit:
                known |= bit[operand] | above[operand]
        if slot not in bit:
            reached[slot] = met
            continue
        for tail in _bits(met & ~known, slots):
            if not known & bit[tail]:
                yield tail, slot
                known |= bit[tail] | above[tail]
        above[slot] = known


def _bits(mask: int, slots: Sequence[int]) -> Iterator[int]:
    """The slots whose bits are set, highest first."""
    while mask:
        index = mask.bit_length() - 1
        yield slots[index]
        mask ^= 1 << index
