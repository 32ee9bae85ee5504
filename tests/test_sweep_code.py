"""Generated sweeps have the bits of the rows' partials, over the whole double range."""

from __future__ import annotations

from itertools import islice

import pytest

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.forward import tangents
from tapegrad.sweep.reverse import cotangents
from tests.strategies import same_bits
from tests.test_inline import arity, numbers

ROWS = [
    row
    for row in ops.TABLE.rows
    if row.is_operation
    and row.kind != "choice"
    and row.arity in {None, 1, 2}
    and row.static_type in {object, float}
]


def width(row: Primitive) -> int:
    """The number of operands that are differentiated."""
    return arity(row) - row.has_static


def entries(row: Primitive) -> Trace:
    """Entries of one row, each with inputs of its own."""
    count = width(row)
    given = numbers(row, arity(row))
    points = [*(islice(given, 200) if arity(row) == 1 else islice(given, 0, None, 17))]

    def f(p: list[float]) -> list[object]:
        parts = (p[count * index : count * (index + 1)] for index in range(len(points)))
        return [row(*part, *xs[count:]) for part, xs in zip(parts, points, strict=True)]

    def recorded() -> Trace:
        return trace(f, [x for xs in points for x in xs[:count]], {})

    return recorded()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_share_is_the_product_with_the_partial(row: Primitive) -> None:
    """Whether the partials of an entry are computed together or not, and in either direction."""
    traced, seed = entries(row), -1.7
    columns, count = traced.columns, width(row)
    bars = cotangents(columns, dict.fromkeys(traced.outputs, seed))
    dots = [
        tangents(columns, dict.fromkeys(range(index, traced.width, count), seed))
        for index in range(count)
    ]
    for slot in traced.outputs:
        for operand, partial in columns.partials(slot):
            assert isinstance(partial, float)
            for share in (bars[operand], dots[operand % count][slot]):
                assert isinstance(share, float)
                assert same_bits(share, seed * partial), columns.arguments(slot)
