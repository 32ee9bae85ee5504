"""Hamiltonian Monte Carlo: draws from a density, guided by the gradient of its logarithm.

The target is a normal density of two numbers with known means and covariances. The gradient is
compiled by `jit`; the proposal is accepted by Metropolis' rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean

import tapegrad as tg
from tapegrad import Real, math

MEANS, DEVIATIONS, CORRELATION = (1.0, -2.0), (0.5, 2.0), 0.8


def energy(p: Sequence[Real]) -> Real:
    """The negative logarithm of the density, up to a constant."""
    x, y = ((p[k] - MEANS[k]) / DEVIATIONS[k] for k in range(2))
    return (x * x - 2.0 * CORRELATION * x * y + y * y) / (2.0 * (1.0 - CORRELATION**2))


Gradient = Callable[[Sequence[float]], Sequence[float]]


def leapfrog(
    gradient: Gradient, place: list[float], speed: list[float], h: float, steps: int
) -> tuple[list[float], list[float]]:
    """Place and speed after some steps along the field."""
    slope = gradient(place)
    for _ in range(steps):
        speed = [v - 0.5 * h * g for v, g in zip(speed, slope, strict=True)]
        place = [x + h * v for x, v in zip(place, speed, strict=True)]
        slope = gradient(place)
        speed = [v - 0.5 * h * g for v, g in zip(speed, slope, strict=True)]
    return place, speed


def sample(count: int, seed: int) -> tuple[list[list[float]], float]:
    """Draws, and the share of proposals that were accepted."""
    gradient: Gradient = tg.jit(tg.grad(energy))
    source, place, accepted = Random(seed), list(MEANS), 0
    draws: list[list[float]] = []
    for _ in range(count):
        speed = [source.gauss(0.0, 1.0) for _ in place]
        new, fast = leapfrog(gradient, place, speed, 0.3, 12)
        before = energy(place) + 0.5 * math.dot(speed, speed)
        after = energy(new) + 0.5 * math.dot(fast, fast)
        if source.random() < math.exp(min(before - after, 0.0)):
            place, accepted = new, accepted + 1
        draws.append(place)
    return draws, accepted / count


def main(count: int = 4_000) -> None:
    draws, accepted = sample(count, seed=0)
    columns = list(zip(*draws, strict=True))
    means = [fmean(column) for column in columns]
    rests = [[x - mean for x in column] for column, mean in zip(columns, means, strict=True)]
    deviations = [math.sqrt(fmean(x * x for x in rest)) for rest in rests]
    shared = fmean(x * y for x, y in zip(*rests, strict=True)) / (deviations[0] * deviations[1])
    print(f"{count:,} draws, {accepted:.0%} of the proposals accepted")
    print(f"means        {means[0]:7.3f} {means[1]:7.3f}   of {MEANS}")
    print(f"deviations   {deviations[0]:7.3f} {deviations[1]:7.3f}   of {DEVIATIONS}")
    print(f"correlation  {shared:7.3f}           of {CORRELATION}")
    for found, true in zip([*means, *deviations], [*MEANS, *DEVIATIONS], strict=True):
        assert abs(found - true) < 0.1 * (1.0 + abs(true))
    assert abs(shared - CORRELATION) < 0.05


if __name__ == "__main__":
    main()
