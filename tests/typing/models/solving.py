"""Solvers: SciPy's on objectives and residuals, `root`, operations of one's own, checks."""

from collections.abc import Sequence
from typing import Generic, NamedTuple

import numpy as np
from scipy.optimize import Bounds, least_squares, minimize

import tapegrad as tg
from tapegrad import FloatArray, FloatMatrix, Real, Scalar, math


class Decay(NamedTuple, Generic[Real]):
    height: Real
    rate: Real


def curve(p: Decay[Real], t: float, seen: float) -> Real:
    return p.height * math.exp(-p.rate * t) - seen


def valley(p: Sequence[Real]) -> Real:
    return (1.0 - p[0]) ** 2 + 5.0 * (p[1] - p[0] ** 2) ** 2


o = tg.objective(valley, [0.0, 0.0], reduce=None)
found = minimize(o.fun, o.x0, jac=o.jac, hess=o.hess, method="trust-exact")
assert [round(x, 4) for x in o.unflatten(found.x)] == [1.0, 1.0]
bounded = minimize(o.fun, o.x0, jac=o.jac, bounds=Bounds(o.x0, 0.5), tol=1e-12)
hessian: FloatMatrix = o.hess(o.x0)
corner: float = hessian[0, 0]
row: FloatArray = hessian[1]
assert (corner, row.tolist(), hessian[:, 1].shape) == (2.0, [0.0, 10.0], (2,))
stepped = np.asarray(o.x0 - 0.1 * o.jac(o.x0))
assert stepped.tolist() == [0.2, 0.0]

times = np.linspace(0.0, 2.0, 9)
r = tg.residuals(curve, Decay(1.0, 1.0), times, 2.0 * np.exp(-0.5 * times))
for jacobian in (r.jac, r.jac_sparse):
    fit = least_squares(r.fun, r.x0, jac=jacobian, tr_solver="lsmr")
    assert [round(x, 4) for x in r.unflatten(fit.x)] == [2.0, 0.5]


def d_bessel(y: Real, x: Real) -> Real:
    return -x / 2.0 + x**3 / 16.0


@tg.primitive(partials=d_bessel, at=[0.3, 1.0])
def bessel(x: float) -> float:
    return 1.0 - x**2 / 4.0 + x**4 / 64.0


@tg.primitive(partials=lambda y, x: 1.0 / x, at=[2.0])
def logarithm(x: float) -> float:
    return float(np.log(x))


@tg.primitive(partials=(lambda y, a, b: b, lambda y, a, b: a), at=[(1.0, 2.0)])  # limit: pyrefly
def times_of(a: float, b: float) -> float:
    return a * b


@tg.primitive(
    partials=(1.0, None, lambda y, a, b, c: 2.0 * c),  # limit: pyrefly
    at=[(1.0, 2.0, 3.0)],
)
def plus_square(a: float, b: float, c: float) -> float:
    return a + c * c


def equation(y: Real, a: Real, b: Real) -> Real:
    return y**3 + a * y - b


def solved(p: Decay[Real]) -> Real:
    y = tg.root(equation, 1.0, p.height, p.rate)
    return times_of(bessel(y), logarithm(p.height)) + plus_square(p.height, 1.0, p.rate)


def scaled(x: Scalar) -> Scalar:
    return tg.root(equation, 1.0, x, 2.0) * 2.0


@tg.checkpoint
def block(x: Real, n: int) -> Real:
    for _ in range(n):
        x = math.sin(x)
    return x


p = Decay(2.0, 3.0)
assert tg.check_grad(solved, p, order=2).ok
assert tg.check_grad(curve, p, 1.0, 2.0).ok
value, push = tg.linearize(solved, p)
along: float = push(Decay(1.0, 0.0))
assert round(along, 9) == round(tg.grad(solved)(p).height, 9)
coefficients: tuple[float, ...] = tg.taylor(block, 2)(0.5, 3)
slope: float = tg.grad(scaled)(1.0)
assert coefficients[1] > 0.0 > slope
