"""Operators and functions of traced arrays, made from their rows.

Each does what its operation needs. What is not plain (a recording that has ended, another thread's,
one inside another, an operand of another recording or of another type) is left to ``array_var``.
``recorder.plain`` is held by this thread only where all is plain.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from math import copysign
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy import array, ndarray

from tapegrad._support.source_position import mark
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import direct_function, ufunc_of
from tapegrad.ops.array_support import serving
from tapegrad.ops.array_table import ARRAY_TABLE
from tapegrad.ops.array_values import plain, product
from tapegrad.ops.elementwise import function_of
from tapegrad.ops.primitive import Primitive
from tapegrad.recording import array_values, numpy_protocol
from tapegrad.recording.array_var import (
    QUICK,
    ArrayCondition,
    ArrayVar,
    applied_to_arrays,
    entry,
    require_shapes,
)
from tapegrad.recording.in_place import written
from tapegrad.recording.recorder import CODES, Recorder, Var

__all__ = ["function_on_arrays"]

Function: TypeAlias = Callable[..., Any]


_OPERATORS: Final[dict[Primitive, Function]] = {
    ops.add: operator.add, ops.sub: operator.sub, ops.mul: operator.mul, ops.div: operator.truediv,
    ops.lt: operator.lt, ops.le: operator.le, ops.gt: operator.gt, ops.ge: operator.ge,
    ops.eq: operator.eq, ops.ne: operator.ne, rows.matmul: product,
}  # fmt: skip
"""Rows whose values on arrays Python's operators give, but for the order in memory."""


def _computed(row: Primitive) -> Function:
    """The function that computes a row, of which one operand at least is an array.

    What it gives may stand in another order than C's.
    """
    return _OPERATORS.get(row) or direct_function(row) or function_of(row)


@cache
def function_on_arrays(row: Primitive) -> Function | None:
    """A row of numbers as a function of traced arrays, and of what stands beside them.

    What it does not take is ``NotImplemented``. None for a row of another kind.
    """
    if row.has_static or (row.array is not None and row is not rows.matmul):
        return None
    if row.is_pooled:
        return _of_many(row)
    return _of_one(row) if row.arity == 1 else _of_two(row)


def _of_one(row: Primitive) -> Function:
    code, compute = CODES[row], _computed(row)

    def function(x: Any) -> Any:
        if type(x) is not ArrayVar or not x._recorder.plain._is_owned():
            return applied_to_arrays(row, x)
        value = compute(x._value)
        if value.ndim > 1 and not value.flags.c_contiguous:
            value = np.ascontiguousarray(value)
        # As `entry` does, without a call.
        recorder = x._recorder
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        made = ArrayVar()
        made._recorder = recorder
        made._slot = len(values)
        made._value = value
        recorder.codes.append(code)
        recorder.left.append(x._slot)
        recorder.right.append(-1)
        values.append(value)  # last, as there
        return made

    return function


def _of_two(row: Primitive) -> Function:  # noqa: PLR0915  # each call would take longer
    compute, code = _computed(row), CODES.get(row)
    takes_arrays = row in _OPERATORS or ufunc_of(row) is not None

    def function(x: Any, y: Any) -> Any:
        recorder = x._recorder if type(x) is ArrayVar else getattr(y, "_recorder", None)
        if recorder is None or not recorder.plain._is_owned():
            return applied_to_arrays(row, x, y)
        left = x._slot if type(x) is ArrayVar else _slot(recorder, x)
        is_own = type(y) is ArrayVar and y._recorder is recorder
        right = y._slot if is_own else _slot(recorder, y)
        if left is None or right is None:
            return applied_to_arrays(row, x, y)
        values = recorder.values
        a, b = values[left], values[right]
        if type(b) is float and takes_arrays:  # numpy takes an array without axes sooner
            b = array(b)
        elif type(a) is float and takes_arrays:
            a = array(a)
        try:
            value = compute(a, b)
        except ValueError:
            require_shapes(row, (x, y))
            raise
        if value.ndim != 1 and not (value.ndim and value.flags.c_contiguous):
            value = plain(value)
        # As `entry` does, without a call.
        if recorder.marks is not None:
            recorder.mark()
        made: Any = ArrayVar() if type(value) is ndarray else Var()
        made._recorder = recorder
        made._slot = len(values)
        made._value = value
        recorder.codes.append(recorder.table.codes[row] if code is None else code)
        recorder.left.append(left)
        recorder.right.append(right)
        values.append(value)  # last, as there
        return made

    return function


def _of_many(row: Primitive) -> Function:
    code, compute = CODES[row], _computed(row)

    def function(*xs: Any) -> Any:
        recorder = None
        for x in xs:
            if type(x) is ArrayVar:
                recorder = x._recorder
                break
        if recorder is None or not recorder.plain._is_owned():
            return applied_to_arrays(row, *xs)
        slots: list[int] = []
        given: list[Any] = []
        for x in xs:
            is_own = type(x) is ArrayVar and x._recorder is recorder
            slot = x._slot if is_own else _slot(recorder, x)
            if slot is None:
                return applied_to_arrays(row, *xs)
            slots.append(slot)
            given.append(recorder.values[slot])
        try:
            value = compute(*given)
        except ValueError:
            require_shapes(row, xs)
            raise
        if type(value) is ndarray and not value.flags.c_contiguous:
            value = np.ascontiguousarray(value)
        start = len(recorder.pool)
        recorder.pool += slots
        return entry(recorder, code, start, len(slots), value)

    return function


