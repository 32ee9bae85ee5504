"""Laws of functions that hold gradients of others: every mode differentiates the helper rows, too.

A gradient inside a function records rows that only partials use, and differentiating that function
needs the partials of these, and so on.
"""

from __future__ import annotations

import math as stdlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp

import tapegrad as tg
from tapegrad import math
from tapegrad.ops.primitive import Primitive
from tests import mutants
from tests.oracle import ORACLE
from tests.strategies import Program, ordinary, smooth
from tests.test_rows import INDICATORS

Model = Callable[[Sequence[Any]], Any]
"""A function of a list of numbers."""


def by_name(row: Primitive) -> str:
    return row.name


def slopes_along(f: Model, v: Sequence[float]) -> Model:
    """The slopes of a function, weighted and summed: a function that holds a gradient."""
    return lambda xs: math.sum(a * slope for a, slope in zip(v, tg.grad(f)(xs), strict=True))


def tangent_along(f: Model, v: Sequence[float]) -> Model:
    """The same as a tangent."""
    return lambda xs: tg.jvp(f, list(xs), list(v))[1]


def penalised(f: Model, v: Sequence[float]) -> Model:
    """A function with its squared gradient added, as a gradient penalty is."""
    return lambda xs: f(xs) + math.sum(0.5 * slope * slope for slope in tg.grad(f)(xs))


def curved_slope(f: Model, v: Sequence[float]) -> Model:
    """A slope of a slope, inside a function that is not linear in it."""
    return lambda xs: math.tanh(slopes_along(tangent_along(f, v), v)(xs))


HOLDING = (slopes_along, tangent_along, penalised, curved_slope)

WEIGHTS = (1.0, -0.75, 0.5, 2.0, 1.0, -0.75, 0.5, 2.0, 1.0)


def second_derivatives(f: Model, xs: list[float]) -> Iterator[tuple[str, list[list[float]]]]:
    """The Hessian of a function in every mode."""
    places = range(len(xs))
    gradient, product = cast(Any, tg.grad(f)), cast(Any, tg.hvp)
    units = [[float(place == other) for other in places] for place in places]

    def slope(index: int) -> Model:
        return lambda given: tg.grad(f)(given)[index]

    def matrix(found: dict[str, dict[str, float]]) -> list[list[float]]:
        return [list(line.values()) for line in found.values()]

    yield "hessian", matrix(tg.hessian(f)(xs))
    yield "hvp", [product(f, xs, unit) for unit in units]
    yield "grad of grad", [list(tg.grad(slope(index))(xs)) for index in places]
    yield "jvp of grad", [tg.jvp(gradient, xs, unit)[1] for unit in units]
    yield "forward over reverse", matrix(tg.jacobian(tg.grad(f), mode="forward")(xs))
    yield "reverse over reverse", matrix(tg.jacobian(tg.grad(f), mode="reverse")(xs))
    yield (
        "reverse over forward",
        [tg.grad(lambda x, u=unit: tg.jvp(f, x, u)[1])(xs) for unit in units],
    )
    sparse = tg.sparse_hessian(f)(xs)
    dense = [[0.0] * len(xs) for _ in places]
    for row, column, value in zip(sparse.rows, sparse.columns, sparse.values, strict=True):
        dense[row][column] = value
    yield "sparse_hessian", dense
    yield "recorded", matrix(tg.record(tg.hessian(f))(xs).value)
    run = tg.jit(tg.jacobian(tg.grad(f)), backend="python", eager_first=False)
    run(xs)
    yield "compiled", matrix(run(xs))


def largest_on_the_way(f: Model, xs: list[float]) -> float:
    """The largest number that a Hessian computes; 1 where that is smaller."""
    values = tg.record(tg.hessian(f))(xs).columns.values
    return max([1.0, *(abs(x) if x == x else stdlib.inf for x in values if isinstance(x, float))])


def curvature(f: Model, xs: list[float], v: Sequence[float]) -> float:
    """Twice the second Taylor coefficient along a line."""

    def along(t: Any) -> Any:
        return f([x + t * a for x, a in zip(xs, v, strict=True)])

    return 2.0 * tg.taylor(along, 2)(0.0)[2]


