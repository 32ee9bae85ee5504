"""Sweeps a tape in reverse with tangents: cotangents, and how they change along one direction.

This is forward over reverse mode, on floats, in one sweep. Where an operand receives the share
``b * p`` of a cotangent b, the tangent of the share is ``b' * p + b * p'``. The partial p is made
of rows, so p' follows from their partials, and no second derivative is stated anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad.entries.columns import Columns
from tapegrad.ops.primitive import Operand, Primitive, Symbol, Traced
from tapegrad.sweep.codegen import (
    Sweep,
    SymbolicOperand,
    accumulate,
    product_source,
    reads,
    seeded,
    source_of,
)
from tapegrad.sweep.conditional_terms import ConditionalArithmetic, ConditionalTerm, product

__all__ = ["second_order"]

FloatColumn: TypeAlias = list[float | None]
"""For each slot a derivative; None where none has reached it."""


def second_order(
    columns: Columns, tangents: FloatColumn, seeds: Mapping[int, float]
) -> tuple[FloatColumn, FloatColumn]:
    """Computes the cotangents of all slots, and their tangents from those of the slots.

    For one output seeded with 1.0 the tangents of the inputs' cotangents are the Hessian times the
    direction. Works on floats only.
    """
    cotangents = seeded(len(columns), seeds)
    changes: FloatColumn = [None] * len(columns)
    _SWEEP(columns, range(max(seeds, default=-1), -1, -1), tangents, cotangents, changes)
    return cotangents, changes


@final
@attrs.frozen
class _DualNumber(Traced):
    """A number with its tangent, None where it has none; a row applied to such computes both."""

    value: float
    tangent: float | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _DualNumber:
        values, tangents = zip(*map(_value_and_tangent, operands), strict=True)
        value = cast(float, row(*values))
        if row.kind == "choice":
            return _DualNumber(value, tangents[1 if values[0] else 2])
        total: float | None = None
        for index, tangent in enumerate(tangents):
            partial = None if tangent is None else row.partial(index, value, *values)
            if tangent is not None and partial is not None:
                total = _sum(total, cast(float, partial) * tangent)
        return _DualNumber(value, total)

    def _primal(self) -> float:
        return self.value


def _value_and_tangent(operand: Operand) -> tuple[float, float | None]:
    """The two parts of a dual number; a plain number has no tangent."""
    if isinstance(operand, _DualNumber):
        return operand.value, operand.tangent
    return cast(float, operand), None


def _contribute_all(
    columns: Columns,
    slot: int,
    tangents: FloatColumn,
    cotangents: FloatColumn,
    changes: FloatColumn,
) -> None:
    """Adds the shares of all operands of one entry, and their tangents."""
    row, cotangent, change = columns.row(slot), cast(float, cotangents[slot]), changes[slot]
    operands, static = columns.operands(slot), cast("tuple[float, ...]", columns.static(slot))
    values = cast("list[float]", columns.values)
    result, *duals = (_DualNumber(values[place], tangents[place]) for place in (slot, *operands))
    for index, operand in enumerate(operands):
        partial = row.partial(index, result, *duals, *static)
        if partial is None:
            continue
        value, tangent = _value_and_tangent(partial)
        cotangents[operand] = _sum(cotangents[operand], cotangent * value)
        share = None if tangent is None else cotangent * tangent
        if change is not None:
            share = _sum(share, change * value)
        if share is not None:
            changes[operand] = _sum(changes[operand], share)


def _sum(total: float | None, share: float) -> float:
    """The sum of a total, which is None as long as nothing was added, and a share."""
    return share if total is None else total + share


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``, and the tangent of the share."""
    slopes = _slopes(operand.row, operand.index) if reads(operand.partial) else {}
    fetch = reads(operand.partial, *(text for slope in slopes.values() for text in slope))
    lines = f"i = {operand.slot}\n{fetch}q = {operand.partial}\n"
    lines += f"{accumulate('cotangents[i]', 'b * q')}s = None if e is None else e * q\n"
    for variable, (slope, condition) in slopes.items():
        present = f" and {condition}" if condition else ""
        lines += f"t = {_TANGENTS[variable]}\nif t is not None{present}:\n"
        lines += f"    u = {product_source('b', slope)} * t\n    s = u if s is None else s + u\n"
    return f"{lines}if s is not None:\n{indent(accumulate('changes[i]', 's'), '    ')}"


_TANGENTS: Final = {
    "y": "tangents[k]", "x0": "tangents[left[k]]", "x1": "tangents[right[k]]",
}  # fmt: skip

_SWEEP: Final = Sweep(
    state="tangents, cotangents, changes",
    arrive="b = cotangents[k]\nif b is None:\n    continue\ne = changes[k]\n",
    operand=_contribute,
    any_entry=_contribute_all,
)


def _slopes(row: Primitive, index: int) -> dict[str, tuple[str, str]]:
    """The slopes of a partial in the result and in each operand, each with its condition.

    Those that are 0 are left out, and a slope that is always there has an empty condition.
    """
    slopes = {}
    names = ["y", *(f"x{number}" for number in range(row.arity or 0))]
    arithmetic = ConditionalArithmetic()
    for name in names:
        operands = [
            _SymbolWithSlope(arithmetic, other, (1.0, None) if other == name else None)
            for other in [*names, *["n"] * row.has_static]
        ]
        partial = row.partial(index, *operands)
        if isinstance(partial, _SymbolWithSlope) and partial.slope is not None:
            slope, condition = partial.slope
            slopes[name] = source_of(slope), "" if condition is None else source_of(condition)
    return slopes


@final
@attrs.frozen
class _SymbolWithSlope(Traced):
    """An expression with its derivative in one variable; None stands for 0."""

    arithmetic: ConditionalArithmetic
    text: str
    slope: ConditionalTerm | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _SymbolWithSlope:
        symbols = [Symbol(x.text) if isinstance(x, _SymbolWithSlope) else x for x in operands]
        slopes = [x.slope if isinstance(x, _SymbolWithSlope) else None for x in operands]
        result = cast(Symbol, row(*symbols))
        if row.kind == "choice":
            slope = self.arithmetic.selected(symbols[0], slopes[1], slopes[2])
            return _SymbolWithSlope(self.arithmetic, result.text, slope)
        total: ConditionalTerm | None = None
        for index, term in enumerate(slopes):
            partial = None if term is None else row.partial(index, result, *symbols)
            if term is not None and partial is not None:
                total = self.arithmetic.plus(total, (product(partial, term[0]), term[1]))
        return _SymbolWithSlope(self.arithmetic, result.text, total)
