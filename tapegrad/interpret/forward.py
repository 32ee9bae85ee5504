"""The forward sweep: from the tangents of some slots to those of every slot above them.

A slot that no tangent reaches has None, never a zero. On floats the sweep is one generated
function, as the reverse one is; on traced numbers the partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from textwrap import indent
from typing import TypeAlias, cast

from tapegrad.columns import Columns
from tapegrad.ops import add, mul, neg, where
from tapegrad.primitive import Operand, Primitive, Symbol, Table, primal
from tapegrad.spelling import SIDES, dispatch, executed, partials_of, reads

__all__ = ["tangents"]

Dots: TypeAlias = list[Operand | None]
Sweep: TypeAlias = Callable[[Columns, Dots, int], None]


def tangents(
    columns: Columns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> Dots:
    """The tangent of every slot, given those of the slots in ``seeds``.

    ``visit`` is called with each slot before its tangent is computed, where there is anything
    traced.
    """
    dots: Dots = [None] * len(columns)
    for slot, seed in seeds.items():
        dots[slot] = seed
    start = min(seeds, default=len(columns))
    if columns.traced or not all(isinstance(seed, float) for seed in seeds.values()):
        _Recorded(columns, dots).sweep(start, visit)
    else:
        _compiled(columns.table.base or columns.table)(columns, dots, start)
    return dots


def _entry(columns: Columns, slot: int, dots: list[float | None]) -> None:
    """The tangent of an entry of any row, on floats."""
    operands = columns.operands(slot)
    if all(dots[operand] is None for operand in operands):
        return
    values = cast("list[float]", [columns.values[slot], *columns.arguments(slot)])
    total: float | None = None
    for operand, partial in zip(operands, columns.row(slot).every_partial(*values), strict=True):
        dot = dots[operand]
        if dot is not None and partial is not None:
            product = dot * cast(float, partial)
            total = product if total is None else total + product
    if total is not None:
        dots[slot] = total


class _Recorded:
    """A forward sweep on traced numbers, which takes down the tangents as it goes."""

    def __init__(self, columns: Columns, dots: Dots) -> None:
        self.columns = columns
        self.dots = dots

    def sweep(self, start: int, visit: Callable[[int], None] | None) -> None:
        for slot in range(start, len(self.columns)):
            if visit is not None:
                visit(slot)
            if self.columns.row(slot).kind == "choice":
                self.select(slot)
            else:
                self.combine(slot)

    def combine(self, slot: int) -> None:
        """Add the products of the operands' tangents and the partials."""
        columns = self.columns
        row, arguments = columns.row(slot), columns.arguments(slot)
        for index, operand in enumerate(columns.operands(slot)):
            dot = self.dots[operand]
            if dot is None:
                continue
            partial = row.partial(index, columns.values[slot], *arguments)
            if partial is not None:
                product, total = self.product(dot, partial), self.dots[slot]
                self.dots[slot] = product if total is None else add(total, product)

    def product(self, dot: Operand, partial: Operand) -> Operand:
        """A tangent times a partial, spared where either is one."""
        for one, other in ((partial, dot), (dot, partial)):
            if isinstance(one, float) and abs(one) == 1.0:
                return other if one == 1.0 else neg(other)
        return mul(dot, partial)

    def select(self, slot: int) -> None:
        """The tangent of the arm that a ``where`` selects, in a replay too."""
        condition, *arms = self.columns.operands(slot)
        chosen, dots = self.columns.values[condition], [self.dots[arm] for arm in arms]
        if isinstance(chosen, float):
            self.dots[slot] = dots[0 if primal(chosen) else 1]
        elif any(dot is not None for dot in dots):
            first, second = (0.0 if dot is None else dot for dot in dots)
            self.dots[slot] = where(chosen, first, second)


@cache
def _compiled(table: Table) -> Sweep:
    source = _HEAD + indent(dispatch(table, _branch, _GENERIC), " " * 8)
    return cast(Sweep, executed(source, table, entry=_entry)["sweep"])


_GENERIC = "entry(columns, k, dots)\n"

_HEAD = """\
def sweep(columns, dots, start):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in range(start, len(codes)):
        code = codes[k]
"""


def _branch(row: Primitive) -> str:
    """The tangent of one row's entry."""
    if row.kind == "choice":
        return "c = pool[left[k]]\ndots[k] = dots[pool[left[k] + (1 if values[c] else 2)]]\n"
    if row.is_pooled:
        return _GENERIC
    terms = [(side, p) for side, p in zip(SIDES, partials_of(row), strict=False) if p is not None]
    if not terms:
        return "pass\n"
    lines = ""
    for number, (side, partial) in enumerate(terms):
        share = _share(partial)
        lines += f"a = dots[{side}[k]]\nif a is not None:\n"
        lines += indent(f"{reads(share)}{_ACCUMULATE[number].format(share)}", "    ")
    return lines


_ACCUMULATE = ("dots[k] = {}\n", "p = {}\nc = dots[k]\ndots[k] = p if c is None else c + p\n")


def _share(partial: Operand) -> str:
    """The tangent ``a`` times a partial."""
    if isinstance(partial, Symbol):
        return f"a * {partial.text}"
    return {1.0: "a", -1.0: "-a"}.get(cast(float, partial), f"a * {partial!r}")
