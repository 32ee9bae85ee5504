"""The table of operations: one line for each, and nowhere else is a derivative stated.

A partial is ``p(y, *xs)``, the result first and then the operands, and is written with rows of
this table, so that it computes on floats and records on traced numbers. A partial that is a number
stands for itself; None says that the operation is flat in that operand. Helper rows exist to spell
the partials of others to 4 units in the last place over the whole double range.
"""

import math
import operator
from functools import partial
from math import inf, pi
from typing import Final

from tapegrad import floats as f
from tapegrad import gammas as g
from tapegrad import special as s
from tapegrad.primitive import REALS, Operand, Slack, Spelling, Table, Usually
from tapegrad.primitive import Primitive as Row

__all__ = ["TABLE"]

REAL, HALF, UNIT = (REALS,), ((0.0, inf),), ((-1.0, 1.0),)
ABOVE_1, ABOVE_MINUS_1 = (1.0, inf), (-1.0, inf)
LN2, LN10, TWO_OVER_SQRT_PI = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(pi)
FLAT, FLAT2 = (None,), (None, None)
row: Final = Row
core: Final = partial(Row, core=True)
truth: Final = partial(Row, core=True, is_truth=True)
helper: Final = partial(Row, helper=True)


def spelled(name: str) -> Spelling:
    """The function of that name in ``lowering``, which is loaded when a program is compiled."""

    def spelling(*operands: Operand) -> Operand | Usually | None:
        from tapegrad import lowering

        found: Spelling = getattr(lowering, name)
        return found(*operands)

    return spelling


def _others(i: int, xs: tuple[Operand, ...]) -> tuple[Operand, ...]:
    return xs[:i] + xs[i + 1 :]


