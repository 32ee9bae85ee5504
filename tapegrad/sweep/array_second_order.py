"""Forward over reverse mode in one sweep, on tapes on which some values are arrays.

Nothing is recorded. The bits are those of the gradient's recording swept forward. Entries that go
element by element are visited by kernels, and sums, parts and products of matrices by functions of
their own. Any other, and what is present under a condition, is left to the recorded sweep, which
runs on values with their tangents.

A cotangent is dropped once its entry was visited. That of an input is computed only where its
tangent needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import array_rows as rows
from tapegrad.ops.array_code import in_c_order
from tapegrad.ops.array_values import matmul, reshape
from tapegrad.ops.primitive import Operand, Primitive, Shape, Traced, primal, shape_of
from tapegrad.recording.slots import SlotWriter
from tapegrad.sweep.array_forward import PlainArrayForward, pushed
from tapegrad.sweep.array_kernels import DROPPED, LARGE, Want, has_kernels, pull_kernel
from tapegrad.sweep.array_reverse import ArrayReverse, wanted_slots
from tapegrad.sweep.conditional_terms import (
    ConditionalArithmetic,
    ConditionalTerm,
    DerivativeColumn,
    seeded,
)

__all__ = ["second_order_on_arrays"]


def second_order_on_arrays(
    columns: EntryColumns,
    seeds: Mapping[int, Operand],
    output: int,
    count: int,
    spent: Collection[int] = (),
) -> DerivativeColumn:
    """The tangents of the cotangents of the first ``count`` slots, from the tangents ``seeds``.

    The cotangent of ``output`` is 1.0. Nothing is traced. The values of the slots that are
    ``spent`` are dropped once these were visited.
    """
    forward = PlainArrayForward(columns, seeded(len(columns), seeds))
    forward.sweep(min(seeds, default=len(columns)), None, ())
    sweep = _DualSweep(columns, forward.numbers, forward.conditions, count, spent)
    sweep.run(output)
    return [_settled(bar) for bar in sweep.bars[:count]]


@final
class _Dual(Traced):
    """A number or an array with its tangent, and the condition under which that is present."""

    __slots__ = ("condition", "tangent", "value")

    def __init__(self, value: Any, tangent: Any, condition: Operand | None = None) -> None:
        self.value, self.tangent, self.condition = value, tangent, condition

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return shape_of(self.value)

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Any:
        values = [x.value if isinstance(x, _Dual) else x for x in operands]
        terms = list(map(_term, operands))
        value = row(*values)
        if row.kind == "choice":
            term = _ARITHMETIC.selected(values[0], *terms[1:])
        elif row.array is None:
            term = _ARITHMETIC.pushed(row, value, values, terms)
        else:
            dots = [
                None if term is None else rows.spread(_ARITHMETIC.or_zero(term), shape_of(x))
                for term, x in zip(terms, values, strict=True)
            ]
            count = len(values) - row.has_static
            dot = pushed(row, row.array, dots[:count], value, values[:count], values[count:])
            term = None if dot is None else (dot, None)
        return value if term is None else _Dual(value, *term)

    def _primal(self) -> float:
        return primal(self.value)


@final
class _Arithmetic(ConditionalArithmetic[Operand]):
    """Sums and choices of tangents, which keep no conditions between sweeps."""

    def _once(self, row: Primitive, *conditions: Operand) -> Operand:
        return self.apply(row, *conditions)


_ARITHMETIC: Final = _Arithmetic()

Visit: TypeAlias = Callable[[int, Any], None]
"""Hands the cotangent of an entry, with its tangent, down to the operands."""


def _term(operand: Operand) -> ConditionalTerm[Operand] | None:
    """The tangent of an operand; a plain number has none."""
    return (operand.tangent, operand.condition) if isinstance(operand, _Dual) else None


def _settled(bar: Operand | None) -> Operand | None:
    """The tangent of a cotangent, 0.0 where it is absent under its condition."""
    term = None if bar is None else _term(bar)
    return None if term is None else _ARITHMETIC.or_zero(term)


def _parts(bar: Any) -> tuple[Any, Any]:
    """A cotangent and its tangent, None where it has none."""
    return (bar.value, bar.tangent) if type(bar) is _Dual else (bar, None)


def _joined(bar: Any, tangent: Any) -> Any:
    return bar if tangent is None else _Dual(bar, tangent)


_NEUTRAL: Final = -0.0
"""The cotangent of an input, of which only the tangent is wanted."""


@final
@attrs.define(eq=False)
class _DualSweep:
    """The state of one sweep: ``bars`` are the cotangents with their tangents.

    ``owned`` are the slots whose cotangent is a whole array of ours, ``conditions`` those of
    cotangents. ``dots`` are the tangents of the slots, with the conditions ``dot_conditions``. The
    first ``count`` slots are the inputs. What stands in slots that were visited is dropped, with
    the values of those that are ``spent``.
    """

    columns: EntryColumns
    dots: list[Any]
    dot_conditions: Mapping[int, Operand]
    count: int
    spent: Collection[int]
    bars: list[Any] = attrs.field(init=False)
    shapes: list[Shape] = attrs.field(init=False)
    wants: bytearray = attrs.field(init=False)
    conditions: dict[int, Any] = attrs.field(factory=dict)
    owned: set[int] = attrs.field(factory=set)
    _recorded: ArrayReverse | None = None

    def __attrs_post_init__(self) -> None:
        self.bars = [None] * len(self.columns)
        self.shapes = list(map(shape_of, self.columns.values))
        self.wants = wants = wanted_slots(self.columns, self.count)
        wants[: self.count] = bytes([Want.TANGENT]) * self.count
        for slot in self.columns.slots_of(rows.getitem):
            wants[slot] = wants[self.columns.left[slot]]

    def run(self, output: int) -> None:
        """Visits the entries from ``output`` down."""
        bars, codes, table = self.bars, self.columns.codes, self.columns.table
        visits: list[Visit | None] = [None] * len(table.rows)
        bars[output] = 1.0
        for slot in range(output, -1, -1):
            bar = bars[slot]
            if bar is not None and self.wants[slot]:
                code = codes[slot]
                visit = visits[code]
                if visit is None:
                    visit = visits[code] = self.visit_of(table.rows[code])
                if self.is_conditional(slot, bar):
                    self.by_rows(slot, bar)
                else:
                    visit(slot, bar)
            if slot >= self.count:
                bars[slot] = self.dots[slot] = None
                if self.spent and slot in self.spent:
                    cast("list[Operand]", self.columns.values)[slot] = DROPPED

    def is_conditional(self, slot: int, bar: Any) -> bool:
        """Whether a cotangent or its tangent is present under a condition alone."""
        return slot in self.conditions or (type(bar) is _Dual and bar.condition is not None)

    def visit_of(self, row: Primitive) -> Visit:
        """The function that visits the entries of a row."""
        if row.kind in {"input", "constant", "guard"}:
            return _nothing
        if self.dot_conditions:
            return self.by_rows
        if has_kernels(row):
            return self.by_kernel(row)
        own = _OWN.get(row)
        return self.by_rows if own is None else partial(own, self)

    def by_rows(self, slot: int, bar: Any) -> None:
        """Visits an entry as the recorded sweep does."""
        if self.wants[slot] == Want.TANGENT and type(bar) is _Dual:
            whole = self.spread(bar.value, slot)
            bar = _Dual(whole, bar.tangent, bar.condition)
        self.recorded.contribute_any(slot, bar)

    @property
    def recorded(self) -> ArrayReverse:
        """The recorded sweep, on the same cotangents."""
        if self._recorded is None:
            pairs = enumerate(zip(self.columns.values, self.dots, strict=True))
            values = [
                value if dot is None else _Dual(value, dot, self.dot_conditions.get(at))
                for at, (value, dot) in pairs
            ]
            duals = attrs.evolve(self.columns, values=values)
            self._recorded = sweep = ArrayReverse(duals, self.bars, SlotWriter((), ()), self.wants)
            sweep.conditions, sweep.owned = self.conditions, self.owned
        return self._recorded

    def by_kernel(self, row: Primitive) -> Visit:
        """Visits the entries of a row by its kernels."""
        left, right, statics = self.columns.left, self.columns.right, self.columns.statics
        values, dots, has_static = self.columns.values, self.dots, row.has_static
        shapes, is_pair = self.shapes, row.arity == 2

        def visit(k: int, bar: Any) -> None:
            b, e = (bar.value, bar.tangent) if type(bar) is _Dual else (bar, None)
            i, j, shape, y = left[k], right[k], shapes[k], cast(Any, values[k])
            dy, d0, x0, d1, x1 = dots[k], dots[i], values[i], None, None
            wants: tuple[int, ...] = (self.want(i, shape),)
            if is_pair:
                d1, x1 = dots[j], values[j]
                wants = *wants, self.want(j, shape)
            present = (e is not None) | (dy is not None) << 1 | (d0 is not None) << 2
            present |= (d1 is not None) << 3
            numbers = (type(y) is float) | (type(x0) is float) << 1 | (type(x1) is float) << 2
            kernel = pull_kernel(row, present, numbers, wants, statics[j] if has_static else None)
            if kernel is None:
                self.by_rows(k, bar)
                return
            run = kernel.run if type(y) is float or y.size < LARGE else kernel.in_blocks
            found = run(b, e, y, x0, x1, dy, d0, d1)
            self.hand_down(shape, i, found[0], found[1])
            if is_pair:
                self.hand_down(shape, j, found[2], found[3])

        return visit

    def want(self, at: int, shape: Shape) -> int:
        """Says what an operand of an entry wants."""
        want = self.wants[at]
        return want if want != Want.TANGENT or self.shapes[at] == shape else Want.BOTH

    def hand_down(self, shape: Shape, at: int, share: Any, tangent: Any) -> None:
        """Adds a share of an entry of this shape, and its tangent, to an operand's cotangent."""
        own = self.shapes[at]
        if share is not None and own != shape:
            if tangent is not None:
                tangent = rows.fitted(tangent, shape, own, share)
            is_wanted = self.wants[at] == Want.BOTH
            share = rows.fitted(share, shape, own) if is_wanted else _NEUTRAL
        self.add(at, share, tangent)

    def add(self, at: int, share: Any, tangent: Any) -> None:
        """Adds a share and its tangent to the cotangent of a slot."""
        if share is None:
            if tangent is None:
                return
            share = _NEUTRAL
        before = self.bars[at]
        if before is None:
            self.bars[at] = _joined(share, tangent)
        elif self.is_conditional(at, before):
            self.recorded.accumulate(at, (_joined(share, tangent), None))
        else:
            bar, dot = _parts(before)
            if tangent is not None:
                dot = tangent if dot is None else in_c_order(dot + tangent)
            self.bars[at] = _joined(in_c_order(bar + share), dot)
            self.owned.discard(at)

    def spread_sum(self, slot: int, bar: Any) -> None:
        """Hands the cotangent of a sum down."""
        at = self.columns.left[slot]
        axes, keep = cast("tuple[Shape, bool]", self.columns.statics[self.columns.right[slot]])
        b, e = _parts(bar)
        if not keep and type(b) is not float:
            shape = rows.kept_shape(b.shape, len(self.shapes[at]), axes)
            e = None if e is None else reshape(cast(Any, rows.spread(e, b.shape)), shape)
            b = reshape(b, shape)
        if self.wants[at]:
            self.add(at, b, e)

    def put_back(self, slot: int, bar: Any) -> None:
        """Adds the cotangent of a part to that of the whole."""
        at = self.columns.left[slot]
        index = cast("rows.Index", self.columns.statics[self.columns.right[slot]])
        before = self.bars[at]
        if before is not None and self.is_conditional(at, before):
            self.by_rows(slot, bar)
        elif self.wants[at]:
            (b, e), (whole, dot) = _parts(bar), _parts(before)
            is_wanted = self.wants[at] == Want.BOTH
            whole = self.with_part(at, whole, index, b) if is_wanted else _NEUTRAL
            if e is not None or dot is not None:
                dot = self.with_part(at, dot, index, 0.0 if e is None else e)
            self.owned.add(at)
            self.bars[at] = _joined(whole, dot)

    def with_part(self, at: int, whole: Any, index: rows.Index, part: Any) -> Any:
        """A cotangent with a part added, in place where it is our own; of None are zeros."""
        is_simple = rows.is_basic(index)
        if whole is None:
            whole = np.zeros(self.shapes[at])
            if is_simple and self.bars[at] is None:
                whole[index] = part
                return whole
        elif at not in self.owned:
            whole = self.spread(whole, at).copy()
        if is_simple:
            whole[index] += part
        else:
            np.add.at(whole, index, part)
        return whole

    def product(self, slot: int, bar: Any) -> None:
        """Hands the cotangent of a product of matrices down, or of one by a vector of weights."""
        i, j = self.columns.left[slot], self.columns.right[slot]
        axes = len(self.shapes[i]), len(self.shapes[j])
        if axes != (2, 2) and (axes != (2, 1) or self.wants[i]):
            self.by_rows(slot, bar)
            return
        b, e = (cast(Any, x if x is None else self.spread(x, slot)) for x in _parts(bar))
        if self.wants[i]:
            y, dy = self.transposed(j)
            share = matmul(b, y) if self.wants[i] == Want.BOTH else None
            self.add(i, share, _total(_product(e, y), _product(b, dy)))
        if self.wants[j]:
            is_wanted = self.wants[j] == Want.BOTH
            if axes == (2, 1):
                x = cast(Any, self.columns.values[i])
                dx = None if self.dots[i] is None else self.spread(self.dots[i], i)
                share = matmul(b, x) if is_wanted else None
                self.add(j, share, _total(_product(e, x), _product(b, dx)))
            else:
                x, dx = self.transposed(i)
                share = matmul(x, b) if is_wanted else None
                self.add(j, share, _total(_product(dx, b), _product(x, e)))

    def transposed(self, slot: int) -> tuple[Any, Any]:
        """A matrix and its tangent, transposed."""
        value, dot = cast(Any, self.columns.values[slot]), self.dots[slot]
        return value.T, None if dot is None else self.spread(dot, slot).T

    def spread(self, x: Any, slot: int) -> Any:
        """A cotangent or a tangent in the full shape of its slot."""
        return rows.spread(x, self.shapes[slot])


def _nothing(slot: int, bar: Any) -> None:
    """Visits an entry without operands."""


def _product(x: Any, y: Any) -> Any:
    """The product of matrices; None where one is absent."""
    return None if x is None or y is None else matmul(x, y)


def _total(x: Any, y: Any) -> Any:
    """The sum of what is present of two arrays in C order."""
    return y if x is None else x if y is None else x + y


_OWN: Final[Mapping[Primitive, Callable[[_DualSweep, int, Any], None]]] = {
    rows.sum_: _DualSweep.spread_sum,
    rows.getitem: _DualSweep.put_back,
    rows.matmul: _DualSweep.product,
}
