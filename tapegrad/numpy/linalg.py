"""Linear algebra, as the array API standard names it, on matrices and on stacks of them.

Where a matrix has no inverse or no factor, the result is nan, as numbers outside a domain give nan;
the other matrices of a stack have theirs.
"""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, cast, overload

import numpy as np
from numpy.linalg import matrix_rank
from numpy.typing import DTypeLike, NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.numpy import indexing
from tapegrad.numpy.arrays import (
    Arr,
    Array,
    ArrayLike,
    Data,
    Floats,
    applied,
    beside,
    is_traced,
    operand,
)
from tapegrad.numpy.contractions import tensordot, vecdot
from tapegrad.numpy.products import outer
from tapegrad.numpy.shapes import moveaxis
from tapegrad.numpy.signatures import joined, kept, matrix, product, valued
from tapegrad.ops import array_rows as rows
from tapegrad.ops import matrix_rows as matrices
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.recording.array_var import ArrayVar, Axes, axes_of
from tapegrad.recording.recorder import Real, Var

__all__ = [
    "EigResult", "EighResult", "LstsqResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky",
    "cross", "det", "diagonal", "dot", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm",
    "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip


Order: TypeAlias = Literal["fro", "nuc"] | float


class EigResult(NamedTuple):
    """Complex eigenvalues, and eigenvectors as columns."""

    eigenvalues: NDArray[np.complexfloating]
    eigenvectors: NDArray[np.complexfloating]


class EighResult(NamedTuple, Generic[Arr]):
    """Eigenvalues in rising order, and eigenvectors as columns."""

    eigenvalues: Arr
    eigenvectors: Arr


class LstsqResult(NamedTuple, Generic[Arr]):
    """A solution, sums of squares for each column of b, and the rank and singular values of a."""

    x: Arr
    residuals: Arr
    rank: int
    s: Arr | Floats


class QRResult(NamedTuple, Generic[Arr]):
    """An orthogonal factor and an upper triangular one."""

    Q: Arr
    R: Arr


class SlogdetResult(NamedTuple, Generic[Real]):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Real
    logabsdet: Real


class SVDResult(NamedTuple, Generic[Arr]):
    """Left vectors as columns, singular values from the largest on, and right vectors as rows."""

    U: Arr
    S: Arr
    Vh: Arr


def _matrices(name: str, x: Any, *, square: bool = False) -> Operand:
    """Matrices as an operand.

    Raises:
        InputError: for an array with fewer than two axes, or whose matrices are not square.
    """
    found = operand(x)
    shape = shape_of(found)
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        what = "square matrices" if square else "matrices"
        raise InputError(f"{name} at {here()} takes {what}, and is given the shape {shape}")
    return found


# Products.


@product
@beside(np.matmul)
def matmul(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """The product of matrices."""
    return applied(rows.matmul, x, y)


@product
@beside(np.dot)
def dot(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """The sum of products over the last axis of x and the last but one of y, as numpy has it."""
    first, second = operand(x), operand(y)
    if not (shape_of(first) and shape_of(second)):
        return ops.mul(first, second)
    if len(shape_of(second)) < 3:
        return applied(rows.matmul, first, second)
    axes = (len(shape_of(first)) - 1,), (len(shape_of(second)) - 2,)
    return tensordot(cast(Any, first), cast(Any, second), axes)


@matrix
@beside(np.linalg.matrix_power)
def matrix_power(x: ArrayLike, n: int, /) -> ArrayLike:
    """The product of n times the same matrix; for n below 0, of its inverse."""
    base = _matrices("matrix_power", x, square=True)
    if n < 0:
        base, n = matrices.inv(base), -n
    found: Operand | None = None
    while n:
        if n & 1:
            found = base if found is None else rows.matmul(found, base)
        n >>= 1
        base = rows.matmul(base, base) if n else base
    if found is None:
        return rows.spread(cast(Any, np.eye(shape_of(base)[-1])), shape_of(base))
    return found


@joined
def multi_dot(arrays: Sequence[ArrayLike], /) -> ArrayLike:
    """The product of several matrices, from the left."""
    return reduce(matmul, arrays)


@product
@beside(np.linalg.cross)
def cross(x: ArrayLike, y: ArrayLike, /, *, axis: int = -1) -> ArrayLike:
    """The cross product of vectors of three numbers along an axis."""
    first, second = (moveaxis(cast(Any, operand(each)), axis, -1) for each in (x, y))
    if first.shape[-1] != 3 or second.shape[-1] != 3:
        raise InputError(f"cross at {here()} takes vectors of three numbers")
    ahead, back = np.array([1, 2, 0]), np.array([2, 0, 1])
    found = first[..., ahead] * second[..., back] - first[..., back] * second[..., ahead]
    return moveaxis(found, -1, axis)


@kept
@beside(np.linalg.matrix_transpose)
def matrix_transpose(x: ArrayLike, /) -> ArrayLike:
    """Each matrix with its rows as columns."""
    return rows.swapped(_matrices("matrix_transpose", x))


@kept
@beside(np.linalg.diagonal)
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> ArrayLike:
    """The diagonal of each matrix."""
    return indexing.diagonal(x, offset, -2, -1)


@valued
@beside(np.linalg.trace)
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> ArrayLike:
    """The sum of the diagonal of each matrix."""
    found = diagonal(x, offset=offset)
    return rows.sum_(found, ((len(shape_of(found)) - 1,), False))


# Solutions.


@product
@beside(np.linalg.solve)
def solve(a: ArrayLike, b: ArrayLike, /) -> ArrayLike:
    """The solution x of a @ x == b; b is a vector if it has one axis, else matrices."""
    return _solved("solve", matrices.solve, a, b)


@product
def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    /,
    *,
    trans: Literal[0, 1, "N", "T"] = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> ArrayLike:
    """The solution x of t @ x == b, or of t.T @ x == b, as SciPy names it.

    Of a the upper triangle t is read, or the lower one, and with ``unit_diagonal`` its diagonal is
    not, and counts as 1.

    Raises:
        InputError: for any other ``trans``.
    """
    if trans not in {0, 1, "N", "T"}:
        raise InputError(f"solve_triangular at {here()} takes trans=0 or 1, not {trans!r}")
    sides = bool(lower), trans in {1, "T"}, bool(unit_diagonal)
    return _solved("solve_triangular", matrices.solve_triangular, a, b, sides)


def _solved(
    name: str, row: Callable[..., Operand], a: ArrayLike, b: ArrayLike, *static: object
) -> Operand:
    """The solution that a row finds, for a vector if b has one axis, else for matrices.

    Raises:
        InputError: for what is no square matrix, or a right side of another length.
    """
    left, right = _matrices(name, a, square=True), operand(b)
    sizes = shape_of(left)[-1], (shape_of(right) or (1,))[-2:][0]
    if not shape_of(right) or sizes[0] != sizes[1]:
        raise InputError(
            f"{name} at {here()} takes a right side of {sizes[0]} rows, not of {shape_of(right)}"
        )
    if len(shape_of(right)) > 1 or len(shape_of(left)) == 2:
        return row(left, right, *static)
    found = row(left, rows.reshape(right, (*shape_of(right), 1)), *static)
    return rows.reshape(found, shape_of(found)[:-1])


@overload
def lstsq(a: Arr, b: Data, /, rcond: float | None = None) -> LstsqResult[Arr]: ...
@overload
def lstsq(a: Data, b: Arr, /, rcond: float | None = None) -> LstsqResult[Arr]: ...
@overload
def lstsq(a: Arr, b: Arr, /, rcond: float | None = None) -> LstsqResult[Arr]: ...
@overload
def lstsq(a: Data, b: Data, /, rcond: float | None = None) -> LstsqResult[Floats]: ...
@overload
def lstsq(a: ArrayVar, b: Array, /, rcond: float | None = None) -> LstsqResult[ArrayVar]: ...
@overload
def lstsq(a: Array, b: ArrayVar, /, rcond: float | None = None) -> LstsqResult[ArrayVar]: ...
@beside(np.linalg.lstsq)
def lstsq(a: ArrayLike, b: ArrayLike, /, rcond: float | None = None) -> ArrayLike:
    """The x with the least sum of squares of a @ x - b; of several, the shortest.

    The matrix has full rank: its smallest singular value is above ``rcond`` times the largest, by
    default the rounding of its longer side. Residuals are there if it has more rows than columns.

    Raises:
        InputError: for stacks, a right side of another length, or a matrix without full rank.
    """
    left, right = _matrices("lstsq", a), operand(b)
    shape, sizes = shape_of(left), shape_of(right)
    if len(shape) != 2 or len(sizes) not in {1, 2} or sizes[0] != shape[0]:
        raise InputError(
            f"lstsq at {here()} takes a matrix and a right side of as many rows, not {shape} and "
            f"{sizes}"
        )
    is_tall = shape[0] >= shape[1]
    q, r = qr(cast(Any, left if is_tall else rows.swapped(left)))
    s = svdvals(r)
    _require_full_rank(shape, s, rcond)
    if is_tall:
        x = solve_triangular(r, cast(Any, rows.matmul(rows.swapped(q), right)))
    else:
        x = rows.matmul(q, operand(solve_triangular(r, cast(Any, right), trans=1)))
    rest = ops.sub(right, rows.matmul(left, operand(x)))
    squares = rows.sum_(ops.mul(rest, rest), ((0,), len(sizes) == 1))
    found = squares if shape[0] > shape[1] else rows.getitem(squares, (slice(0, 0),))
    return LstsqResult(x, found, min(shape), s)


def _require_full_rank(shape: tuple[int, ...], s: Any, rcond: float | None) -> None:
    """Asks, by a guard, whether no singular value counts as 0.

    Raises:
        InputError: where one does.
    """
    least = max(shape) * float(np.finfo(np.float64).eps) if rcond is None else rcond
    if min(shape) and s[-1] <= least * s[0]:
        raise InputError(
            f"lstsq at {here()} is given a {shape[0]} x {shape[1]} matrix of a rank below "
            f"{min(shape)}, whose solution has no slope: leave out rows or columns that others add "
            "up to"
        )


@matrix
@beside(np.linalg.inv)
def inv(x: ArrayLike, /) -> ArrayLike:
    """The inverse."""
    return matrices.inv(_matrices("inv", x, square=True))


@matrix
@beside(np.linalg.pinv)
def pinv(x: ArrayLike, /, *, rtol: float | None = None) -> ArrayLike:
    """The pseudoinverse; its slope holds where the rank is the same nearby."""
    return matrices.pinv(_matrices("pinv", x), (rtol,))


# Determinants and factors.


@valued
@beside(np.linalg.det)
def det(x: ArrayLike, /) -> ArrayLike:
    """The determinant; singular matrices have a slope, too, and no second one."""
    return matrices.det(_matrices("det", x, square=True))


@overload
def slogdet(x: Data, /) -> SlogdetResult[float]: ...
@overload
def slogdet(x: ArrayVar, /) -> SlogdetResult[Var]: ...
@overload
def slogdet(x: Arr, /) -> SlogdetResult[float]: ...
@beside(np.linalg.slogdet)
def slogdet(x: ArrayLike, /) -> ArrayLike:
    """The sign of the determinant, which is flat, and the logarithm of its size."""
    found = matrices.slogdet(_matrices("slogdet", x, square=True))
    return SlogdetResult(rows.getitem(found, (..., 0)), rows.getitem(found, (..., 1)))


@matrix
@beside(np.linalg.cholesky)
def cholesky(x: ArrayLike, /, *, upper: bool = False) -> ArrayLike:
    """The triangular factor of the symmetric part of x, lower or upper."""
    found = matrices.cholesky(_matrices("cholesky", x, square=True))
    return rows.swapped(found) if upper else found


@overload
def qr(x: Arr, /, *, mode: Literal["reduced"] = "reduced") -> QRResult[Arr]: ...
@overload
def qr(x: Data, /, *, mode: Literal["reduced"] = "reduced") -> QRResult[Floats]: ...
@beside(np.linalg.qr)
def qr(x: ArrayLike, /, *, mode: str = "reduced") -> ArrayLike:
    """An orthogonal and a triangular factor; of wide matrices the first columns give the first.

    Raises:
        InputError: for any mode but "reduced".
    """
    given = _matrices("qr", x)
    if mode != "reduced":
        raise InputError(f'qr at {here()} takes mode="reduced" alone, not {mode!r}')
    height, width = shape_of(given)[-2:]
    if height >= width:
        return QRResult(*matrices.qr_parts(matrices.qr(given), given))
    first = rows.getitem(given, (..., slice(0, height)))
    q, r = matrices.qr_parts(matrices.qr(first), first)
    rest = rows.matmul(rows.swapped(q), rows.getitem(given, (..., slice(height, None))))
    return QRResult(q, rows.concatenate(r, rest, len(shape_of(r)) - 1))


def eig(x: Data | NDArray[np.complexfloating], /) -> EigResult:
    """Eigenvalues and eigenvectors of any square matrices, complex whatever they are.

    Raises:
        TracedNumberError: for traced matrices.
    """
    _require_plain("eig", x)
    return EigResult(*map(_complex, np.linalg.eig(cast(Any, x))))


def eigvals(x: Data | NDArray[np.complexfloating], /) -> NDArray[np.complexfloating]:
    """The eigenvalues of any square matrices, complex whatever they are.

    Raises:
        TracedNumberError: for traced matrices.
    """
    _require_plain("eigvals", x)
    return _complex(np.linalg.eigvals(cast(Any, x)))


def _require_plain(name: str, x: object) -> None:
    """Refuses traced matrices.

    Raises:
        TracedNumberError: for these.
    """
    if is_traced(x):
        raise TracedNumberError(
            f"numpy.linalg.{name} at {here()} takes no traced array: write eigh, for symmetric "
            "matrices, or svd, whose results are real"
        )


def _complex(found: NDArray[np.inexact]) -> NDArray[np.complexfloating]:
    return found.astype(np.result_type(found.dtype, np.complex64))


@overload
def eigh(x: Arr, /) -> EighResult[Arr]: ...
@overload
def eigh(x: Data, /) -> EighResult[Floats]: ...
@beside(np.linalg.eigh)
def eigh(x: ArrayLike, /) -> ArrayLike:
    """Eigenvalues and eigenvectors of the symmetric part of x.

    Vectors whose eigenvalues tie are any basis, and have no slope: it is nan where one is asked
    for. Where the eigenvalues alone are used, those of symmetric functions of them are right.
    """
    return EighResult(*matrices.eigh_parts(matrices.eigh(_matrices("eigh", x, square=True))))


@matrix
def eigvalsh(x: ArrayLike, /) -> ArrayLike:
    """The eigenvalues of the symmetric part of x, in rising order."""
    return eigh(x).eigenvalues


@overload
def svd(
    x: Arr, /, *, full_matrices: bool = True, compute_uv: Literal[True] = True
) -> SVDResult[Arr]: ...
@overload
def svd(x: Arr, /, *, full_matrices: bool = True, compute_uv: Literal[False]) -> Arr: ...
@overload
def svd(
    x: Data, /, *, full_matrices: bool = True, compute_uv: Literal[True] = True
) -> SVDResult[Floats]: ...
@overload
def svd(x: Data, /, *, full_matrices: bool = True, compute_uv: Literal[False]) -> Floats: ...
@beside(np.linalg.svd)
def svd(x: ArrayLike, /, *, full_matrices: bool = True, compute_uv: bool = True) -> ArrayLike:
    """Singular vectors and values; as with ``eigh``, vectors whose values tie have no slope.

    Raises:
        InputError: for full matrices of one that is not square.
    """
    given = _matrices("svd", x)
    height, width = shape_of(given)[-2:]
    if full_matrices and compute_uv and height != width:
        raise InputError(
            f"svd at {here()} of {height} x {width} matrices has no slope with full_matrices=True: "
            "write full_matrices=False"
        )
    u, s, v = matrices.svd_parts(matrices.svd(given), given)
    return SVDResult(u, s, rows.swapped(v)) if compute_uv else s


@matrix
def svdvals(x: ArrayLike, /) -> ArrayLike:
    """The singular values, from the largest on."""
    return svd(x, full_matrices=False).S


# Norms.


@overload
def vector_norm(
    x: Floats, /, *, axis: None = None, keepdims: Literal[False] = False, ord: float = 2
) -> float: ...
@overload
def vector_norm(
    x: ArrayVar, /, *, axis: None = None, keepdims: Literal[False] = False, ord: float = 2
) -> Var: ...
@overload
def vector_norm(
    x: Data, /, *, axis: None = None, keepdims: Literal[False] = False, ord: float = 2
) -> float: ...
@overload
def vector_norm(
    x: Arr, /, *, axis: None = None, keepdims: Literal[False] = False, ord: float = 2
) -> np.float64: ...
@overload
def vector_norm(x: Arr, /, *, axis: Axes, keepdims: bool = False, ord: float = 2) -> Arr: ...
@overload
def vector_norm(
    x: Arr, /, *, axis: None = None, keepdims: Literal[True], ord: float = 2
) -> Arr: ...
@beside(np.linalg.vector_norm)
def vector_norm(
    x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False, ord: float = 2
) -> ArrayLike:
    """The norm of all numbers, or along axes."""
    given = operand(x)
    along = axes_of(axis, len(shape_of(given))), keepdims
    if ord == 2 and shape_of(given):
        return rows.norm(given, along)
    size = ops.abs(given)
    if not shape_of(given):
        return size if ord else ops.where(ops.ne(size, 0.0), 1.0, 0.0)
    if abs(ord) == inf:
        return (rows.amax if ord > 0 else rows.amin)(size, along)
    if ord == 0:
        return rows.sum_(ops.where(ops.ne(size, 0.0), 1.0, 0.0), along)
    if ord == 1:
        return rows.sum_(size, along)
    return ops.powc(rows.sum_(ops.powc(size, float(ord)), along), 1.0 / ord)


@overload
def matrix_norm(x: Floats, /, *, keepdims: Literal[False] = False, ord: Order = "fro") -> float: ...
@overload
def matrix_norm(x: ArrayVar, /, *, keepdims: Literal[False] = False, ord: Order = "fro") -> Var: ...
@overload
def matrix_norm(x: Data, /, *, keepdims: Literal[False] = False, ord: Order = "fro") -> float: ...
@overload
def matrix_norm(
    x: Arr, /, *, keepdims: Literal[False] = False, ord: Order = "fro"
) -> np.float64: ...
@overload
def matrix_norm(x: Arr, /, *, keepdims: bool, ord: Order = "fro") -> Arr: ...
@beside(np.linalg.matrix_norm)
def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Order = "fro") -> ArrayLike:
    """The norm of each matrix: "fro", "nuc", 1, 2, inf, or of these numbers with a minus."""
    given = _matrices("matrix_norm", x)
    last = len(shape_of(given)) - 1
    if ord == "fro":
        return rows.norm(given, ((last - 1, last), keepdims))
    if ord in {"nuc", 2, -2}:
        sizes = svdvals(cast(Any, given))
    else:
        sizes = rows.sum_(ops.abs(given), ((last - 1 if ord in {1, -1} else last,), False))
    row = rows.sum_ if ord == "nuc" else rows.amax if float(ord) > 0 else rows.amin
    found = row(sizes, ((last - 1,), False))
    return rows.reshape(found, (*shape_of(found), 1, 1)) if keepdims else found


@overload
def norm(
    x: Floats, /, ord: Order | None = None, axis: None = None, keepdims: Literal[False] = False
) -> float: ...
@overload
def norm(
    x: ArrayVar, /, ord: Order | None = None, axis: None = None, keepdims: Literal[False] = False
) -> Var: ...
@overload
def norm(
    x: Data, /, ord: Order | None = None, axis: None = None, keepdims: Literal[False] = False
) -> float: ...
@overload
def norm(
    x: Arr, /, ord: Order | None = None, axis: None = None, keepdims: Literal[False] = False
) -> np.float64: ...
@overload
def norm(x: Arr, /, ord: Order | None = None, *, axis: Axes, keepdims: bool = False) -> Arr: ...
@overload
def norm(x: Arr, /, ord: Order | None, axis: Axes, keepdims: bool = False) -> Arr: ...
@overload
def norm(
    x: Arr, /, ord: Order | None = None, axis: None = None, *, keepdims: Literal[True]
) -> Arr: ...
@beside(np.linalg.norm)
def norm(
    x: ArrayLike, ord: Order | None = None, axis: Axes = None, keepdims: bool = False
) -> ArrayLike:
    """numpy's norm, of vectors, or of the last two axes where these are named and a norm is."""
    ndim = len(shape_of(operand(x)))
    places = axes_of(axis, ndim)
    if ord is None or len(places) != 2:
        order = 2.0 if ord is None else cast(float, ord)
        return vector_norm(x, axis=axis, keepdims=keepdims, ord=order)
    if places != (ndim - 2, ndim - 1):
        raise InputError(f"norm at {here()} of matrices takes the last two axes, not {axis!r}")
    return matrix_norm(x, keepdims=keepdims, ord=ord)
