"""A derivative computed in three ways: by `grad`, by hand, and by a difference."""

from __future__ import annotations

from tapegrad import Real, grad, record


def f(x: Real) -> Real:
    return 3.0 * x**2 - 4.0 * x + 5.0


def by_hand(x: float) -> float:
    return 6.0 * x - 4.0


def by_difference(x: float, h: float = 1e-6) -> float:
    return (f(x + h) - f(x)) / h


def main() -> None:
    print(f"{'x':>8} {'f(x)':>10} {'grad(f)(x)':>12} {'by hand':>10} {'difference':>12}")
    for x in (-2.0, 0.0, 2.0 / 3.0, 3.0):
        slopes = f"{grad(f)(x):12.6f} {by_hand(x):10.6f} {by_difference(x):12.6f}"
        print(f"{x:8.4f} {f(x):10.4f} {slopes}")
    print(f"\nthe tape at x = 3:\n{record(f)(3.0)}")


if __name__ == "__main__":
    main()
