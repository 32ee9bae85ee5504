"""The eager reverse sweep of tapes on which some values are arrays: a function for each row.

The function is spelled from the row's partials, as the sweep on floats is, when a tape has the
row's first entry. What it computes has the bits of what ``array_reverse`` records: products and
sums stand in C order, and what that one leaves out is left out. Entries of rows without such a
function are left to it.

A cotangent is dropped once its entry was visited, if no block of a checkpoint reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from re import findall
from textwrap import indent
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_code import NAMES, Name, Script, in_c_order
from tapegrad.ops.array_values import laid_out, sum_
from tapegrad.ops.inline import INLINE_NAMES, call_name
from tapegrad.ops.primitive import Operand, Primitive, Shape, shape_of
from tapegrad.recording.slots import SlotWriter
from tapegrad.sweep.array_kernels import DROPPED, pull_kernel
from tapegrad.sweep.array_reverse import ArrayReverse, wanted_slots
from tapegrad.sweep.codegen import fetches, reads
from tapegrad.sweep.conditional_terms import DerivativeColumn
from tapegrad.sweep.reverse import ON_FLOATS, results_of_blocks

__all__ = ["swept_on_arrays"]

Visit: TypeAlias = Callable[[int, Any], None]
"""Hands the cotangent of an entry down to its operands."""
Maker: TypeAlias = Callable[["_ArraySweep"], Visit]


def swept_on_arrays(
    columns: EntryColumns,
    cotangents: DerivativeColumn,
    start: int,
    count: int | None,
    spent: Collection[int] = (),
) -> None:
    """Replaces the cotangents from ``start`` down by those of the first ``count`` slots, or of all.

    Nothing is traced. The values of the slots that are ``spent`` are dropped once these were
    visited.
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
            code = codes[slot]
            visit = visits[code]
            if visit is None:
                visit = visits[code] = sweep.visit_of(columns.table.rows[code])
            if conditions and slot in conditions:
                sweep.visit_under_condition(slot, cotangent, visit)
            else:
                visit(slot, cotangent)
        if slot >= kept and slot not in read_by_blocks:
            cotangents[slot] = None
            if conditions:
                conditions.pop(slot, None)
                sweep.neutral.pop(slot, None)
            if spent and slot in spent:
                cast("list[Operand]", columns.values)[slot] = DROPPED


def _or_negative_zero(number: Any, condition: Any) -> Any:
    """The number where a condition holds, and -0.0 elsewhere."""
    return in_c_order(np.where(condition, number, _NEGATIVE_ZERO))


def _both(one: Any, other: Any) -> Any:
    """The condition under which two hold; None always holds."""
    return other if one is None or one is other else np.logical_and(one, other)


_ZERO, _NEGATIVE_ZERO = np.array(0.0), np.array(-0.0)
"""Numbers without axes, which numpy takes as they are."""


