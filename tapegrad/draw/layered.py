"""A layout of small pictures in layers, for where no Graphviz is (after Sugiyama).

Boxes stand in layers, each behind those it reads; the order in a layer is that with the fewest
crossings found, and the places are the nearest to what a box is joined to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import attrs

from tapegrad.draw.curves import LOOP, Edge, Spot, routes_along
from tapegrad.draw.measured import Measured
from tapegrad.draw.picture import Arrow, Rankdir
from tapegrad.draw.placed import Placed, Point, Route, label_width

__all__ = ["MOST", "layered"]

MOST: Final = 150
"""The most boxes that are laid out here; with more, the picture would be a tangle."""

_GAP: Final = 22.0
"""The room between layers."""
_BESIDE: Final = 12.0
"""The room between boxes of a layer."""
_SWEEPS: Final = 12


def layered(boxes: Sequence[Measured], arrows: Sequence[Arrow], rankdir: Rankdir) -> Placed:
    """Places boxes, labels and arrows; frames are not drawn."""
    is_flat = rankdir == "LR"
    spots = [
        Spot(*((x.width, x.height) if is_flat else (x.height, x.width)), x.box.kind) for x in boxes
    ]
    index = {x.box.name: at for at, x in enumerate(boxes)}
    ends = [(index[arrow.tail], index[arrow.head]) for arrow in arrows]
    chains = _chains(spots, ends, arrows, is_flat=is_flat)
    layers = _in_layers(spots)
    edges = [pair for chain in chains for pair in pairwise(chain)]
    _order(layers, spots, edges)
    _place(layers, spots, edges)
    routes = tuple(routes_along(spots, ends, chains, arrows, is_flat=is_flat))
    return _drawn(boxes, spots, routes, is_flat=is_flat)


# Layers.


def _chains(
    spots: list[Spot], ends: Sequence[Edge], arrows: Sequence[Arrow], *, is_flat: bool
) -> list[list[int]]:
    """For each arrow the spots it passes, from layer to layer; labels and bends are new spots."""
    forward = _forward(len(spots), ends)
    _count_operands(spots, forward)
    for (tail, head), arrow in zip(ends, arrows, strict=True):
        if tail == head:
            spots[tail].after = LOOP + (label_width(arrow.label) if not is_flat else 14.0)
    long = [2 if arrow.label else 1 for arrow in arrows]
    _assign(spots, forward, long)
    chains = []
    for (tail, head), arrow in zip(forward, arrows, strict=True):
        first, last = spots[tail].layer, spots[head].layer
        middle = (first + last) // 2 if arrow.label else -1
        chain = [tail]
        for layer in range(first + 1, last):
            spot = Spot(0.0, 2.0, layer=layer, operand=spots[tail].operand)
            if layer == middle:
                size = label_width(arrow.label), 14.0
                spot.long, spot.wide, spot.shape = *(size if is_flat else size[::-1]), "label"
            chain.append(len(spots))
            spots.append(spot)
        chains.append([*chain, head] if tail != head else [])
    return chains


def _count_operands(spots: Sequence[Spot], edges: Sequence[Edge]) -> None:
    """Numbers what is read by the order in which its first reader reads it."""
    counts = [0] * len(spots)
    numbered: set[int] = set()
    for tail, head in edges:
        if tail not in numbered:
            spots[tail].operand = counts[head]
            numbered.add(tail)
        counts[head] += 1


def _forward(count: int, ends: Sequence[Edge]) -> list[Edge]:
    """The arrows, with those that close a circle turned round."""
    heads: list[list[int]] = [[] for _ in range(count)]
    for tail, head in ends:
        heads[tail].append(head)
    done, open_ = [False] * count, [False] * count
    turned: set[Edge] = set()
    for root in range(count):
        stack = [(root, iter(heads[root]))] if not done[root] else []
        while stack:
            at, rest = stack[-1]
            open_[at] = True
            head = next((head for head in rest if not done[head]), -1)
            if head < 0:
                done[at], open_[at] = True, False
                stack.pop()
            elif open_[head]:
                turned.add((at, head))
            else:
                stack.append((head, iter(heads[head])))
    return [(head, tail) if (tail, head) in turned else (tail, head) for tail, head in ends]


def _assign(spots: Sequence[Spot], edges: Sequence[Edge], long: Sequence[int]) -> None:
    """The layer of each box: behind those it reads, and near its use if that lengthens nothing."""
    pairs = [(edge, step) for edge, step in zip(edges, long, strict=True) if edge[0] != edge[1]]
    for _ in spots:
        changed = False
        for (tail, head), step in pairs:
            if spots[head].layer < spots[tail].layer + step:
                spots[head].layer, changed = spots[tail].layer + step, True
        if not changed:
            break
    for at in sorted(range(len(spots)), key=lambda at: -spots[at].layer):
        behind = [spots[head].layer - step for (tail, head), step in pairs if tail == at]
        before = sum(head == at for (_, head), _ in pairs)
        if behind and before <= len(behind):
            spots[at].layer = min(behind)


def _in_layers(spots: Sequence[Spot]) -> list[list[int]]:
    layers: list[list[int]] = [[] for _ in range(max(spot.layer for spot in spots) + 1)]
    for at, spot in enumerate(spots):
        layers[spot.layer].append(at)
    return layers


# Orders within layers.


def _order(layers: list[list[int]], spots: Sequence[Spot], edges: Sequence[Edge]) -> None:
    """Orders each layer by the middle of its neighbours, over and over; the best is kept."""
    before, after = _neighbours(edges)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, edges)
    for sweep in range(_SWEEPS):
        near = after if sweep % 2 else before
        for layer in reversed(layers) if sweep % 2 else layers:
            rank = {at: place for each in layers for place, at in enumerate(each)}
            middles = {at: _mean([rank[x] for x in near.get(at, ())], rank[at]) for at in layer}
            keys = {at: (middles[at], spots[at].operand) for at in layer}
            layer.sort(key=keys.__getitem__)
        crossings = _crossings(layers, edges)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _neighbours(edges: Sequence[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for tail, head in edges:
        before.setdefault(head, []).append(tail)
        after.setdefault(tail, []).append(head)
    return before, after


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _crossings(layers: Sequence[Sequence[int]], edges: Sequence[Edge]) -> int:
    """The number of pairs of arrows that cross between two layers, or have changed their order."""
    layer = {at: number for number, each in enumerate(layers) for at in each}
    rank = {at: place for each in layers for place, at in enumerate(each)}
    between: dict[int, list[Edge]] = {}
    for tail, head in edges:
        between.setdefault(layer[tail], []).append((rank[tail], rank[head]))
    return sum(
        (a - c) * (b - d) < 0 or (b == d and a > c)
        for pairs in between.values()
        for place, (a, b) in enumerate(pairs)
        for c, d in pairs[place + 1 :]
    )


# Places.


def _place(layers: Sequence[Sequence[int]], spots: Sequence[Spot], edges: Sequence[Edge]) -> None:
    """Places layers behind each other, and spots as near to their neighbours as order allows."""
    along = 0.0
    for layer in layers:
        deep = max((spots[at].long for at in layer), default=0.0)
        for place, at in enumerate(layer):
            spots[at].along = along + deep / 2.0
            spots[at].at = 40.0 * place
        along += deep + _GAP
    before, after = _neighbours(edges)
    for sweep in range(2 * _SWEEPS):
        near = (before, after)[sweep % 2]
        for layer in reversed(layers) if sweep % 2 else layers:
            if layer:
                _settle([spots[at] for at in layer], [_wish(spots, at, near) for at in layer])


def _wish(spots: Sequence[Spot], at: int, near: Mapping[int, Sequence[int]]) -> float:
    return _mean([spots[x].at for x in near.get(at, ())], spots[at].at)


def _settle(layer: Sequence[Spot], wishes: Sequence[float]) -> None:
    """The places nearest to the wishes, in squares, at which spots in this order do not meet."""
    offsets = [0.0]
    for spot, other in pairwise(layer):
        offsets.append(offsets[-1] + (spot.wide + other.wide) / 2.0 + spot.after + _BESIDE)
    blocks: list[tuple[float, int]] = []  # the mean of some wishes, and how many they are
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, more = blocks.pop()
            mean, count = (mean * count + before * more) / (count + more), count + more
        blocks.append((mean, count))
    means = (mean for mean, count in blocks for _ in range(count))
    for spot, mean, offset in zip(layer, means, offsets, strict=True):
        spot.at = mean + offset


def _drawn(
    boxes: Sequence[Measured], spots: Sequence[Spot], routes: Sequence[Route], *, is_flat: bool
) -> Placed:
    """The same with the upper left corner at 0, layers going to the right or down."""
    top = min(spot.at - spot.wide / 2.0 for spot in spots)
    bottom = max(spot.at + spot.wide / 2.0 + spot.after for spot in spots)
    length = max(spot.along + spot.long / 2.0 for spot in spots)

    def at(point: Point) -> Point:
        along, across = point[0], point[1] - top
        return (along, across) if is_flat else (across, along)

    moved = tuple(
        attrs.evolve(
            route,
            curves=tuple(tuple(map(at, curve)) for curve in route.curves),
            tip=at(route.tip),
            label=None if route.label is None else at(route.label),
        )
        for route in routes
    )
    places = {x.box.name: at((spot.along, spot.at)) for x, spot in zip(boxes, spots, strict=False)}
    size = (length, bottom - top)
    return Placed(*(size if is_flat else size[::-1]), places, moved)
