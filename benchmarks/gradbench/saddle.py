"""A saddle point by descent inside descent, with derivatives forward or in reverse on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import tapegrad as tg
from benchmarks.gradbench.descent import Point, Transform, argmin, in_all_modes
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar


def saddle(x: Point, y: Point) -> Scalar:
    """(x1 ** 2 + y1 ** 2) - (x2 ** 2 + y2 ** 2), of the points (x1, y1) and (x2, y2)."""
    return (x[0] * x[0] + x[1] * x[1]) - (y[0] * y[0] + y[1] * y[1])


def below(y: Point, x: Point) -> Scalar:
    """The negative of the same, as a function of y."""
    return -saddle(x, y)


def saddle_points(outer: Transform, inner: Transform) -> Callable[[Point], list[Scalar]]:
    """A function of the start: the x whose largest value over y is the smallest, and that y."""
    of_y, again = inner(below), outer(below)

    def largest(x: Point, start: Point) -> Scalar:
        return saddle(x, argmin(below, of_y, start, x))

    of_x, value = outer(largest), tg.jit(largest, eager_first=False)

    def saddle_point(start: Point) -> list[Scalar]:
        x = argmin(value, of_x, start, start)
        return [*x, *argmin(below, again, start, x)]

    return saddle_point


def _prepared(outer: Transform, inner: Transform) -> Prepare:
    run = saddle_points(outer, inner)

    def prepare(given: Mapping[str, Any]) -> Run:
        first, second = given["start"]
        return partial(run, (float(first), float(second)))

    return prepare


FUNCTIONS: Mapping[str, Prepare] = in_all_modes(_prepared)
