"""The types of arrays in models, and what the functions of this namespace are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import quiet
from tapegrad.ops.primitive import Operand, Primitive, Shape, Traced, shape_of
from tapegrad.recording import array_values
from tapegrad.recording.array_operators import function_on_arrays
from tapegrad.recording.array_var import (
    ArrayCondition,
    ArrayVar,
    Data,
    Index,
    Ints,
    Truths,
    applied_to_arrays,
    axes_of,
    require_shapes,
)
from tapegrad.recording.recorder import Condition, TracedValue, Var, promote

__all__ = [
    "Arr", "Array", "ArrayLike", "Data", "Element", "Floats", "Function", "Index", "Ints",
    "Number", "Numbers", "Shape", "Traces", "Truths", "applied", "beside", "cut", "indicator",
    "is_quick", "is_traced", "like", "operand", "operands", "place_of", "require_float64",
    "shape_in",
]  # fmt: skip

Floats: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., object])
Arr = TypeVar("Arr", NDArray[np.float64], ArrayVar)
"""The type of an array in a model that runs on numpy's arrays and on traced ones alike."""

Element = TypeVar("Element", bound=np.generic)
Number: TypeAlias = float | Var
Array: TypeAlias = NDArray[np.float64] | ArrayVar
Traces: TypeAlias = ArrayVar | Sequence[Var]
Numbers: TypeAlias = ArrayVar | Data | Sequence[Number]
"""Whatever is taken as an array; a number is none."""

ArrayLike: TypeAlias = Any
"""An array or a number, inside this namespace; ``signatures`` says what callers may pass."""


def is_traced(*values: object) -> bool:
    """Whether any of these is traced, or holds what is: a list, or an array of objects."""
    for x in values:
        if isinstance(x, Traced | ArrayCondition | Condition):
            return True
        if isinstance(x, list | tuple) and is_traced(*x):
            return True
        if isinstance(x, np.ndarray) and x.dtype == object and is_traced(*x.flat):
            return True
    return False


def beside(theirs: Function) -> Callable[[F], F]:
    """Makes a function leave arrays of anything but float64 to numpy's own.

    Plain arrays of float64 go through the same rows as traced ones, so that a model gives the same
    bits on both; a number that they give is numpy's.
    """

    def decorate(ours: F) -> F:
        @wraps(ours)
        def function(*args: Any, **kwargs: Any) -> Any:
            if type(args[0]) is ArrayVar or is_traced(*args, *kwargs.values()):
                if kwargs:
                    require_float64(kwargs)
                return ours(*args, **kwargs)
            if kwargs.get("dtype") is not None or not _are_floats((*args, *kwargs.values())):
                return theirs(*args, **kwargs)
            with quiet(on_arrays=True):
                found = ours(*args, **kwargs)
            return np.float64(found) if type(found) is float and _has_arrays(args) else found

        return cast(F, function)

    return decorate


def is_quick(given: tuple[Any, ...]) -> bool:
    """Whether a traced array comes first, or after a float."""
    kind = type(given[0])
    return kind is ArrayVar or (kind is float and type(given[-1]) is ArrayVar)


def like(theirs: Function) -> Callable[[F], F]:
    """Makes a function leave plain arrays to numpy's own: where nothing is computed."""

    def decorate(ours: F) -> F:
        @wraps(ours)
        def function(*args: Any, **kwargs: Any) -> Any:
            if type(args[0]) is ArrayVar or is_traced(*args, *kwargs.values()):
                if kwargs:
                    require_float64(kwargs)
                return ours(*args, **kwargs)
            return theirs(*args, **kwargs)

        return cast(F, function)

    return decorate


def require_float64(options: dict[str, Any]) -> None:
    """Takes the type of the result from the options of a call: a traced array has one alone.

    Raises:
        InputError: for any other.
    """
    dtype = options.pop("dtype", None)
    if dtype is not None and np.dtype(dtype) != np.float64:
        raise InputError(
            f"a traced array at {here()} is asked for {np.dtype(dtype)}: its numbers are float64"
        )


def _are_floats(values: Any) -> bool:
    """Whether none of these is an array of anything but float64; lists are looked into."""
    for x in values:
        if isinstance(x, np.ndarray | np.generic):
            if x.dtype != np.float64:
                return False
        elif isinstance(x, list | tuple):
            if not _are_floats(x):
                return False
        elif type(x) is complex:
            return False
    return True


def _has_arrays(values: Any) -> bool:
    return any(
        _has_arrays(x) if isinstance(x, list | tuple) else isinstance(x, np.ndarray | np.generic)
        for x in values
    )


def applied(row: Primitive, *given: Any) -> Any:
    """A row applied element by element to arrays and numbers, traced or not."""
    function = function_on_arrays(row) if is_quick(given) else None
    if function is not None:
        return function(*given)
    if is_traced(*given):
        return applied_to_arrays(row, *map(operand, given))
    found = operands(*given)
    require_shapes(row, found)
    return row(*found)


def operand(x: Any) -> Operand:
    """A number or an array as an operand; a recording copies arrays that are met."""
    if isinstance(x, TracedValue):
        return x
    if isinstance(x, ArrayCondition):
        return x.as_numbers()
    if isinstance(x, Condition):
        return x.indicator
    if isinstance(x, list | tuple) and is_traced(*x):
        return _stacked(operands(*x))
    if isinstance(x, np.ndarray | list | tuple):
        return cast(Operand, array_values.operand(np.asarray(x), copy=False))
    found = promote(x)
    return (
        cast(Operand, array_values.operand(np.asarray(x), copy=False)) if found is None else found
    )


def _stacked(parts: tuple[Operand, ...]) -> Operand:
    """Numbers as an array, or arrays as one with another axis."""
    shape = shape_of(parts[0])
    if not shape:
        return rows.stack(*parts)
    return rows.concatenate(*(rows.reshape(part, (1, *shape)) for part in parts), 0)


def operands(*given: Any) -> tuple[Operand, ...]:
    """Numbers and arrays as operands."""
    return tuple(map(operand, given))


def cut(x: Operand, start: int, stop: int, axis: int = -1) -> Operand:
    """The part of an axis from one place to another."""
    at = axis % len(shape_of(x))
    return rows.getitem(x, (*[slice(None)] * at, slice(start, stop)))


def place_of(axis: int, ndim: int) -> int:
    """The axis as a number from 0 on.

    Raises:
        InputError: where the array does not have it.
    """
    return axes_of(axis, ndim)[0]


def shape_in(x: Any) -> tuple[int, ...]:
    """The shape of an operand, a list among them."""
    return shape_of(x) if isinstance(x, TracedValue) else np.shape(x)


def indicator(condition: Any) -> Operand:
    """A condition as an operand: truth values, or a number that is 1.0 or 0.0."""
    if isinstance(condition, ArrayCondition | Condition):
        return condition.indicator
    if isinstance(condition, TracedValue) or (
        isinstance(condition, list | tuple) and is_traced(*condition)
    ):
        return ops.ne(operand(condition), 0.0)
    return array_values.truths(condition)  # type: ignore[no-any-return]  # of numpy's
