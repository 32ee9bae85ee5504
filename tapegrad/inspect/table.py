"""The tape as text: a Wengert table, one line an entry."""

from __future__ import annotations

from collections.abc import Iterator

from tapegrad._support.text import aligned, number, visible
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.inspect.names import Names, shortened
from tapegrad.inspect.static_text import static_text
from tapegrad.sweep.gradient import Cotangents, shown_cotangents

__all__ = ["table"]

_HEAD, _TAIL = 40, 20
_OPERANDS = 8
_TITLES = ("slot", "operation", "operands", "value", "cotangent", "label", "scope", "line")


def table(entries: Entries) -> str:
    """Slot, operation, operands, value, cotangent, label, scope and line of each entry.

    A long tape is shown without its middle, with the number of entries left out; a column with
    nothing in it is left out, too.
    """
    numbers, bars = entries.of_numbers(), shown_cotangents(entries)
    left_out = len(entries) - _HEAD - _TAIL
    if left_out <= 0:
        return "\n".join(aligned([_TITLES, *_rows(numbers, bars, range(len(entries)))]))
    head, tail = range(_HEAD), range(len(entries) - _TAIL, len(entries))
    lines = aligned([_TITLES, *_rows(numbers, bars, head), *_rows(numbers, bars, tail)])
    return "\n".join((*lines[: _HEAD + 1], f"... {left_out:,} more", *lines[_HEAD + 1 :]))


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
