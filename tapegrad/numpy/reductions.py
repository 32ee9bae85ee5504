"""Functions that take arrays together along axes."""

from __future__ import annotations

from math import prod
from typing import Any

from tapegrad.numpy.arrays import operand
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive, shape_of
from tapegrad.recording.array_var import Axes, axes_of

__all__ = ["all", "any", "logsumexp", "max", "mean", "min", "sum"]


def _along(row: Primitive, x: Any, axis: Axes, keepdims: bool) -> Any:
    given = operand(x)
    return row(given, (axes_of(axis, len(shape_of(given))), keepdims))


def sum(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:  # the standard's
    """The sum, of all numbers or along axes."""
    return _along(rows.sum_, x, axis, keepdims)


def mean(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
    """The mean, of all numbers or along axes."""
    shape = shape_of(x)
    count = float(prod(shape[at] for at in axes_of(axis, len(shape))))
    return sum(x, axis, keepdims=keepdims) / count


def max(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:  # the standard's
    """The largest number, or the largest along axes; those that tie share the slope."""
    return _along(rows.amax, x, axis, keepdims)


def min(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:  # the standard's
    """The smallest number, or the smallest along axes; those that tie share the slope."""
    return _along(rows.amin, x, axis, keepdims)


def all(x: Any, /) -> Any:  # the standard's
    """Whether a condition holds everywhere."""
    return x.all()


def any(x: Any, /) -> Any:  # the standard's
    """Whether a condition holds anywhere."""
    return x.any()


def logsumexp(x: Any, /, axis: Axes = None, *, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), of all numbers or along axes."""
    top = ops.detached(_along(rows.amax, x, axis, keepdims=True))
    total = _along(rows.sum_, ops.exp(ops.sub(x, top)), axis, keepdims)
    if not keepdims:
        top = rows.reshape(top, shape_of(total))
    return ops.add(ops.log(total), top)
