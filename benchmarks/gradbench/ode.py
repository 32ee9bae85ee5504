"""A system of differential equations, each driven by the one before, by Runge and Kutta."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr

TIME = 2.0


def slope(x: Arr, y: Arr) -> Arr:
    """y_0' = x_0, and y_i' = x_i * y_(i-1)."""
    found: Arr = tnp.concat([x[:1], x[1:] * y[:-1]])
    return found


def solution(x: Arr, steps: int) -> Arr:
    """All y after so many steps, from 0."""
    h = TIME / steps
    y = x * 0.0
    for _ in range(steps):
        k1 = slope(x, y)
        k2 = slope(x, y + (0.5 * h) * k1)
        k3 = slope(x, y + (0.5 * h) * k2)
        k4 = slope(x, y + h * k3)
        y = y + (h / 6.0) * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return y


def last(x: Arr, steps: int) -> Scalar:
    """The last y."""
    found: Scalar = solution(x, steps)[-1]
    return found


primal = tg.jit(solution)
gradient = tg.jit(tg.grad(last))


def _primal(given: Mapping[str, Any]) -> Run:
    return partial(primal, np.array(given["x"]), int(given["s"]))


def _gradient(given: Mapping[str, Any]) -> Run:
    return partial(gradient, np.array(given["x"]), int(given["s"]))


FUNCTIONS: Mapping[str, Prepare] = {"primal": _primal, "gradient": _gradient}
