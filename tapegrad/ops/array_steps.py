"""How rows are spelled in others on arrays.

``STEPS`` are the steps in which ``array_passes`` computes a row, to the bit: where they are
written out, what they have in common with others is computed once. ``SPELLED`` has spellings for
rows that have no such function; those of ``lowering`` serve where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import HIGHEST, LARGE, LOWEST
from tapegrad.ops.lowering import LOWER, NEAR, Usually, is_plain_positive
from tapegrad.ops.primitive import Primitive, Traced

__all__ = ["SPELLED", "STEPS"]


def _decay(x: Any) -> Any:
    """exp(-|x|)."""
    return ops.exp(ops.neg(ops.abs(x)))


def _sech2(x: Any) -> Any:
    sech = ops.div(1.0, ops.cosh(x))
    return ops.mul(sech, sech)


def _exponential(x: Any) -> Any:
    """exp(x) where that is finite."""
    return ops.exp(ops.where(ops.gt(x, HIGHEST), HIGHEST, x))


def _sigmoid(x: Any) -> Any:
    e = _exponential(x)
    return ops.div(e, ops.add(e, 1.0))


def _softplus(x: Any) -> Any:
    return ops.maximum(ops.log1p(_exponential(x)), x)


def _logaddexp(x: Any, y: Any) -> Any:
    rest = ops.log1p(_decay(ops.sub(x, y)))
    larger = ops.maximum(x, y)
    unequal = ops.where(ops.isinf(larger), larger, ops.add(larger, rest))
    return ops.where(ops.eq(x, y), ops.add(larger, ops.LN2), unequal)


def _softmax(x: Any, *others: Any) -> Any:
    if len(others) != 1:
        return None
    y = others[0]
    if type(y) is float and y == 0.0:
        return _sigmoid(x)
    e = ops.exp(x)
    total = ops.add(e, ops.exp(y))
    first, second = sorted((x, y), key=repr)  # as for the share of y, which asks for the same
    are_whole = ops.and_(ops.gt(first, LOWEST), ops.gt(second, LOWEST))
    return Usually(ops.div(e, total), ops.and_(are_whole, ops.lt(total, LARGE)))


def _constant_power(x: Any, n: float) -> Any:
    if n == 2.0:
        return ops.mul(x, x)
    if n == -1.0:
        return ops.div(1.0, x)
    if n == 0.5:
        return ops.where(ops.eq(x, -inf), inf, ops.add(ops.sqrt(x), 0.0))
    return None if n == 1.0 else ops.pow(x, n)


def _constant_power_slope(x: Any, n: float) -> Any:
    if n == 0.5:
        return ops.div(0.5, ops.add(ops.sqrt(x), 0.0))
    return ops.mul(2.0, x) if n == 2.0 else 1.0 if n == 1.0 else None


def _positive_quotient(x: Any, y: Any) -> Any:
    """A square root is not below 0, but that of -0.0 is -0.0."""
    is_root = isinstance(y, Traced) and y.made_by is ops.sqrt
    return ops.div(x, ops.abs(y)) if is_root else None


def _power_slope(x: Any, n: Any) -> Usually:
    """n * (x ** n / x), within 3 units in the last place in the middle of the range."""
    power = ops.pow(x, n)
    quotient = ops.div(power, x)
    slope = ops.add(ops.mul(n, quotient), 0.0)
    is_large = ops.and_(ops.gt(ops.abs(power), 1e-290), ops.gt(ops.abs(quotient), 1e-290))
    return Usually(slope, ops.and_(is_large, ops.lt(ops.abs(slope), 1e290)))


def _direction(x: Any, *others: Any) -> Usually:
    """The quotient by the length."""
    length = ops.hypot(x, *others)
    return Usually(ops.div(x, length), is_plain_positive(length))


def _positive_zero(row: Primitive) -> Callable[..., Any]:
    """A sum in which zeros of either sign give 0.0."""

    def spelled(*xs: Any) -> Any:
        found = NEAR[row](*xs)
        if isinstance(found, Usually):
            return Usually(ops.add(found.value, 0.0), found.holds)
        return None if found is None else ops.add(found, 0.0)

    return spelled


STEPS: Final[Mapping[Primitive, Callable[..., Any]]] = {
    ops.sech2: _sech2,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.logaddexp: _logaddexp,
    ops.softmax: _softmax,
    ops.powc: _constant_power,
    ops.powc_slope: _constant_power_slope,
    ops.div_pos: _positive_quotient,
}
"""How rows are spelled on arrays; a spelling gives None where it does not hold, and some say where.

A number stands for an array that is this number everywhere.
"""

SPELLED: Final[Mapping[Primitive, Callable[..., Any]]] = {
    **{row: NEAR.get(row) or LOWER[row] for row in (*LOWER, *NEAR)},
    ops.pow_dx: _power_slope,
    ops.direction: _direction,
    ops.mean: _positive_zero(ops.mean),
    ops.dot: _positive_zero(ops.dot),
}
"""How rows are spelled that no function computes in few passes."""