def _opposite(i: int, z: Operand, *xys: Operand) -> Operand:
    """The factor that operand ``i`` of ``dot`` meets in the other half."""
    return xys[(i + len(xys) // 2) % len(xys)]


def _softmax_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    if i == 0:
        return mul(z, sub(1.0, z))
    return neg(mul(z, softmax(xs[i], *_others(i, xs))))


def _direction_slope(i: int, z: Operand, *xs: Operand) -> Operand:
    if i == 0:
        return div(sub(1.0, mul(z, z)), hypot(*xs))
    return neg(div(mul(z, direction(xs[i], *_others(i, xs))), hypot(*xs)))


def _recip_re_dx(u: Operand, v: Operand) -> Operand:
    """Where u - i v = 1 / (x + i y), the slope of u in x is the real part of -(u - i v) ** 2."""
    return mul(sub(v, u), add(v, u))


def _powc_curve(x: Operand, n: Operand) -> Operand:
    """The slope of n * x ** (n - 1), which is 0 for n == 0 at a pole of the power, too."""
    if isinstance(n, float):
        return 0.0 if n == 0.0 else mul(n, powc_slope(x, sub(n, 1.0)))
    return where(eq(n, 0.0), 0.0, mul(n, powc_slope(x, sub(n, 1.0))))


def _pow_mixed(x: Operand, y: Operand) -> Operand:
    """The mixed second derivative of x ** y."""
    return add(pow(x, sub(y, 1.0)), mul(y, pow_dy(x, sub(y, 1.0))))


def _one(z: Operand) -> Operand:
    """The slope 1 of a remainder, which is nan where the remainder is."""
    return where(eq(z, z), 1.0, math.nan)


def _dot_scale(*xys: float) -> float:
    return math.fsum(math.fabs(x * y) for x, y in zip(xys, xys[len(xys) // 2 :], strict=False))


def _mean_scale(*xs: float) -> float:
    return math.fsum(math.fabs(x / len(xs)) for x in xs)


NEAR_ZERO = (Slack("value", lambda *xs: 1.0, "the logarithm of a sum near 1: 4 eps absolute"),)
DIGAMMA = (Slack("value", lambda x: 1.0, "near the zeros of digamma: 4 eps absolute"),)
LGAMMA = (Slack("partials", lambda x: 1.0, "near the zeros of digamma: 4 eps absolute"),)
GAMMA = (
    Slack("partials", lambda x: math.fabs(f.gamma(x)), "near the zeros of digamma: 4 eps of gamma"),
)
POLYGAMMA = (
    Slack("value", g.polygamma_scale, "near zeros, for even n and x < 0: 4 eps of a term"),
    Slack("partials", lambda x, n: g.polygamma_scale(x, n + 1), "the same, for odd n"),
)
DOT = (Slack("value", _dot_scale, "products may cancel: 4 eps of their absolute sum"),)
MEAN = (Slack("value", _mean_scale, "terms may cancel: 4 eps of their absolute mean"),)

# fmt: off
# What a tape holds besides operations.
input: Row       = core("input",       f.same,   (),    REAL, "", "A number that the recording was opened with.")
constant: Row    = core("constant",    f.same,   (),    REAL, "", "A plain number met while recording.")
guard: Row       = truth("guard",      f.truth,    FLAT,  REAL, "", "A truth value that Python asked for.")

# Arithmetic.
add: Row         = core("add",         operator.add, (1.0, 1.0),                                              REAL, "+",  "x + y",                 "({} + {})")
mul: Row         = core("mul",         operator.mul, (lambda z, x, y: y, lambda z, x, y: x),                  REAL, "*",  "x * y",                 "({} * {})")
sub: Row         = core("sub",         operator.sub, (1.0, -1.0),                                             REAL, "-",  "x - y",                 "({} - {})")
neg: Row         = core("neg",         operator.neg, (-1.0,),                                                 REAL, "-",  "-x",                    "(-{})")
div: Row         = core("div",         f.div,        (lambda z, x, y: div(1.0, y), lambda z, x, y: neg(div2(x, y))), REAL, "/", "x / y")
powc: Row        = row("powc",        s.ieee_pow,   (lambda y, x, n: powc_slope(x, n),),                     REAL, "**", "x ** n for a constant n", has_static=True, lower=spelled("powc"), near=spelled("near_powc"))
pow: Row         = core("pow",         s.ieee_pow,   (lambda z, x, y: pow_dx(x, y), lambda z, x, y: pow_dy(x, y)), (HALF[0], REALS), "**", "x ** y")
abs: Row         = core("abs",         operator.abs, (lambda y, x: sign(x),),                                 REAL, "abs", "The absolute value; slope 0 at 0.")
mod: Row         = row("mod",         f.mod,        (lambda z, x, y: _one(z), lambda z, x, y: neg(floordiv(x, y))), REAL, "%",  "x % y, with the sign of y", lower=spelled("mod"))
floordiv: Row    = row("floordiv",    f.floordiv,   FLAT2,                                                   REAL, "//", "x // y", lower=spelled("floordiv"))
fma: Row         = core("fma",         s.fma,        (lambda w, x, y, z: y, lambda w, x, y, z: x, 1.0),       REAL, "fma", "x * y + z, rounded once")

# Choices. The cotangent of ``where`` goes to the arm that was selected and to no other.
where: Row       = core("where",       f.where,      (None, lambda z, c, x, y: c, lambda z, c, x, y: not_(c)), REAL, "where", "x where c, else y", "({1} if {0} else {2})")
maximum: Row     = row("maximum",     f.maximum,    (lambda z, x, y: win(x, y), lambda z, x, y: win(y, x)),  REAL, "max", "The larger; half of the slope each at a tie.", lower=spelled("maximum"))
minimum: Row     = row("minimum",     f.minimum,    (lambda z, x, y: win(y, x), lambda z, x, y: win(x, y)),  REAL, "min", "The smaller; half of the slope each at a tie.", lower=spelled("minimum"))
relu: Row        = row("relu",        f.relu,       (lambda y, x: step(x),),                                 REAL, "relu", "x above 0, else 0; slope 0 at 0.", lower=spelled("relu"))
lt: Row          = truth("lt",         f.lt,         FLAT2, REAL, "<",   "1 if x < y, else 0")
le: Row          = truth("le",         f.le,         FLAT2, REAL, "<=",  "1 if x <= y, else 0")
gt: Row          = truth("gt",         f.gt,         FLAT2, REAL, ">",   "1 if x > y, else 0")
ge: Row          = truth("ge",         f.ge,         FLAT2, REAL, ">=",  "1 if x >= y, else 0")
eq: Row          = truth("eq",         f.eq,         FLAT2, REAL, "==",  "1 if x == y, else 0")
ne: Row          = truth("ne",         f.ne,         FLAT2, REAL, "!=",  "1 if x != y, else 0")
and_: Row        = truth("and_",       f.and_,       FLAT2, REAL, "and", "1 if both hold, else 0")
or_: Row         = truth("or_",        f.or_,        FLAT2, REAL, "or",  "1 if either holds, else 0")
not_: Row        = truth("not_",       f.not_,       FLAT,  REAL, "not", "1 if x does not hold, else 0")
isnan: Row       = truth("isnan",      f.isnan,      FLAT,  REAL, "isnan", "1 if x is nan, else 0")
isinf: Row       = truth("isinf",      f.isinf,      FLAT,  REAL, "isinf", "1 if x is infinite, else 0")
isfinite: Row    = truth("isfinite",   f.isfinite,   FLAT,  REAL, "isfinite", "1 if x is finite, else 0")

# Steps and signs.
floor: Row       = core("floor",       f.floor,      FLAT,  REAL, "floor", "The largest integer not above x.")
ceil: Row        = core("ceil",        f.ceil,       FLAT,  REAL, "ceil",  "The smallest integer not below x.")
trunc: Row       = core("trunc",       f.trunc,      FLAT,  REAL, "trunc", "x rounded towards 0.")
sign: Row        = row("sign",        f.sign,       FLAT,  REAL, "sign",  "-1, 0 or 1.", lower=spelled("sign"))
copysign: Row    = core("copysign",    f.copysign,   (lambda z, x, y: mul(sign(x), copysign(1.0, y)), None),  REAL, "copysign", "abs(x) with the sign of y")
fmod: Row        = core("fmod",        f.fmod,       (lambda z, x, y: _one(z), lambda z, x, y: neg(truncdiv(x, y))), REAL, "fmod", "The remainder with the sign of x.")
remainder: Row   = core("remainder",   f.remainder,  (lambda z, x, y: _one(z), lambda z, x, y: neg(rounddiv(x, y))), REAL, "remainder", "The remainder of the nearest quotient.")
ldexp: Row       = row("ldexp",       f.ldexp,      (lambda y, x, n: ldexp(1.0, n),),                        REAL, "ldexp", "x * 2 ** n", has_static=True, lower=spelled("ldexp"))
detached: Row    = row("detached",    f.same,       FLAT,  REAL, "stop_gradient", "x, through which no derivative passes", lower=spelled("detached"))

# Exponentials and logarithms.
exp: Row         = core("exp",         f.exp,        (lambda y, x: y,),                                       REAL,  "exp",   "e ** x")
exp2: Row        = core("exp2",        f.exp2,       (lambda y, x: pow_dy(2.0, x),),                         REAL,  "exp2",  "2 ** x")
expm1: Row       = core("expm1",       f.expm1,      (lambda y, x: exp(x),),                                  REAL,  "expm1", "e ** x - 1")
log: Row         = core("log",         f.log,        (lambda y, x: div_pos(1.0, x),),                         HALF,  "log",   "The natural logarithm.")
log2: Row        = core("log2",        f.log2,       (lambda y, x: div_pos(1.0 / LN2, x),),                   HALF,  "log2",  "The logarithm to base 2.")
log10: Row       = core("log10",       f.log10,      (lambda y, x: div_pos(1.0 / LN10, x),),                  HALF,  "log10", "The logarithm to base 10.")
log1p: Row       = core("log1p",       f.log1p,      (lambda y, x: div_pos(1.0, add(1.0, x)),),               (ABOVE_MINUS_1,), "log1p", "log(1 + x)")
sqrt: Row        = core("sqrt",        f.sqrt,       (lambda y, x: div_pos(0.5, y),),                         HALF,  "sqrt",  "The square root.")
cbrt: Row        = core("cbrt",        f.cbrt,       (lambda y, x: cbrt_slope(x),),                          REAL,  "cbrt",  "The cube root.")
hypot: Row       = row("hypot",       f.hypot,      lambda i, z, *xs: direction(xs[i], *_others(i, xs)),     REAL,  "hypot", "The Euclidean norm; slope 0 at the origin.", lower=spelled("hypot"), near=spelled("near_hypot"))

# Circles and hyperbolas.
sin: Row         = core("sin",         f.sin,        (lambda y, x: cos(x),),                                  REAL,  "sin",   "The sine.")
cos: Row         = core("cos",         f.cos,        (lambda y, x: neg(sin(x)),),                             REAL,  "cos",   "The cosine.")
tan: Row         = core("tan",         f.tan,        (lambda y, x: add(1.0, mul(y, y)),),                     REAL,  "tan",   "The tangent.")
asin: Row        = core("asin",        f.asin,       (lambda y, x: div(1.0, sqrt(mul(sub(1.0, x), add(1.0, x)))),),  UNIT, "asin", "The arc sine.")
acos: Row        = core("acos",        f.acos,       (lambda y, x: div(-1.0, sqrt(mul(sub(1.0, x), add(1.0, x)))),), UNIT, "acos", "The arc cosine.")
atan: Row        = core("atan",        f.atan,       (lambda y, x: recip_re(1.0, x),),                        REAL,  "atan",  "The arc tangent.")
atan2: Row       = core("atan2",       f.atan2,      (lambda z, y, x: recip_re(x, y), lambda z, y, x: neg(recip_re(y, x))), REAL, "atan2", "The angle of the point (x, y).")
sinh: Row        = core("sinh",        f.sinh,       (lambda y, x: cosh(x),),                                 REAL,  "sinh",  "The hyperbolic sine.")
cosh: Row        = core("cosh",        f.cosh,       (lambda y, x: sinh(x),),                                 REAL,  "cosh",  "The hyperbolic cosine.")
tanh: Row        = core("tanh",        f.tanh,       (lambda y, x: sech2(x),),                                REAL,  "tanh",  "The hyperbolic tangent.")
asinh: Row       = core("asinh",       f.asinh,      (lambda y, x: div(1.0, hypot(1.0, x)),),                 REAL,  "asinh", "The inverse of sinh.")
acosh: Row       = core("acosh",       f.acosh,      (lambda y, x: div(1.0, mul(sqrt(sub(x, 1.0)), sqrt(add(x, 1.0)))),), (ABOVE_1,), "acosh", "The inverse of cosh.")
atanh: Row       = core("atanh",       f.atanh,      (lambda y, x: div_pos(1.0, mul(sub(1.0, x), add(1.0, x))),), UNIT, "atanh", "The inverse of tanh.")
degrees: Row     = row("degrees",     f.degrees,    (180.0 / pi,),                                           REAL,  "degrees", "Radians to degrees.", lower=spelled("degrees"))
radians: Row     = row("radians",     f.radians,    (pi / 180.0,),                                           REAL,  "radians", "Degrees to radians.", lower=spelled("radians"))

# Special functions.
erf: Row         = core("erf",         f.erf,        (lambda y, x: mul(TWO_OVER_SQRT_PI, gauss(x)),),         REAL,  "erf",   "The error function.")
erfc: Row        = core("erfc",        f.erfc,       (lambda y, x: mul(-TWO_OVER_SQRT_PI, gauss(x)),),        REAL,  "erfc",  "1 - erf(x)")
norm_cdf: Row    = row("norm_cdf",    s.norm_cdf,   (lambda y, x: norm_pdf(x),),                             REAL,  "norm_cdf", "The standard normal distribution.", lower=spelled("norm_cdf"), near=spelled("near_norm_cdf"))
norm_pdf: Row    = row("norm_pdf",    s.norm_pdf,   (lambda y, x: norm_pdf_slope(x),),                       REAL,  "norm_pdf", "The standard normal density.", lower=spelled("norm_pdf"))
gamma: Row       = row("gamma",       f.gamma,      (lambda y, x: gamma_slope(x),),                          REAL,  "gamma", "The gamma function.", slack=GAMMA)
lgamma: Row      = row("lgamma",      f.lgamma,     (lambda y, x: digamma(x),),                              REAL,  "lgamma", "log(abs(gamma(x)))", slack=LGAMMA)
digamma: Row     = row("digamma",     g.digamma,    (lambda y, x: polygamma(x, 1.0),),                       REAL,  "digamma", "The slope of lgamma.", slack=DIGAMMA)
polygamma: Row   = row("polygamma",   g.polygamma,  (lambda y, x, n: polygamma(x, add(n, 1.0)),),            REAL,  "polygamma", "The n-th slope of digamma.", has_static=True, slack=POLYGAMMA)
sigmoid: Row     = row("sigmoid",     s.sigmoid,    (lambda y, x: mul(y, sigmoid(neg(x))),),                 REAL,  "sigmoid", "1 / (1 + exp(-x))", lower=spelled("sigmoid"))
softplus: Row    = row("softplus",    s.softplus,   (lambda y, x: sigmoid(x),),                              REAL,  "softplus", "log(1 + exp(x))", lower=spelled("softplus"))
logsigmoid: Row  = row("logsigmoid",  s.logsigmoid, (lambda y, x: sigmoid(neg(x)),),                         REAL,  "logsigmoid", "log(sigmoid(x))", lower=spelled("logsigmoid"))
logaddexp: Row   = row("logaddexp",   s.logaddexp,  (lambda z, x, y: softmax(x, y), lambda z, x, y: softmax(y, x)), REAL, "logaddexp", "log(exp(x) + exp(y))", slack=NEAR_ZERO, lower=spelled("logaddexp"), near=spelled("near_logaddexp"))

# Any number of operands.
logsumexp: Row   = row("logsumexp",   s.logsumexp,  lambda i, z, *xs: softmax(xs[i], *_others(i, xs)),       REAL,  "logsumexp", "log(sum(exp(x)))", slack=NEAR_ZERO, at_once=lambda z, *xs: s.softmaxes(*xs), lower=spelled("logsumexp"), near=spelled("near_logsumexp"))
fsum: Row        = row("fsum",        f.fsum,       lambda i, z, *xs: 1.0,                                   REAL,  "fsum",  "The sum, rounded once.", at_once=lambda z, *xs: (1.0,) * len(xs), lower=spelled("fsum"))
mean: Row        = row("mean",        s.mean,       lambda i, z, *xs: 1.0 / len(xs),                         REAL,  "mean",  "The arithmetic mean.", slack=MEAN, at_once=lambda z, *xs: (1.0 / len(xs),) * len(xs), lower=spelled("mean"), near=spelled("near_mean"))
prod: Row        = row("prod",        f.prod,       lambda i, z, *xs: product(*_others(i, xs)),              REAL,  "prod",  "The product.", lower=spelled("prod"))
dot: Row         = row("dot",         s.dot,        _opposite,                                               REAL,  "dot",   "The sum of products of the first half with the second.", slack=DOT, at_once=lambda z, *xys: xys[len(xys) // 2 :] + xys[: len(xys) // 2], lower=spelled("dot"), near=spelled("near_dot"))

# Helpers.
div_pos: Row     = helper("div_pos",        f.div_pos,  (lambda z, x, y: div_pos(1.0, y), lambda z, x, y: neg(div_pos(z, y))), REAL, "/", "x / y for y >= 0, else nan", lower=spelled("div_pos"))
div2: Row        = helper("div2",           s.div2,     (lambda z, x, y: div2(1.0, y), lambda z, x, y: div(mul(-2.0, z), y)), REAL, "/", "x / y ** 2", lower=spelled("div2"))
truncdiv: Row    = helper("truncdiv",       f.truncdiv, FLAT2, REAL, "//", "x / y rounded towards 0", lower=spelled("truncdiv"))
rounddiv: Row    = helper("rounddiv",       f.rounddiv, FLAT2, REAL, "//", "x / y rounded to the nearest integer, ties to even", lower=spelled("rounddiv"))
step: Row        = helper("step",           f.step,     FLAT,  REAL, "step", "The slope of relu.", lower=spelled("step"))
win: Row         = helper("win",            f.win,      FLAT2, REAL, "win", "1 where x > y, one half for a tie, else 0", lower=spelled("win"))
pow_dx: Row      = helper("pow_dx",         s.pow_dx,   (lambda z, x, y: where(eq(y, 0.0), 0.0, mul(y, pow_dx(x, sub(y, 1.0)))), lambda z, x, y: _pow_mixed(x, y)), (HALF[0], REALS), "pow_dx", "y * x ** (y - 1)", lower=spelled("pow_dx"))
pow_dy: Row      = helper("pow_dy",         s.pow_dy,   (lambda z, x, y: _pow_mixed(x, y), lambda z, x, y: where(eq(x, 0.0), z, mul(z, log(x)))), (HALF[0], REALS), "pow_dy", "x ** y * log(x)", lower=spelled("pow_dy"))
powc_slope: Row  = helper("powc_slope",     s.pow_dx,   (lambda y, x, n: _powc_curve(x, n),), REAL, "powc_slope", "n * x ** (n - 1)", has_static=True, lower=spelled("pow_dx"), near=spelled("near_pow_dx"))
direction: Row   = helper("direction",      s.direction, _direction_slope, REAL, "direction", "x / hypot(x, ...); 0 at the origin", lower=spelled("direction"), near=spelled("near_direction"))
recip_re: Row    = helper("recip_re",       s.recip_re, (lambda z, x, y: _recip_re_dx(z, recip_re(y, x)), lambda z, x, y: mul(-2.0, mul(z, recip_re(y, x)))), REAL, "recip_re", "x / (x ** 2 + y ** 2)", lower=spelled("recip_re"))
cbrt_slope: Row  = helper("cbrt_slope",     s.cbrt_slope, (lambda y, x: mul(-2.0 / 3.0, div(y, x)),), REAL, "cbrt_slope", "1 / (3 * cbrt(x) ** 2)", lower=spelled("cbrt_slope"))
sech2: Row       = helper("sech2",          s.sech2,    (lambda y, x: mul(-2.0, mul(y, tanh(x))),), REAL, "sech2", "1 / cosh(x) ** 2", lower=spelled("sech2"))
gauss: Row       = helper("gauss",          s.gauss,    (lambda y, x: mul(-2.0, mul(x, y)),), REAL, "gauss", "exp(-x ** 2)", lower=spelled("gauss"))
norm_pdf_slope: Row = helper("norm_pdf_slope", s.norm_pdf_slope, (lambda y, x: mul(sub(mul(x, x), 1.0), norm_pdf(x)),), REAL, "norm_pdf_slope", "-x * norm_pdf(x)", lower=spelled("norm_pdf_slope"))
gamma_slope: Row = helper("gamma_slope",    g.gamma_slope, (lambda y, x: mul(gamma(x), add(mul(digamma(x), digamma(x)), polygamma(x, 1.0))),), REAL, "gamma_slope", "gamma(x) * digamma(x)")
softmax: Row     = helper("softmax",        s.softmax,  _softmax_slope, REAL, "softmax", "exp(x) / (exp(x) + ...)", lower=spelled("softmax"), near=spelled("near_softmax"))
product: Row     = helper("product",        s.product,  lambda i, z, *xs: product(*_others(i, xs)), REAL, "prod", "The product, safe from overflow on the way.", lower=spelled("product"), near=spelled("near_product"))
# fmt: on

TABLE = Table(tuple(value for value in list(globals().values()) if isinstance(value, Row)))
