"""Functions that decide what a derivative passes through: ``where`` and ``stop_gradient``."""

# To mypy, Real is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

import sys
from collections.abc import Iterator
from operator import is_
from typing import Any, TypeVar, cast, overload

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import shape_of
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.reachable import object_array_parts, reaches_traced
from tapegrad.recording import operators
from tapegrad.recording.recorder import Condition, Real, TracedValue, Var

__all__ = ["stop_gradient", "where"]


T = TypeVar("T")


@overload
def where(condition: bool, x: float, y: float, /) -> float: ...
@overload
def where(condition: Condition, x: float, y: float, /) -> Var: ...
@overload
def where(condition: bool, x: Real, y: Real, /) -> Real: ...
@overload
def where(condition: bool, x: Real, y: float, /) -> Real: ...
@overload
def where(condition: bool, x: float, y: Real, /) -> Real: ...
@overload
def where(condition: Condition, x: Real, y: Real, /) -> Real: ...
@overload
def where(condition: Condition, x: Real, y: float, /) -> Real: ...
@overload
def where(condition: Condition, x: float, y: Real, /) -> Real: ...
@overload
def where(condition: Condition | bool, x: Var, y: float | Var, /) -> Var: ...
@overload
def where(condition: Condition | bool, x: float | Var, y: Var, /) -> Var: ...
@operators.choice
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
    if type(condition) is Condition:
        return cast(Var, ops.where(condition.indicator, x, y))
    if shape_of(condition) or isinstance(condition, list | tuple):
        return cast(Var, serving("numpy").where(condition, x, y))
    if isinstance(condition, int) and not isinstance(condition, bool):
        raise InputError(
            f"where at {here()} was given the int {condition}, which is what ~ makes of a plain "
            "bool: write `not c`, or the opposite comparison"
        )
    return x if condition else y


@overload
def stop_gradient(x: float, /) -> float: ...
@overload
def stop_gradient(x: Real, /) -> Real: ...
@overload
def stop_gradient(x: T, /) -> T: ...
def stop_gradient(x: object, /) -> object:
    """x, which every derivative takes for a constant: a number, or a container of numbers.

    Containers are those of inputs, and arrays of traced numbers; each keeps its type, and all
    numbers in it are constants, whatever their fields are annotated with.

    Raises:
        InputError: for an iterator, or an object with traced numbers that is no container.

    >>> from tapegrad import Real, grad, stop_gradient
    >>> def f(p: dict[str, Real]) -> Real:
    ...     return p["x"] * stop_gradient(p)["x"]
    >>> grad(f)({"x": 3.0})
    {'x': 3.0}
    """
    if isinstance(x, TracedValue):
        return ops.detached(x)
    kind = container_kind(type(x))
    if kind is not None:
        keys, parts = kind.open(x)
        given = list(parts)
        detached = [stop_gradient(part) for part in given]
        same = all(map(is_, given, detached))
        return x if same else kind.close(type(x), keys, detached)
    if any(True for _ in object_array_parts(x)):
        return _detached_array(x)
    if not isinstance(x, Condition) and (isinstance(x, Iterator) or reaches_traced(x)):
        raise InputError(
            f"stop_gradient at {here()} was given {describe(x)}, whose numbers it cannot reach: "
            "pass a dict, a list, a tuple, or an instance of a dataclass"
        )
    return x


def _detached_array(array: Any) -> object:
    """A copy of an array of objects, whose numbers are constants."""
    detached = array.copy()
    for index, part in zip(sys.modules["numpy"].ndindex(array.shape), array.flat, strict=True):
        detached[index] = stop_gradient(part)
    return cast(object, detached)
