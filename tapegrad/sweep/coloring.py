"""Groups columns that one sweep can compute together, so that each entry can be read off.

A group is a colour. Colours are given greedily to one vertex after the other, those with most
neighbours first. The colours around a vertex are kept as the bits of an int, so a vertex takes as
many operations on ints as it has neighbours. Choices depend on the pattern alone: the same pattern
has the same colours in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

__all__ = ["distance_one", "star"]


def distance_one(lines: Sequence[Sequence[int]], crossings: int) -> list[int]:
    """Colours lines so that two that share a crossing differ: columns that share a row, say.

    ``lines`` has the crossings of each line, numbers below ``crossings``. A line without any has
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
    """Colours a graph so that neighbours differ and every path of four vertices has three colours.

    Then each entry of a symmetric matrix stands alone in its row among the columns of its group, or
    its transposed entry does: T. Coleman and J. Moré, Estimation of sparse Hessian matrices and
    graph coloring problems (1984). The greedy rule is that of A. Gebremedhin, F. Manne and
    A. Pothen, What color is your Jacobian? (2005), with colours seen at a distance of two kept in
    the vertices between. ``neighbours`` is symmetric, and no vertex is its own neighbour.

    >>> star([[1], [0, 2], [1, 3], [2]])
    [1, 0, 1, 2]
    """
    graph = _Stars(neighbours)
    for vertex in _largest_first([len(near) + 1 for near in neighbours]):
        graph.colour(vertex)
    return graph.colours


class _Stars:
    """A graph that is being coloured.

    For each vertex ``near`` has the colours of its neighbours, ``repeated`` those that two or more
    of them have, and ``hubs`` those of neighbours with another neighbour of this vertex's colour.
    ``first`` has for each colour in ``near`` the first neighbour that got it.
    """

    def __init__(self, neighbours: Sequence[Sequence[int]]) -> None:
        count = len(neighbours)
        self.neighbours = neighbours
        self.colours = [-1] * count
        self.near, self.repeated, self.hubs = [0] * count, [0] * count, [0] * count
        self.first: list[dict[int, int]] = [{} for _ in range(count)]

    def colour(self, vertex: int) -> None:
        """Gives a vertex the lowest colour with which no path of four vertices has two colours."""
        coloured = [other for other in self.neighbours[vertex] if self.colours[other] >= 0]
        middle = (self.near[other] for other in coloured if self._is_repeated(vertex, other))
        ends = (self.hubs[other] for other in coloured)
        bit = _free((self.near[vertex], *ends, *middle))
        self.colours[vertex] = bit.bit_length() - 1
        for other in coloured:
            if self._is_repeated(vertex, other):
                self.hubs[other] |= bit
        for other in self.neighbours[vertex]:
            self._add_colour(vertex, other, bit)

    def _is_repeated(self, vertex: int, other: int) -> bool:
        """Whether two neighbours of ``vertex`` have the colour of ``other``."""
        return bool(self.repeated[vertex] >> self.colours[other] & 1)

    def _add_colour(self, vertex: int, other: int, bit: int) -> None:
        """Adds the colour of ``vertex`` to those around its neighbour ``other``."""
        if not self.near[other] & bit:
            self.near[other] |= bit
            self.first[other][bit] = vertex
            return
        self.repeated[other] |= bit
        if self.colours[other] >= 0:
            hub = 1 << self.colours[other]
            self.hubs[vertex] |= hub
            self.hubs[self.first[other][bit]] |= hub


def _free(taken: Iterable[int]) -> int:
    """The lowest bit that is set in none of these."""
    bits = reduce(or_, taken, 0)
    return ~bits & (bits + 1)


def _largest_first(weights: Sequence[int]) -> list[int]:
    """The indices by falling weight, without those of weight 0."""
    return sorted(
        (index for index, weight in enumerate(weights) if weight), key=lambda index: -weights[index]
    )
