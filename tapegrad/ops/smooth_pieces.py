"""The smooth pieces of the piecewise smooth rows of the table."""

from __future__ import annotations

import math
from typing import Final

from tapegrad.ops import floats as f
from tapegrad.ops.primitive import SmoothPieces as Pieces


def _sign_unless_polynomial(y: float, x: float, n: float) -> float:
    """The sign of x, unless n is a natural number."""
    return 0.0 if n >= 0.0 and n == f.floor(n) else f.sign(x)


def _between_poles(y: float, x: float, *n: float) -> float:
    """The interval between two poles of the gamma function, all of which are below 1."""
    return f.floor(x) if x <= 0.0 else 1.0


def _between_poles_of_tan(y: float, x: float) -> float:
    """The interval between two poles of the tangent."""
    return f.floor(x / math.pi + 0.5)


def _two_signs(z: float, x: float, y: float) -> float:
    """The signs of both operands, that of y at a zero of it, too."""
    return 3.0 * f.sign(x) + math.copysign(1.0, y)


def _side_of_cut(z: float, y: float, x: float) -> float:
    """The side of the negative x axis, across which the angle jumps."""
    return math.copysign(1.0, y) if x < 0.0 else 0.0


RESULT: Final = Pieces(lambda y, *xs: y, "jump")
"""Each result of a step or a condition is a piece."""

FLOOR: Final = Pieces(lambda z, x, y: f.floordiv(x, y), "jump")
TRUNC: Final = Pieces(lambda z, x, y: f.truncdiv(x, y), "jump")
ROUND: Final = Pieces(lambda z, x, y: f.rounddiv(x, y), "jump")
"""A remainder jumps where its quotient does."""

WINNER: Final = Pieces(lambda z, x, y: f.win(x, y), "tie")
ARM: Final = Pieces(lambda z, condition, x, y: f.truth(condition))
SIGN: Final = Pieces(lambda y, x, *xs: f.sign(x))
DIVISOR: Final = Pieces(lambda z, x, y: f.sign(y))
ORIGIN: Final = Pieces(lambda z, *xs: float(not any(xs)))
POWER: Final = Pieces(_sign_unless_polynomial)
GAMMA: Final = Pieces(_between_poles)
TAN: Final = Pieces(_between_poles_of_tan)
SIGNS: Final = Pieces(_two_signs)
CUT: Final = Pieces(_side_of_cut)
BINADE: Final = Pieces(lambda y, x: float(math.frexp(x)[1]), "jump")
