"""A function recorded at the point where its derivatives are checked, and its partials there."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad._support.cached import cached
from tapegrad._support.source_position import here
from tapegrad.check.report import exact
from tapegrad.check.smooth_pieces import piece_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.pytree.structure import build
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.forward import tangents
from tapegrad.sweep.reverse import cotangents
from tapegrad.transforms.finite_differences import LEAST, FiniteDifference, finite_difference
from tapegrad.transforms.record import AnyTape, tape_of
from tapegrad.transforms.traced_call import Data, require_numbers

__all__ = ["MARGIN", "EntryPartial", "RecordedPoint", "Slots", "magnitude"]

Slots: TypeAlias = Sequence[float | None]
"""A tangent or a cotangent for each slot, None where none arrived."""

MARGIN: Final = 10.0
"""A difference may be off by this many times its estimated error."""

_EPS: Final = sys.float_info.epsilon

_CANCELLATION: Final = 1e-9
"""The relative error that cancellation inside an entry may give a derivative."""

_ROUNDINGS: Final = 16.0
"""The most roundings in one partial."""


@final
class RecordedPoint:
    """A function recorded at a point, and its derivatives there by either mode."""

    traced: Trace
    columns: EntryColumns
    tape: AnyTape
    values: Sequence[float]
    inputs: tuple[str, ...]
    outputs: tuple[int, ...]

    def __init__(self, f: Callable[..., object], x: object, data: Data) -> None:
        self.f = f
        self.data = data
        self.traced = trace(f, x, data, positions=True)
        require_numbers(f, self.traced.result, "check_grad")
        self.columns = self.traced.columns
        if self.columns.traced:
            raise InputError(
                f"check_grad ({here()}) is given traced numbers: call it with plain ones, "
                "outside the recorded function"
            )
        self.tape = tape_of(f, self.traced)
        self.values = cast("Sequence[float]", self.columns.values)
        self.inputs = self.tape.paths[: self.traced.width]
        self.outputs = self.traced.outputs

    def tangents(self, seeds: Mapping[int, float]) -> Slots:
        """The tangents of all slots, given those of some inputs."""
        return cast(Slots, tangents(self.columns, seeds))

    def cotangents(self, seeds: Mapping[int, float]) -> Slots:
        """The cotangents of all slots, given those of some outputs."""
        return cast(Slots, cotangents(self.columns, seeds))

    @cached
    def bars(self) -> Sequence[Slots]:
        """For each output the cotangents of all slots."""
        return [self.cotangents({output: 1.0}) for output in self.outputs]

    @cached
    def partials(self) -> Sequence[EntryPartial]:
        """The partial of every entry in every operand."""
        return list(_partials(self.columns))

    def rounding(self, bars: Slots, dots: Slots, size: float) -> float:
        """The rounding error that a derivative of this size can have.

        It grows with the largest product of a cotangent, a partial and a tangent.
        """
        products = (magnitude(bars[x.slot], x.partial, dots[x.operand]) for x in self.partials)
        largest = max((product for product in products if math.isfinite(product)), default=0.0)
        relative = math.fabs(size) if math.isfinite(size) else 0.0
        return _CANCELLATION * relative + (_ROUNDINGS + len(bars)) * _EPS * largest

    def noise(self, bars: Slots) -> float:
        """The largest error that the rounding or the underflow of one entry gives an output."""
        computed = (slot for slot in range(len(bars)) if self.columns.row(slot).is_operation)
        bars_and_values = ((bars[slot], self.values[slot]) for slot in computed)
        errors = (max(_EPS * magnitude(x, y), LEAST * magnitude(x)) for x, y in bars_and_values)
        return max(filter(math.isfinite, errors), default=LEAST)

    def moved(self, index: int, x: float) -> Trace | None:
        """The function recorded again with one input at ``x``; None where it raises."""
        leaves = list(self.values[: self.traced.width])
        leaves[index] = x
        return self.moved_to(leaves)

    def moved_to(self, leaves: Sequence[object]) -> Trace | None:
        """The function recorded again with other inputs; None where it raises."""
        try:
            moved = trace(self.f, build(self.traced.parameters, leaves), self.data)
        except (ArithmeticError, ValueError, LookupError, TracedNumberError):
            return None  # outside the domain, beyond the end of a table, between two indices
        return moved if len(moved.outputs) == len(self.outputs) else None


def _partials(columns: EntryColumns) -> Iterator[EntryPartial]:
    """The partial of every entry in every operand, on floats."""
    for slot in range(len(columns)):
        row, y, xs = columns.row(slot), columns.values[slot], columns.arguments(slot)
        partial_in = row.each_partial(y, *xs)
        for index, operand in enumerate(columns.operands(slot)):
            partial = cast("float | None", partial_in(index))
            yield EntryPartial(columns, slot, index, operand, 0.0 if partial is None else partial)


@final
@attrs.frozen(eq=False, slots=False)
class EntryPartial:
    """The partial of entry ``slot`` in its operand ``index``, which is slot ``operand``."""

    columns: EntryColumns
    slot: int
    index: int
    operand: int
    partial: float

    @cached
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

        return finite_difference(value, xs[index], self.partial)

    @property
    def error(self) -> float:
        """The error of the partial as far as differences prove one; else 0."""
        if math.isnan(self.partial):
            return math.inf
        error = math.fabs(self.partial - self.estimate.value)
        tolerance = MARGIN * self.estimate.error + _EPS * math.fabs(self.partial)
        return error if error > tolerance else 0.0

    def __str__(self) -> str:
        row = self.columns.row(self.slot)
        if row is ops.detached:
            return "stop_gradient lets no derivative pass"
        operand = f" in operand {self.index}" if row.arity != 1 else ""
        found = self.estimate.value
        right = "" if math.isnan(found) else f", not {exact(found)}"
        return f"the partial of {row.name}{operand} is {exact(self.partial)}{right}"


def magnitude(*factors: float | None) -> float:
    """The absolute value of a product; 0 with an absent factor, and inf for nan."""
    if None in factors:
        return 0.0
    product = math.fabs(math.prod(cast("tuple[float, ...]", factors)))
    return math.inf if math.isnan(product) else product
