"""A smile of implied volatilities fitted by least squares: SVI (Gatheral), five parameters.

`residuals` takes the misfit of one quote, and gives SciPy the vector of all and its Jacobian. The
quotes are made from known parameters, which the fit has to find again.
"""

from __future__ import annotations

from typing import Generic

import attrs
import numpy as np
from scipy.optimize import least_squares

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.numpy import Floats


@attrs.frozen
class Smile(Generic[Real]):
    """The total variance at log strike k: a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))."""

    a: Real
    b: Real
    rho: Real
    m: Real
    sigma: Real

    def __call__(self, k: float) -> Real:
        x = k - self.m
        return self.a + self.b * (self.rho * x + math.sqrt(x * x + self.sigma * self.sigma))


def misfit(smile: Smile[Real], k: float, volatility: float, years: float) -> Real:
    return math.sqrt(smile(k) / years) - volatility


TRUE = Smile(0.01, 0.12, -0.45, 0.05, 0.15)


def quotes(years: float) -> tuple[Floats, Floats]:
    """Log strikes and the volatilities there."""
    ks = np.linspace(-0.6, 0.6, 25)
    return ks, np.array([math.sqrt(TRUE(k) / years) for k in ks.tolist()])


def fit(years: float) -> tuple[Smile[float], int]:
    """The parameters, and how often the misfits were computed."""
    ks, volatilities = quotes(years)
    start = Smile(0.02, 0.2, 0.0, 0.0, 0.3)
    problem = tg.residuals(misfit, start, ks, volatilities, years, in_axes=(None, 0, 0, None))
    limits = problem.bounds({"b": (0.0, 2.0), "rho": (-0.999, 0.999), "sigma": (1e-3, 2.0)})
    found = least_squares(
        problem.fun, problem.x0, problem.jac, bounds=limits, xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return problem.unflatten(found.x), int(found.nfev)


def main() -> None:
    smile, count = fit(0.5)
    print(f"found after {count} evaluations:")
    for name in ("a", "b", "rho", "m", "sigma"):
        true, found = (float(getattr(p, name)) for p in (TRUE, smile))
        print(f"  {name:5} {found:9.6f}   made with {true:9.6f}")
        assert abs(found - true) < 1e-6


if __name__ == "__main__":
    main()
