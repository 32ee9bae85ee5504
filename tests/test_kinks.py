"""What the conventions at kinks cost: programs that are smooth where their operations are not.

The page on conventions argues from these figures that no convention of single operations is right
for all of them, and says why ours stand.
"""

from __future__ import annotations

import math as stdlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import tapegrad as tg
from tapegrad import math

One = Callable[[Any], Any]
"""A function of one number."""


@attrs.frozen
class Rule:
    """The operations with kinks, and the point at which derivatives are taken."""

    relu: One
    abs: One
    at: float = 0.0


def relu_with(slope: float) -> One:
    """relu with another slope at 0."""
    return lambda x: tg.where(x > 0.0, x, tg.where(x < 0.0, 0.0, slope * x))


def abs_with(slope: float) -> One:
    """abs with another slope at 0."""
    return lambda x: tg.where(x > 0.0, x, tg.where(x < 0.0, -x, slope * x))


RULES: Final = {
    "ours": Rule(math.relu, abs),
    "relu'(0) = 1/2": Rule(relu_with(0.5), abs),
    "abs'(0) = relu'(0) = 1": Rule(relu_with(1.0), abs_with(1.0)),
    "one direction": Rule(math.relu, abs, 1e-12),
}
"""Ours, other numbers for the slopes at 0, and the limit from one side for the whole program."""

SMOOTH: Final[dict[str, tuple[int, float, Callable[[Rule, Any], Any]]]] = {
    "relu(x) - relu(-x)": (1, 1.0, lambda r, x: r.relu(x) - r.relu(-x)),
    "relu(x) + relu(-x) - abs(x)": (1, 0.0, lambda r, x: r.relu(x) + r.relu(-x) - r.abs(x)),
    "relu(x) + log1p(exp(-abs(x)))": (
        1, 0.5, lambda r, x: r.relu(x) + math.log1p(math.exp(-r.abs(x))),
    ),
    "max(x, 0) + log1p(exp(-abs(x)))": (
        1, 0.5, lambda r, x: math.maximum(x, 0.0) + math.log1p(math.exp(-r.abs(x))),
    ),
    "max(x, 0) + min(x, 0)": (1, 1.0, lambda r, x: math.maximum(x, 0.0) + math.minimum(x, 0.0)),
    "x * abs(x)": (1, 0.0, lambda r, x: x * r.abs(x)),
    "abs(x) ** 2": (1, 0.0, lambda r, x: r.abs(x) ** 2),
    "relu(x) ** 2": (1, 0.0, lambda r, x: r.relu(x) ** 2),
    "hypot(x, x) ** 2": (1, 0.0, lambda r, x: math.hypot(x, x) ** 2),
    "sqrt(x * x) ** 2": (1, 0.0, lambda r, x: math.sqrt(x * x) ** 2),
    "x * sqrt(x)": (1, 0.0, lambda r, x: x * math.sqrt(x)),
    "sqrt(x) * sqrt(x)": (1, 1.0, lambda r, x: math.sqrt(x) * math.sqrt(x)),
    "(abs(x) ** 2)''": (2, 2.0, lambda r, x: r.abs(x) ** 2),
    "((relu(x) + relu(-x)) ** 2)''": (2, 2.0, lambda r, x: (r.relu(x) + r.relu(-x)) ** 2),
    "(max(x, -x) ** 2)''": (2, 2.0, lambda r, x: math.maximum(x, -x) ** 2),
    "(hypot(x, 0) ** 2)''": (2, 2.0, lambda r, x: math.hypot(x, 0.0) ** 2),
    "cosh(abs(x))''": (2, 1.0, lambda r, x: math.cosh(r.abs(x))),
}  # fmt: skip
"""Programs that have this derivative of this order at 0, from the right at least."""


def found(rule: Rule, name: str) -> float:
    """The derivative that a rule gives."""
    order, _, program = SMOOTH[name]

    def f(x: Any) -> Any:
        return program(rule, x)

    slope: Any = tg.grad(f) if order == 1 else tg.grad(tg.grad(f))
    return float(slope(rule.at))


def verdict(rule: Rule, name: str) -> str:
    got, right = found(rule, name), SMOOTH[name][1]
    if not stdlib.isfinite(got):
        return "nan"
    return "right" if abs(got - right) < 1e-5 else "wrong"


def figures(rule: Rule) -> tuple[int, int, int]:
    """The programs for which a rule is right, gives another number, and gives nan."""
    count = Counter(verdict(rule, name) for name in SMOOTH)
    return count["right"], count["wrong"], count["nan"]


PAGE: Final = (Path(__file__).parent.parent / "docs/explanation/conventions.md").read_text("utf-8")


@pytest.mark.parametrize("name", RULES)
def test_the_page_has_the_figures(name: str) -> None:
    """The table on the page on conventions is what this finds."""
    cells = rf"\| {re.escape(name)} \| (\d+) \| (\d+) \| (\d+) \|"
    (written,) = re.findall(cells, PAGE)
    assert tuple(map(int, written)) == figures(RULES[name])


@pytest.mark.parametrize("slope", [0.0, 0.25, 0.5, 1.0])
def test_no_slope_of_relu_at_0_is_right_for_a_square(slope: float) -> None:
    """(relu(x) + relu(-x)) ** 2 is x ** 2, and its chain gives 2 * (c - c) ** 2 for every c."""
    rule = Rule(relu_with(slope), abs)
    assert found(rule, "((relu(x) + relu(-x)) ** 2)''") == 0.0
    assert found(rule, "relu(x) - relu(-x)") == 2.0 * slope


def test_one_direction_is_not_what_minimisers_need() -> None:
    """At its minimum a sum of sizes has the slope 0, and from one side it has another."""

    def sizes(x: Any) -> Any:
        return abs(x) + math.hypot(x, x) + math.maximum(x, -x)

    assert tg.grad(sizes)(0.0) == 0.0
    assert tg.grad(sizes)(1e-12) == pytest.approx(2.0 + stdlib.sqrt(2.0))


def test_a_product_of_0_and_an_infinity_is_not_0() -> None:
    """x * sqrt(x) would be right if it were, and sqrt(x) * sqrt(x) silently wrong."""
    ours = RULES["ours"]
    assert all(stdlib.isnan(found(ours, name)) for name in ("x * sqrt(x)", "sqrt(x) * sqrt(x)"))


def test_the_check_of_gradients_sees_a_kink() -> None:
    """Where a program is smooth and its operations are not, differences contradict."""

    def f(x: Any) -> Any:
        return math.relu(x) - math.relu(-x)

    assert not tg.check_grad(f, 0.0)
    assert tg.check_grad(f, 0.5)
