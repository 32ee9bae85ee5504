"""Operators and functions of traced numbers: spelled by ``operator_code``, which see.

Each does what its operation needs and calls nothing else. Whatever is not plain (a recording that
has ended, another thread's, one inside another, a number of another recording or of another type)
is left to functions of ``recorder``, which say what is meant. ``recorder.plain`` is held by
this thread only where all is plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import update_wrapper
from math import copysign
from typing import Final, TypeVar, cast

from tapegrad.ops import floats
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, has_axes
from tapegrad.recording.recorder import CODES, Condition, Recorder, Var, applied, compared

__all__ = ["binary", "choice", "many", "natural_logarithm", "unary"]

F = TypeVar("F", bound=Callable[..., object])

pow: Final[Callable[..., float]] = math.pow
exp: Final[Callable[..., float]] = math.exp
erf: Final[Callable[..., float]] = math.erf
log: Final[Callable[..., float]] = math.log


_ADD: Final = CODES[ops.add]
_SUB: Final = CODES[ops.sub]
_MUL: Final = CODES[ops.mul]
_DIV: Final = CODES[ops.div]
_FLOORDIV: Final = CODES[ops.floordiv]
_MOD: Final = CODES[ops.mod]
_LT: Final = CODES[ops.lt]
_LE: Final = CODES[ops.le]
_GT: Final = CODES[ops.gt]
_GE: Final = CODES[ops.ge]
_EQ: Final = CODES[ops.eq]
_NE: Final = CODES[ops.ne]
_POW: Final = CODES[ops.pow]
_POWC: Final = CODES[ops.powc]
_NEG: Final = CODES[ops.neg]
_ABS: Final = CODES[ops.abs]
_WHERE: Final = CODES[ops.where]
_GUARD: Final = CODES[ops.guard]
_SIGMOID: Final = CODES[ops.sigmoid]
_RELU: Final = CODES[ops.relu]
_NORM_CDF: Final = CODES[ops.norm_cdf]
_MAXIMUM: Final = CODES[ops.maximum]
_MINIMUM: Final = CODES[ops.minimum]


def _add(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.add, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.add, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.add, self, other)
    x = self._value
    value = x + y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_ADD)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _radd(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.add, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.add, other, self)
    y = self._value
    value = x + y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_ADD)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _sub(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.sub, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.sub, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.sub, self, other)
    x = self._value
    value = x - y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_SUB)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rsub(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.sub, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.sub, other, self)
    y = self._value
    value = x - y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_SUB)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _mul(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.mul, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.mul, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.mul, self, other)
    x = self._value
    value = x * y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MUL)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rmul(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.mul, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.mul, other, self)
    y = self._value
    value = x * y
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MUL)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _truediv(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.div, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.div, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.div, self, other)
    x = self._value
    try:
        value = x / y
    except (ArithmeticError, ValueError):
        value = ops.div.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_DIV)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rtruediv(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.div, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.div, other, self)
    y = self._value
    try:
        value = x / y
    except (ArithmeticError, ValueError):
        value = ops.div.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_DIV)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _floordiv(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.floordiv, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.floordiv, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.floordiv, self, other)
    x = self._value
    try:
        value = x // y
    except (ArithmeticError, ValueError):
        value = ops.floordiv.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_FLOORDIV)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rfloordiv(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.floordiv, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.floordiv, other, self)
    y = self._value
    try:
        value = x // y
    except (ArithmeticError, ValueError):
        value = ops.floordiv.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_FLOORDIV)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _mod(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.mod, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return applied(ops.mod, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.mod, self, other)
    x = self._value
    try:
        value = x % y
    except (ArithmeticError, ValueError):
        value = ops.mod.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MOD)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rmod(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.mod, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.mod, other, self)
    y = self._value
    try:
        value = x % y
    except (ArithmeticError, ValueError):
        value = ops.mod.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MOD)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _lt(self: Var, other: Var | float, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.lt, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.lt, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.lt, self, other)
    x = self._value
    value = 1.0 if x < y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_LT)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _le(self: Var, other: Var | float, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.le, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.le, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.le, self, other)
    x = self._value
    value = 1.0 if x <= y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_LE)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _gt(self: Var, other: Var | float, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.gt, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.gt, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.gt, self, other)
    x = self._value
    value = 1.0 if x > y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_GT)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _ge(self: Var, other: Var | float, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.ge, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.ge, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.ge, self, other)
    x = self._value
    value = 1.0 if x >= y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_GE)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _eq(self: Var, other: object, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.eq, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.eq, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.eq, self, other)
    x = self._value
    value = 1.0 if x == y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_EQ)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _ne(self: Var, other: object, /) -> Condition:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return compared(ops.ne, self, other)
    if type(other) is Var:
        if other._recorder is not recorder:
            return compared(ops.ne, self, other)
        slot = other._slot
        y = other._value
    elif type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        y = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return compared(ops.ne, self, other)
    x = self._value
    value = 1.0 if x != y else 0.0
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Condition()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_NE)
    recorder.left.append(self._slot)
    recorder.right.append(slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _rpow(self: Var, other: float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.pow, other, self)
    if type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0):
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = other
    elif type(other) is int:
        known = recorder.known.get(other)
        slot = recorder.new_constant(other) if known is None else known
        x = recorder.values[slot]  # type: ignore[assignment]  # where all is plain
    else:
        return applied(ops.pow, other, self)
    y = self._value
    try:
        value = pow(x, y)
    except (ArithmeticError, ValueError):
        value = ops.pow.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_POW)
    recorder.left.append(slot)
    recorder.right.append(self._slot)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _pow(self: Var, other: Var | float, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return applied(ops.pow if type(other) is Var else ops.powc, self, other)
    x = self._value
    if type(other) is int or (
        type(other) is float and (other or other is recorder.zero or copysign(1.0, other) > 0.0)
    ):
        known = recorder.exponents.get(other)
        place = recorder.exponent(other) if known is None else known
    elif type(other) is Var and other._recorder is recorder:
        z = other._value
        try:
            value = pow(x, z)
        except (ArithmeticError, ValueError):
            value = ops.pow.value(x, z)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(_POW)
        recorder.left.append(self._slot)
        recorder.right.append(other._slot)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result
    else:
        return applied(ops.pow if type(other) is Var else ops.powc, self, other)
    y: float = recorder.statics[place]  # type: ignore[assignment]  # an exponent
    try:
        value = pow(x, y)
    except (ArithmeticError, ValueError):
        value = ops.powc.value(x, y)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_POWC)
    recorder.left.append(self._slot)
    recorder.right.append(place)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _neg(self: Var, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return recorder.unary(ops.neg, self)
    x = self._value
    value = -x
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_NEG)
    recorder.left.append(self._slot)
    recorder.right.append(-1)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _abs(self: Var, /) -> Var:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return recorder.unary(ops.abs, self)
    x = self._value
    value: float = abs(x)  # type: ignore[assignment]  # where all is plain
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_ABS)
    recorder.left.append(self._slot)
    recorder.right.append(-1)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _bool(self: Condition, /) -> bool:
    recorder = self._recorder
    if not recorder.plain._is_owned():
        return recorder.guard(ops.guard, self.indicator)._primal() != 0.0
    if recorder.marks is not None:
        recorder.mark()
    value = self._value
    recorder.codes.append(_GUARD)
    recorder.left.append(self._slot)
    recorder.right.append(-1)
    recorder.values.append(value)
    return value != 0.0  # type: ignore[return-value]  # where all is plain


def _of_number(row: Primitive, x: Operand, plain: Callable[..., object]) -> object:
    """A function of one operand that is not a traced number, perhaps a traced array."""
    return row(x) if type(x) is not float and has_axes(x) else plain(x)


def unary(row: Primitive, plain: Callable[..., object]) -> Callable[[Operand], object]:
    """A row of one operand as a function; of a number that is not traced it is ``plain``."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand) -> object:
        if type(x) is not Var:
            return _of_number(row, x, plain)
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return recorder.unary(row, x)
        p = x._value
        try:
            value = quick(p)
        except (ArithmeticError, ValueError):
            value = total(p)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(code)
        recorder.left.append(x._slot)
        recorder.right.append(-1)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    return _SPELLED.get(row, function)


