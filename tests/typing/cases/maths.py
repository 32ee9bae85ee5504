"""Every kind of function in `tapegrad.math`, on floats, on traced numbers, and on either."""

from collections.abc import Sequence
from typing import assert_type

from tapegrad import Condition, Real, Scalar, Var, grad, math, record

# On floats.
assert assert_type(math.sin(0.0), float) == 0.0
assert assert_type(math.sqrt(4), float) == 2.0
assert assert_type(math.floor(1.5), int) == 1
assert assert_type(math.maximum(1.0, 2.0), float) == 2.0
assert assert_type(math.sum([1.0, 2.0]), float) == 3.0
assert assert_type(math.sum(x for x in (1, 2)), float) == 3
assert assert_type(math.dot([1.0, 2.0], [3.0, 4.0]), float) == 11.0
assert assert_type(math.isnan(1.0), bool) is False
assert assert_type(math.log(8.0, 2.0), float) == 3.0
assert assert_type(math.fma(2.0, 3.0, 1.0), float) == 7.0
assert assert_type(math.hypot(3.0, 4.0), float) == 5.0
assert assert_type(math.dist([0.0, 0.0], [3.0, 4.0]), float) == 5.0
assert assert_type(math.polygamma(0, 1.0), float) == math.digamma(1.0)
assert assert_type(math.isclose(1.0, 1.0), bool) is True
assert assert_type(math.gcd(4, 6), int) == 2
assert assert_type(math.pi, float) > 3.0


def of_one(x: Var, u: float | Var) -> None:
    """Functions of one number."""
    assert_type(math.sin(x), Var)
    assert_type(math.sin(u), float | Var)
    assert_type(math.floor(x), Var)
    assert_type(math.floor(u), int | Var)
    assert_type(math.isnan(x), Condition)
    assert_type(math.isnan(u), bool | Condition)
    assert_type(math.log(x), Var)
    assert_type(math.log(u), float | Var)
    assert_type(math.ldexp(x, 2), Var)
    assert_type(math.polygamma(1, x), Var)
    assert_type(-x, Var)
    assert_type(abs(x), Var)


def of_many(x: Var, u: float | Var) -> None:
    """Functions of a sequence, or of two."""
    assert_type(math.sum([x, x]), Var)
    assert_type(math.sum([x, u]), float | Var)
    assert_type(math.mean([x, x]), Var)
    assert_type(math.dot([x, x], [1.0, 2.0]), Var)
    assert_type(math.dot([1.0, 2.0], [x, x]), Var)
    assert_type(math.dot([x, x], [x, x]), Var)
    assert_type(math.dist([x], [1.0]), Var)
    assert_type(math.prod([x, x]), Var)
    assert_type(math.prod([2.0], start=x), Var)
    assert_type(math.hypot(x, 1.0), Var)
    assert_type(math.hypot(1.0, x, 2.0), Var)
    assert_type(math.hypot(u, 1.0), float | Var)


def of_two(x: Var, u: float | Var) -> None:
    """Functions of two numbers or three, either of which may be a float."""
    assert_type(math.maximum(x, 0.0), Var)
    assert_type(math.maximum(0.0, x), Var)
    assert_type(math.maximum(x, x), Var)
    assert_type(math.maximum(u, 0.0), float | Var)
    assert_type(math.maximum(u, x), Var)
    assert_type(math.log(x, 2.0), Var)
    assert_type(math.log(2.0, x), Var)
    assert_type(math.pow(x, 2.0), Var)
    assert_type(math.pow(2.0, x), Var)
    assert_type(math.fma(x, 2.0, 1.0), Var)
    assert_type(math.fma(2.0, x, x), Var)
    assert_type(math.fma(2.0, 1.0, x), Var)
    assert_type(math.isclose(x, 1.0), Condition)
    assert_type(math.isclose(1.0, x), Condition)
    assert_type(x + 1, Var)
    assert_type(1 - x, Var)
    assert_type(x * u, Var)
    assert_type(u * 2.0, float | Var)
    assert_type(2.0 / x, Var)
    assert_type(x**2, Var)
    assert_type(2.0**x, Var)


def run(x: Real) -> Real:
    if isinstance(x, Var):
        of_one(x, x)
        of_two(x, x)
        of_many(x, x)
    return x


assert record(run)(1.5).value == 1.5


# In models: the typed spellings where the built-in ones lose the type.
def relative(xs: Sequence[Real], y: float) -> Real:
    total = math.sum([math.relu(x - y) for x in xs])
    return math.sqrt(total) + math.maximum(total, 0.0) * math.hypot(total, 1.0)


def logistic(x: Real) -> Real:
    z = math.minimum(math.sigmoid(x), 0.5)
    return math.log(z, 2.0) + math.fma(z, 2.0, 1.0) + math.dot([z, z], [1.0, 2.0])


def mixture(x: Real) -> Scalar:
    return math.sum([x, 1.0, math.exp(x)])


assert assert_type(grad(relative)([1.0, 3.0], 2.0), Sequence[float])[0] == 0.0
assert assert_type(grad(logistic)(1.0), float) == 0.0
assert assert_type(grad(mixture)(0.0), float) == 2.0


# A function of tapegrad.math is a model, too.
assert assert_type(grad(math.sin)(0.0), float) == 1.0
assert assert_type(grad(grad(math.sin))(1.0), float) == -math.sin(1.0)
assert assert_type(grad(math.atan2)(0.0, 1.0), float) == 1.0
assert assert_type(grad(math.log)(2.0), float) == 0.5
assert assert_type(record(math.exp)(0.0).value, float) == 1.0


def either(x: Scalar) -> Scalar:
    return math.exp(math.maximum(x, 0.0))


assert assert_type(either(0.0), float | Var) == 1.0


def lengths(x: Real, y: Real) -> Real:
    """Coordinates of both kinds, in any order."""
    return math.hypot(x, 1.0, y) + math.hypot(1.0, x, y) + math.hypot(1.0, 2.0, x)


assert assert_type(grad(lengths)(0.0, 1.0), float) == 0.0
