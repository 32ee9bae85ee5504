"""The truth about every row, by mpmath: its value and each first partial as a closed form.

Nothing here shares code with the library. `truth` raises the precision until the answer stands, and
`ulps` says how far a float is from it.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import mpmath  # type: ignore[import-untyped,unused-ignore]  # mpmath ships no annotations
from mpmath import libmp, mp

Number: TypeAlias = Any
"""An `mpmath.mpf`; anything else a function returns is converted, and a complex number is nan."""
Function: TypeAlias = Callable[..., Number]


class Truth(NamedTuple):
    """A row's value and partials, None where it is flat; of a variadic row one `(i, *operands)`."""

    value: Function
    partials: tuple[Function | None, ...] | Function


def truth(name: str, index: int | None, *operands: float) -> Number:
    """Return the value (index None) or the partial in operand `index` of a row, to 40 digits.

    It is nan where the value is undefined or not real, and at poles.
    """
    row = ORACLE[name]
    if index is None:
        return _settled(row.value, operands)
    if mp.isnan(_evaluate(row.value, operands, 60)):
        return mp.nan
    if callable(row.partials):
        return _settled(row.partials, operands, index)
    partial = row.partials[index]
    return mp.mpf(0) if partial is None else _settled(partial, operands)


def forty_digits(name: str, index: int | None, *operands: float) -> Number:
    """Return the value or partial computed once with 40 digits, of which some may be lost."""
    row = ORACLE[name]
    if index is None:
        return _evaluate(row.value, operands, 40)
    if callable(row.partials):
        return _evaluate(row.partials, operands, 40, index)
    partial = row.partials[index]
    return mp.mpf(0) if partial is None else _evaluate(partial, operands, 40)


def ulps(got: float, want: Number) -> float:
    """Return the distance in units in the last place of the double nearest to `want`.

    The unit is 5e-324 below the normal range. inf stands one unit above the largest double, so an
    overflow is right if and only if `want` rounds to inf. Two nans are 0 apart.
    """
    if math.isnan(got) or mp.isnan(want):
        return 0.0 if math.isnan(got) and mp.isnan(want) else math.inf
    if mp.isinf(want):
        return 0.0 if got == float(want) else math.inf
    nearest = float(want)
    if got == nearest and math.isinf(got):
        return 0.0
    with mp.workdps(60):
        unit = mp.mpf(math.ulp(nearest)) if math.isfinite(nearest) else mp.ldexp(1, 971)
        point = mp.mpf(got) if math.isfinite(got) else mp.ldexp(mp.sign(got), 1024)
        return float(abs(point - want) / unit)


def _settled(function: Function, operands: tuple[float, ...], *index: int) -> Number:
    """Return what evaluations at some precision and at twice that precision agree on.

    Two zeros agree only beyond 800 digits, where no difference of doubles is lost.
    """
    digits, low = 60, _evaluate(function, operands, 60, *index)
    while digits < 20000:
        digits *= 2
        high = _evaluate(function, operands, digits, *index)
        if mp.isnan(high) or (high == low and (high != 0 or digits > 800)):
            return high
        if mp.isfinite(high) and abs(high - low) < abs(high) * mp.mpf("1e-40"):
            return high
        low = high
    raise ArithmeticError(f"no 40 digits of {function} at {operands} with {digits} digits")


def _evaluate(function: Function, operands: tuple[float, ...], digits: int, *index: int) -> Number:
    with mp.workdps(digits):
        try:
            result = mp.mpmathify(function(*index, *map(mp.mpf, operands)))
        except (ValueError, ZeroDivisionError):
            return mp.nan
        return mp.nan if isinstance(result, mpmath.mpc) and result.imag else mp.re(result)


# Exact rationals: x / y as an mpf could round to an integer, and mpmath drops the small terms of a
# sum whose large ones cancel.


def _quotient(x: Number, y: Number) -> Fraction:
    return _exact(x) / _exact(y)


def _exact(x: Number) -> Fraction:
    if not mp.isfinite(x):
        raise ValueError("no rational")
    return Fraction(*libmp.to_rational(x._mpf_))


def _rational(exact: Fraction) -> Number:
    return mp.mpf(exact.numerator) / exact.denominator


def _whole(rounding: Callable[[Fraction], int]) -> Function:
    """Return minus the rounded quotient, the partial of a remainder in its divisor."""
    return lambda x, y: mp.mpf(-rounding(_quotient(x, y)))


def _rest(rounding: Callable[[Fraction], int]) -> Function:
    """Return the remainder that goes with a rounding of the quotient."""

    def remainder(x: Number, y: Number) -> Number:
        return _rational(_exact(x) - rounding(_quotient(x, y)) * _exact(y))

    return remainder


