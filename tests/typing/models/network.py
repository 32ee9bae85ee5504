"""A network of attrs layers: activations as fields, a loop over layers, a few steps of descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Self

import attrs

import tapegrad as tg
from tapegrad import Real, Scalar, math

Activation = Callable[[Scalar], Scalar]


@attrs.frozen
class Dense(Generic[Real]):
    kind: ClassVar[str] = "dense"
    weights: tuple[tuple[Real, ...], ...]
    biases: tuple[Real, ...]

    def __call__(self, x: Sequence[Real]) -> list[Real]:
        rows = zip(self.weights, self.biases, strict=True)
        return [math.tanh(math.dot(row, x) + bias) for row, bias in rows]

    @classmethod
    def filled(cls, wide: int, high: int, value: float) -> Dense[float]:
        return Dense(((value,) * wide,) * high, (0.0,) * high)

    def renamed(self) -> Self:
        return attrs.evolve(self)


@attrs.frozen
class Network(Generic[Real]):
    layers: tuple[Dense[Real], ...]
    name: str = attrs.field(default="net", kw_only=True)

    def __call__(self, x: Sequence[Real]) -> Real:
        h = x
        for layer in self.layers:
            h = layer(h)
        return math.sum(h)


def loss(net: Network[Real], xs: Sequence[Sequence[Real]], ys: Sequence[float]) -> Real:
    return math.mean([(net(x) - y) ** 2 for x, y in zip(xs, ys, strict=True)])


def descended(net: Network[float], slope: Network[float], rate: float) -> Network[float]:
    def layer(a: Dense[float], b: Dense[float]) -> Dense[float]:
        weights = tuple(
            tuple(w - rate * d for w, d in zip(row, slopes, strict=True))
            for row, slopes in zip(a.weights, b.weights, strict=True)
        )
        biases = tuple(w - rate * d for w, d in zip(a.biases, b.biases, strict=True))
        return Dense(weights, biases)

    layers = tuple(layer(a, b) for a, b in zip(net.layers, slope.layers, strict=True))
    return attrs.evolve(net, layers=layers)


def activated(x: Scalar, activation: Activation) -> Scalar:
    return activation(x) * 2.0


net = Network((Dense.filled(2, 3, 0.1), Dense.filled(3, 1, 0.2)), name="xor")
losses: list[float] = []
for _ in range(3):
    value, gradient = tg.value_and_grad(loss)(net, [[0.0, 1.0], [1.0, 1.0]], [1.0, 0.0])
    losses.append(value)
    net = descended(net, gradient, 0.1)
assert losses == sorted(losses, reverse=True)
assert net.name == "xor"
activations: dict[str, Activation] = {"tanh": math.tanh, "relu": math.relu}
slope: float = tg.grad(activated)(1.0, activations["relu"])
assert slope == 2.0
