"""The tape as text: a Wengert table, one line an entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tapegrad._support.text import aligned, number, visible
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.ops.primitive import Operand, primal

__all__ = ["table"]

_HEAD, _TAIL = 40, 20
_OPERANDS = 8
_TITLES = ("slot", "operation", "operands", "value", "cotangent", "label", "scope", "line")


def table(tape: Entries, cotangents: Sequence[Operand | None]) -> str:
    """Slot, operation, operands, value, cotangent, label, scope and line of each entry.

    The middle of a long tape is left out, and said to be; a column with nothing in it is, too.
    """
    elided = len(tape) > _HEAD + _TAIL
    slots = range(_HEAD) if elided else range(len(tape))
    rows = [_TITLES, *_rows(tape, cotangents, slots)]
    if elided:
        rows += _rows(tape, cotangents, range(len(tape) - _TAIL, len(tape)))
    lines = aligned(rows)
    if elided:
        lines.insert(_HEAD + 1, f"... {len(tape) - _HEAD - _TAIL:,} more")
    return "\n".join(lines)


def _rows(
    tape: Entries, cotangents: Sequence[Operand | None], slots: range
) -> Iterator[tuple[str, ...]]:
    outputs = frozenset(slot for slot in tape.outputs if slot in slots)
    for slot, node in zip(slots, tape[slots.start : slots.stop], strict=True):
        cotangent = "" if isinstance(node, Constant) else shown(cotangents[slot])
        name = " ".join(filter(None, (_name(node), "(output)" * (slot in outputs))))
        scope = "/".join(map(visible, tape.scope(slot)))
        yield f"%{slot}", *_operation(node), cotangent, name, scope, str(tape.site(slot) or "")


def _operation(node: Node) -> tuple[str, str, str]:
    """The operation, its operands and its value."""
    match node:
        case Apply():
            return node.primitive.name.rstrip("_"), _operands(node), shown(node.value)
        case Guard():
            return "guard", f"%{node.operand}", str(node.outcome)
        case Input():
            return "input", "", shown(node.value)
        case Constant():
            return "constant", "", shown(node.value)


def _operands(node: Apply) -> str:
    """The slots that an entry reads, the first of very many, and its static operand."""
    slots = [f"%{operand}" for operand in node.operands[:_OPERANDS]]
    if len(node.operands) > _OPERANDS:
        slots.append(f"... {len(node.operands) - _OPERANDS:,} more")
    return " ".join((*slots, *map(str, node.static)))


def _name(node: Node) -> str:
    label = "" if isinstance(node, Guard) else visible(node.label or "")
    return label or (visible(node.path) if isinstance(node, Input) else "")


def shown(value: Operand | None) -> str:
    """A number, or the number that a traced one stands for."""
    return "" if value is None else number(primal(value))
