"""Laws of the derivative as a linear map: every mode gives one derivative."""

from __future__ import annotations

import math as stdlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.primitive import Primitive
from tests import mutants
from tests.chain import derivative
from tests.strategies import Program, ordinary, points, programs, same_bits, smooth


def close(got: float, want: float, scale: float = 1.0) -> bool:
    """Equal but for rounding, in programs of everyday size."""
    if stdlib.isnan(want):
        return stdlib.isnan(got)
    return stdlib.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9 * max(1.0, scale))


def at(program: Program, draw: Callable[..., Any]) -> list[float]:
    point: list[float] = draw(points(program.width))
    return point


@given(smooth(), st.data())
def test_the_pushforward_is_the_transpose_of_the_pullback(program: Program, data: Any) -> None:
    """w . (J v) = (J^T w) . v."""
    point = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    v = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    value, pullback = tg.vjp(program, point)
    primal, tangent = tg.jvp(program, point, v)
    gradient = pullback(1.0)
    assert same_bits(value, primal)
    product = stdlib.fsum(g * x for g, x in zip(gradient, v, strict=True))
    assert close(tangent, product, scale=max(map(abs, (*gradient, 1.0))))


@given(programs(), st.data())
def test_the_pullback_of_one_is_the_gradient(program: Program, data: Any) -> None:
    """vjp and grad sweep the same tape, to the bit."""
    point = data.draw(points(program.width))
    _, pullback = tg.vjp(program, point)
    assert all(map(same_bits, pullback(1.0), tg.grad(program)(point)))


@settings(max_examples=50)
@given(programs(), st.data())
def test_every_mode_gives_what_the_chain_rule_allows(program: Program, data: Any) -> None:
    """Forward and reverse, computed and recorded, at kinks, at poles and with dead arms, too."""
    point = data.draw(points(program.width))
    v = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))

    def both(xs: Sequence[Any]) -> Any:
        return [program(xs), xs[0] * program(xs)]

    tape = tg.record(both)(point)
    modes = [tg.jacobian(both, mode="forward"), tg.jacobian(both, mode="reverse")]
    found = [jacobian(point) for jacobian in modes]
    found += [tg.record(jacobian)(point).value for jacobian in modes]
    tangents = tg.jvp(both, point, v)[1]
    for at, output in enumerate(tape.outputs):
        for slot in range(program.width):
            law = derivative(tape.columns, {slot: 1.0}, output)
            assert all(law.allows(matrix[str(at)][str(slot)]) for matrix in found)
        assert derivative(tape.columns, dict(enumerate(v)), output).allows(tangents[at])


@settings(max_examples=50)
@given(programs(5), st.data())
def test_every_road_gives_the_second_derivatives_of_the_chain_rule(
    program: Program, data: Any
) -> None:
    """Forward and reverse over a recorded gradient, over a recorded tangent, and in one sweep."""
    point = data.draw(points(program.width))
    v = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    tape = tg.record(tg.grad(program))(point)
    hessian = tg.hessian(program)(point)
    forward = tg.jacobian(tg.grad(program), mode="forward")(point)
    reverse = tg.jacobian(tg.grad(program), mode="reverse")(point)
    slopes: Any = tg.grad(program)
    products = tg.hvp(program, point, v), tg.jvp(slopes, point, v)[1]
    for column, output in enumerate(tape.outputs):
        for row in range(program.width):
            law = derivative(tape.columns, {row: 1.0}, output)
            assert law.allows(hessian[str(row)][str(column)])
            assert law.allows(forward[str(column)][str(row)])
            assert law.allows(reverse[str(column)][str(row)])
        law = derivative(tape.columns, dict(enumerate(v)), output)
        assert all(law.allows(product[column]) for product in products)

    def along(xs: list[float]) -> Any:
        return tg.jvp(program, xs, v)[1]

    recorded = tg.record(along)(point)
    slopes = tg.grad(along)(point)
    tangents = tg.jacobian(along, mode="forward")(point)["value"].values()
    for slot, roads in enumerate(zip(slopes, tangents, strict=True)):
        law = derivative(recorded.columns, {slot: 1.0}, recorded.outputs[0])
        assert all(map(law.allows, roads))


