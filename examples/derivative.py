"""A derivative computed by a difference, by hand and by `grad`, and how far each one is off.

A difference with a large step misses the curvature, and with a small one it loses its digits. No
step gives more than half of the digits of a float; `grad` gives all of them.
"""

from __future__ import annotations

from tapegrad import Real, grad, math, record


def f(x: Real) -> Real:
    return math.sin(x) * math.exp(-0.5 * x) + 3.0 * x**2


def by_hand(x: float) -> float:
    return (math.cos(x) - 0.5 * math.sin(x)) * math.exp(-0.5 * x) + 6.0 * x


def forward_difference(x: float, h: float) -> float:
    return (f(x + h) - f(x)) / h


def central_difference(x: float, h: float) -> float:
    return (f(x + h) - f(x - h)) / (2.0 * h)


def errors(x: float, h: float) -> tuple[float, float]:
    """The relative errors of both differences."""
    true = by_hand(x)
    found = forward_difference(x, h), central_difference(x, h)
    return abs(found[0] / true - 1.0), abs(found[1] / true - 1.0)


def main(x: float = 2.0) -> None:
    print(f"{'step':>7} {'forward':>10} {'central':>10}    relative errors at x = {x}")
    for power in range(1, 15, 2):
        forward, central = errors(x, 10.0**-power)
        print(f"{10.0**-power:7.0e} {forward:10.1e} {central:10.1e}")
    off = abs(grad(f)(x) / by_hand(x) - 1.0)
    print(f"{'grad':>7} {off:10.1e}\n\nthe tape:\n{record(f)(x)}")
    assert off < 1e-15


if __name__ == "__main__":
    main()
