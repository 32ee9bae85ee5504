"""The table of operations: a row for each, and nowhere else is a derivative stated.

The first line of a row has its name, its value on floats, its partials, its description and, where
that is not its name, the symbol that it is written with. The second line has what else is known of
it; ``Primitive`` says what each word means.

A partial is ``p(y, *xs)``, a function of the result and the operands, and is written with rows of
this table, so that it computes on floats and records on traced numbers. A partial that is a number
stands for itself; None says that the operation is flat in that operand. Helper rows exist to write
the partials of others to 4 units in the last place over the whole double range.

From top to bottom: words that the rows share, partials that are too long for a line, exceptions
from that accuracy, and the rows.
"""

import math
import numbers
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from math import inf, pi
from typing import Final, TypeAlias, cast

from tapegrad.ops import floats as f
from tapegrad.ops import gamma as g
from tapegrad.ops import smooth_pieces as p
from tapegrad.ops import special as s
from tapegrad.ops.primitive import (
    MANY,
    REALS,
    Interval,
    Operand,
    Partial,
    Slack,
    SmoothPieces,
    Table,
)
from tapegrad.ops.primitive import Primitive as Row

# Domains, constants, and kinds of rows.
NOT_NEGATIVE, UNIT, BASE = ((0.0, inf),), ((-1.0, 1.0),), ((0.0, inf), REALS)
ABOVE_1, ABOVE_MINUS_1 = ((1.0, inf),), ((-1.0, inf),)
LN2, LN10, TWO_OVER_SQRT_PI = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(pi)
FLAT, FLAT2 = (None,), (None, None)
row: Final = Row
core: Final = partial(Row, core=True)
helper: Final = partial(Row, helper=True)
truth: Final = partial(core, is_truth=True, pieces=p.RESULT)
compare: Final = partial(truth, quick=True)
connect: Final = partial(truth, quick=True, kind="connective")


def libm(  # noqa: PLR0913, PLR0917  # the columns of a row
    name: str,
    value: Callable[..., float],
    partials: tuple[Partial, ...],
    doc: str,
    ufunc: str = "",
    domain: tuple[Interval, ...] = (REALS,),
    pieces: SmoothPieces | None = None,
    slack: tuple[Slack, ...] = (),
) -> Row:
    """A row that C's maths library has under the same name, and numpy perhaps as ``ufunc``."""
    return core(
        name, value, partials, doc,
        domain=domain, pieces=pieces, slack=slack, libm=name, ufuncs=(ufunc,) if ufunc else (),
    )  # fmt: skip


# Partials that are longer than a word or two: ``_pow_dx`` is that of ``pow`` in x. First, powers.


def _pow_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """y * x ** (y - 1)."""
    return pow_dx(x, y)


def _pow_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """x ** y * log(x)."""
    return pow_dy(x, y)


def _pow_dx_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """y * (y - 1) * x ** (y - 2), which is 0 for y == 0 at a pole of the power, too."""
    return where(eq(y, 0.0), 0.0, mul(y, pow_dx(x, sub(y, 1.0))))


def _pow_dy_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """x ** y * log(x) ** 2, which is 0 at x == 0 as the slope itself is."""
    return where(eq(x, 0.0), z, mul(z, log(x)))


def _pow_mixed(z: Operand, x: Operand, y: Operand) -> Operand:
    """The mixed second derivative of x ** y."""
    return add(pow(x, sub(y, 1.0)), mul(y, pow_dy(x, sub(y, 1.0))))


def _powc_slope_dx(y: Operand, x: Operand, n: Operand) -> Operand:
    """The slope of n * x ** (n - 1), which is 0 for n == 0 at a pole of the power, too."""
    if isinstance(n, float):
        return 0.0 if n == 0.0 else mul(n, powc_slope(x, sub(n, 1.0)))
    return where(eq(n, 0.0), 0.0, mul(n, powc_slope(x, sub(n, 1.0))))


# Partials of remainders, choices and signs.


def _one(z: Operand, x: Operand, y: Operand) -> Operand:
    """The slope 1 of a remainder, which is nan where the remainder is."""
    return where(eq(z, z), 1.0, math.nan)


def _mod_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """The quotient that ``mod`` leaves, negated."""
    return neg(floordiv(x, y))


def _fmod_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """The quotient that ``fmod`` leaves, negated."""
    return neg(truncdiv(x, y))


def _remainder_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """The quotient that ``remainder`` leaves, negated."""
    return neg(rounddiv(x, y))


