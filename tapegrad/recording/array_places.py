"""Indices of arrays: plain ones are kept beside an entry, traced ones are operands of it."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias, cast

import numpy as np

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.ops import array_rows as rows
from tapegrad.ops.primitive import Operand, Shape, Traced, TracedArray, shape_of
from tapegrad.recording.recorder import promote

__all__ = ["at_places", "has_places", "places_of", "plain_part"]

Places: TypeAlias = tuple[Any, Shape]


def has_places(index: tuple[Any, ...]) -> bool:
    """Whether a part of an index is a traced array."""
    return any(isinstance(part, TracedArray) for part in index)


def plain_part(part: Any) -> Any:
    """A part of an index that is not traced: Python's int for numpy's, an array for a list."""
    if isinstance(part, list | np.ndarray):
        found = np.array(part)
        return found.astype(np.intp) if not found.size and found.dtype.kind == "f" else found
    if isinstance(part, bool | slice) or part is None or part is ...:
        return part
    try:
        return operator.index(part)
    except TypeError:
        raise InputError(
            f"an index is {describe(part)} ({here()}): use ints, slices, or arrays of ints or of "
            "truth values"
        ) from None


def at_places(x: Operand, index: tuple[Any, ...]) -> Operand:
    """The parts of an array at traced places."""
    return rows.gather(x, *cast("tuple[Operand, Operand]", places_of(index, shape_of(x))))


def places_of(index: tuple[Any, ...], shape: Shape) -> Places:
    """Traced places as one operand, and along how many axes they go.

    Raises:
        InputError: for slices and the like beside them.
    """
    given = index[:-1] if index[-1] is ... else index
    if len(given) > len(shape) or not all(map(_is_place, given)):
        raise InputError(
            f"an index at {here()} has other parts than numbers beside a traced array: index "
            "with ints and arrays of ints alone, for the first axes, or write take"
        )
    parts = [
        part if isinstance(part, Traced) else cast(Operand, promote(np.asarray(part)))
        for part in given
    ]
    common = np.broadcast_shapes(*map(shape_of, parts))
    if len(parts) == 1:
        return parts[0], (1,)
    wide = [rows.reshape(rows.spread(part, common), (1, *common)) for part in parts]
    return rows.concatenate(*wide, 0), (len(parts),)


def _is_place(part: Any) -> bool:
    if isinstance(part, np.ndarray):
        return part.dtype.kind in "iu"
    return isinstance(part, Traced) or (isinstance(part, int) and not isinstance(part, bool))
