"""Sweeps a tape forward: from the tangents of some slots to those of all slots above them.

A slot that no tangent reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Final, cast

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.array_support import quiet, serving
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, times
from tapegrad.sweep.conditional_terms import DerivativeColumn, RecordedSweep, seeded

__all__ = ["RecordedForward", "tangents"]


def tangents(
    columns: EntryColumns,
    seeds: Mapping[int, Operand],
    visit: Callable[[int], None] | None = None,
    outputs: Sequence[int] = (),
) -> DerivativeColumn:
    """Computes the tangent of every slot from those of the slots in ``seeds``.

    Where anything is traced, ``visit`` is called with each slot before its tangent is computed, and
    only the tangents of ``outputs`` mean something on every replay.
    """
    column = seeded(len(columns), seeds)
    start = min(seeds, default=len(columns))
    traced = columns.traced or any(isinstance(seed, Traced) for seed in seeds.values())
    if columns.on_arrays:
        sweeps = serving("sweep.array_forward")
        with quiet(on_arrays=True):
            make = sweeps.ArrayForward if traced else sweeps.PlainArrayForward
            make(columns, column).sweep(start, visit, outputs)
    elif traced:
        RecordedForward(columns, column).sweep(start, visit, outputs)
    else:
        _SWEEP(columns, range(start, len(columns)), column)
    return column


def _combine(operand: SymbolicOperand) -> str:
    """Source that adds what an operand's tangent ``a`` gives the entry."""
    term = times("a", operand.partial)
    add = f"tangents[k] = {term}\n" if operand.is_first else accumulate("tangents[k]", term)
    return f"a = tangents[{operand.slot}]\nif a is not None:\n{indent(add, '    ')}"


def _combine_all(columns: EntryColumns, slot: int, column: DerivativeColumn) -> None:
    """Adds what the tangents of all operands give one entry, on floats."""
    total: float | None = None
    for operand, partial in columns.partials(slot, column):
        term = cast(float, column[operand]) * cast(float, partial)
        total = term if total is None else total + term
    if total is not None:
        column[slot] = total


_SWEEP: Final = Sweep(state="tangents", operand=_combine, any_entry=_combine_all)


class RecordedForward(RecordedSweep[Operand]):
    """A forward sweep on traced numbers."""

    def sweep(
        self, start: int, visit: Callable[[int], None] | None, outputs: Sequence[int]
    ) -> None:
        """Visits the entries from ``start`` on, and settles the tangents of ``outputs``."""
        for slot in range(start, len(self.columns)):
            if visit is not None:
                visit(slot)
            if self.columns.row(slot).kind == "choice":
                self.select(slot)
            else:
                self.combine(slot)
        for slot in outputs:
            self.settle(slot)

    def combine(self, slot: int) -> None:
        """Adds up the products of the operands' tangents and the partials."""
        for operand, partial in self.columns.partials(slot, self.numbers):
            term = self.product(cast(Operand, self.numbers[operand]), partial)
            self.accumulate(slot, (term, self.conditions.get(operand)))

    def select(self, slot: int) -> None:
        """Takes the tangent of the arm that a ``where`` selects, in a replay too."""
        condition, first, second = self.columns.operands(slot)
        terms = self.term(first), self.term(second)
        self.set(slot, self.selected(self.columns.values[condition], *terms))
