"""A small network that separates two half moons, in plain tuples and lists (micrograd's demo).

It has two hidden layers of sixteen relu neurons with 337 parameters. The loss is a hinge loss with
L2 regularisation. Programs in other libraries do the same arithmetic.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import TypeAlias

from tapegrad import Real, math

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
