"""A library of payoffs: protocols, generic containers of one's own, registries, overloads."""

from __future__ import annotations

import abc
import enum
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    Final,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
    runtime_checkable,
)

import attrs
import numpy as np
import numpy.typing as npt

import tapegrad as tg
from tapegrad import Columns, Real, math, where

T = TypeVar("T")
P = ParamSpec("P")


class Side(enum.Enum):
    CALL = 1.0
    PUT = -1.0


@attrs.frozen
class Curve(Generic[Real]):
    """Rates by maturity, and a price of one unit at any time between."""

    days: tuple[int, ...]
    rates: Sequence[Real]

    def __iter__(self) -> Iterator[tuple[int, Real]]:
        return iter(zip(self.days, self.rates, strict=True))

    def __len__(self) -> int:
        return len(self.days)

    def __getitem__(self, index: int) -> Real:
        return self.rates[index]

    def at(self, t: float) -> Real:
        day = 365.0 * t
        if day <= self.days[0]:
            return self.rates[0]
        for k in range(1, len(self)):
            if day <= self.days[k]:
                w = (day - self.days[k - 1]) / (self.days[k] - self.days[k - 1])
                return (1.0 - w) * self.rates[k - 1] + w * self.rates[k]
        return self.rates[-1]

    def discount(self, t: float) -> Real:
        return math.exp(-self.at(t) * t)


@attrs.frozen(kw_only=True)
class Market(Generic[Real]):
    spot: Real
    vol: Real
    curve: Curve[Real]
    quotes: Mapping[str, Real]


class Payoff(Protocol):
    @property
    def name(self) -> str: ...
    def __call__(self, path: Sequence[Real], /) -> Real: ...


@runtime_checkable
class HasStrike(Protocol):
    strike: float


@dataclass(frozen=True)
class Vanilla:
    strike: float
    side: Side = Side.CALL
    name: str = field(default="vanilla", init=False)

    def __call__(self, path: Sequence[Real], /) -> Real:
        return math.relu(self.side.value * (path[-1] - self.strike))


@dataclass(frozen=True)
class Asian:
    strike: float
    kind: Literal["arithmetic", "geometric"] = "arithmetic"

    @property
    def name(self) -> str:
        return f"asian {self.kind}"

    def __call__(self, path: Sequence[Real], /) -> Real:
        if self.kind == "arithmetic":
            average = math.mean(path)
        else:
            average = math.exp(math.mean([math.log(x) for x in path]))
        return math.maximum(average - self.strike, 0.0)


@dataclass(frozen=True)
class Barrier:
    inner: Payoff
    level: float
    rebate: float = 0.0

    @property
    def name(self) -> str:
        return f"barrier on {self.inner.name}"

    def __call__(self, path: Sequence[Real], /) -> Real:
        if max(path) > self.level:
            return self.rebate + 0.0 * path[-1]
        return self.inner(path)


@dataclass(frozen=True)
class Basket(Generic[T]):
    """A container that knows nothing of numbers."""

    items: tuple[T, ...]

    def map(self, f: Callable[[T], Real]) -> list[Real]:
        return [f(item) for item in self.items]

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


REGISTRY: Final[dict[str, Payoff]] = {}


def registered(payoff: Payoff) -> Payoff:
    REGISTRY[payoff.name] = payoff
    return payoff


