"""Arrays from nothing, types and constants: numpy's own, but for what takes traced arrays."""

from __future__ import annotations

from typing import Any, TypeAlias, cast, overload

import numpy as np
from numpy import (
    arange,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    broadcast_shapes,
    can_cast,
    complex64,
    complex128,
    e,
    empty,
    eye,
    float32,
    float64,
    from_dlpack,
    full,
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

Copy: TypeAlias = bool | None

__all__ = [
    "arange",
    "array",
    "asarray",
    "astype",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "broadcast_shapes",
    "can_cast",
    "complex64",
    "complex128",
    "copy",
    "e",
    "empty",
    "empty_like",
    "eye",
    "finfo",
    "float32",
    "float64",
    "from_dlpack",
    "full",
    "full_like",
    "iinfo",
    "imag",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "isin",
    "linspace",
    "nan",
    "ndim",
    "newaxis",
    "nextafter",
    "ones",
    "ones_like",
    "pi",
    "result_type",
    "shape",
    "size",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "zeros",
    "zeros_like",
]  # fmt: skip


@overload
def asarray(
    x: Arr, /, *, dtype: DTypeLike | None = None, device: Any = None, copy: Copy = None
) -> Arr: ...
@overload
def asarray(
    x: Any, /, *, dtype: DTypeLike | None = None, device: Any = None, copy: Copy = None
) -> Any: ...
def asarray(
    x: Any, /, *, dtype: DTypeLike | None = None, device: Any = None, copy: Copy = None
) -> Any:
    """x as an array: traced numbers in a list or in an array of objects become a traced array."""
    if not is_traced(x):
        return np.asarray(x, dtype, device=device, copy=copy)
    require_float64({"dtype": dtype})
    return operand(x)


def array(x: Any, /, dtype: DTypeLike | None = None, *, copy: bool = True) -> Any:
    """As ``asarray``, but what is not traced is copied."""
    return asarray(x, dtype=dtype) if is_traced(x) else np.array(x, dtype, copy=copy)


def finfo(type: Any, /) -> Any:
    """The limits of a type of floats, or of an array's."""
    return np.finfo(_type_of(type))


def iinfo(type: Any, /) -> Any:
    """The limits of a type of ints, or of an array's."""
    return np.iinfo(_type_of(type))


def _type_of(x: Any) -> Any:
    return x.dtype if isinstance(x, np.ndarray | np.generic | ArrayVar) else x


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


def full_like(
    x: Any, /, fill_value: Any, *, dtype: DTypeLike | None = None, device: Any = None
) -> Any:
    """One number, which may be traced, in the shape of x."""
    if is_traced(fill_value):
        return broadcast_to(fill_value, shape(x))
    return np.full_like(_like(x), fill_value, dtype, device=device)


def _like(x: Any) -> Any:
    return np.empty(x.shape) if isinstance(x, ArrayVar | ArrayCondition) else x
