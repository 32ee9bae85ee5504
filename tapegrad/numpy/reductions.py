"""Functions that take numbers together along axes: sums, products, norms, extremes, truths."""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from math import prod as product
from typing import Any, Final, Literal, cast, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import (
    Arr,
    ArrayLike,
    Data,
    Floats,
    Function,
    Number,
    Numbers,
    Shape,
    beside,
    cut,
    indicator,
    is_traced,
    operand,
    place_of,
)
from tapegrad.numpy.elementwise import divide, isclose, isnan, where
from tapegrad.numpy.signatures import Reduction, Spread, Truth, agreement, kept, matrix, reduction
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, shape_of
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, Axes, axes_of, extreme
from tapegrad.recording.recorder import TracedValue, Var, condition

__all__ = [
    "all", "allclose", "amax", "amin", "any", "array_equal", "average", "count_nonzero", "cumprod",
    "cumsum", "cumulative_prod", "cumulative_sum", "diff", "log_softmax", "logsumexp", "max",
    "mean", "min", "nanmean", "nansum", "norm", "prod", "ptp", "softmax", "std", "sum",
    "trapezoid", "var",
]  # fmt: skip


def _offered(function: Function, name: str, theirs: Function) -> Function:
    function.__name__ = function.__qualname__ = name
    return beside(theirs)(function)


def _along(row: Primitive, x: Operand, axis: Axes, keepdims: bool) -> Operand:
    axes = axes_of(axis, len(shape_of(x)))
    if shape_of(x):
        return row(x, (axes, keepdims))
    return ops.abs(x) if row is rows.norm else x


def _count(x: Operand, axis: Axes) -> float:
    shape = shape_of(x)
    return float(product(shape[at] for at in axes_of(axis, len(shape))))


