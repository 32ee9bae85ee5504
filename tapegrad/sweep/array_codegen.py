"""The eager reverse sweep of tapes on which some values are arrays: a function for each row.

The function is spelled from the row's partials, as the sweep on floats is, when a tape has the
row's first entry. What it computes has the bits of what ``array_reverse`` records: products and
sums stand in C order, and what that one leaves out is left out. Entries under a condition, and
those of rows without such a function, are left to it.

A cotangent is dropped once its entry was visited, if no block of a checkpoint reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from textwrap import indent
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_values import laid_out
from tapegrad.ops.elementwise import function_of
from tapegrad.ops.inline import INLINE_NAMES, call_name
from tapegrad.ops.primitive import Operand, Primitive, Traced, shape_of
from tapegrad.recording.slots import SlotWriter
from tapegrad.sweep.array_kernels import in_c_order
from tapegrad.sweep.array_reverse import ArrayReverse, wanted_slots
from tapegrad.sweep.codegen import reads, times
from tapegrad.sweep.conditional_terms import DerivativeColumn
from tapegrad.sweep.reverse import ON_FLOATS, results_of_blocks

__all__ = ["swept_on_arrays"]

Visit: TypeAlias = Callable[[int, Any], None]
"""Hands the cotangent of an entry down to its operands."""
Maker: TypeAlias = Callable[["_ArraySweep"], Visit]


def swept_on_arrays(
    columns: EntryColumns, cotangents: DerivativeColumn, start: int, count: int | None
) -> None:
    """Replaces the cotangents from ``start`` down by those of the first ``count`` slots, or of all.

    Nothing is traced.
    """
    sweep = _ArraySweep(columns, cotangents, wanted_slots(columns, count))
    codes, wanted, conditions = columns.codes, sweep.wanted, sweep.conditions
    visits: list[Visit | None] = [None] * len(columns.table.rows)
    kept = len(columns) if count is None else count
    read_by_blocks = results_of_blocks(columns)
    for slot in range(start, -1, -1):
        cotangent = cotangents[slot]
        if cotangent is None:
            continue
        if wanted[slot]:
            if conditions and slot in conditions:
                sweep.by_rows.contribute_any(slot, cotangent)
            else:
                code = codes[slot]
                visit = visits[code]
                if visit is None:
                    visit = visits[code] = sweep.visit_of(columns.table.rows[code])
                visit(slot, cotangent)
        if slot >= kept and slot not in read_by_blocks:
            cotangents[slot] = None


@final
@attrs.define(eq=False)
class _ArraySweep:
    """The state of one sweep: ``owned`` are the slots whose cotangent is a whole array of ours."""

    columns: EntryColumns
    cotangents: DerivativeColumn
    wanted: Sequence[int]
    conditions: dict[int, Place] = attrs.field(factory=dict)
    owned: set[int] = attrs.field(factory=set)
    _by_rows: ArrayReverse | None = None

    @property
    def by_rows(self) -> ArrayReverse:
        """The same sweep by rows, on the same cotangents."""
        if self._by_rows is None:
            writer = SlotWriter((), ())
            places = cast("list[Place | None]", self.cotangents)
            self._by_rows = sweep = ArrayReverse(self.columns, places, writer, self.wanted)
            sweep.conditions, sweep.owned = self.conditions, self.owned
        return self._by_rows

    def visit_of(self, row: Primitive) -> Visit:
        """The function that visits the entries of a row."""
        if row.array is not None:
            make = _maker_of_array_row(row)
            return self.transposed if make is None else make(self)
        if row.kind in {"input", "constant", "guard"}:
            return _nothing
        make = _maker(row)
        return self.generic if make is None else make(self)

    def generic(self, slot: int, cotangent: Any) -> None:
        """Visits an entry by its row."""
        self.by_rows.contribute_any(slot, cotangent)

    def transposed(self, slot: int, cotangent: Any) -> None:
        """Visits an entry whose row takes arrays as they are."""
        columns, values = self.columns, self.columns.values
        row, operands = columns.row(slot), columns.operands(slot)
        rule = row.array
        if rule is not None and not rule.slim:
            cotangent = rows.spread(cotangent, shape_of(values[slot]))
        given = [values[slot], *columns.arguments(slot)]
        for index, operand in enumerate(operands):
            pull = row.pull(index) if self.wanted[operand] else None
            if pull is not None:
                self.add(operand, pull(cotangent, *given))

    def add(self, slot: int, share: Any) -> None:
        """Adds a share that is always present to the cotangent of a slot."""
        before = self.cotangents[slot]
        if before is None:
            self.cotangents[slot] = share
        elif slot in self.conditions:
            self.by_rows.accumulate(slot, (share, None))
        elif slot in self.owned:
            before += share
        else:
            self.cotangents[slot] = in_c_order(before + share)


def _nothing(slot: int, cotangent: Any) -> None:
    """Visits an entry without operands."""


# Rows that go element by element.


@final
@attrs.frozen
class _Spelled(Traced):
    """An expression on floats or arrays: each row is called by its name."""

    text: str

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Spelled:
        texts = [x.text if isinstance(x, _Spelled) else repr(x) for x in operands]
        return _Spelled(f"{call_name(row)}({', '.join(texts)})")


_MAKER: Final = """\
def make(sweep):
    columns, cotangents, wanted = sweep.columns, sweep.cotangents, sweep.wanted
    left, right, values = columns.left, columns.right, columns.values
    pool, statics = columns.pool, columns.statics
    conditions, owned, by_rows = sweep.conditions, sweep.owned, sweep.generic

    def visit(k, b):
{}
    return visit
