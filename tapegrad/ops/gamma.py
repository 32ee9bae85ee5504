"""Digamma, polygamma and the slope of gamma, on floats, with the promises of `special`.

Intermediate values that may leave the double range are pairs (mantissa, exponent) standing for
mantissa * 2**exponent. Long arguments are sums x + rest of two floats.
"""

import math

from tapegrad.ops.special import scaled, two_product, two_sum

Scaled = tuple[float, int]

_LN2_HIGH = 0.6931471805598903  # 42 bits: its product with an exponent is exact
_LN2_LOW = 5.497923018708371e-14
_HALF_LOG_2PI = "0.9189385332046727417803297364056176398613974736377834"

# Bernoulli's numbers B2, B4, ... B24: DLMF table 24.2.1.
_BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510]
_DIGAMMA_SERIES = [b / (2 * k) for k, b in enumerate(_BERNOULLI, 1)]
_STIRLING_SERIES = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1)]
_BERNOULLI += [43867 / 798, -174611 / 330, 854513 / 138, -236364091 / 2730]
_LOG1P_SERIES = [-((-1.0) ** k) / k for k in range(2, 15)]
_EULER_MACLAURIN = [b / math.factorial(2 * k) for k, b in enumerate(_BERNOULLI, 1)]


def _horner(coefficients: list[float], x: float) -> float:
    """Returns coefficients[0] + coefficients[1] * x + ..."""
    total = 0.0
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def digamma(x: float) -> float:
    """Returns the logarithmic derivative of gamma, nan at the poles -1, -2, ...

    Near its zeros, on either axis, within 4 eps absolute.
    """
    if x >= 10.0:
        return math.log(x) - _digamma_tail(x)
    if x > -10.0:
        if x == 0.0:
            return -math.copysign(math.inf, x)
        return math.nan if x == math.floor(x) < 0.0 else _fsum(_digamma_terms(x))
    if math.isinf(x) or x != x or x == math.floor(x):
        return math.nan
    return _fsum(_reflected_terms(x))


def _fsum(terms: list[float]) -> float:
    """Returns the sum of terms of which at most one is infinite."""
    try:
        return math.fsum(terms)
    except OverflowError:
        return sum(terms)


def _digamma_tail(x: float) -> float:
    """Returns log(x) - digamma(x) for x >= 10: DLMF 5.11.2."""
    if x > 1e100:
        return 0.5 / x
    reciprocal = 1.0 / x
    square = reciprocal * reciprocal
    return reciprocal * 0.5 + square * _horner(_DIGAMMA_SERIES, square)


def _digamma_terms(x: float) -> list[float]:
    """Returns floats that sum to digamma(x), x > -10 and no pole: DLMF 5.5.2 up to x >= 10.

    They are kept apart so that they cancel exactly; the roundings of x + k are among them.
    """
    terms: list[float] = []
    steps = max(0, math.ceil(10.0 - x))
    for k in range(steps):
        y, rest = two_sum(x, k)
        terms += -1.0 / y, (rest / y) / y
    y, rest = two_sum(x, steps)
    return [*terms, *_log_terms(y), rest / y, -_digamma_tail(y)]


