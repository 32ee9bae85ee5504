"""Sweeps a tape in reverse with tangents: cotangents, and how they change along one direction.

This is forward over reverse mode, on floats, in one sweep. Where an operand receives the share
``b * p`` of a cotangent b, the tangent of the share is ``b' * p + b * p'``. The partial p is made
of rows, so p' follows from their partials, and no second derivative is stated anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad.entries.columns import Columns
from tapegrad.ops.primitive import Operand, Primitive, Symbol, Traced
from tapegrad.sweep.codegen import (
    Sweep,
    SymbolicOperand,
    accumulate,
    product,
    reads,
    seeded,
    source_of,
)

__all__ = ["second_order"]

Floats: TypeAlias = list[float | None]


def second_order(
    columns: Columns, dots: Floats, seeds: Mapping[int, float]
) -> tuple[Floats, Floats]:
    """Compute the cotangents of all slots and their tangents from the slots' tangents ``dots``.

    For one output seeded with 1.0 the tangents of the inputs' cotangents are the Hessian times the
    direction. Works on floats only.
    """
    bars, bar_dots = seeded(len(columns), seeds), seeded(len(columns), dict[int, float]())
    _SWEEP(columns, range(max(seeds, default=-1), -1, -1), dots, bars, bar_dots)
    return bars, bar_dots


@final
@attrs.frozen
class _Dual(Traced):
    """A number with its tangent, None where it has none; a row applied to such computes both."""

    value: float
    dot: float | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Dual:
        values = [x.value if isinstance(x, _Dual) else cast(float, x) for x in operands]
        dots = [x.dot if isinstance(x, _Dual) else None for x in operands]
        value = cast(float, row(*values))
        if row.kind == "choice":
            return _Dual(value, dots[1 if values[0] else 2])
        total: float | None = None
        for index, dot in enumerate(dots):
            partial = None if dot is None else row.partial(index, value, *values)
            if dot is not None and partial is not None:
                total = _sum(total, cast(float, partial) * dot)
        return _Dual(value, total)

    def _primal(self) -> float:
        return self.value


def _contribute_all(
    columns: Columns, slot: int, dots: Floats, bars: Floats, bar_dots: Floats
) -> None:
    """Add the shares of all operands of one entry, and their tangents."""
    row, bar, bar_dot = columns.row(slot), cast(float, bars[slot]), bar_dots[slot]
    operands, static = columns.operands(slot), cast("tuple[float, ...]", columns.static(slot))
    result, *duals = (_dual(columns, dots, place) for place in (slot, *operands))
    for index, operand in enumerate(operands):
        partial = row.partial(index, result, *duals, *static)
        if partial is None:
            continue
        value, dot = (partial.value, partial.dot) if isinstance(partial, _Dual) else (partial, None)
        bars[operand] = _sum(bars[operand], bar * cast(float, value))
        share = None if dot is None else bar * dot
        if bar_dot is not None:
            share = _sum(share, bar_dot * cast(float, value))
        if share is not None:
            bar_dots[operand] = _sum(bar_dots[operand], share)


def _dual(columns: Columns, dots: Floats, slot: int) -> _Dual:
    """The value of a slot with its tangent."""
    return _Dual(cast(float, columns.values[slot]), dots[slot])


def _sum(total: float | None, share: float) -> float:
    """The sum of a total, which is None as long as nothing was added, and a share."""
    return share if total is None else total + share


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``, and the tangent of the share."""
    slopes = _slopes(operand.row, operand.index) if reads(operand.partial) else {}
    fetch = reads(operand.partial, *slopes.values())
    lines = f"i = {operand.slot}\n{fetch}q = {operand.partial}\n"
    lines += f"{accumulate('bars[i]', 'b * q')}s = None if e is None else e * q\n"
    for variable, slope in slopes.items():
        lines += f"t = {_TANGENTS[variable]}\nif t is not None:\n"
        lines += f"    u = {product('b', slope)} * t\n    s = u if s is None else s + u\n"
    return f"{lines}if s is not None:\n{indent(accumulate('bar_dots[i]', 's'), '    ')}"


_TANGENTS: Final = {"y": "dots[k]", "x0": "dots[left[k]]", "x1": "dots[right[k]]"}

_SWEEP: Final = Sweep(
    state="dots, bars, bar_dots",
    arrive="b = bars[k]\nif b is None:\n    continue\ne = bar_dots[k]\n",
    operand=_contribute,
    any_entry=_contribute_all,
)


def _slopes(row: Primitive, index: int) -> dict[str, str]:
    """The slopes of a partial in the result and in each operand; those that are 0 are left out."""
    slopes = {}
    names = ["y", *(f"x{number}" for number in range(row.arity or 0))]
    for name in names:
        moving = [_Moving(other, "1.0" if other == name else None) for other in names]
        static = [Symbol("n")] * row.has_static
        partial = row.partial(index, *moving, *static)
        if isinstance(partial, _Moving) and partial.slope is not None:
            slopes[name] = partial.slope
    return slopes


@final
@attrs.frozen
class _Moving(Traced):
    """An expression with its derivative in one variable; None stands for 0."""

    text: str
    slope: str | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Moving:
        symbols = [Symbol(x.text) if isinstance(x, _Moving) else x for x in operands]
        result = cast(Symbol, row(*symbols))
        return _Moving(result.text, _slope(row, result, symbols, operands))


def _slope(
    row: Primitive, result: Symbol, symbols: Sequence[Operand], operands: Sequence[Operand]
) -> str | None:
    """Apply the chain rule to one row; None where no operand has a slope."""
    slopes = [x.slope if isinstance(x, _Moving) else None for x in operands]
    if row.kind == "choice":
        return _slope_of_arms(source_of(symbols[0]), *slopes[1:])
    terms = []
    for index, slope in enumerate(slopes):
        partial = None if slope is None else row.partial(index, result, *symbols)
        if slope is not None and partial is not None:
            terms.append(product(source_of(partial), slope))
    return f"({' + '.join(terms)})" if terms else None


def _slope_of_arms(condition: str, x: str | None, y: str | None) -> str | None:
    """The slope of the arm that a ``where`` selects; None where neither has one."""
    if x is None and y is None:
        return None
    return f"({x or 0.0} if {condition} else {y or 0.0})"
