"""Linear algebra: numpy's values, and derivatives by differences to the second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import mpmath  # type: ignore[import-untyped,unused-ignore]  # mpmath ships no annotations
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.ops.matrix_rows import MATRIX_ROWS

Array: TypeAlias = NDArray[np.float64]
la = tnp.linalg
windows_of = np.lib.stride_tricks.sliding_window_view

RNG = np.random.default_rng(7)
A = RNG.normal(size=(3, 3)) + 2.0 * np.eye(3)
P = A @ A.T
TALL, B = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2))
SOME = RNG.normal(size=3)
STACK = np.diag([4.0, 2.0, 1.0]) + 0.3 * RNG.normal(size=(2, 3, 3))

PROGRAMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Array]] = {
    "solve": (lambda x: la.solve(x, B), lambda x: np.linalg.solve(x, B), A),
    "solve right": (lambda x: la.solve(A, x * x), lambda x: np.linalg.solve(A, x * x), B),
    "solve vector": (lambda x: la.solve(x, x[0]), lambda x: np.linalg.solve(x, x[0]), A),
    "solve stack": (lambda x: la.solve(x, B), lambda x: np.linalg.solve(x, B), STACK),
    "solve stack vector": (lambda x: la.solve(x, SOME), lambda x: np.linalg.solve(x, SOME), STACK),
    "triangular": (lambda x: la.solve_triangular(x, B, lower=True),
      lambda x: np.linalg.solve(np.tril(x), B), A),
    "triangular upper": (lambda x: la.solve_triangular(x, x[0]),
      lambda x: np.linalg.solve(np.triu(x), x[0]), A),
    "triangular turned": (lambda x: la.solve_triangular(x, x[:, :2], trans="T", lower=True),
      lambda x: np.linalg.solve(np.tril(x).T, x[:, :2]), A),
    "triangular vector": (lambda x: la.solve_triangular(x, x[0], trans=1),
      lambda x: np.linalg.solve(np.triu(x).T, x[0]), A),
    "triangular unit": (lambda x: la.solve_triangular(x, x[0] @ B, lower=True, unit_diagonal=True),
      lambda x: np.linalg.solve(np.tril(x, -1) + np.eye(3), x[0] @ B), STACK),
    "triangular stack": (lambda x: la.solve_triangular(x, SOME, trans=1, unit_diagonal=True),
      lambda x: np.linalg.solve(np.triu(x, 1).swapaxes(-2, -1) + np.eye(3), SOME), STACK),
    "triangular stack of right sides": (lambda x: la.solve_triangular(A, x),
      lambda x: np.linalg.solve(np.triu(A), x), STACK),
    "least squares": (lambda x: la.lstsq(x, x[:, :2] ** 2 + 1.0).x,
      lambda x: np.linalg.lstsq(x, x[:, :2] ** 2 + 1.0)[0], TALL),
    "residuals": (lambda x: la.lstsq(x[:, 1:], x[:, 0]).residuals,
      lambda x: np.linalg.lstsq(x[:, 1:], x[:, 0])[1], TALL),
    "least squares right": (lambda x: la.lstsq(TALL, x).x * la.lstsq(TALL, x).s,
      lambda x: np.linalg.lstsq(TALL, x)[0] * np.linalg.lstsq(TALL, x)[3], TALL[:, 1] + 1.0),
    "shortest solution": (lambda x: la.lstsq(x, x[:, 0] + 1.0).x * la.lstsq(x, SOME).s[1],
      lambda x: np.linalg.lstsq(x, x[:, 0] + 1.0)[0] * np.linalg.lstsq(x, SOME)[3][1],
      TALL.T.copy()),
    "inv": (la.inv, np.linalg.inv, STACK),
    "pinv": (la.pinv, np.linalg.pinv, TALL),
    "pinv wide": (la.pinv, np.linalg.pinv, TALL.T.copy()),
    "det": (la.det, np.linalg.det, A),
    "det stack": (la.det, np.linalg.det, STACK),
    "slogdet": (lambda x: la.slogdet(x).logabsdet, lambda x: np.linalg.slogdet(x)[1], STACK),
    "cholesky": (la.cholesky, np.linalg.cholesky, P),
    "cholesky stack": (la.cholesky, np.linalg.cholesky, np.stack([P, 2.0 * P])),
    "eigenvalues": (lambda x: la.eigh(x)[0], lambda x: np.linalg.eigh(x)[0], P),
    "eigenvectors": (lambda x: la.eigh(x)[1],
      lambda x: np.linalg.eigh(x)[1], np.stack([P, 2.0 * P])),
    "q": (lambda x: la.qr(x)[0], lambda x: np.linalg.qr(x)[0], TALL),
    "r": (lambda x: la.qr(x)[1], lambda x: np.linalg.qr(x)[1], STACK),
    "qr wide": (lambda x: la.qr(x)[1], lambda x: np.linalg.qr(x)[1], TALL.T.copy()),
    "u": (lambda x: la.svd(x, full_matrices=False)[0],
      lambda x: np.linalg.svd(x, full_matrices=False)[0], TALL),
    "vh": (lambda x: la.svd(x, full_matrices=False)[2],
      lambda x: np.linalg.svd(x, full_matrices=False)[2], TALL.T.copy()),
    "svd square": (lambda x: la.svd(x)[0] @ la.svd(x)[2],
      lambda x: np.linalg.svd(x)[0] @ np.linalg.svd(x)[2], STACK),
    "svdvals": (la.svdvals, lambda x: np.linalg.svd(x, compute_uv=False), STACK),
    "power": (lambda x: la.matrix_power(x, 5), lambda x: np.linalg.matrix_power(x, 5), A),
    "power below": (lambda x: la.matrix_power(x, -2), lambda x: np.linalg.matrix_power(x, -2), A),
    "cross": (lambda x: la.cross(x, SOME), lambda x: np.cross(x, SOME), A),
    "trace": (lambda x: la.trace(x) * la.diagonal(x, offset=1).sum(),
      lambda x: np.trace(x) * np.diagonal(x, 1).sum(), A),
    "fro": (la.matrix_norm, np.linalg.norm, A),
    "nuc": (lambda x: la.matrix_norm(x, ord="nuc"), lambda x: np.linalg.norm(x, "nuc"), A),
    "one": (lambda x: la.matrix_norm(x, ord=1) * la.matrix_norm(x, ord=2),
      lambda x: np.linalg.norm(x, 1) * np.linalg.norm(x, 2), A),
    "vector norm": (lambda x: la.vector_norm(x, axis=0, ord=3),
      lambda x: np.linalg.norm(x, 3, axis=0), A),
    "tensordot": (lambda x: tnp.tensordot(x, STACK, ((1, 0), (2, 1))),
      lambda x: np.tensordot(x, STACK, ((1, 0), (2, 1))), A),
    "vecdot": (lambda x: la.vecdot(x, SOME), lambda x: np.vecdot(x, SOME), A),
    "kron": (lambda x: tnp.kron(x, B * x[0, 0]), lambda x: np.kron(x, B * x[0, 0]), A),
    "einsum": (lambda x: tnp.einsum("ij,jk,lk->il", x, B, x[:, :2]),
      lambda x: np.einsum("ij,jk,lk->il", x, B, x[:, :2]), A),
    "windows": (lambda x: tnp.sliding_window_view(x, (2, 2)) ** 2,
      lambda x: windows_of(x, (2, 2)) ** 2, A),
    "convolve": (lambda x: tnp.convolve(x, x[:2]), lambda x: np.convolve(x, x[:2]), SOME),
}  # fmt: skip
"""Each function, numpy's own, and a point."""


