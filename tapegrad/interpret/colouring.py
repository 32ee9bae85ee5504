"""Groups of columns that one sweep can compute together, so that each entry can be read off.

Colours are handed out greedily to one vertex after the other, those with most neighbours first.
The colours around a vertex are the bits of an int, so a vertex costs as many operations on ints as
it has neighbours. No choice depends on anything but the pattern: the same one has the same colours
in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

__all__ = ["distance_one", "star"]


def distance_one(lines: Sequence[Sequence[int]], crossings: int) -> list[int]:
    """Colours for the lines (columns, say), different ones for any two that share a crossing (row).

    ``lines`` holds the crossings of each line, numbers below ``crossings``. A line without any has
    the colour -1. This is the column intersection graph of A. Curtis, M. Powell and J. Reid, On the
    estimation of sparse Jacobian matrices (1974), coloured as by T. Coleman and J. Moré (1983).

    >>> distance_one([[0], [0, 1], [1], []], 2)
    [1, 0, 1, -1]
    """
    colours, taken = [-1] * len(lines), [0] * crossings
    weights = [0] * crossings
    for line in lines:
        for crossing in line:
            weights[crossing] += 1
    for index in _largest_first([sum(weights[crossing] for crossing in line) for line in lines]):
        bit = _free(taken[crossing] for crossing in lines[index])
        colours[index] = bit.bit_length() - 1
        for crossing in lines[index]:
            taken[crossing] |= bit
    return colours


def star(neighbours: Sequence[Sequence[int]]) -> list[int]:
    """Colours for the vertices of a graph, such that every path of four has three or more.

    Neighbours differ, and in the groups of a symmetric matrix each entry is alone in a row of its
    own group or of that of its transposed entry: T. Coleman and J. Moré, Estimation of sparse
    Hessian matrices and graph coloring problems (1984). The greedy rule is that of A. Gebremedhin,
    F. Manne and A. Pothen, What color is your Jacobian? (2005), with colours seen at a distance of
    two kept in the vertices between. ``neighbours`` is symmetric, and no vertex is its own.

    >>> star([[1], [0, 2], [1, 3], [2]])
    [1, 0, 1, 2]
    """
    graph = _Stars(neighbours)
    for vertex in _largest_first([len(near) + 1 for near in neighbours]):
        graph.colour(vertex)
    return graph.colours


class _Stars:
    """A graph that is being coloured.

    ``near`` holds the colours of a vertex's neighbours, and ``often`` those of two or more of them;
    ``hubs`` holds the colours of those neighbours that have another neighbour of its own colour.
    """

    def __init__(self, neighbours: Sequence[Sequence[int]]) -> None:
        count = len(neighbours)
        self.neighbours = neighbours
        self.colours = [-1] * count
        self.near, self.often, self.hubs = [0] * count, [0] * count, [0] * count
        self.first: list[dict[int, int]] = [{} for _ in range(count)]

    def colour(self, vertex: int) -> None:
        """Give a vertex the lowest colour with which no path of four has but two."""
        coloured = [other for other in self.neighbours[vertex] if self.colours[other] >= 0]
        middle = (self.near[other] for other in coloured if self._is_often(vertex, other))
        ends = (self.hubs[other] for other in coloured)
        bit = _free((self.near[vertex], *ends, *middle))
        self.colours[vertex] = bit.bit_length() - 1
        for other in coloured:
            if self._is_often(vertex, other):
                self.hubs[other] |= bit
        for other in self.neighbours[vertex]:
            self._show(vertex, other, bit)

    def _is_often(self, vertex: int, other: int) -> bool:
        return bool(self.often[vertex] >> self.colours[other] & 1)

    def _show(self, vertex: int, other: int, bit: int) -> None:
        """Let ``other`` see the colour of its neighbour ``vertex``."""
        if not self.near[other] & bit:
            self.near[other] |= bit
            self.first[other][bit] = vertex
            return
        self.often[other] |= bit
        if self.colours[other] >= 0:
            hub = 1 << self.colours[other]
            self.hubs[vertex] |= hub
            self.hubs[self.first[other][bit]] |= hub


def _free(taken: Iterable[int]) -> int:
    """The lowest bit that none has."""
    bits = reduce(or_, taken, 0)
    return ~bits & (bits + 1)


def _largest_first(weights: Sequence[int]) -> list[int]:
    """The indices by falling weight, those without any left out."""
    return sorted(
        (index for index, weight in enumerate(weights) if weight), key=lambda index: -weights[index]
    )
