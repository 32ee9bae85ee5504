"""Values and gradients written by hand, in the loops that numba compiles best.

Each writes the value and then the gradient to `out`. Imported only where numba is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np

__all__ = ["lorenz", "rosenbrock"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
F = TypeVar("F", bound=Callable[..., None])


def compiled(function: F) -> F:
    """The function compiled by numba, with the type of the original."""
    result: F = numba.njit(function)
    return result


@compiled
def rosenbrock(x: Array, out: Array) -> None:
    """Rosenbrock's function of any number of numbers."""
    out[:] = 0.0
    for i in range(x.size - 1):
        curve, line = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        out[0] += 100.0 * curve * curve + line * line
        out[i + 1] -= 400.0 * curve * x[i] + 2.0 * line
        out[i + 2] += 200.0 * curve


@compiled
def velocity(u: Array, p: Array, k: Array) -> None:
    """Lorenz's equations: writes the velocity at u to k."""
    k[0] = p[0] * (u[1] - u[0])
    k[1] = u[0] * (p[1] - u[2]) - u[1]
    k[2] = u[0] * u[1] - p[2] * u[2]


@compiled
def velocity_back(u: Array, p: Array, k_bar: Array, u_bar: Array, p_bar: Array) -> None:
    """From cotangents of the velocity: writes those of u, adds to those of the parameters."""
    a, b, c = k_bar
    u_bar[0] = -p[0] * a + (p[1] - u[2]) * b + u[1] * c
    u_bar[1] = p[0] * a - b + u[0] * c
    u_bar[2] = -u[0] * b - p[2] * c
    p_bar[0] += (u[1] - u[0]) * a
    p_bar[1] += u[0] * b
    p_bar[2] -= u[2] * c


@compiled
def step(u: Array, p: Array, at: Array, k: Array, h: float) -> None:
    """One step of Runge and Kutta in u; stores its four points of evaluation in `at`."""
    for stage, reach in enumerate((0.0, 0.5, 0.5, 1.0)):
        for i in range(3):
            at[stage, i] = u[i] + (reach * h * k[stage - 1, i] if stage else 0.0)
        velocity(at[stage], p, k[stage])
    for i in range(3):
        u[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@compiled
def step_back(u_bar: Array, p: Array, at: Array, work: Array, p_bar: Array, h: float) -> None:
    """The reverse of `step`; `work` has space for the cotangents of four velocities and a point."""
    k_bar, at_bar = work[:4], work[4]
    for i in range(3):
        k_bar[0, i] = k_bar[3, i] = h / 6.0 * u_bar[i]
        k_bar[1, i] = k_bar[2, i] = h / 3.0 * u_bar[i]
    for stage, reach in ((3, 1.0), (2, 0.5), (1, 0.5), (0, 0.0)):
        velocity_back(at[stage], p, k_bar[stage], at_bar, p_bar)
        for i in range(3):
            u_bar[i] += at_bar[i]
            if stage:
                k_bar[stage - 1, i] += reach * h * at_bar[i]


@compiled
def lorenz(x: Array, out: Array, steps: int, h: float) -> None:
    """The squared distance from the origin after that many steps of Runge and Kutta of length h."""
    u, p, work, at = x[:3].copy(), x[3:].copy(), np.empty((5, 3)), np.empty((steps, 4, 3))
    for index in range(steps):
        step(u, p, at[index], work, h)
    out[0] = u[0] ** 2 + u[1] ** 2 + u[2] ** 2
    u_bar, p_bar = 2.0 * u, np.zeros(3)
    for index in range(steps - 1, -1, -1):
        step_back(u_bar, p, at[index], work, p_bar, h)
    out[1:4] = u_bar
    out[4:] = p_bar
