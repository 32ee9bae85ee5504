"""The direction of Newton's method for the centres of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats


def cost(centroids: Arr, points: Floats) -> Scalar:
    """The sum of the squared distances of the points from their nearest centroids."""
    apart = points[:, None, :] - centroids
    found: Scalar = tnp.sum(tnp.min(tnp.sum(apart * apart, axis=2), axis=1))
    return found


def direction(centroids: Floats, points: Floats) -> Floats:
    """The gradient divided by the diagonal of the Hessian, which has no other elements."""
    slope, curvature = tg.jvp(tg.grad(cost), centroids, np.ones(centroids.shape), points)
    return slope / curvature


run_cost, run_direction = tg.jit(cost), tg.jit(direction)


def _read(given: Mapping[str, Any]) -> tuple[Floats, Floats]:
    return np.array(given["centroids"], float), np.array(given["points"], float)


def _cost(given: Mapping[str, Any]) -> Run:
    return partial(run_cost, *_read(given))


def _direction(given: Mapping[str, Any]) -> Run:
    return partial(run_direction, *_read(given))


FUNCTIONS: Mapping[str, Prepare] = {"cost": _cost, "dir": _direction}
