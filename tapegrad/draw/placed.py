"""Where a layout puts boxes, frames and arrows, in pixels from the left and from the top."""

from __future__ import annotations

from typing import Final, TypeAlias, final

import attrs

from tapegrad.draw.letters import text_width
from tapegrad.draw.picture import Arrow

__all__ = ["LABEL_SIZE", "FramePlace", "Placed", "Point", "Route", "label_width"]

Point: TypeAlias = tuple[float, float]

LABEL_SIZE: Final = 11.0
"""The size of the letters on arrows."""


def label_width(text: str) -> float:
    """The room for the text on an arrow, with some between it and the line."""
    return text_width(text, LABEL_SIZE) + 6.0


@final
@attrs.frozen
class Route:
    """The way of an arrow: curves, each a point and then three for each piece of it, and the tip.

    The label stands between two curves, or beside the one of an arrow from a box to itself.
    """

    arrow: Arrow
    curves: tuple[tuple[Point, ...], ...]
    tip: Point
    label: Point | None = None


@final
@attrs.frozen
class FramePlace:
    """A frame: its title, its left upper corner and its size."""

    title: str
    x: float
    y: float
    width: float
    height: float


@final
@attrs.frozen
class Placed:
    """A picture's size, the middle of each box by its name, and the ways of its arrows."""

    width: float
    height: float
    boxes: dict[str, Point]
    routes: tuple[Route, ...]
    frames: tuple[FramePlace, ...] = ()
