"""Programs with branches, over rows: a barrier option, Newton's iteration, and a path for each row.

    python -m pip install -e '.[bench]' && python -m benchmarks.branches [--quick]

The value and the derivatives are computed for 65,536 rows. The versions for numpy and autograd use
masks, and for numpy the derivatives are written by hand. jax gets the barrier option as a scalar
program, and its error is printed. The last programs have few rows, and each row a path of its own,
or there are no branches.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias

import numpy as np

import tapegrad as tg
from benchmarks.peers import jax
from benchmarks.timing import Peer, Run, compare, machine, options
from tapegrad import Real, math

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ROWS = 65_536
BARRIER = 130.0


class Market(NamedTuple, Generic[Real]):
    """The parameters of a barrier option."""

    spot: Real
    strike: Real
    rate: Real
    volatility: Real
    rebate: Real


def barrier(market: Market[Real], normals: Sequence[float]) -> Real:
    """The payoff of a call option that pays a rebate instead once the price exceeds the barrier."""
    dt = 1.0 / len(normals)
    drift = (market.rate - 0.5 * market.volatility * market.volatility) * dt
    price = market.spot
    for index, normal in enumerate(normals):
        price = price * math.exp(drift + market.volatility * (dt**0.5 * normal))
        if price > BARRIER:
            return market.rebate * math.exp(-market.rate * (dt * (index + 1)))
    return math.exp(-market.rate) * math.relu(price - market.strike)


class Terms(NamedTuple, Generic[Real]):
    """The parameters of an option's price, without the volatility."""

    forward: Real
    strike: Real
    years: Real


def worth(terms: Terms[Real], volatility: Real | float) -> tuple[Real, Real]:
    """Black's price of a call, and its derivative in the volatility."""
    root = math.sqrt(terms.years)
    width = volatility * root
    upper = math.log(terms.forward / terms.strike) / width + 0.5 * width
    price = terms.forward * math.norm_cdf(upper) - terms.strike * math.norm_cdf(upper - width)
    return price, terms.forward * root * math.norm_pdf(upper)


def implied(terms: Terms[Real], quote: float) -> Real | float:
    """The volatility at which Black's formula gives the quote, by Newton's method."""
    volatility: Real | float = 0.4
    step: Real | float = 1.0
    while math.fabs(step) > 1e-11:
        price, slope = worth(terms, volatility)
        step = (price - quote) / slope
        volatility = volatility - step
    return volatility


MARKET = Market(100.0, 100.0, 0.03, 0.2, 5.0)


def normals(steps: int) -> Array:
    return np.random.default_rng(0).standard_normal((ROWS, steps))


def market_quotes() -> tuple[Terms[Any], Array]:
    """Random terms, and the prices of their options at random volatilities."""
    source = np.random.default_rng(0)
    ranges = ((90.0, 110.0), (80.0, 120.0), (0.25, 2.0), (0.15, 0.6))
    *terms, volatilities = (source.uniform(*ends, ROWS) for ends in ranges)
    listed = zip(*(column.tolist() for column in (*terms, volatilities)), strict=True)
    prices = [worth(Terms(*row), volatility)[0] for *row, volatility in listed]
    return Terms._make(terms), np.array(prices)


def barrier_ours(rows: Array, *, fast: bool) -> Run:
    gradient = tg.value_and_grad(barrier)
    mean = tg.vmap(gradient, in_axes=(None, 0), reduce="mean", fast=fast)

    def run() -> list[float]:
        value, slopes = mean(MARKET, rows)
        return [value, *slopes]

    return run


def barrier_numpy(rows: Array) -> Run:
    """All rows run to the last step, with a mask; the derivatives are written by hand."""

    def run() -> list[float]:
        spot, strike, rate, volatility, rebate = MARKET
        columns = np.ascontiguousarray(rows.T)
        dt = 1.0 / len(columns)
        drift = (rate - 0.5 * volatility**2) * dt
        price, out = np.full(len(rows), spot), np.zeros(len(rows))
        alive = np.ones(len(rows), dtype=bool)
        for index, normal in enumerate(columns):
            price = price * np.exp(drift + volatility * (dt**0.5 * normal))
            crossed = alive & (price > BARRIER)
            out[crossed] = dt * (index + 1)
            alive &= ~crossed
        early = np.exp(-rate * out[~alive])
        ends = price[alive & (price > strike)]
        share, discount = 1.0 / len(rows), np.exp(-rate)
        later = discount * (ends - strike)
        moved = (np.log(ends / spot) - drift * len(columns)) / volatility - volatility
        return [
            share * float(rebate * early.sum() + later.sum()),
            share * float(discount * ends.sum() / spot),
            share * float(-discount * len(ends)),
            share * float(discount * ends.sum() - later.sum() - rebate * (out[~alive] @ early)),
            share * float(discount * (ends @ moved)),
            share * float(early.sum()),
        ]

    return run


