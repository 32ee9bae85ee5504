"""Arrays from nothing, types and constants: numpy's own, but for what takes traced arrays."""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, cast, overload

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
from numpy.typing import DTypeLike, NDArray

from tapegrad.numpy.arrays import (
    Arr,
    Array,
    ArrayLike,
    Data,
    Element,
    Floats,
    Number,
    Numbers,
    Traces,
    is_traced,
    operand,
    require_float64,
)
from tapegrad.numpy.shapes import broadcast_to
from tapegrad.numpy.signatures import filled, kept
from tapegrad.recording.array_var import ArrayCondition, ArrayVar
from tapegrad.recording.recorder import Var

Copy: TypeAlias = bool | None
Device: TypeAlias = Literal["cpu"] | None
Float64: TypeAlias = type[float] | type[np.float64]
Shaped: TypeAlias = Numbers | Number | NDArray[np.generic] | ArrayCondition

__all__ = [
    "Device",
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
    x: Arr, /, *, dtype: Float64 | None = None, device: Device = None, copy: Copy = None
) -> Arr: ...
@overload
def asarray(
    x: Var | Traces, /, *, dtype: Float64 | None = None, device: Device = None, copy: Copy = None
) -> ArrayVar: ...
@overload
def asarray(
    x: NDArray[Element], /, *, dtype: None = None, device: Device = None, copy: Copy = None
) -> NDArray[Element]: ...
@overload
def asarray(
    x: float | Data,
    /,
    *,
    dtype: type[Element] | np.dtype[Element],
    device: Device = None,
    copy: Copy = None,
) -> NDArray[Element]: ...
@overload
def asarray(
    x: float | Data, /, *, dtype: Float64 | None = None, device: Device = None, copy: Copy = None
) -> Floats: ...
@overload
def asarray(
    x: Number | Numbers | Sequence[Array],
    /,
    *,
    dtype: Float64 | None = None,
    device: Device = None,
    copy: Copy = None,
) -> Array: ...
@overload
def asarray(
    x: object, /, *, dtype: DTypeLike | None = None, device: Device = None, copy: Copy = None
) -> NDArray[np.generic]: ...
def asarray(
    x: ArrayLike,
    /,
    *,
    dtype: DTypeLike | None = None,
    device: Device = None,
    copy: Copy = None,
) -> ArrayLike:
    """x as an array: traced numbers in a list or in an array of objects become a traced array."""
    if not is_traced(x):
        return np.asarray(x, dtype, device=device, copy=copy)
    require_float64({"dtype": dtype})
    return x.copy() if copy and isinstance(x, ArrayVar) else operand(x)


@overload
def array(x: Arr, /, dtype: Float64 | None = None, *, copy: bool = True) -> Arr: ...
@overload
def array(x: Var | Traces, /, dtype: Float64 | None = None, *, copy: bool = True) -> ArrayVar: ...
@overload
def array(x: NDArray[Element], /, dtype: None = None, *, copy: bool = True) -> NDArray[Element]: ...
@overload
def array(
    x: float | Data, /, dtype: type[Element] | np.dtype[Element], *, copy: bool = True
) -> NDArray[Element]: ...
@overload
def array(x: float | Data, /, dtype: Float64 | None = None, *, copy: bool = True) -> Floats: ...
@overload
def array(
    x: Number | Numbers | Sequence[Array], /, dtype: Float64 | None = None, *, copy: bool = True
) -> Array: ...
@overload
def array(
    x: object, /, dtype: DTypeLike | None = None, *, copy: bool = True
) -> NDArray[np.generic]: ...
def array(x: ArrayLike, /, dtype: DTypeLike | None = None, *, copy: bool = True) -> ArrayLike:
    """As ``asarray``, but what is not traced is copied."""
    if is_traced(x):
        return asarray(x, dtype=dtype, copy=copy)
    return np.array(x, dtype, copy=copy)


def finfo(type: DTypeLike | NDArray[np.generic] | ArrayVar, /) -> np.finfo[np.floating]:
    """The limits of a type of floats, or of an array's."""
    return np.finfo(_type_of(type))


