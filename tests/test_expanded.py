"""Tapes with arrays taken apart into numbers, and rows of a batch that use arrays inside."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.ops.array_table import ARRAY_TABLE
from tapegrad.ops.matrix_expansions import EXPANSIONS

RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(3, 4)), RNG.normal(size=4)


def square(p: Any) -> Any:
    return p["w"] @ p["w"].T


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda p: (np.tanh(p["w"]) * p["b"] + np.exp(p["b"]) / 2.0).sum(),
    "shapes": lambda p: (p["w"].T.reshape(2, 6) * 2.0)[1:, ::2].sum(),
    "products": lambda p: (p["w"] @ p["b"]).sum() + (p["b"] @ p["w"].T)[0] + p["b"] @ p["b"],
    "stacks of products": lambda p: (p["w"].reshape(3, 2, 2) @ p["w"].reshape(3, 2, 2)).sum(),
    "along axes": lambda p: (p["w"].sum(axis=0) * p["w"].mean(axis=0, keepdims=True)).sum(),
    "extremes": lambda p: p["w"].max(axis=1).sum() * p["w"].min(),
    "running sums": lambda p: (p["b"].cumsum() * p["w"].cumsum(1)).sum(),
    "parts": lambda p: p["b"][np.array([0, 0, 3])].sum() * p["w"][1, 2] + p["w"][0].sum(),
    "choices": lambda p: tnp.where(p["w"] > 0.0, np.sqrt(abs(p["w"])), p["w"] * p["b"]).sum(),
    "joined": lambda p: (tnp.concat([p["b"], p["w"][0]]) * tnp.stack([p["b"][0]] * 8)).sum(),
    "guards": lambda p: p["b"].sum() if (p["w"] > -9.0).all() else p["w"].sum(),
    "order": lambda p: (tnp.sort(p["b"]) * p["w"][0]).sum() + tnp.sort(p["w"], axis=0)[1].sum(),
    "places": lambda p: p["b"][tnp.argmax(p["w"], axis=1)].sum() * tnp.norm(p["w"]),
    "interpolated": lambda p: tnp.interp(p["b"], np.array([-9.0, 0.0, 9.0]), p["w"][:, 0]).sum(),
    "solutions": lambda p: tnp.linalg.solve(square(p) + np.eye(3), p["w"][:, :2])[0, 1] ** 2,
    "triangles": lambda p: (
        tnp.linalg.solve_triangular(p["w"][:, :3], p["b"][:3], trans=1, lower=True).sum()
        + tnp.linalg.solve_triangular(p["w"][:, 1:], p["w"], unit_diagonal=True)[0, 1] ** 2
    ),
    "inverses": lambda p: tnp.linalg.inv(square(p) + np.eye(3)).sum() * p["b"][0],
    "determinants": lambda p: tnp.linalg.det(p["w"][:, :3]) * tnp.linalg.det(p["w"][:, 1:]),
    "singular": lambda p: tnp.linalg.det(tnp.outer(p["b"][:2], p["b"][1:3])) * p["w"][0, 0],
    "logarithms": lambda p: tnp.linalg.slogdet(p["w"][:, 1:])[1] * p["b"][1],
    "factors": lambda p: (tnp.linalg.cholesky(square(p) + np.eye(3)) * p["w"][:, :3]).sum(),
    "einsum": lambda p: tnp.einsum("ij,j,kj->", p["w"], p["b"], p["w"]),
    "one letter twice": lambda p: tnp.einsum("ii,i->", p["w"][:, :3], p["b"][1:]),
    "convolution": lambda p: (
        (tnp.convolve(p["b"], p["w"][0, :2]) ** 2).sum()
        + tnp.convolve(p["w"][1], p["b"][:3], "valid").sum()
    ),
    "truths": lambda p: tnp.where((p["w"] > 0.0) & ~(p["b"] > 0.0), p["w"], 1.0).sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_expanded_programs_compute_the_same(name: str) -> None:
    """Value, gradient and replay agree but for rounding, as do those of the recorded gradient."""
    f, p, q = PROGRAMS[name], {"w": W, "b": B}, {"w": W + 0.25, "b": 0.5 * B}
    tape = tg.record(f)(p)
    numbers = tape.expanded()
    assert not numbers.on_arrays
    assert numbers.paths[0] == "w[0, 0]"
    assert numbers.paths[-1] == "b[3]"
    assert_allclose(numbers.value, tape.value, rtol=1e-14)
    for found in (numbers, tg.record(f)(q).expanded().replay(p)):
        gradient, right = found.gradient(), tg.grad(f)(p)
        assert_allclose(gradient["w"], right["w"], rtol=1e-12, atol=1e-14)
        assert_allclose(gradient["b"], right["b"], rtol=1e-12, atol=1e-14)
    recorded = tg.record(tg.grad(f))(p)
    assert_allclose(recorded.expanded().value["w"], recorded.value["w"], rtol=1e-12, atol=1e-14)


def test_every_row_of_arrays_has_an_expansion() -> None:
    """But for factors that are found step by step."""
    without = {row.name for row in ARRAY_TABLE.rows if row.array and row not in EXPANSIONS}
    assert without == {"pinv", "qr", "eigh", "svd"}


def test_a_factor_without_an_expansion_is_named() -> None:
    """In a batch, too, with what to do instead."""

    def f(rows: Any) -> Any:
        return tnp.linalg.svdvals(tnp.asarray(rows))[0]

    matrices = np.ones((2, 3, 3))
    with pytest.raises(errors.TapeError) as caught:
        tg.vmap(f)(matrices)
    assert re.fullmatch(
        r"svd \(test_expanded\.py:\d+\) has no expansion into numbers, which rows of vmap and "
        r"expanded\(\) need: call the function row by row, or leave it out",
        str(caught.value),
    )


def test_rows_of_a_batch_have_matrices_of_their_own() -> None:
    """Each is a row's own; one without an inverse has nan, and its neighbours have theirs."""
    matrices = np.stack(
        [W[:, :3], np.diag([0.0, 2.0, 4.0]), np.outer(B[:3], B[:3]), np.zeros((3, 3))]
    )

    def f(rows: Any) -> Any:
        return tnp.linalg.det(tnp.asarray(rows))

    def g(rows: Any) -> Any:
        return tnp.linalg.solve(tnp.asarray(rows), np.ones(3))[0]

    found: Any = tg.vmap(tg.value_and_grad(f))(matrices)
    inverses: Any = tg.vmap(g)(matrices)
    for row, matrix in enumerate(matrices):
        value, slope = tg.value_and_grad(f)(matrix)
        assert_allclose(found.value[row], value, rtol=1e-12, atol=1e-15)
        assert_allclose(np.array(found.grad.row(row)), slope, rtol=1e-12, atol=1e-14)
    assert_allclose(inverses[0], g(W[:, :3]), rtol=1e-12)
    assert np.isnan(inverses[[1, 3]]).all()


