"""numpy's functions on traced arrays: those of numbers by their rows, others by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np

from tapegrad._support.source_position import here
from tapegrad.errors import TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import matmul
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Primitive
from tapegrad.recording import numpy_protocol
from tapegrad.recording.array_var import (
    ArrayCondition,
    applied_to_arrays,
    combined,
)  # fmt: skip

__all__ = ["apply_ufunc", "call"]

_REDUCTIONS: Final[Mapping[object, str]] = {
    np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min",
    np.logical_and: "all", np.logical_or: "any",
}  # fmt: skip
"""The functions of ``tapegrad.numpy`` that reduce by one of numpy's functions of two numbers."""

_ALIASES: Final = {
    "amax": "max", "amin": "min", "concatenate": "concat", "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum", "transpose": "permute_dims",
}  # fmt: skip
"""numpy's names for functions that the array API standard calls otherwise."""


def apply_ufunc(
    ufunc: Callable[..., object],
    method: str,
    inputs: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> object:
    """Applies one of numpy's functions of numbers to operands of which one at least is traced.

    Raises:
        TracedNumberError: for a function that has no derivative here, or is to write its result.
    """
    name = ufunc.__name__
    if method == "reduce" and ufunc in _REDUCTIONS:
        function = getattr(serving("numpy"), _REDUCTIONS[ufunc])
        return function(*inputs, **{"axis": 0, **_given(kwargs)})
    if method != "__call__" or _given(kwargs):
        what = name if method == "__call__" else f"{name}.{method}"
        raise TracedNumberError(
            f"numpy.{what} at {here()} takes no traced array{' with options' * bool(kwargs)}: "
            "use a function of tapegrad.numpy"
        )
    if ufunc is np.matmul:
        return applied_to_arrays(matmul, *inputs)
    row = numpy_protocol.ROWS.get(name) or _TRUTHS.get(name)
    if row is not None:
        return _of_row(row, inputs)
    spelled = numpy_protocol.SPELLED.get(name)
    if spelled is None:
        raise TracedNumberError(
            f"numpy.{name} at {here()} has no derivative here: use a function of tapegrad.numpy"
        )
    return spelled(*inputs)


_TRUTHS: Final[Mapping[str, Primitive]] = {
    name: row for row in ops.TABLE.rows if row.kind == "connective" for name in row.ufuncs
}


def _of_row(row: Primitive, inputs: tuple[Any, ...]) -> object:
    if row.kind == "connective":
        return combined(row, *inputs)
    if row is ops.pow and isinstance(inputs[1], int | float):
        return cast(Any, inputs[0]) ** inputs[1]
    found = applied_to_arrays(row, *inputs)
    return ArrayCondition.of(found) if row.is_truth else found


def _given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call that say anything."""
    return {key: value for key, value in kwargs.items() if value is not None and key != "dtype"}


def call(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> object:
    """Calls the function of ``tapegrad.numpy`` that stands for one of numpy's.

    Raises:
        TracedNumberError: where there is none.
    """
    module, name = function.__module__ or "numpy", function.__name__
    own = serving("numpy")
    place = own.linalg if module.endswith("linalg") else own
    found = getattr(place, _ALIASES.get(name, name), None) or getattr(place, name, None)
    if found is None:
        raise TracedNumberError(
            f"{module}.{name} at {here()} takes no traced array: use a function of tapegrad.numpy"
        )
    return cast("Callable[..., object]", found)(*args, **_given(kwargs))
