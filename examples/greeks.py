"""The Greeks of a book of 1,000 options in a frame, by one function of one option.

`price` knows nothing of rows. `vmap` runs it and its gradient over the columns of the frame; what
it finds is compared with the formulas of Black and Scholes.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, Protocol

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.numpy import Floats


class Frame(Protocol):
    """A frame of pandas, or columns in a dict: here both are used alike."""

    def __getitem__(self, name: str, /) -> Any: ...


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    rate: Real


def price(market: Market[Real], strike: float, years: float, sign: float) -> Real:
    """A call where ``sign`` is 1, a put where it is -1."""
    spread = market.vol * math.sqrt(years)
    forward = market.spot * math.exp(market.rate * years)
    d = math.log(forward / strike) / spread + 0.5 * spread
    discounted = math.exp(-market.rate * years) * sign
    return discounted * (
        forward * math.norm_cdf(sign * d) - strike * math.norm_cdf(sign * (d - spread))
    )


def book(count: int) -> Frame:
    draw = np.random.default_rng(0)
    columns = {
        "strike": draw.uniform(70.0, 140.0, count).round(1),
        "years": draw.integers(1, 25, count) / 12.0,
        "sign": draw.choice([-1.0, 1.0], count),
    }
    if find_spec("pandas") is None:
        return columns
    frame: Frame = import_module("pandas").DataFrame(columns)
    return frame


def column(options: Frame, name: str) -> Floats:
    return np.asarray(options[name], np.float64)


def greeks(market: Market[float], options: Frame) -> dict[str, Floats]:
    """The price of each option, and its slopes."""
    of_rows = tg.vmap(tg.value_and_grad(price), in_axes=(None, 0, 0, 0))
    columns = [column(options, name) for name in ("strike", "years", "sign")]
    values, slopes = of_rows(market, *columns)
    paths = {"delta": "spot", "vega": "vol", "rho": "rate"}
    found = {name: np.asarray(slopes.column(path)) for name, path in paths.items()}
    return {"price": np.asarray(values), **found}


def formulas(market: Market[float], options: Frame) -> dict[str, Floats]:
    """Delta and vega by the formulas."""
    strike, years, sign = (column(options, name) for name in ("strike", "years", "sign"))
    spread = market.vol * np.sqrt(years)
    d = np.log(market.spot * np.exp(market.rate * years) / strike) / spread + 0.5 * spread
    density = np.exp(-0.5 * d**2) / np.sqrt(2.0 * np.pi)
    below = np.array([math.norm_cdf(x) for x in (sign * d).tolist()])
    return {"delta": sign * below, "vega": market.spot * density * np.sqrt(years)}


def main() -> None:
    market, options = Market(100.0, 0.22, 0.03), book(1_000)
    found = greeks(market, options)
    print("strike  years  sign    price   delta     vega      rho")
    for row in range(5):
        strike, years, sign = (column(options, name)[row] for name in ("strike", "years", "sign"))
        price_, delta, vega, rho = (found[name][row] for name in ("price", "delta", "vega", "rho"))
        print(f"{strike:6.1f} {years:6.2f} {sign:5.0f} {price_:8.4f} {delta:7.4f}", end=" ")
        print(f"{vega:8.4f} {rho:8.4f}")
    for name, exact in formulas(market, options).items():
        off = float(np.abs(found[name] - exact).max())
        print(f"{name:5} differs from its formula by at most {off:.1e}")
        assert off < 1e-11


if __name__ == "__main__":
    main()