@final
@attrs.define(eq=False)
class _ArraySweep:
    """The state of one sweep: ``owned`` are the slots whose cotangent is a whole array of ours.

    ``conditions`` has the conditions under which cotangents are present, and ``condition`` that of
    the entry that is visited. ``neutral`` are cotangents that are -0.0 wherever they are absent.
    """

    columns: EntryColumns
    cotangents: DerivativeColumn
    wanted: Sequence[int]
    conditions: dict[int, Any] = attrs.field(factory=dict)
    condition: Any = None
    neutral: dict[int, Any] = attrs.field(factory=dict)
    owned: set[int] = attrs.field(factory=set)
    opposites: dict[int, tuple[Any, Any]] = attrs.field(factory=dict)
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
        if row.kind == "choice":
            return self.choose
        make = _maker(row)
        return self.generic if make is None else make(self)

    def visit_under_condition(self, slot: int, cotangent: Any, visit: Visit) -> None:
        """Visits an entry whose cotangent is present under a condition.

        Where numbers are not taken one by one, and in inputs, it is made present everywhere.
        """
        row, condition = self.columns.table.rows[self.columns.codes[slot]], self.conditions[slot]
        if row.kind == "input":
            self.cotangents[slot] = in_c_order(np.where(condition, cotangent, _ZERO))
            del self.conditions[slot]
        elif row.array is not None:
            visit(slot, _or_negative_zero(cotangent, condition))
        else:
            self.condition = condition
            visit(slot, cotangent)
            self.condition = None

    def generic(self, slot: int, cotangent: Any) -> None:
        """Visits an entry by its row."""
        self.by_rows.contribute_any(slot, cotangent)

    def choose(self, slot: int, cotangent: Any) -> None:
        """Visits a choice: its cotangent goes to each arm where that is selected."""
        columns, before, start = self.columns, self.condition, self.columns.left[slot]
        at, first, second = columns.pool[start : start + 3]
        selected: Any = columns.values[at]
        if type(selected) is float:
            arm = first if selected else second
            if self.wanted[arm]:
                self.hand_down(arm, cotangent, shape_of(columns.values[slot]))
            return
        shape = cast(Any, columns.values[slot]).shape
        present = _both(before, selected)
        if self.wanted[first]:
            self.hand_down_under(present, first, cotangent, shape)
        if self.wanted[second]:
            is_all = before is None
            other = self.negated(selected) if is_all else np.not_equal(before, present)
            self.hand_down_under(other, second, cotangent, shape)

    def negated(self, condition: Any) -> Any:
        """The condition under which another does not hold; it is made once."""
        found = self.opposites.get(id(condition))
        if found is None:
            found = self.opposites[id(condition)] = np.logical_not(condition), condition
        return found[0]

    def hand_down(self, slot: int, share: Any, whole: Shape) -> None:
        """Adds a share of an entry with the shape ``whole`` to the cotangent of an operand."""
        condition = self.condition
        if condition is not None:
            self.hand_down_under(condition, slot, share, whole)
            return
        shape = shape_of(self.columns.values[slot])
        if shape != whole:
            share = _summed(share, whole, shape)
        self.add(slot, share)

    def hand_down_under(self, condition: Any, slot: int, share: Any, whole: Shape) -> None:
        """Does the same for a share that is present under a condition."""
        value: Any = self.columns.values[slot]
        shape = () if type(value) is float else value.shape
        if shape == whole:
            self.add_under_condition(slot, share, condition)
            return
        self.condition, before = None, self.condition
        self.add(slot, rows.fitted(_or_negative_zero(share, condition), whole, shape))
        self.condition = before

    def transposed(self, slot: int, cotangent: Any) -> None:
        """Visits an entry whose row takes arrays as they are."""
        columns, values = self.columns, self.columns.values
        row, operands = columns.row(slot), columns.operands(slot)
        rule = row.array
        if rule is not None and not rule.slim:
            cotangent = rows.spread(cotangent, shape_of(values[slot]))
        given = [values[slot], *columns.arguments(slot)]
        wanted = [index for index, operand in enumerate(operands) if self.wanted[operand]]
        for index, share in row.pulled(wanted, cotangent, *given):
            self.add(operands[index], share)

    def add(self, slot: int, share: Any) -> None:
        """Adds a share to the cotangent of a slot; it is present under the condition, if any."""
        before: Any = self.cotangents[slot]
        if self.condition is not None or slot in self.conditions:
            self.add_under_condition(slot, share, self.condition)
        elif before is None:
            self.cotangents[slot] = share
        elif slot in self.owned:
            before += share
        else:
            self.cotangents[slot] = in_c_order(before + share)

    def add_under_condition(self, slot: int, share: Any, condition: Any) -> None:
        """Adds a share to a cotangent; one of them is present under a condition alone."""
        before: Any = self.cotangents[slot]
        if before is not None:
            known: Any = self.conditions.pop(slot, None)
            is_neutral = known is not condition
            if is_neutral:
                if known is not None and self.neutral.get(slot) is not before:
                    before = _or_negative_zero(before, known)
                share = share if condition is None else _or_negative_zero(share, condition)
                is_partial = known is not None and condition is not None
                condition = np.logical_or(known, condition) if is_partial else None
            share = in_c_order(before + share)
            self.owned.discard(slot)
            if is_neutral and condition is not None:
                self.neutral[slot] = share
        self.cotangents[slot] = share
        if condition is not None:
            self.conditions[slot] = condition


