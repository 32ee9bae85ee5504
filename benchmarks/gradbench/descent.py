"""Descent to where a function is least, with derivatives forward or in reverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare
from tapegrad import Scalar, math

Point: TypeAlias = tuple[Scalar, ...]
Function: TypeAlias = Callable[[Point, Point], Scalar]
"""A function of a point, and of another one that is given."""

Gradient: TypeAlias = Callable[[Point, Point], Point]
Transform: TypeAlias = Callable[[Function], Gradient]

SMALL, START, TRIES = 1e-5, 1e-5, 10


def reverse(f: Function) -> Gradient:
    """The gradient in one sweep."""
    return tg.jit(tg.grad(f), eager_first=False)


def forward(f: Function) -> Gradient:
    """The gradient in a sweep for each direction."""

    def gradient(x: Point, other: Point) -> Point:
        _, derivative = tg.linearize(f, x, other)
        units = ([float(i == j) for j in range(len(x))] for i in range(len(x)))
        return tuple(derivative(tuple(unit)) for unit in units)

    return tg.jit(gradient, eager_first=False)


def in_all_modes(prepared: Callable[[Transform, Transform], Prepare]) -> Mapping[str, Prepare]:
    """The functions of an eval, named by how the outer derivative is taken, and the inner one."""
    ways = {"f": forward, "r": reverse}
    return {x + y: prepared(ways[x], ways[y]) for x in ways for y in ways}


def length(x: Point) -> Scalar:
    """The Euclidean norm."""
    square: Scalar = 0.0
    for part in x:
        square = square + part * part
    return math.sqrt(square)


def argmin(f: Function, gradient: Gradient, start: Point, other: Point) -> Point:
    """Where descent ends: the rate doubles after ten steps down, and halves after one up."""
    x, value, slope = start, f(start, other), gradient(start, other)
    rate, down = START, 0
    while not length(slope) <= SMALL:
        if down == TRIES:
            rate, down = 2.0 * rate, 0
            continue
        step = tuple(rate * part for part in slope)
        if length(step) <= SMALL:
            return x
        moved = tuple(part - more for part, more in zip(x, step, strict=True))
        reached = f(moved, other)
        if reached < value:
            x, value, slope, down = moved, reached, gradient(moved, other), down + 1
        else:
            rate, down = rate / 2.0, 0
    return x
