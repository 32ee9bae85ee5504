"""Arrays met while recording, as operands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import reshape, stack, transpose
from tapegrad.ops.primitive import Operand, Shape, Traced, shape_of
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
    if value.base is not None and value.ndim > 1 and _is_plain(value):
        return value  # a view, which ``held`` keeps as what it shows and copies
    try:
        return array_leaf(value, copy=copy)
    except RejectedError as rejected:
        raise rejected.error(f"an operand {rejected.what} ({here()})") from None


def truths(value: object) -> Any:
    """A condition that is no traced one, as an operand: an array of truth values, or 1.0 or 0.0.

    A list is an array, as it is to numpy.
    """
    value = np.asarray(value) if isinstance(value, list | tuple) else value
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
    nobody can write to it. What shows an array with its axes in another order is kept as that: the
    array, and an entry that turns it, since the bits of a product depend on how its operands stand
    in memory.
    """
    if not _is_plain(array) or not array.ndim:
        return None
    turned = _turned(recorder, array) if array.base is not None and array.ndim > 1 else None
    if turned is not None:
        return recorder.apply(transpose, cast("tuple[Operand, ...]", turned))._slot
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


def _is_plain(array: NDArray[Any]) -> bool:
    return type(array) is np.ndarray and array.dtype is _FLOAT64


def _turned(recorder: Recorder, view: NDArray[Any]) -> tuple[NDArray[Any], Shape] | None:
    """The numbers that a view shows, in C order, and the order of axes in which it shows them.

    The order is that of a recording in which the array whose memory is shown, data or computed
    from data, stands in C order; None where the view does so, too.
    """
    axes = tuple(range(view.ndim))
    if 1 in view.shape:
        return None
    steps = _steps(recorder, view)
    places = [
        (_axis(steps, abs(stride)), -abs(stride), -length)
        for stride, length in zip(view.strides, view.shape, strict=True)
    ]
    order = tuple(sorted(axes, key=places.__getitem__))
    return None if order == axes else (view.transpose(order), tuple(map(order.index, axes)))


def _steps(recorder: Recorder, view: NDArray[Any]) -> list[tuple[int, int]]:
    """The stride and the number of each axis of the array whose memory a view shows."""
    for whole in (*_arrays(recorder.lent), view.base):
        if type(whole) is np.ndarray and whole.ndim > 1 and np.may_share_memory(whole, view):
            strides = zip(whole.strides, whole.shape, strict=True)
            return [(abs(step), at) for at, (step, length) in enumerate(strides) if length > 1]
    return []


def _axis(steps: list[tuple[int, int]], stride: int) -> int:
    """The axis along which a stride goes: that of the longest step which it holds."""
    return max((step for step in steps if 0 < step[0] <= stride), default=(0, len(steps)))[1]


def _arrays(values: Iterable[object]) -> Iterator[object]:
    """The values, and those in dicts, lists and tuples; a list of numbers is passed over."""
    for value in values:
        if isinstance(value, dict):
            yield from _arrays(value.values())
        elif isinstance(value, list | tuple):
            yield from () if value and isinstance(value[0], float) else _arrays(value)
        else:
            yield value


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
