"""Functions that go element by element, by their names in the array API standard or in numpy.

One for each operation of the table, and a few that are spelled in others.
"""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import pi
from typing import Any, Final, cast, overload

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import TracedNumberError
from tapegrad.numpy.arrays import (
    Arr,
    Array,
    ArrayLike,
    Data,
    Floats,
    Function,
    Ints,
    Number,
    Numbers,
    Truths,
    applied,
    beside,
    indicator,
    is_traced,
    operand,
    operands,
)
from tapegrad.numpy.signatures import (
    Binary,
    Comparison,
    Test,
    Unary,
    binary,
    comparison,
    test,
    unary,
)
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.array_operators import function_on_arrays
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, require_shapes
from tapegrad.recording.recorder import Condition, Real, Var, condition

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "clip",
    "conj", "conjugate",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "degrees",
    "digamma",
    "divide",
    "divmod",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "float_power",
    "floor",
    "floor_divide",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "gamma",
    "greater",
    "greater_equal",
    "hypot",
    "ieee_remainder",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "ldexp",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_norm_cdf",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsigmoid",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "nan_to_num",
    "negative",
    "norm_cdf",
    "norm_pdf",
    "not_equal",
    "polygamma",
    "polyval", "positive",
    "pow",
    "power",
    "rad2deg",
    "radians",
    "real",
    "reciprocal",
    "relu",
    "remainder",
    "rint",
    "round",
    "select", "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]  # fmt: skip


def _named(function: Function, name: str, doc: str, theirs: Function | None) -> Function:
    """A function under its name, which leaves what is not of float64 to numpy's of that name."""
    found = function if theirs is None else beside(theirs)(function)
    found.__name__ = found.__qualname__ = name
    found.__module__, found.__doc__ = __name__, doc
    return found


def _quickly(of_traced: Function, function: Function, count: int) -> Function:
    """A function that has a quick way for a traced array, or for one and what stands beside it."""

    @wraps(function)
    def of_one(x: Any, /, *others: Any, **options: Any) -> Any:
        if type(x) is ArrayVar and not (others or options):
            return of_traced(x)
        return function(x, *others, **options)

    @wraps(function)
    def of_two(x1: Any, x2: Any, /, *others: Any, **options: Any) -> Any:
        is_first = type(x1) is ArrayVar or (type(x1) is float and type(x2) is ArrayVar)
        if is_first and not (others or options):
            return of_traced(x1, x2)
        return function(x1, x2, *others, **options)

    return of_one if count == 1 else of_two


def _element(row: Primitive, name: str) -> Function:
    theirs, of_traced = getattr(np, name, None), cast(Function, function_on_arrays(row))
    if row.arity == 1:
        found = _named(lambda x, /: applied(row, x), name, row.doc, theirs)
        return _quickly(of_traced, found, 1)
    found = _named(lambda x1, x2, /: applied(row, x1, x2), name, row.doc, theirs)
    return _quickly(of_traced, found, 2)


def _unary(row: Primitive, name: str = "") -> Unary[[]]:
    return cast("Unary[[]]", _element(row, name or row.name))


def _binary(row: Primitive, name: str = "") -> Binary[[]]:
    return cast("Binary[[]]", _element(row, name or row.name))


def _asked(row: Primitive, name: str, *given: Any) -> Any:
    """A row of truth values: it gives a condition where an operand is traced."""
    if not is_traced(*given):
        return getattr(np, name)(*given)
    of = indicator if row.kind == "connective" else operand
    found = tuple(map(of, given))
    require_shapes(row, found)
    return condition(row, *found)


def _test(row: Primitive, name: str) -> Test:
    return cast("Test", _named(lambda x, /: _asked(row, name, x), name, row.doc, None))


def _comparison(row: Primitive, name: str) -> Comparison[[]]:
    found = _named(lambda x1, x2, /: _asked(row, name, x1, x2), name, row.doc, None)
    return cast("Comparison[[]]", found)