# Names for what the table says often or at length.


def _one(*_: Number) -> Number:
    return mp.mpf(1)


def _first(x: Number, *_: Number) -> Number:
    return x


def _second(_: Number, y: Number, *__: Number) -> Number:
    return y


def _minus(function: Function) -> Function:
    return lambda *xs: -function(*xs)


def _swapped(function: Function) -> Function:
    return lambda x, y: function(y, x)


def _floordiv(x: Number, y: Number) -> Number:
    return mp.mpf(math.floor(_quotient(x, y)))


def _div2(x: Number, y: Number) -> Number:
    return x / (y * y)


def _copysign(x: Number, y: Number) -> Number:
    return -abs(x) if y < 0 else abs(x)


def _copysign_slope(x: Number, y: Number) -> Number:
    return _copysign(1, y) * mp.sign(x)


def _ldexp(x: Number, i: Number) -> Number:
    return mp.ldexp(x, int(i))


def _ratio(x: Number, length: Number) -> Number:
    return x / length if length else mp.mpf(0)


def _low_products(a: Number, a_low: Number, b: Number, b_low: Number) -> Number:
    return a * b_low + a_low * b


def _win(x: Number, y: Number) -> Number:
    return (1 + mp.sign(x - y)) / 2


def _fma(x: Number, y: Number, z: Number) -> Number:
    return _rational(_exact(x) * _exact(y) + _exact(z))


def _trunc(x: Number) -> Number:
    return mp.sign(x) * mp.floor(abs(x))


def _round_to(x: Number, n: Number) -> Number:
    return mp.nint(x * mp.mpf(10) ** n) / mp.mpf(10) ** n


def _cbrt(x: Number) -> Number:
    return mp.sign(x) * mp.cbrt(abs(x))


def _exp2(x: Number) -> Number:
    return mp.exp(x * mp.ln2)


def _asin_slope(x: Number) -> Number:
    return (1 - x * x) ** -0.5


def _sech2(x: Number) -> Number:
    return 1 / mp.cosh(x) ** 2


def _recip_re(x: Number, y: Number) -> Number:
    return x / (x * x + y * y)


def _pow_dx(x: Number, b: Number) -> Number:
    """Divide by x: b - 1, rounded, could be an integer where b is not."""
    if x == 0 or b == 0:
        return b and b * x ** (b - 1)
    return b * x**b / x


def _pow_dy(x: Number, b: Number) -> Number:
    if x < 0:
        return mp.nan
    if x == 0:
        return mp.mpf(0) if b > 0 else -mp.inf
    return x**b * mp.log(x)


def _relu(x: Number) -> Number:
    return max(x, mp.mpf(0))


def _sigmoid(x: Number) -> Number:
    return 1 / (1 + mp.exp(-x))


def _sigmoid_slope(x: Number) -> Number:
    return _sigmoid(x) * _sigmoid(-x)


def _softplus(x: Number) -> Number:
    return _relu(x) + mp.log1p(mp.exp(-abs(x)))


def _erf_slope(x: Number) -> Number:
    return 2 * mp.exp(-x * x) / mp.sqrt(mp.pi)


def _erfc(x: Number) -> Number:
    if x > 10**100:  # mpmath's gives up; this is right to 200 digits
        return mp.exp(-x * x) / (x * mp.sqrt(mp.pi))
    return mp.erfc(x)


def _cdf(x: Number) -> Number:
    return _erfc(-x / mp.sqrt(2)) / 2


def _pdf(x: Number) -> Number:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


FAR = -(10**50)  # from here on the leading terms are right to 100 digits


def _log_cdf(x: Number) -> Number:
    if x < FAR:
        return -x * x / 2 - mp.log(-x * mp.sqrt(2 * mp.pi))
    return mp.log1p(-_cdf(-x)) if x > 0 else mp.log(_cdf(x))


def _norm_ratio(x: Number) -> Number:
    return _pdf(x) / _cdf(x) if x > FAR else -x


def _norm_ratio_gap(x: Number) -> Number:
    return x + _norm_ratio(x) if x > FAR else -1 / x


def _pdf_slope(x: Number) -> Number:
    return -x * _pdf(x)


def _lgamma(x: Number) -> Number:
    return mp.loggamma(x).real


def _polygamma(x: Number, n: Number) -> Number:
    if x <= 0 and x == mp.floor(x):
        raise ValueError("a pole")
    return mp.polygamma(int(n), x)


def _gamma_slope(x: Number) -> Number:
    return mp.gamma(x) * mp.digamma(x)


