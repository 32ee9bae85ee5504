"""The line that a message names is the user's own, whoever calls back in between."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, special

import tapegrad as tg
from tapegrad import errors
from tests.places import place, refusal


def interpolated(a: Any) -> Any:
    return np.interp(a, [0.0, 1.0], [0.0, 2.0])


def vectorized(a: Any) -> Any:
    return np.vectorize(float)(a)


def integrated(a: Any) -> Any:
    return integrate.quad(lambda x: a * x, 0.0, 1.0)[0]


def averaged(a: Any) -> Any:
    return statistics.fmean([a, a])


def tallied(a: Any) -> Any:
    return np.histogram([a])


def reduced(a: Any) -> Any:
    return functools.reduce(lambda x, y: float(y), [1.0, a])


def solved(a: Any) -> Any:
    return optimize.brentq(lambda x: x * x - a, 0.0, 10.0)


def bisected(a: Any) -> Any:
    return optimize.bisect(lambda x: x * x - a, 0.0, 10.0)


LINE: dict[Callable[[Any], Any], str] = {
    interpolated: "np.interp", vectorized: "np.vectorize", integrated: "integrate.quad",
    averaged: "statistics.fmean", tallied: "np.histogram", reduced: "functools.reduce",
    solved: "optimize.brentq", bisected: "optimize.bisect",
}  # fmt: skip


@pytest.mark.parametrize("f", LINE)
def test_a_line_in_another_package_is_never_named(f: Callable[[Any], Any]) -> None:
    """numpy, SciPy and the standard library call back; the line is the user's that called them."""
    assert f" at {place(f, LINE[f])} " in refusal(errors.TracedNumberError, lambda: tg.grad(f)(0.5))


@pytest.mark.parametrize("f", [solved, bisected])
def test_a_solver_of_scipy_points_to_root(f: Callable[[Any], Any]) -> None:
    """What it would drop, ``root`` has."""
    message = refusal(errors.TracedNumberError, lambda: tg.grad(f)(2.0))
    assert message.endswith("; to differentiate the solution of an equation, write tapegrad.root")


def test_a_function_of_a_package_is_named_by_the_line_that_differentiates_it() -> None:
    """Where the model itself is another's."""

    def call() -> object:
        return tg.grad(special.expit)(0.5)

    message = refusal(errors.TracedNumberError, call)
    assert f" at {place(call, 'return')} " in message


def test_a_recording_that_another_package_opens_is_the_user_s() -> None:
    """A number that leaks from an optimizer's call names the line that called the optimizer."""
    kept: list[Any] = []

    def leaking(x: Any) -> Any:
        kept.append(x[0])
        return x[0] * x[0]

    def call() -> object:
        return optimize.minimize(
            lambda x: float(x[0] ** 2), [1.0], jac=lambda x: tg.grad(leaking)(list(map(float, x)))
        )

    call()
    message = refusal(errors.RecordingError, lambda: kept[0] + 1.0)
    assert f"opened at {place(call, 'jac=')}, has ended" in message


@tg.primitive(partials=lambda y, x: 1.0, at=[])
def picky(x: float) -> float:
    return x if x < 1.0 else None  # type: ignore[return-value]  # wrong on purpose


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"executor": ThreadPoolExecutor}])
def test_work_in_other_threads_names_the_line_that_asked_for_it(options: Any) -> None:
    """No frame of the user's lies there; the batch is called in another."""
    rows = np.linspace(0.0, 1.0, 10_000)

    def call() -> object:
        return tg.vmap(lambda x: picky(x) * 2.0, **options)(rows)

    assert refusal(errors.OutputError, call) == (
        f"picky ({place(call, 'return')}) returned None: return a float"
    )
