"""numpy's functions on traced numbers: those that are rows record, others are refused by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from traceback import walk_tb
from types import ModuleType
from typing import Any, Final, cast

from tapegrad._support.source_position import (
    here,
    is_called_by_solver,
    raised_at,
    solver_hint,
)
from tapegrad.errors import TapegradError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand, Primitive, Traced

__all__ = ["ROWS", "SPELLED", "apply", "methods"]


ROWS: Final[Mapping[str, Primitive]] = {
    name: row for row in ops.TABLE.rows if row.kind == "operation" for name in row.ufuncs
}
"""Those of connectives are not among them: what numpy gives for numbers is no condition."""

SPELLED: Final[Mapping[str, Callable[[Operand], Operand]]] = {
    "conjugate": lambda x: x,
    "positive": lambda x: x,
    "reciprocal": lambda x: ops.div(1.0, x),
    "rint": ops.round,
    "square": lambda x: ops.mul(x, x),
}
"""Functions of one number that are no rows, spelled in rows."""

_FOLDS: Final = (ops.add, ops.mul, ops.maximum, ops.minimum)
"""The functions whose reduction of a single number is that number."""


def apply(
    ufunc: Callable[..., object],
    method: str,
    inputs: tuple[object, ...],
    kwargs: Mapping[str, object],
    element: Callable[..., object],
) -> object:
    """Applies a function of numpy's to traced numbers, to arrays of them element by element.

    ``element(row, *values)`` applies a row to numbers. The result may go to an array of objects.
    """
    is_plain = method == "__call__" and "out" not in kwargs
    if is_plain and any(is_array(value) and _has_numbers(value) for value in inputs):
        return cast(
            object, serving("recording.array_functions").apply_ufunc(ufunc, method, inputs, kwargs)
        )
    name = ufunc.__name__
    if method == "reduce" and ROWS.get(name) in _FOLDS and set(kwargs.values()) <= {None}:
        return inputs[0]
    places = cast("tuple[Any, ...]", kwargs.get("out", ()))
    is_stored = len(kwargs) == 1 == len(places) and places[0].dtype == object
    function = _function(name, element)
    # SciPy's solvers ask whether a value is nan, and go on in C, where an error would be lost.
    is_lost = is_called_by_solver()
    if function is None or method != "__call__" or (kwargs and not is_stored) or is_lost:
        raise TracedNumberError(_refusal(name, method, inputs, kwargs))
    np = _numpy()
    if any(isinstance(value, np.ndarray) for value in inputs):
        elementwise: Callable[..., object] = np.frompyfunc(function, len(inputs), 1)
        found = elementwise(*map(_as_objects, inputs))
    else:
        found = function(*inputs)
    if not is_stored:
        return found
    places[0][...] = found
    return cast(object, places[0])


def _has_numbers(array: Any) -> bool:
    """Whether an array is one of numbers or truth values, and not of objects."""
    return bool(array.ndim) and array.dtype.kind in "biuf"


def methods(element: Callable[..., object]) -> Mapping[str, Callable[..., object]]:
    """The methods that numpy calls on the elements of an array of objects, by name."""
    names = [name for name, row in ROWS.items() if not (row.python or row.is_truth)]
    found: dict[str, Callable[..., object]] = {}
    for name in (*names, *SPELLED):
        function = cast("Callable[..., object]", _function(name, element))

        def method(*values: object, function: Callable[..., object] = function) -> object:
            return function(*values)

        method.__name__, method.__qualname__ = name, f"Var.{name}"
        method.__doc__ = f"What ``numpy.{name}`` gives."
        found[name] = method
    return found


_UNSUPPORTED: Final = re.compile(
    r"ufunc '(\w+)' not supported for the input types|Cannot cast ufunc '(\w+)' input"
)
_WITHOUT_METHOD: Final = re.compile(
    r"of type (?:float|int|bool|complex) which has no callable (\w+) method"
    r"|'(?:float|int|bool)' object has no attribute '(\w+)'"
)
_TRACED: Final = re.compile(r"'(Var|Condition)' object|'<(Var|Condition) %")


def explained(error: TypeError | AttributeError) -> TracedNumberError | None:
    """The error that numpy's own means for traced numbers, and what to write; else None.

    Nothing is said of the user's own errors: of an attribute that is asked for in the user's line,
    of a traced number in an error that is raised there.
    """
    text, (line, instruction) = str(error), raised_at(error)
    is_other = isinstance(error, TapegradError) or instruction.startswith("LOAD_")
    if is_other or "numpy" not in sys.modules:
        return None
    unsupported, without = _UNSUPPORTED.search(text), _WITHOUT_METHOD.search(text)
    if unsupported is not None:
        return _without_loop(
            _name(unsupported), line, "takes no array of objects, as one of traced numbers is"
        )
    if without is not None and _function(_name(without), id) is not None:
        return _without_loop(
            _name(without), line, "takes no array with plain floats beside traced numbers"
        )
    if _TRACED.search(text) and not instruction and not _is_of_math(error):
        return TracedNumberError(
            f"what is called at {line} takes no traced number ({error}): use tapegrad.math and "
            "operators"
        )
    return None


def _is_of_math(error: BaseException) -> bool:
    """Whether a function of ``tapegrad.math`` raised an error, as for a number that is no list."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__") == "tapegrad.math"


def _name(found: re.Match[str]) -> str:
    return str(next(filter(None, found.groups())))


def _without_loop(name: str, line: str, problem: str) -> TracedNumberError:
    """The error for a function of numpy's that cannot be applied to the elements of an array."""
    np, of_matrices = _numpy(), name.partition("_")[0].removesuffix("1")
    full = f"numpy.{name}" if hasattr(np, name) else f"numpy's {name}"
    cure = "use tapegrad.math and operators, element by element"
    if name in ROWS or name in SPELLED:
        cure = f"write tapegrad.numpy.{name} instead"
    elif hasattr(np.linalg, of_matrices):  # its loops are called solve1, svd_s, cholesky_lo, ...
        full, cure = f"numpy.linalg.{of_matrices}", "pass it tapegrad.numpy.asarray(x)"
    return TracedNumberError(f"{full} at {line} {problem}: {cure}")


def _function(name: str, element: Callable[..., object]) -> Callable[..., object] | None:
    """The function of numpy's for numbers, some of them traced; None where it is refused."""
    row = ROWS.get(name)
    return SPELLED.get(name) if row is None else partial(element, row)


def _refusal(
    name: str, method: str, inputs: tuple[object, ...], kwargs: Mapping[str, object]
) -> str:
    full = f"{name}.{method}" if method != "__call__" else name
    full = f"numpy.{full}" if hasattr(_numpy(), name) else f"the ufunc {full}"
    places = cast("tuple[Any, ...]", kwargs.get("out", ()))
    if method == "__call__" and any(place is value for place in places for value in inputs):
        return (
            f"{full} at {here()} would store a traced number in an array of {places[0].dtype}: "
            "write c = c + x instead of c += x, or make the array with dtype=object"
        )
    return (
        f"{full} at {here()} takes no traced number{' with options' * bool(kwargs)}: "
        f"use a function of tapegrad.math{solver_hint()}"
    )


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
