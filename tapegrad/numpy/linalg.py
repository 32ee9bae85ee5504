"""Linear algebra, as the array API standard names it, on matrices and on stacks of them.

Where a matrix has no inverse or no factor, the result is nan, as numbers outside a domain give nan;
the other matrices of a stack have theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.linalg import eig, eigvals, matrix_rank
from numpy.typing import DTypeLike

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy import indexing
from tapegrad.numpy.arrays import applied, beside, operand
from tapegrad.numpy.contractions import tensordot, vecdot
from tapegrad.numpy.products import outer
from tapegrad.numpy.shapes import moveaxis
from tapegrad.ops import array_rows as rows
from tapegrad.ops import matrix_rows as matrices
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.recording.array_var import Axes, axes_of

__all__ = [
    "EighResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky", "cross", "det", "diagonal",
    "dot", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose",
    "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "trace", "triangular_solve", "vecdot", "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """Eigenvalues in rising order, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """An orthogonal factor and an upper triangular one."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    """Left vectors as columns, singular values from the largest on, and right vectors as rows."""

    U: Any
    S: Any
    Vh: Any


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


@beside(np.matmul)
def matmul(x: Any, y: Any, /) -> Any:
    """The product of matrices."""
    return applied(rows.matmul, x, y)


@beside(np.dot)
def dot(x: Any, y: Any, /) -> Any:
    """The sum of products over the last axis of x and the last but one of y, as numpy has it."""
    first, second = operand(x), operand(y)
    if not (shape_of(first) and shape_of(second)):
        return ops.mul(first, second)
    if len(shape_of(second)) < 3:
        return applied(rows.matmul, first, second)
    axes = (len(shape_of(first)) - 1,), (len(shape_of(second)) - 2,)
    return tensordot(first, second, axes)


@beside(np.linalg.matrix_power)
def matrix_power(x: Any, n: int, /) -> Any:
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


def multi_dot(arrays: Sequence[Any]) -> Any:
    """The product of several matrices, from the left."""
    return reduce(matmul, arrays)


@beside(np.linalg.cross)
def cross(x: Any, y: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of three numbers along an axis."""
    first, second = (moveaxis(cast(Any, operand(each)), axis, -1) for each in (x, y))
    if first.shape[-1] != 3 or second.shape[-1] != 3:
        raise InputError(f"cross at {here()} takes vectors of three numbers")
    ahead, back = np.array([1, 2, 0]), np.array([2, 0, 1])
    found = first[..., ahead] * second[..., back] - first[..., back] * second[..., ahead]
    return moveaxis(found, -1, axis)


@beside(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """Each matrix with its rows as columns."""
    return rows.swapped(_matrices("matrix_transpose", x))


@beside(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonal of each matrix."""
    return indexing.diagonal(x, offset, -2, -1)


@beside(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Any:
    """The sum of the diagonal of each matrix."""
    found = diagonal(x, offset=offset)
    return rows.sum_(found, ((len(shape_of(found)) - 1,), False))


# Solutions.


@beside(np.linalg.solve)
def solve(a: Any, b: Any, /) -> Any:
    """The solution x of a @ x == b; b is a vector if it has one axis, else matrices."""
    left, right = _matrices("solve", a, square=True), operand(b)
    sizes = shape_of(left)[-1], (shape_of(right) or (1,))[-2:][0]
    if not shape_of(right) or sizes[0] != sizes[1]:
        raise InputError(
            f"solve at {here()} takes a right side of {sizes[0]} rows, not of {shape_of(right)}"
        )
    if len(shape_of(right)) > 1 or len(shape_of(left)) == 2:
        return matrices.solve(left, right)
    found = matrices.solve(left, rows.reshape(right, (*shape_of(right), 1)))
    return rows.reshape(found, shape_of(found)[:-1])


def triangular_solve(a: Any, b: Any, /, *, lower: bool = True) -> Any:
    """The solution x of a @ x == b where one triangle of a is read, and the other counts as 0."""
    left = _matrices("triangular_solve", a, square=True)
    mask = np.tri(shape_of(left)[-1]) if lower else np.tri(shape_of(left)[-1]).T
    return solve(ops.mul(left, cast(Any, np.ascontiguousarray(mask))), b)


@beside(np.linalg.inv)
def inv(x: Any, /) -> Any:
    """The inverse."""
    return matrices.inv(_matrices("inv", x, square=True))


@beside(np.linalg.pinv)
def pinv(x: Any, /, *, rtol: float | None = None) -> Any:
    """The pseudoinverse; its slope holds where the rank is the same nearby."""
    return matrices.pinv(_matrices("pinv", x), (rtol,))


# Determinants and factors.


@beside(np.linalg.det)
def det(x: Any, /) -> Any:
    """The determinant; singular matrices have a slope, too, and no second one."""
    return matrices.det(_matrices("det", x, square=True))


@beside(np.linalg.slogdet)
def slogdet(x: Any, /) -> Any:
    """The sign of the determinant, which is flat, and the logarithm of its size."""
    found = matrices.slogdet(_matrices("slogdet", x, square=True))
    return SlogdetResult(rows.getitem(found, (..., 0)), rows.getitem(found, (..., 1)))


@beside(np.linalg.cholesky)
def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The triangular factor of the symmetric part of x, lower or upper."""
    found = matrices.cholesky(_matrices("cholesky", x, square=True))
    return rows.swapped(found) if upper else found


@beside(np.linalg.qr)
def qr(x: Any, /, *, mode: str = "reduced") -> Any:
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


@beside(np.linalg.eigh)
def eigh(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of the symmetric part of x.

    Vectors whose eigenvalues tie are any basis, and have no slope: it is nan where one is asked
    for. Where the eigenvalues alone are used, those of symmetric functions of them are right.
    """
    return EighResult(*matrices.eigh_parts(matrices.eigh(_matrices("eigh", x, square=True))))


def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of the symmetric part of x, in rising order."""
    return eigh(x).eigenvalues


@beside(np.linalg.svd)
def svd(x: Any, /, *, full_matrices: bool = True, compute_uv: bool = True) -> Any:
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


def svdvals(x: Any, /) -> Any:
    """The singular values, from the largest on."""
    return svd(x, full_matrices=False).S


# Norms.


@beside(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Any:
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


@beside(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of each matrix: "fro", "nuc", 1, 2, inf, or of these numbers with a minus."""
    given = _matrices("matrix_norm", x)
    last = len(shape_of(given)) - 1
    if ord == "fro":
        return rows.norm(given, ((last - 1, last), keepdims))
    if ord in {"nuc", 2, -2}:
        sizes = svdvals(given)
    else:
        sizes = rows.sum_(ops.abs(given), ((last - 1 if abs(ord) == 1 else last,), False))
    row = rows.sum_ if ord == "nuc" else rows.amax if ord > 0 else rows.amin
    found = row(sizes, ((last - 1,), False))
    return rows.reshape(found, (*shape_of(found), 1, 1)) if keepdims else found


@beside(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    """numpy's norm, of vectors, or of the last two axes where these are named and a norm is."""
    ndim = len(shape_of(operand(x)))
    places = axes_of(axis, ndim)
    if ord is None or len(places) != 2:
        return vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if ord is None else ord)
    if places != (ndim - 2, ndim - 1):
        raise InputError(f"norm at {here()} of matrices takes the last two axes, not {axis!r}")
    return matrix_norm(x, keepdims=keepdims, ord=ord)
