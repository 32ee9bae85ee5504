"""Arrays from nothing, types and constants: numpy's own, but for what takes traced arrays."""

from __future__ import annotations

from typing import Any, cast, overload

import numpy as np
from numpy import (
    arange,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    can_cast,
    complex64,
    complex128,
    e,
    empty,
    eye,
    finfo,
    float32,
    float64,
    from_dlpack,
    full,
    iinfo,
    imag,
    inf,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    isin,
    linspace,
    nan,
    newaxis,
    nextafter,
    ones,
    pi,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    zeros,
)
from numpy.typing import DTypeLike

from tapegrad.numpy.arrays import Arr, Floats, is_traced, operand, require_float64
from tapegrad.numpy.shapes import broadcast_to
from tapegrad.recording.array_var import ArrayCondition, ArrayVar

__all__ = [
    "arange", "array", "asarray", "astype", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "can_cast", "complex64", "complex128", "copy", "e", "empty", "empty_like", "eye",
    "finfo", "float32", "float64", "from_dlpack", "full", "full_like", "iinfo", "imag", "inf",
    "int8", "int16", "int32", "int64", "isdtype", "isin", "linspace", "nan", "ndim", "newaxis",
    "nextafter", "ones", "ones_like", "pi", "result_type", "shape", "size", "uint8", "uint16",
    "uint32", "uint64", "unique_all", "unique_counts", "unique_inverse", "unique_values", "zeros",
    "zeros_like",
]  # fmt: skip


@overload
def asarray(x: Arr, /, **options: Any) -> Arr: ...
@overload
def asarray(x: Any, /, **options: Any) -> Any: ...
def asarray(x: Any, /, **options: Any) -> Any:
    """x as an array: traced numbers in a list or in an array of objects become a traced array."""
    if not is_traced(x):
        return np.asarray(x, **options)
    require_float64(options)
    return operand(x)


array = asarray


def astype(x: Any, dtype: DTypeLike, /, *, copy: bool = True, device: Any = None) -> Any:
    """x with numbers of another type; a traced array, and a condition, give float64 alone."""
    if not is_traced(x):
        return cast(Any, np.astype)(x, np.dtype(dtype), copy=copy, device=device)
    require_float64({"dtype": dtype})
    return operand(x)


def copy(x: Arr, /) -> Arr:
    """A copy of x; of a traced array, which cannot be written to, itself."""
    return x.copy()


def shape(x: Any, /) -> tuple[int, ...]:
    """The length of each axis."""
    return x.shape if isinstance(x, ArrayVar | ArrayCondition) else np.shape(x)


def ndim(x: Any, /) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: Any, /) -> int:
    """The number of elements."""
    return int(np.prod(shape(x)))


def zeros_like(x: Any, /, *, dtype: DTypeLike | None = None, device: Any = None) -> Floats:
    """Zeros in the shape of x."""
    return cast(Floats, np.zeros_like(_like(x), dtype, device=device))


def ones_like(x: Any, /, *, dtype: DTypeLike | None = None, device: Any = None) -> Floats:
    """Ones in the shape of x."""
    return cast(Floats, np.ones_like(_like(x), dtype, device=device))


def empty_like(x: Any, /, *, dtype: DTypeLike | None = None, device: Any = None) -> Floats:
    """Any numbers in the shape of x."""
    return cast(Floats, np.empty_like(_like(x), dtype, device=device))


def full_like(x: Any, /, value: Any, *, dtype: DTypeLike | None = None, device: Any = None) -> Any:
    """One number, which may be traced, in the shape of x."""
    if is_traced(value):
        return broadcast_to(value, shape(x))
    return np.full_like(_like(x), value, dtype, device=device)


def _like(x: Any) -> Any:
    return np.empty(x.shape) if isinstance(x, ArrayVar | ArrayCondition) else x
