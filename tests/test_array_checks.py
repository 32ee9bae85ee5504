"""Derivatives of functions of arrays checked by differences, and numbers held constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
LAYER = {"w": RNG.normal(size=(3, 2)), "s": 2.0}


def loss(p: Any, x: Any, y: Any) -> Any:
    return p["s"] * ((np.tanh(x @ p["w"]) - y) ** 2).mean()


@tg.primitive(partials=lambda y, x: 3.0 * x**2 if x < 1.5 else 2.0 * x**2, at=[0.5])
def cube(x: float) -> float:
    return x * x * x


CUBE: Any = cube


class TestChecks:
    @pytest.mark.parametrize("order", [1, 2])
    def test_each_element_is_checked_by_name(self, order: Any) -> None:
        """Right ones are found right, of both orders, and modes agree."""
        report = tg.check_grad(loss, LAYER, X, Y, order=order)
        assert report.ok
        assert [x.path for x in report.findings[:7]] == [
            "w[0, 0]", "w[0, 1]", "w[1, 0]", "w[1, 1]", "w[2, 0]", "w[2, 1]", "s",
        ]  # fmt: skip
        assert len(report.findings) == (7 if order == 1 else 7 + 49)

    def test_a_wrong_partial_is_found_at_its_element(self) -> None:
        """With the line; the others are right."""
        report = tg.check_grad(lambda x: CUBE(x).sum(), np.array([1.0, 2.0]))
        assert [x.verdict for x in report.findings] == ["right", "wrong"]
        with pytest.raises(errors.CheckError, match=r"in x\[1\] is 8 by the tape and 12"):
            report.require()

    def test_kinks_are_told(self) -> None:
        """Sides of elements, and ties of the largest."""
        sides = tg.check_grad(lambda x: np.maximum(x, 0.0).sum(), np.array([1.0, 0.0]))
        assert [x.verdict for x in sides.findings] == ["right", "kink"]
        ties = tg.check_grad(lambda x: x.max(), np.array([1.0, 1.0, -1.0]))
        assert [x.verdict for x in ties.findings] == ["kink", "kink", "right"]

    def test_large_arrays_are_checked_along_random_directions(self) -> None:
        """Two for each."""
        report = tg.check_grad(lambda x: np.exp(x).sum(), RNG.normal(size=(30, 4)))
        assert report.ok
        assert [x.path for x in report.findings] == ["x along a random direction"] * 2

    def test_what_is_stopped_is_seen(self) -> None:
        """The derivative by differences is another one."""
        report = tg.check_grad(lambda x: (tg.stop_gradient(x) * x).sum(), np.array([1.0, 2.0]))
        assert [x.verdict for x in report.findings] == ["wrong", "wrong"]

    def test_infinite_elements_that_nothing_depends_on_are_no_matter(self) -> None:
        """As in the cross entropy, which masks what is not the right class with -inf."""

        def masked(x: Any) -> Any:
            return tnp.max(tnp.where(np.eye(3) > 0.0, tnp.sin(x), -np.inf), axis=1).sum()

        assert tg.check_grad(masked, np.array([0.3, 0.7, 1.1])).ok


class TestConstants:
    def test_no_derivative_passes_a_stopped_array(self) -> None:
        """By itself, and in a container."""
        at = {"w": np.array([1.0, 2.0])}

        def alone(p: Any) -> Any:
            return (tg.stop_gradient(p["w"]) * p["w"]).sum()

        def inside(p: Any) -> Any:
            return (tg.stop_gradient(p)["w"] * p["w"]).sum()

        for f in (alone, inside):
            assert_array_equal(tg.grad(f)(at)["w"], at["w"])
            assert_array_equal(tg.record(tg.grad(f))(at).value["w"], at["w"])

    def test_an_array_has_a_label(self) -> None:
        """As a number has."""
        tape = tg.record(lambda x: tg.label(x * x, "squares").sum())(np.ones(2))
        assert tape[1].label == "squares"
