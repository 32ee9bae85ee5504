"""The instructions that take a double apart into its bits, and make one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from typing import Final

from tapegrad.compile.backends.llvm.instructions import Instructions

__all__ = ["OF_BITS"]

_BITS: Final = 52
"""The bits of a double's fraction, above which those of its exponent stand."""
_LARGEST: Final = 2047
"""The exponent of infinities and nan, as it stands there."""
_BIAS: Final = 1022
"""The exponent of numbers from 0.5 to 1, as it stands there."""
_MOVED: Final = 54
"""The power of 2 by which a subnormal number is no more."""


def _mantissa(code: Instructions, x: str) -> str:
    bits, _, plain = _parts(code, x)
    kept = code.integer(~(_LARGEST << _BITS))
    fraction = code.new(f"and {code.mode.integer} {bits}, {kept}")
    made = code.new(f"or {code.mode.integer} {fraction}, {code.integer(_BIAS << _BITS)}")
    return code.chosen(plain, _as_number(code, made), x)


def _exponent(code: Instructions, x: str) -> str:
    kind = code.mode.integer
    _, raised, plain = _parts(code, x)
    tiny = _is_tiny(code, x)
    bias = code.new(
        f"select {code.mode.truth} {tiny}, {kind} {code.integer(_BIAS + _MOVED)}, "
        f"{kind} {code.integer(_BIAS)}"
    )
    whole = code.new(f"sub {kind} {raised}, {bias}")
    number = code.new(f"sitofp {kind} {whole} to {code.mode.type}")
    return code.chosen(plain, number, code.constant(0.0))


def _power_of_2(code: Instructions, n: str) -> str:
    kind = code.mode.integer
    whole = code.intrinsic("trunc", [n])
    known = [
        code.compare("oeq", whole, n),
        code.compare("oge", n, code.constant(-1022.0)),
        code.compare("ole", n, code.constant(1023.0)),
    ]
    holds = code.new(f"and {code.mode.truth} {known[0]}, {known[1]}")
    holds = code.new(f"and {code.mode.truth} {holds}, {known[2]}")
    asked = code.chosen(holds, n, code.constant(0.0))
    raised = code.new(f"fptosi {code.mode.type} {asked} to {kind}")
    raised = code.new(f"add {kind} {raised}, {code.integer(_BIAS + 1)}")
    made = code.new(f"shl {kind} {raised}, {code.integer(_BITS)}")
    return code.chosen(holds, _as_number(code, made), code.constant(nan))


def _parts(code: Instructions, x: str) -> tuple[str, str, str]:
    """The bits of a number, its exponent as it stands there, and whether it has one."""
    kind = code.mode.integer
    moved = code.new(f"fmul {code.mode.type} {x}, {code.constant(2.0**_MOVED)}")
    number = code.chosen(_is_tiny(code, x), moved, x)
    bits = code.new(f"bitcast {code.mode.type} {number} to {kind}")
    high = code.new(f"lshr {kind} {bits}, {code.integer(_BITS)}")
    raised = code.new(f"and {kind} {high}, {code.integer(_LARGEST)}")
    none = code.new(f"icmp eq {kind} {raised}, {code.integer(0)}")
    largest = code.new(f"icmp eq {kind} {raised}, {code.integer(_LARGEST)}")
    return bits, raised, code.negated(code.new(f"or {code.mode.truth} {none}, {largest}"))


def _is_tiny(code: Instructions, x: str) -> str:
    return code.compare("olt", code.intrinsic("fabs", [x]), code.constant(2.0**-1022))


def _as_number(code: Instructions, bits: str) -> str:
    return code.new(f"bitcast {code.mode.integer} {bits} to {code.mode.type}")


OF_BITS: Final[Mapping[str, Callable[[Instructions, str], str]]] = {
    "mantissa": _mantissa,
    "exponent": _exponent,
    "power_of_2": _power_of_2,
}
"""The rows that C's library has under no name of its own, or with a result of several."""
