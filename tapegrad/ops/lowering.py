"""How rows are spelled in core rows, for compiled code, which knows the core rows only.

``LOWER`` has the spellings with the bits of the row's value: each does on operands, operation by
operation, what the function of the same name in ``floats``, ``special`` or ``math`` does on floats,
and says where it does otherwise. Where that would cost too much in a rare range, the row itself is
called there (``Usually``). ``NEAR`` has spellings within 4 units in the last place. A row in
neither is called back; ``elsewhere`` spells what is rarely needed.

To spell a row, write a function of its operands under ``@_exactly(row)`` or ``@_nearly(row)``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from math import inf, nan, pi, tau
from typing import Final, TypeAlias, TypeVar, final

import attrs

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.ops.special import (
    FINE_NODES,
    FINE_STEP,
    FINE_WEIGHTS,
    GRID,
    INV_SQRT_2PI,
    NODES,
    SPLITTER,
    SQRT_HALF,
    STEP,
    WEIGHTS,
    ieee_pow,
)
from tapegrad.ops.table import (
    abs,
    add,
    and_,
    cbrt,
    copysign,
    div,
    eq,
    erf,
    exp,
    expm1,
    floor,
    fmod,
    ge,
    gt,
    isfinite,
    isinf,
    le,
    log,
    log1p,
    lt,
    mul,
    ne,
    neg,
    or_,
    pow,
    remainder,
    sqrt,
    sub,
    where,
)

__all__ = [
    "LOWER", "NEAR", "Spelling", "Usually", "is_plain", "is_plain_positive", "largest",
    "plain_sum", "two_product", "two_sum",
]  # fmt: skip


@final
@attrs.frozen
class Usually:
    """A spelling that holds where ``holds`` is 1; elsewhere the row itself is called."""

    value: Operand
    holds: Operand


Spelled: TypeAlias = Operand | Usually | None

Spelling: TypeAlias = Callable[..., Spelled]
"""A row in core rows, as a function of its operands; None where it has no spelling."""

S = TypeVar("S", bound=Spelling)

LOWER: Final[dict[Primitive, Spelling]] = {}
NEAR: Final[dict[Primitive, Spelling]] = {}


def _exactly(*rows: Primitive) -> Callable[[S], S]:
    """Makes a function the spelling of these rows that has their bits."""
    return lambda spelling: _register(LOWER, rows, spelling)


def _nearly(*rows: Primitive) -> Callable[[S], S]:
    """Makes a function the spelling of these rows that is within 4 units in the last place."""
    return lambda spelling: _register(NEAR, rows, spelling)


def _register(spellings: dict[Primitive, Spelling], rows: Sequence[Primitive], spelling: S) -> S:
    spellings |= dict.fromkeys(rows, spelling)
    return spelling


# Choices.


@_exactly(ops.maximum)
def _maximum(x: Operand, y: Operand) -> Operand:
    return where(or_(ge(x, y), ne(x, x)), x, y)


@_exactly(ops.minimum)
def _minimum(x: Operand, y: Operand) -> Operand:
    return where(or_(le(x, y), ne(x, x)), x, y)


@_exactly(ops.win)
def _win(x: Operand, y: Operand) -> Operand:
    return where(gt(x, y), 1.0, where(lt(x, y), 0.0, where(eq(x, y), 0.5, nan)))


@_exactly(ops.relu)
def _relu(x: Operand) -> Operand:
    return where(le(x, 0.0), 0.0, x)


@_exactly(ops.step)
def _step(x: Operand) -> Operand:
    """Asked for nan last, gcc 12 has been seen to forget it."""
    return where(eq(x, x), where(gt(x, 0.0), 1.0, 0.0), nan)


@_exactly(ops.sign)
def _sign(x: Operand) -> Operand:
    """0 and nan are x - x."""
    return where(gt(abs(x), 0.0), copysign(1.0, x), sub(x, x))


@_exactly(ops.detached)
def _detached(x: Operand) -> Operand:
    return x


# Quotients and remainders.


@_exactly(ops.div_pos)
def _div_pos(x: Operand, y: Operand) -> Operand:
    """The sign of y is not tested where y is a square root.

    For y >= 0 a quotient of a positive constant has the same bits as ``x / y`` without its sign,
    which a quotient by the same y may have given already.
    """
    is_positive = isinstance(x, float) and x > 0.0
    quotient = abs(div(x, y)) if is_positive else div(x, abs(y))
    if isinstance(y, Traced) and y.made_by is sqrt:
        return quotient
    return where(ge(y, 0.0), quotient, nan)


@_exactly(ops.div2)
def _div2(a: Operand, b: Operand) -> Usually:
    """Holds where the first quotient is 0 or in the middle of the range."""
    quotient = div(a, b)
    return Usually(div(quotient, b), or_(is_plain(quotient), eq(quotient, 0.0)))


@_exactly(ops.recip_re)
def _recip_re(x: Operand, y: Operand) -> Usually:
    """Holds where the sum of squares is in the middle of the range."""
    square = add(mul(x, x), mul(y, y))
    return Usually(div(x, square), is_plain_positive(square))


@_exactly(ops.cbrt_slope)
def _cbrt_slope(x: Operand) -> Operand:
    y = cbrt(x)
    nearer = add(y, div(sub(div(div(x, y), y), y), 3.0))
    slope = where(isinf(x), 0.0, div(div(nearer, x), 3.0))
    return where(eq(x, 0.0), inf, slope)


@_exactly(ops.mod)
def _mod(x: Operand, y: Operand) -> Operand:
    """``x % y`` from the remainder of C, as Python computes it."""
    rest = fmod(x, y)
    moved = where(_differ_in_sign(rest, y), add(rest, y), rest)
    return where(eq(rest, 0.0), copysign(0.0, y), moved)


@_exactly(ops.floordiv)
def _floordiv(x: Operand, y: Operand) -> Operand:
    """``x // y`` from the remainder of C, as Python computes it."""
    rest = fmod(x, y)
    quotient = div(sub(x, rest), y)
    moved = and_(ne(rest, 0.0), _differ_in_sign(rest, y))
    quotient = where(moved, sub(quotient, 1.0), quotient)
    whole = floor(quotient)
    whole = where(gt(sub(quotient, whole), 0.5), add(whole, 1.0), whole)
    plain = div(x, y)
    whole = where(eq(quotient, 0.0), copysign(0.0, plain), whole)
    return where(eq(y, 0.0), plain, whole)


