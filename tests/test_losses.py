"""Losses against their formulas in 50 digits, at the extremes too, and what they refuse."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import log
from typing import Any, TypeAlias

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import InputError
from tapegrad.learn import losses

mpmath.mp.dps = 50
EXTREMES = [-1e4, -800.0, -40.0, -1.5, 0.0, 1e-9, 0.3, 40.0, 800.0, 1e4]

Formula: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]
"""The value and the slope of a loss of one prediction."""


def huber(x: Any, y: Any) -> tuple[Any, Any]:
    error = x - y
    if abs(error) <= 1:
        return error**2 / 2, error
    return abs(error) - mpmath.mpf(1) / 2, mpmath.sign(error)


def binary_cross_entropy(x: Any, y: Any) -> tuple[Any, Any]:
    probability, rest = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
    value = y * mpmath.log1p(mpmath.exp(-x)) + (1 - y) * mpmath.log1p(mpmath.exp(x))
    return value, (1 - y) * probability - y * rest


FORMULAS: dict[str, Formula] = {
    "mse": lambda x, y: ((x - y) ** 2, 2 * (x - y)),
    "mae": lambda x, y: (abs(x - y), mpmath.sign(x - y)),
    "huber": huber,
    "hinge": lambda x, y: (max(1 - y * x, mpmath.mpf(0)), -y if y * x < 1 else mpmath.mpf(0)),
    "binary_cross_entropy": binary_cross_entropy,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_its_formula_for_numbers_lists_and_arrays(name: str) -> None:
    """Value and slope have 15 digits, however large or small they are."""
    loss = getattr(losses, name)
    for label in (1.0, -1.0) if name == "hinge" else (1.0, 0.0):
        for x in EXTREMES:
            found = tg.value_and_grad(loss)(x, label)
            want = map(float, FORMULAS[name](mpmath.mpf(x), mpmath.mpf(label)))
            assert tuple(found) == pytest.approx(tuple(want), rel=1e-15, abs=0.0)
        total = tg.value_and_grad(loss)(EXTREMES, [label] * len(EXTREMES))
        one = [tg.value_and_grad(loss)(x, label) for x in EXTREMES]
        assert total.value == pytest.approx(
            sum(each.value for each in one) / len(one), rel=1e-15, abs=0.0
        )
        assert total.grad == pytest.approx(
            [each.grad / len(one) for each in one], rel=1e-15, abs=0.0
        )
        labels = np.full(len(EXTREMES), label)
        of_array = tg.value_and_grad(loss)(np.array(EXTREMES), labels)
        assert of_array.value == pytest.approx(total.value, rel=1e-15, abs=0.0)
        assert of_array.grad == pytest.approx(np.array(total.grad), rel=1e-15, abs=0.0)
        assert loss(np.array(EXTREMES), labels) == of_array.value


def exact_cross_entropy(logits: Sequence[float], label: int) -> tuple[float, list[float]]:
    """The loss and its gradient in 50 digits beyond those that cancel."""
    with mpmath.workdps(50):
        gaps = [mpmath.exp(mpmath.mpf(z) - mpmath.mpf(logits[label])) for z in logits]
        others = mpmath.fsum(gap for place, gap in enumerate(gaps) if place != label)
        shares = [gap / (1 + others) for gap in gaps]
        shares[label] = -others / (1 + others)
        return float(mpmath.log1p(others)), [float(share) for share in shares]


both: Any = tg.value_and_grad(losses.cross_entropy)
recorded: Any = tg.record(losses.cross_entropy)

CASES = [
    ([0.0, 0.0], 1),
    ([1e4, -1e4], 0),
    ([1e4, -1e4], 1),
    ([-1e4, -1e4, -1e4], 2),
    ([40.0, 0.0, -1.0, 3.0], 0),
    ([40.0, 0.0, 39.0, 3.0], 1),
    ([800.0, 0.0, 0.0], 0),
]


@pytest.mark.parametrize(("logits", "label"), CASES)
def test_cross_entropy_has_its_digits_at_the_extremes(logits: list[float], label: int) -> None:
    """Of a row, of a list of rows, of a matrix, and with a label that is traced."""
    want, slope = exact_cross_entropy(logits, label)
    assert_near(both(logits, label), want, slope)
    assert_near(both(np.array(logits), label), want, slope)
    found = both([logits, logits], [label, label])
    assert_near((found.value, np.sum(found.grad, axis=0)), want, slope)
    rows, labels = np.array([logits, logits]), np.array([label, label])
    value, grads = both(rows, labels)
    assert_near((value, grads.sum(axis=0)), want, slope)


def assert_near(found: tuple[Any, Any], value: float, slope: Sequence[float]) -> None:
    """As near as the exponential of a rounded logarithm is, which is what a loss near 0 is."""
    bound = sys.float_info.epsilon * (8.0 + abs(log(value or 1.0)))
    assert found[0] == pytest.approx(value, rel=bound, abs=0.0)
    assert np.asarray(found[1]) == pytest.approx(np.array(slope), rel=bound, abs=0.0)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_cross_entropy_of_rows_is_the_mean_of_all(data: st.DataObject) -> None:
    """Lists, arrays, compiled rows and traced labels agree, and the gradient sums to 0 in a row."""
    classes = data.draw(st.integers(2, 4))
    logit = st.floats(-30.0, 30.0)
    rows = data.draw(st.lists(st.lists(logit, min_size=classes, max_size=classes), min_size=1))
    labels = [data.draw(st.integers(0, classes - 1)) for _ in rows]
    value, slopes = both(rows, labels)
    exact = [exact_cross_entropy(row, label)[0] for row, label in zip(rows, labels, strict=True)]
    assert value == pytest.approx(sum(exact) / len(rows), rel=1e-13, abs=0.0)
    assert [sum(slope) for slope in slopes] == pytest.approx([0.0] * len(rows), abs=1e-14)
    found = both(np.array(rows), np.array(labels))
    assert found.value == pytest.approx(value, rel=1e-13, abs=0.0)
    assert found.grad == pytest.approx(np.array(slopes), rel=1e-12, abs=0.0)


class TestTracedLabels:
    def test_rows_of_all_classes_take_one_path(self) -> None:
        """vmap over logits and labels compiles once, and has the digits."""
        mapped: Any = tg.vmap(tg.value_and_grad(losses.cross_entropy), in_axes=(0, 0))
        rows = [[1.0, 2.0, 45.0], [3.0, -40.0, 1.0], [0.0, 0.5, 1.0]]
        labels = [2, 0, 1]
        found = mapped(np.array(rows), np.array(labels))
        for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
            want, slope = exact_cross_entropy(row, label)
            assert_near((found.value[index], found.grad.row(index)), want, slope)
        assert "1 recorded" in repr(mapped)

    def test_labels_in_a_recording_are_replayed(self) -> None:
        """A matrix of logits and labels in floats, which the recording traces, takes others."""
        rows, labels = np.array([[1.0, 2.0], [0.0, 30.0]]), np.array([0.0, 1.0])
        tape = recorded(rows, labels)
        again = tape.replay(rows, np.array([1.0, 0.0])).value
        assert again == losses.cross_entropy(rows, [1, 0])

    def test_a_label_that_is_no_class_gives_nan(self) -> None:
        """No number that looks right, in a replay either."""
        rows = np.array([[1.0, 2.0]])
        tape = recorded(rows, np.array([0.0]))
        assert np.isnan(tape.replay(rows, np.array([2.0])).value)
        mapped: Any = tg.vmap(losses.cross_entropy, in_axes=(0, 0))
        assert np.isnan(mapped(rows, np.array([2])))


wrong: Any = 1.5


GIVEN = "was given predictions and true values of the"
EACH = "pass one true value for each prediction"
CLASS = "pass the number of a class as an int from 0 to"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: losses.mse([1.0, 2.0], [1.0]), f"mse AT {GIVEN} lengths 2 and 1: {EACH}"),
        (
            lambda: losses.hinge(np.ones((3, 1)), np.ones(3)),
            f"hinge AT {GIVEN} shapes (3, 1) and (3,): {EACH}",
        ),
        (
            lambda: losses.mae([1.0, 2.0], wrong),
            f"mae AT {GIVEN} lengths 2 and a float (1.5): {EACH}",
        ),
        (
            lambda: losses.cross_entropy([[1.0, 2.0], [0.0, 1.0]], [1]),
            f"cross_entropy AT {GIVEN} lengths 2 and 1: {EACH}",
        ),
        (
            lambda: losses.cross_entropy(np.ones((2, 3)), [1]),
            f"cross_entropy AT {GIVEN} shapes (2,) and (1,): {EACH}",
        ),
        (
            lambda: losses.cross_entropy([1.0, 2.0], 2),
            f"cross_entropy AT was given the label 2: {CLASS} 1",
        ),
        (
            lambda: losses.cross_entropy([1.0, 2.0], -1),
            f"cross_entropy AT was given the label -1: {CLASS} 1",
        ),
        (
            lambda: losses.cross_entropy(np.ones((2, 3)), [wrong, 0]),
            f"cross_entropy AT was given the label 1.5: {CLASS} 2",
        ),
        (
            lambda: losses.cross_entropy([1.0], 0),
            (
                "cross_entropy AT compares two classes or more, and was given 1: pass a logit for "
                "each, or use binary_cross_entropy for one"
            ),
        ),
        (
            lambda: losses.hinge([0.5, 2.0], [1.0, 0.0]),
            "hinge AT was given the label 0.0: pass -1 or 1 for each score",
        ),
        (
            lambda: losses.hinge(np.ones(2), np.array([-1.0, 3.0])),
            "hinge AT was given the label 3.0: pass -1 or 1 for each score",
        ),
        (
            lambda: losses.binary_cross_entropy(0.5, -1.0),
            (
                "binary_cross_entropy AT was given the label -1.0: pass a number from 0 to 1 for "
                "each logit"
            ),
        ),
        (
            lambda: losses.binary_cross_entropy(np.ones(2), np.array([1.0, np.nan])),
            (
                "binary_cross_entropy AT was given the label nan: pass a number from 0 to 1 for "
                "each logit"
            ),
        ),
        (lambda: losses.mse([], []), "mse AT was given no predictions: pass one or more"),
        (
            lambda: losses.cross_entropy(np.ones((0, 2)), []),
            "cross_entropy AT was given no predictions: pass one or more",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(call: Callable[[], object], text: str) -> None:
    """It names the loss, the line, the values, and what to pass."""
    with pytest.raises(InputError) as told:
        call()
    assert str(told.value) == text.replace(
        "AT", f"(test_losses.py:{call.__code__.co_firstlineno})", 1
    )


def test_losses_are_named_and_documented() -> None:
    """Each is found by its name, and says what it computes."""
    for name in losses.__all__:
        loss = getattr(losses, name)
        assert loss.__name__ == name
        assert loss.__doc__
