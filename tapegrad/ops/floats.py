"""The standard library's functions on floats, made total.

Where Python raises ``ValueError``, ``OverflowError`` or ``ZeroDivisionError`` for a float, these
return what IEEE 754 returns: nan outside the domain, a signed infinity at a pole or on overflow.
Where the library returns, these return the same object.
"""

import math
from collections.abc import Callable
from math import inf, nan
from typing import Final, ParamSpec, cast

P = ParamSpec("P")


def _total(function: Callable[P, float], instead: Callable[P, float]) -> Callable[P, float]:
    def total(*args: P.args, **kwargs: P.kwargs) -> float:
        try:
            return function(*args, **kwargs)
        except (ValueError, OverflowError, ZeroDivisionError):
            return instead(*args, **kwargs)

    total.__name__ = total.__qualname__ = function.__name__
    total.__wrapped__ = function  # type: ignore[attr-defined]  # as functools.wraps does
    return total


def raising(total: Callable[..., float]) -> Callable[..., float]:
    """The library's function behind one of these, which raises where that does not."""
    return cast("Callable[..., float]", getattr(total, "__wrapped__", total))


def _invalid(x: float, *_: float) -> float:
    _require_float(x)
    return nan


def _overflow(x: float, *_: float) -> float:
    _require_float(x)
    return inf


def _signed_overflow(x: float, *_: float) -> float:
    _require_float(x)
    return nan if math.isnan(x) else math.copysign(inf, x)


def _require_float(x: float) -> None:
    """An int beyond the range of a float is not a number IEEE 754 has an answer for."""
    if isinstance(x, int):
        float(x)


def _log_pole(x: float) -> float:
    _require_float(x)
    return -inf if x == 0 else nan


def _log1p_pole(x: float) -> float:
    _require_float(x)
    return -inf if x == -1 else nan


def _atanh_pole(x: float) -> float:
    _require_float(x)
    return math.copysign(inf, x) if abs(x) == 1 else nan


def _gamma_pole(x: float) -> float:
    _require_float(x)
    if x == 0:
        return math.copysign(inf, x)
    return inf if x > 0 else nan


def div(x: float, y: float) -> float:
    """IEEE division: by a zero, whose sign counts, too."""
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0 or math.isnan(x) else math.copysign(inf, x) * math.copysign(1.0, y)


def _fsum_again(xs: tuple[float, ...]) -> float:
    """Infinities of both signs, or partial sums beyond the range: scaled down, they fit."""
    if any(map(math.isinf, xs)):
        return sum(xs)
    return math.fsum(x * 2.0**-64 for x in xs) * 2.0**64


def fsum(*xs: float) -> float:
    """The sum, rounded once, of any number of floats."""
    try:
        return math.fsum(xs)
    except (ValueError, OverflowError):
        return _fsum_again(xs)


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    def rounded(x: float) -> float:
        return math.copysign(function(x), x) if math.isfinite(x) else x

    rounded.__name__ = rounded.__qualname__ = function.__name__
    return rounded


def truncdiv(x: float, y: float) -> float:
    """x / y rounded towards zero: the multiple of y that ``fmod`` takes away."""
    return _quotient(x, y, fmod(x, y))


def rounddiv(x: float, y: float) -> float:
    """x / y rounded to the nearest integer, ties to even: what ``remainder`` takes away."""
    return _quotient(x, y, remainder(x, y))


def _quotient(x: float, y: float, rest: float) -> float:
    if math.isnan(rest):
        return nan
    if math.isinf(y):
        return 0.0
    scale = 0.25 if abs(x) > 1e300 else 1.0
    quotient = div(scale * x - scale * rest, scale * y)
    return float(round(quotient)) if abs(quotient) < 2.0**53 else quotient


def round_to(x: float, n: float) -> float:
    """x rounded to n decimals, ties to even, as ``round`` does it."""
    try:
        return round(x, int(n))
    except OverflowError:
        return math.copysign(inf, x)


def whole(x: float) -> float:
    """x where it is a whole number or infinite, else nan."""
    return x if trunc(x) == x else nan


def prod(*xs: float) -> float:
    """The product from left to right, as ``math.prod`` takes it."""
    return math.prod(xs)


def _mod(x: float, y: float) -> float:
    return x % y


def _floordiv(x: float, y: float) -> float:
    return x // y


def maximum(x: float, y: float) -> float:
    """The larger; nan when either is nan."""
    return x if x >= y or x != x else y


def minimum(x: float, y: float) -> float:
    """The smaller; nan when either is nan."""
    return x if x <= y or x != x else y


