"""A network on scikit-learn's digits, trained by ``fit`` and by torch: the same losses, the time.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.digits [--quick]

The example's network: 2,410 parameters, 1,797 pictures of 64 pixels, a hundred steps of Adam with
all pictures at once, in float64. Both start from the same parameters and take turns in one process.
Ours includes what it compiles on the way; imports do not count. torch has one thread, and so has
numpy with the variable above. It needs the extras ``dev``, for scikit-learn, and ``bench``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from statistics import median
from time import perf_counter
from typing import Any, Final

from benchmarks.timing import machine, options, refuse_to_differ
from examples.digits import loss, pictures
from tapegrad.learn import fit, optim
from tapegrad.learn.nn import DenseMLP

STEPS: Final = 100
RATE: Final = 0.005
START: Final = DenseMLP.init([64, 32, 10], activation="relu", init="he", seed=0)
PIXELS, DIGITS = pictures()


def ours() -> list[float]:
    """The loss before each step."""
    steps = fit(loss, START, PIXELS, DIGITS, optimizer=optim.adam(RATE), steps=STEPS)
    return [step.loss for step in steps]


def by_torch() -> list[float]:
    """The same by torch's layers and its Adam."""
    import torch

    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    model = model.to(torch.float64)
    with torch.no_grad():
        for place, layer in zip((0, 2), START.layers, strict=True):
            linear: Any = model[place]
            linear.weight.copy_(torch.tensor(layer.w.T))
            linear.bias.copy_(torch.tensor(layer.b))
    pixels, digits = torch.tensor(PIXELS), torch.tensor(DIGITS)
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    losses: list[float] = []
    for _ in range(STEPS):
        adam.zero_grad()
        value = torch.nn.functional.cross_entropy(model(pixels), digits)
        losses.append(float(value.detach()))
        value.backward()
        adam.step()
    return losses


def timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    start = perf_counter()
    losses = run()
    return perf_counter() - start, losses


def main() -> None:
    choice = options(__doc__)
    import_module("torch")
    ratios, times = [], []
    for _ in range(1 if choice.quick else 7):
        (mine, want), (theirs, got) = timed(ours), timed(by_torch)
        refuse_to_differ("tapegrad", want, "torch", got, 1e-9)
        times.append(mine)
        ratios.append(theirs / mine)
    print(machine("torch", "numpy", "scikit-learn"))
    print(f"{STEPS} steps on {len(DIGITS):,} digits: {median(times):.2f} s", end=", ")
    print(f"torch / ours {median(ratios):.2f}")


if __name__ == "__main__":
    main()
