"""The output of ``python -m tapegrad demo``: a gradient, its tape, and the picture of the tape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tapegrad import Real, grad, label, math, record, scope

__all__ = ["POINT", "demo", "neuron"]

POINT = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432}


@scope("neuron")
def neuron(p: Mapping[str, Real]) -> Real:
    """A neuron with two inputs, from Karpathy's micrograd lecture."""
    n = label(p["x1"] * p["w1"] + p["x2"] * p["w2"] + p["b"], "n")
    return label(math.tanh(n), "o")


def demo(folder: Path) -> None:
    """Print the gradient and the tape, and write its picture and the page to step through it."""
    print(f"point\n{POINT}\n\ngrad(neuron)(point)\n{grad(neuron)(POINT)}")
    tape = record(neuron)(POINT)
    print(f"\nrecord(neuron)(point)\n{tape}\n")
    for name in ("neuron.svg", "neuron.html"):
        print("wrote", tape.draw(folder / name))
    print("open them in a browser")