def test_a_pattern_of_derivatives_is_that_of_the_elements() -> None:
    """An expanded tape says which element depends on which."""
    tape = tg.record(lambda x: x[1:] * x[:-1])(np.ones(4)).expanded()
    pattern = tape.jacobian_sparsity()
    assert sorted(zip(pattern.rows, pattern.columns, strict=True)) == [
        (0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3),
    ]  # fmt: skip


class TestRows:
    """A row of a batch may compute with arrays, and share one with the others."""

    X = RNG.normal(size=(5, 4))

    @staticmethod
    def model(x: Any, w: Any) -> Any:
        return np.tanh(w * np.array(x)).sum() + w[0] * x[1]

    @pytest.mark.parametrize("backend", ["llvm", "numpy"])
    def test_an_array_inside_a_row(self, backend: Any) -> None:
        """As the row by itself."""

        def f(x: Any) -> Any:
            return (np.array([1.0, 2.0]) * x[0]).sum() * x[1]

        found = tg.vmap(tg.value_and_grad(f), backend=backend)(self.X)
        for at, row in enumerate(self.X.tolist()):
            value, slopes = tg.value_and_grad(f)(tuple(row))
            assert_allclose(found.value[at], value, rtol=1e-14)
            assert_allclose(found.grad.row(at), slopes, rtol=1e-13)

    def test_an_array_that_rows_share(self) -> None:
        """It is differentiated where it stands first."""

        def turned(w: Any, x: Any) -> Any:
            return self.model(x, w)

        found = tg.vmap(tg.value_and_grad(turned), in_axes=(None, 0))(B, self.X)
        for at, row in enumerate(self.X.tolist()):
            value, slopes = tg.value_and_grad(turned)(B, tuple(row))
            assert_allclose(found.value[at], value, rtol=1e-13)
            assert_allclose(found.grad.row(at), slopes, rtol=1e-12)

    def test_results_that_are_arrays(self) -> None:
        """A row of them is an array again."""
        found = tg.vmap(lambda x: np.array([2.0, 3.0]) * x[0])(self.X)
        assert_array_equal(found.row(2), np.array([2.0, 3.0]) * self.X[2, 0])
        assert_array_equal(np.asarray(found.array())[:, 1], 3.0 * self.X[:, 0])