def barrier_autograd(rows: Array) -> Run:
    """All rows run to the last step, with a mask; autograd computes the derivatives."""
    from autograd import numpy, value_and_grad

    def mean(inputs: Any, columns: Array) -> Any:
        spot, strike, rate, volatility, rebate = inputs
        dt = 1.0 / len(columns)
        drift = (rate - 0.5 * volatility * volatility) * dt
        price, paid, alive = spot, 0.0, np.ones(len(rows), dtype=bool)
        for index, normal in enumerate(columns):
            price = price * numpy.exp(drift + volatility * (dt**0.5 * normal))
            crossed = alive & (price > BARRIER)
            paid = paid + crossed.sum() * rebate * numpy.exp(-rate * (dt * (index + 1)))
            alive = alive & ~crossed
        later = numpy.exp(-rate) * numpy.maximum(price - strike, 0.0)
        return (paid + numpy.sum(later * alive)) / len(rows)

    gradient = value_and_grad(mean)

    def run() -> list[float]:
        value, slopes = gradient(tuple(MARKET), np.ascontiguousarray(rows.T))
        return [float(value), *map(float, slopes)]

    return run


def implied_ours(terms: Terms[Any], quotes: Array, *, fast: bool) -> Run:
    each = tg.vmap(tg.value_and_grad(implied), fast=fast)

    def run() -> Array:
        value, slopes = each(terms, quotes)
        return np.concatenate([value, *map(slopes.column, Terms._fields)])

    return run


def black(terms: Sequence[Array], volatility: Array) -> tuple[Array, ...]:
    """Black's price, its derivative in the volatility, and its two probabilities."""
    from scipy.special import ndtr

    forward, strike, years = terms
    width = volatility * np.sqrt(years)
    upper = np.log(forward / strike) / width + 0.5 * width
    first, second = ndtr(upper), ndtr(upper - width)
    density = np.exp(-0.5 * upper * upper) / np.sqrt(2.0 * np.pi)
    return forward * first - strike * second, forward * np.sqrt(years) * density, first, second


def implied_numpy(terms: Terms[Any], quotes: Array) -> Run:
    """Newton's iteration on the unfinished rows; derivatives by the implicit function theorem."""

    def run() -> Array:
        volatility, undone = np.full(ROWS, 0.4), np.arange(ROWS)
        while undone.size:
            price, slope, *_ = black([part[undone] for part in terms], volatility[undone])
            step = (price - quotes[undone]) / slope
            volatility[undone] -= step
            undone = undone[np.abs(step) > 1e-11]
        _, slope, first, second = black(terms, volatility)
        slopes = -first / slope, second / slope, -0.5 * volatility / terms.years
        return np.concatenate([volatility, *slopes])

    return run


def of_barrier(steps: int) -> list[Peer]:
    rows = normals(steps)
    return [
        Peer("tapegrad", "tapegrad", partial(barrier_ours, rows, fast=False)),
        Peer("fast", "tapegrad", partial(barrier_ours, rows, fast=True)),
        Peer("numpy, masks, by hand", "numpy", partial(barrier_numpy, rows)),
        Peer("autograd, masks", "autograd", partial(barrier_autograd, rows)),
    ]


def of_implied() -> list[Peer]:
    rows = market_quotes()
    return [
        Peer("tapegrad", "tapegrad", partial(implied_ours, *rows, fast=False)),
        Peer("fast", "tapegrad", partial(implied_ours, *rows, fast=True)),
        Peer("numpy, masks, by hand", "scipy", partial(implied_numpy, *rows)),
    ]


def waves(frequency: Real, phases: Sequence[float]) -> Real | float:
    """The sum of a wave at the positive ones of some phases: there are as many paths as subsets."""
    total: Real | float = 0.0
    for phase in phases:
        if phase > 0.0:
            total = total + math.sin(frequency * phase)
    return total