def weighted(f: Callable[[Any], Any], x: Array) -> Callable[[Any], Any]:
    """The sum of all numbers that a function gives, each with a weight of its own."""
    weights = np.random.default_rng(3).normal(size=np.shape(f(x)))
    return lambda x: tnp.sum(f(x) * weights)


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_numpy_s_and_derivatives_are_right(name: str) -> None:
    """First and second against differences; forward, and forward over reverse, with reverse."""
    f, theirs, x = PROGRAMS[name]
    assert_allclose(f(x), theirs(x), rtol=1e-13, atol=1e-14)
    loss = weighted(f, x)
    v = np.random.default_rng(4).normal(size=x.shape)
    slope = tg.grad(loss)(x)
    wanted = (loss(x + 1e-5 * v) - loss(x - 1e-5 * v)) / 2e-5
    assert_allclose((slope * v).sum(), wanted, rtol=1e-7, atol=1e-8)
    assert_allclose(tg.jvp(loss, x, v)[1], (slope * v).sum(), rtol=1e-12, atol=1e-12)
    curve = tg.hvp(loss, x, v)
    wanted = (tg.grad(loss)(x + 1e-5 * v) - tg.grad(loss)(x - 1e-5 * v)) / 2e-5
    scale = abs(wanted).max() + 1.0
    assert_allclose(curve, wanted, rtol=0.0, atol=1e-7 * scale)
    over = tg.grad(lambda x: (tg.grad(loss)(x) * v).sum())(x)
    assert_allclose(over, curve, rtol=0.0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", PROGRAMS)
def test_recorded_gradients_have_the_bits_of_eager_ones(name: str) -> None:
    """So has a tape's own, a replay there, and one elsewhere."""
    f, _, x = PROGRAMS[name]
    loss = weighted(f, x)
    eager, tape = tg.grad(loss)(x), tg.record(tg.grad(loss))(x)
    other = x + 0.01
    assert_array_equal(tape.value, eager)
    assert_array_equal(tg.record(loss)(x).gradient(), eager)
    assert_array_equal(tape.replay(other).value, tg.grad(loss)(other))
    assert_array_equal(tape.replay(other).replay(x).value, eager)


def test_every_row_of_linear_algebra_is_in_a_program() -> None:
    """A row without a test here fails this one."""
    used: set[str] = set()
    for f, _, x in PROGRAMS.values():
        tape = tg.record(tg.grad(weighted(f, x)))(x)
        used |= {node.primitive.name for node in tape if isinstance(node, tg.Apply)}
    assert {row.name for row in MATRIX_ROWS} <= used


def test_numpy_s_own_functions_take_traced_matrices() -> None:
    """They record what ours do."""

    def theirs(x: Any) -> Any:
        sign, log = np.linalg.slogdet(x)
        w, v = np.linalg.eigh(x)
        u, s, vh = np.linalg.svd(x)
        q, r = np.linalg.qr(x)
        parts = [np.linalg.inv(x), np.linalg.cholesky(x), np.linalg.pinv(x), u @ vh, q @ r, v]
        total = sign * log + np.linalg.det(x) + np.sum(w * s) + np.linalg.norm(x)
        parts += [np.linalg.solve(x, x), np.linalg.matrix_power(x, 2), np.einsum("ij,jk", x, x)]
        parts += [np.tensordot(x, x, 1), np.outer(x[0], x[0])]
        return total + sum(np.sum(part * part) for part in parts) + np.trace(x)

    found = tg.grad(theirs)(P)
    v = np.ones((3, 3)) * 1e-6
    assert_allclose(found.sum(), (theirs(P + v) - theirs(P - v)) / 2e-6, rtol=1e-6)


# Where there is no result, or no slope.


def test_where_there_is_no_result_it_is_nan() -> None:
    """For this matrix of a stack alone, and without an error, as for numbers."""
    both = np.stack([np.zeros((2, 2)), np.eye(2)])
    for found in (la.inv(both), la.solve(both, np.ones((2, 2)))):
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()
    assert np.isnan(la.cholesky(-both)[1]).all()
    assert np.isnan(la.solve(both[0], np.ones(2))).all()
    assert np.isnan(la.svdvals(both * np.nan)).all()
    assert np.isnan(la.lstsq(both[1] * np.nan, np.ones(2)).x).all()
    for size in (2, 80):
        triangles = np.stack([np.tri(size), np.tri(size)])
        triangles[0, 1, 1] = 0.0
        solved = la.solve_triangular(triangles, np.ones((size, 3)), lower=True)
        assert np.isnan(solved[0]).all()
        assert_array_equal(solved[1], np.eye(size)[:, :1] * np.ones(3))
    assert np.isnan(tg.grad(lambda x: la.inv(x).sum())(both)[0]).all()


# Triangles.


def solved_exactly(t: Array, b: Array) -> Array:
    """The solution with 50 digits."""
    with mpmath.workdps(50):
        found = mpmath.lu_solve(mpmath.matrix(t.tolist()), mpmath.matrix(b.tolist()))
        return np.array([float(x) for x in found])


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit_diagonal", [False, True])
def test_triangles_are_solved_exactly_but_for_the_rounding_of_sums(
    trans: Any, lower: bool, unit_diagonal: bool
) -> None:
    """Whatever stands in what is not read; in the norm that N. Higham's theorem 8.5 bounds."""
    n = 12
    a = np.random.default_rng(11).normal(size=(n, n)) ** 3
    read = np.tri(n, k=-int(unit_diagonal), dtype=np.bool_)
    read = read if lower else read.T
    t = np.where(read, a, np.eye(n) * unit_diagonal)
    t, b = (t.T if trans else t), np.random.default_rng(12).normal(size=n)
    with_nan = np.where(read, a, np.nan)
    found = la.solve_triangular(with_nan, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal)
    x = solved_exactly(t, b)
    backward = abs(np.linalg.inv(t)) @ (abs(t) @ abs(x))
    assert (abs(found - x) <= (n + 1) * np.finfo(float).eps * backward).all()


@pytest.mark.parametrize("lower", [False, True])
def test_large_triangles_are_solved_by_parts(lower: bool) -> None:
    """As a whole, for stacks and vectors, and whatever the order in memory."""
    rng = np.random.default_rng(13)
    a = rng.normal(size=(2, 150, 150)) + 30.0 * np.eye(150)
    t = np.tril(a) if lower else np.triu(a)
    for b in (rng.normal(size=150), rng.normal(size=(150, 3)), rng.normal(size=(2, 150, 2))):
        found = la.solve_triangular(a, b, lower=lower)
        assert_allclose(found, la.solve(t, b), rtol=1e-12, atol=1e-15)
        turned = np.asfortranarray(a)
        assert_array_equal(la.solve_triangular(turned, b, lower=lower), found)


def test_triangles_of_a_factor_solve_what_the_whole_does() -> None:
    """Values, slopes and curvatures, of both sides; so do those of least squares."""

    def whole(x: Any) -> Any:
        return tnp.sum(la.solve(x @ tnp.matrix_transpose(x), x[:, :2]) ** 2)

    def by_factor(x: Any) -> Any:
        lower = la.cholesky(x @ tnp.matrix_transpose(x))
        half = la.solve_triangular(lower, x[:, :2], lower=True)
        return tnp.sum(la.solve_triangular(lower, half, trans="T", lower=True) ** 2)

    def by_squares(x: Any) -> Any:
        return tnp.sum(la.lstsq(x @ tnp.matrix_transpose(x), x[:, :2]).x ** 2)

    v = np.random.default_rng(6).normal(size=A.shape)
    for f in (by_factor, by_squares):
        assert_allclose(f(A), whole(A), rtol=1e-12)
        assert_allclose(tg.grad(f)(A), tg.grad(whole)(A), rtol=1e-11)
        wanted = tg.hvp(whole, A, v)
        assert_allclose(tg.hvp(f, A, v), wanted, rtol=0.0, atol=1e-11 * abs(wanted).max())


def test_least_squares_need_full_rank() -> None:
    """Anything else is refused; a tape asks again by a guard."""
    bad = np.column_stack([TALL, TALL[:, 0] - TALL[:, 1]])
    said = (
        r"^lstsq at .*test_matrices\.py:\d+ is given a {} matrix of a rank below {}, whose "
        r"solution has no slope: leave out rows or columns that others add up to$"
    )

    def shortest(x: Any, b: Any = SOME) -> Any:
        return tnp.sum(la.lstsq(x, b).x)

    with pytest.raises(errors.InputError, match=said.format("4 x 4", 4)):
        tg.grad(shortest)(bad, bad[0])
    with pytest.raises(errors.InputError, match=said.format("3 x 4", 3)):
        shortest(np.ones((3, 4)))
    assert np.isfinite(shortest(np.diag([1.0, 1e-15, 1.0]), SOME + 0.0))
    with pytest.raises(errors.InputError, match=said.format("3 x 3", 3)):
        la.lstsq(np.diag([1.0, 1e-15, 1.0]), SOME, rcond=1e-14)
    with pytest.raises(errors.GuardError, match=r"test_matrices\.py"):
        tg.record(shortest)(A).replay(np.ones((3, 3)))


def test_a_singular_matrix_has_the_slope_of_its_determinant() -> None:
    """The cofactors are there, whatever the rank."""
    for diagonal in ([1.0, 2.0, 0.0], [1.0, 0.0, 0.0], [1.0, 2.0, 1e-20]):
        a = np.diag(diagonal)
        others = [np.prod(np.delete(diagonal, at)) for at in range(3)]
        assert_allclose(tg.grad(la.det)(a), np.diag(others), atol=1e-30)
    near = A.copy()
    near[2] = near[0] + near[1]
    exact = np.array([[np.linalg.det(np.delete(np.delete(near, i, 0), j, 1)) * (-1.0) ** (i + j)
                       for j in range(3)] for i in range(3)])  # fmt: skip
    assert_allclose(tg.grad(la.det)(near), exact, rtol=1e-12, atol=1e-13)


def test_eigenvalues_that_tie() -> None:
    """Sums over them have a slope; a vector of a tie has none, and is nan rather than a number."""
    assert_array_equal(tg.grad(lambda x: la.eigvalsh(x).sum())(np.eye(3)), np.eye(3))
    assert_array_equal(tg.grad(lambda x: la.svdvals(x).sum())(np.eye(3)), np.eye(3))
    assert np.isnan(tg.grad(lambda x: la.eigh(x)[1].sum())(np.eye(3))).any()
    root = tg.grad(lambda x: (la.eigh(x)[1] @ la.eigh(x)[1].mT).sum())(np.eye(3))
    assert np.isnan(root).any()


def test_derivatives_of_symmetric_functions_are_symmetric() -> None:
    """Whichever triangle a matrix differs in."""
    skew = P + np.triu(np.ones((3, 3)), 1)
    for f in (la.cholesky, la.eigvalsh):
        slope = tg.grad(weighted(f, P))(skew)
        assert_array_equal(slope, slope.T)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (la.inv, r"inv at .* takes square matrices, and is given the shape \(4, 3\)"),
        (lambda x: la.solve(x[:3], x), r"a right side of 3 rows, not of \(4, 3\)"),
        (
            lambda x: la.solve_triangular(x, x),
            r"solve_triangular at .* takes square matrices, and is given the shape \(4, 3\)",
        ),
        (
            lambda x: la.solve_triangular(x[:3], x[:3], trans=2),  # type: ignore[call-overload]  # by types, too
            r"takes trans=0 or 1, not 2",
        ),
        (
            lambda x: la.lstsq(x, x[0]),
            r"takes a matrix and a right side of as many rows, not \(4, 3\) and \(3,\)",
        ),
        (la.svd, r"4 x 3 matrices has no slope with full_matrices=True: write full_matrices=False"),
        (
            lambda x: la.qr(x, mode="complete"),  # type: ignore[call-overload]  # by types, too
            r'takes mode="reduced" alone, not \'complete\'',
        ),
        (lambda x: tnp.einsum("i->", x), r"'i->' does not fit the shapes \[\(4, 3\)\]"),
        (lambda x: tnp.tensordot(x, x, 1), r"of the shapes \(4, 3\) and \(4, 3\), whose lengths"),
        (lambda x: tnp.sliding_window_view(x, 4, 1), r"of 4 numbers does not fit an axis of 3"),
        (lambda x: tnp.convolve(x, x[0]), r"two vectors, not \(4, 3\) and \(3,\)"),
    ],
)
def test_what_does_not_fit(f: Callable[[Any], Any], words: str) -> None:
    """One sentence, with the shapes and the line."""
    with pytest.raises(errors.InputError, match=words):
        tg.grad(lambda x: tnp.sum(f(x)))(TALL)


