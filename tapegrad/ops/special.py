"""Functions the standard library lacks, on floats: value functions of rows.

Every function promises the same: any float is an answer, none raises (nan outside the domain, IEEE
infinities, nan for nan), and the result is within 4 units in the last place of the true value over
the whole double range, subnormal results included, unless its docstring states another bound.
`eps` is 2**-52. The gamma family is in `gamma`.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from operator import mul

from tapegrad.ops import floats as f

if sys.version_info >= (3, 12):
    from math import sumprod
else:

    def sumprod(xs: Iterable[float], ys: Iterable[float]) -> float:
        """Returns the exact sum of the rounded products: within eps / 2 of the absolute terms."""
        return math.fsum(map(mul, xs, ys))


SQRT_HALF = 0.7071067811865476
INV_SQRT_2PI = 0.3989422804014327
SPLITTER = 134217729.0  # 2**27 + 1
GRID = 6442450944.0  # 1.5 * 2**32: adding it rounds a small number to multiples of 2**-20
_UNIT_BITS = 1074  # every finite double is a whole multiple of 2**-1074


# Exact pieces and scaling, shared with `gamma`.


def two_sum(a: float, b: float) -> tuple[float, float]:
    """Returns a + b rounded and what rounding lost, exactly, unless the sum overflows.

    Knuth, The Art of Computer Programming, vol. 2, section 4.2.2, theorem B.
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: float, b: float) -> tuple[float, float]:
    """Returns a * b rounded and what rounding lost, exactly for 1e-140 < abs(a), abs(b) < 1e140.

    Dekker, A floating-point technique for extending the available precision (1971).
    """
    p = a * b
    c = SPLITTER * a
    a_high = c - (c - a)
    a_low = a - a_high
    c = SPLITTER * b
    b_high = c - (c - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def scaled(mantissa: float, exponent: int) -> float:
    """Returns mantissa * 2**exponent, rounded once; inf with the sign of mantissa on overflow."""
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return math.copysign(math.inf, mantissa)


def mantissa(x: float) -> float:
    """Returns x * 2**-exponent(x), of magnitude 0.5 to 1; 0, infinities and nan as they are."""
    return math.frexp(x)[0]


def exponent(x: float) -> float:
    """Returns n so that x * 2**-n is of magnitude 0.5 to 1; 0.0 where there is none."""
    return float(math.frexp(x)[1]) if math.isfinite(x) else 0.0


def power_of_2(n: float) -> float:
    """Returns 2**n for a whole n from -1022 to 1023, nan for any other."""
    return math.ldexp(1.0, int(n)) if -1022.0 <= n <= 1023.0 and n % 1.0 == 0.0 else math.nan


def _plain(x: float) -> bool:
    """Whether x is so far from overflow and underflow that one more step is safe."""
    return 1e-290 < abs(x) < 1e290


def _exact_sum(pairs: Iterable[tuple[float, float]], divisor: int = 1) -> float:
    """Returns the sum of x * y over finite pairs, divided by divisor and rounded once."""
    total = sum(_units(x) * _units(y) for x, y in pairs)
    try:
        return total / (divisor << 2 * _UNIT_BITS)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def _units(x: float) -> int:
    """Returns the integer x * 2**1074 of a finite float."""
    numerator, denominator = x.as_integer_ratio()
    return numerator << _UNIT_BITS + 1 - denominator.bit_length()


def exp_difference(x: float, top: float) -> float:
    """Returns exp(x - top) for x <= top, 1.0 where they are equal, infinite or not.

    The rounding of x - top is carried along: at -700 it would cost hundreds of ulps.
    """
    if x == top:
        return 1.0
    d, rest = two_sum(x, -top)
    if d < -746.0:
        return 0.0
    e = math.exp(d) if d < 709.0 else f.exp(d)
    return e + e * rest


def _gaussian(x: float, factor: float, scale: float) -> float:
    """Returns scale * exp(-factor * x * x), factor a power of two, abs(x) <= 40.

    What the rounded square has lost is carried along. It is the difference to the square of a
    multiple of 2**-20, which is exact, and small beside that.
    """
    square, near = x * x, (x + GRID) - GRID
    rest = (near * near - square) + (x - near) * (x + near)
    e = scale * math.exp(-factor * square)
    return e - e * (factor * rest)


# The logistic family.


def sigmoid(x: float) -> float:
    """Returns 1 / (1 + exp(-x)), relative accuracy in the lower tail too."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def softplus(x: float) -> float:
    """Returns log(1 + exp(x)), relative accuracy in the lower tail too."""
    if x > 0.0:
        return x + math.log1p(math.exp(-x))
    return math.log1p(math.exp(x))


def logsigmoid(x: float) -> float:
    """Returns log(sigmoid(x)), that is -softplus(-x)."""
    return -softplus(-x)


def logaddexp(a: float, b: float) -> float:
    """Returns log(exp(a) + exp(b)); near its zero within 4 eps absolute.

    The larger operand and the logarithm cancel there, and each is rounded.
    """
    high, low = (a, b) if a >= b else (b, a)
    return high + math.log1p(exp_difference(low, high))


def logsumexp(*xs: float) -> float:
    """Returns log(sum(exp(x))), -inf of nothing; near its zero within 4 eps absolute."""
    if not xs:
        return -math.inf
    top = max(xs)
    others = math.fsum([-1.0, *(exp_difference(x, top) for x in xs)])
    return top + math.log1p(others)


def softmax(x: float, *others: float) -> float:
    """Returns exp(x) / (exp(x) + sum(exp(others))); equal infinities share equally."""
    top = max(x, *others) if others else x
    own = exp_difference(x, top)
    return own / math.fsum([own, *(exp_difference(other, top) for other in others)])


def softmaxes(*xs: float) -> list[float]:
    """Returns the softmax of each number beside the others, to the same bits."""
    top = max(xs)
    exps = [exp_difference(x, top) for x in xs]
    total = math.fsum(exps)
    return [own / total for own in exps]


def sech2(x: float) -> float:
    """Returns 1 / cosh(x)**2."""
    a = abs(x)
    if a > 20.0:
        e = 2.0 * math.exp(-a)
        return e * e
    e = math.exp(-2.0 * a)
    d = 1.0 + e
    return 4.0 * e / (d * d)


# The normal distribution.


def gauss(x: float) -> float:
    """Returns exp(-x * x), with the square carried in two pieces."""
    return 0.0 if abs(x) > 40.0 else _gaussian(x, 1.0, 1.0)


def norm_pdf(x: float) -> float:
    """Returns the standard normal density exp(-x * x / 2) / sqrt(2 pi)."""
    return 0.0 if abs(x) > 40.0 else _gaussian(x, 0.5, INV_SQRT_2PI)


def norm_pdf_slope(x: float) -> float:
    """Returns -x * norm_pdf(x), the derivative of the density."""
    if abs(x) > 40.0:
        return math.copysign(0.0, -x)
    if abs(x) < 37.5:
        return _gaussian(x, 0.5, -x * INV_SQRT_2PI)
    root = _gaussian(x, 0.25, 1.0)  # from 37.6 the square itself is subnormal
    return (-x * INV_SQRT_2PI) * root * root


def norm_cdf(x: float) -> float:
    """Returns the probability that a standard normal variable is below x.

    Relative accuracy down to -38.5, where the result is the least subnormal.
    """
    if x < -0.67:
        return _norm_tail(-x)
    return 0.5 + 0.5 * math.erf(x * SQRT_HALF)


STEP = 0.69140625  # exact, the nodes too, and the roundings of the weights almost cancel
NODES = [(k * STEP) ** 2 for k in range(13)]
WEIGHTS = [STEP / math.tau * (2.0 if node else 1.0) * math.exp(-0.5 * node) for node in NODES]
_TERMS = list(zip(WEIGHTS, NODES, strict=True))


def _total(terms: Sequence[float]) -> float:
    """Returns the sum of positive terms, of which the last are the smallest, rounded about once.

    What is lost counts in the last three additions only: the others are of small terms.
    """
    total = lost = 0.0
    for term in terms[:2:-1]:
        total += term
    for term in terms[2::-1]:
        total, rest = two_sum(total, term)
        lost += rest
    return total + lost


def _norm_tail(x: float) -> float:
    """Returns the probability beyond x >= 0.67.

    The trapezoidal rule on x / 2 pi * integral exp(-t**2 / 2) / (x**2 + t**2) dt, which converges
    like exp(-2 pi**2 / step**2) once the pole at t = ix is taken out: Hunter and Regan, A note on
    the evaluation of the complementary error function, Mathematics of Computation 26 (1972).
    libm's erfc would need its argument x / sqrt(2) in two pieces, and differs between platforms.
    """
    if x > 40.0:
        return 0.0
    square, rest = two_product(x, x)
    mills, lost = two_product(x, _total([weight / (square + node) for weight, node in _TERMS]))
    tail = mills * math.exp(-0.5 * square)
    tail += tail * (lost / mills - rest * (0.5 + 1.0 / (square + 1.0)))
    return tail - 1.0 / math.expm1(math.tau / STEP * x) if x < 8.0 else tail


def log_norm_cdf(x: float) -> float:
    """Returns log(norm_cdf(x)), relative accuracy in both tails, also where norm_cdf is 0 or 1."""
    if x > 0.0:
        return math.log1p(-norm_cdf(-x))
    if x >= -0.5:
        return math.log(norm_cdf(x))
    return math.log(_mills_parts(-x)[0]) + (0.5 * x) * -x if x > -math.inf else x


def norm_ratio(x: float) -> float:
    """Returns norm_pdf(x) / norm_cdf(x), the slope of log_norm_cdf, about -x in the lower tail."""
    if x >= -0.5:
        return norm_pdf(x) / norm_cdf(x)
    return INV_SQRT_2PI / _mills_parts(-x)[0] if x > -1e8 else -x


def norm_ratio_gap(x: float) -> float:
    """Returns x + norm_ratio(x), about -1 / x in the lower tail, where the terms cancel."""
    if x >= -0.5:
        return x + norm_ratio(x)
    if x <= -1e8:
        return -1.0 / x
    mills, gap = _mills_parts(-x)
    return gap / mills


FINE_STEP = 0.5  # of _mills_parts; exact
FINE_NODES = [(k * FINE_STEP) ** 2 for k in range(20)]
FINE_WEIGHTS = [
    FINE_STEP / math.tau * (2.0 if node else 1.0) * math.exp(-0.5 * node) for node in FINE_NODES
]
_FINE_TERMS = list(zip(FINE_WEIGHTS, FINE_NODES, strict=True))


def _mills_parts(x: float) -> tuple[float, float]:
    """Returns, for x >= 0.5, r and (1 - x * r * sqrt(2 pi)) / sqrt(2 pi).

    r * exp(-x**2 / 2) is the probability beyond x. The sums are those of `_norm_tail`, here with a
    step at which the second is accurate, too: it is the integral with t**2 in the place of x.
    """
    if x > 1e8:
        return INV_SQRT_2PI / x, INV_SQRT_2PI / x / x
    square = x * x
    mills = x * _total([weight / (square + node) for weight, node in _FINE_TERMS])
    gap = _total([weight * (node / (square + node)) for weight, node in _FINE_TERMS])
    if x < 12.0:
        pole = math.exp(0.5 * square) / math.expm1(math.tau / FINE_STEP * x)
        mills -= pole
        gap += x * pole
    return mills, gap


# Quotients.


def div2(a: float, b: float) -> float:
    """Returns a / b**2, as if b**2 neither overflowed nor underflowed."""
    if not b or b != b:
        return b if b != b else a * math.inf
    quotient = a / b
    if _plain(quotient) or math.isinf(a) or math.isinf(b):
        return quotient / b
    a, a_exponent = math.frexp(a)
    b, b_exponent = math.frexp(b)
    return scaled(a / (b * b), a_exponent - 2 * b_exponent)


def cbrt_slope(x: float) -> float:
    """Returns the slope of the cube root, inf at 0 and 0.0 at either infinity.

    The library's cube root may be off by 4 units; a step of Newton's leaves one, and in cbrt(x) / x
    that counts once and not twice.
    """
    if not x:
        return math.inf
    if math.isinf(x):
        return 0.0
    y = math.cbrt(x)
    return (y + (x / y / y - y) / 3.0) / x / 3.0


def recip_re(x: float, y: float) -> float:
    """Returns x / (x**2 + y**2), the real part of 1 / (x + iy); nan at the origin."""
    square = x * x + y * y
    if _plain(square):
        return x / square
    if x != x or y != y or not (x or y):
        return math.nan
    if math.isinf(x) or math.isinf(y):
        return math.copysign(0.0, x)
    mantissa, exponent = math.frexp(x)
    shift = math.frexp(max(abs(x), abs(y)))[1]
    square = math.ldexp(x, -shift) ** 2 + math.ldexp(y, -shift) ** 2
    return scaled(mantissa / square, exponent - 2 * shift)


def direction(x: float, *others: float) -> float:
    """Returns x / hypot(x, *others), the sign of a lone x; 0.0 at the origin.

    One infinite operand points along its axis; between several the direction is nan.
    """
    length = math.hypot(x, *others)
    if _plain(length):
        return x / length
    if not length:
        return 0.0
    if math.isinf(length):
        return _direction_afar(x, *others)
    shift = -math.frexp(length)[1]
    return math.ldexp(x, shift) / math.hypot(*(math.ldexp(z, shift) for z in (x, *others)))


def _direction_afar(x: float, *others: float) -> float:
    """Returns direction(x, *others) where the length overflows or an operand is infinite."""
    infinities = sum(map(math.isinf, (x, *others)))
    if not infinities:
        return direction(0.0009765625 * x, *(0.0009765625 * z for z in others))
    if infinities > 1 or any(z != z for z in (x, *others)):
        return math.nan
    return math.copysign(1.0 if math.isinf(x) else 0.0, x)


def hypot_shift(*xs: float) -> float:
    """Returns n so that the length of the operands times 2**n is in the middle of the range.

    It is 0.0 where that holds already, and nan where the direction is: between several infinities,
    and beside a nan.
    """
    length = math.hypot(*xs)
    if _plain(length) or not length or length != length:
        return 0.0
    infinities = sum(map(math.isinf, xs))
    if infinities:
        return math.nan if infinities > 1 or any(x != x for x in xs) else 0.0
    return -float(math.frexp(length if math.isfinite(length) else max(map(abs, xs)))[1])


def shifted_hypot(*xs: float) -> float:
    """Returns the length of the operands times 2**hypot_shift(*xs)."""
    shift = hypot_shift(*xs)
    return math.hypot(*(shifted(x, shift) for x in xs)) if shift else math.hypot(*xs)


def cosine(x: float, length: float) -> float:
    """Returns x / length, the cosine of the angle to an axis: 0.0 at the origin, 1.0 at its end."""
    if not length:
        return 0.0
    if math.isinf(x) and math.isinf(length):
        return math.copysign(1.0, x)
    return x / length


def directions(*xs: float) -> list[float]:
    """Returns the slopes of hypot: the operands by their length, without overflow on the way."""
    shift, length = hypot_shift(*xs), shifted_hypot(*xs)
    return [cosine(shifted(x, shift) if shift else x, length) for x in xs]


# Powers.


def ieee_pow(x: float, b: float) -> float:
    """Returns x**b as IEEE 754 has it: signed inf, nan for a fractional power of a negative x."""
    try:
        return math.pow(x, b)
    except OverflowError:
        return -math.inf if x < 0.0 and abs(b) % 2.0 == 1.0 else math.inf
    except ValueError:
        if x:
            return math.nan
        return math.copysign(math.inf, x) if abs(b) % 2.0 == 1.0 else math.inf


def pow_dx(x: float, b: float) -> float:
    """Returns b * x**(b - 1), the derivative of x**b in x; 0.0 where b == 0."""
    if b == 2.0:
        return 2.0 * x
    if b == 1.0 or b == 0.0:
        return b + 0.0
    if x > 0.0:
        return _pow_slope(x, b)
    if b % 1.0:
        return b * ieee_pow(0.0, b - 1.0) if x == 0.0 else math.nan
    if x == 0.0 or x != x or math.isinf(b):
        return b * ieee_pow(x, b - 1.0)
    return _pow_slope(-x, b) if b % 2.0 else -_pow_slope(-x, b)


def _pow_slope(x: float, b: float) -> float:
    """Returns b * x**(b - 1) for x > 0.

    The rounding of b - 1 is carried along: at b = 1e-3, x = 1e300 it would cost hundreds of ulps.
    A power out of range is taken in two halves, so only the product overflows or underflows.
    """
    c, rest = two_sum(b, -1.0)
    power = ieee_pow(x, c)
    carry = rest * math.log(x) if rest else 0.0
    if _plain(power) or not math.isfinite(b):
        slope = b * power
    else:
        root = ieee_pow(x, 0.5 * c)
        slope = b * root * root
    # Beyond a half x or b is infinite, or the power is 0 or inf in any case.
    return slope + slope * carry if abs(carry) < 0.5 and math.isfinite(slope) else slope


def pow_dy(x: float, b: float) -> float:
    """Returns x**b * log(x), the derivative of x**b in b.

    It is 0.0 at x == 0 < b, and at x == 1 even for b = nan, as 1**nan is 1; nan for x < 0.
    """
    if x > 0.0:
        power = ieee_pow(x, b)
        if _plain(power) or not (math.isfinite(b) and math.isfinite(x)):
            return power * math.log(x)
        root = ieee_pow(x, 0.5 * b)
        return root * math.log(x) * root
    if x == 0.0 and b == b:
        return 0.0 if b > 0.0 else -math.inf
    return math.nan


# Sums and products.


def product(*xs: float) -> float:
    """Returns the product, 1.0 of nothing, rounded about once whatever passes out of range between.

    Compensated: Ogita, Rump and Oishi, Accurate sum and dot product (2005), for products.
    """
    if len(xs) < 3:
        return math.prod(xs, start=1.0)
    total, error, exponent = 1.0, 0.0, 0
    for x in xs:
        mantissa, shift = math.frexp(x)
        total, rest = two_product(total, mantissa)
        error = error * mantissa + rest
        exponent += shift
        total, shift = math.frexp(total)
        error = math.ldexp(error, -shift)
        exponent += shift
    if error and math.isfinite(total):
        total += error
    return scaled(total, exponent)


def shift(x: float) -> float:
    """Returns n so that x * 2**n is in the middle of the range; 0.0 where x is, or has no place."""
    if 2.0**-300 < abs(x) < 2.0**300 or not x or not math.isfinite(x):
        return 0.0
    return -float(math.frexp(x)[1])


def shifted(x: float, n: float) -> float:
    """Returns x * 2**n, rounded once; nan unless n is finite."""
    return scaled(x, int(n)) if math.isfinite(n) else math.nan


def product_error(a: float, a_low: float, b: float, b_low: float) -> float:
    """Returns (a + a_low) * (b + b_low) - a * b rounded, without the product of the low parts.

    The rounding of a * b is exact in the middle of the range; 0.0 where nothing is finite.
    """
    error = two_product(a, b)[1] + (a * b_low + a_low * b)
    return error if math.isfinite(error) else 0.0


def products_of_others(*xs: float) -> list[float]:
    """Returns for each factor the product of all others, of which there is one at least.

    Products from either end, compensated and shifted as `table` writes them, to the same bits.
    """
    shifts = [shift(x) for x in xs]
    factors = [(shifted(x, n) if n else x, n) for x, n in zip(xs, shifts, strict=True)]
    heads, tails = _running_products(factors), _running_products(factors[::-1])[::-1]
    inner = [_joined_products(head, tail) for head, tail in zip(heads[:-1], tails[1:], strict=True)]
    return [_moved_back(*tails[0]), *inner, _moved_back(*heads[-1])]


def _running_products(factors: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Returns the products of the first factors, all but the last, as high * 2**-n and low."""
    (total, moved), low = factors[0], 0.0
    found = [(total, low, moved)]
    for x, n in factors[1:-1]:
        total, low = total * x, product_error(total, low, x, 0.0)
        again = shift(total)
        if again:
            total, low = shifted(total, again), shifted(low, again)
        moved += n + again
        found.append((total, low, moved))
    return found


def _joined_products(head: tuple[float, float, float], tail: tuple[float, float, float]) -> float:
    """Returns the product of two products."""
    (a, a_low, n), (b, b_low, m) = head, tail
    return _moved_back(a * b, product_error(a, a_low, b, b_low), n + m)


def _moved_back(total: float, low: float, moved: float) -> float:
    """Returns a product of which 2**moved was taken."""
    return shifted(total + low, -moved) if moved else total + low


def sum_error(a: float, b: float) -> float:
    """Returns a + b minus the rounded sum, exactly; nan where that overflows."""
    return two_sum(a, b)[1]


def corrected(total: float, error: float) -> float:
    """Returns total + error, and total where the error is 0.0 or, at an infinity, nan."""
    return total + error if error and error == error else total


def dot(*values: float) -> float:
    """Returns the inner product of the two halves, within 4 eps * sum(abs(x * y))."""
    half = len(values) // 2
    xs, ys = values[:half], values[half:]
    try:
        total = float(sumprod(xs, ys))
    except (OverflowError, ValueError):
        total = math.nan
    if math.isfinite(total):
        return total
    if all(map(math.isfinite, values)):
        return _exact_sum(zip(xs, ys, strict=True))
    pairs = zip(xs, ys, strict=True)
    return sum(x * y for x, y in pairs if not (math.isfinite(x) and math.isfinite(y)))


def mean(*xs: float) -> float:
    """Returns the arithmetic mean, nan of nothing; the sum is exact and may exceed any double."""
    try:
        return math.fsum(xs) / len(xs)
    except OverflowError:
        if not all(map(math.isfinite, xs)):
            return sum(x for x in xs if not math.isfinite(x))
        return _exact_sum(((x, 1.0) for x in xs), len(xs))
    except (ValueError, ZeroDivisionError):
        return math.nan


def fma(x: float, y: float, z: float) -> float:
    """Returns x * y + z, rounded once, on every Python.

    In the middle of the range the product is exact in two pieces and `math.fsum` rounds once.
    """
    if sys.version_info >= (3, 13):
        try:
            return math.fma(x, y, z)
        except OverflowError:
            return math.copysign(math.inf, x * y + z)
        except ValueError:
            return math.nan
    if not (math.isfinite(x) and math.isfinite(y)) or not (x and y):
        return x * y + z
    if not math.isfinite(z):
        return z
    if 1e-140 < abs(x) < 1e140 and 1e-140 < abs(y) < 1e140 and abs(z) < 1e300:
        return math.fsum((*two_product(x, y), z))
    return _exact_sum(((x, y), (z, 1.0)))
