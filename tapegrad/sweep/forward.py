"""Sweeps a tape forward: from the tangents of some slots to those of all slots above them.

A slot that no tangent reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Final, TypeAlias, cast

from tapegrad.entries.columns import Columns
from tapegrad.ops.primitive import Operand
from tapegrad.ops.table import mul, neg
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, product, reads, seeded
from tapegrad.sweep.conditional import ConditionalColumn

__all__ = ["tangents"]

Dots: TypeAlias = list[Operand | None]


def tangents(
    columns: Columns,
    seeds: Mapping[int, Operand],
    visit: Callable[[int], None] | None = None,
    outputs: Sequence[int] = (),
) -> Dots:
    """Computes the tangent of every slot from those of the slots in ``seeds``.

    Where anything is traced, ``visit`` is called with each slot before its tangent is computed, and
    only the tangents of ``outputs`` mean something on every replay.
    """
    dots = seeded(len(columns), seeds)
    start = min(seeds, default=len(columns))
    if columns.traced or not all(isinstance(seed, float) for seed in seeds.values()):
        _Recorded(columns, dots).sweep(start, visit, outputs)
    else:
        _SWEEP(columns, range(start, len(columns)), dots)
    return dots


def _combine(operand: SymbolicOperand) -> str:
    """Source that adds what an operand's tangent ``a`` gives the entry."""
    term = product("a", operand.partial)
    add = f"dots[k] = {term}\n" if operand.is_first else accumulate("dots[k]", term)
    return f"a = dots[{operand.slot}]\nif a is not None:\n{indent(reads(term) + add, '    ')}"


def _combine_all(columns: Columns, slot: int, dots: Dots) -> None:
    """Add what the tangents of all operands give one entry, on floats."""
    total: float | None = None
    for operand, partial in columns.partials(slot, dots):
        term = cast(float, dots[operand]) * cast(float, partial)
        total = term if total is None else total + term
    if total is not None:
        dots[slot] = total


_SWEEP: Final = Sweep(state="dots", operand=_combine, any_entry=_combine_all)


class _Recorded(ConditionalColumn):
    """A forward sweep on traced numbers, which records the tangents as it goes."""

    def sweep(
        self, start: int, visit: Callable[[int], None] | None, outputs: Sequence[int]
    ) -> None:
        """Visits the entries from ``start`` on, and hands the tangents of ``outputs`` out."""
        for slot in range(start, len(self.columns)):
            if visit is not None:
                visit(slot)
            if self.columns.row(slot).kind == "choice":
                self.select(slot)
            else:
                self.combine(slot)
        for slot in outputs:
            self.hand_out(slot)

    def combine(self, slot: int) -> None:
        """Adds up the products of the operands' tangents and the partials."""
        for operand, partial in self.columns.partials(slot, self.numbers):
            term = self.product(cast(Operand, self.numbers[operand]), partial)
            self.accumulate(slot, (term, self.conditions.get(operand)))

    def product(self, dot: Operand, partial: Operand) -> Operand:
        """Multiplies a tangent by a partial, without a factor that is 1 or -1."""
        for one, other in ((partial, dot), (dot, partial)):
            if isinstance(one, float) and abs(one) == 1.0:
                return other if one == 1.0 else neg(other)
        return mul(dot, partial)

    def select(self, slot: int) -> None:
        """Takes the tangent of the arm that a ``where`` selects, in a replay too."""
        condition, *arms = self.columns.operands(slot)
        chosen, terms = self.columns.values[condition], [self.term(arm) for arm in arms]
        if isinstance(chosen, float):
            self.set(slot, terms[0 if chosen else 1])
        else:
            self.set(slot, self.chosen(chosen, *terms))
