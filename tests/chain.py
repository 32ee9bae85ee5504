"""The chain rule in exact arithmetic on the partials of a tape: what every mode must give.

A derivative is a sum over the paths from inputs to an output, each a product of partials. The modes
multiply and add them in orders of their own, and IEEE arithmetic has no order in which both are
right everywhere: 0 * inf is nan, and a product may overflow on the way to a small number. So the
law has three parts, and `Derivative.allows` states them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from typing import cast

import attrs

from tapegrad.entries.columns import EntryColumns

__all__ = ["Derivative", "derivative"]

ROUNDING = Fraction(1, 2**50)
"""For each edge of a path: one product and one sum, with some room."""
UNDERFLOW = Fraction(1, 2**1074)
"""The smallest double, by which a product that underflows may be off."""
OVERFLOW = Fraction(sys.float_info.max) / 2


@attrs.frozen
class Derivative:
    """A derivative of one output along a direction.

    `total` is the sum over the paths, or None where a partial on one of them is not finite, and
    `size` the sum of their magnitudes. `edges` counts the partials on paths, and `stretch` is the
    largest sum of magnitudes of products along any stretches of the paths that end in one entry.
    """

    total: Fraction | None
    size: Fraction
    edges: int
    stretch: Fraction

    @property
    def error(self) -> Fraction:
        """By how much any order of products and sums may miss the total, if nothing overflows."""
        underflow = UNDERFLOW * (1 + self.stretch) ** 2
        return self.edges * (ROUNDING * self.size + underflow)

    def allows(self, got: float) -> bool:
        """Whether a mode may give this number.

        A partial on a path that is not finite makes the derivative inf or nan; which of them is a
        matter of order. Otherwise a finite derivative is the total but for rounding, and one that
        is not finite tells that a product overflowed.
        """
        if self.total is None:
            return not isfinite(got)
        if not isfinite(got):
            return self.stretch > OVERFLOW
        return abs(Fraction(got) - self.total) <= self.error


def derivative(columns: EntryColumns, seeds: Mapping[int, float], output: int) -> Derivative:
    """The derivative of a slot along the tangents of some inputs, which are given by slot."""
    edges = [_edges(columns, slot) for slot in range(output + 1)]
    on_path = _on_paths(edges, seeds)
    used = [
        [(operand, partial) for operand, partial in found if on_path[slot] and on_path[operand]]
        for slot, found in enumerate(edges)
    ]
    count = sum(map(len, used))
    if not all(isfinite(partial) for found in used for _, partial in found):
        return Derivative(None, Fraction(0), count, Fraction(0))
    sums = {slot: Fraction(seed) for slot, seed in seeds.items() if slot <= output}
    sizes = {slot: abs(seed) for slot, seed in sums.items()}
    stretches = dict.fromkeys(sums, Fraction(0))
    for slot, found in enumerate(used):
        if found:
            terms = [(operand, Fraction(partial)) for operand, partial in found]
            sums[slot] = Fraction(sum(sums[operand] * p for operand, p in terms))
            sizes[slot] = Fraction(sum(sizes[operand] * abs(p) for operand, p in terms))
            stretches[slot] = Fraction(sum((1 + stretches[x]) * abs(p) for x, p in terms))
    zero = Fraction(0)
    longest = max(stretches.values(), default=zero)
    longest *= Fraction(max(1.0, *map(abs, seeds.values())))
    return Derivative(sums.get(output, zero), sizes.get(output, zero), count, longest)


def _edges(columns: EntryColumns, slot: int) -> list[tuple[int, float]]:
    """The operands of an entry that a derivative passes through, each with its partial."""
    row, operands, arguments = columns.row(slot), columns.operands(slot), columns.arguments(slot)
    if row.kind == "choice":
        return [(operands[1] if arguments[0] else operands[2], 1.0)]
    partials = [
        row.partial(index, columns.values[slot], *arguments) for index in range(len(operands))
    ]
    return [
        (operand, cast(float, partial))
        for operand, partial in zip(operands, partials, strict=True)
        if partial is not None
    ]


def _on_paths(edges: list[list[tuple[int, float]]], starts: Mapping[int, float]) -> list[bool]:
    """For each slot whether it lies on a path from one of ``starts`` to the last slot."""
    after, before = ([False] * len(edges) for _ in range(2))
    for slot, found in enumerate(edges):
        after[slot] = slot in starts or any(after[operand] for operand, _ in found)
    before[-1] = True
    for slot in range(len(edges) - 1, -1, -1):
        for operand, _ in edges[slot] if before[slot] else ():
            before[operand] = True
    return [a and b for a, b in zip(after, before, strict=True)]
