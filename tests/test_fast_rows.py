"""Laws of `vmap(..., fast=True)`: what may be rounded otherwise, by how much, and what may not."""

from __future__ import annotations

import math as library
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.compile.backends.llvm.function import NO_VECTORS
from tapegrad.compile.backends.llvm.module import module
from tapegrad.compile.backends.llvm.symbols import vector_maths
from tapegrad.compile.paths import path_of

Floats = NDArray[np.float64]

EXTREMES = [
    0.0, -0.0, library.inf, -library.inf, library.nan, 5e-324, -5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, -1.7976931348623157e308, 1.0, -1.0, 0.75, 1.5, 709.782712893384,
    709.7827128933841, -708.4, -745.1332191019411, -745.1332191019412, 1e300, -1e300,
]  # fmt: skip


def fast(f: Callable[..., Any], *columns: Floats) -> Floats:
    found: Floats = np.asarray(tg.vmap(f, fast=True, threads=1)(*columns))
    return found


def units_off(found: float, want: mpf) -> float:
    """How far a number is from another one, in units in the last place of that."""
    return float(abs(mpf(found) - want) / mpf(library.ulp(float(want))))


def exp(x: Real) -> Real:
    return math.exp(x)


def log(x: Real) -> Real:
    return math.log(x)


@pytest.mark.parametrize(
    ("f", "truth", "points"),
    [
        (exp, mp.exp, np.random.default_rng(0).uniform(-745.0, 709.7, 1_500)),
        (exp, mp.exp, np.random.default_rng(1).uniform(-0.5, 0.5, 1_500)),
        (log, mp.log, np.exp(np.random.default_rng(2).uniform(-745.0, 709.7, 1_500))),
        (log, mp.log, np.random.default_rng(3).uniform(0.5, 2.0, 1_500)),
        (log, mp.log, 1.0 + np.ldexp(np.random.default_rng(4).uniform(-1.0, 1.0, 1_500), -20)),
    ],
)
def test_exponentials_and_logarithms_are_within_2_units(
    f: Callable[..., Any], truth: Callable[[mpf], mpf], points: Floats
) -> None:
    """Over the whole range, subnormal numbers included, and where a logarithm is next to 0."""
    with mp.workdps(40):
        pairs = zip(fast(f, points).tolist(), points.tolist(), strict=True)
        assert max(units_off(found, truth(mpf(x))) for found, x in pairs) < 2.0


@pytest.mark.parametrize("f", [exp, log])
def test_extremes_are_those_of_the_plain_code(f: Callable[..., Any]) -> None:
    """Infinities, nan, zeros of both signs, and what is next to the ends of the range."""
    points = np.array(EXTREMES)
    want = np.asarray(tg.vmap(f, threads=1)(points))
    found = fast(f, points)
    assert np.array_equal(np.isfinite(found), np.isfinite(want))
    np.testing.assert_allclose(found, want, rtol=1e-15, atol=5e-324)


def ratio(x: Real, v: Real) -> Real:
    return x / v + math.log(v) - x / 3.0


def test_quotients_by_one_number_are_products_with_its_reciprocal() -> None:
    """A gradient that divides three times by v, and by a constant, divides once."""

    def of_two(x: Any) -> Any:
        return ratio(x[0], x[1])

    tape: Any = tg.record(tg.value_and_grad(of_two))([2.0, 3.0])
    path = path_of(tape)
    assert module(path.program, "rows", lanes=8).text.count("fdiv") == 4
    assert module(path.program, "rows", lanes=8, fast=True).text.count("fdiv") == 1


@pytest.mark.parametrize("by", [5e-324, 1e-310, 1.7e308, library.inf, 0.0, library.nan])
def test_extreme_constants_are_divided_by(by: float) -> None:
    """Their reciprocals have fewer bits, or none, however often they are a divisor."""

    def twice(x: Real) -> Real:
        return math.sqrt(x / by) + (x + 1e-322) / by

    x = np.array([0.0, 5e-324, 1e-320, 1.0, 1e308])
    assert np.array_equal(fast(twice, x), np.asarray(tg.vmap(twice, threads=1)(x)), equal_nan=True)


def test_fast_answers_agree_with_the_eager_ones() -> None:
    """To some units in the last place, slopes among them, in straight code and in loops."""

    def likelihood(x: Any, changes: Any) -> Any:
        variance, total = x[0], 0.0
        for change in changes:
            total = total + math.log(variance) + change * change / variance
            variance = x[0] + x[1] * change * change + math.exp(-x[2]) * variance / 3.0
        return total

    x, draw = [0.4, 0.2, 0.7], np.random.default_rng(5)
    for days in (3, 100):
        rows = draw.standard_normal((40, days))
        book: Any = tg.vmap(tg.value_and_grad(likelihood), in_axes=(None, 0), fast=True)
        found = book(x, rows)
        want = [tg.value_and_grad(likelihood)(x, tuple(row)) for row in rows.tolist()]
        np.testing.assert_allclose(found.value, [value for value, _ in want], 1e-13)
        for place in range(3):
            column = found.grad.column(f"{place}")
            np.testing.assert_allclose(column, [slope[place] for _, slope in want], 1e-13, 1e-12)


def test_what_a_comparison_depends_on_keeps_its_bits() -> None:
    """Quotients and exponentials, too, so that it comes out as without `fast`."""

    def tested(x: Real) -> Real:
        return math.log(math.exp(x) / 3.0 + x / 7.0)

    def above(x: Real, limit: Real) -> Real:
        y = math.log(math.exp(x) / 3.0 + x / 7.0)
        return 1.0 + 0.0 * y if y >= limit else 0.0 * y

    x = np.random.default_rng(6).uniform(0.1, 5.0, 500)
    limits = np.asarray(tg.vmap(tested, threads=1)(x))
    assert fast(above, x, limits).tolist() == [1.0] * 500


def test_other_processors_call_the_library() -> None:
    """Without the features that they need, functions in line are not written."""
    path = path_of(tg.record(exp)(1.0))
    text = module(path.program, "rows", lanes=8, fast=True, maths=NO_VECTORS).text
    assert "@tapegrad_exp" in text
    maths = vector_maths()
    if "+avx512f" in maths.features:
        text = module(path.program, "rows", lanes=8, fast=True, maths=maths).text
        assert "exp(" not in text.replace("getexp", "")
