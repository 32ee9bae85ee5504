"""Rows of numbers on arrays, element by element: by numpy's functions, or as compiled code spells.

A row that numpy has is one call. Rows that are used much are written here in few passes; any other
goes as ``lowering`` spells it, on arrays in place of numbers, or else number by number. Results
stand in C order, so that the bits of what is computed from them depend on the program alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from math import inf
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops import table as ops
from tapegrad.ops.lowering import LOWER, NEAR, Spelling, Usually
from tapegrad.ops.primitive import Primitive

__all__ = ["compute", "each", "function_of", "is_exact", "ufunc_of"]

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[..., Any]


def compute(row: Primitive, operands: tuple[Any, ...]) -> Any:
    """The value of a row on operands of which one at least is an array."""
    return function_of(row)(*operands)


@cache
def function_of(row: Primitive) -> Function:
    """The function that computes a row on operands of which one at least is an array.

    What it gives has the operands' common shape, and stands in C order.
    """
    if row.array is not None:
        return row.value
    found = ufunc_of(row) or _OWN.get(row)
    if found is None:
        spelling = NEAR.get(row) or LOWER.get(row)
        found = partial(_one_by_one, row) if spelling is None else partial(_spelled, row, spelling)
    return _in_order(found) if isinstance(found, np.ufunc) else partial(_whole, found)


def ufunc_of(row: Primitive) -> np.ufunc | None:
    """The function of numpy's that computes a row by itself, if one does."""
    found = _OWN.get(row)
    if found is None and row.core and row.ufuncs:
        found = getattr(np, row.ufuncs[0])
    return found if isinstance(found, np.ufunc) else None


def is_exact(row: Primitive) -> bool:
    """Whether the bits of a row's result do not depend on how operands stand in memory."""
    return ufunc_of(row) in _EXACT or row is ops.detached


_EXACT: Final = frozenset({
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.absolute, np.sqrt, np.floor,
    np.ceil, np.trunc, np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.isnan, np.isinf, np.isfinite, np.copysign,
})  # fmt: skip
"""The functions whose bits do not depend on how their operands stand in memory."""


def _in_order(ufunc: np.ufunc) -> Function:
    """One of numpy's functions; what it gives stands in C order."""

    def function(*operands: Any) -> Any:
        found: Any = ufunc(*operands)
        return found if found.flags.c_contiguous else np.ascontiguousarray(found)

    return function


def _whole(function: Function, *operands: Any) -> Any:
    """The result of a function in C order; one number everywhere becomes an array."""
    found = function(*operands)
    if type(found) is np.ndarray:
        return found if found.flags.c_contiguous else np.ascontiguousarray(found)
    return np.full(np.broadcast_shapes(*map(np.shape, operands)), found)


def _spelled(row: Primitive, spelling: Spelling, *operands: Any) -> Any:
    """A row in others, and number by number where the spelling does not hold."""
    found = spelling(*operands)
    if found is None:
        return _one_by_one(row, *operands)
    if not isinstance(found, Usually):
        return found
    holds: Any = found.holds
    if np.all(holds):
        return found.value
    rare = _one_by_one(row, *operands, where=np.logical_not(holds))
    return np.where(np.asarray(holds, bool), cast(Any, found.value), rare)


def _one_by_one(row: Primitive, *operands: Any, where: Any = True) -> Array:
    """The row's own function for each element, or for those ``where`` it is wanted."""
    given = operands[: len(operands) - row.has_static]
    static = operands[len(given) :]
    found = each(lambda *numbers: row.value(*numbers, *static), *given, where=where)
    return found.astype(bool if row.is_truth else np.float64)


def each(function: Function, *given: Any, where: Any = True) -> Array:
    """A function of numbers for each element, or for those ``where`` it is wanted, as objects."""
    out = np.zeros(np.broadcast_shapes(*map(np.shape, given)), object)
    applied = np.frompyfunc(function, len(given), 1)
    applied(*(np.asarray(x, object) for x in given), out=out, where=where)
    return out


# Rows in few passes.


def _where(condition: Any, x: Any, y: Any) -> Any:
    if type(condition) is not np.ndarray and np.shape(x) == np.shape(y):
        return x if condition else y
    return np.where(condition, x, y)


def _maximum(x: Any, y: Any) -> Any:
    """The larger; of two zeros the first, where numpy takes either."""
    found = np.maximum(x, y)
    return found if np.count_nonzero(found) == found.size else np.where(np.equal(x, y), x, found)


def _minimum(x: Any, y: Any) -> Any:
    """The smaller; of two zeros the first, where numpy takes either."""
    found = np.minimum(x, y)
    return found if np.count_nonzero(found) == found.size else np.where(np.equal(x, y), x, found)


