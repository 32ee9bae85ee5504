"""Arms of ``where`` that lead through arrays: the one that is not selected contributes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad import numpy as tnp

WEIGHTS = np.array([1.0, 2.0, 3.0])
HOLES = np.array([[1.0, np.nan], [np.nan, 2.0]])


def of_parts(t: Any) -> Any:
    """Parts of an array under conditions that differ."""
    a = np.exp(WEIGHTS * t)
    first, second = tg.where(t > 0.6, t * t, math.log(a[0] - 9.0)), tg.where(t > 0.8, t, a[1])
    return first + second + tg.where(t > 0.6, 1.0, a[2] * math.sqrt(a[0] - 50.0))


def of_shared_parts(t: Any) -> Any:
    """Parts that are read under a condition, and beside it."""
    a = np.exp(WEIGHTS * t)
    return tg.where(t > 0.6, a[0] * np.sum(a), a[2] * a[1]) + a[0] * np.max(a)


def of_a_loop(t: Any) -> Any:
    """Steps that have no value."""
    last, ys = tg.scan(lambda c, x: (math.log(c - 9.0) * t * x, c), t, [1.0, 2.0])
    return tg.where(t > 0.6, t * t, last + ys[1])


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "a sum": lambda t: tg.where(t > 0.6, t * 2.0, np.sum(np.log(WEIGHTS * t - 9.0))),
    "a part": lambda t: tg.where(t > 0.6, t * 2.0, np.log(WEIGHTS * t - 9.0)[0]),
    "a product": lambda t: tg.where(t > 0.6, t * 2.0, (HOLES @ (np.ones(2) * t))[0]),
    "a stack": lambda t: tg.where(t > 0.6, t, np.sum(tnp.stack([math.log(t - 9.0), t]))),
    "a solution": lambda t: tg.where(
        t > 0.6, t * 2.0, np.sum(np.linalg.solve(np.zeros((2, 2)) * t, np.ones(2)))
    ),
    "an extreme": lambda t: tg.where(t > 0.6, t * 2.0, np.max(np.log(WEIGHTS * t - 9.0))),
    "an array": lambda t: np.sum(
        tnp.where(t > 0.6, WEIGHTS * t, np.cumsum(np.sqrt(WEIGHTS * t - 9.0)))
    ),
    "a constant": lambda t: t + np.sum(HOLES @ (tg.where(t < 0.9, 3.0, t) * np.ones(2))),
    "parts": of_parts,
    "shared parts": of_shared_parts,
    "a loop": of_a_loop,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_road_has_the_eager_gradient(name: str) -> None:
    """Recorded at either arm, replayed at either, compiled, forward, for rows."""
    f, points = PROGRAMS[name], (0.7, 0.3, 0.95)
    rows: Any = tg.vmap(tg.value_and_grad(f))(np.array(points))
    compiled = tg.jit(tg.value_and_grad(f), eager_first=False)
    for row, point in enumerate(points):
        right = tg.value_and_grad(f)(point)
        found = [compiled(point), (rows.value[row], rows.grad.array()[row, 0])]
        for start in points:
            tapes = tg.record(tg.value_and_grad(f))(start), tg.record(tangent(f))(start)
            found += [tape.replay(point).value for tape in (*tapes, tapes[0].simplify().tape)]
        assert np.allclose(found, right, rtol=1e-13, equal_nan=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivatives_are_those_of_the_arm_that_is_selected(name: str) -> None:
    """In a sweep, recorded, and of one mode over the other."""
    f, point, step = PROGRAMS[name], 0.7, 1e-5
    slope = tg.grad(f)
    right = (slope(point + step) - slope(point - step)) / (2.0 * step)
    assert np.isfinite(right)
    for found in (
        tg.hvp(f, point, 1.0),
        tg.grad(tg.grad(f))(point),
        tg.jvp(tg.grad(f), point, 1.0)[1],
        tg.record(tg.grad(tg.grad(f)))(0.65).replay(point).value,
    ):
        assert found == pytest.approx(right, rel=1e-5, abs=1e-5, nan_ok=True)


def tangent(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The value and the slope of a function, by forward mode."""

    def along(t: Any) -> Any:
        return tg.jvp(f, t, 1.0)

    return along
