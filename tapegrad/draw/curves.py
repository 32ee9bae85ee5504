"""The ways of arrows between boxes in layers: curves that are level where they pass one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import sqrt
from typing import Final, TypeAlias, final

import attrs

from tapegrad.draw.picture import Arrow
from tapegrad.draw.placed import Point, Route, label_width

__all__ = ["LOOP", "Edge", "Spot", "routes_along"]

LOOP: Final = 20.0
"""How far an arrow from a box to itself goes."""
_HEAD: Final = 7.0
"""The length of an arrow's head."""

Edge: TypeAlias = tuple[int, int]


@final
@attrs.define(eq=False)
class Spot:
    """A box, a label or a bend of an arrow: its extents along the layers and across, its place.

    ``after`` is room for an arrow from the box to itself, and ``operand`` the number of the operand
    that it is, or that it leads from.
    """

    long: float
    wide: float
    shape: str = ""
    after: float = 0.0
    operand: int = 0
    layer: int = 0
    at: float = 0.0
    along: float = 0.0


def routes_along(
    spots: Sequence[Spot],
    ends: Sequence[Edge],
    chains: Sequence[Sequence[int]],
    arrows: Sequence[Arrow],
    *,
    is_flat: bool,
) -> Iterator[Route]:
    """The ways of the arrows along the layers, as if these went to the right."""
    leaving = _ports(spots, chains, end=0)
    arriving = _ports(spots, chains, end=-1)
    for number, ((tail, _), chain, arrow) in enumerate(zip(ends, chains, arrows, strict=True)):
        if not chain:
            yield _loop(spots[tail], arrow, is_flat=is_flat)
            continue
        is_turned = chain[0] != tail
        start = _port(spots[chain[0]], leaving[number], 1.0)
        stop = _port(spots[chain[-1]], arriving[number], -1.0)
        inner = [spots[at] for at in chain[1:-1]]
        label = next((spot for spot in inner if spot.shape == "label"), None)
        parts = list(_parts(start, inner, stop))
        if is_turned:
            parts = [part[::-1] for part in reversed(parts)]
        tip = parts[-1][-1]
        parts[-1] = _shortened(parts[-1])
        yield Route(
            arrow,
            tuple(map(_curve, parts)),
            tip,
            (label.along, label.at) if label else None,
        )


def _ports(spots: Sequence[Spot], chains: Sequence[Sequence[int]], *, end: int) -> list[float]:
    """How far from the middle of its box each arrow begins (or ends), side by side in order."""
    beside = 1 if end == 0 else -2
    groups: dict[int, list[int]] = {}
    for number, chain in enumerate(chains):
        if chain:
            groups.setdefault(chain[end], []).append(number)
    found = [0.0] * len(chains)
    for at, numbers in groups.items():
        numbers.sort(key=lambda number: spots[chains[number][beside]].at)
        step = min(9.0, 0.7 * spots[at].wide / len(numbers))
        for place, number in enumerate(numbers):
            found[number] = (place - (len(numbers) - 1) / 2.0) * step
    return found


def _port(spot: Spot, offset: float, side: float) -> Point:
    """The point on the border of a box at some distance from its middle."""
    share = min(abs(offset) / (spot.wide / 2.0), 1.0)
    inner = {"operation": sqrt(1.0 - share * share), "guard": 1.0 - share}.get(spot.shape, 1.0)
    return spot.along + side * inner * spot.long / 2.0, spot.at + offset


def _parts(start: Point, inner: Sequence[Spot], stop: Point) -> Iterator[list[Point]]:
    """The points that an arrow passes, in two parts where a label stands between them."""
    part = [start]
    for spot in inner:
        edges = ((spot.along - spot.long / 2.0, spot.at), (spot.along + spot.long / 2.0, spot.at))
        if spot.shape == "label":
            yield [*part, edges[0]]
            part = [edges[1]]
        else:
            part.append(edges[0])
    yield [*part, stop]


def _curve(points: Sequence[Point]) -> tuple[Point, ...]:
    """A curve through points, level at each of them."""
    found = [points[0]]
    for (x, y), (u, v) in pairwise(points):
        bend = (u - x) / 2.0
        found += [(x + bend, y), (u - bend, v), (u, v)]
    return tuple(found)


def _shortened(points: list[Point]) -> list[Point]:
    """The points without the length of the head."""
    (x, _), (u, v) = points[-2:]
    return [*points[:-1], (u - _HEAD if u > x else u + _HEAD, v)]


def _loop(spot: Spot, arrow: Arrow, *, is_flat: bool) -> Route:
    """An arrow from a box to itself, beside it, with its label beyond."""
    y, half = spot.at + spot.wide / 2.0, min(12.0, spot.long / 4.0)
    x, far = spot.along, spot.at + spot.wide / 2.0 + LOOP
    points = ((x - half, y), (x - half, far), (x + half, far), (x + half, y + _HEAD))
    beyond = 7.0 if is_flat else label_width(arrow.label) / 2.0
    return Route(arrow, (points,), (x + half, y), (x, far - 3.0 + beyond))
