"""A value and its gradient by the time of the value alone, for five programs of finance.

    python -m pip install -e '.[bench]' && python -m benchmarks.ratios [--quick]

The value is compiled by tapegrad, and by gcc from ratios.c, which is written by hand; value and
gradient are compiled by tapegrad. One call goes from array to array. Rows are options of other
contracts, paths of other random numbers, or other series of returns; all run on one thread. Times
are the least of all rounds.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import attrs
import numpy as np

import tapegrad as tg
from benchmarks.timing import Options, Peer, Run, in_turns, machine, options, ready, spelled
from tapegrad import Real, math

STEPS, RATES, PERIODS, DAYS = 50, 30, 15, 1_000
DELTA = 0.25

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def black_scholes(x: Sequence[Real], data: Sequence[float]) -> Real:
    """The price of a call option."""
    spot, strike, rate, volatility, maturity = x
    root = volatility * math.sqrt(maturity)
    drift = (rate + 0.5 * volatility * volatility) * maturity
    d1 = (math.log(spot / strike) + drift) / root
    discount = math.exp(-rate * maturity)
    return spot * math.norm_cdf(d1) - strike * discount * math.norm_cdf(d1 - root)


def sabr(x: Sequence[Real], data: Sequence[float]) -> Real:
    """The volatility that the SABR model implies, by Hagan's formula."""
    forward, strike, maturity, alpha, beta, rho, nu = x
    rest = 1.0 - beta
    logarithm = math.log(forward / strike)
    power = math.pow(forward * strike, 0.5 * rest)
    z = nu / alpha * power * logarithm
    root = math.sqrt(1.0 - 2.0 * rho * z + z * z)
    chi = math.log((root + z - rho) / (1.0 - rho))
    square = rest * rest * logarithm * logarithm
    spread = 1.0 + square / 24.0 + square * square / 1920.0
    moved = (
        rest * rest * alpha * alpha / (24.0 * power * power)
        + rho * beta * nu * alpha / (4.0 * power)
        + (2.0 - 3.0 * rho * rho) * nu * nu / 24.0
    )
    return alpha / (power * spread) * z / chi * (1.0 + moved * maturity)


def heston(x: Sequence[Real], normals: Sequence[float]) -> Real:
    """The discounted payoff of one path of the Heston model; two normals move a step."""
    spot, strike, rate, variance, reversion, level, volatility, correlation = x
    dt = 1.0 / STEPS
    root_dt, across = dt**0.5, math.sqrt(1.0 - correlation * correlation)
    logarithm = math.log(spot)
    for first, second in zip(normals[::2], normals[1::2], strict=True):
        above = math.relu(variance)
        root = math.sqrt(above) * root_dt
        logarithm = logarithm + (rate - 0.5 * above) * dt + root * first
        turned = correlation * first + across * second
        variance = variance + reversion * (level - above) * dt + volatility * root * turned
    return math.exp(-rate) * math.relu(math.exp(logarithm) - strike)


def market_model(x: Sequence[Real], normals: Sequence[float]) -> Real:
    """The payoff of a swaption on one path of the LIBOR market model."""
    rates, volatilities = list(x[:RATES]), x[RATES:]
    for period, normal in enumerate(normals):
        drift: Real | float = 0.0
        for index in range(period + 1, RATES):
            volatility, rate = volatilities[index - period - 1], rates[index]
            scaled = DELTA * volatility
            drift = drift + scaled * rate / (1.0 + DELTA * rate)
            moved = scaled * drift + volatility * (DELTA**0.5 * normal - 0.5 * scaled)
            rates[index] = rate * math.exp(moved)
    bond = 1.0 / (1.0 + DELTA * rates[PERIODS])
    annuity = DELTA * bond
    for rate in rates[PERIODS + 1 :]:
        bond = bond / (1.0 + DELTA * rate)
        annuity = annuity + DELTA * bond
    return math.relu(1.0 - bond - 0.045 * annuity)


def garch(x: Sequence[Real], returns: Sequence[float]) -> Real:
    """The negative logarithm of the likelihood of daily returns, but for a constant."""
    mean, omega, alpha, beta = x
    variance = omega / (1.0 - alpha - beta)
    total = math.log(variance)
    for change in returns:
        shock = change - mean
        square = shock * shock
        total = total + math.log(variance) + square / variance
        variance = omega + alpha * square + beta * variance
    return 0.5 * total


@attrs.frozen
class Problem:
    """A program at a point, with data, and how many rows of which of the two there are."""

    program: Callable[[Any, Any], Any]
    point: Array
    data: Array
    rows: int
    rows_of_points: bool = False

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.__name__

    def spread(self) -> tuple[Array, Array]:
        """The points, or the data, of all rows, beside what they share."""
        draw = np.random.default_rng(1)
        if self.rows_of_points:
            factors = draw.uniform(0.9, 1.1, (self.rows, self.point.size))
            return self.point * factors, self.data
        return self.point, draw.choice(self.data, (self.rows, self.data.size))