"""

_EITHER: Final = """\
y = values[k]
if type(y) is float:
{}
    return
{}
"""

_ADD: Final = """\
c = cotangents[{0}]
if c is None:
    cotangents[{0}] = p
elif owned or conditions:
    sweep.add({0}, p)
else:
    c = c + p
    if type(c) is ndarray and not c.flags.c_contiguous:
        c = ascontiguousarray(c)
    cotangents[{0}] = c
"""

_IN_C_ORDER: Final = """\
if type(p) is ndarray and not p.flags.c_contiguous:
    p = ascontiguousarray(p)
"""

_FIT: Final = """\
x = values[{}]
if type(x) is float or x.shape != shape:
    p = fitted(p, shape, shape_of(x))
"""


@cache
def _maker(row: Primitive) -> Maker | None:
    """Makes the function for a row; None for one that is left to ``array_reverse``."""
    if row not in ops.TABLE.codes or (row.is_pooled and row.has_static):
        return None
    arrays = "by_rows(k, b)\n" if row.is_pooled else _shares(row)
    floats = ON_FLOATS.branch(row)
    return _made(_EITHER.format(indent(floats, "    ").rstrip(), arrays.rstrip()))


def _shares(row: Primitive) -> str:
    """Source that adds the shares of the operands, one after the other."""
    count = cast(int, row.arity)
    symbols = [_Spelled(f"x{index}") for index in range(count)] + [_Spelled("n")] * row.has_static
    lines = "i = left[k]\n" + "j = right[k]\n" * (count > 1 or row.has_static)
    lines += "shape = y.shape\n" * (count > 1)
    for index, slot in enumerate("ij"[:count]):
        partial = row.partial(index, _Spelled("y"), *symbols)
        if partial is not None:
            share = times("b", partial.text if isinstance(partial, _Spelled) else repr(partial))
            source = f"{reads(share)}p = {share}\n" + _IN_C_ORDER * (share != "b")
            source += _FIT.format(slot) * (count > 1) + _ADD.format(slot)
            lines += f"if wanted[{slot}]:\n{indent(source, '    ')}"
    return lines


def _made(source: str) -> Maker:
    """The maker of a function with this body."""
    spelled = _MAKER.format(indent(source, " " * 8))
    called = (row for row in ops.TABLE.rows if f"{call_name(row)}(" in spelled)
    namespace: dict[str, Any] = {
        **INLINE_NAMES,
        **{call_name(row): _on_either(row) for row in called},
    }
    namespace |= _NAMES | {"any_entry": ON_FLOATS.any_entry, "__name__": __name__}
    exec(compile(spelled, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # spelled from the table alone
    return cast(Maker, namespace["make"])


def _on_either(row: Primitive) -> Callable[..., Any]:
    """A row as a function of floats and arrays, none of them traced."""
    value, on_arrays = row.value, function_of(row)
    if row.arity == 1 and not row.has_static:
        return lambda x: on_arrays(x) if type(x) is np.ndarray else value(x)

    def function(*operands: Any) -> Any:
        for operand in operands:
            if type(operand) is np.ndarray:
                return on_arrays(*operands)
        return value(*operands)

    return function


# Rows that take arrays as they are.


_SUM: Final = f"""\
i = left[k]
if wanted[i]:
    if type(b) is float:
        p = b
    else:
        x, (axes, keep) = values[i], statics[right[k]]
        p = b if keep else b.reshape(kept_shape(b.shape, x.ndim, axes))
{indent(_ADD.format("i"), "    ")}"""

_GETITEM: Final = """\
i = left[k]
if not wanted[i]:
    return
n, c = statics[right[k]], cotangents[i]
is_simple = is_basic(n)
if c is None:
    cotangents[i] = c = zeros(values[i].shape)
    owned.add(i)
    if is_simple:
        c[n] = b
        return
elif i in conditions:
    by_rows(k, b)
    return
elif i not in owned:
    cotangents[i] = c = spread(c, values[i].shape).copy()
    owned.add(i)
if is_simple:
    c[n] += b
else:
    add_at(c, n, b)
"""

_LAID_OUT: Final = """\
if not {0}.flags.forc or 1 in {0}.shape:
    {0} = laid_out({0})"""

_MATMUL: Final = f"""\
i, j = left[k], right[k]
x, y = values[i], values[j]
if x.ndim != 2 or y.ndim != 2:
    sweep.transposed(k, b)
    return
if type(b) is float or b.shape != values[k].shape:
    b = spread(b, values[k].shape)
{_LAID_OUT.format("b")}
if wanted[i]:
    y = y.transpose((1, 0))
{indent(_LAID_OUT.format("y"), "    ")}
    p = b @ y
{indent(_IN_C_ORDER + _ADD.format("i"), "    ")}
if wanted[j]:
    x = x.transpose((1, 0))
{indent(_LAID_OUT.format("x"), "    ")}
    p = x @ b
{indent(_IN_C_ORDER + _ADD.format("j"), "    ")}"""

_NAMES: Final[dict[str, Any]] = {
    "ndarray": np.ndarray, "ascontiguousarray": np.ascontiguousarray, "zeros": np.zeros,
    "add_at": np.add.at, "fitted": rows.fitted, "shape_of": shape_of, "spread": rows.spread,
    "laid_out": laid_out,
    "is_basic": rows.is_basic, "kept_shape": rows.kept_shape,
}  # fmt: skip

_ARRAY_ROWS: Final = {rows.sum_: _SUM, rows.getitem: _GETITEM, rows.matmul: _MATMUL}


@cache
def _maker_of_array_row(row: Primitive) -> Maker | None:
    source = _ARRAY_ROWS.get(row)
    return None if source is None else _made(source)