def test_what_is_not_finite_may_be_so_in_another_way() -> None:
    """At a pole 0 * inf and inf - inf come in another order, and neither mode gives a number."""

    def f(p: tuple[Real, Real]) -> Real:
        return math.pow(p[0], p[1] + p[1] ** 2)

    forward = tg.jacobian(f, mode="forward")((0.0, 0.0))["value"]
    reverse = tg.jacobian(f, mode="reverse")((0.0, 0.0))["value"]
    assert (forward["0"], reverse["0"]) == (0.0, 0.0)
    assert forward["1"] == -stdlib.inf
    assert stdlib.isnan(reverse["1"])


def test_what_overflows_may_do_so_in_one_order_only() -> None:
    """A product of finite partials that overflows on the way is the other exception."""

    def f(x: Real) -> Real:
        return x * 1e-200 * 1e200 * 1e200

    assert tg.jvp(f, 1.0, 1.0)[1] == 1e200
    assert tg.grad(f)(1.0) == stdlib.inf


@pytest.mark.parametrize("x", [1.0, -4.0, 0.0])
def test_an_arm_not_selected_has_no_tangent_in_a_replay(x: float) -> None:
    """A tangent that is absent is no zero, which an infinite partial would make nan."""

    def f(p: Sequence[Any]) -> Any:
        inner = tg.where(p[0] > 0.0, 0.0, -p[0])
        return math.sqrt(tg.where(p[0] < 0.0, inner, p[1] * p[1])) + p[0] * p[1]

    forward = tg.jacobian(f, mode="forward")
    for start in (1.0, -4.0, 0.0):
        for y in (0.0, 2.0):
            replayed = tg.record(forward)([start, y]).replay([x, y]).value["value"]
            assert all(map(same_bits, replayed.values(), forward([x, y])["value"].values()))
    series = tg.taylor(lambda t: f([t, 0.0]), 2)
    for start in (1.0, -4.0, 0.0):
        assert all(map(same_bits, tg.record(series)(start).replay(x).value, series(x)))


@given(smooth(4), st.data())
def test_forward_over_reverse_is_reverse_over_reverse(program: Program, data: Any) -> None:
    """The Hessian times a vector is one number, whichever road leads to it."""
    point = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    v = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))

    def along(xs: list[float]) -> Any:
        return math.sum(g * x for g, x in zip(tg.grad(program)(xs), v, strict=True))

    direct = tg.hvp(program, point, v)
    slopes: Any = tg.grad(program)
    nested = tg.jvp(slopes, point, v)[1]
    reverse = tg.grad(along)(point)
    hessian = tg.hessian(program)(point)
    dense = [stdlib.fsum(row[str(j)] * v[j] for j in range(len(v))) for row in hessian.values()]
    entries = [abs(x) for row in hessian.values() for x in row.values()]
    scale = largest(*entries, *tg.grad(program)(point), 1.0)
    for roads in zip(direct, nested, reverse, dense, strict=True):
        assert all(close(road, roads[0], scale) for road in roads[1:])


def test_a_selected_arm_curves_as_it_does_alone() -> None:
    """A product of the Hessian and a direction knows nothing of conditions and other arms."""

    def choosing(p: Sequence[Real]) -> Real:
        x, y = p
        for _ in range(5):
            x = tg.where(math.sin(x * y) > 0.0, x * y + y, x / y)
            y = tg.where(x > y, math.exp(-x), y * y)
        return x * y

    for point in ((0.7, 1.3), (-0.7, 1.3), (2.0, -0.4)):
        for v in ((1.0, 0.0), (0.5, -2.0)):
            direct, nested = tg.hvp(choosing, point, v), tg.jvp(tg.grad(choosing), point, v)[1]
            assert all(close(a, b, 10.0) for a, b in zip(direct, nested, strict=True))


