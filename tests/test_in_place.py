"""In-place operators mean what they mean to numpy, or are refused.

numpy writes into the memory of an array, and whoever shows it sees that. A traced array is not
written to: another one takes the name. Where that is not the same, it is an error on every road.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tests.places import place

X: Final = np.array([[1.0, 2.0], [3.0, 0.5]])


def all_operators(x: Any) -> Any:
    y = x * 2.0
    y += x
    y *= y
    y -= 1.0
    y /= 2.0
    y **= 2
    y //= 3.0
    y %= 5.0
    y @= x
    return y


def of_a_copy(x: Any) -> Any:
    y = x.copy()
    y += 1.0
    return x * y


def beside_a_copy(x: Any) -> Any:
    y = x * 1.0
    before = y.copy(), y.flatten(), tnp.copy(y), y.astype(np.float64), tnp.array(y)
    y += 1.0
    return sum(((part * n).sum() for n, part in enumerate(before, 1)), y.sum()) * x


def of_a_view_alone(x: Any) -> Any:
    row = (x * 1.0)[0]
    row += 1.0
    return row * row


def of_places(x: Any) -> Any:
    y = x * 1.0
    rows = y[[0, 0]]
    rows += 1.0
    return rows * y


def in_a_loop(x: Any) -> Any:
    total = x * 0.0
    kept = []
    for n in range(3):
        total += n * x
        kept.append(total.copy())
    return sum(kept)


def by_a_function(x: Any) -> Any:
    def centred(y: Any) -> Any:
        y -= y.mean()
        return y

    return centred(x * x)


def of_conditions(x: Any) -> Any:
    inside = x > 0.0
    before = inside.copy()
    inside &= x < 2.0
    inside |= x > 2.5
    inside ^= x == 3.0
    return np.where(inside, x * x, 0.0) + np.where(before, x, 0.0)


SAME: Final = [
    all_operators, of_a_copy, beside_a_copy, of_a_view_alone, of_places, in_a_loop, by_a_function,
    of_conditions,
]  # fmt: skip


@pytest.mark.parametrize("f", SAME)
def test_what_nobody_else_reads_is_written_to(f: Callable[[Any], Any]) -> None:
    """The value is that of the plain call, on every road, and arguments stay as they are."""

    def total(x: Any) -> Any:
        return (f(x) * f(x)).sum()

    x = X.copy()
    found = tg.value_and_grad(total)(x)
    assert found.value == pytest.approx(total(X.copy()), rel=1e-14)
    assert x.tolist() == X.tolist()
    recorded = tg.record(tg.value_and_grad(total))(x).value
    compiled = tg.jit(tg.value_and_grad(total), eager_first=False)(x)
    for road in (recorded, compiled):
        assert road.value == found.value
        assert road.grad.tobytes() == found.grad.tobytes()
    assert not tg.check_grad(total, x).wrong


def alias(x: Any) -> Any:
    y = x * 1.0
    z = y
    y += 1.0
    return y * z


def view_before(x: Any) -> Any:
    y = x * 1.0
    row = y[0]
    y += 1.0
    return row


def whole_of_a_view(x: Any) -> Any:
    y = x * 1.0
    row = y.T[:, 0]
    row += 1.0
    return y


def another_view(x: Any) -> Any:
    y = x * 1.0
    row, column = y[0], y.T
    row += 1.0
    return column


def kept_in_a_list(x: Any) -> Any:
    y, states = x * 1.0, []
    for _ in range(2):
        y *= 2.0
        states.append(y)
    return states[0]


def without_a_slope(x: Any) -> Any:
    y = x * 1.0
    z = tg.stop_gradient(y)
    y += 1.0
    return y * z


def condition(x: Any) -> Any:
    inside = x > 0.0
    before = inside
    inside &= x < 1.0
    return np.where(before, x, 0.0)


READ: Final = [
    alias, view_before, whole_of_a_view, another_view, kept_in_a_list, without_a_slope, condition,
]  # fmt: skip


@pytest.mark.parametrize("f", READ)
def test_what_is_read_later_by_another_name_is_refused(f: Callable[[Any], Any]) -> None:
    """Also where the array is a result, and with the user's line."""
    source = inspect.getsource(f)
    operator = next(text for text in ("+=", "*=", "&=") if text in source)

    def total(x: Any) -> Any:
        return tnp.sum(f(x))

    slope: Any = tg.grad(total)
    for road in (
        slope, tg.record(f), tg.record(slope), tg.jit(f, eager_first=False), tg.jacobian(f),
    ):  # fmt: skip
        with pytest.raises(errors.TracedNumberError) as caught:
            road(X)
        assert str(caught.value) == (
            f"an in-place operator at {place(f, operator)} writes to an array that is read after "
            "it by another name, or as a view: write x = x + y, or take a copy() before"
        )


def argument(x: Any) -> Any:
    x += 1.0
    return x.sum()


def part_of_an_argument(x: Any) -> Any:
    row = x[0]
    row *= 2.0
    return row.sum()


@pytest.mark.parametrize("f", [argument, part_of_an_argument])
def test_an_argument_is_not_written_to(f: Callable[[Any], Any]) -> None:
    """The function itself would change it for the caller, and compiled code would not."""
    with pytest.raises(errors.TracedNumberError) as caught:
        tg.grad(f)(X)
    assert str(caught.value) == (
        f"an in-place operator at {place(f, '= 2.0' if f is part_of_an_argument else '+=')} writes "
        "to an argument, which the function itself would change for its caller: write x = x + y, "
        "or begin with x = x.copy()"
    )


def test_shapes_and_recordings_are_kept() -> None:
    """As numpy, which writes no more numbers than there are; and nothing leaves its recording."""

    def grows(x: Any) -> Any:
        y = x[0] * 1.0
        y += x
        return y.sum()

    def leaves(x: Any) -> Any:
        y = x * 1.0

        def inner(z: Any) -> Any:
            nonlocal y
            y += z
            return y.sum()

        return tnp.sum(tg.grad(inner)(x))

    with pytest.raises(errors.TracedNumberError) as caught:
        tg.grad(grows)(X)
    assert str(caught.value) == (
        f"an in-place operator at {place(grows, '+=')} would write shape (2, 2) into an array of "
        "shape (2,): write x = x + y"
    )
    with pytest.raises(errors.TracedNumberError) as caught:
        tg.grad(leaves)(X)
    assert str(caught.value) == (
        f"an in-place operator at {place(leaves, '+=')} would write traced numbers into an array "
        "of the function around: write x = x + y, and return x"
    )
