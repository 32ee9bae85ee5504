"""The standard library's ``math``, differentiable.

``from tapegrad import math`` in place of ``import math`` is the whole port of a scalar program:
the same names and signatures, floats in and floats out, traced numbers in and traced numbers out.
Where the library raises ``ValueError`` or ``OverflowError`` for a float, these return what IEEE
754 does: nan outside the domain, an infinity at a pole or on overflow.

Beyond the library: ``sigmoid``, ``softplus``, ``logsigmoid``, ``relu``, ``sign``, ``logaddexp``,
``logsumexp``, ``maximum``, ``minimum``, ``norm_cdf``, ``log_norm_cdf``, ``norm_pdf``, ``sum``,
``dot``, ``mean``, ``digamma``, ``polygamma``. ``sum``, ``maximum``, ``minimum`` and ``sqrt`` are
the spellings that type checkers follow, where ``builtins.sum``, ``max``, ``min`` and ``x ** 0.5``
lose the type.
"""

# To mypy, Real is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

import math as _math
import operator
from collections.abc import Callable, Iterable
from math import comb, e, factorial, gcd, inf, isqrt, lcm, nan, perm, pi, tau
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast, overload

from tapegrad._support.source_position import here
from tapegrad.errors import TracedNumberError
from tapegrad.ops import special
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Traced, has_axes
from tapegrad.recording import operators
from tapegrad.recording.recorder import Condition, Real, Var, condition

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "comb", "copysign",
    "cos", "cosh", "degrees", "digamma", "dist", "dot", "e", "erf", "erfc", "exp", "exp2", "expm1",
    "fabs", "factorial", "floor", "fma", "fmod", "frexp", "fsum", "gamma", "gcd", "hypot", "inf",
    "isclose", "isfinite", "isinf", "isnan", "isqrt", "lcm", "ldexp", "lgamma", "log", "log1p",
    "log2", "log10", "log_norm_cdf", "logaddexp", "logsigmoid", "logsumexp", "maximum", "mean",
    "minimum", "modf", "nan", "nextafter", "norm_cdf", "norm_pdf", "perm", "pi", "polygamma", "pow",
    "prod", "radians", "relu", "remainder", "sigmoid", "sign", "sin", "sinh", "softplus", "sqrt",
    "sum", "sumprod", "tan", "tanh", "tau", "trunc", "ulp",
]  # fmt: skip

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Binary, Fold, Norm, Products, Rounding, Test, Unary

F = TypeVar("F")


def _named(function: Callable[..., object], name: str, doc: str) -> Callable[..., object]:
    """The function, under this name and with this docstring."""
    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = __name__, doc
    return function


def _unary(row: Primitive, plain: Callable[[float], float] | None = None) -> Unary:
    function = operators.unary(row, plain or row.value)
    return cast("Unary", _named(function, plain.__name__ if plain else row.name, row.doc))


def _rounding(row: Primitive, plain: Callable[[float], int]) -> Rounding:
    """An int for a float, and a traced number for a traced one: 0.0 for 0, which has no sign."""
    traced = operators.unary(row, row.value)

    def function(x: Operand) -> Operand:
        if isinstance(x, Var) or has_axes(x):
            return ops.add(cast(Operand, traced(x)), 0.0)
        try:
            return plain(cast(float, x))
        except (ValueError, OverflowError):
            return x

    return cast("Rounding", _named(function, row.name, row.doc))


def _binary(row: Primitive) -> Binary:
    return cast("Binary", _named(operators.binary(row), row.name, row.doc))


def _fold(row: Primitive) -> Fold:
    apply = operators.many(row)

    def function(xs: Iterable[Operand]) -> Operand:
        return apply(*xs)

    return cast("Fold", _named(function, row.name, row.doc))


def _test(row: Primitive, plain: Callable[[float], bool]) -> Test:
    def function(x: Operand) -> Condition | bool:
        if isinstance(x, Traced):
            return condition(row, x)
        return cast(bool, row(x)) if has_axes(x) else plain(x)

    return cast("Test", _named(function, row.name, row.doc))


def _untraced(plain: F) -> F:
    """A function of the library that has no derivative and refuses traced numbers."""

    def function(*args: object, **kwargs: object) -> object:
        if any(isinstance(value, Var) for value in (*args, *kwargs.values())):
            raise TracedNumberError(
                f"math.{name} at {here()} takes no traced number, as it has no derivative: "
                "compute it from plain numbers, outside the recorded function"
            )
        return cast("Callable[..., object]", plain)(*args, **kwargs)

    name = cast("Callable[..., object]", plain).__name__
    return cast(F, _named(function, name, plain.__doc__ or ""))


_log: Final = _unary(ops.log)

