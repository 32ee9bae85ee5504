"""Arrays of numpy's as leaves: brought into one form, or refused with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tapegrad.errors import InputError
from tapegrad.pytree.numbers import RejectedError

__all__ = ["ARRAY", "FLOATS", "array_leaf", "is_float_array", "own", "parted", "side_by_side"]

Floats: TypeAlias = NDArray[np.float64]

ARRAY: Final = np.ndarray
FLOATS: Final = np.dtype(np.float64)
"""The class and the elements of an array that is a leaf as it is, if it stands in C order."""

_CURES: Final = {
    "b": "of truth values: pass it as data after the first argument, or its astype(float)",
    "c": "of complex numbers: pass its real and imag as two arrays",
    "O": "of objects: make it with dtype=float",
    "V": "of records: pass its fields as arrays by name",
    "M": "of dates: pass it as data after the first argument",
    "m": "of durations: divide it by a unit to get numbers",
    "S": "of texts: pass it as data after the first argument",
    "U": "of texts: pass it as data after the first argument",
}


def is_float_array(value: object) -> bool:
    """Whether a value is a plain array of floats."""
    return type(value) is np.ndarray and value.dtype.kind == "f"


def is_plain(value: NDArray[Any]) -> bool:
    """Whether an array is a leaf as it is."""
    is_float64 = type(value) is np.ndarray and value.dtype is FLOATS
    return is_float64 and value.ndim > 0 and value.flags.c_contiguous


def array_leaf(value: NDArray[Any], *, copy: bool) -> float | Floats:
    """The numbers of an array as float64 in C order; a number where it has no axes.

    With ``copy`` they are never the caller's own.

    Raises:
        RejectedError: for arrays of anything but real numbers, masked arrays and matrices.
    """
    if is_plain(value) and not copy:
        return value
    if type(value) is not np.ndarray:
        raise RejectedError(InputError, f"is a {type(value).__name__}: {_instead(value)}")
    if value.dtype.kind not in "fiu":
        cure = _CURES.get(value.dtype.kind, "that is none of numbers: make it with dtype=float")
        raise RejectedError(InputError, f"is an array {cure}")
    if not value.ndim:
        return float(value)
    if copy:
        return np.array(value, np.float64, order="C")
    return np.ascontiguousarray(value, np.float64)


def own(found: object, shape: tuple[int, ...], owned: set[int]) -> Floats:
    """An array in this shape that nobody else holds; ``owned`` are those that were given before.

    None is zeros, and what is smaller is the same along the missing axes.
    """
    if found is None:
        return np.zeros(shape)
    array = np.asarray(found, np.float64)
    is_own = array.shape == shape and array.base is None and array.flags.writeable
    if not is_own or id(array) in owned:
        return np.array(np.broadcast_to(array, shape), order="C")
    owned.add(id(array))
    return array


def parted(numbers: bytes, shapes: Iterable[tuple[int, ...]]) -> list[float | Floats]:
    """Numbers and arrays of these shapes, whose doubles stand side by side."""
    cells, found, at = np.frombuffer(numbers), [], 0
    for shape in shapes:
        part = cells[at : at + prod(shape)]
        found.append(part.reshape(shape) if shape else float(part[0]))
        at += len(part)
    return found


def side_by_side(found: Iterable[object]) -> bytes:
    """The doubles of numbers and arrays, one after the other."""
    return b"".join(np.asarray(one, np.float64).tobytes() for one in found)


def _instead(value: object) -> str:
    """The way out for an array of a class of its own."""
    if isinstance(value, np.ma.MaskedArray):
        return "pass its data and its mask as two arrays, or its filled(...)"
    return "pass numpy.asarray(...) of it"
