"""Equations of ``root`` and partials of ``primitive`` that compute with arrays and loops inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import math

WEIGHTS = np.array([0.1, 0.2, 0.3])

ROADS: dict[str, Callable[[Any], Any]] = {
    "gradient": lambda f: tg.value_and_grad(f)(0.4),
    "gradient of a gradient": lambda f: tg.grad(tg.grad(f))(0.4),
    "third": lambda f: tg.grad(tg.grad(tg.grad(f)))(0.4),
    "product": lambda f: tg.hvp(f, 0.4, 1.0),
    "gradient of a product": lambda f: tg.grad(lambda a: tg.hvp(f, a, 1.0))(0.4),
    "forward": lambda f: tg.jvp(f, 0.4, 1.0),
    "series": lambda f: tg.taylor(f, 4)(0.4),
    "replay": lambda f: tg.record(tg.value_and_grad(f))(0.3).replay(0.4).value,
    "compiled": lambda f: tg.jit(tg.value_and_grad(f), eager_first=False)(0.4),
    "sparse": lambda f: tg.sparse_hessian(f)(0.4).values,
}


def looped(x: Any) -> Any:
    """3 x**2, by a loop."""
    return tg.scan(lambda c, _: (c * x, None), 3.0, None, 2)[0]


SLOPES: dict[str, Callable[[Any], Any]] = {
    "a sum": lambda x: np.sum(np.array([1.0, 2.0]) * x * x),
    "a product": lambda x: (np.array([[1.0, 2.0], [0.0, 1.0]]) @ (np.ones(2) * x * x))[0],
    "a solution": lambda x: np.linalg.solve(np.eye(2) / 3.0, np.ones(2) * x * x)[0],
    "a part": lambda x: (np.ones(2) * 3.0 * x * x)[1],
    "a loop": looped,
}


@pytest.mark.parametrize("name", SLOPES)
def test_a_partial_with_arrays_inside_is_differentiated(name: str) -> None:
    """As one of numbers alone is, in every mode and order."""

    def rule(slope: Callable[[Any], Any]) -> Any:
        return tg.primitive(partials=lambda _, x: slope(x), at=[0.5])(lambda x: x**3)

    cube, right = rule(SLOPES[name]), rule(lambda x: 3.0 * x * x)
    for road in ROADS.values():
        found = road(lambda a: cube(a) * math.sin(a))
        assert found == pytest.approx(road(lambda a: right(a) * math.sin(a)), rel=1e-12)


@pytest.mark.parametrize("name", [*SLOPES, "a product of three"])
def test_on_arrays_it_goes_element_by_element(name: str) -> None:
    """Where arrays inside have the shape of those outside, too."""

    def rule(slope: Callable[[Any], Any]) -> Any:
        return tg.primitive(partials=lambda _, x: slope(x), at=[0.5])(lambda x: x**3)

    def of_three(x: Any) -> Any:
        return (np.ones((3, 3)) @ (np.ones(3) * x * x))[0]

    cube, right = rule(SLOPES.get(name, of_three)), rule(lambda x: 3.0 * x * x)
    for mode, road in ROADS.items():
        if mode not in {"series", "sparse"}:
            found = road(lambda a: np.sum(cube(WEIGHTS * a) * WEIGHTS))
            expected = road(lambda a: np.sum(right(WEIGHTS * a) * WEIGHTS))
            assert found == pytest.approx(expected, rel=1e-12)


EQUATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "a sum": (
        lambda z, a: np.sum(WEIGHTS * z * z) + z - a,
        lambda z, a: 0.6 * z * z + z - a,
    ),
    "a solution": (
        lambda z, a: np.linalg.solve(np.eye(2) * (2.0 + z), np.ones(2) * a)[0] - z,
        lambda z, a: a / (2.0 + z) - z,
    ),
    "a loop": (
        lambda z, a: tg.scan(lambda c, x: (c * 0.5 + x * math.sin(z), None), z, WEIGHTS)[0] - a,
        lambda z, a: z * 0.125 + math.sin(z) * (0.1 * 0.25 + 0.2 * 0.5 + 0.3) - a,
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_with_arrays_inside_is_solved_and_differentiated(name: str) -> None:
    """As one of numbers alone is, in every mode and order."""
    equation, right = EQUATIONS[name]
    for road in ROADS.values():
        found = road(lambda a: tg.root(equation, 0.3, a) * a)
        assert found == pytest.approx(road(lambda a: tg.root(right, 0.3, a) * a), rel=1e-9)