def _differ_in_sign(x: Operand, y: Operand) -> Operand:
    return ne(copysign(1.0, x), copysign(1.0, y))


@_exactly(ops.round)
def _round(x: Operand) -> Operand:
    """The nearer of the whole numbers around x, of two that are as near the even one."""
    below = floor(x)
    rest, is_odd = sub(x, below), ne(mul(floor(mul(below, 0.5)), 2.0), below)
    goes_up = or_(gt(rest, 0.5), and_(eq(rest, 0.5), is_odd))
    return copysign(where(goes_up, add(below, 1.0), below), x)


@_exactly(ops.truncdiv)
def _truncdiv(x: Operand, y: Operand) -> Operand:
    return _quotient(x, y, fmod(x, y))


@_exactly(ops.rounddiv)
def _rounddiv(x: Operand, y: Operand) -> Operand:
    return _quotient(x, y, remainder(x, y))


def _quotient(x: Operand, y: Operand, rest: Operand) -> Operand:
    """The quotient without its rest; adding 2**52 and subtracting it again rounds to an integer."""
    scale = where(gt(abs(x), 1e300), 0.25, 1.0)
    quotient = div(sub(mul(scale, x), mul(scale, rest)), mul(scale, y))
    grid = copysign(2.0**52, quotient)
    rounded = sub(add(quotient, grid), grid)
    return where(lt(abs(quotient), 2.0**52), rounded, quotient)


