"""Rows of numbers on arrays, element by element.

A row that numpy has is one call. Rows that are used much are computed in few passes
(``array_passes``); any other goes as ``array_code`` spells it, or number by number. Results stand
in C order, so that the bits of what is computed from them depend on the program alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np

from tapegrad.ops.array_code import MOST_LINES, in_c_order, spelled
from tapegrad.ops.array_passes import PASSES, by_numbers, ufunc_of, with_rare
from tapegrad.ops.array_steps import SPELLED
from tapegrad.ops.lowering import Usually
from tapegrad.ops.primitive import MANY, Primitive

__all__ = ["compute", "function_of"]

Function: TypeAlias = Callable[..., Any]


def compute(row: Primitive, operands: tuple[Any, ...]) -> Any:
    """The value of a row on operands of which one at least is an array."""
    return function_of(row)(*operands)


@cache
def function_of(row: Primitive) -> Function:
    """The function that computes a row on operands of which one at least is an array.

    What it gives has the operands' common shape, and stands in C order.
    """
    if row.array is not None:
        return row.value
    ufunc, passes = ufunc_of(row), PASSES.get(row)
    if ufunc is not None:
        return _in_order(ufunc)
    spelling = _in_lines(row)
    return spelling if passes is None else _in_passes(passes, spelling)


def _in_order(ufunc: np.ufunc) -> Function:
    """One of numpy's functions; what it gives stands in C order."""

    def function(*operands: Any) -> Any:
        found: Any = ufunc(*operands)
        return found if found.flags.c_contiguous else np.ascontiguousarray(found)

    return function


def _in_passes(passes: Function, otherwise: Function) -> Function:
    """A function in few passes, and another one for operands that it does not take."""

    def function(*operands: Any) -> Any:
        found = passes(*operands)
        return otherwise(*operands) if found is None else in_c_order(found)

    return function


def _in_lines(row: Primitive) -> Function:
    """A row as it is spelled; on few numbers one after the other, as that takes less time."""
    has_static = row.has_static
    if row.arity == 1 and not has_static:
        return _in_lines_of_one(row)

    def function(*operands: Any) -> Any:
        given = operands[:-1] if has_static else operands
        if len(given) > MANY:
            return _by_rows(row, given)
        kinds = [type(x) is not np.ndarray for x in given]
        code = spelled(row, (*kinds, *operands[len(given) :]))
        if code is None or (code.lines > MOST_LINES and _size(given) <= code.lines // 2):
            return by_numbers(row, *operands)
        return code.run(*operands)[0]

    return function


def _in_lines_of_one(row: Primitive) -> Function:
    """The same for a row of one array."""
    value, kind = row.value, bool if row.is_truth else float

    def function(x: Any) -> Any:
        code = spelled(row, (False,))
        if code is None or (code.lines > MOST_LINES and x.size <= code.lines // 2):
            numbers = map(value, x.ravel().tolist())
            return np.fromiter(numbers, kind, x.size).reshape(x.shape)
        return code.run(x)[0]

    return function


def _size(operands: tuple[Any, ...]) -> int:
    """How many numbers the result has."""
    shapes = {x.shape for x in operands if type(x) is np.ndarray}
    return prod(shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes))


def _by_rows(row: Primitive, operands: tuple[Any, ...]) -> Any:
    """A row of many operands in others."""
    found = SPELLED[row](*operands) if row in SPELLED else None
    if found is None:
        return by_numbers(row, *operands)
    if not isinstance(found, Usually):
        return in_c_order(found)
    holds: Any = found.holds
    if np.all(holds):
        return in_c_order(found.value)
    return with_rare(row, cast(Any, found.value), holds, *operands)