# fmt: off
acos: Final         = _unary(ops.acos)
acosh: Final        = _unary(ops.acosh)
asin: Final         = _unary(ops.asin)
asinh: Final        = _unary(ops.asinh)
atan: Final         = _unary(ops.atan)
atanh: Final        = _unary(ops.atanh)
cbrt: Final         = _unary(ops.cbrt)
cos: Final          = _unary(ops.cos)
cosh: Final         = _unary(ops.cosh)
degrees: Final      = _unary(ops.degrees)
digamma: Final      = _unary(ops.digamma)
erf: Final          = _unary(ops.erf)
erfc: Final         = _unary(ops.erfc)
exp: Final          = _unary(ops.exp)
exp2: Final         = _unary(ops.exp2)
expm1: Final        = _unary(ops.expm1)
fabs: Final         = _unary(ops.abs, _math.fabs)
gamma: Final        = _unary(ops.gamma)
lgamma: Final       = _unary(ops.lgamma)
log10: Final        = _unary(ops.log10)
log1p: Final        = _unary(ops.log1p)
log2: Final         = _unary(ops.log2)
log_norm_cdf: Final = _unary(ops.log_norm_cdf)
logsigmoid: Final   = _unary(ops.logsigmoid)
norm_cdf: Final     = _unary(ops.norm_cdf)
norm_pdf: Final     = _unary(ops.norm_pdf)
radians: Final      = _unary(ops.radians)
relu: Final         = _unary(ops.relu)
sigmoid: Final      = _unary(ops.sigmoid)
sign: Final         = _unary(ops.sign)
sin: Final          = _unary(ops.sin)
sinh: Final         = _unary(ops.sinh)
softplus: Final     = _unary(ops.softplus)
sqrt: Final         = _unary(ops.sqrt)
tan: Final          = _unary(ops.tan)
tanh: Final         = _unary(ops.tanh)
ceil: Final         = _rounding(ops.ceil,  _math.ceil)
floor: Final        = _rounding(ops.floor, _math.floor)
trunc: Final        = _rounding(ops.trunc, _math.trunc)
atan2: Final        = _binary(ops.atan2)
copysign: Final     = _binary(ops.copysign)
fmod: Final         = _binary(ops.fmod)
logaddexp: Final    = _binary(ops.logaddexp)
maximum: Final      = _binary(ops.maximum)
minimum: Final      = _binary(ops.minimum)
remainder: Final    = _binary(ops.remainder)
hypot: Final        = cast("Norm", _named(operators.many(ops.hypot), ops.hypot.name, ops.hypot.doc))
fsum: Final         = _fold(ops.fsum)
logsumexp: Final    = _fold(ops.logsumexp)
mean: Final         = _fold(ops.mean)
isfinite: Final     = _test(ops.isfinite, _math.isfinite)
isinf: Final        = _test(ops.isinf, _math.isinf)
isnan: Final        = _test(ops.isnan, _math.isnan)
frexp: Final        = _untraced(_math.frexp)
modf: Final         = _untraced(_math.modf)
nextafter: Final    = _untraced(_math.nextafter)
ulp: Final          = _untraced(_math.ulp)
# fmt: on


@overload
def log(x: float, base: float = ..., /) -> float: ...
@overload
def log(x: Real, base: float = ..., /) -> Real: ...
@overload
def log(x: Real, base: Real, /) -> Real: ...
@overload
def log(x: float, base: Real, /) -> Real: ...
@overload
def log(x: Var, base: float | Var = ..., /) -> Var: ...
@overload
def log(x: float | Var, base: Var, /) -> Var: ...
@overload
def log(x: float | Var, base: float | Var = ..., /) -> float | Var: ...
@operators.natural_logarithm
def log(x: Var | float, base: Var | float | None = None, /) -> Var | float:
    """The natural logarithm, or the one to ``base``: a quotient of natural ones.

    >>> log(8.0, 2.0)
    3.0
    """
    natural = _log(x)
    return cast("Var | float", natural if base is None else ops.div(natural, ops.log(base)))


@overload
def pow(x: float, y: float, /) -> float: ...
@overload
def pow(x: Real, y: Real, /) -> Real: ...
@overload
def pow(x: Real, y: float, /) -> Real: ...
@overload
def pow(x: float, y: Real, /) -> Real: ...
@overload
def pow(x: Var, y: float | Var, /) -> Var: ...
@overload
def pow(x: float | Var, y: Var, /) -> Var: ...
@overload
def pow(x: float | Var, y: float | Var, /) -> float | Var: ...
def pow(x: Var | float, y: Var | float, /) -> Var | float:
    """x ** y on the reals: nan for a negative x and a fractional y."""
    if isinstance(x, Var) or isinstance(y, Var) or has_axes(x) or has_axes(y):
        return x**y
    return special.ieee_pow(x, y)


@overload
def ldexp(x: float, i: int, /) -> float: ...
@overload
def ldexp(x: Real, i: int, /) -> Real: ...
@overload
def ldexp(x: float | Var, i: int, /) -> float | Var: ...
def ldexp(x: Var | float, i: int, /) -> Var | float:
    """x * 2 ** i for an int i."""
    _require_plain("the exponent of ldexp", i)
    return cast("Var | float", ops.ldexp(x, i))


def _require_plain(what: str, number: object) -> None:
    if isinstance(number, Var):
        raise TracedNumberError(f"{what} at {here()} is a traced number: pass an int")


