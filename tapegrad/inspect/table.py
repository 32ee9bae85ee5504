"""The tape as text: a Wengert table, one line an entry."""

from __future__ import annotations

from collections.abc import Iterator

from tapegrad._support.text import Table, aligned, number, visible
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.inspect.names import Names, shortened
from tapegrad.inspect.static_text import static_text
from tapegrad.sweep.gradient import Cotangents, shown_cotangents

__all__ = ["notebook_table", "table"]

_HEAD, _TAIL = 40, 20
_OPERANDS = 8
_TITLES = ("slot", "operation", "operands", "value", "cotangent", "label", "scope", "line")


def table(entries: Entries) -> str:
    """Slot, operation, operands, value, cotangent, label, scope and line of each entry.

    A long tape is shown without its middle, with the number of entries left out; a column with
    nothing in it is left out, too. Below stand the tables of one step of each loop.
    """
    rows, left_out = _table_rows(entries)
    lines = aligned(rows)
    more = [f"... {left_out:,} more"] if left_out else []
    steps = (
        f"\none of the {loop.count:,} steps of %{slot}\n{table(loop.tape)}"
        for slot, loop in entries.loops.items()
    )
    return "\n".join((*lines[: _HEAD + 1], *more, *lines[_HEAD + 1 :], *steps))


def notebook_table(entries: Entries) -> Table:
    """The same for a notebook."""
    rows, left_out = _table_rows(entries)
    more = [("...", f"{left_out:,} more", *[""] * (len(_TITLES) - 2))] if left_out else []
    return Table((*rows[: _HEAD + 1], *more, *rows[_HEAD + 1 :]))


def _table_rows(entries: Entries) -> tuple[list[tuple[str, ...]], int]:
    """Titles and rows, those in the middle of a long tape left out, and how many these are."""
    numbers, bars, count = entries.of_numbers(), shown_cotangents(entries), len(entries)
    left_out = max(count - _HEAD - _TAIL, 0)
    parts = [range(_HEAD), range(count - _TAIL, count)] if left_out else [range(count)]
    rows = (row for part in parts for row in _rows(numbers, bars, part))
    return [_TITLES, *rows], left_out


def _rows(entries: Entries, cotangents: Cotangents, slots: range) -> Iterator[tuple[str, ...]]:
    names = Names(entries)
    for slot, node in zip(slots, entries[slots.start : slots.stop], strict=True):
        bar = cotangents[slot]
        name = " ".join(filter(None, (names.given(slot), names.output(slot))))
        scope = "/".join(map(visible, entries.scope(slot)))
        site = entries.site(slot)
        cotangent = "" if bar is None else number(bar)
        yield f"%{slot}", *_operation(node), cotangent, name, scope, str(site or "")


def _operation(node: Node) -> tuple[str, str, str]:
    """The operation, its operands and its value."""
    match node:
        case Apply():
            slots = shortened(node.operands, "%{}".format, _OPERANDS)
            statics = (static_text(node.primitive, static) for static in node.static)
            operands = " ".join((*slots, *statics))
            return node.primitive.name.rstrip("_"), operands, number(node.value)
        case Guard():
            return "guard", f"%{node.operand}", str(node.outcome)
        case Input():
            return "input", "", number(node.value)
        case Constant():
            return "constant", "", number(node.value)
