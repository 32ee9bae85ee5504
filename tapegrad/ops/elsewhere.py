"""Rows in core rows, for operands where their usual spelling does not hold.

``ELSEWHERE`` has the bits of the row's value, ``NEAR_ELSEWHERE`` is within 4 units in the last
place. Each is right wherever its row's ``Usually`` does not hold, and may be wrong where it does.
Compiled code has it in a function by itself, which is rarely entered. A row in neither asks Python
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf, nan
from typing import Final, TypeVar

from tapegrad.ops import table as ops
from tapegrad.ops.lowering import is_plain, largest, plain_sum, two_product, two_sum
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.ops.special import INV_SQRT_2PI
from tapegrad.ops.table import (
    abs,
    add,
    and_,
    copysign,
    div,
    eq,
    exp,
    exponent,
    fmod,
    ge,
    gt,
    isfinite,
    isinf,
    log,
    lt,
    mantissa,
    mul,
    ne,
    neg,
    not_,
    or_,
    pow,
    power_of_2,
    sqrt,
    sub,
    trunc,
    where,
)

__all__ = ["ELSEWHERE", "NEAR_ELSEWHERE"]

S = TypeVar("S", bound=Callable[..., Operand])

ELSEWHERE: Final[dict[Primitive, Callable[..., Operand]]] = {}
NEAR_ELSEWHERE: Final[dict[Primitive, Callable[..., Operand]]] = {}


def _exactly(*rows: Primitive) -> Callable[[S], S]:
    """Makes a function what these rows are elsewhere, with their bits."""

    def register(spelling: S) -> S:
        ELSEWHERE.update(dict.fromkeys(rows, spelling))
        return spelling

    return register


def _nearly(row: Primitive) -> Callable[[S], S]:
    """Makes a function what the row is elsewhere, within 4 units in the last place."""

    def register(spelling: S) -> S:
        NEAR_ELSEWHERE[row] = spelling
        return spelling

    return register


def _scaled(x: Operand, n: Operand) -> Operand:
    """x * 2**n for a whole n, rounded once.

    Of the two powers of 2 the first leaves the mantissa in the range, where its product is exact.
    """
    total = _within(add(exponent(x), n), 1300.0)
    middle = _within(total, 1000.0)
    return mul(mul(mantissa(x), power_of_2(middle)), power_of_2(sub(total, middle)))


def _within(n: Operand, bound: float) -> Operand:
    return where(gt(n, bound), bound, where(lt(n, -bound), -bound, n))


# Quotients.


@_exactly(ops.div2)
def _div2(a: Operand, b: Operand) -> Operand:
    """Beside zeros and infinities one quotient after the other gives the row's result."""
    m = mantissa(b)
    away = add(neg(exponent(b)), neg(exponent(b)))
    inside = _scaled(div(mantissa(a), mul(m, m)), add(exponent(a), away))
    at_end = or_(eq(b, 0.0), or_(isinf(a), isinf(b)))
    return where(at_end, div(div(a, b), b), inside)


@_exactly(ops.recip_re)
def _recip_re(x: Operand, y: Operand) -> Operand:
    up = neg(exponent(largest([abs(x), abs(y)])))
    square = add(pow(_scaled(x, up), 2.0), pow(_scaled(y, up), 2.0))
    inside = _scaled(div(mantissa(x), square), add(exponent(x), add(up, up)))
    at_end = and_(or_(isinf(x), isinf(y)), and_(eq(x, x), eq(y, y)))
    return where(at_end, copysign(0.0, x), inside)


# Powers.


@_exactly(ops.pow_dx, ops.powc_slope)
def _pow_dx(x: Operand, n: Operand) -> Operand:
    slope = _pow_slope(abs(x), n)
    of_negative = where(ne(fmod(n, 2.0), 0.0), slope, neg(slope))
    simple = mul(n, pow(x, sub(n, 1.0)))
    is_simple = or_(eq(x, 0.0), or_(ne(x, x), isinf(n)))
    of_whole = where(is_simple, simple, of_negative)
    of_fraction = where(eq(x, 0.0), mul(n, pow(0.0, sub(n, 1.0))), nan)
    at_most_0 = where(ne(fmod(n, 1.0), 0.0), of_fraction, of_whole)
    found = where(gt(x, 0.0), slope, at_most_0)
    found = where(or_(eq(n, 1.0), eq(n, 0.0)), add(n, 0.0), found)
    return where(eq(n, 2.0), mul(2.0, x), found)


def _pow_slope(x: Operand, n: Operand) -> Operand:
    """n * x ** (n - 1) for x > 0, the rounding of n - 1 carried along."""
    c, rest = two_sum(n, -1.0)
    power, root = pow(x, c), pow(x, mul(0.5, c))
    carry = where(ne(rest, 0.0), mul(rest, log(x)), 0.0)
    in_halves = mul(mul(n, root), root)
    slope = where(or_(is_plain(power), not_(isfinite(n))), mul(n, power), in_halves)
    carried = and_(lt(abs(carry), 0.5), isfinite(slope))
    return where(carried, add(slope, mul(slope, carry)), slope)


@_exactly(ops.pow_dy)
def _pow_dy(x: Operand, n: Operand) -> Operand:
    power, root, logarithm = pow(x, n), pow(x, mul(0.5, n)), log(x)
    ends = or_(not_(isfinite(n)), not_(isfinite(x)))
    in_halves = mul(mul(root, logarithm), root)
    found = where(or_(is_plain(power), ends), mul(power, logarithm), in_halves)
    at_0 = where(ne(n, n), nan, where(gt(n, 0.0), 0.0, -inf))
    return where(gt(x, 0.0), found, where(eq(x, 0.0), at_0, nan))


