"""The rows of linear algebra, each with the transpose of its derivative and the derivative itself.

They take matrices and stacks of matrices, which are the last two axes. Several results of one
decomposition are one array, of which ``getitem`` gives the parts, so that it is computed once.

The rules are those of M. Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), and of the papers that are named at each. In them T is the
transpose, x_dot a tangent and x_bar a cotangent. Derivatives of ``cholesky`` and ``eigh`` are those
of functions of the symmetric part, and so symmetric.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, TypeAlias, cast

import numpy as np

from tapegrad.ops import matrix_values
from tapegrad.ops.array_rows import (
    FLAT,
    FLAT2,
    concatenate,
    fitted,
    flat_in_many,
    getitem,
    matmul,
    reshape,
    scatter,
    sum_,
    swapped,
)
from tapegrad.ops.primitive import ArrayRule, Operand, shape_of
from tapegrad.ops.primitive import Primitive as Row
from tapegrad.ops.table import add, and_, div, eq, mul, neg, sub, where

__all__ = [
    "MATRIX_ROWS", "cholesky", "cofactor", "convolve", "det", "eigh", "eigh_parts", "einsum", "inv", "pinv", "qr",
    "qr_parts", "slogdet", "solve", "solve_triangular", "svd", "svd_parts", "window_sum", "windows",
]  # fmt: skip

Dots: TypeAlias = tuple[Operand, ...]
Sides: TypeAlias = matrix_values.Sides
LOWER, LOWER_TURNED, UPPER, UPPER_TURNED = (
    cast(Operand, (lower, turned, False)) for lower in (True, False) for turned in (False, True)
)
ALL: Final = slice(None)


# Solutions.


def _solve_left(b: Operand, y: Operand, a: Operand, x: Operand) -> Operand:
    """a_bar = -x_bar @ y.T (Giles, 2.3.1)."""
    share = solve(swapped(a), b)
    if len(shape_of(x)) == 1:
        return neg(mul(_column(share), y))
    product = neg(matmul(share, swapped(y)))
    return fitted(product, shape_of(product), shape_of(a))


def _solve_right(b: Operand, y: Operand, a: Operand, x: Operand) -> Operand:
    """x_bar = solve(a.T, y_bar) (Giles, 2.3.1)."""
    share = solve(swapped(a), b)
    return fitted(share, shape_of(share), shape_of(x))


def _solve_push(
    dots: tuple[Operand | None, Operand | None], y: Operand, a: Operand, x: Operand
) -> Operand:
    """The solution for x_dot - a_dot @ y."""
    a_dot, x_dot = dots
    if a_dot is None:
        return solve(a, cast(Operand, x_dot))
    moved = neg(matmul(a_dot, y))
    return solve(a, moved if x_dot is None else add(x_dot, moved))


def _triangular_left(b: Operand, y: Operand, a: Operand, x: Operand, sides: Sides) -> Operand:
    """The part of -x_bar @ y.T that is read, or of its transpose."""
    share = _other_way(b, a, sides)
    is_vector = len(shape_of(x)) == 1
    left, right = (y, share) if sides[1] else (share, y)
    product = mul(_column(left), right) if is_vector else matmul(left, swapped(right))
    read = neg(mul(product, _read(a, sides)))
    return fitted(read, shape_of(read), shape_of(a))


def _triangular_right(b: Operand, y: Operand, a: Operand, x: Operand, sides: Sides) -> Operand:
    share = _other_way(b, a, sides)
    return fitted(share, shape_of(share), shape_of(x))


def _triangular_push(
    dots: tuple[Operand | None, Operand | None], y: Operand, a: Operand, x: Operand, sides: Sides
) -> Operand:
    """The solution for x_dot - t_dot @ y, of the triangle t that is read."""
    a_dot, x_dot = dots
    moved = x_dot
    if a_dot is not None:
        read = mul(a_dot, _read(a, sides))
        product = matmul(swapped(read) if sides[1] else read, y)
        moved = neg(product) if x_dot is None else sub(x_dot, product)
    return solve_triangular(a, cast(Operand, moved), cast(Operand, sides))


def _other_way(b: Operand, a: Operand, sides: Sides) -> Operand:
    """The solution of the transposed equation, which is the cotangent of the right side."""
    lower, transposed, unit = sides
    return solve_triangular(a, b, cast(Operand, (lower, not transposed, unit)))


def _read(a: Operand, sides: Sides) -> Any:
    """1 where a triangle is read, else 0."""
    lower, _, unit = sides
    whole = np.tri(shape_of(a)[-1], k=-1 if unit else 0)
    return whole if lower else np.ascontiguousarray(whole.T)


def _inv_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """-y.T @ y_bar @ y.T (Giles, 2.2.3)."""
    return neg(matmul(matmul(swapped(y), b), swapped(y)))


def _inv_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    return neg(matmul(matmul(y, dots[0]), y))


def _pinv_pull(b: Operand, y: Operand, a: Operand, static: object) -> Operand:
    """The transpose of the three terms of the push."""
    turned, b_turned = swapped(y), swapped(b)
    first = neg(matmul(matmul(turned, b), turned))
    left = matmul(matmul(sub(b_turned, matmul(a, matmul(y, b_turned))), y), turned)
    right = matmul(turned, matmul(y, sub(b_turned, matmul(matmul(b_turned, y), a))))
    return add(add(first, left), right)


def _pinv_push(dots: Dots, y: Operand, a: Operand, static: object) -> Operand:
    """G. Golub and V. Pereyra (1973): valid where the rank is the same nearby."""
    dot, turned = swapped(dots[0]), swapped(y)
    first = neg(matmul(matmul(y, dots[0]), y))
    left = matmul(matmul(y, turned), sub(dot, matmul(matmul(dot, a), y)))
    right = matmul(sub(dot, matmul(y, matmul(a, dot))), matmul(turned, y))
    return add(add(first, left), right)


# Determinants.


def _det_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """y_bar * y * inv(a).T (Giles, 2.2.4), which is there for singular matrices, too."""
    return mul(_over_matrices(b), cofactor(a))


def _det_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    return _inner(cofactor(a), dots[0])


def _cofactor_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """<y_bar, inv(a).T> * y - inv(a).T @ y_bar.T @ y; nan for a singular matrix."""
    turned = swapped(inv(a))
    spread = mul(_over_matrices(_inner(b, turned)), y)
    return sub(spread, matmul(matmul(turned, swapped(b)), y))


def _cofactor_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    turned = swapped(inv(a))
    spread = mul(_over_matrices(_inner(y, dots[0])), turned)
    return sub(spread, matmul(matmul(y, swapped(dots[0])), turned))


def _slogdet_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """inv(a).T times the cotangent of the logarithm (Giles, 2.2.4); the sign is flat."""
    return mul(_over_matrices(getitem(b, (..., 1))), swapped(inv(a)))


def _slogdet_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    return scatter(_inner(swapped(inv(a)), dots[0]), ((..., 1), shape_of(y), True))


# Triangular factors.


def _cholesky_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """The symmetric part of inv(y).T @ half(y.T @ y_bar) @ inv(y).

    I. Murray, "Differentiation of the Cholesky decomposition" (2016); ``half`` is the lower
    triangle with half of the diagonal.
    """
    turned = swapped(y)
    inner = mul(matmul(turned, b), _half(y))
    half = solve_triangular(y, inner, LOWER_TURNED)
    return _symmetric(solve_triangular(y, swapped(half), LOWER_TURNED))


def _cholesky_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    """y @ half(inv(y) @ a_dot @ inv(y).T)."""
    half = solve_triangular(y, _symmetric(dots[0]), LOWER)
    inner = solve_triangular(y, swapped(half), LOWER)
    return matmul(y, mul(inner, _half(y)))


def _qr_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """(q_bar + q @ both(r @ r_bar.T - q_bar.T @ q)) @ inv(r).T.

    M. Seeger et al., "Auto-differentiating linear algebra" (2017); ``both`` is the lower triangle
    and, above the diagonal, the same transposed.
    """
    q, r = qr_parts(y, a)
    rows = shape_of(a)[-2]
    q_bar, r_bar_turned = getitem(b, _rows(0, rows)), getitem(b, _rows(rows, None))
    inner = sub(matmul(r, r_bar_turned), matmul(swapped(q_bar), q))
    lower = _lower(r)
    both = add(mul(inner, lower), mul(swapped(inner), 1.0 - lower))
    return swapped(solve_triangular(r, swapped(add(q_bar, matmul(q, both))), UPPER))


def _qr_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    """S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions" (2010).

    Of x = a_dot @ inv(r), q.T @ x is what turns q, antisymmetric, and what changes r, upper
    triangular.
    """
    q, r = qr_parts(y, a)
    moved = swapped(solve_triangular(r, swapped(dots[0]), UPPER_TURNED))
    inner = matmul(swapped(q), moved)
    below = mul(inner, _lower(r) - np.eye(shape_of(r)[-1]))
    upper = sub(inner, sub(below, swapped(below)))
    r_dot = matmul(upper, r)
    return _under(sub(moved, matmul(q, upper)), swapped(r_dot))


def qr_parts(y: Operand, a: Operand) -> tuple[Operand, Operand]:
    """The orthogonal and the triangular factor of a matrix ``a``."""
    rows = shape_of(a)[-2]
    return getitem(y, _rows(0, rows)), swapped(getitem(y, _rows(rows, None)))


# Eigenvalues and singular values.


def _eigh_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """v @ (diag(w_bar) + (v.T @ v_bar) / gaps) @ v.T (Giles, 3.1)."""
    (w, v), (w_bar, v_bar) = eigh_parts(y), eigh_parts(b)
    turned = mul(matmul(swapped(v), v_bar), _off(v))
    half = mul(sub(turned, swapped(turned)), 0.5)
    inner = add(_over_gaps(half, _gaps(w), turned), _diagonal(w_bar))
    return _symmetric(matmul(matmul(v, inner), swapped(v)))


def _eigh_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    """w_dot is the diagonal of v.T @ a_dot @ v, and v_dot is v @ (the rest of it / gaps)."""
    w, v = eigh_parts(y)
    inner = matmul(matmul(swapped(v), _symmetric(dots[0])), v)
    rest = mul(inner, _off(v))
    return _under(_row(_diagonal_of(inner)), matmul(v, _over_gaps(rest, _gaps(w), rest)))


def eigh_parts(y: Operand) -> tuple[Operand, Operand]:
    """Eigenvalues, and the eigenvectors as columns."""
    return getitem(y, (..., 0, ALL)), getitem(y, _rows(1, None))


def _svd_pull(b: Operand, y: Operand, a: Operand) -> Operand:
    """u @ (diag(s_bar) + [u.T @ u_bar] @ s + s @ [v.T @ v_bar]) @ v.T, and what leaves the spaces.

    J. Townsend, "Differentiating the singular value decomposition" (2016): [x] is (x - x.T) over
    the gaps of s ** 2. Of u_bar and v_bar what is orthogonal to u and v goes on over s.
    """
    (u, s, v), (u_bar, s_bar, v_bar) = svd_parts(y, a), svd_parts(b, a)
    left, right = matmul(swapped(u), u_bar), matmul(swapped(v), v_bar)
    gaps = _square_gaps(s)
    turns_u, turns_v = (
        _over_gaps(sub(x, swapped(x)), gaps, mul(x, _off(x))) for x in (left, right)
    )
    inner = add(_diagonal(s_bar), add(mul(turns_u, _row(s)), mul(_column(s), turns_v)))
    total = matmul(matmul(u, inner), swapped(v))
    if shape_of(u)[-2] > shape_of(u)[-1]:
        total = add(total, matmul(_over(sub(u_bar, matmul(u, left)), s), swapped(v)))
    if shape_of(v)[-2] > shape_of(v)[-1]:
        total = add(total, matmul(u, swapped(_over(sub(v_bar, matmul(v, right)), s))))
    return total


def _svd_push(dots: Dots, y: Operand, a: Operand) -> Operand:
    """The transpose of the pull: u_dot, s_dot and v_dot of u.T @ a_dot @ v."""
    u, s, v = svd_parts(y, a)
    along_v = matmul(dots[0], v)
    inner = matmul(swapped(u), along_v)
    gaps, watched = _square_gaps(s), mul(inner, _off(inner))
    by_s, s_by = mul(inner, _row(s)), mul(_column(s), inner)
    u_dot = matmul(u, _over_gaps(mul(add(by_s, swapped(by_s)), _off(inner)), gaps, watched))
    v_dot = matmul(v, _over_gaps(mul(add(s_by, swapped(s_by)), _off(inner)), gaps, watched))
    if shape_of(u)[-2] > shape_of(u)[-1]:
        u_dot = add(u_dot, _over(sub(along_v, matmul(u, inner)), s))
    if shape_of(v)[-2] > shape_of(v)[-1]:
        along_u = matmul(swapped(dots[0]), u)
        v_dot = add(v_dot, _over(sub(along_u, matmul(v, swapped(inner))), s))
    return _under(u_dot, _row(_diagonal_of(inner)), v_dot)


def svd_parts(y: Operand, a: Operand) -> tuple[Operand, Operand, Operand]:
    """Left vectors as columns, singular values, right vectors as columns, of a matrix ``a``."""
    rows = shape_of(a)[-2]
    return (
        getitem(y, _rows(0, rows)),
        getitem(y, (..., rows, ALL)),
        getitem(y, _rows(rows + 1, None)),
    )


def _over_gaps(x: Operand, gaps: Operand, watched: Operand) -> Operand:
    """x over the gaps between values; 0 where values tie and nothing asks for their vectors."""
    unasked = and_(eq(watched, 0.0), eq(swapped(watched), 0.0))
    return where(and_(eq(gaps, 0.0), unasked), 0.0, div(x, gaps))


def _over(x: Operand, s: Operand) -> Operand:
    """Columns over singular values; 0 where that is 0 and nothing asks for the vector."""
    row = _row(s)
    return where(and_(eq(row, 0.0), eq(x, 0.0)), 0.0, div(x, row))


def _gaps(w: Operand) -> Operand:
    return sub(_row(w), _column(w))


def _square_gaps(s: Operand) -> Operand:
    return mul(_gaps(s), add(_row(s), _column(s)))


# Sums of products.


def _einsum_pull(i: int, b: Operand, y: Operand, *given: Any) -> Operand:
    """The sum in which the result and the operand have changed places."""
    *xs, subscripts = given
    inputs, _, output = subscripts.partition("->")
    of = inputs.split(",")
    swapped_subscripts = ",".join([output, *of[:i], *of[i + 1 :]]) + "->" + of[i]
    return einsum(b, *xs[:i], *xs[i + 1 :], swapped_subscripts)


def _convolve_left(b: Operand, z: Operand, x: Operand, y: Operand, mode: str) -> Operand:
    return convolve(b, _turned(y), cast(Any, "valid" if mode == "full" else "full"))


def _convolve_right(b: Operand, z: Operand, x: Operand, y: Operand, mode: str) -> Operand:
    """Of the whole convolution, and of the part of it where y lies within x."""
    if mode == "full":
        return convolve(b, _turned(x), cast(Any, "valid"))
    return convolve(_turned(x), b, cast(Any, "valid"))


def _turned(x: Operand) -> Operand:
    return getitem(x, (slice(None, None, -1),))


def _windows_pull(b: Operand, y: Operand, x: Operand, static: tuple[int, int]) -> Operand:
    return window_sum(b, static)


def _window_sum_pull(b: Operand, y: Operand, x: Operand, static: tuple[int, int]) -> Operand:
    return windows(b, static)


# Parts of matrices.


def _rows(start: int, stop: int | None) -> tuple[Any, ...]:
    """The index of some rows of each matrix."""
    return (..., slice(start, stop), ALL)


def _under(*parts: Operand) -> Operand:
    """Rows of matrices, one under the other."""
    return concatenate(*parts, len(shape_of(parts[0])) - 2)


def _row(x: Operand) -> Operand:
    return reshape(x, (*shape_of(x)[:-1], 1, shape_of(x)[-1]))


def _column(x: Operand) -> Operand:
    return reshape(x, (*shape_of(x), 1))


def _diagonal(x: Operand) -> Operand:
    """The matrix that has x on its diagonal."""
    return mul(_row(x), cast(Any, np.eye(shape_of(x)[-1])))


def _diagonal_of(x: Operand) -> Operand:
    return sum_(mul(x, cast(Any, np.eye(shape_of(x)[-1]))), ((len(shape_of(x)) - 1,), False))


def _symmetric(x: Operand) -> Operand:
    return mul(add(x, swapped(x)), 0.5)


def _inner(x: Operand, y: Operand) -> Operand:
    """The sum of the products of the elements of two matrices."""
    last = len(shape_of(x)) - 1
    return sum_(mul(x, y), ((last - 1, last), False))


def _over_matrices(b: Operand) -> Operand:
    """A number for each matrix, to be multiplied by it."""
    return reshape(b, (*shape_of(b), 1, 1)) if shape_of(b) else b


def _lower(x: Operand) -> Any:
    return np.tri(shape_of(x)[-1])


def _half(x: Operand) -> Any:
    return np.tri(shape_of(x)[-1]) - 0.5 * np.eye(shape_of(x)[-1])


def _off(x: Operand) -> Any:
    return 1.0 - np.eye(shape_of(x)[-1])


def _row_of(name: str, partials: Any, rule: ArrayRule, doc: str, **facts: Any) -> Row:
    """A row whose value is the function of that name in ``matrix_values``."""
    value = getattr(matrix_values, name)
    return Row(name, value, partials, doc, array=rule, module=__name__, reference=name, **facts)


def _always(static: tuple[object, ...]) -> bool:
    return True


sized: Final = partial(_row_of, has_static=True, static_type=tuple)
spelled: Final = partial(_row_of, has_static=True, static_type=str)

SOLVE = ArrayRule((_solve_left, _solve_right), _solve_push)
TRIANGULAR = ArrayRule((_triangular_left, _triangular_right), _triangular_push)
INV = ArrayRule((_inv_pull,), _inv_push)
PINV = ArrayRule((_pinv_pull,), _pinv_push)
DET = ArrayRule((_det_pull,), _det_push)
COFACTOR = ArrayRule((_cofactor_pull,), _cofactor_push)
SLOGDET = ArrayRule((_slogdet_pull,), _slogdet_push)
CHOLESKY = ArrayRule((_cholesky_pull,), _cholesky_push)
QR = ArrayRule((_qr_pull,), _qr_push)
EIGH = ArrayRule((_eigh_pull,), _eigh_push)
SVD = ArrayRule((_svd_pull,), _svd_push)
EINSUM = ArrayRule(_einsum_pull)
CONVOLVE = ArrayRule((_convolve_left, _convolve_right))
WINDOWS = ArrayRule((_windows_pull,), is_view=_always)
WINDOW_SUM = ArrayRule((_window_sum_pull,))

# fmt: off
# Solutions.
solve: Row            = _row_of("solve",          FLAT2, SOLVE,      "The solution y of a @ y == x.")
solve_triangular: Row = sized("solve_triangular", FLAT2, TRIANGULAR, "The solution y of t @ y == x, t a triangle of a.")

# Inverses and determinants.
inv: Row      = _row_of("inv",      FLAT,  INV,      "The inverse.")
pinv: Row     = sized("pinv",       FLAT,  PINV,     "The pseudoinverse.")
det: Row      = _row_of("det",      FLAT,  DET,      "The determinant.")
cofactor: Row = _row_of("cofactor", FLAT,  COFACTOR, "The slope of the determinant.", helper=True)
slogdet: Row  = _row_of("slogdet",  FLAT,  SLOGDET,  "The sign of the determinant and the logarithm of its size.")

# Factors: those of one matrix stand one under the other.
cholesky: Row = _row_of("cholesky", FLAT, CHOLESKY, "The lower triangular y of y @ y.T == a, symmetric.")
qr: Row       = _row_of("qr",       FLAT, QR,       "The orthogonal factor, and the triangular one, transposed.")
eigh: Row     = _row_of("eigh",     FLAT, EIGH,     "Eigenvalues and eigenvectors of a symmetric matrix.")
svd: Row      = _row_of("svd",      FLAT, SVD,      "Left singular vectors, singular values, right singular vectors.")

# Sums of products.
einsum: Row     = spelled("einsum",   flat_in_many, EINSUM,     "The sum of products that subscripts describe.")
convolve: Row   = spelled("convolve", FLAT2,        CONVOLVE,   "The convolution, or the part of it where y lies within x.")
windows: Row    = sized("windows",    FLAT,         WINDOWS,    "Each stretch of so many numbers along an axis.")
window_sum: Row = sized("window_sum", FLAT,         WINDOW_SUM, "The sum of stretches where each belongs.")
# fmt: on

MATRIX_ROWS: Final = tuple(
    each for each in list(globals().values()) if isinstance(each, Row) and each.module == __name__
)