def win(x: float, y: float) -> float:
    """1 where x is larger, 0 where it is smaller, one half for a tie: the slope of ``maximum``."""
    return 1.0 if x > y else 0.0 if x < y else 0.5 if x == y else nan


def relu(x: float) -> float:
    """x above 0, else 0; nan for nan."""
    return 0.0 if x <= 0.0 else x


def step(x: float) -> float:
    """1 above 0, else 0; nan for nan: the slope of ``relu``."""
    return 1.0 if x > 0.0 else 0.0 if x <= 0.0 else nan


def sign(x: float) -> float:
    """-1, 0 or 1; nan for nan."""
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0 if x == 0.0 else nan


def div_pos(x: float, y: float) -> float:
    """x / y for y >= 0 (a zero of either sign counts as positive), else nan."""
    if y > 0.0:
        return x / y
    return div(x, abs(y)) if y == 0.0 else nan


def lt(x: float, y: float) -> float:
    """1 if x < y, else 0."""
    return float(x < y)


def le(x: float, y: float) -> float:
    """1 if x <= y, else 0."""
    return float(x <= y)


def gt(x: float, y: float) -> float:
    """1 if x > y, else 0."""
    return float(x > y)


def ge(x: float, y: float) -> float:
    """1 if x >= y, else 0."""
    return float(x >= y)


def eq(x: float, y: float) -> float:
    """1 if x == y, else 0."""
    return float(x == y)


def ne(x: float, y: float) -> float:
    """1 if x != y, else 0."""
    return float(x != y)


def and_(x: float, y: float) -> float:
    """1 if both hold, else 0."""
    return float(x != 0.0 and y != 0.0)


def or_(x: float, y: float) -> float:
    """1 if either holds, else 0."""
    return float(x != 0.0 or y != 0.0)


def truth(x: float) -> float:
    """1 if x holds, else 0."""
    return float(x != 0.0)


def not_(x: float) -> float:
    """1 if x does not hold, else 0."""
    return float(x == 0.0)


def isnan(x: float) -> float:
    """1 for nan, else 0."""
    return float(math.isnan(x))


def isinf(x: float) -> float:
    """1 for an infinity of either sign, else 0."""
    return float(math.isinf(x))


def isfinite(x: float) -> float:
    """1 for anything but nan and the infinities, else 0."""
    return float(math.isfinite(x))


def same(x: float) -> float:
    """x itself."""
    return x


def where(condition: float, x: float, y: float) -> float:
    """x where the condition holds, else y."""
    return x if condition else y


# fmt: off
acos: Final      = _total(math.acos,      _invalid)
acosh: Final     = _total(math.acosh,     _invalid)
asin: Final      = _total(math.asin,      _invalid)
asinh: Final     = math.asinh
atan: Final      = math.atan
atan2: Final     = math.atan2
atanh: Final     = _total(math.atanh,     _atanh_pole)
cbrt: Final      = math.cbrt
ceil: Final      = _rounded(math.ceil)
cos: Final       = _total(math.cos,       _invalid)
degrees: Final   = math.degrees
radians: Final   = math.radians
copysign: Final  = math.copysign
cosh: Final      = _total(math.cosh,      _overflow)
erf: Final       = math.erf
erfc: Final      = math.erfc
exp: Final       = _total(math.exp,       _overflow)
exp2: Final      = _total(math.exp2,      _overflow)
expm1: Final     = _total(math.expm1,     _overflow)
floor: Final     = _rounded(math.floor)
floordiv: Final  = _total(_floordiv,      div)
fmod: Final      = _total(math.fmod,      _invalid)
gamma: Final     = _total(math.gamma,     _gamma_pole)
hypot: Final     = math.hypot
ldexp: Final     = _total(math.ldexp,     _signed_overflow)
lgamma: Final    = _total(math.lgamma,    _overflow)
log: Final       = _total(math.log,       _log_pole)
log10: Final     = _total(math.log10,     _log_pole)
log1p: Final     = _total(math.log1p,     _log1p_pole)
log2: Final      = _total(math.log2,      _log_pole)
mod: Final       = _total(_mod,           _invalid)
remainder: Final = _total(math.remainder, _invalid)
sin: Final       = _total(math.sin,       _invalid)
sinh: Final      = _total(math.sinh,      _signed_overflow)
sqrt: Final      = _total(math.sqrt,      _invalid)
tan: Final       = _total(math.tan,       _invalid)
tanh: Final      = math.tanh
trunc: Final     = _rounded(math.trunc)
nearest: Final   = _rounded(round)
# fmt: on
