"""Generated sweeps have the bits of the rows' partials, over the whole double range."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep import reverse
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


def test_a_sweep_goes_on_where_it_meets_a_row_for_the_first_time() -> None:
    """In the middle of a tape, too, and has the bits of a loop that has met all rows."""

    @tg.primitive(partials=lambda y, x: 3.0 * x * x, at=[0.5])
    def cube(x: float) -> float:
        return x * x * x

    @tg.checkpoint
    def block(x: Any) -> Any:
        return math.tanh(x) / x

    models: list[Callable[[Any], Any]] = [
        lambda x: x,
        lambda x: x * x,
        lambda x: math.hypot(x, cube(x)) - math.sin(x) * x,
        lambda x: block(x + 2.0) ** 3,
        lambda x: tg.where(x > 0.0, -x, x) + math.fsum([x, abs(x)]) + math.sin(x),
    ]
    reverse._float_loop.cache_clear()
    for model in models:
        traced = trace(model, 1.5, {}, blocks=True)
        start, all_rows = traced.outputs[0], reverse.ON_FLOATS.loop(ops.TABLE)
        column: list[Any] = [None] * len(traced.columns)
        column[start] = 1.0
        all_rows(traced.columns, start, column)
        assert cotangents(traced.columns, {start: 1.0}) == column


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