# fmt: off
abs: Final          = _unary(ops.abs)
acos: Final         = _unary(ops.acos)
acosh: Final        = _unary(ops.acosh)
asin: Final         = _unary(ops.asin)
asinh: Final        = _unary(ops.asinh)
atan: Final         = _unary(ops.atan)
atanh: Final        = _unary(ops.atanh)
cbrt: Final         = _unary(ops.cbrt)
ceil: Final         = _unary(ops.ceil)
cos: Final          = _unary(ops.cos)
cosh: Final         = _unary(ops.cosh)
degrees: Final      = _unary(ops.degrees)
digamma: Final      = _unary(ops.digamma)
erf: Final          = _unary(ops.erf)
erfc: Final         = _unary(ops.erfc)
exp: Final          = _unary(ops.exp)
exp2: Final         = _unary(ops.exp2)
expm1: Final        = _unary(ops.expm1)
floor: Final        = _unary(ops.floor)
gamma: Final        = _unary(ops.gamma)
lgamma: Final       = _unary(ops.lgamma)
log: Final          = _unary(ops.log)
log10: Final        = _unary(ops.log10)
log1p: Final        = _unary(ops.log1p)
log2: Final         = _unary(ops.log2)
log_norm_cdf: Final = _unary(ops.log_norm_cdf)
logsigmoid: Final   = _unary(ops.logsigmoid)
negative: Final     = _unary(ops.neg, "negative")
norm_cdf: Final     = _unary(ops.norm_cdf)
norm_pdf: Final     = _unary(ops.norm_pdf)
radians: Final      = _unary(ops.radians)
relu: Final         = _unary(ops.relu)
rint: Final         = _unary(ops.round, "rint")
sigmoid: Final      = _unary(ops.sigmoid)
sign: Final         = _unary(ops.sign)
sin: Final          = _unary(ops.sin)
sinh: Final         = _unary(ops.sinh)
softplus: Final     = _unary(ops.softplus)
sqrt: Final         = _unary(ops.sqrt)
tan: Final          = _unary(ops.tan)
tanh: Final         = _unary(ops.tanh)
trunc: Final        = _unary(ops.trunc)

add: Final            = _binary(ops.add)
atan2: Final          = _binary(ops.atan2)
copysign: Final       = _binary(ops.copysign)
divide: Final         = _binary(ops.div, "divide")
floor_divide: Final   = _binary(ops.floordiv, "floor_divide")
fmod: Final           = _binary(ops.fmod)
hypot: Final          = _binary(ops.hypot)
ieee_remainder: Final = _binary(ops.remainder, "ieee_remainder")
logaddexp: Final      = _binary(ops.logaddexp)
maximum: Final        = _binary(ops.maximum)
minimum: Final        = _binary(ops.minimum)
multiply: Final       = _binary(ops.mul, "multiply")
remainder: Final      = _binary(ops.mod, "remainder")
subtract: Final       = _binary(ops.sub, "subtract")

equal: Final         = _comparison(ops.eq, "equal")
greater: Final       = _comparison(ops.gt, "greater")
greater_equal: Final = _comparison(ops.ge, "greater_equal")
less: Final          = _comparison(ops.lt, "less")
less_equal: Final    = _comparison(ops.le, "less_equal")
logical_and: Final   = _comparison(ops.and_, "logical_and")
logical_or: Final    = _comparison(ops.or_, "logical_or")
not_equal: Final     = _comparison(ops.ne, "not_equal")
isfinite: Final      = _test(ops.isfinite, "isfinite")
isinf: Final         = _test(ops.isinf, "isinf")
isnan: Final         = _test(ops.isnan, "isnan")
logical_not: Final   = _test(ops.not_, "logical_not")

absolute: Final      = abs
fabs: Final          = abs
arccos: Final        = acos
arccosh: Final       = acosh
arcsin: Final        = asin
arcsinh: Final       = asinh
arctan: Final        = atan
arctan2: Final       = atan2
arctanh: Final       = atanh
deg2rad: Final       = radians
rad2deg: Final       = degrees
mod: Final           = remainder
true_divide: Final   = divide
# fmt: on


