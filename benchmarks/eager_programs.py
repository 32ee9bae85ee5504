"""Scalar programs of different kinds, whose eager gradients `eager` measures.

Each takes its parameters as a flat list, and the functions that it calls beside operators as an
argument, so that numbers of other libraries can run through it, too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from benchmarks.moons import moons
from tapegrad import Real

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Unary

__all__ = ["PROGRAMS", "Functions", "Program"]


@attrs.frozen
class Functions:
    """The functions of a library that the programs call."""

    cos: Unary
    exp: Unary
    log: Unary
    norm_cdf: Unary
    relu: Unary
    sin: Unary
    sqrt: Unary


class Model(Protocol):
    """A function of a list of numbers."""

    def __call__(self, p: Sequence[Real], m: Functions, /) -> Real: ...


@attrs.frozen
class Program:
    """A program with its parameters; ``rational`` ones need no function but relu."""

    name: str
    model: Model
    parameters: list[float]
    rational: bool = False


SOURCE = random.Random(7)
POINTS, LABELS = moons(20, noise=0.1, seed=1337)
SIZES: Final = (2, 16, 16, 1)


def network(p: Sequence[Real], m: Functions) -> Real:
    """A hinge loss of a network of relu neurons: the weights of a neuron, then its bias."""
    total = 0.0 * p[0]
    for point, label in zip(POINTS, LABELS, strict=True):
        xs: list[Real] = [p[0] * 0.0 + x for x in point]
        at = 0
        for inputs, outputs in pairwise(SIZES):
            ys = []
            for _ in range(outputs):
                y = p[at + inputs]
                for x, weight in zip(xs, p[at : at + inputs], strict=True):
                    y = y + weight * x
                ys.append(y)
                at += inputs + 1
            xs = ys if outputs == 1 else [m.relu(y) for y in ys]
        total = total + m.relu(1.0 - label * xs[0])
    return total / len(POINTS)


HIDDEN: Final = 6
SIGNAL = [SOURCE.gauss(0.0, 1.0) for _ in range(40)]


def lstm(p: Sequence[Real], m: Functions) -> Real:
    """A cell with four gates over a signal, and the squares of what it predicts less the next."""
    state = [0.0 * p[0]] * HIDDEN
    cells, loss = state, 0.0 * p[0]
    for x, following in pairwise(SIGNAL):
        at, gates = 0, []
        for _ in range(4 * HIDDEN):
            gate = p[at] * x + p[at + 1]
            for unit, weight in zip(state, p[at + 2 : at + 2 + HIDDEN], strict=True):
                gate = gate + weight * unit
            gates.append(gate)
            at += HIDDEN + 2
        forget, keep, out = (
            [0.5 + 0.5 * bounded(g) for g in gates[k : k + HIDDEN]] for k in (0, HIDDEN, 2 * HIDDEN)
        )
        new = [bounded(g) for g in gates[3 * HIDDEN :]]
        cells = [f * c + k * n for f, c, k, n in zip(forget, cells, keep, new, strict=True)]
        state = [o * bounded(c) for o, c in zip(out, cells, strict=True)]
        error = state[0] - following
        loss = loss + error**2
    return loss


def bounded(x: Real) -> Real:
    """A rational function that is close to tanh."""
    square = x * x
    return x * (27.0 + square) / (27.0 + 9.0 * square)


STRIKES = [60.0 + 2.0 * k for k in range(40)]


def black_scholes(p: Sequence[Real], m: Functions) -> Real:
    """The value of a portfolio of calls."""
    spot, vol, rate, time = p
    spread, total = vol * m.sqrt(time), 0.0 * spot
    for strike in STRIKES:
        d1 = (m.log(spot / strike) + (rate + 0.5 * vol**2) * time) / spread
        d2 = d1 - spread
        paid = strike * m.exp(-rate * time) * m.norm_cdf(d2)
        total = total + spot * m.norm_cdf(d1) - paid
    return total


LEVELS: Final = 60


def binomial_tree(p: Sequence[Real], m: Functions) -> Real:
    """An American put on a tree, of which the logarithm of a step up is a parameter."""
    spot, up, growth, strike = p
    down = 1.0 / up
    likely = (growth - down) / (up - down)
    rise, fall = likely / growth, (1.0 - likely) / growth
    square = up * up
    prices = [spot * down**LEVELS]
    for _ in range(LEVELS):
        prices.append(prices[-1] * square)
    values = [m.relu(strike - price) for price in prices]
    for level in range(LEVELS, 0, -1):
        prices = [price * up for price in prices[:level]]
        held = [rise * high + fall * low for low, high in pairwise(values)]
        values = [
            hold + m.relu(strike - price - hold) for hold, price in zip(held, prices, strict=True)
        ]
    return values[0]


TARGETS = [(SOURCE.uniform(-3.0, 3.0), SOURCE.uniform(0.0, 3.0)) for _ in range(10)]
JOINTS: Final = 8


def robot_arm(p: Sequence[Real], m: Functions) -> Real:
    """The distances of the hand of an arm of eight joints to points, an angle a joint each."""
    loss = 0.0 * p[0]
    for index, (goal_x, goal_y) in enumerate(TARGETS):
        angle, x, y = 0.0 * p[0], 0.0 * p[0], 0.0 * p[0]
        for bend in p[JOINTS * index : JOINTS * (index + 1)]:
            angle = angle + bend
            x = x + m.cos(angle)
            y = y + m.sin(angle)
            loss = loss + 0.01 * bend**2
        loss = loss + m.sqrt((x - goal_x) ** 2 + (y - goal_y) ** 2)
    return loss


RETURNS = [SOURCE.gauss(0.0, exp(SOURCE.uniform(-1.0, 0.5))) for _ in range(500)]


def garch(p: Sequence[Real], m: Functions) -> Real:
    """The negative logarithm of the likelihood of returns, whose variance follows them."""
    omega, alpha, beta, mean = p
    variance, total = omega / (1.0 - alpha - beta), 0.0 * omega
    for found in RETURNS:
        shock = found - mean
        total = total + 0.5 * (m.log(variance) + shock**2 / variance)
        variance = omega + alpha * shock**2 + beta * variance
    return total


def uniform(count: int, size: float) -> list[float]:
    return [SOURCE.uniform(-size, size) for _ in range(count)]


PROGRAMS: Final = (
    Program("moons", network, uniform(337, 1.0), rational=True),
    Program("LSTM cell", lstm, uniform(4 * HIDDEN * (HIDDEN + 2), 0.4), rational=True),
    Program("Black-Scholes", black_scholes, [100.0, 0.2, 0.03, 0.75]),
    Program("binomial tree", binomial_tree, [100.0, 1.02, 1.0005, 105.0], rational=True),
    Program("robot arm", robot_arm, uniform(JOINTS * len(TARGETS), 0.8)),
    Program("GARCH", garch, [0.05, 0.08, 0.9, 0.02]),
)
