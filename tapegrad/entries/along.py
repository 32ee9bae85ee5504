"""Columns of entries along the trips of a loop: each trip is so many slots further."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise, takewhile
from operator import eq, sub
from typing import TypeVar

from tapegrad.entries.builder import Place
from tapegrad.ops.primitive import Traced
from tapegrad.pytree.value_keys import ByIdentity

__all__ = [
    "alike_along", "alike_up_to", "along", "bits_of", "further", "progress", "side_by_side",
]  # fmt: skip

T = TypeVar("T")


def further(now: int, step: int, count: int) -> Sequence[int]:
    """The numbers 1, 2, ..., ``count`` steps further than one."""
    return range(now + step, now + step * (count + 1), step) if step else (now,) * count


def progress(lists: Sequence[Sequence[int]]) -> bool:
    """Whether all numbers are further by the same distances from each list to the next."""
    if len({*map(len, lists)}) > 1:
        return False
    steps = [list(map(sub, now, before)) for before, now in pairwise(lists)]
    return all(step == steps[0] for step in steps)


def along(column: Sequence[T], first: int, step: int, count: int) -> Sequence[T]:
    """The elements of a column in such slots, as far as it goes."""
    if not 0 <= first < len(column):
        return ()
    return column[first::step][:count] if step else (column[first],) * count


def alike_up_to(found: Sequence[object], wanted: Sequence[object]) -> int:
    """How many of the first elements are equal."""
    if found == wanted:
        return len(found)
    return sum(1 for _ in takewhile(bool, map(eq, found, wanted)))


def alike_along(
    column: Sequence[Place | None],
    slot: int,
    step: int,
    count: int,
    now: Place | None,
    before: Place | None,
) -> int:
    """How many elements in these steps from a slot go on as one does after another.

    A slot is further by the same distance each time, and a number, or None, has the same bits.
    """
    found = list(along(column, slot + step, step, count))
    if isinstance(now, int):
        if not isinstance(before, int):
            return 0
        # A slot and a number that are equal are told apart by their types.
        whole = alike_up_to([*map(type, found)], [int] * len(found))
        return alike_up_to(found[:whole], [*further(now, now - before, whole)])
    if now is None:
        return alike_up_to(found, [None] * len(found))
    return alike_up_to([*map(bits_of, found)], [bits_of(now)] * len(found))


def bits_of(number: object) -> object:
    """A number by its bits, and a traced one by its identity; anything else is itself."""
    if isinstance(number, float):
        return struct.pack("d", number)
    return ByIdentity(number) if isinstance(number, Traced) else number


def side_by_side(columns: Iterable[Iterable[T]]) -> list[T]:
    """The first elements of all columns, then the second ones, and so on."""
    return [*chain.from_iterable(zip(*columns, strict=True))]
