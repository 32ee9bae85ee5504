"""The types of arrays in models, and what the functions of this namespace are made of."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.recording import array_values
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, applied_to_arrays
from tapegrad.recording.recorder import Condition, promote

__all__ = ["Arr", "Floats", "Truths", "applied", "indicator", "is_traced", "operand"]

Floats: TypeAlias = NDArray[np.float64]
Truths: TypeAlias = NDArray[np.bool_] | ArrayCondition
Arr = TypeVar("Arr", NDArray[np.float64], ArrayVar)
"""The type of an array in a model that runs on numpy's arrays and on traced ones alike."""


def is_traced(*values: object) -> bool:
    """Whether any of these is traced."""
    return any(isinstance(x, Traced | ArrayCondition | Condition) for x in values)


def applied(row: Primitive, *operands: Any) -> Any:
    """A row applied element by element to arrays and numbers, traced or not."""
    if is_traced(*operands):
        return applied_to_arrays(row, *operands)
    return row(*map(operand, operands))


def operand(x: Any) -> Operand:
    """A number or an array as an operand; numpy's arrays are copied."""
    found = x.as_numbers() if isinstance(x, ArrayCondition) else promote(x)
    return cast(Operand, promote(np.asarray(x)) if found is None else found)


def indicator(condition: Any) -> Operand:
    """A condition as an operand: truth values, or a number that is 1.0 or 0.0."""
    if isinstance(condition, ArrayCondition | Condition):
        return condition.indicator
    return array_values.truths(condition)  # type: ignore[no-any-return]  # of numpy's