def _first(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 where x is larger, one half at a tie."""
    return win(x, y)


def _second(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 where y is larger, one half at a tie."""
    return win(y, x)


def _copysign_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 where the signs agree, -1 where they do not."""
    return mul(sign(x), copysign(1.0, y))


# Partials of roots, angles and quotients.


def _root(x: Operand) -> Operand:
    """sqrt(1 - x ** 2), without loss where x is near 1."""
    return sqrt(mul(sub(1.0, x), add(1.0, x)))


def _acosh_dx(y: Operand, x: Operand) -> Operand:
    """1 / sqrt(x ** 2 - 1), nan below 1."""
    return div(1.0, mul(sqrt(sub(x, 1.0)), sqrt(add(x, 1.0))))


def _atanh_dx(y: Operand, x: Operand) -> Operand:
    """1 / (1 - x ** 2), nan outside the domain."""
    return div_pos(1.0, mul(sub(1.0, x), add(1.0, x)))


def _atan2_dy(z: Operand, y: Operand, x: Operand) -> Operand:
    """x / (x ** 2 + y ** 2)."""
    return recip_re(x, y)


def _atan2_dx(z: Operand, y: Operand, x: Operand) -> Operand:
    """-y / (x ** 2 + y ** 2)."""
    return neg(recip_re(y, x))


def _recip_re_dx(u: Operand, x: Operand, y: Operand) -> Operand:
    """Where u - i v = 1 / (x + i y), the slope of u in x: the real part of -(u - i v) ** 2."""
    v = recip_re(y, x)
    return mul(sub(v, u), add(v, u))


def _recip_re_dy(u: Operand, x: Operand, y: Operand) -> Operand:
    """The slope of the same u in y."""
    return mul(-2.0, mul(u, recip_re(y, x)))


def _cbrt_slope_dx(y: Operand, x: Operand) -> Operand:
    """-2 / (9 * cbrt(x) ** 5)."""
    return mul(-2.0 / 3.0, div(y, x))


def _div_pos_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 / y."""
    return div_pos(1.0, y)


def _div_pos_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """-x / y ** 2."""
    return neg(div_pos(z, y))


def _div2_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 / y ** 2."""
    return div2(1.0, y)


def _div2_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """-2 * x / y ** 3."""
    return div(mul(-2.0, z), y)


def _same(z: Operand, x: Operand, y: Operand) -> Operand:
    """The exponential of a difference itself."""
    return z


def _negated(z: Operand, x: Operand, y: Operand) -> Operand:
    """The exponential of a difference, negated."""
    return neg(z)


def _power_of_2(z: Operand, x: Operand, n: Operand) -> Operand:
    """2 ** n."""
    return shifted(1.0, n)


def _mantissa_dx(y: Operand, x: Operand) -> Operand:
    """The power of 2 that makes x its mantissa."""
    return shifted(1.0, neg(exponent(x)))


def _cosine_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """1 / y."""
    return div(1.0, y)


def _cosine_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """-x / y ** 2."""
    return neg(div(z, y))


# Partials of special functions.


def _logaddexp_dx(z: Operand, x: Operand, y: Operand) -> Operand:
    """exp(x) / (exp(x) + exp(y))."""
    return softmax(x, y)


def _logaddexp_dy(z: Operand, x: Operand, y: Operand) -> Operand:
    """exp(y) / (exp(x) + exp(y))."""
    return softmax(y, x)


def _norm_pdf_slope_dx(y: Operand, x: Operand) -> Operand:
    """(x ** 2 - 1) * norm_pdf(x)."""
    return mul(sub(mul(x, x), 1.0), norm_pdf(x))


def _norm_ratio_dx(y: Operand, x: Operand) -> Operand:
    """-y * (x + y), without the cancellation in the lower tail."""
    return neg(mul(y, norm_ratio_gap(x)))


def _norm_ratio_gap_dx(y: Operand, x: Operand) -> Operand:
    """1 plus the slope of norm_ratio."""
    return sub(1.0, mul(norm_ratio(x), y))


def _polygamma_dx(y: Operand, x: Operand, n: Operand) -> Operand:
    """The polygamma of the next order."""
    return polygamma(x, add(n, 1.0))


def _gamma_slope_dx(y: Operand, x: Operand) -> Operand:
    """gamma(x) * (digamma(x) ** 2 + polygamma(1, x))."""
    return mul(gamma(x), add(mul(digamma(x), digamma(x)), polygamma(x, 1.0)))


_PRODUCT_ERROR: Final = (
    lambda z, a, a_low, b, b_low: b_low,
    lambda z, a, a_low, b, b_low: b,
    lambda z, a, a_low, b, b_low: a_low,
    lambda z, a, a_low, b, b_low: a,
)
"""The rounding of a * b is flat; the rest is a * b_low + a_low * b."""


# Partials of rows that take any number of operands: ``i`` is the index of one of them.


def _others(i: int, xs: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """All operands but one."""
    return xs[:i] + xs[i + 1 :]


def _hypot_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    """The operand by the norm."""
    return direction(xs[i], *_others(i, xs))


def _direction_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    """The slopes of the first operand by the norm."""
    if i == 0:
        return div(sub(1.0, mul(z, z)), hypot(*xs))
    return neg(div(mul(z, direction(xs[i], *_others(i, xs))), hypot(*xs)))


def _logsumexp_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    """The operand's share in the sum of exponentials."""
    return softmax(xs[i], *_others(i, xs))


def _softmax_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    """The slopes of the first operand's share."""
    if i == 0:
        return mul(z, sub(1.0, z))
    return neg(mul(z, softmax(xs[i], *_others(i, xs))))


def _product_of_others(i: int, z: Operand, *xs: Operand) -> Operand:
    """The product without the operand."""
    return product(*_others(i, xs))


def _shifted_hypot_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    """The operand by the norm, both shifted once more than the norm."""
    return _shifted_cosines(z, *xs)[i]


def _opposite(i: int, z: Operand, *xys: Operand) -> Operand:
    """The factor that operand ``i`` of ``dot`` meets in the other half."""
    return xys[(i + len(xys) // 2) % len(xys)]


# All partials of such a row together. One after the other each would repeat what they share, and
# that is quadratic: a recorded derivative has them from here where there are more than MANY.


def _shares(z: Operand, *xs: Operand) -> Sequence[Operand]:
    """The operands' shares in a sum of exponentials."""
    if isinstance(z, float):
        return s.softmaxes(*cast("tuple[float, ...]", xs))
    top = detached(reduce(maximum, xs))
    exps = [exp_difference(x, top) for x in xs]
    total = fsum(*exps)
    return [div(e, total) for e in exps]


def _cosines(z: Operand, *xs: Operand) -> Sequence[Operand]:
    """The operands by the norm, or by that of the operands shifted into the middle of the range."""
    if len(xs) <= MANY:
        return [_hypot_slope(i, z, *xs) for i in range(len(xs))]
    if isinstance(z, float):
        return s.directions(*cast("tuple[float, ...]", xs))
    n, length = hypot_shift(*xs), shifted_hypot(*xs)
    return [cosine(shifted(x, n), length) for x in xs]


def _shifted_cosines(z: Operand, *xs: Operand) -> Sequence[Operand]:
    """The slopes of the norm of shifted operands."""
    n = hypot_shift(*xs)
    return [shifted(cosine(shifted(x, n), z), n) for x in xs]


def _products_of_others(z: Operand, *xs: Operand) -> Sequence[Operand]:
    """The products without each operand, from the products of those before and of those after."""
    if len(xs) <= MANY:
        return [_product_of_others(i, z, *xs) for i in range(len(xs))]
    if isinstance(z, float):
        return s.products_of_others(*cast("tuple[float, ...]", xs))
    shifts = list(map(shift, xs))
    factors = list(zip(map(shifted, xs, shifts), shifts, strict=True))
    heads, tails = _running_products(factors), _running_products(factors[::-1])[::-1]
    inner = map(_joined_products, heads[:-1], tails[1:])
    return [_moved_back(*tails[0]), *inner, _moved_back(*heads[-1])]


NOTHING: Final[Operand] = 0.0

Long: TypeAlias = tuple[Operand, Operand, Operand]
"""A number (high + low) * 2 ** -shift."""


def _running_products(factors: Sequence[tuple[Operand, Operand]]) -> list[Long]:
    """The products of the first factors, all but the last; each factor has been shifted."""
    (total, moved), low = factors[0], NOTHING
    found = [(total, low, moved)]
    for x, n in factors[1:-1]:
        total, low = mul(total, x), product_error(total, low, x, 0.0)
        again = shift(total)
        total, low = shifted(total, again), shifted(low, again)
        moved = add(moved, add(n, again))
        found.append((total, low, moved))
    return found


def _joined_products(head: Long, tail: Long) -> Operand:
    """The product of two products."""
    (a, a_low, n), (b, b_low, m) = head, tail
    return _moved_back(mul(a, b), product_error(a, a_low, b, b_low), add(n, m))


def _moved_back(total: Operand, low: Operand, moved: Operand) -> Operand:
    """The product, of which a power of 2 was taken."""
    return shifted(add(total, low), neg(moved))


# Exceptions from 4 units in the last place.


def _dot_scale(*xys: float) -> float:
    """The sum of the absolute products."""
    return sum(math.fabs(x * y) for x, y in zip(xys, xys[len(xys) // 2 :], strict=False))


def _mean_scale(*xs: float) -> float:
    """The mean of the absolute operands."""
    return math.fsum(math.fabs(x / len(xs)) for x in xs)


NEAR_ZERO = (Slack("value", lambda *xs: 1.0, "the logarithm of a sum near 1: 4 eps absolute"),)
DIGAMMA = (Slack("value", lambda x: 1.0, "near the zeros of digamma: 4 eps absolute"),)
LGAMMA = (Slack("partials", lambda x: 1.0, "near the zeros of digamma: 4 eps absolute"),)
GAMMA, GAMMA_SLOPE = (
    (Slack(of, lambda x: math.fabs(f.gamma(x)), "near the zeros of digamma: 4 eps of gamma"),)
    for of in ("partials", "value")
)
CIRCLE = (
    Slack(
        "partials", lambda x: 2.0**-58, "at huge x beside a multiple of pi / 2: 2**-108 absolute"
    ),
)
TAN = (
    Slack(
        "partials",
        lambda x: 2.0**-57 * math.fabs(f.tan(x)) ** 3,
        "at huge x beside a pole: 2**-108 absolute in the cosine",
    ),
)
POLYGAMMA = (
    Slack("value", lambda x, n: float(n == 0), "near the zeros of digamma: 4 eps absolute"),
    Slack("value", g.polygamma_scale, "near zeros, for even n and x < 0: 4 eps of a term"),
    Slack("partials", lambda x, n: g.polygamma_scale(x, n + 1), "the same, for odd n"),
)
DOT = (Slack("value", _dot_scale, "products may cancel: 4 eps of their absolute sum"),)
MEAN = (Slack("value", _mean_scale, "terms may cancel: 4 eps of their absolute mean"),)

# fmt: off
# Entries of a tape that are no operations.
input: Row    = core("input",    f.same,  (),   "A number that the recording was opened with.", kind="input")
constant: Row = core("constant", f.same,  (),   "A plain number met while recording.",          kind="constant")
guard: Row    = truth("guard",   f.truth, FLAT, "A truth value that Python asked for.",         kind="guard")
whole: Row    = core("whole",    f.whole, FLAT, "A whole number that Python asked for; nan for any other.",
                     kind="guard", pieces=p.RESULT)

# Arithmetic.
add: Row  = core("add", operator.add, (1.0, 1.0),                             "x + y",                   "+",
                 python="{0} + {1}", neutral=(-0.0, -0.0), commutes_from=0, ufuncs=("add",), quick=True)
mul: Row  = core("mul", operator.mul, (lambda z, x, y: y, lambda z, x, y: x), "x * y",                   "*",
                 python="{0} * {1}", neutral=(1.0, 1.0), commutes_from=0, ufuncs=("multiply",), quick=True)
sub: Row  = core("sub", operator.sub, (1.0, -1.0),                            "x - y",                   "-",
                 python="{0} - {1}", neutral=(None, 0.0), ufuncs=("subtract",), quick=True)
neg: Row  = core("neg", operator.neg, (-1.0,),                                "-x",                      "-",
                 python="-{0}", is_involution=True, ufuncs=("negative",), quick=True)

div: Row = core("div", f.div, (lambda z, x, y: div(1.0, y), lambda z, x, y: neg(div2(x, y))), "x / y", "/",
                neutral=(None, 1.0), pieces=p.DIVISOR, ufuncs=("divide", "true_divide"))

powc: Row = row("powc", s.ieee_pow,   (lambda y, x, n: powc_slope(x, n),), "x ** n for a constant n", "**",
                 has_static=True, static_type=float, pieces=p.POWER)
pow: Row  = core("pow", s.ieee_pow,   (_pow_dx, _pow_dy),                  "x ** y",                  "**",
                 domain=BASE, pieces=p.SIGN, libm="pow", ufuncs=("power", "float_power"))
abs: Row  = core("abs", operator.abs, (lambda y, x: sign(x),),             "The absolute value; slope 0 at 0.",
                 pieces=p.SIGN, libm="fabs", ufuncs=("absolute", "fabs"), quick=True)

mod: Row      = row("mod",      f.mod,      (_one, _mod_dy),         "x % y, with the sign of y", "%",
                     pieces=p.FLOOR, ufuncs=("remainder",))
floordiv: Row = row("floordiv", f.floordiv, FLAT2,                   "x // y",                    "//",
                     pieces=p.RESULT, ufuncs=("floor_divide",))

fma: Row = libm("fma", s.fma, (lambda w, x, y, z: y, lambda w, x, y, z: x, 1.0), "x * y + z, rounded once")

# Choices. The cotangent of ``where`` goes to the arm that was selected and to no other.
where: Row = core("where", f.where, (None, lambda z, c, x, y: c, lambda z, c, x, y: not_(c)), "x where c, else y",
                  python="{1} if {0} else {2}", kind="choice", pieces=p.ARM)

maximum: Row = row("maximum", f.maximum, (_first, _second),       "The larger; half of the slope each at a tie.",
                    symbol="max", pieces=p.WINNER, ufuncs=("maximum",))
minimum: Row = row("minimum", f.minimum, (_second, _first),       "The smaller; half of the slope each at a tie.",
                    symbol="min", pieces=p.WINNER, ufuncs=("minimum",))
relu: Row    = row("relu",    f.relu,    (lambda y, x: step(x),), "x above 0, else 0; slope 0 at 0.",
                    pieces=p.SIGN)

# Truth values: comparisons, connectives and tests.
lt: Row = compare("lt", f.lt, FLAT2, "1 if x < y, else 0",  "<",  ufuncs=("less",))
le: Row = compare("le", f.le, FLAT2, "1 if x <= y, else 0", "<=", ufuncs=("less_equal",))
gt: Row = compare("gt", f.gt, FLAT2, "1 if x > y, else 0",  ">",  ufuncs=("greater",))
ge: Row = compare("ge", f.ge, FLAT2, "1 if x >= y, else 0", ">=", ufuncs=("greater_equal",))
eq: Row = compare("eq", f.eq, FLAT2, "1 if x == y, else 0", "==", ufuncs=("equal",))
ne: Row = compare("ne", f.ne, FLAT2, "1 if x != y, else 0", "!=", ufuncs=("not_equal",))

and_: Row = connect("and_", f.and_, FLAT2, "1 if both hold, else 0",       "and", ufuncs=("logical_and",))
or_: Row  = connect("or_",  f.or_,  FLAT2, "1 if either holds, else 0",    "or",  ufuncs=("logical_or",))
not_: Row = connect("not_", f.not_, FLAT,  "1 if x does not hold, else 0", "not", ufuncs=("logical_not",))

isnan: Row    = truth("isnan",    f.isnan,    FLAT, "1 if x is nan, else 0",      ufuncs=("isnan",))
isinf: Row    = truth("isinf",    f.isinf,    FLAT, "1 if x is infinite, else 0", ufuncs=("isinf",))
isfinite: Row = truth("isfinite", f.isfinite, FLAT, "1 if x is finite, else 0",   ufuncs=("isfinite",))

# Steps and signs; a row of C's library ends with numpy's name for it.
floor: Row = libm("floor", f.floor, FLAT, "The largest integer not above x.",  "floor", pieces=p.RESULT)
ceil: Row  = libm("ceil",  f.ceil,  FLAT, "The smallest integer not below x.", "ceil",  pieces=p.RESULT)
trunc: Row = libm("trunc", f.trunc, FLAT, "x rounded towards 0.",              "trunc", pieces=p.RESULT)
sign: Row  = row("sign",   f.sign,  FLAT, "-1, 0 or 1.",                       pieces=p.RESULT, ufuncs=("sign",))

round: Row    = row("round",    f.nearest,  FLAT, "The nearest integer, ties to even.",   pieces=p.RESULT)
round_to: Row = row("round_to", f.round_to, FLAT, "x rounded to n decimals, ties to even.",
                    symbol="round", has_static=True, static_type=numbers.Integral,
                    pieces=p.RESULT)

copysign: Row  = libm("copysign",  f.copysign,  (_copysign_dx, None),  "abs(x) with the sign of y",         "copysign",
                      pieces=p.SIGNS)
fmod: Row      = libm("fmod",      f.fmod,      (_one, _fmod_dy),      "The remainder with the sign of x.", "fmod",
                      pieces=p.TRUNC)
remainder: Row = libm("remainder", f.remainder, (_one, _remainder_dy), "The remainder of the nearest quotient.",
                      pieces=p.ROUND)

ldexp: Row    = row("ldexp",    f.ldexp, (lambda y, x, n: ldexp(1.0, n),), "x * 2 ** n",
                    has_static=True, static_type=numbers.Integral)
detached: Row = row("detached", f.same,  FLAT,                             "x, through which no derivative passes",
                    symbol="stop_gradient")

# Exponentials and logarithms, roots.
exp: Row   = libm("exp",   f.exp,   (lambda y, x: y,),              "e ** x",     "exp")
exp2: Row  = libm("exp2",  f.exp2,  (lambda y, x: pow_dy(2.0, x),), "2 ** x",     "exp2")
expm1: Row = libm("expm1", f.expm1, (lambda y, x: exp(x),),         "e ** x - 1", "expm1")

log: Row   = libm("log",   f.log,   (lambda y, x: div_pos(1.0, x),),           "The natural logarithm.",    "log",
                  domain=NOT_NEGATIVE)
log2: Row  = libm("log2",  f.log2,  (lambda y, x: div_pos(1.0 / LN2, x),),     "The logarithm to base 2.",  "log2",
                  domain=NOT_NEGATIVE)
log10: Row = libm("log10", f.log10, (lambda y, x: div_pos(1.0 / LN10, x),),    "The logarithm to base 10.", "log10",
                  domain=NOT_NEGATIVE)
log1p: Row = libm("log1p", f.log1p, (lambda y, x: div_pos(1.0, add(1.0, x)),), "log(1 + x)",                "log1p",
                  domain=ABOVE_MINUS_1)
sqrt: Row  = libm("sqrt",  f.sqrt,  (lambda y, x: div_pos(0.5, y),),           "The square root.",          "sqrt",
                  domain=NOT_NEGATIVE)
cbrt: Row  = libm("cbrt",  f.cbrt,  (lambda y, x: cbrt_slope(x),),             "The cube root.",            "cbrt",
                  pieces=p.SIGN)

hypot: Row = row("hypot", f.hypot, _hypot_slope, "The Euclidean norm; slope 0 at the origin.",
                 commutes_from=0, pieces=p.ORIGIN, ufuncs=("hypot",), at_once=_cosines)

# Circles and hyperbolas.
sin: Row   = libm("sin",   f.sin,   (lambda y, x: cos(x),),              "The sine.",                      "sin",
                  slack=CIRCLE)
cos: Row   = libm("cos",   f.cos,   (lambda y, x: neg(sin(x)),),         "The cosine.",                    "cos",
                  slack=CIRCLE)
tan: Row   = libm("tan",   f.tan,   (lambda y, x: add(1.0, mul(y, y)),), "The tangent.",                   "tan",
                  pieces=p.TAN, slack=TAN)
asin: Row  = libm("asin",  f.asin,  (lambda y, x: div(1.0, _root(x)),),  "The arc sine.",                  "arcsin",
                  domain=UNIT)
acos: Row  = libm("acos",  f.acos,  (lambda y, x: div(-1.0, _root(x)),), "The arc cosine.",                "arccos",
                  domain=UNIT)
atan: Row  = libm("atan",  f.atan,  (lambda y, x: recip_re(1.0, x),),    "The arc tangent.",               "arctan")
atan2: Row = libm("atan2", f.atan2, (_atan2_dy, _atan2_dx),              "The angle of the point (x, y).", "arctan2",
                  pieces=p.CUT)

sinh: Row  = libm("sinh",  f.sinh,  (lambda y, x: cosh(x),),                 "The hyperbolic sine.",    "sinh")
cosh: Row  = libm("cosh",  f.cosh,  (lambda y, x: sinh(x),),                 "The hyperbolic cosine.",  "cosh")
tanh: Row  = libm("tanh",  f.tanh,  (lambda y, x: sech2(x),),                "The hyperbolic tangent.", "tanh")
asinh: Row = libm("asinh", f.asinh, (lambda y, x: div(1.0, hypot(1.0, x)),), "The inverse of sinh.",    "arcsinh")
acosh: Row = libm("acosh", f.acosh, (_acosh_dx,),                            "The inverse of cosh.",    "arccosh",
                  domain=ABOVE_1)
atanh: Row = libm("atanh", f.atanh, (_atanh_dx,),                            "The inverse of tanh.",    "arctanh",
                  domain=UNIT)

degrees: Row = row("degrees", f.degrees, (180.0 / pi,), "Radians to degrees.", ufuncs=("degrees", "rad2deg"))
radians: Row = row("radians", f.radians, (pi / 180.0,), "Degrees to radians.", ufuncs=("radians", "deg2rad"))

# Special functions.
erf: Row  = libm("erf",  f.erf,  (lambda y, x: mul(TWO_OVER_SQRT_PI, gauss(x)),),  "The error function.")
erfc: Row = libm("erfc", f.erfc, (lambda y, x: mul(-TWO_OVER_SQRT_PI, gauss(x)),), "1 - erf(x)")

norm_cdf: Row = row("norm_cdf", s.norm_cdf, (lambda y, x: norm_pdf(x),),       "The standard normal distribution.")
norm_pdf: Row = row("norm_pdf", s.norm_pdf, (lambda y, x: norm_pdf_slope(x),), "The standard normal density.")

log_norm_cdf: Row = row("log_norm_cdf", s.log_norm_cdf, (lambda y, x: norm_ratio(x),), "log(norm_cdf(x))")

gamma: Row     = row("gamma",     f.gamma,     (lambda y, x: gamma_slope(x),),    "The gamma function.",
                     pieces=p.GAMMA, slack=GAMMA)
lgamma: Row    = row("lgamma",    f.lgamma,    (lambda y, x: digamma(x),),        "log(abs(gamma(x)))",
                     pieces=p.GAMMA, slack=LGAMMA)
digamma: Row   = row("digamma",   g.digamma,   (lambda y, x: polygamma(x, 1.0),), "The slope of lgamma.",
                     pieces=p.GAMMA, slack=DIGAMMA)
polygamma: Row = row("polygamma", g.polygamma, (_polygamma_dx,),                  "The n-th slope of digamma.",
                     has_static=True, static_type=numbers.Real, pieces=p.GAMMA, slack=POLYGAMMA)

sigmoid: Row    = row("sigmoid",    s.sigmoid,    (lambda y, x: mul(y, sigmoid(neg(x))),), "1 / (1 + exp(-x))")
softplus: Row   = row("softplus",   s.softplus,   (lambda y, x: sigmoid(x),),              "log(1 + exp(x))")
logsigmoid: Row = row("logsigmoid", s.logsigmoid, (lambda y, x: sigmoid(neg(x)),),         "log(sigmoid(x))")
logaddexp: Row  = row("logaddexp",  s.logaddexp,  (_logaddexp_dx, _logaddexp_dy),          "log(exp(x) + exp(y))",
                      slack=NEAR_ZERO, ufuncs=("logaddexp",))

# Any number of operands: a partial takes its operand's index first.
logsumexp: Row = row("logsumexp", s.logsumexp, _logsumexp_slope,                "log(sum(exp(x)))",
                     commutes_from=0, slack=NEAR_ZERO, at_once=_shares)
fsum: Row      = row("fsum",      f.fsum,      lambda i, z, *xs: 1.0,           "The sum, rounded once.",
                     at_once=lambda z, *xs: (1.0,) * len(xs))
mean: Row      = row("mean",      s.mean,      lambda i, z, *xs: 1.0 / len(xs), "The arithmetic mean.",
                     slack=MEAN, at_once=lambda z, *xs: (1.0 / len(xs),) * len(xs))
prod: Row      = row("prod",      f.prod,      _product_of_others,              "The product.",
                     at_once=_products_of_others)

dot: Row = row("dot", s.dot, _opposite, "The sum of products of the first half with the second.",
               in_groups_of=2, slack=DOT, at_once=lambda z, *xys: xys[len(xys) // 2 :] + xys[: len(xys) // 2])

# Helpers: quotients and steps.
div_pos: Row = helper("div_pos", f.div_pos, (_div_pos_dx, _div_pos_dy), "x / y for y >= 0, else nan",
                      symbol="/", pieces=p.DIVISOR)
div2: Row    = helper("div2",    s.div2,    (_div2_dx, _div2_dy),       "x / y ** 2",
                      symbol="/", pieces=p.DIVISOR)

truncdiv: Row = helper("truncdiv", f.truncdiv, FLAT2, "x / y rounded towards 0",
                       symbol="//", pieces=p.RESULT)
rounddiv: Row = helper("rounddiv", f.rounddiv, FLAT2, "x / y rounded to the nearest integer, ties to even",
                       symbol="//", pieces=p.RESULT)
step: Row     = helper("step",     f.step,     FLAT,  "The slope of relu.",
                       pieces=p.RESULT)
win: Row      = helper("win",      f.win,      FLAT2, "1 where x > y, one half for a tie, else 0",
                       pieces=p.RESULT)

# Helpers: slopes of powers, roots and angles.
pow_dx: Row     = helper("pow_dx",     s.pow_dx,     (_pow_dx_dx, _pow_mixed),     "y * x ** (y - 1)",
                         domain=BASE, pieces=p.SIGN)
pow_dy: Row     = helper("pow_dy",     s.pow_dy,     (_pow_mixed, _pow_dy_dy),     "x ** y * log(x)",
                         domain=BASE, pieces=p.SIGN)
powc_slope: Row = helper("powc_slope", s.pow_dx,     (_powc_slope_dx,),            "n * x ** (n - 1)",
                         has_static=True, static_type=float, pieces=p.POWER)
direction: Row  = helper("direction",  s.direction,  _direction_slope,             "x / hypot(x, ...); 0 at the origin",
                         commutes_from=1, pieces=p.ORIGIN)
recip_re: Row   = helper("recip_re",   s.recip_re,   (_recip_re_dx, _recip_re_dy), "x / (x ** 2 + y ** 2)")
cbrt_slope: Row = helper("cbrt_slope", s.cbrt_slope, (_cbrt_slope_dx,),            "1 / (3 * cbrt(x) ** 2)",
                         pieces=p.SIGN)

# Helpers: slopes of special functions.
sech2: Row = helper("sech2", s.sech2, (lambda y, x: mul(-2.0, mul(y, tanh(x))),), "1 / cosh(x) ** 2")
gauss: Row = helper("gauss", s.gauss, (lambda y, x: mul(-2.0, mul(x, y)),),       "exp(-x ** 2)")

norm_pdf_slope: Row = helper("norm_pdf_slope", s.norm_pdf_slope, (_norm_pdf_slope_dx,), "-x * norm_pdf(x)")
norm_ratio: Row     = helper("norm_ratio",     s.norm_ratio,     (_norm_ratio_dx,),     "norm_pdf(x) / norm_cdf(x)")
norm_ratio_gap: Row = helper("norm_ratio_gap", s.norm_ratio_gap, (_norm_ratio_gap_dx,), "x + norm_ratio(x)")
gamma_slope: Row    = helper("gamma_slope",    g.gamma_slope,    (_gamma_slope_dx,),    "gamma(x) * digamma(x)",
                             pieces=p.GAMMA, slack=GAMMA_SLOPE)
softmax: Row        = helper("softmax",        s.softmax,        _softmax_slope,        "exp(x) / (exp(x) + ...)",
                             commutes_from=1)

product: Row = helper("product", s.product, _product_of_others, "The product, safe from overflow on the way.",
                      symbol="prod", at_once=_products_of_others)

# Helpers: the parts of a double, with which compiled code leaves the middle of the range.
mantissa: Row   = helper("mantissa",   s.mantissa,   (_mantissa_dx,), "x times a power of 2, of magnitude 0.5 to 1",
                         core=True, pieces=p.BINADE)
exponent: Row   = helper("exponent",   s.exponent,   FLAT,            "n of x = mantissa(x) * 2 ** n",
                         core=True, pieces=p.RESULT)
power_of_2: Row = helper("power_of_2", s.power_of_2, FLAT,            "2 ** n for a whole n",
                         core=True, pieces=p.RESULT)

# Helpers: sums of cotangents without loss.
sum_error: Row = helper("sum_error", s.sum_error, FLAT2,      "What rounding takes from x + y.")
corrected: Row = helper("corrected", s.corrected, (1.0, 1.0), "x + y, and x where y is 0 or nan")

# Helpers: parts of the partials of many operands.
exp_difference: Row = helper("exp_difference", s.exp_difference, (_same, _negated),        "exp(x - y) for x <= y")
shift: Row          = helper("shift",          s.shift,          FLAT,                     "n that centres x * 2 ** n",
                             pieces=p.RESULT)
shifted: Row        = helper("shifted",        s.shifted,        (_power_of_2, None),      "x * 2 ** n")
product_error: Row  = helper("product_error",  s.product_error,  _PRODUCT_ERROR,           "(a + b) * (c + d) - a * c")
hypot_shift: Row    = helper("hypot_shift",    s.hypot_shift,    lambda i, z, *xs: None,   "n that centres the norm",
                             pieces=p.RESULT)
shifted_hypot: Row  = helper("shifted_hypot",  s.shifted_hypot,  _shifted_hypot_slope,     "The norm times 2 ** n.",
                             pieces=p.ORIGIN, at_once=_shifted_cosines)
cosine: Row         = helper("cosine",         s.cosine,         (_cosine_dx, _cosine_dy), "x / y; 0 at the origin",
                             symbol="/", pieces=p.DIVISOR)
# fmt: on

TABLE = Table(tuple(value for value in list(globals().values()) if isinstance(value, Row)))
