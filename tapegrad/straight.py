"""The entries of a program that give truth values, and those read as the numbers 1 and 0."""

from __future__ import annotations

from typing import Final

from tapegrad.program import Program

__all__ = ["CONDITIONS", "numbers"]

CONDITIONS: Final = frozenset(
    {"lt", "le", "gt", "ge", "eq", "ne", "and_", "or_", "not_", "isnan", "isinf", "isfinite"}
)
"""The rows that give a truth value."""

_TRUTHS: Final = frozenset({"and_", "or_", "not_", "guard"})


def numbers(program: Program) -> frozenset[int]:
    """Return the conditions that are read as numbers, and not for their truth alone."""
    read = set(program.outputs)
    for slot in range(program.inputs, len(program)):
        name, operands = program.rows[slot].name, program.operands[slot]
        if name not in _TRUTHS:
            read.update(operands[1:] if name == "where" else operands)
    return frozenset(slot for slot in read if program.rows[slot].name in CONDITIONS)
