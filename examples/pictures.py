"""The pictures in the documentation: a loss, a neuron, and a mean over random prices.

    python -m examples.pictures docs

writes them into the folder ``docs``. Without a folder they are printed as trees.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tapegrad import Real, label, math, record, scope
from tapegrad.cli.demo import POINT, neuron

MARKET = {"spot": 100.0, "vol": 0.2, "strike": 105.0}


def loss(p: Mapping[str, Real], x: float, y: float) -> Real:
    return (p["w"] * x + p["b"] - y) ** 2


@scope("step")
def step(spot: Real, vol: Real, z: float) -> Real:
    spread = vol * math.sqrt(1.0 / 12.0)
    return spot * math.exp(spread * z - 0.5 * spread * spread)


@scope("path")
def payoff(market: Mapping[str, Real], normals: Sequence[float]) -> Real:
    spot = market["spot"]
    for z in normals:
        spot = step(spot, market["vol"], z)
    if spot > market["strike"]:
        return spot - market["strike"]
    return 0.0 * spot


def price(market: Mapping[str, Real], paths: Sequence[Sequence[float]]) -> Real:
    """The mean payoff of a call option over random developments of its price, in monthly steps."""
    payoffs = [payoff(market, normals) for normals in paths]
    return label(math.sum(payoffs) / len(payoffs), "price")


def draws(count: int) -> list[list[float]]:
    """Twelve random numbers for each development of the price, the same on every run."""
    source = Random(1)
    return [[source.gauss(0.0, 1.0) for _ in range(12)] for _ in range(count)]


def main(folder: Path | None = None) -> None:
    small = record(loss)({"w": 2.0, "b": -1.0}, 3.0, 1.0).draw()
    large = record(price)(MARKET, draws(20))
    for name, drawing in (
        ("loss", small),
        ("neuron", record(neuron)(POINT).draw()),
        ("lines", large.draw()),
        ("scopes", large.draw(by="scope")),
    ):
        if folder is None:
            print(f"{name}\n{drawing}\n")
        else:
            (folder / f"{name}.svg").write_text(drawing.svg, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
