"""The plan of a module: its functions, what they share, and how values get from one to another."""

from __future__ import annotations

from typing import Final, final

import attrs

from tapegrad.compile.backends.llvm.host_calls import HostCall
from tapegrad.compile.backends.llvm.instructions import Declarations, Mode
from tapegrad.compile.partition import partition, rematerialised, slots_read
from tapegrad.compile.program import Program

__all__ = ["NO_VECTORS", "ModulePlan", "VectorMaths"]

_ENTRIES: Final = {"call": 500, "rows": 1000, "sums": 1000}
"""Entries in one function: longer ones take LLVM more time an entry, shorter ones pass more values
through the buffer."""

_EFFORT: Final = 3
"""The most quick operations by which a value is computed again instead of kept."""


@final
@attrs.frozen
class VectorMaths:
    """The functions of a vector maths library: ``prefix`` names those of ``width`` lanes."""

    prefix: str
    width: int
    names: frozenset[str]


NO_VECTORS: Final = VectorMaths("", 1, frozenset())


@final
class ModulePlan:
    """The facts that the functions of one module share.

    The entries ``exact`` keep their bits whatever the ``flags``. The slots ``at_end`` are outputs
    that the last function writes; those in ``again`` are computed again where they are needed.
    """

    def __init__(
        self, program: Program, mode: Mode, shared: int, maths: VectorMaths, *, fast: bool
    ) -> None:
        self.program, self.mode, self.shared, self.maths = program, mode, shared, maths
        self.flags = " contract" if fast else ""
        self.exact = _decisive(program) if fast else set()
        self.declarations = Declarations()
        self.calls: list[HostCall] = []
        self.at_end = _at_end(program)
        self.again = rematerialised(program, _EFFORT)
        self.partition = partition(
            program, _ENTRIES[mode.name], at_end=self.at_end, again=self.again
        )


def _at_end(program: Program) -> set[int]:
    """The outputs that are no entry of a function, or stand before the last guard."""
    last = max(program.expected, default=program.inputs - 1)
    return {slot for slot in program.outputs if slot <= last or slot in program.constants}


def _decisive(program: Program) -> set[int]:
    """The entries that guards depend on.

    They have the same bits in the code of every path, so that a row that leaves one at a guard is
    not sent back by another.
    """
    found = set(program.expected)
    for slot in range(len(program) - 1, program.inputs - 1, -1):
        if slot in found:
            found.update(slots_read(program, slot))
    return found
