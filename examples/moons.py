"""A small network that separates two half moons, trained by gradient descent (micrograd's demo).

It has two hidden layers of sixteen relu neurons, and its 337 parameters are plain tuples and lists.
The loss over a hundred points is a hinge loss with L2 regularisation, and the learning rate falls
from 1.0 to 0.1.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import TypeAlias

from tapegrad import Real, math, value_and_grad

Neuron: TypeAlias = tuple[list[Real], Real]
Layer: TypeAlias = list[Neuron[Real]]
Network: TypeAlias = list[Layer[Real]]
Point: TypeAlias = tuple[float, float]

ALPHA = 1e-4


def moons(count: int, noise: float, seed: int) -> tuple[list[Point], list[float]]:
    """Points on two interleaving half circles, and their labels -1 and 1."""
    source = random.Random(seed)
    points: list[Point] = []
    labels: list[float] = []
    for index in range(count):
        angle = pi * (index // 2) / (count // 2 - 1)
        upper = index % 2 == 0
        x, y = (cos(angle), sin(angle)) if upper else (1.0 - cos(angle), 0.5 - sin(angle))
        points.append((x + source.gauss(0.0, noise), y + source.gauss(0.0, noise)))
        labels.append(-1.0 if upper else 1.0)
    return points, labels


def network(sizes: Sequence[int], seed: int) -> Network[float]:
    """Random weights and zero biases."""
    source = random.Random(seed)
    return [
        [([source.uniform(-1.0, 1.0) for _ in range(inputs)], 0.0) for _ in range(outputs)]
        for inputs, outputs in pairwise(sizes)
    ]


def neuron(weights: Sequence[Real], bias: Real, xs: Sequence[Real]) -> Real:
    total = bias
    for weight, x in zip(weights, xs, strict=True):
        total = total + weight * x
    return total


def score(net: Network[Real], point: Sequence[Real]) -> Real:
    xs = point
    for layer in net[:-1]:
        xs = [math.relu(neuron(weights, bias, xs)) for weights, bias in layer]
    weights, bias = net[-1][0]
    return neuron(weights, bias, xs)


def parameters(net: Network[Real]) -> Iterator[Real]:
    for layer in net:
        for weights, bias in layer:
            yield from weights
            yield bias


def loss(net: Network[Real], points: Sequence[Sequence[Real]], labels: Sequence[Real]) -> Real:
    """The mean hinge loss plus the regularisation."""
    scores = [score(net, point) for point in points]
    hinges = [math.relu(1.0 - y * s) for y, s in zip(labels, scores, strict=True)]
    penalty = ALPHA * math.sum(p * p for p in parameters(net))
    return math.sum(hinges) * (1.0 / len(hinges)) + penalty


def descend(net: Network[float], slope: Network[float], rate: float) -> Network[float]:
    """The parameters after one step of gradient descent."""
    return [
        [
            ([w - rate * dw for w, dw in zip(ws, dws, strict=True)], b - rate * db)
            for (ws, b), (dws, db) in zip(layer, slopes, strict=True)
        ]
        for layer, slopes in zip(net, slope, strict=True)
    ]


def accuracy(net: Network[float], points: Sequence[Point], labels: Sequence[float]) -> float:
    """The share of points that are classified correctly."""
    right = [
        (score(net, point) > 0.0) == (y > 0.0) for point, y in zip(points, labels, strict=True)
    ]
    return sum(right) / len(right)


def train(steps: int, schedule: int = 100, seed: int = 1337) -> tuple[list[float], float]:
    """The loss before each step, and the accuracy after the last."""
    points, labels = moons(100, noise=0.1, seed=seed)
    net = network((2, 16, 16, 1), seed)
    losses: list[float] = []
    for step in range(steps):
        value, slope = value_and_grad(loss)(net, points, labels)
        net = descend(net, slope, 1.0 - 0.9 * step / schedule)
        losses.append(value)
    return losses, accuracy(net, points, labels)


def main() -> None:
    losses, right = train(100)
    for step in range(0, 100, 10):
        print(f"step {step:3}  loss {losses[step]:.6f}")
    print(f"accuracy {right:.0%}")


if __name__ == "__main__":
    main()
