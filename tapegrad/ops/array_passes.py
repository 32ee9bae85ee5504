"""Rows of numbers on arrays in few passes: numpy's functions, and functions made of these.

Any other row goes as ``array_code`` spells it, or number by number. What is computed depends on
the numbers alone, not on how they stand in memory, where ``is_exact`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["PASSES", "by_numbers", "each", "is_exact", "one_by_one", "ufunc_of", "with_rare"]

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[..., Any]


def ufunc_of(row: Primitive) -> np.ufunc | None:
    """The function of numpy's that computes a row by itself, if one does."""
    found = PASSES.get(row)
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
    np.sign, np.rint,
})  # fmt: skip
"""The functions whose bits do not depend on how their operands stand in memory."""


def with_rare(row: Primitive, found: Any, holds: Any, *operands: Any) -> Any:
    """Replaces elements of what was found, where it does not hold, by the row's own."""
    rare = one_by_one(row, *operands, where=np.logical_not(holds))
    return np.where(np.asarray(holds, bool), found, rare)


def by_numbers(row: Primitive, *operands: Any) -> Array:
    """The row's own function for each element, one after the other."""
    value, arrays = row.value, [x for x in operands if type(x) is np.ndarray]
    shape = arrays[0].shape
    if any(x.shape != shape for x in arrays):
        return one_by_one(row, *operands)
    size = arrays[0].size
    columns = [x.ravel().tolist() if type(x) is np.ndarray else [x] * size for x in operands]
    return np.array(list(map(value, *columns)), bool if row.is_truth else float).reshape(shape)


def one_by_one(row: Primitive, *operands: Any, where: Any = True) -> Array:
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
    return np.ones(x.shape) if n == 1.0 else None


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
    return None


def _positive_quotient(x: Any, y: Any) -> Any:
    """The quotient, and nan below 0."""
    found: Array = np.divide(x, np.abs(y))
    below = np.less(y, 0.0)
    if np.count_nonzero(below):
        np.copyto(found, np.nan, where=below)
    return found


def _by_square(x: Any, y: Any) -> Any:
    """x / y / y where the first quotient is in the middle of the range."""
    quotient = np.divide(x, y)
    size = np.abs(quotient)
    inside = (size > 1e-290) & (size < 1e290)
    return np.divide(quotient, y) if np.count_nonzero(inside) == size.size else None


def _win(x: Any, y: Any) -> Any:
    """1 for x > y, 0.5 at a tie, and nan where they cannot be compared."""
    found: Array = np.heaviside(np.subtract(x, y), 0.5)
    if np.count_nonzero(found == found) != found.size:
        np.copyto(found, 0.5, where=np.equal(x, y))
    return found


def _hypot(*xs: Any) -> Any:
    return np.hypot(*xs) if len(xs) == 2 else None


def _step(x: Array) -> Any:
    """1 above 0, else 0, and nan where that is nan."""
    return np.heaviside(x, 0.0)


def _relu(x: Array) -> Any:
    """The larger of x and 0, which is 0.0."""
    found: Array = np.maximum(x, 0.0)
    return np.add(found, 0.0, found)


PASSES: Final[Mapping[Primitive, Function]] = {
    ops.where: _where,
    ops.pow: _power,
    ops.powc: _constant_power,
    ops.powc_slope: _constant_power_slope,
    ops.detached: np.array,
    ops.maximum: _maximum,
    ops.minimum: _minimum,
    ops.sign: np.sign,
    ops.hypot: _hypot,
    ops.div_pos: _positive_quotient,
    ops.sech2: _sech2,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.logaddexp: _logaddexp,
    ops.softmax: _softmax,
    ops.div2: _by_square,
    ops.win: _win,
    ops.step: _step,
    ops.relu: _relu,
    ops.floordiv: np.floor_divide,
    ops.mod: np.remainder,
    ops.round: np.rint,
}
"""The functions of rows that have a better way than their spelling; None is for that."""
