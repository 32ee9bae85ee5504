"""Rows of numbers on arrays in few passes: numpy's functions, and functions made of these.

Any other row goes as ``array_code`` spells it, or number by number. What is computed depends on
the numbers alone, not on how they stand in memory, where ``is_exact`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf, isfinite
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.ops.special import INV_SQRT_2PI

__all__ = [
    "EXACT", "HIGHEST", "LARGE", "LOWEST", "PASSES", "by_numbers", "direct_function", "each",
    "has_bits_of_numbers", "is_above", "is_below", "is_exact", "is_own", "one_by_one", "ufunc_of",
    "with_rare",
]  # fmt: skip

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[..., Any]


@lru_cache(maxsize=1 << 9)
def ufunc_of(row: Primitive) -> np.ufunc | None:
    """The function of numpy's that computes a row by itself, if one does."""
    found = PASSES.get(row)
    if found is None and row.core and row.ufuncs:
        found = getattr(np, row.ufuncs[0])
    return found if isinstance(found, np.ufunc) else None


def direct_function(row: Primitive) -> Function | None:
    """The function that computes a row by itself, if there is one: numpy's own, or one of these.

    It takes arrays without axes for numbers. What it gives stands in any order.
    """
    return ufunc_of(row) or (PASSES[row] if row in _WHOLE else None)


def is_exact(row: Primitive) -> bool:
    """Whether the bits of a row's result do not depend on how operands stand in memory."""
    return ufunc_of(row) in EXACT or row is ops.detached


def is_own(row: Primitive) -> bool:
    """Whether a row gives float64 that nobody else holds."""
    made = ufunc_of(row) is not None or (row in _WHOLE and row is not ops.where)
    return made and not row.is_truth


def has_bits_of_numbers(row: Primitive) -> bool:
    """Whether each number of a row's result has the bits that the row gives on numbers alone."""
    return is_exact(row) or row in _AS_ON_NUMBERS


_AS_ON_NUMBERS: Final = frozenset({ops.div2, ops.div_pos, ops.where})
"""The rows beside the exact ones that choose among quotients, or numbers, on arrays, too."""

EXACT: Final = frozenset({
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.absolute, np.sqrt, np.floor,
    np.ceil, np.trunc, np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.isnan, np.isinf, np.isfinite, np.copysign,
    np.sign, np.rint,
})  # fmt: skip
"""The functions whose bits do not depend on how their operands stand in memory."""


def with_rare(row: Primitive, found: Any, holds: Any, *operands: Any) -> Any:
    """Replaces elements of what was found, where it does not hold, by the row's own."""
    if np.count_nonzero(holds) == np.size(holds):
        return found
    if row is ops.softmax and len(operands) == 2:
        rare = _share(*operands)
    else:
        rare = one_by_one(row, *operands, where=np.logical_not(holds))
    return np.where(np.asarray(holds, bool), found, rare)


def is_above(x: Array, bound: float) -> bool:
    """Whether all numbers are larger; a nan is not."""
    return not x.size or x.item(x.argmin()) > bound


def is_below(x: Array, bound: float) -> bool:
    """Whether all numbers are smaller; a nan is not."""
    return not x.size or x.item(x.argmax()) < bound


def by_numbers(row: Primitive, *operands: Any) -> Array:
    """The row's own function for each element, one after the other."""
    value, arrays = row.value, [x for x in operands if type(x) is np.ndarray]
    shape, size = arrays[0].shape, arrays[0].size
    if any(x.shape != shape for x in arrays):
        return one_by_one(row, *operands)
    columns = [x.ravel().tolist() if type(x) is np.ndarray else [x] * size for x in operands]
    kind = bool if row.is_truth else float
    return np.fromiter(map(value, *columns), kind, size).reshape(shape)


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


# Rows in few passes. A number meets an array sooner as an array without axes.


def _constant(number: float) -> Array:
    found = np.array(number)
    found.flags.writeable = False
    return found