# The normal distribution.


@_exactly(ops.norm_pdf_slope)
def _norm_pdf_slope(x: Operand) -> Operand:
    """In the far tail, as a product of roots."""
    square, rest = two_product(x, x)
    e = exp(mul(-0.25, square))
    root = sub(e, mul(e, mul(0.25, rest)))
    return mul(mul(mul(neg(x), INV_SQRT_2PI), root), root)


# Products.


@_exactly(ops.product)
def _product(*xs: Operand) -> Operand:
    total: Operand = 1.0
    error: Operand = 0.0
    moved: Operand = 0.0
    for x in xs:
        factor = mantissa(x)
        total, rest = two_product(total, factor)
        error = add(mul(error, factor), rest)
        again = exponent(total)
        moved = add(moved, add(exponent(x), again))
        total, error = mantissa(total), _scaled(error, neg(again))
    corrected = and_(ne(error, 0.0), isfinite(total))
    return _scaled(where(corrected, add(total, error), total), moved)


@_exactly(ops.shift)
def _shift(x: Operand) -> Operand:
    return sub(0.0, exponent(x))


@_exactly(ops.shifted)
def _shifted(x: Operand, n: Operand) -> Operand:
    return where(isfinite(n), _scaled(x, trunc(n)), nan)


# Lengths and directions.


def _length(xs: Sequence[Operand]) -> tuple[Operand, Operand, Operand]:
    """A length as m and n of m * 2**n, and the largest size; an infinite operand makes it nan."""
    top = largest([abs(x) for x in xs])
    n = exponent(top)
    parts = [_scaled(x, neg(n)) for x in xs]
    square = plain_sum([mul(part, part) for part in parts])
    return where(_any_infinite(xs), nan, sqrt(square)), n, top


def _any_infinite(xs: Sequence[Operand]) -> Operand:
    return reduce(or_, map(isinf, xs))


def _any_nan(xs: Sequence[Operand]) -> Operand:
    return reduce(or_, [ne(x, x) for x in xs])


@_nearly(ops.hypot)
def _near_hypot(*xs: Operand) -> Operand:
    length, n, _ = _length(xs)
    return where(_any_infinite(xs), inf, _scaled(length, n))


@_nearly(ops.hypot_shift)
def _near_hypot_shift(*xs: Operand) -> Operand:
    length, n, top = _length(xs)
    whole = _scaled(length, n)
    inside = sub(0.0, exponent(where(isfinite(whole), whole, top)))
    inside = where(or_(is_plain(whole), _any_nan(xs)), 0.0, inside)
    return where(_any_infinite(xs), where(_is_one_infinite(xs), 0.0, nan), inside)


def _is_one_infinite(xs: Sequence[Operand]) -> Operand:
    """Whether one operand is infinite and all others are finite."""
    one: Operand = 1.0
    none: Operand = 0.0
    count = reduce(add, [where(isinf(x), one, none) for x in xs], none)
    return and_(eq(count, 1.0), not_(_any_nan(xs)))


@_nearly(ops.shifted_hypot)
def _near_shifted_hypot(*xs: Operand) -> Operand:
    length, n, _ = _length(xs)
    inside = _scaled(length, add(n, _near_hypot_shift(*xs)))
    return where(_any_infinite(xs), where(_is_one_infinite(xs), inf, nan), inside)


@_nearly(ops.direction)
def _near_direction(x: Operand, *others: Operand) -> Operand:
    """The quotient of mantissas."""
    xs = (x, *others)
    length, n, top = _length(xs)
    inside = _scaled(div(mantissa(x), length), sub(exponent(x), n))
    along = copysign(where(isinf(x), 1.0, 0.0), x)
    inside = where(_any_infinite(xs), where(_is_one_infinite(xs), along, nan), inside)
    return where(eq(top, 0.0), where(_any_nan(xs), nan, 0.0), inside)


# Sums and logarithms that are not finite, and shares of which one is nan.


@_nearly(ops.mean)
def _near_mean(*xs: Operand) -> Operand:
    small = _sum([mul(x, 2.0**-64) for x in xs])
    return mul(div(small, float(len(xs))), 2.0**64)


@_nearly(ops.dot)
def _near_dot(*xys: Operand) -> Operand:
    """Beside operands that are not finite only their products count."""
    half = len(xys) // 2
    small = [mul(x, 2.0**-600) for x in xys]
    total = plain_sum(list(map(mul, small[:half], small[half:])))
    ends = [not_(isfinite(x)) for x in xys]
    counted = list(map(or_, ends[:half], ends[half:]))
    products = map(mul, xys[:half], xys[half:])
    at_ends = reduce(add, [where(c, xy, 0.0) for c, xy in zip(counted, products, strict=True)])
    return where(reduce(or_, counted), at_ends, mul(mul(total, 2.0**600), 2.0**600))


def _sum(xs: Sequence[Operand]) -> Operand:
    """A sum that is infinite beside infinities, too, where what it loses is nan."""
    from_left = reduce(add, xs)
    return where(isfinite(from_left), plain_sum(xs), from_left)


@_nearly(ops.logsumexp)
def _near_logsumexp(*xs: Operand) -> Operand:
    return where(_any_nan(xs), nan, largest(xs))


@_nearly(ops.softmax)
def _near_softmax(x: Operand, *others: Operand) -> Operand:
    """Equal infinities share equally."""
    xs = (x, *others)
    top = largest(xs)
    one: Operand = 1.0
    none: Operand = 0.0
    count = reduce(add, [where(eq(each, top), one, none) for each in xs], none)
    return where(_any_nan(xs), nan, where(ge(x, top), div(1.0, count), 0.0))
