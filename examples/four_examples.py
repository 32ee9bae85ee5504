"""The network of the lecture, with 41 parameters, learns four examples by gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import tapegrad as tg
from tapegrad import Real
from tapegrad.learn import data, losses, tree
from tapegrad.learn.nn import MLP


def loss(mlp: MLP[Real], xs: Sequence[Sequence[float]], ys: Sequence[float]) -> Real:
    return losses.mse([mlp(x)[0] for x in xs], ys)


def train(steps: int) -> tuple[MLP[float], list[float]]:
    """The network, and the loss before each step."""
    xs, ys = data.four_examples()
    mlp = MLP.init([3, 4, 4, 1], output="tanh", seed=1)
    values: list[float] = []
    for _ in range(steps):
        value, slope = tg.value_and_grad(loss)(mlp, xs, ys)
        mlp = tree.add_scaled(mlp, slope, -0.5)
        values.append(value)
    return mlp, values


def main() -> None:
    mlp, values = train(60)
    for step in range(0, 60, 10):
        print(f"step {step:2}  loss {values[step]:.4f}")
    xs, ys = data.four_examples()
    for x, y in zip(xs, ys, strict=True):
        print(f"wanted {y:4.1f}, found {mlp(x)[0]:7.4f}")
    assert all(abs(mlp(x)[0] - y) < 0.2 for x, y in zip(xs, ys, strict=True))


if __name__ == "__main__":
    main()