def _summed(share: Any, whole: Shape, shape: Shape) -> Any:
    """The sum of a share of an entry along the axes along which its operand was repeated."""
    if type(share) is np.ndarray:
        axes, keep, reshaped, times = rows.fitting(share.shape, whole, shape)
        if axes and not reshaped and times == 1.0:
            return sum_(share, (axes, keep))
    return rows.fitted(share, whole, shape)


def _nothing(slot: int, cotangent: Any) -> None:
    """Visits an entry without operands."""


# Rows that go element by element.


_MAKER: Final = """\
def make(sweep):
{}
    def visit(k, b):
{}
    return visit
"""

_STATE: Final = {
    **{name: f"sweep.{name}" for name in ("cotangents", "wanted", "conditions", "owned")},
    **{name: f"sweep.columns.{name}" for name in ("left", "right", "values", "pool", "statics")},
}
"""The state of the sweep, by the names that a function has for it."""

_ON_FLOATS: Final = """\
y = values[k]
if type(y) is float:
{}
    return
"""

_ADD: Final = """\
c = cotangents[{0}]
if c is None and not conditions:
    cotangents[{0}] = p
elif owned or conditions:
    sweep.add({0}, p)
else:
    c = c + p
    if type(c) is ndarray and c.ndim > 1 and not c.flags.c_contiguous:
        c = ascontiguousarray(c)
    cotangents[{0}] = c
"""

_IN_C_ORDER: Final = """\
if type(p) is ndarray and p.ndim > 1 and not p.flags.c_contiguous:
    p = ascontiguousarray(p)
"""

_FIT: Final = """\
x = values[{0}]
if type(x) is float or x.shape != shape:
    sweep.hand_down({0}, p, shape)
else:
{1}
"""


@cache
def _maker(row: Primitive) -> Maker | None:
    """Makes the function for a row; None for one that is left to ``array_reverse``."""
    if row not in ops.TABLE.codes or (row.is_pooled and row.arity is not None):
        return None
    shares = None if row.arity is None else _shares(row)
    if shares is None:
        return _by_kernels(row)
    arrays, called = shares
    return _made(_on_floats(row) + arrays.rstrip(), called)


def _on_floats(row: Primitive) -> str:
    """Source for an entry that is a number."""
    floats = ON_FLOATS.branch(row)
    return _ON_FLOATS.format(indent(fetches(floats) + floats, "    ").rstrip())


def _shares(row: Primitive) -> tuple[str, dict[str, Any]] | None:
    """Source that adds the shares of the operands, one after the other, and what it calls.

    There is none for a row of two operands that calls others, which one does on arrays and
    numbers.
    """
    count = cast(int, row.arity)
    if row.has_static:
        return _BY_STATIC, {"pull_kernel": partial(pull_kernel, row, 0, 0, (True,))}
    lines = "i = left[k]\n" + "j = right[k]\nshape = y.shape\n" * (count > 1)
    called: dict[str, Any] = {}
    for index, slot in enumerate("ij"[:count]):
        script, (share,) = _script(row, [index], count)
        called |= script.called
        if share:
            body = "\n".join([*script.body([share]), f"p = {share}\n"])
            add = _added(slot) if count > 1 else _ADD.format(slot)
            lines += f"if wanted[{slot}]:\n{indent(reads(body) + body + add, '    ')}"
    return None if count > 1 and called else (lines, called)


def _script(row: Primitive, indices: Sequence[int], count: int) -> tuple[Script, list[str]]:
    """Lines that compute shares of operands, and the names of these; "" where there is none."""
    names = [f"x{at}" for at in range(count)]
    script, shares = Script(set(), names), list[str]()
    given = [Name(script, name) for name in names]
    script.know(row, given, "y")
    for index in indices:
        found = row.partial(index, Name(script, "y"), *given)
        share = None if found is None else script.product(Name(script, "b"), found)
        shares.append(share.text if share else "")
    return script, shares


def _added(slot: str) -> str:
    """Source that adds the share ``p`` to the cotangent of an operand, in its shape."""
    return _FIT.format(slot, indent(_ADD.format(slot), "    "))


