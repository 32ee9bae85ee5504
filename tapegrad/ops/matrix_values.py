"""The values of the rows of linear algebra, for one matrix or for each of a stack.

They never raise: where a matrix has no inverse, no factor or no decomposition, the result is nan,
for this one of a stack alone. Several results of one decomposition stand in one array, one under
the other, as ``matrix_rows`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops.array_values import laid_out, plain

__all__ = [
    "Sides", "cholesky", "cofactor", "convolve", "det", "eigh", "einsum", "inv", "pinv", "qr",
    "slogdet", "solve", "solve_triangular", "svd", "window_sum", "windows",
]  # fmt: skip

Array: TypeAlias = NDArray[Any]
Value: TypeAlias = float | Array

Sides: TypeAlias = tuple[bool, bool, bool]
"""Whether it is the lower triangle that counts, transposed, and with 1 on its diagonal."""

SMALL: Final = 64
"""Triangles up to this size are solved at once."""

ILL: float = 1e8
"""The condition beyond which a cofactor is not taken from the inverse."""


def _each(function: Callable[[Array], Any], a: Array) -> Any:
    """The result for each matrix of a stack, nan for one that has none."""
    try:
        return function(a)
    except np.linalg.LinAlgError:
        if a.ndim == 2:
            return np.full(np.shape(function(np.eye(*a.shape))), np.nan)
    found = [_each(function, one) for one in a.reshape(-1, *a.shape[-2:])]
    return np.stack(found).reshape(*a.shape[:-2], *found[0].shape)


def _symmetric(a: Array) -> Array:
    """The symmetric part, with the bits of a matrix that is symmetric."""
    return (a + a.swapaxes(-2, -1)) * 0.5


def solve(a: Array, b: Array) -> Value:
    """The solution x of a @ x == b; a stack of right sides has one for each matrix."""
    try:
        return plain(np.linalg.solve(a, b))
    except np.linalg.LinAlgError:
        pass
    if b.ndim == 1 or a.ndim == b.ndim == 2:
        return np.full(np.shape(np.linalg.solve(np.eye(len(b)), b)), np.nan)
    shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left, right = np.broadcast_to(a, shape + a.shape[-2:]), np.broadcast_to(b, shape + b.shape[-2:])
    found = np.empty(right.shape)
    for at in np.ndindex(shape):
        found[at] = solve(left[at], right[at])
    return found


def solve_triangular(a: Array, b: Array, sides: Sides) -> Value:
    """The solution x of t @ x == b for a triangle t of a; nan where its diagonal has a 0."""
    lower, transposed, unit = sides
    read, rest = _triangle(a.shape[-1], lower, unit)
    t = np.where(read, a, rest)
    t = t.swapaxes(-2, -1) if transposed else t
    right = b[:, None] if b.ndim == 1 else b
    # Turned around, a lower triangle is an upper one, whose elimination has nothing to do.
    if lower != transposed:
        t, right = t[..., ::-1, ::-1], right[..., ::-1, :]
    found = cast(Array, solve(t, right)) if t.shape[-1] <= SMALL else _by_parts(t, right)
    if lower != transposed:
        found = found[..., ::-1, :]
    return plain(found[:, 0] if b.ndim == 1 else found)


@lru_cache(16)
def _triangle(size: int, lower: bool, unit: bool) -> tuple[Array, Array]:
    """Where a triangle is read, and what stands in the place of the rest."""
    read = np.tri(size, k=-1 if unit else 0, dtype=np.bool_)
    return read if lower else read.T, np.eye(size) if unit else np.zeros(())


def _by_parts(t: Array, b: Array) -> Array:
    """The solution for upper triangles that are large, and nan for those with a 0."""
    found = _by_halves(np.ascontiguousarray(t), np.ascontiguousarray(b))
    has_none = (np.diagonal(t, axis1=-2, axis2=-1) == 0.0).any(-1)
    return np.where(has_none[..., None, None], np.nan, found) if has_none.any() else found


def _by_halves(t: Array, b: Array) -> Array:
    """The solution for upper triangles, the lower half of it first."""
    if t.shape[-1] <= SMALL:
        return cast(Array, solve(t, b))
    half = t.shape[-1] // 2
    below = _by_halves(t[..., half:, half:], b[..., half:, :])
    above = _by_halves(t[..., :half, :half], b[..., :half, :] - t[..., :half, half:] @ below)
    return np.concatenate([above, below], axis=-2)


def inv(a: Array) -> Value:
    """The inverse."""
    return plain(_each(np.linalg.inv, a))


def pinv(a: Array, static: tuple[float | None]) -> Value:
    """The pseudoinverse, in which singular values below a part of the largest count as 0."""
    return plain(_each(lambda a: np.linalg.pinv(a, rtol=cast(float, static[0])), a))


def det(a: Array) -> Value:
    """The determinant."""
    return plain(np.linalg.det(a))


def cofactor(a: Array) -> Value:
    """The determinant times the transposed inverse, which is there for singular matrices, too."""
    inverse: Array = _each(np.linalg.inv, a)
    found: Array = np.linalg.det(a)[..., None, None] * inverse.swapaxes(-2, -1)
    condition = abs(a).sum(-1).max(-1, initial=0.0) * abs(inverse).sum(-1).max(-1, initial=0.0)
    ill = ~((condition < ILL) & np.isfinite(found).all((-2, -1)))
    if ill.any():
        found[ill] = _each(_by_singular_values, a[ill])
    return plain(found)


def _by_singular_values(a: Array) -> Array:
    """The products of all singular values but one, in place of these."""
    u, s, vh = np.linalg.svd(a)
    rest = np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., None, :]).prod(-1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return cast(Array, np.sign(sign)[..., None, None] * (u * rest[..., None, :]) @ vh)


def slogdet(a: Array) -> Value:
    """The sign of the determinant, and the logarithm of its size."""
    return plain(np.stack(np.linalg.slogdet(a), axis=-1))


def cholesky(a: Array) -> Value:
    """The lower triangular factor of the symmetric part."""
    return plain(_each(np.linalg.cholesky, _symmetric(a)))


def eigh(a: Array) -> Value:
    """The eigenvalues of the symmetric part, and below them the eigenvectors as columns."""
    return plain(_each(_eigh, _symmetric(a)))


def _eigh(a: Array) -> Array:
    w, v = np.linalg.eigh(a)
    return np.concatenate([w[..., None, :], v], axis=-2)


def qr(a: Array) -> Value:
    """The orthogonal factor, and below it the triangular one, transposed."""
    q, r = np.linalg.qr(a)
    return plain(np.concatenate([q, r.swapaxes(-2, -1)], axis=-2))


def svd(a: Array) -> Value:
    """The left singular vectors as columns, the singular values, and the right vectors."""
    return plain(_each(_svd, a))


def _svd(a: Array) -> Array:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], vh.swapaxes(-2, -1)], axis=-2)


# Sums of products.


def einsum(*given: Any) -> Value:
    """Einstein's sum of products, as the subscripts say, which stand last."""
    arrays = map(np.asarray, given[:-1])
    return plain(np.asarray(np.einsum(given[-1], *map(laid_out, arrays), optimize=True)))


def convolve(x: Array, y: Array, mode: str) -> Array:
    """The products of y, turned around, with each part of x."""
    return np.convolve(x, y, cast(Any, mode))


def windows(x: Array, static: tuple[int, int]) -> Array:
    """Each stretch of so many numbers along an axis, along a new last axis."""
    return np.lib.stride_tricks.sliding_window_view(x, *static)


def window_sum(x: Array, static: tuple[int, int]) -> Array:
    """The sum of stretches along an axis where each belongs."""
    size, axis = static
    count = x.shape[axis]
    found = np.zeros((*x.shape[:axis], count + size - 1, *x.shape[axis + 1 : -1]))
    along = np.moveaxis(found, axis, 0)
    stretches = np.moveaxis(x, axis, 0)
    for at in range(size):
        along[at : at + count] += stretches[..., at]
    return found
