"""The tape as a tree: under each value those that it was computed from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tapegrad._support.text import number
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Node
from tapegrad.inspect.names import Names
from tapegrad.inspect.reverse_steps import expression
from tapegrad.inspect.static_text import static_text
from tapegrad.sweep.gradient import shown_cotangents

__all__ = ["tree"]

_DEEPEST: Final = 30
"""The most bars before a line; further inside, the depth is written in figures."""


def tree(entries: Entries) -> str:
    """The outputs, each with the operands that it was computed from below it.

    An entry that is read again is written again with "(above)", and without its operands.
    """
    lines = _Lines(entries.of_numbers())
    return "\n".join(line for slot in dict.fromkeys(entries.outputs) for line in lines.under(slot))


class _Lines:
    """Writes entries, and remembers which of them were written."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.names = Names(entries)
        self.values = entries.numbers
        self.cotangents = shown_cotangents(entries)
        self.seen: set[int] = set()

    def under(self, root: int) -> Iterator[str]:
        """The lines of an entry and of all that it reads, depth first and without recursion."""
        stack = [(root, "", "", 0)]
        while stack:
            slot, lead, indent, depth = stack.pop()
            operands = self._operands(slot)
            again = slot in self.seen and bool(operands)
            yield f"{lead}{self._text(slot)}{' (above)' * again}"
            self.seen.add(slot)
            if not again:
                below = [
                    (operand, *_branches(indent, depth, is_last=at == len(operands) - 1), depth + 1)
                    for at, operand in enumerate(operands)
                ]
                stack += reversed(below)

    def _operands(self, slot: int) -> list[int]:
        """The operands that have lines of their own; constants stand in the operation."""
        columns = self.entries.columns
        return [at for at in columns.operands(slot) if columns.row(at).kind != "constant"]

    def _text(self, slot: int) -> str:
        """An entry in words: its name, its operation over names, its value and its cotangent."""
        node, bar = self.entries[slot], self.cotangents[slot]
        value = number(self.values[slot])
        parts = (self.names[slot], self._operation(node), value)
        text = " = ".join(filter(None, parts))
        return text if bar is None else f"{text}   grad {number(bar)}"

    def _operation(self, node: Node) -> str:
        if not isinstance(node, Apply):
            return ""
        static = (static_text(node.primitive, x) for x in node.static)
        return expression(node.primitive, [*map(self._operand, node.operands), *static])

    def _operand(self, slot: int) -> str:
        """The name of an operand, or the value of a constant."""
        is_constant = self.entries.columns.row(slot).kind == "constant"
        return number(self.values[slot]) if is_constant else self.names[slot]


def _branches(indent: str, depth: int, *, is_last: bool) -> tuple[str, str]:
    """The bars before an operand, and those before the operands below it."""
    if depth >= _DEEPEST:
        return f"{indent}({depth + 1:,}) ", indent
    return (
        f"{indent}{'└── ' if is_last else '├── '}",
        f"{indent}{'    ' if is_last else '│   '}",
    )