def masked_waves(frequency: Real, phases: Sequence[float]) -> Real | float:
    """The same on one path."""
    total: Real | float = 0.0
    for phase in phases:
        total = total + tg.where(phase > 0.0, math.sin(frequency * phase), 0.0)
    return total


def bisected(target: Real) -> Real | float:
    """A square root by bisection, of which each row takes its own path, and a Newton step."""
    low, high = 0.0, 2.0
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if middle * middle > target else (middle, high)
    return 0.5 * (low + target / low) if low > 0.0 else high


def of_waves(rows: int) -> list[Peer]:
    phases = np.random.default_rng(0).standard_normal((rows, 16))
    return [
        Peer("a loop", "tapegrad", partial(one_by_one, waves, phases, 0.7)),
        Peer("vmap", "tapegrad", partial(by_vmap, waves, phases, 0.7)),
        Peer("vmap, where", "tapegrad", partial(by_vmap, masked_waves, phases, 0.7)),
    ]


def of_bisected(rows: int) -> list[Peer]:
    targets = np.linspace(0.01, 3.9, rows)
    return [
        Peer("a loop", "tapegrad", partial(one_by_one, bisected, targets)),
        Peer("vmap", "tapegrad", partial(by_vmap, bisected, targets)),
    ]


def of_few(rows: int) -> list[Peer]:
    phases = np.random.default_rng(0).standard_normal((rows, 4))
    return [
        Peer("a loop", "tapegrad", partial(one_by_one, masked_waves, phases, 0.7)),
        Peer("a loop of jit", "tapegrad", partial(one_by_one, masked_waves, phases, 0.7, jit=True)),
        Peer("vmap", "tapegrad", partial(by_vmap, masked_waves, phases, 0.7)),
    ]


def one_by_one(f: Any, rows: Array, *shared: float, jit: bool = False) -> Run:
    """Eager gradients, or compiled ones, in a loop."""
    gradient = tg.value_and_grad(f)
    call: Any = tg.jit(gradient) if jit else gradient
    listed = [tuple(row) if isinstance(row, list) else row for row in rows.tolist()]

    def run() -> list[float]:
        found = [call(*shared, row) for row in listed]
        return [value for value, _ in found] + [slope for _, slope in found]

    return run


def by_vmap(f: Any, rows: Array, *shared: float) -> Run:
    batch: Any = tg.vmap(tg.value_and_grad(f), in_axes=[*[None] * len(shared), 0])

    def run() -> Array:
        value, slopes = batch(*shared, rows)
        return np.concatenate([value, slopes.column(slopes.paths[0])])

    return run


def jax_answer() -> str:
    """The error that jax raises for the scalar program of the barrier option."""
    numpy = jax().numpy

    def same(market: Market[Any], normals: Any) -> Any:
        price, dt = market.spot, 1.0 / len(normals)
        for normal in normals:
            price = price * numpy.exp(market.rate * dt + market.volatility * normal * dt**0.5)
            if price > BARRIER:
                return market.rebate
        return numpy.maximum(price - market.strike, 0.0)

    mapped = jax().jit(jax().vmap(jax().value_and_grad(same), in_axes=(None, 0)))
    try:
        mapped(MARKET, normals(2))
    except jax().errors.TracerBoolConversionError as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return "an answer"


def main() -> None:
    choice = options(__doc__)
    print(machine("autograd", "numpy", "scipy", "jax"))
    for steps in (50, 250):
        compare(f"a barrier, {steps} steps", of_barrier(steps), choice, "tapegrad", "fast")
    # The error of the derivatives is as large as the last step but one of the iteration.
    compare("implied volatilities", of_implied(), choice, "tapegrad", "fast", tolerance=1e-8)
    warnings.filterwarnings("ignore", message=".* has taken 64 paths")
    for rows in (60, 1_000):
        compare(f"sums over subsets, {rows:,} rows", of_waves(rows), choice, "a loop")
        compare(f"bisection, {rows:,} rows", of_bisected(rows), choice, "a loop")
    for rows in (1, 10, 100):
        compare(f"no branches, {rows} rows", of_few(rows), choice, "a loop", "a loop of jit")
    if find_spec("jax"):
        print(f"\njax on the barrier: {jax_answer()}")


if __name__ == "__main__":
    main()