@_exactly(ops.ldexp)
def _ldexp(x: Operand, n: float) -> Operand:
    """Products with powers of two, of which only the last one rounds."""
    exponent = max(-2148, min(int(n), 3069))
    while exponent > 1023:
        x, exponent = mul(x, 2.0**1023), exponent - 1023
    if exponent < -1074:
        x, exponent = mul(x, 2.0 ** (exponent + 1074)), -1074
    return mul(x, 2.0**exponent)


@_exactly(ops.degrees)
def _degrees(x: Operand) -> Operand:
    return mul(x, 180.0 / pi)


@_exactly(ops.radians)
def _radians(x: Operand) -> Operand:
    return mul(x, pi / 180.0)


# Powers.


@_exactly(ops.powc)
def _powc(x: Operand, n: float) -> Operand:
    return pow(x, n)


@_nearly(ops.powc)
def _near_powc(x: Operand, n: float) -> Operand:
    """Small powers as products and quotients."""
    if n == 1.0:
        return x
    if n in {2.0, 3.0, 4.0}:
        square = mul(x, x)
        return square if n == 2.0 else mul(square, x) if n == 3.0 else mul(square, square)
    if n in {-1.0, -2.0}:
        reciprocal = div(1.0, x)
        return reciprocal if n == -1.0 else div(reciprocal, x)
    return pow(x, n)


@_exactly(ops.pow_dx, ops.powc_slope)
def _pow_dx(x: Operand, n: Operand) -> Spelled:
    """Holds in the middle of the range, and for a constant n at 0, too."""
    if isinstance(n, float) and n in {0.0, 1.0, 2.0}:
        return mul(2.0, x) if n == 2.0 else n + 0.0
    c, rest = two_sum(n, -1.0)
    power = pow(x, c)
    slope = mul(n, power)
    if isinstance(rest, float) and rest == 0.0:
        return Usually(slope, or_(is_plain(power), eq(x, 0.0)))
    carry = mul(rest, log(x))
    value = add(slope, mul(slope, carry))
    inside = _all(gt(x, 0.0), is_plain(power), lt(abs(carry), 0.5), ne(n, 0.0))
    return Usually(value, and_(inside, isfinite(value)))


@_nearly(ops.pow_dx, ops.powc_slope)
def _near_pow_dx(x: Operand, n: Operand) -> Spelled:
    """Small powers as products and quotients; others by x ** n, which its value needs as well."""
    if isinstance(n, float):
        return _near_slope(x, n)
    power = pow(x, n)
    slope = div(power, x)
    holds = _all(gt(x, 0.0), is_plain(power), is_plain(slope), ne(n, 0.0))
    return Usually(mul(n, slope), holds)


def _near_slope(x: Operand, n: float) -> Spelled:
    """The same of a constant power, which holds at 0, too."""
    if n == 3.0:
        return mul(mul(3.0, x), x)
    if n == 4.0:
        return mul(mul(mul(4.0, x), x), x)
    if n == -1.0:
        return div(div(-1.0, x), x)
    if n in {0.0, 1.0, 2.0} or not math.isfinite(n):
        return _pow_dx(x, n)
    power = _near_powc(x, n)
    slope = div(power, x)
    found = where(eq(x, 0.0), _slope_at_0(x, n), mul(n, slope))
    return Usually(found, or_(and_(is_plain(power), is_plain(slope)), eq(x, 0.0)))


def _slope_at_0(x: Operand, n: float) -> Operand:
    """n * x ** (n - 1) at x == 0, whose sign counts where n - 1 is odd."""
    if n % 2.0:
        return n * ieee_pow(0.0, n - 1.0)
    return x if n > 0.0 else div(n, x)


