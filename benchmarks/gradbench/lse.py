"""The logarithm of a sum of exponentials."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar, math
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr


def lse(x: Arr) -> Scalar:
    """log(sum(exp(x))), relative to the largest element."""
    top = tnp.max(x)
    found: Scalar = math.log(tnp.sum(tnp.exp(x - top))) + top
    return found


primal = tg.jit(lse)
gradient = tg.jit(tg.grad(lse))


def _primal(given: Mapping[str, Any]) -> Run:
    return partial(primal, np.array(given["x"]))


def _gradient(given: Mapping[str, Any]) -> Run:
    return partial(gradient, np.array(given["x"]))


FUNCTIONS: Mapping[str, Prepare] = {"primal": _primal, "gradient": _gradient}
