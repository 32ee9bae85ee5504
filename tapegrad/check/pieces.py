"""The smooth piece of a program that a call ran on: its branches, and the sides of its kinks.

Two calls of one program take the same course where they have the same entries and every operation
that is smooth in pieces only is on the same piece of itself. Differences mean something between
such calls alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from tapegrad._support.text import number
from tapegrad.entries.columns import Columns
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply
from tapegrad.ops.primitive import Primitive

__all__ = ["change", "change_at", "piece_of", "watched"]


def piece_of(row: Primitive, y: float, *xs: float) -> float:
    """The piece of ``row`` that a call was on; of a row that is smooth always the same."""
    return 0.0 if row.pieces is None else row.pieces.of(y, *xs)


def watched(columns: Columns) -> tuple[int, ...]:
    """The entries that have several pieces."""
    codes = {code for code, row in enumerate(columns.table.rows) if row.pieces}
    return tuple(slot for slot, code in enumerate(columns.codes) if code in codes)


def change(
    base: Columns, other: Columns, slots: Sequence[int], outputs: Sequence[int]
) -> int | None:
    """The first entry at which another call leaves the course of this one; None if none does.

    ``slots`` are those of ``watched(base)``. A result that is not finite is off the course, too.
    """
    end = _same_entries(base, other)
    for slot in slots:
        if slot >= end:
            break
        if not _equal(_piece(base, slot), _piece(other, slot)):
            return slot
    if end < max(len(base), len(other)):
        return min(end, len(base) - 1)
    if all(_is_finite(other, slot) for slot in outputs):
        return None
    ends = (slot for slot in range(end) if _is_finite(base, slot) > _is_finite(other, slot))
    return next(ends, outputs[0])


def _same_entries(base: Columns, other: Columns) -> int:
    """How many entries apply the same rows from the start on."""
    if base.codes == other.codes:
        return len(base)
    pairs = enumerate(zip_longest(base.codes, other.codes))
    return next(slot for slot, (code, now) in pairs if code != now)


def _piece(columns: Columns, slot: int) -> float:
    return piece_of(columns.row(slot), columns.values[slot], *columns.arguments(slot))  # type: ignore[arg-type]  # plain numbers


def _equal(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _is_finite(columns: Columns, slot: int) -> bool:
    return math.isfinite(columns.values[slot])  # type: ignore[arg-type]  # plain numbers


def change_at(tape: Entries, slot: int) -> str:
    """What changes at the entry that ``change`` found, and on which line."""
    node = tape[slot]
    if not isinstance(node, Apply) or node.primitive.is_truth:
        guard = next(_guards_after(tape.columns, slot), None)
        if guard is not None:
            return f"branch at {tape.site(guard)} changes here"
        return f"condition at {tape.site(slot)} changes here"
    return f"{_how(node, tape.columns.arguments(slot))}, {node.site}"  # type: ignore[arg-type]  # plain numbers


def _guards_after(columns: Columns, slot: int) -> Iterator[int]:
    """The guards that read a condition, as it is or combined with others."""
    reached = {slot}
    for later in range(slot, len(columns)):
        row = columns.row(later)
        if later == slot or not reached.isdisjoint(columns.operands(later)):
            if row.kind == "guard":
                yield later
            elif row.is_truth:
                reached.add(later)


def _how(node: Apply, xs: tuple[float, ...]) -> str:
    name, pieces = node.primitive.name, node.primitive.pieces
    if pieces and pieces.border == "tie":
        return f"tie in {name}" if xs[0] == xs[1] else f"{name} changes sides here"
    if pieces and pieces.border == "jump":
        return f"{name} jumps at {number(xs[0])}"
    if not any(xs[: len(node.operands)]):
        return f"{name} at 0"
    if pieces:
        return f"{name} changes sides here"
    return f"{name} leaves its domain here"
