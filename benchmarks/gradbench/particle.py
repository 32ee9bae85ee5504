"""The place of a charge for which another one, on its way past, meets the origin."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import tapegrad as tg
from benchmarks.gradbench.descent import Point, Transform, argmin, in_all_modes
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar, math

STEP = 0.1


def potential(x: Point, w: Point) -> Scalar:
    """Of two unit charges at (10, 10 - w) and (10, 0)."""
    across = (x[0] - 10.0) * (x[0] - 10.0)
    distances = (math.sqrt(across + (x[1] - y) * (x[1] - y)) for y in (10.0 - w[0], 0.0))
    return sum(1.0 / distance for distance in distances)


def misses(inner: Transform) -> Any:
    """The square of the place at which a particle from (0, 8) meets the first axis, by w."""
    gradient = inner(potential)

    def square(w: Point, _: Point) -> Scalar:
        x: Point = (0.0, 8.0)
        velocity: Point = (0.75, 0.0)
        while True:
            force = gradient(x, w)
            moved = tuple(a + STEP * b for a, b in zip(x, velocity, strict=True))
            if not moved[1] > 0.0:
                break
            x = moved
            velocity = tuple(a - STEP * b for a, b in zip(velocity, force, strict=True))
        meeting = x[0] - x[1] / velocity[1] * velocity[0]
        return meeting * meeting

    return square


def aimed(outer: Transform, inner: Transform) -> Any:
    """The w whose particle meets the origin, by descent from a start."""
    square = misses(inner)
    gradient, value = outer(square), tg.jit(square, eager_first=False)

    def found(start: float) -> Scalar:
        return argmin(value, gradient, (start,), ())[0]

    return found


def _prepared(outer: Transform, inner: Transform) -> Prepare:
    run = aimed(outer, inner)

    def prepare(given: Mapping[str, Any]) -> Run:
        return partial(run, float(given["w"]))

    return prepare


FUNCTIONS: Mapping[str, Prepare] = in_all_modes(_prepared)