@_exactly(ops.pow_dy)
def _pow_dy(x: Operand, n: Operand) -> Usually:
    """Holds in the middle of the range."""
    power = pow(x, n)
    return Usually(mul(power, log(x)), _all(gt(x, 0.0), is_plain(power)))


# The logistic family.


@_exactly(ops.sigmoid)
def _sigmoid(x: Operand) -> Operand:
    e = exp(neg(abs(x)))
    return div(where(ge(x, 0.0), 1.0, e), add(1.0, e))


@_exactly(ops.softplus)
def _softplus(x: Operand) -> Operand:
    rest = log1p(exp(neg(abs(x))))
    return where(gt(x, 0.0), add(x, rest), rest)


@_exactly(ops.logsigmoid)
def _logsigmoid(x: Operand) -> Operand:
    return neg(_softplus(neg(x)))


@_exactly(ops.sech2)
def _sech2(x: Operand) -> Operand:
    """Beyond 20 it is the square of the root, which underflows later."""
    size = abs(x)
    e = exp(where(gt(size, 20.0), neg(size), mul(-2.0, size)))
    root, d = mul(2.0, e), add(1.0, e)
    return where(gt(size, 20.0), mul(root, root), div(mul(4.0, e), mul(d, d)))


@_exactly(ops.logaddexp)
def _logaddexp(a: Operand, b: Operand) -> Operand:
    low, high = where(ge(a, b), b, a), where(ge(a, b), a, b)
    return add(high, log1p(_exp_difference(low, high)))


@_nearly(ops.logaddexp)
def _near_logaddexp(a: Operand, b: Operand) -> Operand:
    """The same without the rounding of the difference, which the row's slack covers."""
    high = where(ge(a, b), a, b)
    apart = where(eq(a, b), 0.0, neg(abs(sub(a, b))))
    return add(high, log1p(exp(apart)))


@_exactly(ops.logsumexp)
def _logsumexp(*xs: Operand) -> Operand:
    if not xs:
        return -inf
    top, terms = _exps(xs)
    return add(top, log1p(ops.fsum(-1.0, *terms)))


@_nearly(ops.logsumexp)
def _near_logsumexp(*xs: Operand) -> Spelled:
    """The same without the roundings of the differences, which the row's slack covers."""
    if not xs:
        return -inf
    ordered = _in_order(xs)
    top = largest(ordered)
    value = add(top, log(plain_sum([exp(sub(x, top)) for x in ordered])))
    return Usually(value, isfinite(value))


@_exactly(ops.softmax)
def _softmax(x: Operand, *others: Operand) -> Operand:
    top, terms = _exps([x, *others])
    total = add(*terms) if len(terms) == 2 else ops.fsum(*terms)
    return div(_exp_difference(x, top), total)


@_nearly(ops.softmax)
def _near_softmax(x: Operand, *others: Operand) -> Usually:
    """The same with a plain sum of exponentials."""
    ordered = _in_order([x, *others])
    top = largest(ordered)
    difference, rest = two_sum(x, neg(top))
    own = exp(difference)
    own = where(lt(difference, -746.0), 0.0, add(own, mul(own, rest)))
    total = plain_sum([exp(sub(each, top)) for each in ordered])
    value = div(own, total)
    return Usually(value, eq(value, value))


def _exps(xs: Sequence[Operand]) -> tuple[Operand, list[Operand]]:
    """The largest operand, and exp(x - largest) of each."""
    ordered = _in_order(xs)
    top = largest(ordered)
    return top, [_exp_difference(x, top) for x in ordered]


def _in_order(xs: Sequence[Operand]) -> list[Operand]:
    """The operands in an order that all partials share, so that they share entries, too."""
    return sorted(
        xs, key=lambda x: (0.0, x) if isinstance(x, float) else (1.0, getattr(x, "slot", 0))
    )


def largest(xs: Sequence[Operand]) -> Operand:
    """The largest operand; nan counts in the first place alone."""
    return reduce(lambda top, x: where(gt(x, top), x, top), xs)


