"""A book of options: an attrs market, batches over strikes, results used with numpy."""

from collections.abc import Sequence
from typing import Generic

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import Real, math


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    rate: Real
    currency: str = "EUR"


def forward(market: Market[Real], t: float) -> Real:
    return market.spot * math.exp(market.rate * t)


def black(market: Market[Real], strike: float, t: float = 1.0, *, notional: float = 1.0) -> Real:
    spread = market.vol * math.sqrt(t)
    d = math.log(forward(market, t) / strike) / spread + spread / 2.0
    undiscounted = forward(market, t) * math.norm_cdf(d) - strike * math.norm_cdf(d - spread)
    return notional * math.exp(-market.rate * t) * undiscounted


def vegas(market: Market[float], strikes: Sequence[float]) -> dict[float, float]:
    slope = tg.jit(tg.grad(black))
    return {strike: slope(market, strike, notional=10.0).vol for strike in strikes}


market = Market(100.0, 0.2, 0.01)
value, slopes = tg.value_and_grad(black)(market, 100.0)
hedge: float = value - slopes.spot * market.spot
assert slopes.currency == "EUR"
assert min(vegas(market, [90.0, 110.0]).values()) > 100.0

strikes = np.linspace(80.0, 120.0, 5)
values, columns = tg.vmap(tg.value_and_grad(black), in_axes=(None, 0))(market, strikes)
weights = np.ones(5) / 5.0
worth = float(np.dot(np.asarray(values), weights))
moved = np.asarray(values - 0.01 * columns.column("spot"))
row = columns.row(2)
vega: float = row.vol
assert round(vega, 6) == round(slopes.vol, 6)
assert abs(worth - float(values.mean())) < 1e-12 < float(np.mean(values))
assert np.where(values > 10.0, values, 0.0).shape == moved.shape

total = tg.vmap(tg.grad(black), in_axes=(None, 0), reduce="sum")(market, strikes)
rho: float = total.rate
gamma: float = tg.hessian(black)(market, 100.0)["spot"]["spot"]
vanna: float = tg.hvp(black, market, Market(1.0, 0.0, 0.0), 100.0).vol
assert gamma > 0.0 < rho
assert round(vanna, 4) == round(tg.hessian(black)(market, 100.0)["spot"]["vol"], 4)