def natural_logarithm(slowly: F) -> F:
    """A logarithm that does at once what is plain; ``slowly`` takes a base, and what is not."""
    code, total = CODES[ops.log], ops.log.value

    def function(x: Operand, base: Operand | None = None, /) -> object:
        if type(x) is not Var or base is not None:
            return slowly(x, base)
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return slowly(x)
        p = x._value
        try:
            value = log(p)
        except (ArithmeticError, ValueError):
            value = total(p)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(code)
        recorder.left.append(x._slot)
        recorder.right.append(-1)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    return cast(F, update_wrapper(function, slowly))


def binary(row: Primitive) -> Callable[[Operand, Operand], Operand]:
    """A row of two operands as a function."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand, y: Operand) -> Operand:
        if type(x) is Var:
            recorder = x._recorder
            if not recorder.plain._is_owned():
                return row(x, y)
            left = x._slot
            p = x._value
            if type(y) is Var:
                if y._recorder is not recorder:
                    return row(x, y)
                right = y._slot
                q = y._value
            elif type(y) is float and (y or y is recorder.zero or copysign(1.0, y) > 0.0):
                known = recorder.known.get(y)
                right = recorder.new_constant(y) if known is None else known
                q = y
            else:
                return row(x, y)
        elif type(y) is Var:
            recorder = y._recorder
            if not recorder.plain._is_owned():
                return row(x, y)
            right = y._slot
            q = y._value
            if type(x) is float and (x or x is recorder.zero or copysign(1.0, x) > 0.0):
                known = recorder.known.get(x)
                left = recorder.new_constant(x) if known is None else known
                p = x
            else:
                return row(x, y)
        elif type(x) is type(y) is float:
            return total(x, y)
        else:
            return row(x, y)
        try:
            value = quick(p, q)
        except (ArithmeticError, ValueError):
            value = total(p, q)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(code)
        recorder.left.append(left)
        recorder.right.append(right)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    return _SPELLED.get(row, function)


def _sigmoid(x: Operand) -> Operand:
    if type(x) is not Var:
        return _of_number(ops.sigmoid, x, ops.sigmoid.value)  # type: ignore[return-value]  # as total
    recorder = x._recorder
    if not recorder.plain._is_owned():
        return recorder.unary(ops.sigmoid, x)
    p = x._value
    value = 1.0 / (1.0 + exp(-p)) if p >= 0.0 else (v := exp(p)) / (1.0 + v)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_SIGMOID)
    recorder.left.append(x._slot)
    recorder.right.append(-1)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _relu(x: Operand) -> Operand:
    if type(x) is not Var:
        return _of_number(ops.relu, x, ops.relu.value)  # type: ignore[return-value]  # as total
    recorder = x._recorder
    if not recorder.plain._is_owned():
        return recorder.unary(ops.relu, x)
    p = x._value
    value = 0.0 if p <= 0.0 else p
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_RELU)
    recorder.left.append(x._slot)
    recorder.right.append(-1)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _norm_cdf(x: Operand) -> Operand:
    if type(x) is not Var:
        return _of_number(ops.norm_cdf, x, ops.norm_cdf.value)  # type: ignore[return-value]  # as total
    recorder = x._recorder
    if not recorder.plain._is_owned():
        return recorder.unary(ops.norm_cdf, x)
    p = x._value
    value: float = 0.5 + 0.5 * erf(p * 0.7071067811865476) if p >= -0.67 else ops.norm_cdf.value(p)
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_NORM_CDF)
    recorder.left.append(x._slot)
    recorder.right.append(-1)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _maximum(x: Operand, y: Operand) -> Operand:
    if type(x) is Var:
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return ops.maximum(x, y)
        left = x._slot
        p = x._value
        if type(y) is Var:
            if y._recorder is not recorder:
                return ops.maximum(x, y)
            right = y._slot
            q = y._value
        elif type(y) is float and (y or y is recorder.zero or copysign(1.0, y) > 0.0):
            known = recorder.known.get(y)
            right = recorder.new_constant(y) if known is None else known
            q = y
        else:
            return ops.maximum(x, y)
    elif type(y) is Var:
        recorder = y._recorder
        if not recorder.plain._is_owned():
            return ops.maximum(x, y)
        right = y._slot
        q = y._value
        if type(x) is float and (x or x is recorder.zero or copysign(1.0, x) > 0.0):
            known = recorder.known.get(x)
            left = recorder.new_constant(x) if known is None else known
            p = x
        else:
            return ops.maximum(x, y)
    elif type(x) is type(y) is float:
        return ops.maximum.value(x, y)
    else:
        return ops.maximum(x, y)
    value = p if p >= q or p != p else q
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MAXIMUM)
    recorder.left.append(left)
    recorder.right.append(right)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


def _minimum(x: Operand, y: Operand) -> Operand:
    if type(x) is Var:
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return ops.minimum(x, y)
        left = x._slot
        p = x._value
        if type(y) is Var:
            if y._recorder is not recorder:
                return ops.minimum(x, y)
            right = y._slot
            q = y._value
        elif type(y) is float and (y or y is recorder.zero or copysign(1.0, y) > 0.0):
            known = recorder.known.get(y)
            right = recorder.new_constant(y) if known is None else known
            q = y
        else:
            return ops.minimum(x, y)
    elif type(y) is Var:
        recorder = y._recorder
        if not recorder.plain._is_owned():
            return ops.minimum(x, y)
        right = y._slot
        q = y._value
        if type(x) is float and (x or x is recorder.zero or copysign(1.0, x) > 0.0):
            known = recorder.known.get(x)
            left = recorder.new_constant(x) if known is None else known
            p = x
        else:
            return ops.minimum(x, y)
    elif type(x) is type(y) is float:
        return ops.minimum.value(x, y)
    else:
        return ops.minimum(x, y)
    value = p if p <= q or p != p else q
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    result = Var()
    result._recorder = recorder
    result._slot = len(values)
    result._value = value
    recorder.codes.append(_MINIMUM)
    recorder.left.append(left)
    recorder.right.append(right)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return result


_SPELLED: Final[Mapping[Primitive, Callable[..., Operand]]] = {
    ops.sigmoid: _sigmoid,
    ops.relu: _relu,
    ops.norm_cdf: _norm_cdf,
    ops.maximum: _maximum,
    ops.minimum: _minimum,
}


def _only_recorder(xs: tuple[Operand, ...]) -> Recorder | None:
    """The recorder of all traced numbers among operands, where it is one."""
    recorder = None
    for x in xs:
        if type(x) is Var:
            if recorder is None:
                recorder = x._recorder
            elif x._recorder is not recorder:
                return None
        elif type(x) is not float and has_axes(x):
            return None
    return recorder


_NOTHING: Final = cast(Operand, object())
"""Stands for an operand that is not there: Python is quicker with defaults than with ``*xs``."""


def many(row: Primitive) -> Callable[..., Operand]:
    """A row of any number of operands as a function."""
    code, total = CODES[row], row.value

    def of_any(*xs: Operand) -> Operand:
        recorder = _only_recorder(xs)
        if recorder is None or not recorder.plain._is_owned():
            return row(*xs)
        slots = [x._slot if type(x) is Var else recorder.constant(x) for x in xs]
        value = total(*[recorder.values[slot] for slot in slots])
        start = len(recorder.pool)
        recorder.pool.extend(slots)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(code)
        recorder.left.append(start)
        recorder.right.append(len(slots))
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    def function(x: Operand = _NOTHING, y: Operand = _NOTHING, /, *others: Operand) -> Operand:
        if others or type(x) is not Var or type(y) is not Var or x._recorder is not y._recorder:
            return of_any(*[each for each in (x, y, *others) if each is not _NOTHING])
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return row(x, y)
        value = total(x._value, y._value)
        pool = recorder.pool
        start = len(pool)
        pool.append(x._slot)
        pool.append(y._slot)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(code)
        recorder.left.append(start)
        recorder.right.append(2)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    return update_wrapper(function, of_any)


def choice(slowly: F) -> F:
    """``where`` that does at once what is plain, and leaves anything else to ``slowly``."""

    def function(condition: Condition, x: Operand, y: Operand, /) -> object:
        if type(condition) is not Condition:
            return slowly(condition, x, y)
        recorder = condition._recorder
        if not recorder.plain._is_owned():
            return slowly(condition, x, y)
        if type(x) is Var:
            if x._recorder is not recorder:
                return slowly(condition, x, y)
            first = x._slot
            p = x._value
        elif type(x) is float and (x or x is recorder.zero or copysign(1.0, x) > 0.0):
            known = recorder.known.get(x)
            first = recorder.new_constant(x) if known is None else known
            p = x
        else:
            return slowly(condition, x, y)
        if type(y) is Var:
            if y._recorder is not recorder:
                return slowly(condition, x, y)
            second = y._slot
            q = y._value
        elif type(y) is float and (y or y is recorder.zero or copysign(1.0, y) > 0.0):
            known = recorder.known.get(y)
            second = recorder.new_constant(y) if known is None else known
            q = y
        else:
            return slowly(condition, x, y)
        value = p if condition._value else q
        pool = recorder.pool
        start = len(pool)
        pool.append(condition._slot)
        pool.append(first)
        pool.append(second)
        if recorder.marks is not None:
            recorder.mark()
        values = recorder.values
        result = Var()
        result._recorder = recorder
        result._slot = len(values)
        result._value = value
        recorder.codes.append(_WHERE)
        recorder.left.append(start)
        recorder.right.append(3)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return result

    return cast(F, update_wrapper(function, slowly))


_OPERATORS: Final[dict[str, Callable[..., Var | Condition]]] = {
    "__add__": _add,
    "__radd__": _radd,
    "__sub__": _sub,
    "__rsub__": _rsub,
    "__mul__": _mul,
    "__rmul__": _rmul,
    "__truediv__": _truediv,
    "__rtruediv__": _rtruediv,
    "__floordiv__": _floordiv,
    "__rfloordiv__": _rfloordiv,
    "__mod__": _mod,
    "__rmod__": _rmod,
    "__pow__": _pow,
    "__rpow__": _rpow,
    "__lt__": _lt,
    "__le__": _le,
    "__gt__": _gt,
    "__ge__": _ge,
    "__eq__": _eq,
    "__ne__": _ne,
    "__neg__": _neg,
    "__abs__": _abs,
}

for _name, _operator in _OPERATORS.items():
    setattr(Var, _name, _operator)
setattr(Condition, "__bool__", _bool)  # noqa: B010  # no checker lets it be assigned
