"""Models with array parameters as SciPy's solvers take them: one flat vector of all elements."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares, minimize

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = (X @ [1.0, -2.0, 0.5] + 0.3 * RNG.normal(size=40) > 0.0).astype(float)
TARGETS = np.sin(X[:, 0])
START = {"w": np.zeros(3), "b": 0.0}
NETWORK = {"a": RNG.normal(size=(3, 4)), "c": np.zeros(4), "b": RNG.normal(size=4)}


def logistic(p: Any, x: Any, y: Any) -> Any:
    z = x @ p["w"] + p["b"]
    return (tnp.softplus(z) - y * z).mean() + 0.01 * (p["w"] ** 2).sum()


def network(p: Any, x: Any, y: Any) -> Any:
    return np.tanh(x @ p["a"] + p["c"]) @ p["b"] - y


class TestObjective:
    o = tg.objective(logistic, START, X, LABELS)

    def test_unknowns_are_named_element_by_element(self) -> None:
        """A vector stands for arrays in the user's structure, and back."""
        assert self.o.names == ("w[0]", "w[1]", "w[2]", "b")
        found = self.o.unflatten([1.0, 2.0, 3.0, 4.0])
        assert_array_equal(found["w"], [1.0, 2.0, 3.0])
        assert type(found["b"]) is float
        assert_array_equal(self.o.flatten(found), [1.0, 2.0, 3.0, 4.0])

    def test_bounds_are_those_of_an_array_or_of_an_element(self) -> None:
        """The longer name wins."""
        limits = {"w": (0.0, None), "w[1]": (-1.0, 1.0)}
        inf = float("inf")
        wanted = [(0.0, inf), (-1.0, 1.0), (0.0, inf), (-inf, inf)]
        assert self.o.bounds(limits) == wanted
        with pytest.raises(errors.InputError, match=r"w\[1\]"):
            self.o.bounds({"w[7]": (0.0, 1.0)})

    def test_derivatives_are_those_of_the_model(self) -> None:
        """As one vector and one matrix."""
        x = np.array([0.1, -0.2, 0.3, 0.4])
        value, slopes = tg.value_and_grad(logistic)(self.o.unflatten(x), X, LABELS)
        assert self.o.fun(x) == value
        assert_array_equal(self.o.jac(x), [*slopes["w"], slopes["b"]])
        blocks: Any = tg.hessian(logistic)(self.o.unflatten(x), X, LABELS)
        matrix = self.o.hess(x)
        assert_allclose(np.asarray(matrix)[:3, :3], blocks["w"]["w"], rtol=1e-12)
        assert_allclose(np.asarray(matrix)[3, :3], blocks["b"]["w"], rtol=1e-12)
        v = np.array([1.0, 2.0, 3.0, 4.0])
        assert_allclose(self.o.hessp(x, v), np.asarray(matrix) @ v, rtol=1e-12)

    def test_a_logistic_regression_is_found(self) -> None:
        """By methods of first and of second order, with bounds too."""
        o = self.o
        newton = minimize(o.fun, o.x0, jac=o.jac, hess=o.hess, method="trust-exact", tol=1e-10)
        gradient = tg.grad(logistic)(o.unflatten(newton.x), X, LABELS)
        assert np.abs(gradient["w"]).max() < 1e-8
        inside = minimize(o.fun, o.x0, jac=o.jac, bounds=o.bounds({"w": (-0.5, 0.5)}))
        assert np.abs(o.unflatten(inside.x)["w"]).max() == 0.5

    def test_it_is_pickled_with_its_data(self) -> None:
        """And computes the same where it arrives."""
        sent = pickle.loads(pickle.dumps(self.o))  # noqa: S301  # our own
        assert sent.fun(self.o.x0) == self.o.fun(self.o.x0)

    def test_a_start_that_is_nan_is_named(self) -> None:
        """By element."""
        with pytest.raises(errors.InputError, match=r"the start is nan at w\[1\]"):
            tg.objective(logistic, {"w": np.array([0.0, np.nan, 0.0]), "b": 0.0}, X, LABELS)


class TestResiduals:
    axes = (None, None, None)

    def test_a_network_is_fitted(self) -> None:
        """What is found has the user's arrays."""
        r: Any = tg.residuals(network, NETWORK, X, TARGETS, in_axes=self.axes)
        assert r.names[:2] == ("a[0, 0]", "a[0, 1]")
        found = least_squares(r.fun, r.x0, jac=r.jac, max_nfev=12)
        assert found.cost < 0.01 * (r.fun(r.x0) ** 2).sum()
        assert {key: part.shape for key, part in r.unflatten(found.x).items()} == {
            "a": (3, 4), "c": (4,), "b": (4,),
        }  # fmt: skip

    def test_the_matrix_is_the_jacobian_by_block(self) -> None:
        """Dense and sparse; row by row it is the same."""
        r: Any = tg.residuals(network, NETWORK, X[:5], TARGETS[:5], in_axes=self.axes)
        blocks: Any = tg.jacobian(network)(NETWORK, X[:5], TARGETS[:5])["value"]
        wanted = np.hstack([blocks[path].reshape(5, -1) for path in NETWORK])
        assert_allclose(r.jac(r.x0), wanted, rtol=1e-12, atol=1e-15)
        assert_array_equal(r.jac_sparse(r.x0).toarray(), r.jac(r.x0))

        def row(p: Any, x: Any, y: Any) -> Any:
            return network(p, np.array(x), y)

        by_row: Any = tg.residuals(row, NETWORK, X[:5], TARGETS[:5])
        assert_allclose(by_row.fun(r.x0), r.fun(r.x0), rtol=1e-12)
        assert_allclose(by_row.jac(r.x0), wanted, rtol=1e-12, atol=1e-15)