_KERNELS: Final = 256
"""The most kernels of a row that are found without a key."""

_BY_STATIC: Final = f"""\
i, n = left[k], statics[right[k]]
if wanted[i]:
    kernel = kernels.get(n)
    if kernel is None:
        kernel = pull_kernel(n)
        if kernel is None:
            sweep.generic(k, b)
            return
        kernel = kernel.run
        if len(kernels) < {_KERNELS}:
            kernels[n] = kernel
    p = kernel(b, None, y, values[i], None, None, None, None)[0]
    if p is not None:
{indent(_ADD.format("i"), "        ")}"""
"""Adds the share of the operand of a row with a static one."""


_POOLED: Final = """\
if j != 2:
    sweep.generic(k, b)
    return
i, j = pool[i : i + 2]
"""

_BY_KERNELS: Final = """\
{}i, j = left[k], right[k]
{}
y, x0, x1 = values[k], values[i], values[j]
if type(x0) is type(x1) is ndarray and wanted[i] and wanted[j]:
    shape = y.shape
{}
    return
numbers = (type(y) is float) | (type(x0) is float) << 1 | (type(x1) is float) << 2
which = numbers | wanted[i] << 3 | wanted[j] << 4
kernel = kernels.get(which)
if kernel is None:
    kernel = pull_kernel(numbers, (wanted[i], wanted[j]), None)
    if kernel is None:
        sweep.generic(k, b)
        return
    kernels[which] = kernel = kernel.run
p, _, q, _ = kernel(b, None, y, x0, x1, None, None, None)
shape = () if numbers & 1 else y.shape
if p is not None:
{}
if q is not None:
    p = q
{}
"""


def _by_kernels(row: Primitive) -> Maker:
    """Makes the function for a row of two operands, which calls the row's kernels.

    What is computed for both operands where these are arrays stands in it.
    """
    added, called = [*map(_added, "ij")], {"pull_kernel": partial(pull_kernel, row, 0)}
    first, second = (indent(each, "    ") for each in added)
    script, shares = _script(row, range(2), 2)
    both = [*script.body(shares)]
    both += [f"p = {x}\n{add}" for x, add in zip(shares, added, strict=True) if x]
    inline = indent("\n".join(both) or "pass", "    ")
    on_floats = "" if row.is_pooled else _on_floats(row)
    source = _BY_KERNELS.format(on_floats, _POOLED * row.is_pooled, inline, first, second)
    return _made(source, {**script.called, **called})


def _made(source: str, called: Mapping[str, Any] | None = None) -> Maker:
    """The maker of a function with this body, which calls these and the rows."""
    words = {*findall(r"\w+", source)}
    state = [f"    {name} = {found}\n" for name, found in _STATE.items() if name in words]
    columns = "    columns = sweep.columns\n" * ("columns" in words)
    spelled = _MAKER.format(columns + "".join(state), indent(source, " " * 8))
    on_numbers = {call_name(row): row.value for row in ops.TABLE.rows}
    namespace: dict[str, Any] = {**INLINE_NAMES, **on_numbers, **NAMES, **_NAMES, **(called or {})}
    namespace |= {"any_entry": ON_FLOATS.any_entry, "kernels": {}, "__name__": __name__}
    exec(compile(spelled, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # spelled from the table alone
    return cast(Maker, namespace["make"])


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
    sweep.generic(k, b)
    return
elif i not in owned:
    cotangents[i] = c = spread(c, values[i].shape).copy()
    owned.add(i)
if not is_simple:
    add_at(c, n, b)
    return
p = c[n]
if type(p) is ndarray:
    p += b
else:
    c[n] = p + b
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
    "zeros": np.zeros, "add_at": np.add.at, "spread": rows.spread, "laid_out": laid_out,
    "is_basic": rows.is_basic, "kept_shape": rows.kept_shape,
}  # fmt: skip

_ARRAY_ROWS: Final = {rows.sum_: _SUM, rows.getitem: _GETITEM, rows.matmul: _MATMUL}


@cache
def _maker_of_array_row(row: Primitive) -> Maker | None:
    source = _ARRAY_ROWS.get(row)
    return None if source is None else _made(source)
