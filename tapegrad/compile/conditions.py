"""The entries of a program that give truth values, and those read as the numbers 1 and 0."""

from __future__ import annotations

from tapegrad.compile.program import Program

__all__ = ["numbers"]


def numbers(program: Program) -> frozenset[int]:
    """Return the conditions that are read as numbers, and not for their truth alone."""
    read = set(program.outputs)
    for slot in range(program.inputs, len(program)):
        kind, operands = program.rows[slot].kind, program.operands[slot]
        if kind not in {"connective", "guard"}:
            read.update(operands[1:] if kind == "choice" else operands)
    return frozenset(slot for slot in read if program.rows[slot].is_truth)
