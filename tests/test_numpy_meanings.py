"""What is written in numpy's words means on traced arrays what it does on plain ones.

The plain call is the judge of the value; a derivative is judged by that of a sum over parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

X: Final = np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -1.0]])

SAME: Final[dict[str, Callable[[Any], Any]]] = {
    # Lists are arrays, of conditions and of numbers.
    "where, a list": lambda x: np.where([True, False, True], x, 0.0),
    "where, a tuple": lambda x: np.where((True, False, True), x, 0.0),
    "where, a column": lambda x: np.where([[True], [False]], x, 0.0),
    "where, ints": lambda x: np.where([1, 0, 2], x, 0.0),
    "where, a nan": lambda x: np.where([1.0, 0.0, np.nan], x, 0.0),
    "where, conditions": lambda x: np.where([x[0, 0] > 1.0, x[0, 0] < 1.0, True], x, 0.0),
    "ours, a list": lambda x: cast(Any, tnp.where)([True, False, True], x, 0.0),
    "select, a list": lambda x: np.select([[True, False, True]], [x], 2.0),
    "select, conditions": lambda x: np.select([x > 1.0, [True, False, True]], [x, -x], 2.0),
    "and, a list": lambda x: ((x > 0.0) & [True, False, True]) * x,
    "or, a tuple": lambda x: ((x > 2.0) | (True, False, True)) * x,
    "logical_and, a list": lambda x: np.logical_and(x > 0.0, [True, False, True]) * x,
    "places of a condition": lambda x: x[np.where(x > 0.0)],
    # Conditions are compared, and count.
    "equal conditions": lambda x: ((x > 0.0) == (x > 1.0)) * x,
    "unequal to a bool": lambda x: ((x > 0.0) != True) * x,  # noqa: E712  # element by element
    "one or the other": lambda x: ((x > 0.0) ^ (x > 1.0)) * x,
    "both added": lambda x: ((x > 0.0) + (x > 1.0)) * x,
    "added to an array": lambda x: ((x > 0.0) + np.array([True, False, True])) * x,
    "one less": lambda x: (1.0 - (x > 0.0)) * x,
    "less one": lambda x: ((x > 0.0) - 1.0) * x,
    "halves": lambda x: (x > 0.0) / 2.0 * x,
    "a power": lambda x: (x > 0.0) ** 2 * x,
    "a product": lambda x: (x > 0.0) * (x > 1.0) * x,
    "their number": lambda x: len(x > 0.0) * x,
    "one by one": lambda x: sum(row * x[0] for row in x > 0.0),
    "in one row": lambda x: (x > 0.0).flatten() * x.copy().ravel(),
    "where they hold": lambda x: (x > 0.0).copy().nonzero()[0].sum() * x,
    "a bool of numpy's": lambda x: np.bool_(x.shape[0] > 1) * x + np.True_,
    "and a number": lambda x: x[0, 0] * np.True_ + np.False_ - x[0, 1] ** np.True_,
    # No axis means all numbers in one row.
    "sort": lambda x: np.sort(x, None),
    "sort, by name": lambda x: np.sort(x, axis=None),
    "argsort": lambda x: np.argsort(x, None) * x[0, 0],
    "argsort, the method": lambda x: x.argsort(None) * x[0, 0],
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([0, 5, 1]), None),
    # Places of arguments are numpy's.
    "searchsorted": lambda x: np.searchsorted(x[0, 0] + np.arange(3.0), x[0, :1], "right") * x,
    "the array by name": lambda x: np.sum(a=x, axis=1) + np.take(indices=[0, 2], a=x[0], axis=0),
    "searchsorted, the method": lambda x: x[0, :1].searchsorted(x[0, 0], "right") * x,
    "reshape": lambda x: np.reshape(x, (3, 2), "F"),
    "reshape, the method": lambda x: x.reshape(3, 2, order="F"),
    "ravel": lambda x: np.ravel(x, "F"),
    "ravel, the method": lambda x: x.ravel("F"),
    "flatten": lambda x: x.flatten("F"),
    "quantiles": lambda x: np.quantile(x, [0.25, 0.5], 1),
    "cross": lambda x: np.cross(x[0], x[1]),
    "cross, a list": lambda x: np.cross([1.0, 2.0, 3.0], x[0]),
}
"""By its meaning, what is written; the weights of a sum make each place count."""


def weighed(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def total(x: Any) -> Any:
        found = f(x)
        return (found * np.cos(np.arange(1.0, found.size + 1.0)).reshape(found.shape)).sum()

    def number(x: Any) -> Any:
        return total(x) if np.shape(f(X)) else f(x)

    return number


@pytest.mark.parametrize("meaning", SAME)
def test_traced_arrays_mean_what_plain_ones_do(meaning: str) -> None:
    """The value is that of the plain call on every road, and the slope that of its differences."""
    f = weighed(SAME[meaning])
    plain, found = f(X.copy()), tg.value_and_grad(f)(X)
    assert found.value == pytest.approx(plain, rel=1e-13)
    tape = tg.record(tg.value_and_grad(f))(X)
    compiled = tg.jit(tg.value_and_grad(f), eager_first=False)(X)
    for road in (tape.value, tape.simplify().tape.value, compiled):
        assert road.value == found.value
        assert road.grad.tobytes() == found.grad.tobytes()
    for index in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[index] = 1e-6
        assert found.grad[index] == pytest.approx((f(X + step) - f(X - step)) / 2e-6, abs=1e-7)


def test_a_list_of_conditions_chooses_without_a_guard() -> None:
    """A replay chooses anew where the conditions in a list come out differently."""

    def f(x: Any) -> Any:
        return np.where([x[0] > 0.0, x[1] > 0.0], x * x, -x).sum()

    tape = tg.record(f)(np.array([2.0, -1.0]))
    assert not any(isinstance(node, tg.Guard) for node in tape.nodes)
    assert tape.replay(np.array([-3.0, 2.0])).gradient().tolist() == [-1.0, 4.0]
    numbers: Any = tg.where([True, False], np.array([1.0, 2.0]), 0.0)  # type: ignore[call-overload]  # a list
    assert numbers.tolist() == [1.0, 0.0]


REFUSED: Final[dict[str, tuple[Callable[[Any], Any], str, str]]] = {
    "a way of padding": (
        lambda x: np.pad(x, 1, "linear_ramp"),
        "pad at {} of a traced array takes no mode 'linear_ramp'",
        "write one of edge, reflect, symmetric, wrap, or put parts together with concat",
    ),
    "several constants": (
        lambda x: np.pad(x, 1, constant_values=((0, 0), (3, 4))),
        "pad at {} of a traced array takes one number as constant_values",
        "put parts together with concat",
    ),
    "an order of the memory": (
        lambda x: np.ravel(x, "A"),
        "reshape at {} of a traced array in order 'A'",
        "write C or F",
    ),
    "another spelling": (
        lambda x: np.einsum(x, [0, 1], [0]),
        "einsum at {} takes letters first",
        "write einsum('ij,j->i', x, y)",
    ),
    "no diagonal": (
        lambda x: np.einsum("ii", x),
        "einsum at {}",
        "'ii' does not fit the shapes [(2, 3)]",
    ),
    "no matrix": (
        lambda x: x @ 2.0,
        "@ at {} is given shapes (2, 3) and ()",
        "@ takes arrays: write * for a number",
    ),
    "letters of two lengths": (
        lambda x: np.einsum("ij,jk->ik", x, np.ones((5, 2))),
        "einsum at {}",
        "'ij,jk->ik' does not fit the shapes [(2, 3), (5, 2)]",
    ),
    "heights for no places": (
        lambda x: np.interp(x, [0.0, 1.0], [1.0, 2.0, 3.0]),
        "interp at {} takes as many heights as places, not (3,) for (2,)",
        "",
    ),
    "a share beyond 1": (
        lambda x: np.quantile(x, 1.5),
        "quantile at {} takes a share from 0 to 1 of one number at least, not 1.5 of 6",
        "",
    ),
    "a middle of nothing": (
        lambda x: np.median(x[:0]),
        "quantile at {} takes a share from 0 to 1 of one number at least, not 0.5 of 0",
        "",
    ),
    "too many": (
        lambda x: np.linalg.pinv(x, 1e-3),
        "numpy.linalg.pinv at {} of a traced array takes no rcond",
        "leave it out",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_taken_is_refused_in_one_sentence(what: str) -> None:
    """Arguments that numpy takes and we do not are named, with the user's line."""
    f, message, remedy = REFUSED[what]
    with pytest.raises((errors.TracedNumberError, errors.InputError)) as caught:
        tg.grad(lambda x: tnp.sum(f(x)))(X)
    line = f.__code__.co_firstlineno  # of a lambda
    said = message.format(f"test_numpy_meanings.py:{line}")
    assert str(caught.value) == (f"{said}: {remedy}" if remedy else said)


