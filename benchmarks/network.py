"""The gradient of a network in scalar Python, beside versions of other libraries with matrices.

    python -m pip install -e '.[bench]' && python -m benchmarks.network [--quick]

The network has two hidden layers of sixteen tanh neurons and separates two half moons. The gradient
in its 337 parameters is summed over 4,096 points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.eager import flat
from benchmarks.moons import Network, moons, network, neuron
from benchmarks.peers import jax
from benchmarks.timing import Peer, Run, compare, first_answers, machine, options, report_first
from tapegrad import Real, math

ROWS = 4_096
NETWORK = network((2, 16, 16, 1), seed=1337)
POINTS, LABELS = map(np.array, moons(ROWS, noise=0.1, seed=1337))


def loss(net: Network[Real], point: Sequence[Real], label: float) -> Real:
    """The squared error at one point."""
    first, second, last = net
    hidden = [math.tanh(neuron(weights, bias, point)) for weights, bias in first]
    hidden = [math.tanh(neuron(weights, bias, hidden)) for weights, bias in second]
    weights, bias = last[0]
    return (neuron(weights, bias, hidden) - label) ** 2


def ours(fast: bool) -> Run:
    gradient = tg.value_and_grad(loss)
    total = tg.vmap(gradient, in_axes=(None, 0, 0), reduce="sum", fast=fast)

    def run() -> list[float]:
        value, slopes = total(NETWORK, POINTS, LABELS)
        return [value, *flat(slopes)]

    return run


def matrices() -> list[tuple[Any, Any]]:
    """The weights and biases of each layer."""
    return [
        (np.array([weights for weights, _ in layer]), np.array([bias for _, bias in layer]))
        for layer in NETWORK
    ]


def in_order(value: Any, slopes: Sequence[Any]) -> list[float]:
    """The value, then the derivatives in the order of the scalar program."""
    rows = (
        np.column_stack([weights, bias]).ravel()
        for weights, bias in zip(slopes[::2], slopes[1::2], strict=True)
    )
    answer: list[float] = [float(value), *np.concatenate(list(rows)).tolist()]
    return answer


def with_matrices(tanh: Callable[..., Any], layers: Sequence[Any], points: Any, labels: Any) -> Any:
    """The sum of the losses of all points, written with matrices."""
    hidden = points
    for weights, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        hidden = tanh(hidden @ weights.T + bias)
    weights, bias = layers[-2:]
    return (((hidden @ weights.T + bias)[:, 0] - labels) ** 2).sum()


def jax_matrices() -> Run:
    gradient = jax().jit(jax().value_and_grad(partial(with_matrices, jax().numpy.tanh)))
    layers = [jax().numpy.array(array) for layer in matrices() for array in layer]

    def run() -> list[float]:
        value, slopes = gradient(layers, POINTS, LABELS)
        return in_order(value, slopes)

    return run


def torch_matrices() -> Run:
    import torch

    layers = [torch.tensor(array, requires_grad=True) for layer in matrices() for array in layer]
    points, labels = torch.from_numpy(POINTS), torch.from_numpy(LABELS)

    def run() -> list[float]:
        value = with_matrices(torch.tanh, layers, points, labels)
        return in_order(value.detach(), torch.autograd.grad(value, layers))

    return run


def jax_scalar() -> Run:
    """The scalar program in jax."""
    tanh = jax().numpy.tanh

    def loss(net: Any, point: Any, label: Any) -> Any:
        hidden = point
        for layer in net[:-1]:
            hidden = [tanh(neuron(weights, bias, hidden)) for weights, bias in layer]
        weights, bias = net[-1][0]
        return (neuron(weights, bias, hidden) - label) ** 2

    one = jax().vmap(jax().value_and_grad(loss), in_axes=(None, 0, 0))
    total = jax().jit(lambda *x: jax().tree.map(lambda leaf: leaf.sum(), one(*x)))

    def run() -> list[float]:
        value, slopes = total(NETWORK, POINTS, LABELS)
        return [float(value), *map(float, jax().tree.leaves(slopes))]

    return run


PEERS = [
    Peer("tapegrad", "tapegrad", partial(ours, fast=False)),
    Peer("fast", "tapegrad", partial(ours, fast=True)),
    Peer("jax, matrices", "jax", jax_matrices),
    Peer("torch, matrices", "torch", torch_matrices),
    Peer("jax, this program", "jax", jax_scalar),
]


def main() -> None:
    choice = options(__doc__)
    if choice.first:
        report_first(PEERS, choice.first)
        return
    print(machine("jax", "torch", "numpy"))
    compare(f"{ROWS:,} rows, value and 337 slopes", PEERS, choice, "tapegrad", "fast")
    first_answers("benchmarks.network", PEERS, limit=600.0)


if __name__ == "__main__":
    main()
