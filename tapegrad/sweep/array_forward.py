"""The forward sweep of tapes on which some values are arrays, on arrays and on traced ones.

A tangent may be smaller than its entry, and is then the same along the missing axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast, final

import numpy as np

from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import matmul, spread
from tapegrad.ops.array_values import matmul as product_of
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, shape_of
from tapegrad.sweep.array_kernels import LARGE, has_kernels, push_kernel
from tapegrad.sweep.forward import RecordedForward

__all__ = ["ArrayForward", "PlainArrayForward", "pushed"]


class ArrayForward(RecordedForward):
    """A forward sweep on arrays."""

    def combine(self, slot: int) -> None:
        """Adds up what the operands' tangents give an entry."""
        row = self.columns.row(slot)
        if row.array is None:
            super().combine(slot)
        elif dots := [at for at in self.columns.operands(slot) if self.numbers[at] is not None]:
            condition = self.common_condition(dots)
            values, operands = self.columns.values, self.columns.operands(slot)
            static = cast("tuple[Operand, ...]", self.columns.static(slot))
            xs, given = [values[at] for at in operands], [self.whole(at) for at in operands]
            dot = pushed(row, row.array, given, values[slot], xs, static)
            self.set(slot, None if dot is None else (dot, condition))

    def common_condition(self, slots: Sequence[int]) -> Operand | None:
        """The one number under which the tangents of all of these are present, if there is one.

        If there is none, they become 0.0 where they are absent.
        """
        conditions = [self.conditions.get(slot) for slot in slots]
        first = conditions[0]
        if first is not None and not shape_of(first) and all(x is first for x in conditions):
            return first
        for slot in slots:
            self.settle(slot)
        return None

    def whole(self, slot: int) -> Operand | None:
        """The tangent of a slot in full shape."""
        dot = self.numbers[slot]
        return None if dot is None else spread(dot, shape_of(self.columns.values[slot]))


def pushed(
    row: Primitive,
    rule: ArrayRule,
    dots: Sequence[Operand | None],
    y: Operand,
    xs: Sequence[Operand],
    static: Sequence[Operand],
) -> Operand | None:
    """The tangent of an entry whose row takes arrays as they are, from whole ones."""
    if rule.push is not None:
        return rule.push(tuple(dots), y, *xs, *static)
    if row.is_truth or all(dot is None for dot in dots):
        return None
    if rule.joint:
        zeros = (np.zeros(shape_of(x)) if shape_of(x) else 0.0 for x in xs)
        given = [zero if dot is None else dot for dot, zero in zip(dots, zeros, strict=True)]
        return row(*cast("list[Operand]", given), *static)
    total: Operand | None = None
    for index, dot in enumerate(dots):
        if dot is not None:
            term = row(*xs[:index], dot, *xs[index + 1 :], *static)
            total = term if total is None else ops.add(total, term)
    return total


Push: TypeAlias = Callable[[int], None]
"""Computes the tangent of an entry."""


@final
class PlainArrayForward(ArrayForward):
    """The same sweep where nothing is traced, by functions made once for each row."""

    def sweep(
        self, start: int, visit: Callable[[int], None] | None, outputs: Sequence[int]
    ) -> None:
        """Visits the entries from ``start`` on, and settles the tangents of ``outputs``."""
        table, codes = self.columns.table, self.columns.codes
        pushes: list[Push | None] = [None] * len(table.rows)
        for slot in range(start, len(codes)):
            code = codes[slot]
            push = pushes[code]
            if push is None:
                push = pushes[code] = self.push_of(table.rows[code])
            push(slot)
        for slot in outputs:
            self.settle(slot)

    def push_of(self, row: Primitive) -> Push:
        """The function that computes the tangents of a row's entries."""
        if row.kind == "choice":
            return self.select
        if row.kind in {"input", "constant", "guard"}:
            return _nothing
        if has_kernels(row):
            return self.by_kernel(row)
        if row is matmul:
            return self.multiply_matrices
        rule = row.array
        is_linear = rule is not None and rule.push is None and not (rule.joint or row.is_truth)
        return self.by_row(row) if is_linear and row.arity == 1 else self.combine

    def by_kernel(self, row: Primitive) -> Push:
        """Computes tangents by the row's kernels."""
        columns, dots, conditions = self.columns, self.numbers, self.conditions
        left, right, values = columns.left, columns.right, cast("Sequence[Any]", columns.values)
        is_pair, has_static = row.arity == 2, row.has_static

        def push(k: int) -> None:
            i, j = left[k], right[k]
            d0, x1, d1 = dots[i], None, None
            if is_pair:
                x1, d1 = values[j], dots[j]
            present = (d0 is not None) | (d1 is not None) << 1
            if not present:
                return
            y, x0 = values[k], values[i]
            numbers = (type(y) is float) | (type(x0) is float) << 1 | (type(x1) is float) << 2
            static = columns.statics[j] if has_static else None
            kernel = None if conditions else push_kernel(row, present, numbers, static)
            if kernel is None:
                self.combine(k)
            else:
                run = kernel.run if type(y) is float or y.size < LARGE else kernel.in_blocks
                dots[k] = run(y, x0, x1, d0, d1)[0]

        return push

    def multiply_matrices(self, slot: int) -> None:
        """Computes the tangent of a product of matrices."""
        i, j, dots = self.columns.left[slot], self.columns.right[slot], self.numbers
        if self.conditions:
            self.combine(slot)
            return
        values = cast("Sequence[Any]", self.columns.values)
        x, y, dx, dy = values[i], values[j], cast(Any, dots[i]), cast(Any, dots[j])
        if dx is not None:
            dx = product_of(cast(Any, spread(dx, x.shape)), y)
        if dy is not None:
            dy = product_of(x, cast(Any, spread(dy, y.shape)))
        dots[slot] = dy if dx is None else dx if dy is None else dx + dy

    def by_row(self, row: Primitive) -> Push:
        """Computes tangents of a linear row with one operand, by itself."""
        columns, dots, conditions = self.columns, self.numbers, self.conditions
        left, right, values = columns.left, columns.right, cast("Sequence[Any]", columns.values)
        apply, has_static = cast("Callable[..., Operand]", row.value), row.has_static

        def push(k: int) -> None:
            dot = dots[left[k]]
            if dot is None:
                return
            if conditions:
                self.combine(k)
                return
            dot = spread(dot, shape_of(values[left[k]]))
            dots[k] = apply(dot, columns.statics[right[k]]) if has_static else apply(dot)

        return push


def _nothing(slot: int) -> None:
    """Computes the tangent of an entry without operands."""
