"""Expressions in place of calls have the bits of the calls, over the whole double range."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tapegrad.ops import table as ops
from tapegrad.ops.inline import INLINE, INLINE_NAMES, inlined
from tapegrad.ops.primitive import Primitive

COUNT = 300
AWKWARD = [
    sign * size
    for sign in (1.0, -1.0)
    for size in (
        0.0, 5e-324, 2.3e-308, 1e-290, 1e-155, 1e-8, 0.5, 0.67, 1.0, 2.0, 3.0, 20.0, 40.0, 700.0,
        709.0, 710.0, 1023.0, 1e50, 1e155, 1e290, 1.7e308, math.inf, math.nan,
    )
]  # fmt: skip


def of(row: Primitive, *operands: str) -> Any:
    """The expression of a row as a function; where the row is called, it gives None."""
    names = [f"x{index}" for index in range(len(operands))]
    text = inlined(row, list(operands), "None")
    return eval(f"lambda {', '.join(names)}: {text}", dict(INLINE_NAMES))  # noqa: S307  # our own


def numbers(row: Primitive, count: int) -> Iterator[list[float]]:
    """Awkward numbers in all combinations, and random ones of any magnitude and of an ordinary."""
    source = random.Random(row.name)
    for first in AWKWARD:
        for second in AWKWARD if count > 1 else AWKWARD[:1]:
            yield [first, second, source.choice(AWKWARD)][:count]
    for _ in range(COUNT):
        anything = [struct.unpack("d", source.randbytes(8))[0] for _ in range(count)]
        yield anything
        yield [source.uniform(-5.0, 5.0) for _ in range(count)]
        yield [source.choice((1.0, -1.0)) * 10.0 ** source.uniform(-60, 60) for _ in range(count)]
        yield [source.choice((0.5, 1.0, 2.0, 3.0, -1.0, -0.5, 1.5)) for _ in range(count)]


def arity(row: Primitive) -> int:
    return 2 if row.arity is None else row.arity + row.has_static


@pytest.mark.parametrize("row", INLINE, ids=lambda row: row.name)
def test_an_expression_has_the_bits_of_the_call(row: Primitive) -> None:
    """And raises nothing, and serves the ordinary numbers."""
    count, served = arity(row), 0
    expression = of(row, *(f"x{index}" for index in range(count)))
    for xs in numbers(row, count):
        found = expression(*xs)
        if found is not None:
            assert repr(found) == repr(row.value(*xs)), xs
            served += 1
    assert served >= COUNT / 4


COMMUTING = [row for row in ops.TABLE.rows if row.commutes_from is not None]


@pytest.mark.parametrize("row", COMMUTING, ids=lambda row: row.name)
def test_operands_that_may_change_places_give_the_same_bits(row: Primitive) -> None:
    """Over the whole double range: rewriting relies on it, and the sweeps do."""
    fixed = row.commutes_from
    for xs in numbers(row, row.arity or 2 + bool(fixed)):
        exchanged = [*xs[:fixed], *xs[:fixed:-1], xs[fixed or 0]]
        assert repr(row.value(*exchanged)) == repr(row.value(*xs)), xs


def test_an_operand_is_computed_once() -> None:
    """One that is an expression gets a name where that is needed, and else the row is called."""
    assert inlined(ops.div, ["x", "y"], "f(x, y)") == "x / y if y else f(x, y)"
    assert inlined(ops.div, ["x", "f(y)"], "g(...)") == "x / v1 if (v1 := f(y)) else g(...)"
    assert inlined(ops.maximum, ["f(x)", "y"], "g(...)") == "g(...)"


def test_a_row_of_any_number_of_operands_has_an_expression_for_two() -> None:
    """Of others it is called."""
    assert inlined(ops.hypot, ["x", "y"], "f(...)") == "hypot(x, y)"
    for operands in (["x"], ["x", "y", "z"]):
        assert inlined(ops.direction, operands, "f(...)") == "f(...)"
