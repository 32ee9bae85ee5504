"""Logistic regression from a CSV file, by Newton's method.

Did the cold damage the O-rings? The data are the 23 flights of the space shuttle before the
Challenger's last (Dalal, Fowlkes and Hoadley, 1989). The published maximum of the likelihood is at
15.043 - 0.2322 per degree Fahrenheit; the standard errors are the roots of the diagonal of the
inverse Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic

import attrs

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.learn import data, losses

FILE = Path(__file__).parent / "orings.csv"


@attrs.frozen
class Model(Generic[Real]):
    """The logit of damage: ``level`` at 70 degrees, and its change by the degree."""

    level: Real
    slope: Real

    def __call__(self, temperature: float) -> Real:
        return self.level + self.slope * (temperature - 70.0)


def loss(model: Model[Real], temperatures: Sequence[float], damaged: Sequence[float]) -> Real:
    """The negative logarithm of the likelihood."""
    logits = [model(temperature) for temperature in temperatures]
    return losses.binary_cross_entropy(logits, damaged) * len(logits)


def inverse(h: dict[str, dict[str, float]]) -> tuple[float, float, float]:
    """The inverse of a symmetric 2 by 2 matrix: both ends of its diagonal, and the other number."""
    a, b, c = h["level"]["level"], h["level"]["slope"], h["slope"]["slope"]
    determinant = a * c - b * b
    return c / determinant, a / determinant, -b / determinant


def fit(temperatures: Sequence[float], damaged: Sequence[float]) -> Model[float]:
    model = Model(0.0, 0.0)
    for _ in range(8):
        slope = tg.grad(loss)(model, temperatures, damaged)
        a, c, b = inverse(tg.hessian(loss)(model, temperatures, damaged))
        step = a * slope.level + b * slope.slope, b * slope.level + c * slope.slope
        model = Model(model.level - step[0], model.slope - step[1])
    return model


def main() -> None:
    columns = data.read_csv(FILE, ["temperature", "damaged"])
    temperatures, damaged = columns["temperature"], columns["damaged"]
    model = fit(temperatures, damaged)
    a, c, _ = inverse(tg.hessian(loss)(model, temperatures, damaged))
    print(f"level at 70 F  {model.level:8.4f} +- {math.sqrt(a):.4f}")
    print(f"by the degree  {model.slope:8.4f} +- {math.sqrt(c):.4f}")
    for temperature in (31.0, 53.0, 70.0):
        print(f"risk at {temperature:.0f} F   {math.sigmoid(model(temperature)):8.2%}")
    assert round(model.slope, 4) == -0.2322
    assert round(model.level - 70.0 * model.slope, 3) == 15.043


if __name__ == "__main__":
    main()
