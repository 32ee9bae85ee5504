"""A put that may be exercised early: a binomial tree with an `if` at its nodes.

The option is held or exercised. The outcome of each comparison is recorded as a guard. The
derivative is that of the branches that were taken, and a replay at numbers at which a node would
decide otherwise is an error, not a wrong number. With 50 dates in a year the price is 4.478
(Longstaff and Schwartz, 2001, table 1).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Generic

import attrs

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.errors import GuardError


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    rate: Real


def put(market: Market[Real], strike: float, years: float, dates: int, steps: int) -> Real:
    """The price, by ``steps`` steps of the tree, at ``dates`` of which it may be exercised."""
    h = years / steps
    up = math.exp(market.vol * math.sqrt(h))
    discount = math.exp(-market.rate * h)
    rise = (1.0 / discount - 1.0 / up) / (up - 1.0 / up)
    spots = [market.spot * math.pow(up, 2.0 * k - steps) for k in range(steps + 1)]
    values = [math.relu(strike - spot) for spot in spots]
    for level in range(steps - 1, -1, -1):
        spots = [spots[k] * up for k in range(level + 1)]
        values = [discount * (rise * b + (1.0 - rise) * a) for a, b in pairwise(values)]
        if level * dates % steps == 0 and level:
            for k, spot in enumerate(spots):
                if strike - spot > values[k]:
                    values[k] = strike - spot
    return values[0]


def european(market: Market[Real], strike: float, years: float) -> Real:
    spread = market.vol * math.sqrt(years)
    forward = market.spot * math.exp(market.rate * years)
    d = math.log(forward / strike) / spread + 0.5 * spread
    undiscounted = strike * math.norm_cdf(spread - d) - forward * math.norm_cdf(-d)
    return math.exp(-market.rate * years) * undiscounted


def main() -> None:
    market, option = Market(36.0, 0.2, 0.06), (40.0, 1.0, 50, 200)
    value, slopes = tg.value_and_grad(put)(market, *option)
    print(f"price {value:.4f}, and {european(market, 40.0, 1.0):.4f} without exercise")
    print(f"delta {slopes.spot:.4f}, vega {slopes.vol:.4f}, rho {slopes.rate:.4f}")
    h = 1e-6
    higher, lower = (put(attrs.evolve(market, vol=0.2 + by), *option) for by in (h, -h))
    assert abs(slopes.vol - (higher - lower) / (2.0 * h)) < 1e-5
    assert abs(value - 4.478) < 0.003
    tape = tg.record(put)(market, 40.0, 1.0, 5, 20)
    try:
        tape.replay(attrs.evolve(market, vol=0.4), 40.0, 1.0, 5, 20)
    except GuardError as error:
        print(f"a replay at twice the volatility: {error}")


if __name__ == "__main__":
    main()
