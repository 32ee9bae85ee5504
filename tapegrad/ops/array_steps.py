"""Rows in others on arrays: the steps in which ``elementwise`` computes them, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["STEPS"]


def _decay(x: Any) -> Any:
    """exp(-|x|)."""
    return ops.exp(ops.neg(ops.abs(x)))


def _sech2(x: Any) -> Any:
    sech = ops.div(1.0, ops.cosh(x))
    return ops.mul(sech, sech)


def _sigmoid(x: Any) -> Any:
    e = _decay(x)
    return ops.div(ops.where(ops.ge(x, 0.0), 1.0, e), ops.add(e, 1.0))


def _softplus(x: Any) -> Any:
    return ops.add(ops.maximum(x, 0.0), ops.log1p(_decay(x)))


def _logaddexp(x: Any, y: Any) -> Any:
    rest = ops.log1p(_decay(ops.sub(x, y)))
    larger = ops.maximum(x, y)
    unequal = ops.where(ops.isinf(larger), larger, ops.add(larger, rest))
    return ops.where(ops.eq(x, y), ops.add(larger, ops.LN2), unequal)


def _softmax(x: Any, *others: Any) -> Any:
    is_sigmoid = len(others) == 1 and type(others[0]) is float and others[0] == 0.0
    return _sigmoid(x) if is_sigmoid else None


def _constant_power(x: Any, n: float) -> Any:
    if n == 2.0:
        return ops.mul(x, x)
    if n == -1.0:
        return ops.div(1.0, x)
    if n == 0.5:
        return ops.where(ops.eq(x, -inf), inf, ops.add(ops.sqrt(x), 0.0))
    return None if n == 1.0 else ops.pow(x, n)


def _constant_power_slope(x: Any, n: float) -> Any:
    return ops.mul(2.0, x) if n == 2.0 else None


STEPS: Final[Mapping[Primitive, Callable[..., Any]]] = {
    ops.sech2: _sech2,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.logaddexp: _logaddexp,
    ops.softmax: _softmax,
    ops.powc: _constant_power,
    ops.powc_slope: _constant_power_slope,
}
"""How rows are spelled on arrays; a spelling gives None where it does not hold."""
