"""Accuracy over the whole double range: many random points for every row, judged by mpmath.

The points are where rules lose digits: random bit patterns, subnormals, both sides of powers of
two, of 1 and of the places where a function of ours changes its formula, multiples of pi, and
operands that are nearly equal, opposite or reciprocal.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from typing import cast

import pytest
from mpmath import mp

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tests.oracle import ORACLE, forty_digits, truth, ulps
from tests.test_rows import OWN, SLOW, by_name, is_close, partials

ROWS = [row for row in ops.TABLE.rows if row.name in ORACLE and row.name != "product_error"]
"""The rows with a truth; that of ``product_error`` leaves out the rounding of its product."""

PLACES = [
    0.0, 5e-324, 2.3e-308, 1e-290, 1e-162, 1e-160, 1e-154, 1e-108, 0.5, 0.67, 0.69140625, 1.0,
    1.4616321449683622, math.pi / 2, 2.0, math.e, 3.0, math.pi, 8.0, 10.0, 18.0, 20.0, 26.5, 36.0,
    37.5, 38.5, 40.0, 170.6, 172.0, 250.0, 354.9, 708.4, 709.78, 745.1, 1e16, 2.0**52, 2.0**53,
    1e100, 1e154, 1.3e154, 6381956970095103 * 2.0**797, 1e290, 1.7976931348623157e308,
]  # fmt: skip
"""Where formulas change, squares leave the range, and 2**797 * 6381956970095103: of all doubles it
is the nearest to a multiple of pi / 2."""

Draw = random.Random


def bit_pattern(draw: Draw) -> float:
    return cast(float, struct.unpack("<d", struct.pack("<Q", draw.getrandbits(64)))[0])


def beside(draw: Draw, x: float, steps: int = 5) -> float:
    """A double at most so many doubles away."""
    towards = draw.choice((math.inf, -math.inf))
    for _ in range(draw.randrange(steps + 1)):
        x = math.nextafter(x, towards)
    return x


def magnitude(draw: Draw, low: float = -323.0, high: float = 308.0) -> float:
    """A number of either sign whose logarithm is uniform."""
    return math.copysign(math.pow(10.0, draw.uniform(low, high)), draw.random() - 0.5)


KINDS: tuple[Callable[[Draw], float], ...] = (
    bit_pattern,
    magnitude,
    lambda draw: beside(draw, draw.choice((1, -1)) * draw.choice(PLACES)),
    lambda draw: beside(draw, draw.choice((1, -1)) * math.ldexp(1.0, draw.randrange(-1074, 1024))),
    lambda draw: beside(draw, draw.randrange(-400, 400) * draw.choice((0.5, 1.0, math.pi / 2))),
    lambda draw: draw.choice((1, -1)) * (1.0 + magnitude(draw, -16.0, 0.0)),
    lambda draw: draw.choice((1, -1)) * math.ldexp(draw.random(), -1022),
    lambda draw: draw.uniform(-1.0, 1.0),
    lambda draw: draw.uniform(-40.0, 40.0),
    lambda draw: draw.uniform(-750.0, 750.0),
)

RELATED: tuple[Callable[[Draw, float], float], ...] = (
    beside,
    lambda draw, x: beside(draw, -x),
    lambda draw, x: x * (1.0 + magnitude(draw, -16.0, 0.0)),
    lambda draw, x: x * magnitude(draw, -20.0, 20.0),
    lambda draw, x: x + draw.uniform(-750.0, 750.0),
    lambda draw, x: beside(draw, 1.0 / x) if x else x,
)


def operand(draw: Draw, low: float, high: float, others: list[float]) -> float:
    """A finite double of an interval, often one that has to do with another operand."""
    for _ in range(200):
        if others and draw.random() < 0.6:
            x = draw.choice(RELATED)(draw, draw.choice(others))
        else:
            x = draw.choice(KINDS)(draw)
        if low <= x <= high and math.isfinite(x):
            return x
    return draw.uniform(max(low, -1e3), min(high, 1e3))


def operands(draw: Draw, row: Primitive) -> tuple[float, ...]:
    """Operands of a row anywhere in its domain, the static one included."""
    width = row.arity if row.arity is not None else draw.choice((1, 2, 3, 5, 9, 12))
    width += width if row.name == "dot" else 0
    intervals = row.domain if len(row.domain) == width else row.domain[:1] * width
    if row.name in SLOW | {"gamma_slope"}:  # mpmath takes seconds far below zero
        intervals = ((-50.0, intervals[0][1]),)
    xs: list[float] = []
    for low, high in intervals:
        xs.append(operand(draw, low, high, xs))
    if row.name == "exp_difference":
        xs.sort()
    if row.name == "shifted":
        xs[1] = float(draw.randrange(-2200, 2200))
    if row.name == "cosine":
        xs[1] = max(map(abs, xs))
    if row.name == "shifted_hypot":
        xs = [math.copysign(1.0 + draw.random(), x) for x in xs]
    return (*xs, *static(draw, row, xs[0]))


def static(draw: Draw, row: Primitive, x: float) -> tuple[float, ...]:
    if not row.has_static:
        return ()
    if row.name == "ldexp":
        return (draw.randrange(-2300, 2300),)
    if row.name == "polygamma":
        return (float(draw.choice((draw.randrange(13), draw.randrange(200)))),)
    edge = draw.uniform(-745.0, 710.0) / math.log(abs(x)) if abs(x) not in {0.0, 1.0} else 3.0
    kinds = float(draw.randrange(-9, 12)), draw.uniform(-3.0, 3.0), draw.randrange(-9, 9) + 0.5
    return (draw.choice((*kinds, edge, operand(draw, -math.inf, math.inf, [x]))),)


def wrong(row: Primitive, xs: tuple[float, ...]) -> list[str]:
    """The value of a row of our own and its first partials, as far as they are not accurate."""
    judging: list[tuple[int | None, float]] = []
    if row.name in OWN or row.helper:
        judging.append((None, row.value(*xs)))
    if not row.helper and not (row.name == "copysign" and xs[1] == 0.0):
        judging += partials(row, xs)
    return [
        f"{row.name}{xs}, {'value' if index is None else f'partial {index}'}: {got}"
        for index, got in judging
        if not is_accurate(row, index, got, xs)
    ]


def is_accurate(row: Primitive, index: int | None, got: float, xs: tuple[float, ...]) -> bool:
    """Within 4 units in the last place, or the row's stated exception.

    Forty digits settle most cases: where these agree the truth does, since chance will not.
    """
    quick = forty_digits(row.name, index, *xs)
    if mp.isfinite(quick) and quick != 0 and math.isfinite(got) and ulps(got, quick) <= 4.0:
        return True
    want = truth(row.name, index, *xs)
    return is_close(row, "value" if index is None else "partials", got, want, xs)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_values_and_first_partials_are_accurate_everywhere(row: Primitive) -> None:
    """A few random points for each row, the same in every process."""
    draw = random.Random(row.name)
    for _ in range(30 if row.name in SLOW else 60):
        assert not wrong(row, operands(draw, row))


@pytest.mark.parametrize(
    "points",
    [pytest.param(1_000, marks=pytest.mark.slow), pytest.param(10_000, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_values_and_first_partials_are_accurate_at_many_points(row: Primitive, points: int) -> None:
    """A thousand random points for each row, or ten; a tenth of that where mpmath is slow."""
    draw = random.Random(f"many {row.name}")
    found = [
        line
        for _ in range(points // 10 if row.name in SLOW else points)
        for line in wrong(row, operands(draw, row))
    ]
    assert not found


LIMITS = {
    "cbrt": (0.0, 0.0), "log": (None, 0.0), "log2": (None, 0.0), "log10": (None, 0.0),
    "log1p": (None, 0.0), "sqrt": (None, 0.0), "atan": (0.0, 0.0), "asinh": (0.0, 0.0),
    "acosh": (None, 0.0), "tanh": (0.0, 0.0), "erf": (0.0, 0.0), "erfc": (0.0, 0.0),
    "exp": (0.0, math.inf), "exp2": (0.0, math.inf), "expm1": (0.0, math.inf),
    "sinh": (math.inf, math.inf), "cosh": (-math.inf, math.inf), "norm_cdf": (0.0, 0.0),
    "log_norm_cdf": (math.inf, 0.0),
    "norm_pdf": (0.0, 0.0), "sigmoid": (0.0, 0.0), "softplus": (0.0, 1.0),
    "logsigmoid": (1.0, 0.0), "digamma": (None, 0.0), "lgamma": (None, math.inf),
    "gamma": (None, math.inf), "abs": (-1.0, 1.0), "relu": (0.0, 1.0), "neg": (-1.0, -1.0),
    "degrees": (180.0 / math.pi,) * 2, "radians": (math.pi / 180.0,) * 2,
}  # fmt: skip
"""The limits of the slope at -inf and inf, None where it has none."""

BOUNDED = {"sin", "cos", "tan", "asin", "acos", "atanh"}
"""Rows of one operand without a slope at either infinity."""


def test_a_slope_at_an_infinity_is_its_limit() -> None:
    """Or nan, where the slopes have no limit there or the infinity is outside the domain."""
    unary = {
        row.name
        for row in ops.TABLE.rows
        if row.arity == 1 and row.is_operation and not (row.helper or row.has_static)
        and list(row.differentiated_operands(1))
    }  # fmt: skip
    assert unary == LIMITS.keys() | BOUNDED
    for name in unary:
        row: Primitive = getattr(ops, name)
        for x, limit in zip((-math.inf, math.inf), LIMITS.get(name, (None, None)), strict=True):
            [(_, slope)] = partials(row, (x,))
            assert math.isnan(slope) if limit is None else slope == limit, (name, x)
