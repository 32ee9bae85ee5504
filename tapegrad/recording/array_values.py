"""Arrays met while recording, as operands."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import reshape, stack
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.pytree.array_leaves import array_leaf
from tapegrad.pytree.numbers import RejectedError

__all__ = ["operand", "truths"]


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
