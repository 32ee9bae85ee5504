"""Compares the partials of a custom rule with finite differences of its function."""

from __future__ import annotations

from math import fabs, isfinite
from typing import Final, Literal, cast, final

import attrs

from tapegrad._support.source_position import here
from tapegrad.errors import PrimitiveError
from tapegrad.ops.primitive import Primitive
from tapegrad.transforms.finite_differences import FiniteDifference, finite_difference

__all__ = ["Check", "check_partial"]

_DECISIVE: Final = 5e-9
"""The largest relative error of a difference that tells apart partials which differ by 10^-7."""

_ROUGH: Final = 1e-3
"""The largest relative error of a difference that can refuse a partial."""


@final
@attrs.frozen(repr=False)
class Check:
    """One partial at one point, beside the derivative that differences find there.

    ``error`` is the estimated error of ``difference``. It is "not decided" where the difference
    would not have told the partial from one that is wrong by one part in 10^7, because its error
    is too large, the derivative is zero, or the function has a kink there.
    """

    operand: str
    point: tuple[float, ...]
    partial: float
    difference: float
    error: float
    outcome: Literal["agrees", "not decided"]

    def __repr__(self) -> str:
        at = ", ".join(map(repr, self.point))
        text = f"partial in {self.operand} at ({at}) {self.outcome}: {self.partial!r}"
        if self.outcome == "agrees":
            return f"<{text}>"
        return f"<{text}, by differences {self.difference!r} +- {self.error:.1g}>"


def check_partial(
    name: str, row: Primitive, index: int, operand: str, xs: tuple[float, ...]
) -> Check:
    """Compares the partial in operand ``index``, called ``operand``, with differences at ``xs``.

    Raises:
        PrimitiveError: when they contradict the partial.
    """
    partial = row.partial(index, row.value(*xs), *xs)
    slope = 0.0 if partial is None else cast(float, partial)

    def along(x: float) -> float:
        return row.value(*xs[:index], x, *xs[index + 1 :])

    found = finite_difference(along, xs[index], slope)
    size = max(fabs(slope), fabs(found.value))
    if _is_contradicted(slope, found):
        point = repr(xs[0] if len(xs) == 1 else xs)
        raise PrimitiveError(
            f"the partial of {name} in {operand} at {point} is {slope!r}, and "
            f"differences give {found.value!r} with an error of {found.error:.1g} ({here()}): "
            "mend the partial"
        )
    is_seen = isfinite(size) and found.error <= _DECISIVE * size and found.is_near(slope)
    is_decided = is_seen or (partial is None and found.value == 0.0)
    outcome: Literal["agrees", "not decided"] = "agrees" if is_decided else "not decided"
    return Check(operand, xs, slope, found.value, found.error, outcome)


def _is_contradicted(slope: float, found: FiniteDifference) -> bool:
    """Whether differences tell a slope from the right one, whatever the length of their steps."""
    if not isfinite(found.error):
        return False
    rough = found.error > _ROUGH * max(fabs(slope), fabs(found.value))
    return not (rough or found.is_near(slope) or any(x.is_near(slope) for x in found.rivals))
