"""Functions as values: protocols, abstract models, functions of `math` in fields and calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol

import attrs

import tapegrad as tg
from tapegrad import Real, Scalar, math, where


class Payoff(Protocol):
    def __call__(self, spot: Real, /) -> Real: ...


@attrs.frozen
class Vanilla:
    strike: float

    def __call__(self, spot: Real, /) -> Real:
        return math.maximum(spot - self.strike, 0.0)


def smoothed(spot: Real, /) -> Real:
    return math.softplus(10.0 * (spot - 1.0)) / 10.0


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    shape: Payoff = math.exp


def price(market: Market[Real], payoff: Payoff, shocks: Sequence[float]) -> Real:
    spots = [market.spot * market.shape(market.vol * z - market.vol**2 / 2.0) for z in shocks]
    return math.mean([payoff(spot) for spot in spots])


class Model(ABC):
    @abstractmethod
    def value(self, market: Market[Real], strike: float) -> Real: ...

    def delta(self, market: Market[float], strike: float) -> float:
        return tg.grad(self.value)(market, strike).spot


class Bachelier(Model):
    def value(self, market: Market[Real], strike: float) -> Real:
        d = (market.spot - strike) / market.vol
        return (market.spot - strike) * math.norm_cdf(d) + market.vol * math.norm_pdf(d)


def spread(x: Real) -> Real:
    return where(x > 1.0, x - 1.0, 0.0)


def clamped(x: Scalar) -> Scalar:
    return math.minimum(math.maximum(x, 0.0), 1.0)


def largest(xs: Sequence[Real]) -> Real:
    return max(xs, key=math.fabs)


def sum_of_exponentials(xs: Sequence[Real]) -> Real:
    return math.sum(map(math.exp, xs))  # limit: ty


def composed(*functions: Callable[[Scalar], Scalar]) -> Callable[[Scalar], Scalar]:
    def run(x: Scalar) -> Scalar:
        for function in functions:
            x = function(x)
        return x

    return run


market = Market(1.0, 0.2)
slopes = [tg.grad(price)(market, payoff, (-1.0, 0.5)) for payoff in (Vanilla(1.0), smoothed)]
vegas: list[float] = [slope.vol for slope in slopes]
payoffs: list[Payoff] = [Vanilla(1.0), smoothed, math.relu]
derivatives: list[Callable[[float], float]] = [tg.grad(payoff) for payoff in payoffs]
assert [round(d(1.5), 2) for d in derivatives] == [1.0, 0.99, 1.0]
assert round(Bachelier().delta(market, 1.0), 6) == 0.5
by_name: Mapping[str, Callable[[float], float]] = {
    "spread": tg.grad(spread),
    "clamped": tg.grad(clamped),
    "composed": tg.grad(composed(math.exp, clamped, math.tanh)),
}
assert [f(1.5) for f in by_name.values()] == [1.0, 0.0, 0.0]
assert tg.grad(largest)([1.0, -2.0]) == [0.0, 1.0]
assert tg.grad(sum_of_exponentials)([0.0, 0.0]) == [1.0, 1.0]