@pytest.mark.parametrize("row", mutants.ROWS, ids=lambda row: row.name)
def test_every_row_curves_as_its_partials_say(row: Primitive) -> None:
    """The sweep that is generated from a row knows all the slopes of its partials."""
    for operands in mutants.points(row, 3):
        xs, static = mutants.split(row, operands)
        f, v = mutants.applied(row, static), tuple(range(1, 1 + len(xs)))
        direct, nested = tg.hvp(f, xs, v), tg.jvp(tg.grad(f), xs, v)[1]
        assert all(close(a, b, 10.0) for a, b in zip(direct, nested, strict=True))


def test_an_arm_without_a_slope_has_no_share_of_an_infinite_tangent() -> None:
    """The slope of x ** y in x is y * x ** (y - 1), whose slope in x is 0 where y is 0."""

    def slope(p: tuple[Any, Any]) -> Any:
        x, y = p
        return tg.grad(lambda z: z**y)(x)

    assert tg.hvp(slope, (2.0, 0.0), (stdlib.inf, 0.0))[0] == 0.0


def largest(*numbers: float) -> float:
    """The largest magnitude; none of the numbers may be nan or infinite."""
    assert all(map(stdlib.isfinite, numbers))
    return max(map(abs, numbers))


@given(smooth(4), st.data())
def test_a_hessian_is_symmetric(program: Program, data: Any) -> None:
    """Order does not matter to smooth programs."""
    point = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    hessian = tg.hessian(program)(point)
    scale = largest(*(x for row in hessian.values() for x in row.values()))
    for row, line in hessian.items():
        for column in line:
            assert close(line[column], hessian[column][row], scale)


