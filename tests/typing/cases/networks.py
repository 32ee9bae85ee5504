"""Networks, losses and data: parameters keep their types, of numbers and of arrays."""

from collections.abc import Sequence
from typing import Generic, assert_type

import attrs
import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, Scalar, math
from tapegrad.learn import data, losses, nn
from tapegrad.learn.nn import MLP, Dense, DenseMLP, Layer, Neuron
from tapegrad.numpy import Arr, Floats


def hinge(mlp: MLP[Real], xs: Sequence[Sequence[float]], ys: Sequence[float]) -> Real:
    return losses.hinge([mlp(x)[0] for x in xs], ys)


def one(mlp: MLP[Real], x: Sequence[float], label: float) -> Real:
    (score,) = mlp(x)
    return losses.binary_cross_entropy(score, label)


def classes(layer: Layer[Real], xs: Sequence[Sequence[float]], labels: Sequence[int]) -> Real:
    return losses.cross_entropy([layer(x) for x in xs], labels)


def of_inputs(xs: Sequence[Real]) -> Real:
    score = math.sum(MLP.init([2, 3, 1])(xs))
    return losses.mse(score * Neuron((1.0, 2.0), 0.0)(xs), 1.0)


def of_rows(mlp: DenseMLP[Arr], x: Floats, labels: NDArray[np.int64]) -> Scalar:
    return losses.cross_entropy(mlp(x), labels)


def of_array(x: Arr) -> Scalar:
    return losses.mse(DenseMLP.init([2, 3, 2])(x), 0.0)


def of_one_row(mlp: DenseMLP[Arr], x: Sequence[float], label: int) -> Scalar:
    return losses.cross_entropy(mlp(x), label)


def of_layer(layer: Dense[Arr], x: Floats, y: Floats) -> Scalar:
    return losses.mse(layer(x)[:, 0], y)


@attrs.frozen
class Model(Generic[Real]):
    mlp: MLP[Real]
    scale: Real
    name: str = "model"

    def __call__(self, xs: Sequence[float]) -> Real:
        return self.mlp(xs)[0] * self.scale


def of_model(model: Model[Real], xs: Sequence[Sequence[float]], ys: Sequence[float]) -> Real:
    return losses.huber([model(x) for x in xs], ys)


xs, ys = data.four_examples()
mlp = assert_type(nn.MLP.init([3, 4, 1], activation="tanh"), MLP[float])
assert_type(mlp(xs[0]), list[float])
assert_type(tg.grad(hinge)(mlp, xs, ys), MLP[float])
assert_type(tg.value_and_grad(one)(mlp, xs[0], 1.0).grad.layers[0].neurons[0].w, tuple[float, ...])
assert_type(hinge(mlp, xs, ys), float)
layer = assert_type(Layer.init(2, 3, seed=1), Layer[float])
points = data.blobs(9)
assert_type(tg.grad(classes)(layer, points.points, points.labels), Layer[float])

assert_type(tg.grad(of_inputs)([0.5, 1.0]), Sequence[float])

model = Model(mlp, 2.0)
slope = assert_type(tg.grad(of_model)(model, xs, ys), Model[float])
assert_type(slope.mlp, MLP[float])
assert_type(tg.jit(tg.grad(of_model))(model, xs, ys), Model[float])

rows, labels = points.arrays()
dense = assert_type(DenseMLP.init([2, 8, 3], activation="relu"), DenseMLP[Floats])
assert_type(dense(rows), Floats)
assert_type(tg.grad(of_rows)(dense, rows, labels), DenseMLP[Floats])
assert_type(tg.grad(of_array)(np.ones(2)), Floats)
assert_type(tg.grad(of_one_row)(dense, [0.5, 1.0], 2), DenseMLP[Floats])
assert_type(tg.grad(of_layer)(Dense.init(2, 1), rows, np.zeros(9)).w, Floats)

assert_type(losses.mse([1.0, 2.0], [0.0, 0.0]), float)
assert_type(losses.mse(1.0, 0.0), float)
assert_type(losses.mse(np.ones(2), np.zeros(2)), float)
assert_type(losses.cross_entropy([1.0, 2.0], 0), float)


def columns(path: str) -> None:
    assert_type(data.read_csv(path, ["age"]), dict[str, list[float]])
    assert_type(data.read_csv(path, ["age"], int), dict[str, list[int]])
    assert_type(data.read_csv(path, ["name"], str)["name"], list[str])
