"""Conditions, `where`, and `stop_gradient`."""

import math as library
from typing import Generic, NamedTuple, assert_type

from tapegrad import Condition, Real, Var, grad, math, record, stop_gradient, where


def traced(x: Var, u: float | Var) -> Var:
    """What comparisons and `where` give on traced numbers."""
    assert_type(x > 0.0, Condition)
    assert_type(x == 1.0, Condition)
    assert_type(x != x, Condition)
    assert_type((x > 0.0) & (x < 1.0), Condition)
    assert_type((x > 0.0) | True, Condition)
    assert_type(True & (x > 0.0), Condition)
    assert_type(~(x > 0.0), Condition)
    assert_type(bool(x > 0.0), bool)
    assert_type(not x > 0.0, bool)
    assert_type(u > 0.0, bool | Condition)
    assert_type(where(x > 0.0, x, 0.0), Var)
    assert_type(where(x > 0.0, 0.0, x), Var)
    assert_type(where(x > 0.0, 1.0, 0.0), Var)
    assert_type(where(u > 0.0, x, 0.0), Var)
    assert_type(where(u > 0.0, u, 0.0), float | Var)
    assert_type((x > 0.0) * x, Var)
    assert_type(x - (x > 0.0), Var)
    assert_type((x > 0.0) + 1, int)
    assert_type((x > 0.0) * 0.5, float)
    assert_type([1.0, 2.0][x > 0.0], float)
    assert_type(int(x), int)
    assert_type(round(x), int)
    assert_type(round(x, 2), Var)
    assert_type(library.floor(x), int)
    assert_type(x.is_integer(), Condition)
    assert_type(stop_gradient(x), Var)
    assert_type(stop_gradient(u), float | Var)
    return x


class Pair(NamedTuple, Generic[Real]):
    x: Real
    y: Real


def held(p: Pair[Real], xs: list[float]) -> Real:
    return p.x * stop_gradient(p).y * stop_gradient(xs)[0]


def run(x: Real) -> Real:
    return traced(x, x) if isinstance(x, Var) else x  # limit: ty, pyrefly


assert record(run)(0.5).value == 0.5

assert assert_type(where(True, 1.0, 2.0), float) == 1.0
assert assert_type(stop_gradient(1.0), float) == 1.0
assert assert_type(stop_gradient({"a": 1.0}), dict[str, float]) == {"a": 1.0}
assert assert_type(stop_gradient([(1.0, 2)]), list[tuple[float, int]]) == [(1.0, 2)]
assert assert_type(stop_gradient(Pair(1.0, 2.0)), Pair[float]) == Pair(1.0, 2.0)


def kink(x: Real) -> Real:
    if x > 1.0 and not x > 3.0:
        return x * x
    return -x if x < 0.0 else x


def smooth(x: Real, y: Real) -> Real:
    inside = (x > 0.0) & (y > 0.0)
    return where(inside, math.sqrt(x), x) * where(x > y, 1.0, 2.0)  # limit: ty, pyrefly


def looked_up(x: Real) -> Real:
    heights = [1.0, 2.0, 4.0]
    return x * heights[int(x)] * (x > 0.5) * sum(x > k for k in heights)  # limit: pyrefly


def chain(x: Real) -> Real:
    return x * stop_gradient(x) if 0.0 < x < 4.0 else x


def smallest(xs: list[Real]) -> Real:
    first, *_, last = sorted(xs)
    return min(first, last) * max(xs)


assert assert_type(grad(kink)(2.0), float) == 4.0
assert assert_type(grad(looked_up)(1.5), float) == 2.0
assert assert_type(grad(kink)(-2.0), float) == -1.0
assert assert_type(grad(smooth)(4.0, 5.0), float) == 0.5
assert assert_type(grad(chain)(3.0), float) == 3.0
assert assert_type(grad(held)(Pair(2.0, 3.0), [5.0]), Pair[float]) == Pair(15.0, 0.0)
assert assert_type(grad(smallest)([3.0, 2.0]), list[float]) == [2.0, 3.0]
assert assert_type(smooth(4.0, 5.0), float) == 4.0


def as_they_are(x: Real, xs: list[Real]) -> Real:
    """Spellings of Python's that need no other."""
    return math.fabs(x) + x**2 + x**-1 + max(xs) + min(xs) - (-x) if x <= 1.0 else x * 2


assert assert_type(grad(as_they_are)(0.5, [1.0]), float) == 1.0 + 1.0 - 4.0 + 1.0
