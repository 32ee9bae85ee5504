"""Models of arrays, and of arrays and numbers: the functions of `tapegrad.numpy`."""

from typing import Generic, assert_type

import attrs
import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr

Floats = NDArray[np.float64]


@attrs.frozen
class Layer(Generic[Arr]):
    w: Arr
    b: Arr
    name: str = "layer"

    def __call__(self, x: Floats) -> Arr:
        return tnp.tanh(self.w @ x + self.b)


@attrs.frozen
class Net(Generic[Real, Arr]):
    layers: tuple[Layer[Arr], ...]
    scale: Real


def norm(x: Arr) -> Scalar:
    return tnp.sum(x * x)


def spread(x: Arr) -> Scalar:
    return tnp.max(x) - tnp.min(x) + tnp.std(x)


def loss(p: Layer[Arr], x: Floats, y: Floats) -> Scalar:
    r = p(x) - y
    return tnp.mean(tnp.sum(tnp.where(r > 0.0, r * r, -r), axis=0, keepdims=True))


def scaled(p: Net[Real, Arr], x: Floats) -> Scalar:
    return tnp.sum(p.layers[0](x)) * p.scale


x, y = np.ones(3), np.zeros(2)
layer = Layer(np.ones((2, 3)), np.zeros(2))
assert tg.grad(norm)(x).tolist() == [2.0, 2.0, 2.0]
slope = assert_type(tg.grad(loss)(layer, x, y), Layer[Floats])
assert slope.w.shape == (2, 3)
value, gradient = tg.value_and_grad(scaled)(Net((layer,), 2.0), x)
scale: float = gradient.scale
assert scale == value / 2.0
assert norm(x) == 3.0
assert spread(x) == 0.0
