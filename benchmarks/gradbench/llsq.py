"""The sum of squares by which a polynomial misses the sign function."""

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


def squares(x: Arr, count: int) -> Scalar:
    """Half of the sum of squares at so many places between -1 and 1."""
    t = np.linspace(-1.0, 1.0, count)
    powers = np.vander(t, x.size, increasing=True)
    missed = np.sign(t) - powers @ x
    found: Scalar = 0.5 * tnp.sum(missed * missed)
    return found


primal = tg.jit(squares)
gradient = tg.jit(tg.grad(squares))


def _primal(given: Mapping[str, Any]) -> Run:
    return partial(primal, np.array(given["x"]), int(given["n"]))


def _gradient(given: Mapping[str, Any]) -> Run:
    return partial(gradient, np.array(given["x"]), int(given["n"]))


FUNCTIONS: Mapping[str, Prepare] = {"primal": _primal, "gradient": _gradient}
