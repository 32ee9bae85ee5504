"""Values and gradients written by hand, in the loops that numba compiles best.

Each writes the value and then the slopes into `out`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

    Kernel: TypeAlias = Callable[[Array, Array], None]

__all__ = ["lorenz", "rosenbrock"]


def rosenbrock() -> Kernel:
    """Rosenbrock's function of any number of numbers."""
    from numba import njit

    def kernel(x: Array, out: Array) -> None:
        out[:] = 0.0
        for i in range(x.size - 1):
            curve, line = x[i + 1] - x[i] * x[i], 1.0 - x[i]
            out[0] += 100.0 * curve * curve + line * line
            out[i + 1] -= 400.0 * curve * x[i] + 2.0 * line
            out[i + 2] += 200.0 * curve

    compiled: Kernel = njit(kernel)
    return compiled


def velocity(u: Array, p: Array, k: Array) -> None:
    """Lorenz's equations: the velocity k at u."""
    k[0] = p[0] * (u[1] - u[0])
    k[1] = u[0] * (p[1] - u[2]) - u[1]
    k[2] = u[0] * u[1] - p[2] * u[2]


def velocity_back(u: Array, p: Array, k_bar: Array, u_bar: Array, p_bar: Array) -> None:
    """The cotangents of u, and those of the parameters added up, given those of the velocity."""
    a, b, c = k_bar
    u_bar[0] = -p[0] * a + (p[1] - u[2]) * b + u[1] * c
    u_bar[1] = p[0] * a - b + u[0] * c
    u_bar[2] = -u[0] * b - p[2] * c
    p_bar[0] += (u[1] - u[0]) * a
    p_bar[1] += u[0] * b
    p_bar[2] -= u[2] * c


def lorenz(steps: int, h: float) -> Kernel:
    """The squared distance from the origin after that many steps of Runge and Kutta of length h."""
    from numba import njit

    forth, back = njit(velocity), njit(velocity_back)

    def step(u: Array, p: Array, at: Array, k: Array) -> None:
        """One step in u, which leaves in `at` the four points where it asked for velocities."""
        for stage, reach in enumerate((0.0, 0.5, 0.5, 1.0)):
            for i in range(3):
                at[stage, i] = u[i] + (reach * h * k[stage - 1, i] if stage else 0.0)
            forth(at[stage], p, k[stage])
        for i in range(3):
            u[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])

    def step_back(u_bar: Array, p: Array, at: Array, k_bar: Array, p_bar: Array) -> None:
        at_bar, through = np.empty(3), np.zeros(3)
        for i in range(3):
            k_bar[0, i] = k_bar[3, i] = h / 6.0 * u_bar[i]
            k_bar[1, i] = k_bar[2, i] = h / 3.0 * u_bar[i]
        for stage, reach in ((3, 1.0), (2, 0.5), (1, 0.5), (0, 0.0)):
            back(at[stage], p, k_bar[stage], at_bar, p_bar)
            for i in range(3):
                through[i] += at_bar[i]
                if stage:
                    k_bar[stage - 1, i] += reach * h * at_bar[i]
        for i in range(3):
            u_bar[i] += through[i]

    one, one_back = njit(step), njit(step_back)

    def kernel(x: Array, out: Array) -> None:
        u, p, k = x[:3].copy(), x[3:].copy(), np.empty((4, 3))
        at = np.empty((steps, 4, 3))
        for index in range(steps):
            one(u, p, at[index], k)
        out[0] = u[0] ** 2 + u[1] ** 2 + u[2] ** 2
        u_bar, p_bar = 2.0 * u, np.zeros(3)
        for index in range(steps - 1, -1, -1):
            one_back(u_bar, p, at[index], k, p_bar)
        out[1:4] = u_bar
        out[4:] = p_bar

    compiled: Kernel = njit(kernel)
    return compiled
