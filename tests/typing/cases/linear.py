"""The derivative as a linear map keeps the types of parameters and results."""

from collections.abc import Callable, Mapping
from typing import Generic, assert_type

import attrs

from tapegrad import (
    Coordinates,
    Real,
    Scalar,
    ValueAndGrad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    math,
    record,
    sparse_jacobian,
    value_and_grad,
    vjp,
)


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


def loss(p: Line[Real], x: float, y: float) -> Real:
    return (p.w * x + p.b - y) ** 2


def both(p: Line[Real], x: float) -> tuple[Real, Real]:
    return p.w * x, p.b * x


def mapped(p: Mapping[str, Real]) -> Real:
    return math.sum(p.values())


line, ones = Line(1.0, 2.0), Line(1.0, 1.0)

value, pullback = vjp(both, line, 3.0)
assert_type(value, tuple[float, float])
assert_type(pullback, Callable[[tuple[float, float]], Line[float]])
assert pullback((1.0, 10.0)) == Line(3.0, 30.0)

assert assert_type(jvp(both, line, ones, 3.0), tuple[tuple[float, float], tuple[float, float]]) == (
    (3.0, 6.0),
    (3.0, 3.0),
)
assert assert_type(jvp(loss, line, ones, 3.0, y=4.0), tuple[float, float]) == (1.0, 8.0)

at, derivative = linearize(loss, line, 3.0, y=4.0)
assert_type(at, float)
assert assert_type(derivative(ones), float) == 8.0

assert assert_type(hvp(loss, line, ones, 3.0, 4.0), Line[float]) == Line(24.0, 8.0)
assert assert_type(hvp(mapped, {"a": 1.0}, {"a": 1.0}), dict[str, float]) == {"a": 0.0}
assert assert_type(jacobian(both)(line, 3.0), dict[str, dict[str, float]]) == {
    "0": {"w": 3.0, "b": 0.0},
    "1": {"w": 0.0, "b": 3.0},
}
assert assert_type(hessian(loss)(line, 3.0, y=4.0), dict[str, dict[str, float]])["w"]["b"] == 6.0
slopes = assert_type(jacobian(loss)(line, 3.0, y=4.0), dict[str, dict[str, float]])
assert slopes == {"value": {"w": 6.0, "b": 2.0}}
assert_type(sparse_jacobian(loss)(line, 3.0, 4.0), Coordinates)
assert assert_type(jacobian(mapped)({"a": 1.0}), dict[str, dict[str, float]])["value"]["a"] == 1.0
assert assert_type(hessian(math.exp)(0.0), dict[str, dict[str, float]]) == {"x": {"x": 1.0}}


def with_aux(p: Line[Real], x: float) -> tuple[Real, str]:
    return p.w * x + p.b, "aux"


assert assert_type(grad(with_aux, has_aux=True)(line, 3.0), tuple[Line[float], str]) == (
    Line(3.0, 1.0),
    "aux",
)
assert assert_type(
    value_and_grad(with_aux, has_aux=True)(line, 3.0), tuple[tuple[float, str], Line[float]]
) == ((5.0, "aux"), Line(3.0, 1.0))


assert assert_type(grad(loss, exact=True)(line, 3.0, 4.0), Line[float]) == grad(loss)(
    line, 3.0, 4.0
)
assert assert_type(
    grad(with_aux, has_aux=True, exact=True)(line, 3.0), tuple[Line[float], str]
) == (Line(3.0, 1.0), "aux")
assert assert_type(value_and_grad(math.sin, exact=True)(0.0), ValueAndGrad[float]).grad == 1.0


def directional(p: Line[Real]) -> Scalar:
    return p.w * p.b


tape = record(directional)(line)
assert assert_type(tape.simplify().tape.gradient(), Line[float]) == Line(2.0, 1.0)
assert assert_type(grad(grad(math.sin))(0.0), float) == 0.0