_ZERO, _ONE = _constant(0.0), _constant(1.0)
_HALF, _MINUS_HALF, _MINUS_ONE = _constant(0.5), _constant(-0.5), _constant(-1.0)
_INV_SQRT_2PI: Final = _constant(INV_SQRT_2PI)
HIGHEST: Final = 709.0
"""Up to here exp is finite."""
LOWEST: Final = -700.0
"""Down to here exp has all its digits."""
LARGE: Final = 1e308
"""Above this a sum may be infinite."""
_TOP: Final = _constant(HIGHEST)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if type(condition) is not np.ndarray and np.shape(x) == np.shape(y):
        return x if condition else y
    return np.where(condition, x, y)


def _maximum(x: Any, y: Any) -> Any:
    """The larger; of two zeros the first, where numpy takes either."""
    if type(y) is float and y != 0.0:
        return np.maximum(x, np.array(y))
    found = np.maximum(x, y)
    return found if np.count_nonzero(found) == found.size else np.where(np.equal(x, y), x, found)


def _minimum(x: Any, y: Any) -> Any:
    """The smaller; of two zeros the first, where numpy takes either."""
    if type(y) is float and y != 0.0:
        return np.minimum(x, np.array(y))
    found = np.minimum(x, y)
    return found if np.count_nonzero(found) == found.size else np.where(np.equal(x, y), x, found)


def _power(x: Any, y: Any) -> Any:
    """A power; for the exponent 0.5 numpy takes the root, which differs at -0.0 and -inf."""
    if type(y) is np.ndarray or y != 0.5:
        return np.power(x, y)
    root: Array = np.sqrt(x)
    np.add(root, _ZERO, root)
    return root if is_above(x, -inf) else np.where(x == -inf, inf, root)


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
    if n == 0.5:
        return np.divide(_HALF, np.add(np.sqrt(x), _ZERO))
    return np.ones(x.shape) if n == 1.0 else None


def _sech2(x: Array) -> Array:
    """1 / cosh(x), squared: nothing overflows before the result is 0."""
    found: Array = np.cosh(x)
    np.reciprocal(found, found)
    np.multiply(found, found, found)
    return found


