"""The reverse sweep with tangents: cotangents, and how they change along one direction.

Forward over reverse on floats in one go. Where a row hands ``b * p`` to an operand, the tangent of
that share is ``b' * p + b * p'``, and p' follows from the partials of the rows that spell p: the
same symbols that spell p spell its derivatives, so no second derivative is stated anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from textwrap import indent
from typing import TypeAlias, cast, final

import attrs

from tapegrad.columns import Columns
from tapegrad.primitive import Operand, Primitive, Symbol, Table, Traced
from tapegrad.spelling import SIDES, dispatch, executed, operand_symbols, reads

__all__ = ["second_order"]

Floats: TypeAlias = list[float | None]
Sweep: TypeAlias = Callable[[Columns, Floats, Floats, Floats, int], None]


def second_order(
    columns: Columns, dots: Floats, seeds: Mapping[int, float]
) -> tuple[Floats, Floats]:
    """The cotangents of every slot and their tangents, given the slots' tangents ``dots``.

    For one output seeded with 1.0 the tangents of the inputs' cotangents are the Hessian times the
    direction. Only on floats.
    """
    bars: Floats = [None] * len(columns)
    for slot, seed in seeds.items():
        bars[slot] = seed
    bar_dots: Floats = [None] * len(columns)
    sweep = _compiled(columns.table.base or columns.table)
    sweep(columns, dots, bars, bar_dots, max(seeds, default=-1))
    return bars, bar_dots


@final
@attrs.frozen
class _Dual(Traced):
    """A number and its tangent: rows applied to them compute both."""

    value: float
    dot: float

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Dual:
        values = [x.value if isinstance(x, _Dual) else x for x in operands]
        value = row(*values)
        dot = 0.0
        for index in range(len(operands) - row.has_static):
            operand = operands[index]
            if isinstance(operand, _Dual) and operand.dot != 0.0:
                partial = row.partial(index, value, *values)
                dot += cast(float, partial) * operand.dot if partial is not None else 0.0
        return _Dual(cast(float, value), dot)

    def _primal(self) -> float:
        return self.value


def _entry(columns: Columns, slot: int, dots: Floats, bars: list[float], bar_dots: Floats) -> None:
    """What an entry of any row hands to its operands."""
    row, bar, bar_dot = columns.row(slot), bars[slot], bar_dots[slot]
    operands = columns.operands(slot)
    duals = [_dual(columns, dots, operand) for operand in operands]
    for index, operand in enumerate(operands):
        partial = row.partial(
            index,
            _dual(columns, dots, slot),
            *duals,
            *cast("tuple[float, ...]", columns.static(slot)),
        )
        if partial is None:
            continue
        value, dot = (partial.value, partial.dot) if isinstance(partial, _Dual) else (partial, 0.0)
        _add(cast(Floats, bars), operand, bar * cast(float, value))
        if dot != 0.0 or bar_dot is not None:
            _add(bar_dots, operand, bar * dot + (bar_dot or 0.0) * cast(float, value))


def _dual(columns: Columns, dots: Floats, slot: int) -> _Dual:
    return _Dual(cast(float, columns.values[slot]), dots[slot] or 0.0)


def _add(column: Floats, slot: int, share: float) -> None:
    total = column[slot]
    column[slot] = share if total is None else total + share


@cache
def _compiled(table: Table) -> Sweep:
    source = _HEAD + indent(dispatch(table, _branch, _GENERIC), " " * 8)
    return cast(Sweep, executed(source, table, entry=_entry)["sweep"])


_GENERIC = "entry(columns, k, dots, bars, bar_dots)\n"

_HEAD = """\
def sweep(columns, dots, bars, bar_dots, start):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in range(start, -1, -1):
        b = bars[k]
        if b is None:
            continue
        e = bar_dots[k]
        code = codes[k]
"""


def _branch(row: Primitive) -> str:
    """What one row hands to its operands."""
    if row.kind == "choice":
        arm = "c = pool[left[k]]\ni = pool[left[k] + (1 if values[c] else 2)]\n"
        return f"{arm}{_accumulate('bars', 'b')}s = e\n{_ADD_TANGENT}"
    if row.is_pooled:
        return _GENERIC
    lines = "".join(_share(row, index) for index in range(row.arity or 0))
    return lines or "pass\n"


def _share(row: Primitive, index: int) -> str:
    """What one operand receives: the share and its tangent."""
    partial = _text(row.partial(index, Symbol("y"), *operand_symbols(row)))
    if partial is None:
        return ""
    slopes = _slopes(row, index)
    lines = f"i = {SIDES[index]}[k]\n{reads(partial, *slopes.values())}q = {partial}\n"
    lines += f"{_accumulate('bars', 'b * q')}s = None if e is None else e * q\n"
    for variable, slope in slopes.items():
        lines += f"t = {_TANGENTS[variable]}\nif t is not None:\n"
        lines += f"    u = {_times('b', slope)} * t\n    s = u if s is None else s + u\n"
    return lines + _ADD_TANGENT


_TANGENTS = {"y": "dots[k]", "x0": "dots[left[k]]", "x1": "dots[right[k]]"}

_ADD_TANGENT = """\
if s is not None:
    c = bar_dots[i]
    bar_dots[i] = s if c is None else c + s
"""


def _accumulate(column: str, share: str) -> str:
    return f"p = {share}\nc = {column}[i]\n{column}[i] = p if c is None else c + p\n"


def _text(operand: Operand | None) -> str | None:
    return (
        operand.text if isinstance(operand, Symbol) else None if operand is None else repr(operand)
    )


def _slopes(row: Primitive, index: int) -> dict[str, str]:
    """How a partial changes with the result and each operand, where it does."""
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
    """An expression, and its derivative in one variable spelled out."""

    text: str
    slope: str | None

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Moving:
        symbols = [Symbol(x.text) if isinstance(x, _Moving) else x for x in operands]
        result = cast(Symbol, row(*symbols))
        return _Moving(result.text, _slope(row, result, symbols, operands))


def _slope(
    row: Primitive, result: Symbol, symbols: Sequence[Operand], operands: Sequence[Operand]
) -> str | None:
    """The chain rule through one row, or None where nothing moves."""
    if row.kind == "choice":
        slopes = [x.slope if isinstance(x, _Moving) else None for x in operands[1:]]
        if slopes == [None, None]:
            return None
        return f"({slopes[0] or 0.0} if {_text(symbols[0])} else {slopes[1] or 0.0})"
    terms = []
    for index, operand in enumerate(operands[: len(operands) - row.has_static]):
        if isinstance(operand, _Moving) and operand.slope is not None:
            partial = _text(row.partial(index, result, *symbols))
            if partial is not None:
                terms.append(_times(partial, operand.slope))
    return f"({' + '.join(terms)})" if terms else None


def _times(x: str, y: str) -> str:
    return y if x == "1.0" else x if y == "1.0" else f"{x} * {y}"
