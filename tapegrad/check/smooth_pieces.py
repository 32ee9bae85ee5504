"""The smooth piece of a program that a call is on: its branches, and the sides of its kinks.

Two calls of one program are on the same piece where they have the same entries, and every row that
is smooth in pieces only is on the same piece of itself. Only between such calls do differences
estimate a derivative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

from tapegrad._support.text import number
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.trace import Trace

__all__ = ["describe_change", "first_change", "piece_of"]


def piece_of(row: Primitive, y: float, *xs: float) -> float:
    """A number for the smooth piece of ``row`` that a call is on; a smooth row has one only."""
    return 0.0 if row.pieces is None else row.pieces.of(y, *xs)


def first_change(base: Trace, other: Trace) -> int | None:
    """The first entry of ``base`` at which another call is on another piece; None without one.

    A call with an output that is not finite is on another piece, too.
    """
    ours, theirs = base.columns, other.columns
    pieces = {code for code, row in enumerate(ours.table.rows) if row.pieces}
    for slot, (code, now) in enumerate(zip_longest(ours.codes, theirs.codes)):
        if code != now:
            return min(slot, len(ours) - 1)
        if code in pieces and not _equal(_piece(ours, slot), _piece(theirs, slot)):
            return slot
    if all(_is_finite(theirs, slot) for slot in base.outputs):
        return None
    slots = range(len(ours))
    ends = (slot for slot in slots if _is_finite(ours, slot) > _is_finite(theirs, slot))
    return next(ends, base.outputs[0])


def _piece(columns: EntryColumns, slot: int) -> float:
    return piece_of(columns.row(slot), columns.values[slot], *columns.arguments(slot))  # type: ignore[arg-type]  # plain numbers


def _equal(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _is_finite(columns: EntryColumns, slot: int) -> bool:
    return math.isfinite(columns.values[slot])  # type: ignore[arg-type]  # plain numbers


def describe_change(tape: Entries, slot: int) -> str:
    """Says what changes at the entry that ``first_change`` found, and on which line."""
    node = tape[slot]
    if not isinstance(node, Apply) or node.primitive.is_truth:
        guard = next(_guards_after(tape.columns, slot), None)
        if guard is not None:
            return f"branch at {tape.site(guard)} changes here"
        return f"condition at {tape.site(slot)} changes here"
    return f"{_change_in(node, tape.columns.arguments(slot))}, {node.site}"  # type: ignore[arg-type]  # plain numbers


def _guards_after(columns: EntryColumns, slot: int) -> Iterator[int]:
    """The guards that read a condition, by itself or combined with others."""
    reached = {slot}
    for later in range(slot, len(columns)):
        row = columns.row(later)
        if later == slot or not reached.isdisjoint(columns.operands(later)):
            if row.kind == "guard":
                yield later
            elif row.is_truth:
                reached.add(later)


def _change_in(node: Apply, xs: tuple[float, ...]) -> str:
    """Says what changes in an operation at these operands."""
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
