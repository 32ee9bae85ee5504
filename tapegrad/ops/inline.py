"""How rows are written as Python expressions on floats, where a call would take longer.

``INLINE`` has for a row an expression of its operands, and the range in which it gives the bits of
the row's value and raises nothing ("" for all floats). Outside of it the row's own function is
called, or where the expression says ``{call}``. An expression may call what ``INLINE_NAMES`` has,
and name numbers ``v``, ``h`` and ``g``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, final

import attrs

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.ops.special import GRID, INV_SQRT_2PI, SQRT_HALF

__all__ = ["INLINE", "INLINE_NAMES", "Symbol", "call_name", "inlined", "joint"]

INLINE_NAMES: Final[Mapping[str, object]] = {
    "abs": abs,
    **{name: value for name, value in vars(math).items() if not name.startswith("_")},
}
"""The functions that the expressions call, and the other names of ``math``."""

# CPython is quicker at `x > a and x < b` than at `a < x < b`.
_FINITE = "{0} - {0} == 0.0"
_PLAIN = "{} > 1e-290 and v < 1e290"
_QUOTIENT = "{1} and ((v := {0} / {1}) > 1e-290 and v < 1e290 or v < -1e-290 and v > -1e290)"
_MODERATE = "{0} > 1e-50 and {0} < 1e50 and {1} >= -4.0 and {1} <= 4.0"
_EXACT = f"{_MODERATE} and (h := {{1}} - 1.0) + 1.0 == {{1}} and {{1}}"
_SQUARE_SLOPE = "2.0 * {0} if {1} == 2.0 else {1} * pow({0}, h)"
_DENSITY = f"{INV_SQRT_2PI!r} * exp(-0.5 * (v := {{0}} * {{0}}))"
_SQUARE_ERROR = f"(h := {{0}} + {GRID!r} - {GRID!r}) * h - v + ({{0}} - h) * ({{0}} + h)"
"""The part of a square v that its rounding loses, as in ``special._gaussian``."""

INLINE: Final[dict[Primitive, tuple[str, str]]] = {
    **{row: (row.python, "") for row in ops.TABLE.rows if row.python},
    ops.div: ("{0} / {1}", "{1}"),
    ops.mod: ("{0} % {1}", "{1}"),
    ops.floordiv: ("{0} // {1}", "{1}"),
    ops.abs: ("abs({0})", ""),
    ops.detached: ("{0}", ""),
    ops.maximum: ("{0} if {0} >= {1} or {0} != {0} else {1}", ""),
    ops.minimum: ("{0} if {0} <= {1} or {0} != {0} else {1}", ""),
    ops.relu: ("0.0 if {0} <= 0.0 else {0}", ""),
    ops.eq: ("1.0 if {0} == {1} else 0.0", ""),
    ops.step: ("1.0 if {0} > 0.0 else 0.0 if {0} <= 0.0 else nan", ""),
    ops.win: ("1.0 if {0} > {1} else 0.0 if {0} < {1} else 0.5 if {0} == {1} else nan", ""),
    ops.sign: ("1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else 0.0 if {0} == 0.0 else nan", ""),
    ops.sqrt: ("sqrt({0})", "{0} >= 0.0"),
    ops.exp: ("exp({0})", "{0} < 709.0"),
    ops.exp2: ("exp2({0})", "{0} < 1023.0"),
    ops.expm1: ("expm1({0})", "{0} < 709.0"),
    ops.sinh: ("sinh({0})", "{0} > -709.0 and {0} < 709.0"),
    ops.cosh: ("cosh({0})", "{0} > -709.0 and {0} < 709.0"),
    ops.log: ("log({0})", "{0} > 0.0"),
    ops.log2: ("log2({0})", "{0} > 0.0"),
    ops.log10: ("log10({0})", "{0} > 0.0"),
    ops.log1p: ("log1p({0})", "{0} > -1.0"),
    ops.sin: ("sin({0})", _FINITE),
    ops.cos: ("cos({0})", _FINITE),
    ops.tan: ("tan({0})", _FINITE),
    ops.asin: ("asin({0})", "{0} >= -1.0 and {0} <= 1.0"),
    ops.acos: ("acos({0})", "{0} >= -1.0 and {0} <= 1.0"),
    ops.acosh: ("acosh({0})", "{0} >= 1.0"),
    ops.atanh: ("atanh({0})", "{0} > -1.0 and {0} < 1.0"),
    ops.fmod: ("fmod({0}, {1})", f"{{1}} and {_FINITE}"),
    ops.remainder: ("remainder({0}, {1})", f"{{1}} and {_FINITE}"),
    **{
        row: (f"{row.libm or row.name}({', '.join(['{0}', '{1}'][: row.arity])})", "")
        for row in (
            ops.asinh, ops.atan, ops.atan2, ops.cbrt, ops.copysign, ops.degrees, ops.erf, ops.erfc,
            ops.radians, ops.tanh,
        )
    },
    ops.div_pos: ("{0} / {1}", "{1} > 0.0"),
    ops.hypot: ("hypot({0}, {1})", ""),
    ops.direction: ("{0} / v", _PLAIN.format("(v := hypot({0}, {1}))")),
    ops.div2: ("v / {1}", _QUOTIENT),
    ops.recip_re: ("{0} / v", _PLAIN.format("(v := {0} * {0} + {1} * {1})")),
    # A power below 1e250 raises nothing, and b - 1 is exact where b comes back.
    ops.pow_dx: ("{1} * pow({0}, h)", _EXACT),
    ops.powc_slope: (f"{_SQUARE_SLOPE} if {_EXACT} else {{call}}", ""),
    ops.pow: ("pow({0}, {1})", _MODERATE),
    ops.pow_dy: ("(v := pow({0}, {1})) * log({0})", _MODERATE),
    ops.sigmoid: (
        "1.0 / (1.0 + exp(-{0})) if {0} >= 0.0 else (v := exp({0})) / (1.0 + v)", "",
    ),
    ops.sech2: (
        "4.0 * v / ((v := 1.0 + v) * v)",
        "(v := exp(-2.0 * {0} if {0} >= 0.0 else 2.0 * {0})) > 5e-18",
    ),
    ops.gauss: (
        f"(g := exp(-(v := {{0}} * {{0}}))) - g * ({_SQUARE_ERROR})",
        "{0} >= -40.0 and {0} <= 40.0",
    ),
    ops.norm_pdf: (
        f"(g := {_DENSITY}) - g * (0.5 * ({_SQUARE_ERROR}))",
        "{0} >= -40.0 and {0} <= 40.0",
    ),
    ops.norm_cdf: (f"0.5 + 0.5 * erf({{0}} * {SQRT_HALF!r})", "{0} >= -0.67"),
}  # fmt: skip


def inlined(row: Primitive, operands: Sequence[str], call: str) -> str:
    """The value of a row as an expression, which is or has in it ``call`` where that is needed.

    An operand that is an expression itself is named where the range mentions it, to be computed
    once; a row that mentions it more than once elsewhere is called, and so is one of any number of
    operands that has an expression for another number of them.
    """
    value, within = _spelled(row, operands, call)
    return f"{value} if {within} else {call}" if within else value


def _spelled(row: Primitive, operands: Sequence[str], call: str) -> tuple[str, str]:
    """The expression of a row, or ``call``, and the range in which it may stand."""
    value, within = INLINE.get(row, ("", ""))
    places = [f"{{{index}}}" in value + within for index in range(len(operands) + 1)]
    if not places[-2] or places[-1]:
        return call, ""
    named = sum(operand.count(":=") for operand in operands)
    for index, operand in enumerate(operands):
        place, name = f"{{{index}}}", f"v{named + index}"
        if _ATOM.fullmatch(operand) or value.count(place) + within.count(place) < 2:
            value, within = value.replace(place, operand), within.replace(place, operand)
        elif place in within:
            within = within.replace(place, f"({name} := {operand})", 1).replace(place, name)
            value = value.replace(place, name)
        else:
            return call, ""
    value, within = _once_negated(value), _once_negated(within)
    return value.replace("{call}", call), within


def _once_negated(text: str) -> str:
    """An expression without numbers that are negated twice, or only to ask for their sign."""
    return _OPPOSITE.sub(r"\1 <= 0.0", _TWICE.sub(r"\1", text))


_TWICE: Final = re.compile(r"-\(-(\w+)\)")
_OPPOSITE: Final = re.compile(r"\(-(\w+)\) >= 0\.0")
_ATOM: Final = re.compile(r"\w+(\.\w+)?([+-]\d+)?|\(-\w+(\.\w+)?([+-]\d+)?\)")
"""A name or a number, perhaps negated: what is read again at no cost."""


@final
@attrs.frozen
class Symbol(Traced):
    """A Python expression that stands for a number: applying rows to symbols writes source.

    It calls rows by ``call_name``, and all else by what ``INLINE_NAMES`` has. Where all that
    ``needs`` has holds, asked for in this order, the expression ``usual`` has the same bits.
    """

    text: str
    usual: str = attrs.field()
    needs: tuple[str, ...] = ()

    @usual.default
    def _own_text(self) -> str:
        return self.text

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Symbol:
        texts, name = list(map(_text, operands)), call_name(row)
        if row.kind == "choice":
            texts[0] = _TRUTH.sub(r"\1", texts[0])
        text = inlined(row, texts, f"{name}({', '.join(texts)})")
        symbols = [x for x in operands if isinstance(x, Symbol)]
        usual = [x.usual if isinstance(x, Symbol) else _text(x) for x in operands]
        value, within = _spelled(row, usual, f"{name}({', '.join(usual)})")
        within = _SQUARES.sub(_in_order, within)
        needs = [*(need for x in symbols for need in x.needs), *_conjuncts(within)]
        joined = joint(needs, value)
        if joined is None:
            return Symbol(_in_parentheses(text))
        return Symbol(_in_parentheses(text), _in_parentheses(value), joined)

    def knowing(self, value: str, name: str) -> Symbol:
        """The symbol in which a variable has a value that the expressions compute as ``v``."""
        text = _with_known(self.text, value, name)
        usual, *needs = _with_known("\n".join([self.usual, *self.needs]), value, name).split("\n")
        return Symbol(text, usual, (*needs,))

    def mentions(self, name: str) -> bool:
        """Whether the expression uses the variable ``name``."""
        return re.search(rf"\b{name}\b", self.text) is not None


def joint(needs: Iterable[str], usual: str) -> tuple[str, ...] | None:
    """The distinct needs of a source; None where a name that they give is given again."""
    distinct = tuple(dict.fromkeys(needs))
    named = _NAMED.findall(" ".join(distinct))
    again = _NAMED.findall(usual)
    return distinct if len({*named}) == len(named) and {*named}.isdisjoint(again) else None


_NAMED: Final = re.compile(r"(\w+) :=")
_TRUTH: Final = re.compile(r"\(1\.0 if (.+) else 0\.0\)")
_SQUARES: Final = re.compile(r"\b([a-z]\w*) \* \1 \+ ([a-z]\w*) \* \2\b")


def _in_order(squares: re.Match[str]) -> str:
    """A sum of two squares, which has the same bits in either order."""
    x, y = sorted(squares.groups())
    return f"{x} * {x} + {y} * {y}"


def _conjuncts(within: str) -> list[str]:
    """The parts of a range that must all hold."""
    if " or " in re.sub(r"\(.*\)", "", within):
        return [f"({within})"]
    found: list[str] = []
    for part in filter(None, within.split(" and ")):
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += f" and {part}"
        else:
            found.append(part)
    return found


def _with_known(text: str, value: str, name: str) -> str:
    """An expression in which ``name`` takes the place of what would be computed as ``v``."""
    made = f"(v := {value})"
    if text.count("v :=") > text.count(made):
        return text.replace(made, f"(v := {name})")
    return re.sub(r"\bv\b", name, text.replace(made, name)) if made in text else text


def _in_parentheses(text: str) -> str:
    return text if _CALL.fullmatch(text) else f"({text})"


def _text(operand: Operand) -> str:
    """A symbol's expression, or a number, with parentheses around one that is negative."""
    if isinstance(operand, Symbol):
        return operand.text
    return f"({operand!r})" if str(operand).startswith("-") else repr(operand)


def call_name(row: Primitive) -> str:
    """The name under which expressions call a row."""
    return f"{row.name}_of"


_CALL: Final = re.compile(r"\w+(\([^()]*\))?")
"""A name, or a call of one on names."""
