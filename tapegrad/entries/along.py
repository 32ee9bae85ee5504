"""Columns of entries along the trips of a loop: each trip is so many slots further."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, takewhile
from operator import eq
from typing import TypeVar

__all__ = ["alike_up_to", "along", "moving", "side_by_side"]

T = TypeVar("T")


def moving(first: int, step: int, count: int) -> Sequence[int]:
    """The numbers ``first``, ``first + step``, ..., ``count`` of them."""
    return range(first, first + step * count, step) if step else (first,) * count


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


def side_by_side(columns: Iterable[Iterable[T]]) -> list[T]:
    """The first elements of all columns, then the second ones, and so on."""
    return [*chain.from_iterable(zip(*columns, strict=True))]
