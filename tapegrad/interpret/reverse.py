"""The reverse sweep: from the cotangents of some slots to those of every slot below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is one generated function with a branch for each row of the table: the row's
partials are run once on symbols and spelled out, so the library compiles its own table and no
derivative is stated twice. On traced numbers the same partials are called, and record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from textwrap import indent
from typing import TypeAlias, cast

from tapegrad.primitive import Operand, Primitive, Symbol, Table
from tapegrad.tape import Columns

__all__ = ["cotangents", "sweep_source"]

Bars: TypeAlias = list[Operand | None]
Sweep: TypeAlias = Callable[[Columns, Bars, int], None]

_HOT = 6
"""So many rows of arithmetic, the first of the table, are asked for one by one."""


def cotangents(
    columns: Columns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> Bars:
    """The cotangent of every slot, given those of the slots in ``seeds``.

    ``visit`` is called with each slot before its operands receive anything, where the values are
    traced.
    """
    bars: Bars = [None] * len(columns)
    for slot, seed in seeds.items():
        bars[slot] = seed
    start = max(seeds, default=-1)
    if columns.traced:
        _sweep_traced(columns, bars, start, visit)
    else:
        _compiled(columns.table.base or columns.table)(columns, bars, start)
    return bars


def _products(columns: Columns, slot: int, bar: Operand) -> Iterator[tuple[int, Operand, bool]]:
    """For each operand of an entry that is not flat in it: its slot, its share of the cotangent,
    and whether that is the cotangent itself."""
    row, arguments = columns.row(slot), columns.arguments(slot)
    for index, operand in enumerate(columns.operands(slot)):
        partial = row.partial(index, columns.values[slot], *arguments)
        if partial is None:
            continue
        if isinstance(partial, float) and abs(partial) == 1.0:
            yield operand, bar if partial == 1.0 else -bar, partial == 1.0
        elif isinstance(bar, float) and bar == 1.0:
            yield operand, partial, False
        else:
            yield operand, bar * partial, False


def _add(bars: Bars, slot: int, share: Operand) -> None:
    bar = bars[slot]
    bars[slot] = share if bar is None else bar + share


def _contribute(columns: Columns, slot: int, bar: float, bars: Bars) -> None:
    for operand, share, _ in _products(columns, slot, bar):
        _add(bars, operand, share)


class _Presence:
    """Under which condition each slot's cotangent is present; always, where there is none.

    A replay may select the other arm of a ``where``. The arm not selected must then contribute
    nothing, which a product with a selected zero would not do: 0 * inf is nan.
    """

    def __init__(self, table: Table, bars: Bars) -> None:
        rows = {row.name: row for row in (table.base or table).rows}
        self.where, self.both, self.either, self.negate = (
            rows[name] for name in ("where", "and_", "or_", "not_")
        )
        self.bars = bars
        self.conditions: dict[int, Operand] = {}

    def add(self, slot: int, share: Operand, condition: Operand | None) -> None:
        """Add a share that is present under ``condition``."""
        if self.bars[slot] is None:
            if condition is not None:
                self.conditions[slot] = condition
        elif slot in self.conditions:
            if condition is None:
                del self.conditions[slot]
            elif condition is not self.conditions[slot]:
                self.conditions[slot] = self.either(self.conditions[slot], condition)
        _add(self.bars, slot, share)

    def masked(self, share: Operand, condition: Operand | None) -> Operand:
        """The share, or where it is absent -0.0, which changes nothing it is added to."""
        return share if condition is None else self.where(condition, share, -0.0)

    def select(self, columns: Columns, slot: int, bar: Operand) -> None:
        """Hand the cotangent of a ``where`` to the arm that it selects."""
        condition, *arms = columns.operands(slot)
        chosen = columns.values[condition]
        if isinstance(chosen, float):
            self.add(arms[0 if chosen else 1], bar, self.conditions.get(slot))
            return
        for arm, taken in zip(arms, (chosen, self.negate(chosen)), strict=True):
            outer = self.conditions.get(slot)
            present = taken if outer is None else self.both(outer, taken)
            self.add(arm, self.masked(bar, present), present)


def _sweep_traced(
    columns: Columns, bars: Bars, start: int, visit: Callable[[int], None] | None
) -> None:
    presence = _Presence(columns.table, bars)
    for slot in range(start, -1, -1):
        bar = bars[slot]
        if bar is None:
            continue
        if visit is not None:
            visit(slot)
        condition = presence.conditions.get(slot)
        if columns.row(slot).name == "input" and condition is not None:
            bars[slot] = presence.where(condition, bar, 0.0)
        elif columns.row(slot).name == "where":
            presence.select(columns, slot, bar)
        else:
            for operand, share, is_bar in _products(columns, slot, bar):
                masked = share if is_bar else presence.masked(share, condition)
                presence.add(operand, masked, condition)


@cache
def _compiled(table: Table) -> Sweep:
    names: dict[str, object] = {row.name: row.value for row in table.rows}
    names |= {"inf": math.inf, "nan": math.nan, "contribute": _contribute, "__name__": __name__}
    exec(compile(sweep_source(table), "<tapegrad reverse sweep>", "exec"), names)
    return cast(Sweep, names["sweep"])


def sweep_source(table: Table) -> str:
    """The Python source of the reverse sweep on floats over the rows of ``table``."""
    codes = range(len(table.rows))
    hot = [code for code in codes if table.rows[code].python][:_HOT]
    cold = [code for code in codes if code not in hot]
    branches = "".join(
        f"if code == {code}:\n{indent(_branch(table.rows[code]), '    ')}    continue\n"
        for code in hot
    )
    body = f"{branches}if code >= {len(codes)}:\n    contribute(columns, k, b, bars)\n    continue\n"
    return _HEAD + indent(body + _search(table, cold), " " * 8)


_HEAD = """\
def sweep(columns, bars, start):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in range(start, -1, -1):
        b = bars[k]
        if b is None:
            continue
        code = codes[k]
