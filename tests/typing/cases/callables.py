"""Whatever can be called: methods, instances, closures, and gradients of gradients."""

from collections.abc import Callable, Mapping
from typing import Generic, assert_type

import attrs

from tapegrad import Real, Scalar, Var, grad, math


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real

    def __call__(self, x: float) -> Real:
        return self.w * x + self.b

    def shifted(self, by: float) -> "Line[Real]":
        return Line(self.w, self.b + by)


@attrs.frozen
class Data:
    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def loss(self, p: Line[Real], scale: float = 1.0) -> Real:
        return math.sum([(p(x) - y) ** 2 * scale for x, y in zip(self.xs, self.ys, strict=True)])

    def __call__(self, x: Real) -> Real:
        return x * self.xs[0]


data = Data((1.0, 2.0), (2.0, 3.0))
assert assert_type(grad(data.loss)(Line(2.0, 0.0)), Line[float]) == Line(4.0, 2.0)
assert assert_type(grad(data.loss)(Line(2.0, 0.0), 0.5), Line[float]) == Line(2.0, 1.0)
assert assert_type(grad(data)(7.0), float) == 1.0
assert assert_type(Line(2.0, 1.0).shifted(1.0), Line[float]) == Line(2.0, 2.0)


def keyword_only(p: Line[Real], x: float = 1.0, *, power: int = 1, unit: str) -> Real:
    assert unit == "m"
    return p(x) ** power  # limit: ty


assert assert_type(grad(keyword_only)(Line(2.0, 1.0), unit="m"), Line[float]) == Line(1.0, 1.0)
assert assert_type(grad(keyword_only)(Line(2.0, 1.0), 2.0, power=2, unit="m"), Line[float]) == Line(
    20.0, 10.0
)


def variadic(x: Real, /, *factors: float, **options: str) -> Real:
    assert set(options) <= {"unit"}
    return x * math.prod(factors)


assert assert_type(grad(variadic)(2.0, 3.0, 4.0, unit="m"), float) == 12.0


def scaled(by: float) -> Callable[[float], float]:
    def inner(x: Real) -> Real:
        return by * x * x

    return grad(inner)


assert assert_type(scaled(3.0)(2.0), float) == 12.0


def step(p: Line[float], gradient: Line[float], rate: float) -> Line[float]:
    return Line(p.w - rate * gradient.w, p.b - rate * gradient.b)


derivative: Callable[[Line[float], float], Line[float]] = grad(data.loss)
p = Line(2.0, 0.0)
assert assert_type(step(p, derivative(p, 1.0), 0.25), Line[float]) == Line(1.0, -0.5)

slopes = [grad(data.loss), grad(data.loss)]
assert_type(slopes[0](p), Line[float])


def polynomial(x: Real) -> Real | float:
    """May return a constant."""
    total: Real | float = 0.0
    for power in range(3):
        total = total + x**power  # limit: ty
    return total


assert assert_type(grad(polynomial)(2.0), float) == 5.0


def constant(p: Mapping[str, Real]) -> Real | float:
    return p["w"] * 2.0 if "w" in p else 0.0


assert assert_type(grad(constant)({"v": 2.0}), Mapping[str, float]) == {"v": 0.0}


def cube(x: Real) -> Scalar:
    return x * x * x


def curvature(x: Real) -> Scalar:
    """A gradient inside a model: of one that is `-> Scalar`, so that its gradient is generic."""
    return grad(cube)(x) * x


assert assert_type(grad(curvature)(2.0), float) == 36.0
assert assert_type(grad(grad(cube))(2.0), float) == 12.0
assert assert_type(grad(grad(grad(cube)))(2.0), float) == 6.0


def mixed(x: Real, y: float) -> Scalar:
    return x * x * y


def inside(x: Real, y: float) -> Real:
    inner = grad(mixed)
    return inner(x, y) + x


assert assert_type(grad(inside)(3.0, 5.0), float) == 11.0


def only_traced(x: Var) -> Var:
    """A model for traced numbers alone; its gradient takes them, inside another model."""
    return x * x


def around(x: Real) -> Scalar:
    return grad(cube)(x) + grad(cube)(2.0)


assert assert_type(grad(around)(1.0), float) == 6.0
assert_type(grad(only_traced), Callable[[Var], Var])


def nested_inside(x: Real) -> Scalar:
    def inner(y: Scalar) -> Scalar:
        return x * y

    return x * grad(inner)(3.0)


assert assert_type(grad(nested_inside)(2.0), float) == 4.0
