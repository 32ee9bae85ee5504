"""A function recorded at the point where its derivatives are checked."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast, final

from tapegrad._support.source_position import here
from tapegrad.check.entry_partials import EntryPartial, entry_partials
from tapegrad.errors import InputError
from tapegrad.pytree.structure import build
from tapegrad.recording.recorder import Trace, trace
from tapegrad.sweep.forward import tangents
from tapegrad.sweep.reverse import cotangents
from tapegrad.transforms.record import tape_of
from tapegrad.transforms.traced_call import Data

__all__ = ["RecordedPoint", "Slots", "magnitude"]

Slots: TypeAlias = Sequence[float | None]
"""A tangent or a cotangent for each slot, None where none arrived."""

_EPS: Final = sys.float_info.epsilon

_CANCELLATION: Final = 1e-9
"""The relative error that cancellation inside an entry may give a derivative."""

_ROUNDINGS: Final = 16.0
"""The most roundings in one partial."""


@final
class RecordedPoint:
    """A function recorded at a point, and its derivatives there by either mode."""

    def __init__(self, f: Callable[..., object], x: object, data: Data) -> None:
        self.f = f
        self.data = data
        self.traced = trace(f, x, data, positions=True)
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

    @functools.cached_property
    def bars(self) -> Sequence[Slots]:
        """For each output the cotangents of all slots."""
        return [self.cotangents({output: 1.0}) for output in self.outputs]

    @functools.cached_property
    def partials(self) -> Sequence[EntryPartial]:
        """The partial of every entry in every operand."""
        return list(entry_partials(self.columns))

    def rounding(self, bars: Slots, dots: Slots, size: float) -> float:
        """The rounding error that a derivative of this size can have.

        It grows with the largest product of a cotangent, a partial and a tangent.
        """
        products = (magnitude(bars[x.slot], x.partial, dots[x.operand]) for x in self.partials)
        largest = max((product for product in products if math.isfinite(product)), default=0.0)
        relative = math.fabs(size) if math.isfinite(size) else 0.0
        return _CANCELLATION * relative + (_ROUNDINGS + len(bars)) * _EPS * largest

    def moved(self, index: int, x: float) -> Trace | None:
        """The function recorded again with one input at ``x``; None where it raises."""
        leaves = list(self.values[: self.traced.width])
        leaves[index] = x
        try:
            moved = trace(self.f, build(self.traced.parameters, leaves), self.data)
        except (ArithmeticError, ValueError):
            return None
        return moved if len(moved.outputs) == len(self.outputs) else None


def magnitude(*factors: float | None) -> float:
    """The absolute value of a product; 0 with an absent factor, and inf for nan."""
    if None in factors:
        return 0.0
    product = math.fabs(math.prod(cast("tuple[float, ...]", factors)))
    return math.inf if math.isnan(product) else product
