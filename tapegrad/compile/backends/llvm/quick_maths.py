"""Exponentials and logarithms in line, for code that may round as it is quickest.

A function of a library has to find every vector in memory when it returns, and glibc's look numbers
up in tables of some kilobytes. These need two vectors of a table at most, and are within 2 units in
the last place. They are written for AVX-512, whose instructions take exponents off and put them on,
to the ends of the range and beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Final

from tapegrad.compile.backends.llvm.instructions import Instructions, mask

__all__ = ["IN_LINE", "NEEDED"]

NEEDED: Final = "+avx512f"
"""The feature of the processors on which they run."""

_WIDTH: Final = 8
_ALL: Final = "i8 -1", "i32 4"
"""The operands that ask for all lanes, rounded to nearest."""
_FROM_3_QUARTERS: Final = "i32 11"
"""The operand that asks for mantissas from 3/4 to 3/2, and nan for a number below 0."""

_LOG_2: Final = 0.6931471803691238, 1.9082149292705877e-10
"""Its first 32 bits, so that products with exponents are exact, and the rest."""

_SIXTEENTHS: Final = 1.5 * 2.0**48
"""Added and subtracted again, it rounds to sixteenths, whose number is in the last bits between."""

_ROOTS: Final = tuple(2.0 ** (step / 16.0) for step in range(16))
"""The powers of 2 by sixteenths, which fit two vectors."""

_LARGEST, _SMALLEST = 710.0, -746.0
"""Beyond these an exponential is infinite or 0."""

_EXP: Final = (
    0.5, 0.16666666665301635, 0.04166666666496038, 0.008333449703580843, 0.0013889034351508688,
)  # fmt: skip
"""(exp(r) - 1 - r) / r ** 2 by powers of r, which is at most log(2) / 32 in size.

Here and below the coefficients are those of a sum of Chebyshev's polynomials."""

_LOG: Final = (
    0.6666666666666666, 0.400000000000078, 0.2857142856733919, 0.22222223037807243,
    0.18181738454723026, 0.15388834677801916, 0.1321036048513262, 0.13604015707124079,
)  # fmt: skip
"""log((1 + s) / (1 - s)) / s - 2, divided by s ** 2, by powers of s ** 2, which is at most 1/25."""


def _exp(code: Instructions, x: str) -> str:
    kind = code.mode.type
    for how, limit in (("ogt", _LARGEST), ("olt", _SMALLEST)):
        x = code.chosen(code.compare(how, x, code.constant(limit)), code.constant(limit), x)
    moved = _fma(code, x, code.constant(1.0 / log(2.0)), code.constant(_SIXTEENTHS))
    power = code.new(f"fsub {kind} {moved}, {code.constant(_SIXTEENTHS)}")
    rest = x
    for part in _LOG_2:
        rest = _fma(code, power, code.constant(-part), rest)
    square = code.new(f"fmul {kind} {rest}, {rest}")
    more = _fma(code, _polynomial(code, _EXP, rest, square), square, rest)
    root = _root(code, moved)
    found = _fma(code, more, root, root)
    return _instruction(code, "scalef", [found, power, found], _ALL)


def _root(code: Instructions, moved: str) -> str:
    """The power of 2 by the sixteenths in the last bits of a number."""
    name, part = "llvm.x86.avx512.vpermi2var.pd.512", code.mode.type_of(_WIDTH)
    lanes, whole = f"<{_WIDTH} x i64>", code.mode.integer
    callee = code.declarations.declare(name, f"{part} @{name}({part}, {lanes}, {part})")
    bits = code.new(f"bitcast {code.mode.type} {moved} to {whole}")
    low, high = code.vector(_ROOTS[:_WIDTH]), code.vector(_ROOTS[_WIDTH:])
    found = []
    for start in range(0, code.mode.lanes, _WIDTH):
        those = mask(range(start, start + _WIDTH))
        which = code.new(f"shufflevector {whole} {bits}, {whole} poison, {those}")
        found.append(
            code.new(f"call {part} {callee}({part} {low}, {lanes} {which}, {part} {high})")
        )
    return code.joined(found, _WIDTH)


def _log(code: Instructions, x: str) -> str:
    """log(m) is f - s * (f - s ** 2 * p) for f = m - 1, s = f / (m + 1) and the polynomial p."""
    kind, one = code.mode.type, code.constant(1.0)
    nothing = f"{code.mode.type_of(_WIDTH)} zeroinitializer"
    near = _instruction(code, "getmant", [x], [_FROM_3_QUARTERS, nothing, *_ALL])
    power = _instruction(code, "getexp", [x, x], _ALL)
    raised = code.new(f"fadd {kind} {power}, {one}")
    power = code.chosen(code.compare("olt", near, one), raised, power)
    f = code.new(f"fsub {kind} {near}, {one}")
    s = code.new(f"fdiv {kind} {f}, {code.new(f'fadd {kind} {near}, {one}')}")
    square = code.new(f"fmul {kind} {s}, {s}")
    fourth = code.new(f"fmul {kind} {square}, {square}")
    less = code.new(f"fneg {kind} {square}")
    rest = _fma(code, less, _polynomial(code, _LOG, square, fourth), f)
    low = code.new(f"fmul {kind} {power}, {code.constant(_LOG_2[1])}")
    more = _fma(code, code.new(f"fneg {kind} {s}"), rest, low)
    return _fma(code, power, code.constant(_LOG_2[0]), code.new(f"fadd {kind} {f}, {more}"))


def _polynomial(code: Instructions, terms: Sequence[float], x: str, square: str) -> str:
    """A polynomial, by Estrin's scheme: its halves do not wait for each other."""
    found, by, power = [code.constant(term) for term in terms], x, square
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        left = found[len(found) & ~1 :]
        found = [*[_fma(code, high, by, low) for low, high in pairs], *left]
        by = power
        if len(found) > 2:  # the last step needs no higher power
            power = code.new(f"fmul {code.mode.type} {power}, {power}")
    return found[0]


def _instruction(
    code: Instructions, name: str, numbers: Sequence[str], settings: Sequence[str]
) -> str:
    symbol = f"llvm.x86.avx512.mask.{name}.pd.512"
    return code.call(symbol, numbers, _WIDTH, settings=settings)


def _fma(code: Instructions, x: str, y: str, z: str) -> str:
    return code.intrinsic("fma", [x, y, z])


IN_LINE: Final[Mapping[str, Callable[[Instructions, str], str]]] = {"exp": _exp, "log": _log}
"""The functions by their names in C's library."""
