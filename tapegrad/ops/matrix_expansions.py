"""How inverses, determinants and sums of products go number by number.

Rows of a matrix change places by choices, as the largest number of a column is found where it
stands; so a batch of matrices is one program. Factors that are found step by step, eigenvalues and
singular values among them, have no expansion.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from itertools import product
from math import nan
from typing import Any, cast

import numpy as np

from tapegrad.ops import matrix_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_expansions import EXPANSIONS, Numbers, expands
from tapegrad.ops.matrix_values import Sides
from tapegrad.ops.primitive import Operand

__all__ = ["EXPANSIONS"]


def _filled(shape: tuple[int, ...], number: float) -> Numbers:
    found = np.empty(shape, object)
    found.fill(number)
    return found


def _each(function: Callable[..., Numbers], *stacks: Numbers) -> Numbers:
    """The results for the matrices of stacks, which are broadcast together."""
    lead = np.broadcast_shapes(*(x.shape[:-2] for x in stacks))
    spread = [np.broadcast_to(x, lead + x.shape[-2:]) for x in stacks]
    found = [function(*(x[at] for x in spread)) for at in np.ndindex(lead)]
    return np.array(found, object).reshape(lead + found[0].shape) if lead else found[0]


def _eliminated(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers, Operand]:
    """The triangular matrix of a, b after the same steps, and the sign of the order of rows."""
    n = len(a)
    both, sign = np.concatenate([a, b], axis=1), cast(Operand, 1.0)
    for k in range(n):
        for i in range(k + 1, n):
            is_larger = ops.gt(ops.abs(both[i, k]), ops.abs(both[k, k]))
            sign = ops.where(is_larger, ops.neg(sign), sign)
            for j in range(k, both.shape[1]):
                upper, lower = both[k, j], both[i, j]
                both[k, j] = ops.where(is_larger, lower, upper)
                both[i, j] = ops.where(is_larger, upper, lower)
        pivot = ops.where(ops.eq(both[k, k], 0.0), 1.0, both[k, k])
        for i in range(k + 1, n):
            factor = ops.div(both[i, k], pivot)
            for j in range(k + 1, both.shape[1]):
                both[i, j] = ops.sub(both[i, j], ops.mul(factor, both[k, j]))
    return both[:, :n], both[:, n:], sign


def _pivots(a: Numbers) -> tuple[list[Operand], Operand]:
    upper, _, sign = _eliminated(a, np.empty((len(a), 0), object))
    return list(np.diagonal(upper)), sign


def _solved(a: Numbers, b: Numbers) -> Numbers:
    """The solution, which is nan where a pivot is 0."""
    upper, found, _ = _eliminated(a, b)
    for k in reversed(range(len(a))):
        pivot = ops.where(ops.eq(upper[k, k], 0.0), nan, upper[k, k])
        for j in range(b.shape[1]):
            known = (ops.mul(upper[k, i], found[i, j]) for i in range(k + 1, len(a)))
            found[k, j] = ops.div(reduce(ops.sub, known, found[k, j]), pivot)
    whole = reduce(ops.add, found.ravel(), cast(Operand, 0.0))
    return _chosen(ops.not_(ops.isnan(whole)), found)


def _chosen(condition: Operand, x: Numbers) -> Numbers:
    """The numbers where a condition holds, else nan."""
    found = np.empty(x.shape, object)
    for at in np.ndindex(x.shape):
        found[at] = ops.where(condition, cast(Operand, x[at]), nan)
    return found


@expands(rows.solve)
def _solve(a: Numbers, b: Numbers) -> Numbers:
    if b.ndim == 1:
        return _each(_solved, a, b[:, None])[..., 0]
    return _each(_solved, a, b)


@expands(rows.solve_triangular)
def _solve_triangular(a: Numbers, b: Numbers, sides: Sides) -> Numbers:
    if b.ndim == 1:
        return _each(partial(_substituted, sides=sides), a, b[:, None])[..., 0]
    return _each(partial(_substituted, sides=sides), a, b)


def _substituted(a: Numbers, b: Numbers, *, sides: Sides) -> Numbers:
    """The solution for a triangle, which is nan where its diagonal has a 0."""
    lower, transposed, unit = sides
    t, n = a.T if transposed else a, len(a)
    is_lower, found = lower != transposed, b.copy()
    holds = ops.eq(0.0, 0.0)
    for i in range(n) if is_lower else reversed(range(n)):
        known = range(i) if is_lower else range(i + 1, n)
        if not unit:
            holds = ops.and_(holds, ops.ne(t[i, i], 0.0))
        for j in range(b.shape[1]):
            rest = reduce(ops.sub, (ops.mul(t[i, k], found[k, j]) for k in known), found[i, j])
            found[i, j] = rest if unit else ops.div(rest, t[i, i])
    return _chosen(holds, found)


@expands(rows.inv)
def _inv(a: Numbers) -> Numbers:
    identity = _filled(a.shape[-2:], 0.0)
    np.fill_diagonal(identity, 1.0)
    return _each(_solved, a, identity)


def _determinant(a: Numbers) -> Numbers:
    pivots, sign = _pivots(a)
    found = np.empty((), object)
    found[()] = reduce(ops.mul, pivots, sign)
    return found


@expands(rows.det)
def _det(a: Numbers) -> Numbers:
    return _each(_determinant, a)


@expands(rows.cofactor)
def _cofactor(a: Numbers) -> Numbers:
    return _each(_cofactors, a)


def _cofactors(a: Numbers) -> Numbers:
    found = np.empty(a.shape, object)
    for i, j in np.ndindex(a.shape):
        minor = cast(Operand, _determinant(np.delete(np.delete(a, i, 0), j, 1))[()])
        found[i, j] = ops.neg(minor) if (i + j) % 2 else minor
    return found


@expands(rows.slogdet)
def _slogdet(a: Numbers) -> Numbers:
    return _each(_sign_and_logarithm, a)


def _sign_and_logarithm(a: Numbers) -> Numbers:
    pivots, sign = _pivots(a)
    signs = reduce(ops.mul, map(ops.sign, pivots), sign)
    sizes = (ops.log(ops.abs(pivot)) for pivot in pivots)
    return np.array([signs, reduce(ops.add, sizes, cast(Operand, 0.0))], object)


@expands(rows.cholesky)
def _cholesky(a: Numbers) -> Numbers:
    return _each(_factor, a)


def _factor(a: Numbers) -> Numbers:
    """The lower triangular factor of the symmetric part, all nan where there is none."""
    found, n = _filled(a.shape, 0.0), len(a)
    holds = ops.eq(0.0, 0.0)
    for j in range(n):
        for i in range(j, n):
            rest = ops.mul(ops.add(a[i, j], a[j, i]), 0.5)
            for k in range(j):
                rest = ops.sub(rest, ops.mul(found[i, k], found[j, k]))
            if i == j:
                holds = ops.and_(holds, ops.gt(rest, 0.0))
            found[i, j] = ops.sqrt(rest) if i == j else ops.div(rest, found[j, j])
    return _chosen(holds, found)


# Sums of products.


@expands(rows.einsum)
def _einsum(*given: Any) -> Numbers:
    inputs, output = str(given[-1]).split("->")
    letters = inputs.split(",")
    arrays = given[:-1]
    pairs = zip(letters, arrays, strict=True)
    sizes = {c: n for part, x in pairs for c, n in zip(part, x.shape, strict=True)}
    summed = [c for c in sizes if c not in output]
    found = np.empty([sizes[c] for c in output], object)
    for at in np.ndindex(found.shape):
        total: Operand | None = None
        for inner in product(*(range(sizes[c]) for c in summed)):
            place = {**dict(zip(output, at, strict=True)), **dict(zip(summed, inner, strict=True))}
            numbers = [
                x[tuple(place[c] for c in part)] for part, x in zip(letters, arrays, strict=True)
            ]
            term = reduce(ops.mul, numbers)
            total = term if total is None else ops.add(total, term)
        found[at] = 0.0 if total is None else total
    return found


@expands(rows.windows)
def _windows(x: Numbers, static: tuple[int, int]) -> Numbers:
    return np.lib.stride_tricks.sliding_window_view(x, *static)


@expands(rows.window_sum)
def _window_sum(x: Numbers, static: tuple[int, int]) -> Numbers:
    size, axis = static
    stretches = np.moveaxis(x, axis, 0)
    found = _filled((len(stretches) + size - 1, *stretches.shape[1:-1]), 0.0)
    for at in np.ndindex(stretches.shape[:-1]):
        for shift in range(size):
            place = (at[0] + shift, *at[1:])
            found[place] = ops.add(found[place], stretches[(*at, shift)])
    return np.moveaxis(found, 0, axis)


@expands(rows.convolve)
def _convolve(x: Numbers, y: Numbers, mode: str) -> Numbers:
    n, m = len(x), len(y)
    starts = range(n + m - 1) if mode == "full" else range(m - 1, n)
    found = np.empty(len(starts), object)
    for at, start in enumerate(starts):
        pairs = [(x[start - j], y[j]) for j in range(m) if 0 <= start - j < n]
        found[at] = reduce(ops.add, [ops.mul(*pair) for pair in pairs])
    return found
