"""``vmap`` inside a differentiated or recorded function: as the loop over the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tapegrad as tg
from tapegrad import errors, math

X = np.random.default_rng(0).normal(size=(7, 2))


def branchy(a: Any, x: Any) -> Any:
    return a["k"] * x[0] if x[1] > 0.0 else math.sin(a["k"]) * x[1] ** 2 + a["m"]


def stepped(a: Any, x: Any) -> Any:
    return a["k"] * x[0] + a["m"] * int(3.0 * x[1])


def with_arrays(a: Any, x: Any) -> Any:
    return (np.exp(np.array([1.0, 2.0]) * x[0]) * a["k"]).sum() + a["m"]


MODELS = {"branches": branchy, "whole numbers": stepped, "arrays": with_arrays}
A = {"k": 1.5, "m": -0.25}


@pytest.mark.parametrize("name", MODELS)
class TestSums:
    def test_a_gradient_through_a_batch_is_that_of_the_loop(self, name: str) -> None:
        """With the parameters as an argument, and read from around."""
        f = MODELS[name]

        def loop(a: Any) -> Any:
            return math.sum([f(a, tuple(x)) for x in X.tolist()])

        def batch(a: Any) -> Any:
            return tg.vmap(f, in_axes=(None, 0), reduce="sum")(a, X)

        def around(a: Any) -> Any:
            return tg.vmap(lambda x: f(a, x), reduce="mean")(X) * float(len(X))

        right = tg.grad(loop)(A)
        for found in (tg.grad(batch)(A), tg.grad(around)(A)):
            assert found == {key: pytest.approx(slope, rel=1e-13) for key, slope in right.items()}
        assert tg.jvp(batch, A, A)[1] == pytest.approx(tg.jvp(loop, A, A)[1], rel=1e-13)

    def test_gradients_of_rows_inside(self, name: str) -> None:
        """A loss may be made of the rows' own gradients."""
        f = MODELS[name]

        def loop(a: Any) -> Any:
            return math.sum([tg.grad(f)(a, tuple(x))["k"] ** 2 for x in X.tolist()])

        def batch(a: Any) -> Any:
            slopes = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0))(a, X).grad
            return (slopes.column("k") ** 2).sum()

        right = tg.grad(loop)(A)
        found = tg.grad(batch)(A)
        assert found == {key: pytest.approx(slope, rel=1e-13) for key, slope in right.items()}


def test_rows_that_are_traced() -> None:
    """A list of traced numbers, or a traced array, has a number for each row."""

    def mean(xs: Any) -> Any:
        return tg.vmap(lambda x: x * x if x > 0.0 else -x, reduce="mean")(xs)

    right = [2.0 / 3.0, -1.0 / 3.0, 2.0]
    assert tg.grad(mean)([1.0, -2.0, 3.0]) == pytest.approx(right)
    assert_allclose(tg.grad(mean)(np.array([1.0, -2.0, 3.0])), right)


def test_a_tape_notices_rows_on_other_paths() -> None:
    """The comparisons of rows are guards of the recording."""

    def total(xs: Any) -> Any:
        return tg.vmap(lambda x: x * x if x > 0.0 else -x, reduce="sum")(xs)

    tape = tg.record(total)(np.array([1.0, -2.0]))
    assert tape.replay(np.array([3.0, -1.0])).value == 10.0
    with pytest.raises(errors.GuardError):
        tape.replay(np.array([3.0, 1.0]))


def test_an_operation_is_one_entry_for_all_rows() -> None:
    """A thousand rows make no longer a tape than two."""

    def total(a: Any, rows: Any) -> Any:
        return tg.vmap(lambda a, x: math.exp(a * x), in_axes=(None, 0), reduce="sum")(a, rows)

    lengths = {len(tg.record(total)(0.5, np.linspace(0.0, 1.0, n))) for n in (2, 1_000)}
    assert len(lengths) == 1


def test_a_batch_in_a_row() -> None:
    """A row may be a batch itself."""

    def scaled(row: Any) -> Any:
        return tg.vmap(lambda x: x * row[0], reduce="sum")(row)

    assert_allclose(tg.vmap(scaled)(X), (X * X[:, :1]).sum(axis=1), rtol=1e-14)
    slopes = tg.vmap(tg.grad(scaled))(X)
    assert_allclose(np.asarray(slopes.array()), np.stack([2 * X[:, 0] + X[:, 1], X[:, 0]]).T)


def test_means_with_standard_errors() -> None:
    """Both have derivatives."""

    def spread(a: Any) -> Any:
        return tg.vmap(lambda x: a * x[0], reduce="mean", stderr=True)(X).stderr

    assert tg.value_and_grad(spread)(1.0).value == pytest.approx(tg.grad(spread)(2.0))
    plain = tg.vmap(lambda x: 1.0 * x[0], reduce="mean", stderr=True)(X)
    assert tg.value_and_grad(spread)(1.0).value == pytest.approx(plain.stderr)


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_rows_that_may_not_leave_the_path(reduce: Any) -> None:
    """They are nan and do not count, or an error, as outside of a recording."""
    rows, a = np.array([1.0, -2.0, 3.0, -4.0]), 2.0

    def f(a: Any, x: Any) -> Any:
        return a * x if x > 0.0 else -x

    masked = tg.vmap(f, in_axes=(None, 0), reduce=reduce, on_branch="mask")
    assert_array_equal(tg.jvp(lambda a: masked(a, rows), a, 1.0)[0], masked(a, rows))
    strict = tg.vmap(f, in_axes=(None, 0), reduce=reduce, on_branch="raise")
    with pytest.raises(errors.GuardError, match="row 1 of f"):
        tg.jvp(lambda a: strict(a, rows), a, 1.0)


def test_rows_with_texts_beside_their_numbers() -> None:
    """Rows with other static values are recorded by themselves, traced ones as well."""
    kinds = ["call", "put", "call", "put"]

    def f(a: Any, kind: str, x: Any) -> Any:
        return a * x if kind == "call" else a * a + x

    batch = tg.vmap(f, in_axes=(None, 0, 0))
    rows = np.array([1.0, 2.0, 3.0, 4.0])
    assert_array_equal(tg.jvp(lambda a: batch(a, kinds, rows), 2.0, 1.0)[1], [1.0, 4.0, 3.0, 4.0])
    slopes = tg.grad(lambda xs: batch(2.0, kinds, xs).sum())(rows)
    assert_array_equal(slopes, [2.0, 1.0, 2.0, 1.0])


def test_a_callback_is_refused() -> None:
    """There are no blocks of rows inside a recording."""

    def f(a: Any) -> Any:
        run: Callable[[Any], Any] = tg.vmap(
            lambda x: a * x[0], reduce="sum", callback=lambda progress: None
        )
        return run(X)

    with pytest.raises(errors.InputError, match="with a callback"):
        tg.grad(f)(1.0)


def test_columns_inside_are_traced_arrays() -> None:
    """They are used like any other."""

    def f(a: Any) -> Any:
        columns = tg.vmap(lambda x: {"u": a * x[0], "v": x[1]})(X)
        return (columns.column("u") * columns.array()[:, 1]).sum()

    assert_array_equal(tg.grad(f)(1.0), (X[:, 0] * X[:, 1]).sum())