"""


def _search(table: Table, codes: Sequence[int]) -> str:
    """A binary search for the code, with the rows' branches at its ends."""
    if len(codes) == 1:
        return _branch(table.rows[codes[0]])
    middle = len(codes) // 2
    low, high = (indent(_search(table, part), "    ") for part in (codes[:middle], codes[middle:]))
    return f"if code < {codes[middle]}:\n{low}else:\n{high}"


def _branch(row: Primitive) -> str:
    """What one row hands to its operands."""
    if row.name == "where":
        return f"c = pool[left[k]]\ni = pool[left[k] + (1 if values[c] else 2)]\n{_accumulate('b')}"
    if row.is_pooled:
        return "contribute(columns, k, b, bars)\n"
    arity = row.arity or 0
    operands = [Symbol(f"x{index}") for index in range(arity)] + [Symbol("n")] * row.has_static
    lines = ""
    for index in range(arity):
        share = _share(row.partial(index, Symbol("y"), *operands))
        if share is not None:
            lines += f"i = {('left', 'right')[index]}[k]\n{_reads(share)}{_accumulate(share.text)}"
    return lines or "pass\n"


def _share(partial: Operand | None) -> Symbol | None:
    """The cotangent ``b`` times a partial."""
    if partial is None:
        return None
    if isinstance(partial, Symbol):
        return Symbol(f"b * {partial.text}")
    return Symbol({1.0: "b", -1.0: "-b"}.get(cast(float, partial), f"b * {partial!r}"))


_READS = {
    "y": "values[k]",
    "x0": "values[left[k]]",
    "x1": "values[right[k]]",
    "n": "statics[right[k]]",
}


def _reads(share: Symbol) -> str:
    return "".join(f"{name} = {what}\n" for name, what in _READS.items() if share.mentions(name))


def _accumulate(share: str) -> str:
    return f"p = {share}\nc = bars[i]\nbars[i] = p if c is None else c + p\n"
