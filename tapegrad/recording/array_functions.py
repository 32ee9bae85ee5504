"""numpy's functions on traced arrays: those of numbers by their rows, others by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import Parameter, signature
from sys import maxsize
from typing import Any, Final, NamedTuple, cast

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
    ArrayVar,
    applied_to_arrays,
    combined,
)  # fmt: skip

__all__ = ["apply_ufunc", "call"]

_REDUCTIONS: Final[Mapping[object, str]] = {
    np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min",
    np.logical_and: "all", np.logical_or: "any",
}  # fmt: skip
"""The functions of ``tapegrad.numpy`` that reduce by one of numpy's functions of two numbers."""

_RUNNING: Final[Mapping[object, str]] = {
    np.add: "cumulative_sum",
    np.multiply: "cumulative_prod",
}
"""Those that give what one of numpy's functions gives of the first 1, 2, 3, ... numbers."""

_OPTIONS: Final = {
    "a_max": "max", "a_min": "min", "ddof": "correction", "reps": "repetitions",
}  # fmt: skip
"""numpy's names for options that the array API standard calls otherwise."""

_SILENT: Final = {"kind": None, "order": "C", "mode": "raise", "method": "linear"}
"""Options of numpy's that may be given as what holds here anyway; a kind of sorting is any."""


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
    options = _given(kwargs)
    if "out" in options:
        raise TracedNumberError(
            f"numpy.{ufunc.__name__} at {here()} would write a traced array into a plain one: "
            "write c = c + x instead of c += x, and leave out= away"
        )
    if method != "__call__" or options:
        return _by_method(ufunc, method, inputs, options)
    name = ufunc.__name__
    if ufunc is np.matmul:
        return applied_to_arrays(matmul, *inputs)
    row = numpy_protocol.ROWS.get(name)
    if row is not None:
        return _of_row(row, inputs)
    if name in _OF_TRUTHS and not any(isinstance(x, ArrayVar) for x in inputs):
        return combined(_OF_TRUTHS[name], *inputs)
    spelled = getattr(serving("numpy"), name, None)
    if spelled is None or spelled is ufunc:
        raise TracedNumberError(
            f"numpy.{name} at {here()} has no derivative here: use a function of tapegrad.numpy"
        )
    return cast("Callable[..., object]", spelled)(*inputs)


def _by_method(
    ufunc: Callable[..., object],
    method: str,
    inputs: tuple[Any, ...],
    options: Mapping[str, Any],
) -> object:
    """Applies a method of one of numpy's functions, or the function with options."""
    along_axes = {"reduce": _REDUCTIONS, "accumulate": _RUNNING}.get(method, {})
    if ufunc in along_axes:
        function = getattr(serving("numpy"), along_axes[ufunc])
        return function(*inputs, **{"axis": 0, **options})
    if method == "outer" and not options:
        column, row = serving("numpy.products").column_and_row(*inputs)
        return apply_ufunc(ufunc, "__call__", (column, row), {})
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    raise TracedNumberError(
        f"numpy.{name} at {here()} takes no traced array{' with options' * bool(options)}: "
        "use a function of tapegrad.numpy"
    )


_OF_TRUTHS: Final = {"bitwise_and": ops.and_, "bitwise_or": ops.or_, "invert": ops.not_}
"""The functions of bits, which connect truths."""


def _of_row(row: Primitive, inputs: tuple[Any, ...]) -> object:
    if row is ops.pow and isinstance(inputs[1], int | float):
        return cast(Any, inputs[0]) ** inputs[1]
    found = applied_to_arrays(row, *inputs)
    return ArrayCondition.of(found) if row.is_truth else found


