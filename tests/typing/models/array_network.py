"""A network of arrays in attrs classes: batches, a step of Adam, labels that are ints."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, assert_type

import attrs
import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats

Labels = NDArray[np.int64]
Rule = Callable[[Floats, Floats], Floats]


@attrs.frozen
class Dense(Generic[Arr]):
    w: Arr
    b: Arr

    def __call__(self, x: Arr | Floats) -> Arr:
        return x @ self.w + self.b


@attrs.frozen
class Network(Generic[Arr]):
    layers: tuple[Dense[Arr], ...]
    scale: Arr
    name: str = "network"

    def logits(self, x: Floats) -> Arr:
        h: Arr | Floats = x
        for layer in self.layers[:-1]:
            h = tnp.maximum(layer(h), 0.0)
        return self.layers[-1](h) * self.scale


def dropout(x: Arr, kept: NDArray[np.bool_]) -> Arr:
    return tnp.where(kept, x / 0.5, 0.0)


def cross_entropy(logits: Arr, labels: Labels) -> Arr:
    rows = np.arange(len(labels))
    return -tnp.log_softmax(logits, axis=1)[rows, labels]


def penalty(net: Network[Arr]) -> Scalar:
    return 1e-3 * sum((tnp.sum(layer.w**2) for layer in net.layers), start=0.0)


def loss(net: Network[Arr], x: Floats, labels: Labels) -> Scalar:
    return tnp.mean(cross_entropy(net.logits(x), labels)) + penalty(net)


def accuracy(net: Network[Floats], x: Floats, labels: Labels) -> float:
    return tnp.mean(tnp.equal(tnp.argmax(net.logits(x), axis=1), labels))


def started(sizes: Sequence[int], rng: np.random.Generator) -> Network[Floats]:
    layers = tuple(
        Dense(rng.normal(size=(n, m)) / np.sqrt(n), np.zeros(m)) for n, m in pairwise(sizes)
    )
    return Network(layers, np.ones(1))


def moved(net: Network[Floats], slope: Network[Floats], rule: Rule) -> Network[Floats]:
    layers = tuple(
        Dense(rule(one.w, by.w), rule(one.b, by.b))
        for one, by in zip(net.layers, slope.layers, strict=True)
    )
    return attrs.evolve(net, layers=layers)


def batches(x: Floats, labels: Labels, size: int) -> Iterator[tuple[Floats, Labels]]:
    for start in range(0, len(x), size):
        yield x[start : start + size], labels[start : start + size]


def descend(w: Floats, slope: Floats) -> Floats:
    return w - 0.5 * slope


rng = np.random.default_rng(0)
x = rng.normal(size=(64, 2))
labels = (x[:, 0] * x[:, 1] > 0.0).astype(np.int64)
net = started([2, 16, 2], rng)
slopes = tg.value_and_grad(loss)
first = slopes(net, x, labels).value
for _ in range(50):
    for some, theirs in batches(x, labels, 32):
        value, gradient = slopes(net, some, theirs)
        net = moved(net, gradient, descend)
slope = assert_type(tg.grad(loss)(net, x, labels), Network[Floats])
shape: tuple[int, ...] = slope.layers[0].w.shape
assert shape == (2, 16)
assert loss(net, x, labels) < first
assert accuracy(net, x, labels) > 0.8
assert_type(dropout(x, x > 0.0), Floats)