def _power(x1: Any, x2: Any, /) -> Any:
    if type(x2) is int or type(x2) is float:
        return ops.powc(operand(x1), float(x2))
    return applied(ops.pow, x1, x2)


pow: Final = cast("Binary[[]]", _named(_power, "pow", ops.pow.doc, np.pow))
power: Final = pow
float_power: Final = pow


def _spelled(function: Function, theirs: Function) -> Unary[[]]:
    return cast("Unary[[]]", _named(function, function.__name__, str(function.__doc__), theirs))


def _square(x: Any, /) -> Any:
    """x * x."""
    found = operand(x)
    return ops.mul(found, found)


def _reciprocal(x: Any, /) -> Any:
    """1 / x."""
    return ops.div(1.0, operand(x))


def _same(x: Any, /) -> Any:
    """x itself, as numbers are real."""
    return operand(x)


def _sinc(x: Any, /) -> Any:
    """sin(pi * x) / (pi * x), and 1 at 0."""
    angle = ops.mul(operand(x), pi)
    is_zero = ops.eq(angle, 0.0)
    return ops.where(is_zero, 1.0, ops.div(ops.sin(angle), ops.where(is_zero, 1.0, angle)))


square: Final = _spelled(_square, np.square)
reciprocal: Final = _spelled(_reciprocal, np.reciprocal)
sinc: Final = _spelled(_sinc, np.sinc)
positive: Final = _spelled(_same, np.positive)
conj: Final = _spelled(_same, np.conj)
conjugate: Final = conj
real: Final = _spelled(_same, np.real)


@unary
@beside(np.round)
def round(x: ArrayLike, /, decimals: int = 0) -> ArrayLike:
    """The nearest integers, ties to even, or so many decimals."""
    return ops.round_to(operand(x), decimals) if decimals else ops.round(operand(x))


@overload
def clip(x: Arr, /, min: Arr | None = None, max: Arr | None = None) -> Arr: ...
@overload
def clip(x: Arr, /, min: Data | float | None = None, max: Data | float | None = None) -> Arr: ...
@overload
def clip(x: float, /, min: float | None = None, max: float | None = None) -> float: ...
@overload
def clip(x: Real, /, min: Real | float | None = None, max: Real | float | None = None) -> Real: ...
@overload
def clip(
    x: Data, /, min: Data | float | None = None, max: Data | float | None = None
) -> Floats: ...
@overload
def clip(
    x: Numbers, /, min: Numbers | Number | None = None, max: Numbers | Number | None = None
) -> ArrayVar: ...
@beside(np.clip)
def clip(x: ArrayLike, /, min: ArrayLike = None, max: ArrayLike = None) -> ArrayLike:
    """x between bounds, each of which may be left out; half of the slope where it meets one."""
    found = operand(x)
    if min is not None:
        found = maximum(found, min)
    return found if max is None else minimum(found, max)


@comparison
def logical_xor(x1: ArrayLike, x2: ArrayLike, /) -> ArrayLike:
    """Whether one holds and the other does not."""
    if not is_traced(x1, x2):
        return np.logical_xor(x1, x2)
    return not_equal(logical_and(x1, True), logical_and(x2, True))


@test
def signbit(x: ArrayLike, /) -> ArrayLike:
    """Whether there is a minus sign, that of -0.0 included."""
    return less(copysign(1.0, x), 0.0) if is_traced(x) else np.signbit(x)


@comparison
def isclose(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    *,
    equal_nan: bool = False,
) -> ArrayLike:
    """Whether numbers differ by ``atol + rtol * abs(x2)`` at most."""
    if not is_traced(x1, x2):
        return np.isclose(x1, x2, rtol, atol, equal_nan)
    x, y = cast("tuple[Any, Any]", operands(x1, x2))
    near = less_equal(abs(subtract(x, y)), add(multiply(abs(y), rtol), atol))
    found = (near & isfinite(y)) | equal(x, y)
    return found | (isnan(x) & isnan(y)) if equal_nan else found