@overload
def fma(x: float, y: float, z: float, /) -> float: ...
@overload
def fma(x: Real, y: Real, z: Real, /) -> Real: ...
@overload
def fma(x: Real, y: Real, z: float, /) -> Real: ...
@overload
def fma(x: Real, y: float, z: Real, /) -> Real: ...
@overload
def fma(x: Real, y: float, z: float, /) -> Real: ...
@overload
def fma(x: float, y: Real, z: Real, /) -> Real: ...
@overload
def fma(x: float, y: Real, z: float, /) -> Real: ...
@overload
def fma(x: float, y: float, z: Real, /) -> Real: ...
@overload
def fma(x: Var, y: float | Var, z: float | Var, /) -> Var: ...
@overload
def fma(x: float | Var, y: Var, z: float | Var, /) -> Var: ...
@overload
def fma(x: float | Var, y: float | Var, z: Var, /) -> Var: ...
@overload
def fma(x: float | Var, y: float | Var, z: float | Var, /) -> float | Var: ...
def fma(x: Var | float, y: Var | float, z: Var | float, /) -> Var | float:
    """x * y + z, rounded once."""
    return cast("Var | float", ops.fma(x, y, z))


@overload
def polygamma(n: int, x: float, /) -> float: ...
@overload
def polygamma(n: int, x: Real, /) -> Real: ...
@overload
def polygamma(n: int, x: float | Var, /) -> float | Var: ...
def polygamma(n: int, x: Var | float, /) -> Var | float:
    """The n-th derivative of ``digamma``; nan for a negative n."""
    _require_plain("the order of polygamma", n)
    return cast("Var | float", ops.polygamma(x, n))


def _of_two(
    name: str,
    doc: str,
    plain: Callable[..., float] | None,
    traced: Callable[[_Numbers, _Numbers], Operand],
) -> Products:
    """A function of two sequences, which calls ``plain``, if there is one, where none is traced."""

    def function(p: Iterable[float | Var], q: Iterable[float | Var]) -> Operand:
        first, second = tuple(p), tuple(q)
        if len(first) != len(second):
            raise ValueError(
                f"{name} at {here()} was given {len(first)} numbers and {len(second)}: "
                "pass as many of one as of the other"
            )
        if plain is not None and not any(isinstance(x, Var) for x in (*first, *second)):
            return plain(first, second)
        return traced(first, second)

    return cast("Products", _named(function, name, f"{doc} of two sequences of the same length."))


_Numbers: TypeAlias = tuple[float | Var, ...]


def _dot(p: _Numbers, q: _Numbers) -> Operand:
    return ops.dot(*p, *q)


dist: Final = _of_two(
    "dist", "The Euclidean distance", _math.dist, lambda p, q: hypot(*map(operator.sub, p, q))
)
dot: Final = _of_two("dot", "The sum of products", None, _dot)
sumprod: Final = _of_two("sumprod", "The sum of products", getattr(_math, "sumprod", None), _dot)


@overload
def sum(xs: Iterable[Real], /) -> Real: ...
@overload
def sum(xs: Iterable[float | Var], /) -> float | Var: ...
def sum(xs: Iterable[float | Var], /) -> float | Var:
    """The sum from left to right, one addition after the other; 0.0 of nothing."""
    numbers = iter(xs)
    total = next(numbers, 0.0)
    for number in numbers:
        total = total + number
    return total


@overload
def prod(xs: Iterable[Real], /, *, start: float = 1) -> Real: ...
@overload
def prod(xs: Iterable[float], /, *, start: Real) -> Real: ...
@overload
def prod(xs: Iterable[Real], /, *, start: Real) -> Real: ...
@overload
def prod(xs: Iterable[float | Var], /, *, start: Var | float = 1) -> float | Var: ...
def prod(xs: Iterable[float | Var], /, *, start: Var | float = 1) -> float | Var:
    """The product, times ``start``."""
    factors = tuple(xs)
    if not any(isinstance(x, Var) for x in (start, *factors)):
        return _math.prod(factors, start=start)
    return cast(
        Var, ops.prod(*factors if isinstance(start, int) and start == 1 else (start, *factors))
    )


@overload
def isclose(a: float, b: float, *, rel_tol: float = 1e-09, abs_tol: float = 0.0) -> bool: ...
@overload
def isclose(
    a: Var, b: Var | float, *, rel_tol: float = 1e-09, abs_tol: float = 0.0
) -> Condition: ...
@overload
def isclose(a: float, b: Var, *, rel_tol: float = 1e-09, abs_tol: float = 0.0) -> Condition: ...
def isclose(
    a: Var | float, b: Var | float, *, rel_tol: float = 1e-09, abs_tol: float = 0.0
) -> Condition | bool:
    """Whether two numbers differ by little, as the library defines it."""
    if not isinstance(a, Var) and not isinstance(b, Var):
        return _math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    larger = cast(Var, maximum(fabs(a), fabs(b)))
    near = fabs(a - b) <= maximum(rel_tol * larger, abs_tol)
    return (a == b) | (isfinite(a - b) & near)
