"""A saddle point by descent inside descent, with derivatives forward or in reverse on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar, math

Point: TypeAlias = tuple[Scalar, Scalar]
Function: TypeAlias = Callable[[Point, Point], Scalar]
"""A function of a point, and of another one that is given."""

Gradient: TypeAlias = Callable[[Point, Point], Point]
Transform: TypeAlias = Callable[[Function], Gradient]

SMALL, START, TRIES = 1e-5, 1e-5, 10


def saddle(x: Point, y: Point) -> Scalar:
    """(x1 ** 2 + y1 ** 2) - (x2 ** 2 + y2 ** 2), of the points (x1, y1) and (x2, y2)."""
    return (x[0] * x[0] + x[1] * x[1]) - (y[0] * y[0] + y[1] * y[1])


def below(y: Point, x: Point) -> Scalar:
    """The negative of the same, as a function of y."""
    return -saddle(x, y)


def reverse(f: Function) -> Gradient:
    """The gradient in one sweep."""
    return tg.jit(tg.grad(f), eager_first=False)


def forward(f: Function) -> Gradient:
    """The gradient in a sweep for each direction."""

    def gradient(x: Point, other: Point) -> Point:
        _, derivative = tg.linearize(f, x, other)
        return derivative((1.0, 0.0)), derivative((0.0, 1.0))

    return tg.jit(gradient, eager_first=False)


def length(x: Point) -> Scalar:
    """The Euclidean norm."""
    return math.sqrt(x[0] * x[0] + x[1] * x[1])


def argmin(f: Function, gradient: Gradient, start: Point, other: Point) -> Point:
    """Where descent ends: the rate doubles after ten steps down, and halves after one up."""
    x, value, slope = start, f(start, other), gradient(start, other)
    rate, down = START, 0
    while not length(slope) <= SMALL:
        if down == TRIES:
            rate, down = 2.0 * rate, 0
            continue
        step = rate * slope[0], rate * slope[1]
        if length(step) <= SMALL:
            return x
        moved = x[0] - step[0], x[1] - step[1]
        reached = f(moved, other)
        if reached < value:
            x, value, slope, down = moved, reached, gradient(moved, other), down + 1
        else:
            rate, down = rate / 2.0, 0
    return x


def saddle_points(
    outer: Callable[[Function], Gradient], inner: Callable[[Function], Gradient]
) -> Callable[[Point], list[Scalar]]:
    """A function of the start: the x whose largest value over y is the smallest, and that y."""
    of_y, again = inner(below), outer(below)

    def largest(x: Point, start: Point) -> Scalar:
        return saddle(x, argmin(below, of_y, start, x))

    of_x, value = outer(largest), tg.jit(largest, eager_first=False)

    def saddle_point(start: Point) -> list[Scalar]:
        x = argmin(value, of_x, start, start)
        return [*x, *argmin(below, again, start, x)]

    return saddle_point


def _prepared(
    outer: Callable[[Function], Gradient], inner: Callable[[Function], Gradient]
) -> Prepare:
    run = saddle_points(outer, inner)

    def prepare(given: Mapping[str, Any]) -> Run:
        first, second = given["start"]
        return partial(run, (float(first), float(second)))

    return prepare


FUNCTIONS: Mapping[str, Prepare] = {
    "ff": _prepared(forward, forward),
    "fr": _prepared(forward, reverse),
    "rf": _prepared(reverse, forward),
    "rr": _prepared(reverse, reverse),
}