def _sigmoid(x: Array) -> Array:
    """e / (1 + e) for e = exp(x), which stays finite."""
    e: Array = np.minimum(x, _TOP)
    np.exp(e, e)
    np.divide(e, np.add(e, _ONE), e)
    return e


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)), the exponential kept finite; beyond that it is x."""
    e: Array = np.minimum(x, _TOP)
    np.exp(e, e)
    np.log1p(e, e)
    np.maximum(e, x, out=e)
    return e


def _logaddexp(x: Any, y: Any) -> Any:
    """The larger, and log(1 + exp(-|x - y|)); infinities that are equal have no difference."""
    rest: Array = np.subtract(x, y)
    np.copysign(rest, _MINUS_ONE, rest)
    np.exp(rest, rest)
    np.log1p(rest, rest)
    larger: Array = np.maximum(x, y)
    if not is_above(rest, -1.0):
        np.copyto(rest, 0.0, where=np.isinf(larger))
    np.add(larger, rest, larger)
    return larger


def _softmax(x: Any, *others: Any) -> Any:
    """exp(x) / (exp(x) + exp(y)), where neither has lost digits or is infinite."""
    if len(others) != 1:
        return None
    y = others[0]
    if type(y) is float and y == 0.0:
        return _sigmoid(x)
    e, other = (np.exp(z) if type(z) is np.ndarray else ops.exp.value(z) for z in (x, y))
    total: Array = np.add(e, other)
    found = np.divide(e, total)
    is_low = (not is_above(z, LOWEST) if type(z) is np.ndarray else z <= LOWEST for z in (x, y))
    if is_below(total, LARGE) and not any(is_low):
        return found
    holds = np.greater(x, LOWEST) & np.greater(y, LOWEST) & np.less(total, LARGE)
    return with_rare(ops.softmax, found, holds, x, y)


def _share(x: Any, y: Any) -> Array:
    """1 / (1 + exp(y - x)), the rounding of the difference carried along."""
    difference: Array = np.subtract(y, x)
    step: Array = np.subtract(difference, y)
    lost: Array = np.subtract(difference, step)
    np.subtract(y, lost, lost)
    np.add(x, step, step)
    np.subtract(lost, step, lost)
    e: Array = np.exp(difference)
    np.multiply(lost, e, lost)
    np.add(e, lost, e)
    np.add(e, _ONE, e)
    np.divide(_ONE, e, e)
    if is_above(difference, -inf) and is_below(difference, HIGHEST):
        return e
    holds = np.greater(difference, -inf) & np.less(difference, HIGHEST)
    return np.where(holds, e, one_by_one(ops.softmax, x, y, where=np.logical_not(holds)))


def _gauss(x: Array) -> Array:
    """exp(-x * x)."""
    return _gaussian(x, _MINUS_ONE)


def _norm_pdf(x: Array) -> Array:
    """exp(-x * x / 2) / sqrt(2 * pi)."""
    found = _gaussian(x, _MINUS_HALF)
    np.multiply(found, _INV_SQRT_2PI, found)
    return found


def _gaussian(x: Array, factor: Array) -> Array:
    """exp(factor * x * x), which is 0 beyond 40."""
    square, rest = _square(x)
    if not is_below(square, 1600.0):
        square, rest = _square(np.minimum(np.abs(x), 40.0))
    np.multiply(square, factor, square)
    np.exp(square, square)
    np.multiply(rest, factor, rest)
    np.exp(rest, rest)
    np.multiply(square, rest, square)
    return square


def _square(x: Array) -> tuple[Array, Array]:
    """x * x in two pieces: that of x as a float32 is exact."""
    high: Array = x.astype(np.float32, "C").astype(np.float64)
    rest: Array = np.subtract(x, high)
    np.multiply(rest, np.add(x, high), rest)
    np.multiply(high, high, high)
    return high, rest


def _positive_quotient(x: Any, y: Any) -> Any:
    """The quotient, and nan below 0."""
    if type(y) is np.ndarray and is_above(y, 0.0):
        return np.divide(x, y)
    found: Array = np.divide(x, np.abs(y))
    np.copyto(found, np.nan, where=np.less(y, 0.0))
    return found


def _win(x: Any, y: Any) -> Any:
    """1 for x > y, 0.5 at a tie, and nan where they cannot be compared."""
    if type(x) is float and isfinite(x):
        return np.heaviside(np.subtract(np.array(x), y), _HALF)
    if type(y) is float and isfinite(y):
        return np.heaviside(np.subtract(x, np.array(y)), _HALF)
    found: Array = np.heaviside(np.subtract(x, y), _HALF)
    if not is_above(found, -1.0):
        np.copyto(found, 0.5, where=np.equal(x, y))
    return found


def _hypot(*xs: Any) -> Any:
    return np.hypot(*xs) if len(xs) == 2 else None


def _step(x: Array) -> Any:
    """1 above 0, else 0, and nan where that is nan."""
    return np.heaviside(x, _ZERO)


def _relu(x: Array) -> Any:
    """The larger of x and 0, which is 0.0."""
    found: Array = np.maximum(x, _ZERO)
    return np.add(found, _ZERO, found)


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
    ops.gauss: _gauss,
    ops.norm_pdf: _norm_pdf,
    ops.win: _win,
    ops.step: _step,
    ops.relu: _relu,
    ops.floordiv: np.floor_divide,
    ops.mod: np.remainder,
    ops.round: np.rint,
}
"""The functions of rows that have a better way than their spelling; None is for that."""

_WHOLE: Final = frozenset({
    ops.div_pos, ops.gauss, ops.logaddexp, ops.maximum, ops.minimum, ops.norm_pdf, ops.powc,
    ops.relu, ops.sech2, ops.sigmoid, ops.softplus, ops.step, ops.where, ops.win,
})  # fmt: skip
"""Those that compute whatever arrays they are given, as numpy's own functions do."""