def problems() -> list[Problem]:
    draw = np.random.default_rng(0)
    none = np.zeros(0)
    curve = np.concatenate([np.full(RATES, 0.05), np.full(RATES, 0.2)])
    return [
        Problem(black_scholes, np.array([100.0, 110.0, 0.03, 0.2, 1.5]), none, 65_536, True),
        Problem(sabr, np.array([0.03, 0.035, 2.0, 0.04, 0.5, -0.3, 0.4]), none, 65_536, True),
        Problem(
            heston,
            np.array([100.0, 100.0, 0.03, 0.04, 1.5, 0.05, 0.3, -0.6]),
            draw.standard_normal(2 * STEPS),
            16_384,
        ),
        Problem(market_model, curve, draw.standard_normal(PERIODS), 4_096),
        Problem(garch, np.array([1e-4, 2e-6, 0.1, 0.85]), 0.01 * draw.standard_normal(DAYS), 1_024),
    ]


def one_call(problem: Problem, *, gradient: bool) -> Run:
    program, data = problem.program, problem.data.tolist()
    one: Any = tg.value_and_grad(program) if gradient else program
    compiled: Any = tg.jit(one, backend="llvm", eager_first=False)
    flat = compiled.flat(problem.point.tolist(), data)
    given = np.concatenate([problem.point, problem.data])
    return lambda: flat(given)[:1]


def over_rows(problem: Problem, *, gradient: bool, fast: bool = False) -> Run:
    points, data = problem.spread()
    program = problem.program
    one: Any = tg.value_and_grad(program) if gradient else program
    batch: Any
    if problem.rows_of_points:
        batch = tg.vmap(one, in_axes=(0, None), threads=1, fast=fast)
    else:
        batch = tg.vmap(one, in_axes=(None, 0), reduce="mean", threads=1, fast=fast)
    given = points if problem.rows_of_points else points.tolist()
    data = data.tolist() if problem.rows_of_points else data

    def run() -> list[float]:
        answer = batch(given, data)
        value = answer.value if gradient else answer
        return [np.mean(value)]

    return run


def library(folder: str) -> ctypes.CDLL:
    """ratios.c as gcc makes it; its values alone are asked for."""
    built = Path(folder) / "ratios.so"
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["gcc", *flags, str(source), "-o", str(built), "-lm"], check=True)
    return ctypes.CDLL(str(built))


def by_c(problem: Problem, code: ctypes.CDLL, rows: int) -> Run:
    points, data = problem.spread() if rows > 1 else (problem.point, problem.data)
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    values, program = code.values, getattr(code, problem.name)
    values.argtypes = [pointer, size, pointer, size, pointer, size, pointer]
    values.restype = None
    out = np.empty(rows)
    inputs, given = (array.shape[-1] if array.ndim > 1 else 0 for array in (points, data))
    arguments = (
        ctypes.cast(program, pointer), rows, points.ctypes.data, inputs, data.ctypes.data, given,
        out.ctypes.data,
    )  # fmt: skip

    def run(held: tuple[Array, Array] = (points, data)) -> list[float]:  # which it reads
        values(*arguments)
        answer: list[float] = (out if rows == 1 else out.mean(keepdims=True)).tolist()
        return answer

    return run


def report(title: str, rows: int | None, choice: Options, code: ctypes.CDLL | None) -> None:
    """Prints the times of each program, and their ratios."""
    print(f"\n{title}\n{'value':>28}{'by C':>13}{'and gradient':>15}{'/ value':>10}{'/ C':>8}")
    for problem in problems():
        make = over_rows if rows else one_call
        peers = [
            Peer("value", "tapegrad", partial(make, problem, gradient=False)),
            Peer("gradient", "tapegrad", partial(make, problem, gradient=True)),
        ]
        if code is not None:
            count = problem.rows if rows else 1
            peers.append(Peer("C", "ctypes", partial(by_c, problem, code, count)))
        times = in_turns(ready(peers, choice, tolerance=1e-7), choice, of=min)
        ratio = times["gradient"] / times["value"]
        c = times.get("C", float("nan"))
        print(
            f"  {problem.name:16}{spelled(times['value'])}   {spelled(c)}     "
            f"{spelled(times['gradient'])}{ratio:10.2f}{times['gradient'] / c:8.2f}"
        )


def main() -> None:
    choice = options(__doc__)
    print(machine("numpy", "llvmlite"))
    with TemporaryDirectory() as folder:
        code = library(folder) if shutil.which("gcc") else None
        report("one call", None, choice, code)
        report("rows, one thread", 1, choice, code)


if __name__ == "__main__":
    main()
