"""Bounds by path, as a lowest and a highest value for each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TypeAlias

from tapegrad.errors import InputError
from tapegrad.names import nearest
from tapegrad.positions import here

__all__ = ["Limits", "bounds_of"]

Limits: TypeAlias = Mapping[str, tuple[float | None, float | None]]
"""The lowest and the highest value by path; None for no limit.

A path that leads to a container stands for all numbers in it, but for those with limits of their
own.
"""


def bounds_of(names: Sequence[str], limits: Limits) -> list[tuple[float, float]]:
    """Gives the lowest and the highest value of each name, infinite where there is no limit.

    Raises:
        InputError: when a path leads to no name, or a lower limit is above the higher one.

    >>> bounds_of(["a.x", "a.y", "b"], {"a": (0.0, None), "a.y": (None, 1.0)})
    [(0.0, inf), (-inf, 1.0), (-inf, inf)]
    """
    found = dict.fromkeys(names, (-inf, inf))
    for path in sorted(limits, key=len):
        low, high = limits[path]
        pair = -inf if low is None else low, inf if high is None else high
        _require_ordered(path, *pair)
        inside = [name for name in names if _is_inside(name, path)]
        if not inside:
            raise InputError(
                f"there is no {path!r} to give bounds ({here()}): {nearest(path, found)}"
            )
        found.update(dict.fromkeys(inside, pair))
    return list(found.values())


def _is_inside(name: str, path: str) -> bool:
    """Whether a name is that path, or a path inside it."""
    return name == path or name.startswith((f"{path}.", f"{path}["))


def _require_ordered(path: str, low: float, high: float) -> None:
    if not low <= high:
        raise InputError(
            f"the bounds of {path} are ({low!r}, {high!r}) ({here()}): give the lower one first"
        )