def _exp_difference(x: Operand, top: Operand) -> Operand:
    """exp(x - top) for x <= top, the rounding of the difference carried along."""
    difference, rest = two_sum(x, neg(top))
    e = exp(difference)
    carried = where(lt(difference, -746.0), 0.0, add(e, mul(e, rest)))
    return where(eq(x, top), 1.0, carried)


# The normal distribution.


@_exactly(ops.gauss)
def _gauss(x: Operand) -> Operand:
    return where(gt(abs(x), 40.0), 0.0, _gaussian(x, 1.0, 1.0))


@_exactly(ops.norm_pdf)
def _norm_pdf(x: Operand) -> Operand:
    return where(gt(abs(x), 40.0), 0.0, _gaussian(x, 0.5, INV_SQRT_2PI))


@_exactly(ops.norm_pdf_slope)
def _norm_pdf_slope(x: Operand) -> Usually:
    """Holds outside the tail in which the square is subnormal."""
    size, minus = abs(x), neg(x)
    inside = _gaussian(x, 0.5, mul(minus, INV_SQRT_2PI))
    value = where(gt(size, 40.0), copysign(0.0, minus), inside)
    return Usually(value, or_(lt(size, 37.5), gt(size, 40.0)))


def _gaussian(x: Operand, factor: float, scale: Operand) -> Operand:
    """scale * exp(-factor * x * x), the square in two pieces."""
    square, near = mul(x, x), sub(add(x, GRID), GRID)
    rest = add(sub(mul(near, near), square), mul(sub(x, near), add(x, near)))
    e = mul(scale, exp(mul(-factor, square)))
    return sub(e, mul(e, mul(factor, rest)))


@_exactly(ops.norm_cdf)
def _norm_cdf(x: Operand) -> Operand:
    """The tail is computed at 1 where it is not selected."""
    in_tail = lt(x, -0.67)
    middle = add(0.5, mul(0.5, erf(mul(x, SQRT_HALF))))
    return where(in_tail, _norm_tail(where(in_tail, neg(x), 1.0)), middle)


def _norm_tail(x: Operand) -> Operand:
    """The probability beyond x >= 0.67."""
    square, rest = two_product(x, x)
    terms = [div(weight, add(square, node)) for weight, node in zip(WEIGHTS, NODES, strict=True)]
    mills, lost = two_product(x, _total(terms))
    tail = mul(mills, exp(mul(-0.5, square)))
    moved = add(0.5, div(1.0, add(square, 1.0)))
    tail = add(tail, mul(tail, sub(div(lost, mills), mul(rest, moved))))
    pole = div(1.0, expm1(mul(tau / STEP, x)))
    tail = where(lt(x, 8.0), sub(tail, pole), tail)
    return where(gt(x, 40.0), 0.0, tail)


def _total(terms: Sequence[Operand]) -> Operand:
    """The sum of positive terms, of which the last are the smallest."""
    total, losses = chain([reduce(add, terms[:2:-1]), *terms[2::-1]])
    return add(total, reduce(add, losses))


@_exactly(ops.log_norm_cdf)
def _log_norm_cdf(x: Operand) -> Operand:
    """Each range is computed at a number that is in it."""
    is_above = gt(x, 0.0)
    cdf = _norm_cdf(where(is_above, neg(x), x))
    logarithm = where(is_above, log1p(neg(cdf)), log(cdf))
    mills, _, size = _mills_parts(x)
    tail = add(log(mills), mul(mul(0.5, x), size))
    return where(_in_lower_tail(x), where(gt(x, -inf), tail, x), logarithm)


@_exactly(ops.norm_ratio)
def _norm_ratio(x: Operand) -> Operand:
    mills, _, _ = _mills_parts(x)
    tail = where(gt(x, -1e8), div(INV_SQRT_2PI, mills), neg(x))
    return where(_in_lower_tail(x), tail, div(_norm_pdf(x), _norm_cdf(x)))