# Sums of products.


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]),
        ("ii", [(3, 3)]), ("ii->i", [(3, 3)]), ("iij->j", [(3, 3, 2)]), ("ij->", [(2, 3)]),
        ("i,j->ij", [(2,), (3,)]), ("i,i", [(3,), (3,)]), ("ij,k->ik", [(2, 3), (4,)]),
        ("ij,kj->ik", [(2, 1), (3, 4)]), ("ij,kj->ik", [(2, 3), (4, 1)]),
        ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)]), ("...i,i", [(2, 4, 3), (3,)]),
        ("ij,ij->i", [(1, 3), (2, 3)]), ("bij,bjk,bkl->bil", [(2, 3, 2), (1, 2, 3), (2, 3, 2)]),
        ("i...->...", [(2, 3)]), ("ij,jj,jk->ik", [(2, 3), (3, 3), (3, 2)]),
    ],
)  # fmt: skip
def test_einstein_s_sums(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    """numpy's values, and slopes by differences, which are exact for what is linear in each."""
    arrays = [np.random.default_rng(at).normal(size=shape) for at, shape in enumerate(shapes)]

    def f(xs: Any) -> Any:
        found = tnp.einsum(subscripts, *xs)
        return tnp.sum(found * found)

    assert_allclose(tnp.einsum(subscripts, *arrays), np.einsum(subscripts, *arrays), rtol=1e-13)
    found = tg.grad(f)(arrays)
    for at, slope in enumerate(found):
        step = np.random.default_rng(9).normal(size=shapes[at]) * 1e-5
        moved = [
            [x + sign * step * (i == at) if i == at else x for i, x in enumerate(arrays)]
            for sign in (1, -1)
        ]
        assert_allclose((slope * step).sum(), (f(moved[0]) - f(moved[1])) / 2.0, rtol=1e-6)
    for got, want in zip(tg.record(tg.grad(f))(arrays).value, found, strict=True):
        assert_array_equal(got, want)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(6, 3), (3, 6), (5, 2), (4, 4), (5, 1)])
def test_convolutions_are_numpy_s(mode: Any, sizes: tuple[int, int]) -> None:
    """So are correlations; slopes in both vectors are those of differences."""
    rng = np.random.default_rng(5)
    given = {"x": rng.normal(size=sizes[0]), "y": rng.normal(size=sizes[1])}
    for ours, theirs in ((tnp.convolve, np.convolve), (tnp.correlate, np.correlate)):
        assert_allclose(
            ours(given["x"], given["y"], mode), theirs(given["x"], given["y"], mode), rtol=1e-13
        )

        def f(p: Any) -> Any:
            return (theirs(p["x"], p["y"], mode) ** 3).sum()  # noqa: B023  # called now

        slope = tg.grad(f)(given)
        for key in "xy":
            step = rng.normal(size=given[key].shape) * 1e-6
            plus, minus = ({**given, key: given[key] + sign * step} for sign in (1.0, -1.0))
            assert_allclose(
                (slope[key] * step).sum(), (f(plus) - f(minus)) / 2.0, rtol=1e-5, atol=1e-14
            )