def _of_row(row: Primitive, name: str, theirs: Function) -> Reduction:
    def function(x: Any, /, axis: Axes = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
        return _along(row, operand(x), axis, keepdims)

    function.__doc__ = row.doc
    return cast("Reduction", _offered(function, name, theirs))


def _extreme(row: Primitive, name: str, theirs: Function) -> Reduction:
    def function(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return extreme(row, operand(x), axis, keepdims=keepdims)

    function.__doc__ = row.doc
    return cast("Reduction", _offered(function, name, theirs))


def _mean(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
    """The mean, of all numbers or along axes."""
    found = operand(x)
    total, count = _along(rows.sum_, found, axis, keepdims), _count(found, axis)
    return cast(Any, total) / count if isinstance(total, TracedValue) else ops.div(total, count)


def _prod(x: Any, /, axis: Axes = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product, of all numbers or along axes: of halves, so that zeros have their slopes."""
    found = operand(x)
    shape, axes = shape_of(found), axes_of(axis, len(shape_of(found)))
    left = tuple(1 if at in axes else n for at, n in enumerate(shape) if keepdims or at not in axes)
    if not product(shape):
        return np.ones(left) if left else 1.0
    found = _last(found, axes)
    while (n := shape_of(found)[-1]) > 1:
        half = n // 2
        rest = cut(found, 2 * half, n)
        found = ops.mul(cut(found, 0, half), cut(found, half, 2 * half))
        if n % 2:
            found = rows.concatenate(found, rest, len(shape_of(found)) - 1)
    return rows.reshape(found, left)


def _last(x: Operand, axes: Shape) -> Operand:
    """An array with the axes as one, which is the last."""
    shape = shape_of(x)
    rest = tuple(at for at in range(len(shape)) if at not in axes)
    if (*rest, *axes) != tuple(range(len(shape))):
        x = rows.transpose(x, (*rest, *axes))
    return rows.reshape(x, (*(shape[at] for at in rest), product(shape[at] for at in axes)))


def _logsumexp(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), of all numbers or along axes."""
    found = operand(x)
    top = _finite_top(found, axis)
    total = _along(rows.sum_, ops.exp(ops.sub(found, top)), axis, keepdims)
    if shape_of(top) != shape_of(total):
        top = rows.reshape(top, shape_of(total))
    return ops.add(ops.log(total), top)


def _finite_top(x: Operand, axis: Axes) -> Operand:
    """The largest numbers as constants, 0 for those that are not finite; their axes stay."""
    if not product(shape_of(x)):
        return _along(rows.sum_, x, axis, keepdims=True)
    top = ops.detached(_along(rows.amax, x, axis, keepdims=True))
    return ops.where(ops.isfinite(top), top, 0.0)


def _norm(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
    """The Euclidean norm, of all numbers or along axes; slope 0 at the origin."""
    return _along(rows.norm, operand(x), axis, keepdims)


def _numpys_norm(x: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return np.sqrt(np.sum(np.abs(x) ** 2, axis, keepdims=keepdims))


def _floats(function: Function) -> Function:
    """A function of numpy's own kind for arrays of other numbers than float64."""
    return lambda x, *args, **options: function(np.asarray(x, np.float64), *args, **options)


# fmt: off
sum: Final       = _of_row(rows.sum_, "sum", np.sum)
max: Final       = _extreme(rows.amax, "max", np.max)
min: Final       = _extreme(rows.amin, "min", np.min)
mean: Final      = cast("Reduction", _offered(_mean, "mean", np.mean))
prod: Final      = cast("Reduction", _offered(_prod, "prod", np.prod))
norm: Final      = cast("Reduction", _offered(_norm, "norm", _numpys_norm))
logsumexp: Final = cast("Reduction", _offered(_logsumexp, "logsumexp", _floats(_logsumexp)))
# fmt: on
amax: Final = max
amin: Final = min


def _deviations(x: Operand, axis: Axes) -> Operand:
    mean = ops.div(_along(rows.sum_, x, axis, keepdims=True), _count(x, axis))
    return ops.sub(x, mean)


def _var(x: Any, /, axis: Axes = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance: the squares' sum is divided by their number less ``correction``."""
    found = operand(x)
    gap = _deviations(found, axis)
    squares = _along(rows.sum_, ops.mul(gap, gap), axis, keepdims)
    return ops.div(squares, _left(found, axis, correction))


def _std(x: Any, /, axis: Axes = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The root of the variance; slope 0 where all numbers are equal."""
    found = operand(x)
    length = _along(rows.norm, _deviations(found, axis), axis, keepdims)
    return ops.div(length, _left(found, axis, correction) ** 0.5)


def _left(x: Operand, axis: Axes, correction: float) -> float:
    return float(np.maximum(_count(x, axis) - correction, 0.0))


var: Final = cast("Spread", _offered(_var, "var", np.var))
std: Final = cast("Spread", _offered(_std, "std", np.std))


@reduction
def ptp(x: ArrayLike, /, axis: Axes = None, *, keepdims: bool = False) -> ArrayLike:
    """The largest less the smallest, of all numbers or along axes."""
    return max(x, axis, keepdims=keepdims) - min(x, axis, keepdims=keepdims)


@overload
def average(x: Floats, /, axis: None = None, weights: Data | None = None) -> float: ...
@overload
def average(x: ArrayVar, /, axis: None = None, weights: ArrayVar | Data | None = None) -> Var: ...
@overload
def average(x: Data, /, axis: None = None, *, weights: ArrayVar) -> Var: ...
@overload
def average(x: Data, /, axis: None = None, weights: Data | None = None) -> float: ...
@overload
def average(x: Arr, /, axis: None = None, weights: Arr | Data | None = None) -> np.float64: ...
@overload
def average(x: Data, /, axis: None = None, *, weights: Arr) -> np.float64: ...
@overload
def average(x: Arr, /, axis: int, weights: Data | None = None) -> Arr: ...
@overload
def average(x: Data, /, axis: int, weights: Arr) -> Arr: ...
@overload
def average(x: Arr, /, axis: int, weights: Arr) -> Arr: ...
def average(
    x: ArrayLike, /, axis: int | None = None, weights: ArrayLike | None = None
) -> ArrayLike:
    """The mean, weighted along an axis."""
    if weights is None:
        return mean(x, axis)
    found, of = operand(x), operand(weights)
    if shape_of(of) != shape_of(found) and axis is not None:
        shape = [1] * len(shape_of(found))
        shape[axis] = shape_of(found)[axis]
        of = rows.broadcast_to(rows.reshape(of, tuple(shape)), shape_of(found))
    return ops.div(
        _along(rows.sum_, ops.mul(found, of), axis, False), _along(rows.sum_, of, axis, False)
    )


@reduction
def nansum(x: ArrayLike, /, axis: Axes = None, *, keepdims: bool = False) -> ArrayLike:
    """The sum of the numbers that are not nan, of all or along axes."""
    return sum(where(isnan(x), 0.0, x), axis, keepdims=keepdims)


@reduction
def nanmean(x: ArrayLike, /, axis: Axes = None, *, keepdims: bool = False) -> ArrayLike:
    """The mean of the numbers that are not nan, of all or along axes."""
    count = sum(where(isnan(x), 0.0, 1.0), axis, keepdims=keepdims)
    return divide(nansum(x, axis, keepdims=keepdims), count)


@matrix
def softmax(x: ArrayLike, /, axis: int = -1) -> ArrayLike:
    """exp(x) / sum(exp(x)) along an axis."""
    found = operand(x)
    exps = ops.exp(ops.sub(found, _finite_top(found, axis)))
    return ops.div(exps, _along(rows.sum_, exps, axis, keepdims=True))


@matrix
def log_softmax(x: ArrayLike, /, axis: int = -1) -> ArrayLike:
    """The logarithm of ``softmax``."""
    found = operand(x)
    below = ops.sub(found, _finite_top(found, axis))
    total = _along(rows.sum_, ops.exp(below), axis, keepdims=True)
    return ops.sub(below, ops.log(total))


# Running sums and products.


@kept
@beside(np.cumulative_sum)
def cumulative_sum(
    x: ArrayLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> ArrayLike:
    """The running sum along an axis."""
    found = operand(x)
    at = _only_axis(found, axis)
    total = rows.cumsum(found, at)
    return _with_initial(total, at, 0.0) if include_initial else total


@kept
@beside(np.cumulative_prod)
def cumulative_prod(
    x: ArrayLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> ArrayLike:
    """The running product along an axis: of 2, 4, 8, ... numbers, so that zeros have slopes."""
    found = operand(x)
    at = _only_axis(found, axis)
    step, n = 1, shape_of(found)[at]
    while step < n:
        begun = cut(found, 0, step, at)
        rest = ops.mul(cut(found, step, n, at), cut(found, 0, n - step, at))
        found, step = rows.concatenate(begun, rest, at), 2 * step
    return _with_initial(found, at, 1.0) if include_initial else found


def _only_axis(x: Operand, axis: int | None) -> int:
    if axis is None and len(shape_of(x)) != 1:
        raise InputError(f"the axis at {here()} is missing: an array of one axis alone needs none")
    return 0 if axis is None else place_of(axis, len(shape_of(x)))


def _with_initial(x: Operand, axis: int, initial: float) -> Operand:
    shape = list(shape_of(x))
    shape[axis] = 1
    return rows.concatenate(cast(Operand, np.full(shape, initial)), x, axis)


@kept
def cumsum(x: ArrayLike, /, axis: int | None = None) -> ArrayLike:
    """The running sum along an axis, or of all numbers in one row."""
    return cumulative_sum(_flat(x), axis=0) if axis is None else cumulative_sum(x, axis=axis)


@kept
def cumprod(x: ArrayLike, /, axis: int | None = None) -> ArrayLike:
    """The running product along an axis, or of all numbers in one row."""
    return cumulative_prod(_flat(x), axis=0) if axis is None else cumulative_prod(x, axis=axis)


def _flat(x: Any) -> Any:
    if not is_traced(x):
        return np.ravel(x)
    found = operand(x)
    return rows.reshape(found, (product(shape_of(found)),))


@kept
@beside(np.diff)
def diff(
    x: ArrayLike,
    /,
    n: int = 1,
    axis: int = -1,
    prepend: Numbers | Number | None = None,
    append: Numbers | Number | None = None,
) -> ArrayLike:
    """The differences of neighbours along an axis, taken ``n`` times."""
    found = operand(x)
    at = place_of(axis, len(shape_of(found)))
    ends = [
        None if end is None else _end(operand(end), shape_of(found), at)
        for end in (prepend, append)
    ]
    parts = [part for part in (ends[0], found, ends[1]) if part is not None]
    if len(parts) > 1:
        found = rows.concatenate(*parts, at)
    for _ in range(n):
        length = shape_of(found)[at]
        found = ops.sub(cut(found, 1, length, at), cut(found, 0, length - 1 if length else 0, at))
    return found


def _end(end: Operand, shape: Shape, axis: int) -> Operand:
    if shape_of(end):
        return end
    return rows.broadcast_to(end, (*shape[:axis], 1, *shape[axis + 1 :]))


@overload
def trapezoid(y: Floats, x: Data | None = None, dx: float = 1.0) -> float: ...
@overload
def trapezoid(y: ArrayVar, x: ArrayVar | Data | None = None, dx: Number = 1.0) -> Var: ...
@overload
def trapezoid(y: Data, x: ArrayVar) -> Var: ...
@overload
def trapezoid(y: Data, x: Data | None = None, dx: float = 1.0) -> float: ...
@overload
def trapezoid(y: Arr, x: Arr | Data | None = None, dx: float = 1.0) -> np.float64: ...
@overload
def trapezoid(y: Data, x: Arr) -> np.float64: ...
@overload
def trapezoid(y: Arr, x: Data | None = None, dx: float = 1.0, *, axis: int) -> Arr: ...
@overload
def trapezoid(y: Data, x: Arr, *, axis: int) -> Arr: ...
@overload
def trapezoid(y: Arr, x: Arr, *, axis: int) -> Arr: ...
@beside(np.trapezoid)
def trapezoid(
    y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1
) -> ArrayLike:
    """The integral of y along an axis by trapezoids, at places x or in steps of dx."""
    found = operand(y)
    at = place_of(axis, len(shape_of(found)))
    n = shape_of(found)[at]
    step = operand(dx) if x is None else diff(x, axis=-1 if len(shape_of(operand(x))) == 1 else at)
    if len(shape_of(step)) == 1 and len(shape_of(found)) > 1:
        step = rows.reshape(step, (shape_of(step)[0], *[1] * (len(shape_of(found)) - at - 1)))
    both = ops.add(cut(found, 1, n, at), cut(found, 0, n - 1, at))
    return _along(rows.sum_, ops.mul(ops.mul(step, both), 0.5), at, False)


# Truths.


def _truth(row: Primitive, name: str, theirs: Function) -> Truth:
    def function(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
        if not is_traced(x):
            return theirs(x, axis=axis, keepdims=keepdims)
        found = indicator(x)
        if not shape_of(found):
            return condition(ops.ne, found, 0.0)
        return condition(row, found, cast(Operand, (axes_of(axis, len(shape_of(found))), keepdims)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = row.doc
    return cast("Truth", function)


all: Final = _truth(rows.every, "all", np.all)
any: Final = _truth(rows.some, "any", np.any)


@overload
def count_nonzero(x: Data, /, axis: None = None, *, keepdims: Literal[False] = False) -> int: ...
@overload
def count_nonzero(
    x: ArrayVar | ArrayCondition, /, axis: None = None, *, keepdims: Literal[False] = False
) -> Var: ...
@overload
def count_nonzero(
    x: Arr, /, axis: None = None, *, keepdims: Literal[False] = False
) -> np.float64: ...
@overload
def count_nonzero(x: Data, /, axis: Axes, *, keepdims: bool = False) -> NDArray[np.intp]: ...
@overload
def count_nonzero(
    x: ArrayVar | ArrayCondition, /, axis: Axes, *, keepdims: bool = False
) -> ArrayVar: ...
@overload
def count_nonzero(
    x: Arr, /, axis: Axes, *, keepdims: bool = False
) -> NDArray[np.intp] | ArrayVar: ...
def count_nonzero(x: ArrayLike, /, axis: Axes = None, *, keepdims: bool = False) -> ArrayLike:
    """How many numbers are not 0, or truths hold; a whole number, without a derivative."""
    if not is_traced(x):
        return np.count_nonzero(x, axis=axis, keepdims=keepdims)
    return _along(rows.sum_, ops.where(ops.ne(indicator(x), 0.0), 1.0, 0.0), axis, keepdims)


@agreement
def array_equal(x1: ArrayLike, x2: ArrayLike, /) -> ArrayLike:
    """Whether two arrays have one shape and the same numbers."""
    if not is_traced(x1, x2):
        return np.array_equal(x1, x2)
    x, y = operand(x1), operand(x2)
    return shape_of(x) == shape_of(y) and all(cast(Any, condition(ops.eq, x, y)))


@agreement
def allclose(x1: ArrayLike, x2: ArrayLike, /, rtol: float = 1e-5, atol: float = 1e-8) -> ArrayLike:
    """Whether all numbers differ by ``atol + rtol * abs(x2)`` at most."""
    return all(isclose(x1, x2, rtol, atol))