def assert_modes_agree(f: Model, xs: list[float]) -> None:
    """Every mode gives one matrix, up to roundings of the numbers on the way."""
    apart = 1e-11 * largest_on_the_way(f, xs)
    (_, first), *others = second_derivatives(f, xs)
    for mode, matrix in others:
        for line, want in zip(matrix, first, strict=True):
            assert all(abs(a - b) <= apart for a, b in zip(line, want, strict=True)), (mode, xs)
    v = WEIGHTS[: len(xs)]
    total = stdlib.fsum(a * first[i][j] * b for i, a in enumerate(v) for j, b in enumerate(v))
    assert abs(curvature(f, xs, v) - total) <= 100.0 * apart, xs


@pytest.mark.parametrize("row", mutants.ROWS, ids=by_name)
def test_every_mode_differentiates_what_a_gradient_records(row: Primitive) -> None:
    """A row with its slopes, squared, has one Hessian."""
    for operands in mutants.points(row, 1):
        xs, static = mutants.split(row, operands)
        assert_modes_agree(penalised(mutants.applied(row, static), WEIGHTS[: len(xs)]), list(xs))


@pytest.mark.slow
@pytest.mark.parametrize("holding", HOLDING)
@pytest.mark.parametrize("row", mutants.ROWS, ids=by_name)
def test_every_mode_differentiates_whatever_gradients_record(
    row: Primitive, holding: Callable[[Model, Sequence[float]], Model]
) -> None:
    """The slopes of a row, their slopes, and functions of them, have one Hessian."""
    for operands in mutants.points(row, 3):
        xs, static = mutants.split(row, operands)
        assert_modes_agree(holding(mutants.applied(row, static), WEIGHTS[: len(xs)]), list(xs))


@pytest.mark.parametrize(
    "holding",
    [*HOLDING[:2], *(pytest.param(holding, marks=pytest.mark.slow) for holding in HOLDING[2:])],
)
def test_every_mode_differentiates_the_slopes_of_many_operands(
    holding: Callable[[Model, Sequence[float]], Model],
) -> None:
    """Where partials are recorded together, other helper rows are."""
    v = WEIGHTS
    xs = [0.7 + 0.1 * k for k in range(9)]
    for many in (math.hypot, math.prod, math.logsumexp):
        f = (lambda p, g=many: g(*p)) if many is math.hypot else (lambda p, g=many: g(p))
        assert_modes_agree(holding(f, v), xs)


@settings(max_examples=12)
@given(smooth(2), st.sampled_from(HOLDING[:3]), st.data())
def test_every_mode_differentiates_random_programs_that_hold_gradients(
    program: Program, holding: Callable[[Model, Sequence[float]], Model], data: Any
) -> None:
    """A gradient, a tangent, and a penalty, of programs."""
    xs = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    v = WEIGHTS[: program.width]
    f = holding(program, v)
    assume(largest_on_the_way(f, xs) < 1e100)
    assert_modes_agree(f, xs)


HELPERS = [
    row for row in mutants.ROWS if row.helper and row.name in ORACLE and row.name not in INDICATORS
]


@pytest.mark.parametrize("order", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("row", HELPERS, ids=by_name)
def test_derivatives_of_helper_rows_are_true(row: Primitive, order: int) -> None:
    """Within 32 eps of the largest number on the way, to the third order, in mixed modes."""
    for operands in mutants.points(row, 2):
        xs, static = mutants.split(row, operands)
        for index in range(len(xs)):
            f = derivative_of_order(mutants.applied(row, static), index, order)
            want = true_derivative(row, operands, index, order)
            tape = tg.record(f)(list(xs))
            sizes = [abs(x) for x in tape.columns.values if isinstance(x, float)]
            apart = abs(mp.mpf(tape.value) - want)
            assert apart <= 32.0 * sys.float_info.epsilon * max(sizes), (operands, index)


def derivative_of_order(f: Model, index: int, order: int) -> Model:
    """The derivative in one operand, in forward and reverse mode by turns."""
    if order == 0:
        return f
    lower = derivative_of_order(f, index, order - 1)
    if order % 2:
        return lambda xs: tg.grad(lower)(xs)[index]
    return lambda xs: tg.jvp(lower, xs, [float(k == index) for k in range(len(xs))])[1]


def true_derivative(row: Primitive, operands: tuple[float, ...], index: int, order: int) -> Any:
    """Differences of the closed form in 100 digits; a power of 2 or a rounding is flat."""
    if not list(row.differentiated_operands(len(operands))) or (row.name, index) == ("shifted", 1):
        return mp.mpf(0)
    value = ORACLE[row.name].value
    with mp.workdps(100):
        mps = [mp.mpf(x) for x in operands]
        return mp.diff(lambda x: value(*mps[:index], x, *mps[index + 1 :]), mps[index], order)
