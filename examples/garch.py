"""GARCH(1, 1): volatility that follows yesterday's, found in 2,000 returns by maximum likelihood.

The variance is carried from day to day, so that the likelihood is a loop as long as the data. The
returns are drawn with known parameters; standard errors come from the exact Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Generic

import attrs
import numpy as np
from scipy.optimize import minimize

import tapegrad as tg
from tapegrad import Real, math


@attrs.frozen
class Garch(Generic[Real]):
    """Tomorrow's variance: floor + react * return^2 + last * variance."""

    floor: Real
    react: Real
    last: Real

    def after(self, variance: Real, change: float) -> Real:
        return self.floor + self.react * change**2 + self.last * variance


TRUE = Garch(0.05, 0.1, 0.85)


def loss(p: Garch[Real], returns: Sequence[float]) -> Real:
    """The mean negative logarithm of the likelihood, up to a constant."""
    variance = 0.0 * p.floor + math.mean([change**2 for change in returns])
    terms: list[Real] = []
    for change in returns:
        terms.append(0.5 * (math.log(variance) + change**2 / variance))
        variance = p.after(variance, change)
    return math.sum(terms) / float(len(terms))


def simulated(count: int, seed: int) -> list[float]:
    source, variance = Random(seed), 1.0
    returns: list[float] = []
    for _ in range(count):
        returns.append(math.sqrt(variance) * source.gauss(0.0, 1.0))
        variance = TRUE.after(variance, returns[-1])
    return returns


def fit(returns: Sequence[float]) -> tuple[Garch[float], Garch[float]]:
    """The parameters, and their standard errors."""
    problem = tg.objective(loss, Garch(0.1, 0.05, 0.8), returns)
    limits = problem.bounds({"floor": (1e-4, 1.0), "react": (0.0, 0.2), "last": (0.0, 0.98)})
    found = minimize(problem.fun_and_jac, problem.x0, jac=True, bounds=limits, tol=1e-10)
    best = problem.unflatten(found.x)
    rows = tg.hessian(loss)(best, returns).values()
    covariance = np.linalg.inv([list(row.values()) for row in rows]) / len(returns)
    return best, problem.unflatten(np.sqrt(np.diagonal(covariance)))


def main(count: int = 2_000) -> None:
    returns = simulated(count, seed=2)
    found, errors = fit(returns)
    for name in ("floor", "react", "last"):
        estimate, error, true = (float(getattr(p, name)) for p in (found, errors, TRUE))
        print(f"{name:5} {estimate:7.4f} +- {error:.4f}   drawn with {true}")
        assert abs(estimate - true) < 3.0 * error


if __name__ == "__main__":
    main()
