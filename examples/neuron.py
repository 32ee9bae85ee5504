"""A neuron with two inputs, with tanh as one operation and with tanh written by means of exp.

Both versions have the same value and the same gradient, but different tapes. The numbers are those
of Andrej Karpathy's introduction to micrograd.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tapegrad import Real, label, math, record, scope

POINT = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432}


@scope("neuron")
def activation(p: Mapping[str, Real]) -> Real:
    return label(p["x1"] * p["w1"] + p["x2"] * p["w2"] + p["b"], "n")


def by_tanh(p: Mapping[str, Real]) -> Real:
    return label(math.tanh(activation(p)), "o")


def by_exp(p: Mapping[str, Real]) -> Real:
    e = label(math.exp(2.0 * activation(p)), "e")
    return label((e - 1.0) / (e + 1.0), "o")


def show(title: str, neuron: Callable[[Mapping[str, float]], float]) -> None:
    tape = record(neuron)(POINT)
    print(f"{title}: o = {tape.value:.16f}")
    for name, slope in tape.gradient().items():
        print(f"    d o / d {name:2} = {slope: .10f}")


def main(picture: Path | None = None) -> None:
    show("tanh(n)", by_tanh)
    show("(e - 1) / (e + 1)", by_exp)
    if picture is not None:
        print("wrote", record(by_exp)(POINT).draw(picture))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
