"""Functions that go element by element."""

from __future__ import annotations

from typing import Any, overload

from tapegrad.numpy.arrays import Arr, Floats, Truths, applied, indicator, operand
from tapegrad.ops import table as ops
from tapegrad.recording.array_var import ArrayVar, require_shapes
from tapegrad.recording.recorder import Var

__all__ = [
    "cos", "exp", "expm1", "log", "log1p", "logaddexp", "maximum", "minimum", "relu", "sigmoid",
    "sin", "softplus", "sqrt", "square", "tanh", "where",
]  # fmt: skip


def sin(x: Arr, /) -> Arr:
    """The sine."""
    return applied(ops.sin, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def cos(x: Arr, /) -> Arr:
    """The cosine."""
    return applied(ops.cos, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def tanh(x: Arr, /) -> Arr:
    """The hyperbolic tangent."""
    return applied(ops.tanh, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def exp(x: Arr, /) -> Arr:
    """e ** x."""
    return applied(ops.exp, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def expm1(x: Arr, /) -> Arr:
    """e ** x - 1."""
    return applied(ops.expm1, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def log(x: Arr, /) -> Arr:
    """The natural logarithm."""
    return applied(ops.log, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def log1p(x: Arr, /) -> Arr:
    """log(1 + x)."""
    return applied(ops.log1p, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def sqrt(x: Arr, /) -> Arr:
    """The square root."""
    return applied(ops.sqrt, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def square(x: Arr, /) -> Arr:
    """x * x."""
    return x * x


def relu(x: Arr, /) -> Arr:
    """x above 0, else 0."""
    return applied(ops.relu, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def sigmoid(x: Arr, /) -> Arr:
    """1 / (1 + exp(-x))."""
    return applied(ops.sigmoid, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def softplus(x: Arr, /) -> Arr:
    """log(1 + exp(x))."""
    return applied(ops.softplus, x)  # type: ignore[no-any-return]  # a row keeps the kind of its operand


def maximum(x: Any, y: Any, /) -> Any:
    """The larger, element by element; half of the slope each at a tie."""
    return applied(ops.maximum, x, y)


def minimum(x: Any, y: Any, /) -> Any:
    """The smaller, element by element; half of the slope each at a tie."""
    return applied(ops.minimum, x, y)


def logaddexp(x: Any, y: Any, /) -> Any:
    """log(exp(x) + exp(y))."""
    return applied(ops.logaddexp, x, y)


@overload
def where(condition: Truths, x: Arr, y: Arr | float, /) -> Arr: ...
@overload
def where(condition: Truths, x: float, y: Arr, /) -> Arr: ...
@overload
def where(condition: Truths, x: ArrayVar, y: Floats | Var, /) -> ArrayVar: ...
@overload
def where(condition: Truths, x: Floats | Var, y: ArrayVar, /) -> ArrayVar: ...
def where(condition: Any, x: Any, y: Any, /) -> Any:
    """x where the condition holds, else y; what is not chosen contributes nothing."""
    given = indicator(condition), operand(x), operand(y)
    require_shapes(ops.where, given)
    return ops.where(*given)
