"""Mistakes with arrays, which checkers find."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tapegrad import Scalar, grad
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr

Floats = NDArray[np.float64]


def loss(p: Mapping[str, Arr], x: Floats) -> Scalar:
    return tnp.mean(x @ p["w"])


def vector(v: Arr) -> Arr:
    return v * v


def writes(v: Arr) -> Scalar:
    v[0] = 1.0  # E: index
    return tnp.sum(v)


def sums_to_an_array(v: Arr) -> Scalar:
    return tnp.sum(v, 0)  # E: return-value


p = {"w": np.zeros(3)}
x = np.zeros((2, 3))
grad(loss)(p, "x")  # E: arg-type
grad(loss)(x, x)  # E: arg-type
grad(vector)(x)  # E: arg-type
grad(loss)(p, x)["w"].foo  # E: attr-defined
tnp.sum(p)  # E: call-overload
q: int = grad(loss)(p, x)  # E: assignment