def test_a_condition_of_arrays_is_no_result() -> None:
    """The error says what to return in its place."""

    def f(x: Any) -> Any:
        return x.sum(), x > 1.0

    with pytest.raises(errors.OutputError) as caught:
        tg.value_and_grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert str(caught.value).endswith("): return tapegrad.where(c, 1.0, 0.0)")


def test_a_row_of_any_number_of_operands_takes_one() -> None:
    """Arrays put together with nothing else pass their slopes on, on every road."""

    def f(x: Any) -> Any:
        parts = np.concatenate([x]), np.stack([x])[0], np.hstack([x]), tnp.asarray([[x[0]]])[0]
        return sum(((number + 1.0) * part[:1] ** 2).sum() for number, part in enumerate(parts))

    x = np.array([3.0, 5.0])
    assert tg.grad(f)(x).tolist() == [60.0, 0.0]
    tape = tg.record(f)(x)
    assert tape.gradient().tolist() == [60.0, 0.0]
    assert tape.expanded().value == tg.jit(f, eager_first=False)(x) == f(x) == 90.0
    rows = tg.vmap(lambda m: (tnp.asarray(m) @ tnp.asarray(m))[0, 0])(np.ones((2, 1, 1)))
    assert rows.tolist() == [1.0, 1.0]


def test_the_determinant_of_no_numbers() -> None:
    """An empty matrix has the determinant 1, and an empty gradient."""

    def f(x: Any) -> Any:
        return np.linalg.det(x) + 1.0

    found = tg.value_and_grad(f)(np.zeros((0, 0)))
    assert found.value == 2.0
    assert found.grad.shape == (0, 0)