def _given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call that say anything, by the names that they have here."""
    return {
        _OPTIONS.get(key, key): value
        for key, value in kwargs.items()
        if (value is not None or key == "axis")
        and not (key in _SILENT and _SILENT[key] in {None, value})
    }


def call(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> object:
    """Calls the function of ``tapegrad.numpy`` that stands for one of numpy's.

    Raises:
        TracedNumberError: where there is none, or it has not the options that are given.
    """
    if function is np.where and len(args) == 1 and not kwargs:
        return serving("numpy").nonzero(args[0])
    name, ours = _own(function)
    if ours is None:
        raise TracedNumberError(
            f"{name} at {here()} takes no traced array: use a function of tapegrad.numpy"
        )
    if len(args) <= _places(ours).most and _passes_on(ours, kwargs):
        return ours(*args, **kwargs)
    return _called(ours, name, *_by_name(function, ours, args, kwargs))


def _passes_on(ours: Callable[..., object], kwargs: Mapping[str, object]) -> bool:
    """Whether ours takes these options as they are."""
    if not kwargs:
        return True
    return kwargs.keys() <= _options(ours) and all(x is not None for x in kwargs.values())


@cache
def _options(ours: Callable[..., object]) -> frozenset[str]:
    """The options of a function of ours that mean the same by these names in numpy's."""
    named = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
    parameters = (_parameters(ours) or {}).items()
    names = {name for name, each in parameters if each.kind in named}
    return frozenset(names - {"dtype", *_OPTIONS, *_SILENT})


@cache
def _own(function: Callable[..., object]) -> tuple[str, Callable[..., object] | None]:
    """The full name of a function of numpy's, and ours, if there is one."""
    module, name = function.__module__ or "numpy", function.__name__
    own = serving("numpy")
    place = own.linalg if module.endswith("linalg") or name == "cross" else own
    found = getattr(place, name, None)
    return f"{module}.{name}", None if found is function or not callable(found) else found


def _by_name(
    theirs: Callable[..., object],
    ours: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """The arguments as ours takes them, which has not all of numpy's by the same name or place."""
    if not kwargs and len(args) == 1:
        return args, kwargs
    names, places = [*(_parameters(theirs) or ())], _places(ours)
    named = dict(kwargs)
    while len(args) < min(places.alone, len(names)) and names[len(args)] in named:
        args = (*args, named.pop(names[len(args)]))
    if places.most < len(args) <= len(names):
        rest = zip(names[places.most : len(args)], args[places.most :], strict=True)
        args, named = args[: places.most], {**dict(rest), **named}
    return args, named


class _Places(NamedTuple):
    """How many arguments a function takes by position alone, and at the most."""

    alone: int
    most: int


@cache
def _places(function: Callable[..., object]) -> _Places:
    parameters = _parameters(function)
    kinds = [each.kind for each in (parameters or {}).values()]
    alone = kinds.count(Parameter.POSITIONAL_ONLY)
    if parameters is None or Parameter.VAR_POSITIONAL in kinds:
        return _Places(alone, maxsize)
    return _Places(alone, alone + kinds.count(Parameter.POSITIONAL_OR_KEYWORD))


def called_by_name(name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
    """The result of a function of ``tapegrad.numpy``, with options as numpy's method has them."""
    ours = getattr(serving("numpy"), name)
    return _called(ours, name, *_by_name(getattr(np, name), ours, args, kwargs))


def _called(
    found: Callable[..., object],
    name: str,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """The result of one of our functions; what numpy calls by name may be by position here."""
    options = _given(kwargs)
    serving("numpy.arrays").require_float64(options)
    parameters = _parameters(found) if options else None
    if parameters is None:
        return found(*args, **options)
    before = [key for key, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]
    by_place = [options.pop(key) for key in before[len(args) :] if key in options]
    unknown = [key for key in options if key not in parameters]
    if unknown and not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        raise TracedNumberError(
            f"{name} at {here()} of a traced array takes no {unknown[0]}: leave it out"
        )
    return found(*args, *by_place, **options)


@cache
def _parameters(function: Callable[..., object]) -> Mapping[str, Parameter] | None:
    """The parameters of a function, where it has a signature."""
    try:
        return signature(function).parameters
    except ValueError:
        return None
