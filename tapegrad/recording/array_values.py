"""Arrays met while recording, as operands."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import reshape, stack
from tapegrad.ops.primitive import Operand, Traced, shape_of
from tapegrad.pytree.array_leaves import array_leaf
from tapegrad.pytree.numbers import RejectedError
from tapegrad.recording.recorder import CODES, Recorder

__all__ = ["held", "operand", "truths"]


def operand(value: NDArray[Any], *, copy: bool = True) -> Any:
    """An array as an operand: a copy of its own, as the caller may go on to change what is kept.

    One of objects with traced numbers among them becomes a traced array.

    Raises:
        InputError: for arrays of anything but real numbers.
    """
    if value.dtype == np.bool_:
        return value.astype(np.float64) if value.ndim else float(value)
    if value.dtype == object and any(isinstance(x, Traced) for x in value.flat):
        return _of_objects(value)
    try:
        return array_leaf(value, copy=copy)
    except RejectedError as rejected:
        raise rejected.error(f"an operand {rejected.what} ({here()})") from None


def truths(value: object) -> Any:
    """A condition that is no traced one, as an operand: an array of truth values, or 1.0 or 0.0."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.astype(np.bool_)
    return float(bool(value))


def _of_objects(value: NDArray[Any]) -> Any:
    numbers = [ops.add(x, -0.0) if isinstance(x, bool) else x for x in value.flat]
    flat = numbers[0] if not value.ndim else stack(*cast("list[Operand]", numbers))
    return reshape(cast(Operand, flat), value.shape) if value.ndim > 1 else flat


def held(recorder: Recorder, array: NDArray[Any]) -> int | None:
    """The slot of an array of floats that is not traced; None for another kind of array.

    It is a copy that nobody can change, as the model may go on to change the array. One that cannot
    be changed is taken as it is, and so is a large one that was lent: until the recording ends
    nobody can write to it.
    """
    if type(array) is not np.ndarray or array.dtype is not _FLOAT64 or not array.ndim:
        return None
    lent = _lent(recorder, array) if array.nbytes >= _LARGE and recorder.lent else None
    key: Any = (id(array if lent is None else lent),)
    slot = recorder.known.get(key)
    if slot is not None:
        return slot
    if lent is not None:
        kept = array.view()
        recorder.lock(lent)
    elif array.base is None and array.flags.c_contiguous and not array.flags.writeable:
        kept = array
    else:
        kept = array.copy()
        key = (id(kept),)
    kept.flags.writeable = False
    recorder.known[key] = slot = recorder.append(_CONSTANT, -1, -1, cast(float, kept))._slot
    return slot


def _lent(recorder: Recorder, array: NDArray[Any]) -> NDArray[Any] | None:
    """The array that was lent which this one is, or which it shows as it is."""
    for each in recorder.lent:
        if array is each or (array.base is each and array.shape == shape_of(each)):
            return cast("NDArray[Any]", each) if array.flags.c_contiguous else None
    return None


_CONSTANT: Final = CODES[ops.constant]
_FLOAT64: Final = np.dtype(np.float64)
_LARGE: Final = 1 << 16
"""From how many bytes on copying an array takes longer than guarding it."""
