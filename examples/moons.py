"""A network of 337 parameters tells two half moons apart, as in micrograd's demo.

    python -m examples.moons moons.png

writes a picture of the boundary that it has learned. The loss is that of one point; `fit` averages
it over all, by compiled code. It is a hinge loss with a penalty for large parameters, and the rate
falls from 1 to 0.1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tapegrad import Real, math
from tapegrad.learn import data, fit, losses, nn, optim, plot, tree

STEPS = 100


def loss(mlp: nn.MLP[Real], point: data.Point, label: float) -> Real:
    """The loss of one point, and the penalty."""
    (score,) = mlp(point)
    neurons = [neuron for layer in mlp.layers for neuron in layer.neurons]
    squares = [math.dot(neuron.w, neuron.w) + neuron.b * neuron.b for neuron in neurons]
    return losses.hinge(score, label) + 1e-4 * math.sum(squares)


def accuracy(mlp: nn.MLP[float], points: list[data.Point], labels: list[float]) -> float:
    """The share of points on the right side."""
    right = [mlp(point)[0] * label > 0.0 for point, label in zip(points, labels, strict=True)]
    return sum(right) / len(right)


def train(steps: int, seed: int = 1337) -> tuple[nn.MLP[float], list[float], float]:
    """The network, the loss before each step, and the accuracy."""
    moons = data.moons(100, noise=0.1, seed=seed)
    labels = moons.signs()
    mlp = nn.MLP.init([2, 16, 16, 1], activation="relu", seed=seed)
    optimizer = optim.sgd(optim.linear(1.0, 0.1, STEPS))
    records = list(
        fit(loss, mlp, moons.points, labels, optimizer=optimizer, reduce="mean", steps=steps)
    )
    trained = records[-1].parameters
    return trained, [r.loss for r in records], accuracy(trained, moons.points, labels)


def main(picture: Path | None = None) -> None:
    mlp, values, right = train(STEPS)
    for step in range(0, STEPS, 10):
        print(f"step {step:3}  loss {values[step]:.6f}")
    print(f"{tree.size(mlp)} parameters, accuracy {right:.0%}")
    assert right >= 0.95
    if picture is not None:
        points, labels = data.moons(100, noise=0.1, seed=1337)
        plot.save(plot.decision_boundary(mlp, points, labels), picture)
        print("wrote", picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
