"""Objectives and residuals know the class of their unknowns."""

from typing import Generic, assert_type

import attrs

import tapegrad as tg
from tapegrad import Objective, Real, Residuals, math


@attrs.frozen
class Decay(Generic[Real]):
    height: Real
    rates: tuple[Real, ...]


def loss(p: Decay[Real], goal: float) -> Real:
    return (p.height - goal) ** 2 + math.sum(p.rates)


def row(p: Decay[Real], t: float, y: float) -> Real:
    return p.height * math.exp(-p.rates[0] * t) - y


def system(xs: list[Real]) -> list[Real]:
    return [xs[0] * xs[1] - 1.0, xs[0] - xs[1]]


start = Decay(1.0, (2.0, 3.0))
times, values = [0.0, 1.0], [2.0, 1.0]

o = assert_type(tg.objective(loss, start, 3.0), Objective[Decay[float]])
assert_type(tg.objective(loss, start, goal=3.0), Objective[Decay[float]])
assert_type(o.unflatten(o.x0), Decay[float])
assert_type(o.fun(o.x0), float)
assert_type(o.fun([1.0, 2.0, 3.0]), float)
assert_type(o.fun_and_jac(o.x0)[0], float)
assert_type(o.jac(o.x0), tg.FloatArray)
assert_type(o.hessp(o.x0, o.jac(o.x0)), tg.FloatArray)
assert_type(o.bounds({"height": (0.0, None)}), list[tuple[float, float]])
assert_type(tg.objective(row, start, times, values, reduce="mean"), Objective[Decay[float]])

assert_type(tg.objective(loss, start, 3.0, static_argnames="goal"), Objective[Decay[float]])
assert_type(
    tg.objective(row, start, 1.0, values, reduce="sum", static_argnames=["t"]),
    Objective[Decay[float]],
)
assert_type(tg.residuals(row, start, 1.0, values, static_argnames="t"), Residuals[Decay[float]])

r = assert_type(tg.residuals(row, start, times, values), Residuals[Decay[float]])
assert_type(r.unflatten(r.x0), Decay[float])
assert_type(r.fun(r.x0), tg.FloatArray)
assert_type(r.bounds({"rates": (0.0, None)}), tuple[tg.FloatArray, tg.FloatArray])
assert_type(r.jac_sparse(r.x0).toarray(), tg.FloatMatrix)
assert_type(r.jac(r.x0), tg.FloatMatrix)
assert_type(r.jac(r.x0)[0], tg.FloatArray)
assert_type(r.jac(r.x0)[0, 1], float)
assert_type(r.jac(r.x0)[:, 1], tg.FloatArray)
assert_type(r.jac(r.x0).T.tolist(), list[list[float]])
assert_type([row.sum() for row in o.hess(o.x0)], list[float])
assert_type(tg.residuals(system, [1.0, 2.0]), Residuals[list[float]])
