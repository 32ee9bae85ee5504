"""The programs that this library must reproduce, with their numbers, to 1e-12.

Beside each gradient stands the forward difference, as the articles do that they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

import tapegrad as tg
from tapegrad import math


@attrs.frozen
class Case:
    """A program, a point, and what it must give there."""

    name: str
    program: Callable[..., Any]
    point: Mapping[str, float]
    value: float
    slopes: Mapping[str, float]


def neuron(x1: Any, x2: Any, w1: Any, w2: Any, b: Any) -> Any:
    return math.tanh(x1 * w1 + x2 * w2 + b)


def neuron_by_exp(x1: Any, x2: Any, w1: Any, w2: Any, b: Any) -> Any:
    e = math.exp(2.0 * (x1 * w1 + x2 * w2 + b))
    return (e - 1.0) / (e + 1.0)


def micrograd_readme(a: Any, b: Any) -> Any:
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + math.relu(b + a)
    d += 3 * d + math.relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


NEURON = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432}
NEURON_SLOPES = {"x1": -1.5, "x2": 0.5, "w1": 1.0, "w2": 0.0, "b": 0.5}

CASES = [
    Case("parabola", lambda x: 3 * x**2 - 4 * x + 5, {"x": 3.0}, 20.0, {"x": 14.0}),
    Case(
        "product and sum",
        lambda a, b, c: a * b + c,
        {"a": 2.0, "b": -3.0, "c": 10.0},
        4.0,
        {"a": -3.0, "b": 2.0, "c": 1.0},
    ),
    Case(
        "nested",
        lambda a, b, c, d: a * (b + c * d),
        {"a": -2.0, "b": 10.0, "c": 2.0, "d": -3.0},
        -8.0,
        {"a": 4.0, "b": -2.0, "c": 6.0, "d": -4.0},
    ),
    Case(
        "by hand",
        lambda a, b, c, f: (a * b + c) * f,
        {"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0},
        -8.0,
        {"a": 6.0, "b": -4.0, "c": -2.0, "f": 4.0},
    ),
    Case("neuron", neuron, NEURON, 0.7071067811865476, NEURON_SLOPES),
    Case("neuron by exp", neuron_by_exp, NEURON, 0.7071067811865476, NEURON_SLOPES),
    Case("used twice", lambda a: a + a, {"a": 3.0}, 6.0, {"a": 2.0}),
    Case(
        "used in two places",
        lambda a, b: (a * b) * (a + b),
        {"a": -2.0, "b": 3.0},
        -6.0,
        {"a": -3.0, "b": -8.0},
    ),
    Case("a quotient", lambda a, b: a / b, {"a": 2.0, "b": 4.0}, 0.5, {"a": 0.25, "b": -0.125}),
    Case("a quotient by a number", lambda a: a / 4, {"a": 2.0}, 0.5, {"a": 0.25}),
    Case("a quotient of a number", lambda b: 2 / b, {"b": 4.0}, 0.5, {"b": -0.125}),
    Case(
        "micrograd's README",
        micrograd_readme,
        {"a": -4.0, "b": 2.0},
        24.70408163265306,
        {"a": 138.83381924198252, "b": 645.5772594752186},
    ),
]
NAMES = [case.name for case in CASES]


def forward_difference(case: Case, name: str) -> float:
    h = 1e-6
    moved = case.program(**{**case.point, name: case.point[name] + h})
    return float(moved - case.program(**case.point)) / h


@pytest.mark.parametrize("case", CASES, ids=NAMES)
class TestThePrograms:
    def test_on_plain_floats(self, case: Case) -> None:
        """The program is an ordinary function of floats."""
        assert case.program(**case.point) == pytest.approx(case.value, rel=1e-12)

    def test_value_and_partials(self, case: Case) -> None:
        """The partials by name are the published ones, and forward differences approach them."""
        slopes = tg.partials(case.program)(**case.point)
        assert slopes == pytest.approx(dict(case.slopes), rel=1e-12, abs=1e-12)
        for name, slope in slopes.items():
            assert forward_difference(case, name) == pytest.approx(slope, rel=1e-3, abs=1e-5)

    def test_value_and_gradient_of_a_dict(self, case: Case) -> None:
        """The gradient has the keys of the point, in their order."""

        def program(p: Any) -> Any:
            return case.program(**p)

        value, slopes = tg.value_and_grad(program)(dict(case.point))
        assert value == pytest.approx(case.value, rel=1e-12)
        assert slopes == pytest.approx(dict(case.slopes), rel=1e-12, abs=1e-12)
        assert list(slopes) == list(case.point)

    def test_the_tape(self, case: Case) -> None:
        """The tape holds the same value and gradient, and replays to them from elsewhere."""
        tape = tg.record(lambda p: case.program(**p))(dict(case.point))
        assert tape.value == pytest.approx(case.value, rel=1e-12)
        assert tape.gradient() == pytest.approx(dict(case.slopes), rel=1e-12, abs=1e-12)
        elsewhere = tape.replay({name: x + 0.25 for name, x in case.point.items()})
        assert elsewhere.replay(dict(case.point)) == tape


def test_both_inner_values_of_the_program_by_hand() -> None:
    """In (a*b + c)*f at (2, -3, 10, -2) the cotangent of a*b and of a*b + c is -2."""

    def program(p: Any) -> Any:
        e = tg.label(p["a"] * p["b"], "e")
        d = tg.label(e + p["c"], "d")
        return tg.label(d * p["f"], "L")

    tape = tg.record(program)({"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0})
    inner = {tape.label(slot): bar for slot, bar in enumerate(tape.cotangents())}
    assert (inner["e"], inner["d"], inner["L"]) == (-2.0, -2.0, 1.0)


def test_a_ladder_of_diamonds() -> None:
    """Twenty values, each used twice by the next, give 2^20 paths and one sweep of twenty steps."""

    def ladder(x: Any) -> Any:
        for _ in range(20):
            x = x + x
        return x

    assert tg.value_and_grad(ladder)(1.0) == (2.0**20, 2.0**20)
    assert len(tg.record(ladder)(1.0)) == 21


def test_a_variable_reused_across_a_program() -> None:
    """x used in every term of a polynomial collects every term's slope."""

    def horner(x: Any) -> Any:
        total = 0.0 * x
        for coefficient in (1.0, -2.0, 3.0, -4.0):
            total = total * x + coefficient
        return total

    # x^3 - 2 x^2 + 3 x - 4
    assert tg.value_and_grad(horner)(2.0) == (2.0, 7.0)
    assert tg.grad(tg.grad(horner))(2.0) == 8.0
    assert tg.grad(tg.grad(tg.grad(horner)))(2.0) == 6.0


def test_a_tape_a_million_entries_long() -> None:
    """A million additions are differentiated without recursion, exactly."""

    def long(p: Any) -> Any:
        x, y = p["x"], p["y"]
        for _ in range(500_000):
            x = x + y
            x = x - y
        return x * y

    assert tg.value_and_grad(long)({"x": 2.0, "y": 3.0}) == (6.0, {"x": 3.0, "y": 2.0})


def test_a_gradient_descent() -> None:
    """Following the gradient of a sum of squares finds the line that made the points."""

    def loss(p: Any, points: Any) -> Any:
        return math.mean((p["w"] * x + p["b"] - y) ** 2 for x, y in points)

    points = [(x / 4.0, 3.0 * x / 4.0 - 1.0) for x in range(-4, 5)]
    p = {"w": 0.0, "b": 0.0}
    for _ in range(200):
        slopes = tg.grad(loss)(p, points)
        p = {name: p[name] - 0.4 * slopes[name] for name in p}
    assert p == pytest.approx({"w": 3.0, "b": -1.0}, abs=1e-12)