def logged(f: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(f)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return f(*args, **kwargs)

    return run


def path(market: Market[Real], shocks: Sequence[float], years: float) -> list[Real]:
    dt = years / len(shocks)
    spot, points = market.spot, [market.spot]
    for k, shock in enumerate(shocks):
        drift = market.curve.at(k * dt) - market.vol**2 / 2.0
        spot = spot * math.exp(drift * dt + market.vol * math.sqrt(dt) * shock)
        points.append(spot)
    return points


def price(
    market: Market[Real], shocks: Sequence[float], payoff: Payoff, years: float = 1.0
) -> Real:
    return market.curve.discount(years) * payoff(path(market, shocks, years))


def book(market: Market[Real], shocks: Sequence[float], payoffs: Basket[Payoff]) -> Real:
    return math.fsum(payoffs.map(lambda payoff: price(market, shocks, payoff)))


def book_in_a_loop(market: Market[Real], shocks: Sequence[float], payoffs: Basket[Payoff]) -> Real:
    total = 0.0 * market.spot
    for payoff in payoffs:
        total += price(market, shocks, payoff)
    return total


def calibrated(market: Market[Real], weights: Mapping[str, float]) -> Real:
    misfit = [
        weights.get(name, 1.0) * (quote - market.vol) ** 2 for name, quote in market.quotes.items()
    ]
    return math.sum(misfit)


@logged
def barrier_price(market: Market[Real], shocks: Sequence[float]) -> Real:
    return price(market, shocks, Barrier(Vanilla(100.0), 140.0))


class Pricer(abc.ABC, Generic[T]):
    @abc.abstractmethod
    def price(self, market: Market[Real], trade: T) -> Real: ...

    def greeks(self, market: Market[float], trade: T) -> dict[str, float]:
        slope = tg.grad(self.price)(market, trade)
        return {"delta": slope.spot, "vega": slope.vol, "rho": sum(slope.curve.rates)}


class Forward(Pricer[float]):
    def price(self, market: Market[Real], trade: float) -> Real:
        return market.spot - trade * market.curve.discount(1.0)


class Digital(Pricer[Vanilla]):
    def price(self, market: Market[Real], trade: Vanilla) -> Real:
        d = math.log(market.spot / trade.strike) / market.vol
        return where(market.spot > 0.0, math.norm_cdf(d), 0.0) * market.curve.discount(1.0)


@overload
def scaled(x: float, by: float) -> float: ...
@overload
def scaled(x: Sequence[float], by: float) -> list[float]: ...
def scaled(x: float | Sequence[float], by: float) -> float | list[float]:
    return [by * y for y in x] if isinstance(x, Sequence) else by * x


def of_choice(x: Real, choice: Literal["up", "down"]) -> Real:
    match choice:
        case "up":
            return x * 1.1
        case "down":
            return x / 1.1


market = Market(
    spot=100.0, vol=0.2, curve=Curve((180, 365), (0.01, 0.02)), quotes={"a": 0.1, "b": 0.3}
)
shocks = (0.1, -0.2, 0.3, 0.0)
kinds: tuple[Payoff, ...] = Vanilla(100.0), Asian(99.0), Barrier(Vanilla(90.0), 150.0)
payoffs = Basket(tuple(map(registered, kinds)))
value, slope = tg.value_and_grad(book)(market, shocks, payoffs)
assert slope == tg.grad(book_in_a_loop)(market, shocks, payoffs) or value > 0.0
rates: list[float] = [rate for _, rate in slope.curve]
deltas: dict[str, float] = {
    name: tg.grad(price)(market, shocks, payoff, years=2.0).spot
    for name, payoff in REGISTRY.items()
}
assert all(delta >= 0.0 for delta in deltas.values())
assert tg.grad(barrier_price)(market, shocks).vol != 0.0
assert Forward().greeks(market, 100.0)["delta"] == 1.0
assert Digital().greeks(market, Vanilla(100.0))["vega"] == 0.0
quotes = tg.grad(calibrated)(market, {"a": 2.0}).quotes
assert set(quotes) == {"a", "b"}
assert isinstance(payoffs.items[0], HasStrike)
assert scaled(rates, 2.0)[0] == 2.0 * rates[0]
assert tg.grad(of_choice)(1.0, "up") == 1.1

generator = np.random.default_rng(1)
normals: npt.NDArray[np.float64] = generator.standard_normal((64, 4))
mc = tg.vmap(tg.value_and_grad(price), in_axes=(None, 0, None), reduce="mean", stderr=True)
estimate = mc(market, normals, Vanilla(100.0))
low: float = estimate.mean.value - 2.0 * estimate.stderr.value
vega: float = estimate.mean.grad.vol
by_row = tg.vmap(tg.grad(price), in_axes=(None, 0, None))(market, normals, Asian(100.0))
columns: Columns[Market[float]] = by_row
assert columns.column("vol").shape == (64,)
second: float = tg.hvp(price, market, slope, shocks, Vanilla(100.0)).spot
recorded = tg.record(price)(market, shocks, Asian(100.0))
assert recorded.replay(market, shocks, Asian(100.0)).value == recorded.value
assert len(recorded.explain(wrt="vol").lines) > 0