def _of_static(row: Primitive) -> Function:
    """A row that takes a traced array as it is, with a static operand."""
    is_plain = row.module == rows.__name__
    compute = getattr(serving("ops.array_values"), row.reference) if is_plain else row.value

    def function(x: Any, static: Any) -> Any:
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return recorder.apply(row, (x, static))
        value = compute(x._value, static)
        recorder.statics.append(static)
        place = len(recorder.statics) - 1
        return entry(recorder, recorder.table.codes[row], x._slot, place, value)

    return function


def _slot(recorder: Recorder, operand: Any) -> int | None:
    """The slot of an operand of a plain kind; None for one of another kind."""
    kind = type(operand)
    if kind is ArrayVar or kind is Var:
        return operand._slot if operand._recorder is recorder else None
    if kind is float or kind is int:
        if not operand and copysign(1.0, operand) < 0.0:
            return recorder.constant(operand)
        slot = recorder.known.get(operand)
        return recorder.new_constant(operand) if slot is None else slot
    return array_values.held(recorder, operand) if kind is np.ndarray else None


def _operators(row: Primitive) -> tuple[Function, Function]:
    """The operator of a row, and the one from the right."""
    function = cast(Function, function_on_arrays(row))
    return function, lambda self, other: function(other, self)


def _in_place(operator: Function) -> Function:
    """The operator that writes what another one gives where its first operand stands."""

    def write(self: ArrayVar, other: Any, /) -> Any:
        made = operator(self, other)
        recorder = self._recorder
        if made is NotImplemented or made._recorder is not recorder or made.shape != self.shape:
            return made if made is NotImplemented else written(self, made)
        recorder.written.append((self._slot, made._slot, mark(2)))
        return made

    return write


def _comparison(row: Primitive) -> Function:
    function = cast(Function, function_on_arrays(row))

    def compare(self: ArrayVar, other: Any, /) -> Any:
        indicator = function(self, other)
        if indicator is NotImplemented:
            return indicator
        found = ArrayCondition()
        found.indicator = indicator
        return found

    return compare


_of_power: Final = cast(Function, function_on_arrays(ops.pow))


def _power(self: ArrayVar, other: Any, /) -> Any:
    if type(other) is not int and type(other) is not float:
        return _of_power(self, other)
    recorder, exponent = self._recorder, float(other)
    if not recorder.plain._is_owned():
        return recorder.apply(ops.powc, (self, exponent))
    value = _constant_power(self._value, exponent)
    if not value.flags.c_contiguous:
        value = np.ascontiguousarray(value)
    return entry(recorder, _POWC, self._slot, recorder.exponent(exponent), value)


_constant_power: Final = _computed(ops.powc)
_POWC: Final = CODES[ops.powc]

for _name, _row in {
    "__add__": ops.add, "__floordiv__": ops.floordiv, "__matmul__": rows.matmul,
    "__mod__": ops.mod, "__mul__": ops.mul, "__pow__": ops.pow, "__sub__": ops.sub,
    "__truediv__": ops.div,
}.items():  # fmt: skip
    _forward, _backward = _operators(_row)
    setattr(ArrayVar, _name, _forward)
    setattr(ArrayVar, _name.replace("__", "__r", 1), _backward)
    setattr(
        ArrayVar, _name.replace("__", "__i", 1), _in_place(_power if _row is ops.pow else _forward)
    )
for _row in (ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne):
    setattr(ArrayVar, f"__{_row.name}__", _comparison(_row))
for _name, _method in {
    "__pow__": _power,
    "__neg__": function_on_arrays(ops.neg),
    "__abs__": function_on_arrays(ops.abs),
}.items():
    setattr(ArrayVar, _name, _method)


def _quick(row: Primitive) -> Function | None:
    """The function of traced arrays for one of numpy's that is a row, where there is one."""
    if row is ops.pow:
        return None  # of a constant exponent it is another row
    return _comparison(row) if row.is_truth and row.arity == 2 else function_on_arrays(row)


for _row in ops.TABLE.rows:
    if _row.is_operation and not _row.has_static:
        QUICK[_row] = cast(Function, function_on_arrays(_row))
for _row in ARRAY_TABLE.rows:
    if _row.array is not None and _row.has_static and not _row.is_pooled:
        QUICK[_row] = _of_static(_row)
QUICK[ops.powc] = _power
for _name in ("max", "mean", "min", "sum"):
    QUICK[getattr(np, _name)] = getattr(ArrayVar, _name)
QUICK[np.matmul] = cast(Function, function_on_arrays(rows.matmul))
for _name, _row in numpy_protocol.ROWS.items():
    _function = _quick(_row)
    if _function is not None and hasattr(np, _name):
        QUICK[getattr(np, _name)] = _function
for _name, _spelling in numpy_protocol.SPELLED.items():
    QUICK[getattr(np, _name)] = _spelling