@_exactly(ops.norm_ratio_gap)
def _norm_ratio_gap(x: Operand) -> Operand:
    mills, gap, _ = _mills_parts(x)
    tail = where(gt(x, -1e8), div(gap, mills), div(-1.0, x))
    middle = add(x, div(_norm_pdf(x), _norm_cdf(x)))
    return where(_in_lower_tail(x), tail, middle)


def _in_lower_tail(x: Operand) -> Operand:
    """Whether x < -0.5; nan is there, too."""
    return ops.not_(ge(x, -0.5))


def _mills_parts(x: Operand) -> tuple[Operand, Operand, Operand]:
    """The two parts at -x, and -x; at 1 and 1 itself where x is not in the lower tail."""
    size = where(_in_lower_tail(x), neg(x), 1.0)
    square = mul(size, size)
    pairs = list(zip(FINE_WEIGHTS, FINE_NODES, strict=True))
    mills = mul(size, _total([div(weight, add(square, node)) for weight, node in pairs]))
    gap = _total([mul(weight, div(node, add(square, node))) for weight, node in pairs])
    is_near, is_far = lt(size, 12.0), gt(size, 1e8)
    near = where(is_near, size, 1.0)
    pole = div(exp(mul(0.5, mul(near, near))), expm1(mul(tau / FINE_STEP, near)))
    mills = where(is_near, sub(mills, pole), mills)
    gap = where(is_near, add(gap, mul(size, pole)), gap)
    far = div(INV_SQRT_2PI, size)
    return where(is_far, far, mills), where(is_far, div(far, size), gap), size


# Parts of sums of cotangents, and of the derivatives of many operands.


@_exactly(ops.sum_error)
def _sum_error(a: Operand, b: Operand) -> Operand:
    return two_sum(a, b)[1]


@_exactly(ops.corrected)
def _corrected(total: Operand, error: Operand) -> Operand:
    return where(and_(ne(error, 0.0), eq(error, error)), add(total, error), total)


@_exactly(ops.exp_difference)
def _exp_difference_row(x: Operand, top: Operand) -> Operand:
    return _exp_difference(x, top)


@_exactly(ops.shift)
def _shift(x: Operand) -> Usually:
    """Holds where nothing is to be shifted."""
    size = abs(x)
    inside = and_(gt(size, 2.0**-300), lt(size, 2.0**300))
    return Usually(0.0, or_(inside, eq(x, 0.0)))


@_exactly(ops.shifted)
def _shifted(x: Operand, n: Operand) -> Usually:
    """Holds where nothing is to be shifted."""
    return Usually(x, eq(n, 0.0))


@_exactly(ops.product_error)
def _product_error(a: Operand, a_low: Operand, b: Operand, b_low: Operand) -> Operand:
    error = add(two_product(a, b)[1], add(mul(a, b_low), mul(a_low, b)))
    return where(isfinite(error), error, 0.0)


@_exactly(ops.hypot_shift)
def _hypot_shift(*xs: Operand) -> Usually:
    """Holds where nothing is to be shifted."""
    length = ops.hypot(*xs)
    return Usually(0.0, or_(is_plain_positive(length), eq(length, 0.0)))


@_exactly(ops.shifted_hypot)
def _shifted_hypot(*xs: Operand) -> Usually:
    """Holds where nothing is to be shifted."""
    length = ops.hypot(*xs)
    return Usually(length, or_(is_plain_positive(length), eq(length, 0.0)))


@_exactly(ops.cosine)
def _cosine(x: Operand, length: Operand) -> Operand:
    ends = and_(isinf(x), isinf(length))
    return where(eq(length, 0.0), 0.0, where(ends, copysign(1.0, x), div(x, length)))


# Sums, products and lengths of any number of operands.


