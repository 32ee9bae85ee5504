"""Training from the first line to the last: micrograd's demo, beside micrograd and torch.

    python -m pip install -e '.[bench]' && python -m benchmarks.training [--quick]

A hundred points, 337 parameters, a hundred steps of descent, with all that is compiled on the way
and no compiled code from earlier runs; libraries are imported before. Others take the same steps
with numbers of their own in the place of ours, and torch also with matrices. Each runs in processes
of its own, in turns, and their losses are compared.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any, Final, TypeAlias

import numpy as np

from benchmarks.eager import flat
from benchmarks.moons import ALPHA, Network, loss, moons, network, parameters, score
from benchmarks.timing import machine, options, refuse_to_differ
from tapegrad import Real, math
from tapegrad.learn import fit, optim, tree

STEPS: Final = 100
FEW: Final = 3
"""The steps of slow libraries that are timed: each of their steps takes as long as the next."""
NETWORK: Final = network((2, 16, 16, 1), seed=1337)
POINTS, LABELS = moons(100, noise=0.1, seed=1337)
RATE: Final = optim.linear(1.0, 0.1, STEPS)

Losses: TypeAlias = Iterator[float]


def row(net: Network[Real], point: Sequence[Real], label: Real) -> Real:
    """The loss of one point."""
    penalty = ALPHA * math.sum([p * p for p in parameters(net)])
    return math.relu(1.0 - label * score(net, point)) + penalty


def by_row() -> Losses:
    found = fit(row, NETWORK, POINTS, LABELS, optimizer=optim.sgd(RATE), steps=STEPS, reduce="mean")
    return (step.loss for step in found)


def of_all_rows() -> Losses:
    found = fit(loss, NETWORK, POINTS, LABELS, optimizer=optim.sgd(RATE), steps=STEPS)
    return (step.loss for step in found)


def on_arrays() -> Losses:
    """The same network as matrices."""
    points, labels = np.array(POINTS), np.array(LABELS)
    layers: Any = [
        (np.array([ws for ws, _ in layer]), np.array([b for _, b in layer])) for layer in NETWORK
    ]

    def loss(net: Any) -> Any:
        xs: Any = points
        for weights, bias in net[:-1]:
            xs = math.relu(xs @ weights.T + bias)
        weights, bias = net[-1]
        scores = (xs @ weights.T + bias)[:, 0]
        return math.relu(1.0 - labels * scores).mean() + ALPHA * tree.dot(net, net)

    return (step.loss for step in fit(loss, layers, optimizer=optim.sgd(RATE), steps=STEPS))


def micrograd() -> Losses:
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = MLP(2, [16, 16, 1])
    for parameter, value in zip(model.parameters(), flat(NETWORK), strict=True):
        parameter.data = value
    for step in range(STEPS):
        scores = [model(list(map(Value, point))) for point in POINTS]
        losses = [(1 + -y * s).relu() for y, s in zip(LABELS, scores, strict=True)]
        total = sum(losses) * (1.0 / len(losses)) + ALPHA * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for parameter in model.parameters():
            parameter.data -= RATE(step) * parameter.grad
        yield total.data


def torch_scalars() -> Losses:
    """The same program on tensors of one number."""
    import torch

    torch.set_num_threads(1)  # such small work is slower on several
    relu: Callable[..., Any] = torch.relu
    tensors: list[Any] = [torch.tensor(x, dtype=torch.float64) for x in flat(NETWORK)]
    for step in range(STEPS):
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        total = _loss_of_scalars(relu, iter(leaves)) + ALPHA * sum(p * p for p in leaves)
        slopes = torch.autograd.grad(total, leaves)
        tensors = [x - RATE(step) * slope for x, slope in zip(leaves, slopes, strict=True)]
        yield float(total.detach())


def _loss_of_scalars(relu: Callable[..., Any], leaves: Iterator[Any]) -> Any:
    """The mean hinge loss, without the regularisation."""
    sizes = [[len(weights) for weights, _ in layer] for layer in NETWORK]
    net = [[([*islice(leaves, n)], next(leaves)) for n in layer] for layer in sizes]
    total: Any = 0.0
    for point, label in zip(POINTS, LABELS, strict=True):
        xs: list[Any] = list(point)
        for depth, layer in enumerate(net):
            sums = [sum((w * x for w, x in zip(ws, xs, strict=True)), b) for ws, b in layer]
            xs = list(map(relu, sums)) if depth < len(net) - 1 else sums
        total = total + relu(1.0 - label * xs[0])
    return total / len(POINTS)


def torch_matrices() -> Losses:
    """The same network as matrices."""
    import torch

    torch.set_num_threads(1)  # such small work is slower on several
    leaves: list[Any] = []
    for layer in NETWORK:
        leaves += [torch.tensor([ws for ws, _ in layer], dtype=torch.float64, requires_grad=True)]
        leaves += [torch.tensor([b for _, b in layer], dtype=torch.float64, requires_grad=True)]
    points, labels = (torch.tensor(x, dtype=torch.float64) for x in (POINTS, LABELS))
    for step in range(STEPS):
        xs = points
        for weights, bias in zip(leaves[:-2:2], leaves[1:-2:2], strict=True):
            xs = torch.relu(xs @ weights.T + bias)
        scores = (xs @ leaves[-2].T + leaves[-1])[:, 0]
        penalty = ALPHA * sum((p * p).sum() for p in leaves)
        total = torch.relu(1.0 - labels * scores).mean() + penalty
        slopes = torch.autograd.grad(total, leaves)
        with torch.no_grad():
            for leaf, slope in zip(leaves, slopes, strict=True):
                leaf.sub_(RATE(step) * slope)
        yield float(total.detach())


WAYS: Final[dict[str, tuple[str, Callable[[], Losses], int]]] = {
    "tapegrad, a loss of one row": ("tapegrad", by_row, STEPS),
    "tapegrad, a loss of all rows": ("tapegrad", of_all_rows, STEPS),
    "tapegrad, matrices": ("tapegrad", on_arrays, STEPS),
    "micrograd": ("micrograd", micrograd, FEW),
    "torch, scalars": ("torch", torch_scalars, FEW),
    "torch, matrices": ("torch", torch_matrices, STEPS),
}
"""The library that each needs, its losses step by step, and the steps that are timed."""


def report(name: str) -> None:
    """Prints the seconds of all steps, and the losses of the first few."""
    library, run, steps = WAYS[name]
    import_module(library)
    start = perf_counter()
    losses = list(islice(run(), steps))
    print((perf_counter() - start) * STEPS / steps, *losses[:FEW])


def in_a_process(name: str) -> tuple[float, list[float]]:
    """The same from a new process."""
    command = [sys.executable, "-m", "benchmarks.training", "--first", name]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    taken, *losses = map(float, run.stdout.split())
    return taken, losses


def main() -> None:
    choice = options(__doc__)
    if choice.first:
        report(choice.first)
        return
    names = [name for name, (library, _, _) in WAYS.items() if find_spec(library)]
    times: dict[str, list[float]] = {name: [] for name in names}
    _, want = in_a_process(names[0])
    for name in names * (1 if choice.quick else 5):
        taken, got = in_a_process(name)
        refuse_to_differ(names[0], want, name, got, 1e-9)
        times[name].append(taken)
    print(machine("micrograd", "torch", "numpy"))
    print(
        f"{STEPS} steps, {len(POINTS)} points, {len(flat(NETWORK))} parameters: seconds, and ratios"
    )
    for name, found in times.items():
        ratio = median(a / b for a, b in zip(found, times[names[0]], strict=True))
        print(f"  {name:30}{median(found):9.2f}{ratio:9.2f}")


if __name__ == "__main__":
    main()