@unary
def nan_to_num(
    x: ArrayLike, /, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> ArrayLike:
    """x with numbers in place of nan and the infinities, through which no derivative passes."""
    if not is_traced(x):
        return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
    largest = float(np.finfo(np.float64).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    infinite = where(greater(x, 0.0), high, low)
    return where(isfinite(x), x, where(isnan(x), nan, infinite))


@binary
def fmax(x1: ArrayLike, x2: ArrayLike, /) -> ArrayLike:
    """The larger, element by element; a nan loses."""
    return _but_nan(np.fmax, maximum, x1, x2)


@binary
def fmin(x1: ArrayLike, x2: ArrayLike, /) -> ArrayLike:
    """The smaller, element by element; a nan loses."""
    return _but_nan(np.fmin, minimum, x1, x2)


def _but_nan(theirs: Function, ours: Function, x1: Any, x2: Any) -> Any:
    if not is_traced(x1, x2):
        return theirs(x1, x2)
    return where(isnan(x1), x2, where(isnan(x2), x1, ours(x1, x2)))


@overload
def divmod(x1: Arr, x2: Data | float, /) -> tuple[Arr, Arr]: ...
@overload
def divmod(x1: Data | float, x2: Arr, /) -> tuple[Arr, Arr]: ...
@overload
def divmod(x1: Arr, x2: Arr, /) -> tuple[Arr, Arr]: ...
@overload
def divmod(x1: float, x2: float, /) -> tuple[float, float]: ...
@overload
def divmod(x1: Real, x2: Real | float, /) -> tuple[Real, Real]: ...
@overload
def divmod(x1: float, x2: Real, /) -> tuple[Real, Real]: ...
@overload
def divmod(x1: Numbers, x2: Numbers | Number, /) -> tuple[Array, Array]: ...
@overload
def divmod(x1: Number, x2: Numbers, /) -> tuple[Array, Array]: ...
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[ArrayLike, ArrayLike]:
    """The quotient rounded down, and the remainder."""
    return floor_divide(x1, x2), remainder(x1, x2)


@unary
def ldexp(x: ArrayLike, n: Ints, /) -> ArrayLike:
    """x * 2 ** n for ints n."""
    _require_plain("the exponent of ldexp", n)
    by = np.asarray(n)
    if not is_traced(x):
        return np.ldexp(x, by)
    return multiply(x, np.ldexp(1.0, by)) if by.ndim else ops.ldexp(operand(x), int(by))


@overload
def polygamma(n: int, x: Arr, /) -> Arr: ...
@overload
def polygamma(n: int, x: float, /) -> float: ...
@overload
def polygamma(n: int, x: Real, /) -> Real: ...
def polygamma(n: int, x: ArrayLike, /) -> ArrayLike:
    """The n-th derivative of ``digamma``; nan for a negative n."""
    _require_plain("the order of polygamma", n)
    return ops.polygamma(operand(x), n)


def _require_plain(what: str, number: object) -> None:
    if is_traced(number):
        raise TracedNumberError(f"{what} at {here()} is traced: pass ints")


@overload
def fma(x: Arr, y: Arr | Data | float, z: Arr | Data | float, /) -> Arr: ...
@overload
def fma(x: Data | float, y: Arr, z: Arr | Data | float, /) -> Arr: ...
@overload
def fma(x: float, y: float, z: Arr, /) -> Arr: ...
@overload
def fma(x: float, y: float, z: float, /) -> float: ...
@overload
def fma(x: Number, y: Number, z: Number, /) -> Number: ...
@overload
def fma(x: Numbers | Number, y: Numbers | Number, z: Numbers | Number, /) -> Array: ...
def fma(x: ArrayLike, y: ArrayLike, z: ArrayLike, /) -> ArrayLike:
    """x * y + z, rounded once."""
    return applied(ops.fma, x, y, z)


@overload
def where(condition: ArrayCondition, x: Numbers | Number, y: Numbers | Number, /) -> ArrayVar: ...
@overload
def where(condition: Truths, x: Arr, y: Data | float, /) -> Arr: ...
@overload
def where(condition: Truths, x: Data | float, y: Arr, /) -> Arr: ...
@overload
def where(condition: Truths, x: Arr, y: Arr, /) -> Arr: ...
@overload
def where(condition: bool, x: float, y: float, /) -> float: ...
@overload
def where(condition: bool | Condition, x: Real, y: Real | float, /) -> Real: ...
@overload
def where(condition: bool | Condition, x: float, y: Real, /) -> Real: ...
@overload
def where(condition: bool | Condition, x: Number, y: Number, /) -> Number: ...
@overload
def where(condition: NDArray[np.bool_], x: Data | float, y: Data | float, /) -> Floats: ...
@overload
def where(condition: Truths, x: ArrayVar, y: Array, /) -> ArrayVar: ...
@overload
def where(condition: Truths, x: Array, y: ArrayVar, /) -> ArrayVar: ...
@overload
def where(condition: Truths, x: Arr, y: Number, /) -> Arr: ...
@overload
def where(condition: Truths, x: Number, y: Arr, /) -> Arr: ...
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """x where the condition holds, else y; what is not chosen contributes nothing."""
    if type(condition) is ArrayCondition and type(x) in _PLAIN and type(y) in _PLAIN:
        return _chosen(condition.indicator, x, y)
    if not is_traced(condition, x, y):
        return np.where(condition, x, y)
    given = indicator(condition), operand(x), operand(y)
    if type(given[0]) is ArrayVar:
        return _chosen(*given)
    require_shapes(ops.where, given)
    return ops.where(*given)


_PLAIN: Final = {ArrayVar, Var, float}
_chosen: Final = cast("Callable[..., ArrayLike]", function_on_arrays(ops.where))


@overload
def select(
    conditions: Sequence[Truths], choices: Sequence[Arr], default: Data | float = 0.0, /
) -> Arr: ...
@overload
def select(conditions: Sequence[Truths], choices: Sequence[Arr], default: Arr, /) -> Arr: ...
@overload
def select(
    conditions: Sequence[NDArray[np.bool_]],
    choices: Sequence[Data | float],
    default: Data | float = 0.0,
    /,
) -> Floats: ...
@overload
def select(
    conditions: Sequence[Truths],
    choices: Sequence[Numbers | Number],
    default: Numbers | Number = 0.0,
    /,
) -> Array: ...
def select(
    conditions: Sequence[ArrayLike], choices: Sequence[ArrayLike], default: ArrayLike = 0.0, /
) -> ArrayLike:
    """For each place the choice of the first condition that holds there, else the default."""
    found = default
    for holds, choice in reversed([*zip(conditions, choices, strict=True)]):
        found = where(holds, choice, found)
    return found


@overload
def polyval(p: Data, x: Arr, /) -> Arr: ...
@overload
def polyval(p: Arr, x: Arr, /) -> Arr: ...
@overload
def polyval(p: Data, x: float, /) -> float: ...
@overload
def polyval(p: Data | Sequence[Real], x: Real, /) -> Real: ...
@overload
def polyval(p: Sequence[Real], x: Real | float, /) -> Real: ...
@overload
def polyval(p: Numbers, x: Number, /) -> Number: ...
@overload
def polyval(p: Numbers, x: Numbers, /) -> Array: ...
def polyval(p: ArrayLike, x: ArrayLike, /) -> ArrayLike:
    """The polynomial with these coefficients, the highest power first, at x."""
    total = multiply(x, 0.0)
    for coefficient in p:
        total = add(multiply(total, x), coefficient)
    return total