@_exactly(ops.fsum)
def _fsum(*xs: Operand) -> Usually:
    """Holds where the sum is certain to round as the exact one does."""
    return Usually(*_rounded_sum(xs))


@_nearly(ops.fsum)
def _near_fsum(*xs: Operand) -> Usually:
    """Holds where the errors of the errors are within the last place, as nearly everywhere."""
    if len(xs) < 3:
        return Usually(*_rounded_sum(xs))
    total, losses = chain(xs)
    value = add(total, plain_sum(losses))
    bound = mul(_absolute_sum(losses), len(xs) * sys.float_info.epsilon)
    return Usually(value, le(bound, mul(abs(value), sys.float_info.epsilon)))


@_exactly(ops.mean)
def _mean(*xs: Operand) -> Spelled:
    """Holds where the sum does, and is finite."""
    if not xs:
        return nan
    total, holds = _rounded_sum(xs)
    return Usually(div(total, float(len(xs))), _all(holds, isfinite(total)))


@_nearly(ops.mean)
def _near_mean(*xs: Operand) -> Spelled:
    """The same with a plain sum."""
    if not xs:
        return nan
    total = plain_sum(xs)
    return Usually(div(total, float(len(xs))), isfinite(total))


@_exactly(ops.dot)
def _dot(*xys: Operand) -> Spelled:
    """The sum before Python 3.12, whose ``math.sumprod`` rounds otherwise."""
    if sys.version_info >= (3, 12):
        return None
    total, holds = _rounded_sum(_products(xys))
    return Usually(total, _all(holds, isfinite(total)))


@_nearly(ops.dot)
def _near_dot(*xys: Operand) -> Spelled:
    """The same with a plain sum."""
    total = plain_sum(_products(xys))
    return Usually(total, isfinite(total))


def _products(xys: Sequence[Operand]) -> list[Operand]:
    half = len(xys) // 2
    return list(map(mul, xys[:half], xys[half:]))


@_exactly(ops.prod)
def _prod(*xs: Operand) -> Operand:
    return reduce(mul, xs) if xs else 1.0


@_exactly(ops.product)
def _product(*xs: Operand) -> Spelled:
    """Holds where no factor and no product leaves the middle of the range."""
    if len(xs) < 3:
        return _prod(*xs)
    total, error = two_product(xs[0], xs[1])
    inside = [_exact_factor(x) for x in (xs[0], xs[1], total)]
    for x in xs[2:]:
        total, rest = two_product(total, x)
        error = add(mul(error, x), rest)
        inside += [_exact_factor(x), _exact_factor(total)]
    return Usually(add(total, error), _all(*inside))


@_nearly(ops.product)
def _near_product(*xs: Operand) -> Spelled:
    """A few plain products."""
    if not 3 <= len(xs) <= 5:
        return _product(*xs)
    partial, inside = xs[0], []
    for x in xs[1:-1]:
        partial = mul(partial, x)
        inside.append(is_plain(partial))
    return Usually(mul(partial, xs[-1]), _all(*inside))


@_exactly(ops.hypot)
def _hypot(*xs: Operand) -> Spelled:
    """The size of a lone operand; of several, Python's own function has no spelling."""
    return abs(*xs) if len(xs) == 1 else None


@_nearly(ops.hypot)
def _near_hypot(*xs: Operand) -> Spelled:
    """The root of the sum of squares in the middle of the range."""
    if len(xs) == 1:
        return _hypot(*xs)
    square = plain_sum([mul(x, x) for x in xs])
    return Usually(sqrt(square), is_plain_positive(square))


@_exactly(ops.direction)
def _direction(x: Operand, *others: Operand) -> Spelled:
    """The sign of a lone x."""
    return None if others else _sign(x)


@_nearly(ops.direction)
def _near_direction(x: Operand, *others: Operand) -> Spelled:
    """The quotient by ``_near_hypot``."""
    if not others:
        return _direction(x)
    square = plain_sum([mul(each, each) for each in _in_order([x, *others])])
    return Usually(div(x, sqrt(square)), is_plain_positive(square))