def iinfo(type: DTypeLike | NDArray[np.generic], /) -> np.iinfo[np.integer]:
    """The limits of a type of ints, or of an array's."""
    return np.iinfo(_type_of(type))


def _type_of(x: Any) -> Any:
    return x.dtype if isinstance(x, np.ndarray | np.generic | ArrayVar) else x


@overload
def astype(
    x: ArrayVar | ArrayCondition, dtype: DTypeLike, /, *, copy: bool = True, device: Device = None
) -> ArrayVar: ...
@overload
def astype(
    x: NDArray[np.generic],
    dtype: type[Element] | np.dtype[Element],
    /,
    *,
    copy: bool = True,
    device: Device = None,
) -> NDArray[Element]: ...
@overload
def astype(
    x: NDArray[np.generic] | ArrayVar | ArrayCondition,
    dtype: Float64,
    /,
    *,
    copy: bool = True,
    device: Device = None,
) -> Array: ...
@overload
def astype(
    x: NDArray[np.generic], dtype: DTypeLike, /, *, copy: bool = True, device: Device = None
) -> NDArray[np.generic]: ...
def astype(
    x: ArrayLike, dtype: DTypeLike, /, *, copy: bool = True, device: Device = None
) -> ArrayLike:
    """x with numbers of another type; a traced array, and a condition, give float64 alone."""
    if not is_traced(x):
        return cast(Any, np.astype)(x, np.dtype(dtype), copy=copy, device=device)
    require_float64({"dtype": dtype})
    return x.copy() if copy and isinstance(x, ArrayVar) else operand(x)


@kept
def copy(x: ArrayLike, /) -> ArrayLike:
    """A copy of x, to which in-place operators may write."""
    return x.copy()


def shape(x: Shaped, /) -> tuple[int, ...]:
    """The length of each axis."""
    return x.shape if isinstance(x, ArrayVar | ArrayCondition) else np.shape(cast(Any, x))


def ndim(x: Shaped, /) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: Shaped, /) -> int:
    """The number of elements."""
    return int(np.prod(shape(x)))


@filled
def zeros_like(
    x: ArrayLike, /, *, dtype: DTypeLike | None = None, device: Device = None
) -> ArrayLike:
    """Zeros in the shape of x."""
    return cast(Any, np.zeros_like)(_like(x), dtype, device=device)


@filled
def ones_like(
    x: ArrayLike, /, *, dtype: DTypeLike | None = None, device: Device = None
) -> ArrayLike:
    """Ones in the shape of x."""
    return cast(Any, np.ones_like)(_like(x), dtype, device=device)


@filled
def empty_like(
    x: ArrayLike, /, *, dtype: DTypeLike | None = None, device: Device = None
) -> ArrayLike:
    """Any numbers in the shape of x."""
    return cast(Any, np.empty_like)(_like(x), dtype, device=device)


@overload
def full_like(
    x: Shaped, /, fill_value: float, *, dtype: Float64 | None = None, device: Device = None
) -> Floats: ...
@overload
def full_like(
    x: Shaped,
    /,
    fill_value: float,
    *,
    dtype: type[Element] | np.dtype[Element],
    device: Device = None,
) -> NDArray[Element]: ...
@overload
def full_like(
    x: Shaped, /, fill_value: Var, *, dtype: Float64 | None = None, device: Device = None
) -> ArrayVar: ...
@overload
def full_like(
    x: Shaped, /, fill_value: Number, *, dtype: Float64 | None = None, device: Device = None
) -> Array: ...
def full_like(
    x: ArrayLike,
    /,
    fill_value: ArrayLike,
    *,
    dtype: DTypeLike | None = None,
    device: Device = None,
) -> ArrayLike:
    """One number, which may be traced, in the shape of x."""
    if is_traced(fill_value):
        return broadcast_to(fill_value, shape(x))
    return cast(Any, np.full_like)(_like(x), fill_value, dtype, device=device)


def _like(x: Any) -> Any:
    return np.empty(x.shape) if isinstance(x, ArrayVar | ArrayCondition) else x
