"""The partial of each entry in each operand, compared with differences of its operation."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator
from typing import Final, cast, final

import attrs

from tapegrad.check.report import exact
from tapegrad.check.smooth_pieces import piece_of
from tapegrad.entries.columns import Columns
from tapegrad.ops import table as ops
from tapegrad.transforms.finite_differences import FiniteDifference, finite_difference

__all__ = ["MARGIN", "EntryPartial", "entry_partials"]

MARGIN: Final = 10.0
"""A difference may be off by this many times its estimated error."""


def entry_partials(columns: Columns) -> Iterator[EntryPartial]:
    """The partial of every entry in every operand, on floats."""
    for slot in range(len(columns)):
        row, y, xs = columns.row(slot), columns.values[slot], columns.arguments(slot)
        for index, operand in enumerate(columns.operands(slot)):
            partial = cast("float | None", row.partial(index, y, *xs))
            yield EntryPartial(columns, slot, index, operand, 0.0 if partial is None else partial)


@final
@attrs.frozen(eq=False, slots=False)
class EntryPartial:
    """The partial of entry ``slot`` in its operand ``index``, which is slot ``operand``."""

    columns: Columns
    slot: int
    index: int
    operand: int
    partial: float

    @functools.cached_property
    def estimate(self) -> FiniteDifference:
        """The partial by differences of the row, on the smooth piece that it was recorded on."""
        row, index = self.columns.row(self.slot), self.index
        y = cast(float, self.columns.values[self.slot])
        xs = cast("tuple[float, ...]", self.columns.arguments(self.slot))
        piece = piece_of(row, y, *xs)

        def value(x: float) -> float:
            moved = (*xs[:index], x, *xs[index + 1 :])
            z = row.value(*moved)
            return z if piece_of(row, z, *moved) == piece else math.nan

        return finite_difference(value, xs[index])

    @property
    def error(self) -> float:
        """The error of the partial as far as differences prove one; else 0."""
        if math.isnan(self.partial):
            return math.inf
        error = math.fabs(self.partial - self.estimate.value)
        tolerance = MARGIN * self.estimate.error + sys.float_info.epsilon * math.fabs(self.partial)
        return error if error > tolerance else 0.0

    def __str__(self) -> str:
        row = self.columns.row(self.slot)
        if row is ops.detached:
            return "stop_gradient lets no derivative pass"
        operand = f" in operand {self.index}" if row.arity != 1 else ""
        found = self.estimate.value
        right = "" if math.isnan(found) else f", not {exact(found)}"
        return f"the partial of {row.name}{operand} is {exact(self.partial)}{right}"
