"""Functions that decide what a derivative passes through: ``where`` and ``stop_gradient``."""

from __future__ import annotations

from typing import cast, overload

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops import table as ops
from tapegrad.recording.recorder import Condition, Var

__all__ = ["stop_gradient", "where"]


@overload
def where(condition: bool, x: float, y: float, /) -> float: ...
@overload
def where(condition: Condition | bool, x: Var, y: Var | float, /) -> Var: ...
@overload
def where(condition: Condition | bool, x: float, y: Var, /) -> Var: ...
@overload
def where(condition: Condition, x: float, y: float, /) -> Var: ...
def where(condition: Condition | bool, x: Var | float, y: Var | float, /) -> Var | float:
    """x where the condition holds, else y, without a guard: a replay may choose the other.

    Both are computed, and the one that is not chosen contributes nothing to a derivative, not even
    a nan. A plain bool picks.

    Raises:
        InputError: for an int, such as ``~True``.

    >>> from tapegrad import Real, grad, math, where
    >>> def f(x: Real) -> Real:
    ...     return where(x > 0.0, math.sqrt(x), x)
    >>> grad(f)(-4.0)
    1.0
    """
    if isinstance(condition, Condition):
        return cast(Var, ops.where(condition._indicator, x, y))
    if isinstance(condition, int) and not isinstance(condition, bool):
        raise InputError(
            f"where at {here()} was given the int {condition}, which is what ~ makes of a plain "
            "bool: write `not c`, or the opposite comparison"
        )
    return x if condition else y


@overload
def stop_gradient(x: float, /) -> float: ...
@overload
def stop_gradient(x: Var, /) -> Var: ...
def stop_gradient(x: Var | float, /) -> Var | float:
    """x, which every derivative takes for a constant.

    >>> from tapegrad import Real, grad, stop_gradient
    >>> def f(x: Real) -> Real:
    ...     return x * stop_gradient(x)
    >>> grad(f)(3.0)
    3.0
    """
    return cast(Var, ops.detached(x)) if isinstance(x, Var) else x
