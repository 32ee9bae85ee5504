"""A curve of discount factors, found swap by swap with `root`, and what a price owes to each quote.

Each rate of the curve solves an equation: the swap of that maturity is worth nothing. The solutions
are differentiable, and so the price of any loan is a function of the quotes, with a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import tapegrad as tg
from tapegrad import Real, Scalar, math

SWAPS = [0.021, 0.024, 0.0262, 0.0279, 0.0291]
"""The fixed rates of swaps over 1 to 5 years, paid once a year."""


def worth_of_swap(forward: Scalar, quote: Scalar, annuity: Scalar, last: Scalar) -> Scalar:
    """The worth of the newest swap, given this forward rate in its last year."""
    discount = last / (1.0 + forward)
    return quote * (annuity + discount) + discount - 1.0


def discounts(quotes: Sequence[Real]) -> list[Real]:
    """The discount factor of each year."""
    found: list[Real] = []
    annuity, last = 0.0 * quotes[0], 1.0 + 0.0 * quotes[0]
    for quote in quotes:
        forward = tg.root(worth_of_swap, 0.02, quote, annuity, last)
        last = last / (1.0 + forward)
        annuity = annuity + last
        found.append(last)  # limit: ty
    return found


def loan(quotes: Sequence[Real]) -> Real:
    """A loan of 1,000 at 4 per cent over the years of the curve, discounted."""
    curve = discounts(quotes)
    return 40.0 * math.sum(curve) + 1000.0 * curve[-1]


def by_difference(quotes: Sequence[float], place: int, h: float = 1e-6) -> float:
    def moved(by: float) -> float:
        return loan([quote + by * (k == place) for k, quote in enumerate(quotes)])

    return (moved(h) - moved(-h)) / (2.0 * h)


def main() -> None:
    curve = discounts(SWAPS)
    slopes = tg.grad(loan)(SWAPS)
    print(f"{'year':>4} {'swap':>7} {'discount':>9} {'per basis point':>16} {'difference':>11}")
    for place, (quote, discount, slope) in enumerate(zip(SWAPS, curve, slopes, strict=True)):
        basis = by_difference(SWAPS, place) / 1e4
        print(f"{place + 1:4} {quote:7.2%} {discount:9.6f} {slope / 1e4:16.6f} {basis:11.6f}")
        annuity = sum(curve[: place + 1])
        assert abs(quote * annuity + discount - 1.0) < 1e-14
        assert abs(slope / 1e4 - basis) < 1e-7
    print(f"the loan is worth {loan(SWAPS):.4f}")


if __name__ == "__main__":
    main()
