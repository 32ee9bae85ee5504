"""numpy's functions on traced numbers: those that are rows record, others are refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Final, cast

from tapegrad._support.source_position import here, solver_hint
from tapegrad.errors import TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive, Traced

__all__ = ["apply"]


def _is_recorded(row: Primitive) -> bool:
    """Whether numpy's function may record the row; connectives and tests give conditions."""
    return row.kind == "operation" and not (row.is_truth and row.arity == 1)


_ROWS: Final[Mapping[str, Primitive]] = {
    name: row for row in ops.TABLE.rows if _is_recorded(row) for name in row.ufuncs
}


def apply(
    ufunc: Callable[..., object],
    method: str,
    inputs: tuple[object, ...],
    kwargs: Mapping[str, object],
    element: Callable[..., object],
) -> object:
    """Applies a function of numpy's to traced numbers, to arrays of them element by element.

    ``element(row, *values)`` applies a row to numbers.
    """
    np = _numpy()
    row = _ROWS.get(ufunc.__name__)
    if row is None or method != "__call__" or kwargs:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise TracedNumberError(
            f"numpy.{name} at {here()} takes no traced number{' with options' * bool(kwargs)}: "
            f"use a function of tapegrad.math{solver_hint()}"
        )
    if any(isinstance(value, np.ndarray) for value in inputs):
        elementwise: Callable[..., object] = np.frompyfunc(partial(element, row), len(inputs), 1)
        return elementwise(*map(_as_objects, inputs))
    return element(row, *inputs)


def _as_objects(value: object) -> object:
    """The value as an array of objects: on a traced number numpy would call this module again."""
    np = _numpy()
    array = np.empty((), dtype=object) if isinstance(value, Traced) else np.asarray(value, object)
    if isinstance(value, Traced):
        array[()] = value
    return cast(object, array)


def _numpy() -> ModuleType:
    """The module that has called; an import by name would cost every user's mypy a second."""
    return sys.modules["numpy"]