@given(smooth(3), st.data())
def test_third_derivatives_agree_in_every_nesting(program: Program, data: Any) -> None:
    """Forward and reverse may stand in any order, three deep."""
    point = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    ones = [1.0] * program.width

    def forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda xs: tg.jvp(f, xs, ones)[1]

    def reverse(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda xs: math.sum(tg.grad(f)(xs))

    def transposed(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda xs: math.sum(tg.vjp(f, xs)[1](1.0))

    found = [
        outer(middle(inner(program)))(point)
        for outer, middle, inner in (
            (forward, forward, forward),
            (forward, reverse, forward),
            (reverse, forward, reverse),
            (transposed, reverse, forward),
            (reverse, reverse, reverse),
        )
    ]
    scale = largest(*found)
    assert all(close(value, found[0], scale) for value in found)


def test_a_linear_map_may_be_used_again() -> None:
    """linearize records once; the directions add up."""

    def area(p: tuple[Real, Real]) -> Real:
        return p[0] * p[1]

    value, derivative = tg.linearize(area, (3.0, 2.0))
    assert value == 6.0
    assert derivative((1.0, 0.0)) + derivative((0.0, 1.0)) == derivative((1.0, 1.0)) == 5.0


def test_a_pullback_adds_where_one_number_is_returned_twice() -> None:
    """Two outputs that are one number share its cotangent."""

    def twice(x: Real) -> tuple[Real, Real]:
        y = x * x
        return y, y

    _, pullback = tg.vjp(twice, 3.0)
    assert pullback((1.0, 10.0)) == 66.0


def test_every_transform_can_be_recorded_and_replayed() -> None:
    """A recorded Hessian, Jacobian or product is a tape, right at other points as well."""

    def f(p: tuple[Any, Any]) -> Any:
        x, y = p
        return tg.where(x > y, math.log(x - y + 2.0) * x, math.exp(y) * x)

    for transform in (
        tg.grad(f),
        tg.hessian(f),
        tg.jacobian(f, mode="forward"),
        lambda p: tg.hvp(f, p, (1.0, 2.0)),
        lambda p: tg.jvp(f, p, (1.0, 2.0)),
    ):
        tape = tg.record(transform)((1.0, 0.25))
        for point in ((1.0, 0.25), (0.25, 1.0), (2.0, -1.0)):
            replayed, eager = numbers(tape.replay(point).value), numbers(transform(point))
            assert all(close(a, b, 10.0) for a, b in zip(replayed, eager, strict=True))


def numbers(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    return [
        x for part in (value.values() if isinstance(value, dict) else value) for x in numbers(part)
    ]


def test_aux_comes_out_beside_the_gradient() -> None:
    """has_aux gives (gradient, aux) and ((value, aux), gradient); traced numbers become floats."""

    def f(x: Real, k: float) -> tuple[Real, dict[str, Any]]:
        return x * x * k, {"double": 2.0 * x, "name": "f", "steps": 3}

    aux = {"double": 6.0, "name": "f", "steps": 3}
    assert tg.grad(f, has_aux=True)(3.0, 2.0) == (12.0, aux)
    assert tg.value_and_grad(f, has_aux=True)(3.0, k=2.0) == ((18.0, aux), 12.0)
    assert type(tg.grad(f, has_aux=True)(3.0, 2.0)[1]["steps"]) is int


untyped: Any = tg
"""For calls that a type checker would refuse."""


def pair(p: tuple[Any, Any]) -> Any:
    return p[0], p[1]


def total(p: dict[str, Any]) -> Any:
    return p["a"] + p["b"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: untyped.jvp(total, {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": (1.0,)}), InputError,
         "the tangent at b has not the structure of what it belongs to"),
        (lambda: tg.jvp(total, {"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 1.0}), InputError,
         "the tangent at b has not the structure of what it belongs to"),
        (lambda: tg.vjp(pair, (1.0, 2.0))[1](1.0), InputError,
         "the cotangent has not the structure of what it belongs to"),
        (lambda: tg.hvp(total, {"a": 1.0, "b": 2.0}, {"a": 1.0}), InputError,
         "the direction at b has not the structure of what it belongs to"),
        (lambda: tg.hessian(pair)((1.0, 2.0)), OutputError,
         "use jacobian for a function of several"),
        (lambda: tg.grad(pair)((1.0, 2.0)), OutputError, "use jacobian for a function of several"),
        (lambda: tg.grad(total, has_aux=True)({"a": 1.0, "b": 2.0}), OutputError,
         "has_aux=True needs a pair"),
        (lambda: untyped.jacobian(pair, mode="both"), InputError,
         "mode='both'"),
    ],
)  # fmt: skip
def test_a_misfit_is_named(call: Callable[[], object], error: type[Exception], text: str) -> None:
    """The message says what does not fit, and where."""
    with pytest.raises(error, match=text):
        call()


@given(st.integers(1, 5))
def test_a_jacobian_takes_the_cheaper_mode(width: int) -> None:
    """Keys are paths, and a lone number is called after its parameter."""

    def spread(x: Real) -> list[Real]:
        return [x * float(k) for k in range(width)]

    rows = tg.jacobian(spread)(2.0)
    assert rows == {str(k): {"x": float(k)} for k in range(width)}
    assert tg.jacobian(math.sin)(0.0) == {"value": {"x": 1.0}}


def test_a_tangent_goes_by_key() -> None:
    """The order of its keys does not count."""

    def weighted(p: dict[str, Real]) -> Real:
        return p["a"] * 2.0 + p["b"] * 3.0

    assert tg.jvp(weighted, {"a": 1.0, "b": 1.0}, {"b": 10.0, "a": 1.0}) == (5.0, 32.0)
    assert tg.hvp(weighted, {"a": 1.0, "b": 1.0}, {"b": 10.0, "a": 1.0}) == {"a": 0.0, "b": 0.0}
