"""numpy's functions on traced numbers: those that are rows record, the rest are refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Final, cast

from tapegrad import ops
from tapegrad.errors import TracedNumberError
from tapegrad.positions import here
from tapegrad.primitive import Primitive
from tapegrad.recording import Var, condition, promote

__all__ = ["apply"]

_UFUNCS: Final[Mapping[str, Primitive]] = {
    "add": ops.add, "subtract": ops.sub, "multiply": ops.mul, "divide": ops.div,
    "true_divide": ops.div, "negative": ops.neg, "power": ops.pow, "float_power": ops.pow,
    "absolute": ops.abs, "fabs": ops.abs, "floor_divide": ops.floordiv, "remainder": ops.mod,
    "fmod": ops.fmod, "maximum": ops.maximum, "minimum": ops.minimum, "sign": ops.sign,
    "floor": ops.floor, "ceil": ops.ceil, "trunc": ops.trunc, "copysign": ops.copysign,
    "exp": ops.exp, "exp2": ops.exp2, "expm1": ops.expm1, "log": ops.log, "log2": ops.log2,
    "log10": ops.log10, "log1p": ops.log1p, "sqrt": ops.sqrt, "cbrt": ops.cbrt,
    "hypot": ops.hypot, "sin": ops.sin, "cos": ops.cos, "tan": ops.tan, "arcsin": ops.asin,
    "arccos": ops.acos, "arctan": ops.atan, "arctan2": ops.atan2, "sinh": ops.sinh,
    "cosh": ops.cosh, "tanh": ops.tanh, "arcsinh": ops.asinh, "arccosh": ops.acosh,
    "arctanh": ops.atanh, "degrees": ops.degrees, "rad2deg": ops.degrees,
    "radians": ops.radians, "deg2rad": ops.radians, "logaddexp": ops.logaddexp,
    "less": ops.lt, "less_equal": ops.le, "greater": ops.gt, "greater_equal": ops.ge,
    "equal": ops.eq, "not_equal": ops.ne,
}  # fmt: skip


def apply(
    ufunc: Callable[..., object],
    method: str,
    inputs: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """What numpy's function of that name is on traced numbers; arrays go element by element."""
    np = _numpy()
    row = _UFUNCS.get(ufunc.__name__)
    if row is None or method != "__call__" or kwargs:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise TracedNumberError(
            f"numpy.{name} at {here()} takes no traced number{' with options' * bool(kwargs)}: "
            "use a function of tapegrad.math"
        )
    if any(isinstance(value, np.ndarray) for value in inputs):
        elementwise: Callable[..., object] = np.frompyfunc(partial(_element, row), len(inputs), 1)
        return elementwise(*map(_as_objects, inputs))
    return _element(row, *inputs)


def _as_objects(value: object) -> object:
    """An array of objects: a traced number alone would ask for this function again."""
    np = _numpy()
    array = np.empty((), dtype=object) if isinstance(value, Var) else np.asarray(value, object)
    if isinstance(value, Var):
        array[()] = value
    return cast(object, array)


def _numpy() -> ModuleType:
    """The module that has called; imported by name, it would cost every user's mypy a second."""
    return sys.modules["numpy"]


def _element(row: Primitive, *values: object) -> object:
    operands = tuple(x for x in map(promote, values) if x is not None)
    if len(operands) < len(values):
        raise TracedNumberError(f"{row.name} at {here()} takes numbers, not {values!r}")
    if not any(isinstance(x, Var) for x in operands):
        return row(*operands)
    if row is ops.pow and not isinstance(operands[1], Var):
        row = ops.powc
    return condition(row, *operands) if row.is_truth else row(*operands)
