"""Values as ranges: a number is one itself, an array goes from its smallest to its largest."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, cast

from tapegrad.ops.primitive import Shape, shape_of

__all__ = ["ends", "is_finite", "place_of", "worst"]


def ends(value: float) -> list[float]:
    """A number; of an array the smallest and the largest that is finite, and what is not.

    >>> import numpy as np
    >>> ends(2.0), ends(np.array([[1.0, 3.0], [np.inf, 2.0]]))
    ([2.0], [1.0, 3.0, inf])
    """
    if not shape_of(value):
        return [value]
    array = cast(Any, value).ravel() + 0.0
    finite = array[abs(array) < inf]
    found = [float(finite.min()), float(finite.max())] if finite.size else []
    if finite.size < array.size:
        odd = array[~(abs(array) < inf)].tolist()
        found += {str(x): x for x in odd}.values()
    return found


def is_finite(value: float) -> bool:
    """Whether a number is finite, or all those of an array."""
    return isfinite(value) if not shape_of(value) else all(map(isfinite, ends(value)))


def worst(value: float) -> tuple[int, ...]:
    """The place of the first number of an array that is not finite."""
    array = cast(Any, value)
    return place_of(~(abs(array) < inf), array.shape)


def place_of(condition: Any, shape: Shape) -> tuple[int, ...]:
    """The first place at which a condition holds, in C order."""
    flat = condition.ravel().tolist().index(True)
    place: list[int] = []
    for length in reversed(shape):
        flat, at = divmod(flat, length)
        place.insert(0, at)
    return tuple(place)