def _mean(*xs: Any) -> Any:
    """A mean, in which zeros of either sign give 0.0."""
    return _spelled(ops.mean, NEAR[ops.mean], *xs) + 0.0


def _dot(*xs: Any) -> Any:
    """A sum of products, in which zeros of either sign give 0.0."""
    return _spelled(ops.dot, NEAR[ops.dot], *xs) + 0.0


def _power(x: Any, y: Any) -> Any:
    """A power; for the exponent 0.5 numpy takes the root, which differs at -0.0 and -inf."""
    if type(y) is not np.ndarray and y == 0.5:
        return np.where(x == -inf, inf, np.sqrt(x) + 0.0)
    return np.power(x, y)


def _constant_power(x: Array, n: float) -> Array:
    if n == 2.0:
        return x * x
    if n == 1.0:
        return x.copy()
    if n == -1.0:
        return np.reciprocal(x)
    return cast(Array, _power(x, n))


def _constant_power_slope(x: Array, n: float) -> Any:
    if n == 2.0:
        return 2.0 * x
    if n == 1.0:
        return np.ones(x.shape)
    return _spelled(ops.powc_slope, NEAR[ops.powc_slope], x, n)


def _sech2(x: Array) -> Array:
    """1 / cosh(x), squared: nothing overflows before the result is 0."""
    found: Array = np.cosh(x)
    np.reciprocal(found, found)
    np.multiply(found, found, found)
    return found


def _sigmoid(x: Array) -> Array:
    """e / (1 + e) for e = exp(-|x|), and 1 / (1 + e) for x >= 0."""
    e: Array = np.abs(x)
    np.negative(e, e)
    np.exp(e, e)
    below = e + 1.0
    np.maximum(e, x >= 0.0, out=e)
    np.divide(e, below, e)
    return e


def _softplus(x: Array) -> Array:
    """The larger of x and 0, and log(1 + exp(-|x|))."""
    rest: Array = np.abs(x)
    np.negative(rest, rest)
    np.exp(rest, rest)
    np.log1p(rest, rest)
    larger: Array = np.maximum(x, 0.0)
    np.add(larger, rest, larger)
    return larger


def _logaddexp(x: Any, y: Any) -> Any:
    """The larger, and log(1 + exp(-|x - y|)); infinities that are equal have no difference."""
    rest: Array = np.subtract(x, y)
    np.abs(rest, rest)
    np.negative(rest, rest)
    np.exp(rest, rest)
    np.log1p(rest, rest)
    larger: Array = np.maximum(x, y)
    if np.isnan(rest).any():
        np.copyto(rest, 0.0, where=np.isinf(larger))
    np.add(larger, rest, larger)
    return larger


def _softmax(x: Any, *others: Any) -> Any:
    if len(others) == 1 and type(others[0]) is float and others[0] == 0.0:
        return _sigmoid(x)
    return _spelled(ops.softmax, NEAR[ops.softmax], x, *others)


def _by_square(x: Any, y: Any) -> Any:
    """x / y / y where the first quotient is in the middle of the range."""
    quotient = x / y
    size = np.abs(quotient)
    if not size.size or (size.min() > 1e-290 and size.max() < 1e290):
        return quotient / y
    return _spelled(ops.div2, LOWER[ops.div2], x, y)


def _win(x: Any, y: Any) -> Any:
    """1 for x > y, 0.5 at a tie, and nan where they cannot be compared."""
    found: Array = np.subtract(x, y)
    np.sign(found, found)
    np.multiply(found, 0.5, found)
    np.add(found, 0.5, found)
    if np.isnan(found).any():
        np.copyto(found, 0.5, where=np.equal(x, y))
    return found


def _step(x: Array) -> Array:
    found = np.greater(x, 0.0).astype(np.float64)
    odd = np.not_equal(x, x)
    return np.where(odd, np.nan, found) if np.any(odd) else found


_OWN: Final[Mapping[Primitive, Function]] = {
    ops.where: _where,
    ops.pow: _power,
    ops.powc: _constant_power,
    ops.powc_slope: _constant_power_slope,
    ops.detached: np.array,
    ops.maximum: _maximum,
    ops.minimum: _minimum,
    ops.mean: _mean,
    ops.dot: _dot,
    ops.sech2: _sech2,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.logaddexp: _logaddexp,
    ops.softmax: _softmax,
    ops.div2: _by_square,
    ops.win: _win,
    ops.step: _step,
}
"""The functions of rows that have a better way than their spelling."""