# Parts that spellings share.


def _all(*conditions: Operand) -> Operand:
    """Whether all conditions hold; those that are known to hold are left out."""
    unknown = [x for x in conditions if not isinstance(x, float) or x != 1.0]
    return reduce(and_, unknown) if unknown else 1.0


def is_plain(x: Operand) -> Operand:
    """Whether x is so far from overflow and underflow that one more operation is safe."""
    return is_plain_positive(abs(x))


def is_plain_positive(x: Operand) -> Operand:
    """The same of an x that is not negative."""
    return _all(gt(x, 1e-290), lt(x, 1e290))


def _exact_factor(x: Operand) -> Operand:
    """Whether ``two_product`` is exact for x."""
    size = abs(x)
    return _all(gt(size, 1e-140), lt(size, 1e140))


def two_sum(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """The sum and what rounding lost, as ``special.two_sum`` computes them."""
    s = add(a, b)
    t = sub(s, a)
    return s, add(sub(a, sub(s, t)), sub(b, t))


def two_product(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """The product and what rounding lost, as ``special.two_product`` computes them."""
    p = mul(a, b)
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    rest = add(sub(mul(a_high, b_high), p), mul(a_high, b_low))
    return p, add(add(rest, mul(a_low, b_high)), mul(a_low, b_low))


def _halves(x: Operand) -> tuple[Operand, Operand]:
    c = mul(SPLITTER, x)
    high = sub(c, sub(c, x))
    return high, sub(x, high)


_FEW = 64


def _rounded_sum(xs: Sequence[Operand], few: int = _FEW) -> tuple[Operand, Operand]:
    """The sum as ``math.fsum`` rounds it, and whether it is certain to round so.

    The rounding errors of the additions are added up, too, with a bound for the errors of these
    additions: where both ends of the bound give the same sum, it is the true one, rounded. The sum
    of a few numbers often is a tie (of three one time in three), which only a bound of 0 decides:
    so the errors of the errors are added up in the same way.
    """
    if len(xs) < 3:
        nothing: Operand = 0.0
        return reduce(add, xs, nothing), 1.0
    total, losses = chain(xs)
    if len(xs) > few:
        lost = reduce(add, losses)
        bound = mul(_absolute_sum(losses), (len(xs) + 4) * sys.float_info.epsilon)
    else:
        lost, rests = chain(losses)
        unknown = mul(2.0, _absolute_sum(rests))
        wide = add(unknown, mul(abs(lost), 2.0 * sys.float_info.epsilon))
        bound = where(eq(unknown, 0.0), 0.0, wide)
    low, high = add(total, sub(lost, bound)), add(total, add(lost, bound))
    return low, eq(low, high)


def chain(xs: Sequence[Operand]) -> tuple[Operand, list[Operand]]:
    """The sum from left to right, and what each addition loses."""
    total, losses = xs[0], list[Operand]()
    for x in xs[1:]:
        total, rest = two_sum(total, x)
        losses.append(rest)
    return total, losses


def _absolute_sum(xs: Sequence[Operand]) -> Operand:
    return reduce(add, map(abs, xs))


_BLOCK = 8


def plain_sum(xs: Sequence[Operand]) -> Operand:
    """A sum within 4 eps of its absolute terms: in pairs, and from blocks of eight compensated."""
    if not xs:
        return 0.0
    blocks = [_pairwise(xs[start : start + _BLOCK]) for start in range(0, len(xs), _BLOCK)]
    total, losses = chain(blocks)
    return add(total, _pairwise(losses)) if losses else total


def _pairwise(xs: Sequence[Operand]) -> Operand:
    if len(xs) == 1:
        return xs[0]
    middle = (len(xs) + 1) // 2
    return add(_pairwise(xs[:middle]), _pairwise(xs[middle:]))
