"""Sweeps a tape forward: from the tangents of some slots to those of all slots above them.

A slot that no tangent reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Final, TypeAlias, cast

from tapegrad.entries.columns import Columns
from tapegrad.ops.primitive import Operand, primal
from tapegrad.ops.table import add, mul, neg, where
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, product, reads, seeded

__all__ = ["tangents"]

Dots: TypeAlias = list[Operand | None]


def tangents(
    columns: Columns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> Dots:
    """Compute the tangent of every slot from those of the slots in ``seeds``.

    Where anything is traced, ``visit`` is called with each slot before its tangent is computed.
    """
    dots = seeded(len(columns), seeds)
    start = min(seeds, default=len(columns))
    if columns.traced or not all(isinstance(seed, float) for seed in seeds.values()):
        _Recorded(columns, dots).sweep(start, visit)
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


class _Recorded:
    """A forward sweep on traced numbers, which records the tangents as it goes."""

    def __init__(self, columns: Columns, dots: Dots) -> None:
        self.columns = columns
        self.dots = dots

    def sweep(self, start: int, visit: Callable[[int], None] | None) -> None:
        """Visit the entries from ``start`` on."""
        for slot in range(start, len(self.columns)):
            if visit is not None:
                visit(slot)
            if self.columns.row(slot).kind == "choice":
                self.select(slot)
            else:
                self.combine(slot)

    def combine(self, slot: int) -> None:
        """Add up the products of the operands' tangents and the partials."""
        dots = self.dots
        for operand, partial in self.columns.partials(slot, dots):
            term, total = self.product(cast(Operand, dots[operand]), partial), dots[slot]
            dots[slot] = term if total is None else add(total, term)

    def product(self, dot: Operand, partial: Operand) -> Operand:
        """Multiply a tangent by a partial, without a factor that is 1 or -1."""
        for one, other in ((partial, dot), (dot, partial)):
            if isinstance(one, float) and abs(one) == 1.0:
                return other if one == 1.0 else neg(other)
        return mul(dot, partial)

    def select(self, slot: int) -> None:
        """Take the tangent of the arm that a ``where`` selects, in a replay too."""
        condition, *arms = self.columns.operands(slot)
        chosen, dots = self.columns.values[condition], [self.dots[arm] for arm in arms]
        if isinstance(chosen, float):
            self.dots[slot] = dots[0 if primal(chosen) else 1]
        elif any(dot is not None for dot in dots):
            first, second = (0.0 if dot is None else dot for dot in dots)
            self.dots[slot] = where(chosen, first, second)