def _log_terms(x: float) -> list[float]:
    """Returns floats that sum to log(x) within 2**-55 absolute."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    return [exponent * _LN2_HIGH, exponent * _LN2_LOW, math.log(mantissa)]


def _reflected_terms(x: float) -> list[float]:
    """Returns floats that sum to digamma(x) for x < -10: DLMF 5.5.4.

    With f the exact distance from the nearest integer, pi * cot(pi * x) is
    1 / f + digamma(1 - f) - digamma(1 + f), where only 1 / f can be large.
    """
    f = math.remainder(x, 1.0)
    reciprocal = 1.0 / f
    p, rest = two_product(reciprocal, f)
    terms = [-reciprocal, -((1.0 - p) - rest) * reciprocal]
    for sign, base, x_ in ((1.0, 1.0, -x), (1.0, 1.0, f), (-1.0, 1.0, -f)):
        y, rest = two_sum(base, x_)
        terms += [sign * term for term in _digamma_terms(y)]
        terms.append(sign * rest * (1.0 + 0.5 / y) / y)
    return terms


def polygamma(x: float, n: float) -> float:
    """Returns the n-th derivative of digamma; nan at negative integers and unless n = 0, 1, 2, ...

    For even n on the negative axis, where terms of both signs meet, within 4 eps of the largest.
    """
    if n == 0.0:
        return digamma(x)
    if not 0.0 < n < math.inf or n % 1.0 or x != x or x == -math.inf:
        return math.nan
    sign = 1.0 if n % 2.0 else -1.0
    if x == 0.0:
        return math.copysign(math.inf, x) * sign if sign < 0.0 else math.inf
    if x == math.inf:
        return sign * 0.0
    if x > 0.0:
        mantissa, exponent = _zeta_term(n, x, 0.0)
        return scaled(sign * mantissa, exponent)
    return math.nan if x == math.floor(x) else _polygamma_reflected(n, x, sign)


def polygamma_scale(x: float, n: float) -> float:
    """Returns the largest term of the reflection formula, whose terms may cancel for x < 0.

    For even n they do near the zeros of polygamma; elsewhere 0.0.
    """
    if not x < 0.0 or n % 2.0 != 0.0:
        return 0.0
    return max(abs(polygamma(1.0 - x, n)), abs(polygamma(x - math.floor(x), n)))


def _polygamma_reflected(n: float, x: float, sign: float) -> float:
    """Returns polygamma(x, n) for x < 0.

    With f the exact distance from the nearest integer the sum of 1 / (x + k)**(n + 1), k >= 0, is
    1 / f**(n + 1), the terms beyond it and, backwards, those between it and x: DLMF 5.15.1.
    """
    f = math.remainder(x, 1.0)
    mantissa, exponent = _factorial_over_power(n, abs(f), 0.0)
    pairs = [(mantissa if f > 0.0 else sign * mantissa, exponent), _zeta_term(n, *two_sum(1.0, f))]
    if x < -0.5:
        near, near_exponent = _zeta_term(n, *two_sum(1.0, -f))
        far, far_exponent = _zeta_term(n, *two_sum(1.0, -x))
        pairs += [(sign * near, near_exponent), (-sign * far, far_exponent)]
    top = max(exponent for _, exponent in pairs)
    total = math.fsum(scaled(mantissa, exponent - top) for mantissa, exponent in pairs)
    return scaled(sign * total, top)


def _zeta_term(n: float, x: float, rest: float) -> Scaled:
    """Returns n! * sum(1 / (x + rest + k)**(n + 1), k >= 0) for x > 0."""
    mantissa, exponent = _factorial_over_power(n, x, rest)
    ratio, shift = math.frexp(_zeta_ratio(n + 1.0, x))
    return mantissa * ratio, exponent + shift


def _zeta_ratio(s: float, x: float) -> float:
    """Returns x**s * zeta(s, x): Euler and Maclaurin's summation, DLMF 25.11.28.

    Relative to the leading term the rounding of a term x**s / (x + k)**s = exp(-z) is z * exp(-z).
    """
    terms: list[float] = []
    k, term = 0, 1.0
    while x + k < 10.0 + s:
        terms.append(term)
        k += 1
        term = math.exp(-s * math.log1p(k / x))
        if term < 2.0**-64:
            return math.fsum(terms)
    y = x + k
    terms += [term * (y / (s - 1.0)), term * 0.5]
    term *= s / y
    for j, coefficient in enumerate(_EULER_MACLAURIN, 1):
        terms.append(coefficient * term)
        term *= ((s + (2 * j - 1)) / y) * ((s + 2 * j) / y)
    return math.fsum(terms)


def _factorial_over_power(n: float, x: float, rest: float) -> Scaled:
    """Returns n! / (x + rest)**(n + 1) for x > 0."""
    s = n + 1.0
    if n > 170.0:
        return _long_factorial_over_power(n, x, rest)
    mantissa, exponent = math.frexp(x)
    factorial, shift = math.frexp(math.factorial(int(n)))
    quotient = factorial / mantissa**s
    return quotient - quotient * (s * (rest / x)), shift - exponent * int(s)


def _long_factorial_over_power(n: float, x: float, rest: float) -> Scaled:
    """Returns n! / (x + rest)**(n + 1) for n > 170 by Stirling's series, DLMF 5.11.1.

    The logarithm is a small difference of terms as large as n * log(n), hence decimals.
    """
    digits = 40 + int(math.log10(n))
    from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext

    with localcontext(Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])):
        order = Decimal(n)
        log_factorial = (order + Decimal("0.5")) * order.ln() - order + Decimal(_HALF_LOG_2PI)
        log_factorial += sum(
            Decimal(c) / order ** (2 * k + 1) for k, c in enumerate(_STIRLING_SERIES[:3])
        )
        log = log_factorial - (order + 1) * (Decimal(x) + Decimal(rest)).ln()
        exponent = int(log / Decimal(2).ln())
        return float((log - exponent * Decimal(2).ln()).exp()), exponent


def gamma_slope(x: float) -> float:
    """Returns the derivative of gamma, gamma(x) * digamma(x), nan at the poles.

    Near the zeros of digamma within 4 eps * abs(gamma(x)).
    """
    if not -250.0 < x < 172.0:
        if x > 0.0 or x != x:
            return x + math.inf
        return 0.0 if x % 1.0 > 0.0 else math.nan
    if abs(x) < 1e-160:  # it is about -1 / x**2
        return -math.inf
    if x == math.floor(x) < 0.0:
        return math.nan
    mantissa, relative, exponent = _gamma(x)
    slope, shift = math.frexp(digamma(x))
    slope *= mantissa
    return scaled(slope + slope * relative, exponent + shift)


def _gamma(x: float) -> tuple[float, float, int]:
    """Returns m, r, e with gamma(x) = m * (1 + r) * 2**e, -250 < x < 172 and no pole.

    Within about 1 ulp, where math.gamma strays by 7. Recurrence up to x >= 10 in two pieces, DLMF
    5.5.1, or far on the left reflection, DLMF 5.5.3.
    """
    if x < -20.0:
        return _gamma_reflected(x)
    steps = max(0, math.ceil(10.0 - x))
    divisor, lost, shift = 1.0, 0.0, 0
    for k in range(steps):
        y, rest = two_sum(x, k)
        mantissa, exponent = math.frexp(y)
        divisor, rounding = two_product(divisor, mantissa)
        lost = lost * mantissa + rounding + divisor * (rest / y)
        shift += exponent
    mantissa, relative, exponent = _gamma_stirling(*two_sum(x, steps))
    quotient, rounding = _divide(mantissa, divisor)
    return quotient, relative + rounding - lost / divisor, exponent - shift


def _divide(a: float, b: float) -> tuple[float, float]:
    """Returns a / b rounded and what rounding lost, relative to it."""
    quotient = a / b
    p, rest = two_product(quotient, b)
    return quotient, ((a - p) - rest) / a


def _gamma_reflected(x: float) -> tuple[float, float, int]:
    """Returns gamma(x) as `_gamma` does for x < -20; f is the distance from the nearest integer."""
    f = math.remainder(x, 1.0)
    sine = math.copysign(math.sin(math.pi * f), f if (x - f) % 2.0 == 0.0 else -f)
    mantissa, relative, exponent = _gamma_stirling(*two_sum(1.0, -x))
    product, rounding = two_product(sine, mantissa)
    quotient, lost = _divide(math.pi, product)
    return quotient, lost - relative - rounding / product, -exponent


def _gamma_stirling(x: float, rest: float) -> tuple[float, float, int]:
    """Returns gamma(x + rest) as `_gamma` does: Stirling's series, DLMF 5.11.1, at x >= 9.5 and n.

    With n the nearest integer and d = x - n, log(gamma(x) / (n - 1)!) is d * log(n), which needs
    two pieces, and terms so small that their roundings do not count.
    """
    n = round(x)
    d = x - n
    u = d / n
    small = (d - 0.5) * u + (n + d - 0.5) * (u * u * _horner(_LOG1P_SERIES, u))
    small += _stirling_tail(x) - _stirling_tail(n)
    pieces = _log_terms(n)
    log = math.fsum(pieces)
    leading, rounding = two_product(d, log)
    terms = [leading, rounding, d * math.fsum([*pieces, -log]), small, rest * log]
    total = math.fsum(terms)
    factorial = math.factorial(n - 1)
    bits = factorial.bit_length()
    product, rounding = two_product(math.exp(total), factorial / (1 << bits))
    return product, math.fsum([*terms, -total]) + rounding / product, bits


def _stirling_tail(x: float) -> float:
    """Returns log(gamma(x)) - (x - 1/2) * log(x) + x - log(2 pi) / 2 for x >= 9.5."""
    reciprocal = 1.0 / x
    return reciprocal * _horner(_STIRLING_SERIES, reciprocal * reciprocal)