def _hypot(*xs: Number) -> Number:
    return mp.sqrt(mp.fsum(xs, squared=True))


def _direction(x: Number, *others: Number) -> Number:
    return x / _hypot(x, *others) if any((x, *others)) else mp.mpf(0)


def _sum(*xs: Number) -> Number:
    return _rational(sum(map(_exact, xs), Fraction()))


def _mean(*xs: Number) -> Number:
    return _sum(*xs) / len(xs)


def _share(_: int, *xs: Number) -> Number:
    return mp.mpf(1) / len(xs)


def _product(*xs: Number) -> Number:
    return mp.fprod(xs)


def _logsumexp(*xs: Number) -> Number:
    return max(xs) + mp.log(mp.fsum(mp.exp(x - max(xs)) for x in xs))


def _softmax(x: Number, *others: Number) -> Number:
    return 1 / (1 + mp.fsum(mp.exp(other - x) for other in others))


def _dot(*values: Number) -> Number:
    half = len(values) // 2
    pairs = zip(values[:half], values[half:], strict=True)
    return _rational(sum((_exact(x) * _exact(y) for x, y in pairs), Fraction()))


def _opposite(i: int, *values: Number) -> Number:
    return values[(i + len(values) // 2) % len(values)]


def _of_the_others(function: Function) -> Function:
    """Return (i, *xs) -> function(all but xs[i])."""
    return lambda i, *xs: function(*xs[:i], *xs[i + 1 :])


def _with_the_others(function: Function) -> Function:
    """Return (i, *xs) -> function(xs[i], all the others)."""
    return lambda i, *xs: function(xs[i], *xs[:i], *xs[i + 1 :])


# fmt: off
ORACLE: dict[str, Truth] = {
    # Arithmetic.
    "add":            Truth(lambda x, y: x + y,         (_one, _one)),
    "sub":            Truth(lambda x, y: x - y,         (_one, lambda x, y: -1)),
    "mul":            Truth(lambda x, y: x * y,         (_second, _first)),
    "div":            Truth(lambda x, y: x / y,         (lambda x, y: 1 / y, _minus(_div2))),
    "neg":            Truth(lambda x: -x,               (lambda x: -1,)),
    "abs":            Truth(mp.fabs,                    (mp.sign,)),
    "pow":            Truth(mp.power,                   (_pow_dx, _pow_dy)),
    "powc":           Truth(mp.power,                   (_pow_dx,)),
    "mod":            Truth(_rest(math.floor),          (_one, _whole(math.floor))),
    "floordiv":       Truth(_floordiv,                  (None, None)),
    "fmod":           Truth(_rest(math.trunc),          (_one, _whole(math.trunc))),
    "remainder":      Truth(_rest(round),               (_one, _whole(round))),
    "atan2":          Truth(mp.atan2,                   (_swapped(_recip_re), _minus(_recip_re))),
    "copysign":       Truth(_copysign,                  (_copysign_slope, None)),
    "ldexp":          Truth(_ldexp,                     (lambda x, i: _ldexp(1, i),)),
    "maximum":        Truth(max,                        (_win, _swapped(_win))),
    "minimum":        Truth(min,                        (_swapped(_win), _win)),
    "fma":            Truth(_fma,                       (_second, _first, _one)),

    # The standard library's functions of one operand.
    "acos":           Truth(mp.acos,                    (_minus(_asin_slope),)),
    "acosh":          Truth(mp.acosh,                   (lambda x: (x * x - 1) ** -0.5,)),
    "asin":           Truth(mp.asin,                    (_asin_slope,)),
    "asinh":          Truth(mp.asinh,                   (lambda x: (1 + x * x) ** -0.5,)),
    "atan":           Truth(mp.atan,                    (lambda x: 1 / (1 + x * x),)),
    "atanh":          Truth(mp.atanh,                   (lambda x: 1 / (1 - x * x),)),
    "cbrt":           Truth(_cbrt,                      (lambda x: 1 / _cbrt(x)**2 / 3,)),
    "ceil":           Truth(mp.ceil,                    (None,)),
    "cos":            Truth(mp.cos,                     (_minus(mp.sin),)),
    "cosh":           Truth(mp.cosh,                    (mp.sinh,)),
    "degrees":        Truth(lambda x: x * 180 / mp.pi,  (lambda x: 180 / mp.pi,)),
    "erf":            Truth(mp.erf,                     (_erf_slope,)),
    "erfc":           Truth(_erfc,                      (_minus(_erf_slope),)),
    "exp":            Truth(mp.exp,                     (mp.exp,)),
    "exp2":           Truth(_exp2,                      (lambda x: mp.ln2 * _exp2(x),)),
    "expm1":          Truth(mp.expm1,                   (mp.exp,)),
    "floor":          Truth(mp.floor,                   (None,)),
    "gamma":          Truth(mp.gamma,                   (_gamma_slope,)),
    "lgamma":         Truth(_lgamma,                    (mp.digamma,)),
    "log":            Truth(mp.log,                     (lambda x: 1 / x,)),
    "log10":          Truth(mp.log10,                   (lambda x: 1 / (x * mp.ln10),)),
    "log1p":          Truth(mp.log1p,                   (lambda x: 1 / (1 + x),)),
    "log2":           Truth(lambda x: mp.log(x, 2),    (lambda x: 1 / (x * mp.ln2),)),
    "radians":        Truth(lambda x: x * mp.pi / 180,  (lambda x: mp.pi / 180,)),
    "sin":            Truth(mp.sin,                     (mp.cos,)),
    "sinh":           Truth(mp.sinh,                    (mp.cosh,)),
    "sqrt":           Truth(mp.sqrt,                    (lambda x: 1 / (2 * mp.sqrt(x)),)),
    "tan":            Truth(mp.tan,                     (lambda x: 1 / mp.cos(x)**2,)),
    "tanh":           Truth(mp.tanh,                    (_sech2,)),
    "trunc":          Truth(_trunc,                     (None,)),
    "round":          Truth(mp.nint,                    (None,)),
    "round_to":       Truth(_round_to,                  (None,)),

    # Special functions.
    "sigmoid":        Truth(_sigmoid,                   (_sigmoid_slope,)),
    "softplus":       Truth(_softplus,                  (_sigmoid,)),
    "logsigmoid":     Truth(lambda x: -_softplus(-x),   (lambda x: _sigmoid(-x),)),
    "relu":           Truth(_relu,                      (lambda x: 1 if x > 0 else 0,)),
    "sign":           Truth(mp.sign,                    (None,)),
    "norm_cdf":       Truth(_cdf,                       (_pdf,)),
    "log_norm_cdf":   Truth(_log_cdf,                   (_norm_ratio,)),
    "norm_pdf":       Truth(_pdf,                       (_pdf_slope,)),
    "digamma":        Truth(mp.digamma,                 (lambda x: _polygamma(x, 1),)),
    "polygamma":      Truth(_polygamma,                 (lambda x, n: _polygamma(x, n + 1),)),
    "logaddexp":      Truth(_logsumexp,                 (_softmax, _swapped(_softmax))),

    # Any number of operands.
    "hypot":          Truth(_hypot,                     _with_the_others(_direction)),
    "fsum":           Truth(_sum,                       _one),
    "prod":           Truth(_product,                   _of_the_others(_product)),
    "dot":            Truth(_dot,                       _opposite),
    "logsumexp":      Truth(_logsumexp,                 _with_the_others(_softmax)),
    "mean":           Truth(_mean,                      _share),

    # Rows that spell the partials of others: values only.
    "gauss":          Truth(lambda x: mp.exp(-x * x),   (None,)),
    "cbrt_slope":     Truth(lambda x: 1 / _cbrt(x)**2 / 3, (None,)),
    "sech2":          Truth(_sech2,                     (None,)),
    "norm_pdf_slope": Truth(_pdf_slope,                 (None,)),
    "norm_ratio":     Truth(_norm_ratio,                (None,)),
    "norm_ratio_gap": Truth(_norm_ratio_gap,            (None,)),
    "gamma_slope":    Truth(_gamma_slope,               (None,)),
    "div2":           Truth(_div2,                      (None, None)),
    "recip_re":       Truth(_recip_re,                  (None, None)),
    "direction":      Truth(_direction,                 (None,)),
    "pow_dx":         Truth(_pow_dx,                    (None, None)),
    "pow_dy":         Truth(_pow_dy,                    (None, None)),
    "powc_slope":     Truth(_pow_dx,                    (None,)),
    "softmax":        Truth(_softmax,                   (None,)),
    "exp_difference": Truth(lambda x, y: mp.exp(x - y), (None, None)),
    "cosine":         Truth(_ratio,                     (None, None)),
    "corrected":      Truth(lambda x, y: x + y,         (None, None)),
    "mantissa":       Truth(lambda x: mp.frexp(x)[0],   (None,)),
    "shifted":        Truth(_ldexp,                     (None, None)),
    "shifted_hypot":  Truth(_hypot,                     (None,)),
    "product_error":  Truth(_low_products,              (None, None, None, None)),
    "product":        Truth(_product,                   (None,)),
}
# fmt: on
