"""Spells ``operators``, from one template and the operations table.

    python -m tapegrad.recording.operator_code

writes the module again. Nothing imports this one: spelling at each import would take as long as
half of the import does, and a test compares the module with what is spelled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Final

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["source"]

_BINARY: Final[Mapping[Primitive, str]] = {
    ops.add: "add", ops.sub: "sub", ops.mul: "mul", ops.div: "truediv",
    ops.floordiv: "floordiv", ops.mod: "mod",
}  # fmt: skip
"""The name that Python has for the operator of a row, without underscores."""

_COMPARISONS: Final = (ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne)

_HEAD: Final = '''\
"""Operators and functions of traced numbers: spelled by ``operator_code``, which see.

Each does what its operation needs and calls nothing else. Whatever is not plain (a recording that
has ended, another thread's, one inside another, a number of another recording or of another type)
is left to functions of ``recorder``, which say what is meant. ``recorder.thread`` is this thread
only where all is plain.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from math import copysign, pow
from typing import Final, cast

from tapegrad.ops import floats
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, has_axes
from tapegrad.recording.recorder import CODES, Condition, Recorder, Var, applied, compared

__all__ = ["binary", "chosen", "many", "unary"]

_power: Final[Callable[..., float]] = pow
'''

_ENTRY: Final = """\
if recorder.marks is not None:
    recorder.mark()
values = recorder.values
result = {kind}()
result._recorder = recorder
result._slot = len(values)
result._value = value
recorder.codes.append({code})
recorder.left.append({left})
recorder.right.append({right})
# Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
values.append(value)
return result
"""
"""The end of every operator: a new entry, and the number that it defines."""

_SLOT: Final = """\
if type({other}) is Var:
    if {other}._recorder is not recorder:
        return {slowly}
    {slot} = {other}._slot
    {y} = {other}._value
"""
_KNOWN: Final = """\
{if_} {types} and ({other} or copysign(1.0, {other}) > 0.0):
    {slot} = recorder.known.get({other}, -1)
    {y} = {other}
else:
    return {slowly}
"""
"""An operand that is a number: -0.0 is another one than 0.0, and never known."""

_INTERN: Final = """\
if {slot} < 0:
    {slot} = recorder.constant({other})
    {y} = cast(float, recorder.values[{slot}])
"""
"""A number that the recording meets for the first time; a large int is rounded."""

_FLOAT: Final = "type({other}) is float"
_NUMBER: Final = "(type({other}) is float or type({other}) is int)"
_SIZE: Final = "value: float = abs(x)  # type: ignore[assignment]  # where thread is not 0"
_ALONE: Final = "if recorder.thread != get_ident():\n    return {slowly}\n"
_VALUE: Final = """\
try:
    value = {quick}
except (ArithmeticError, ValueError):
    value = {total}
"""


def source() -> str:
    """The source of the module ``operators``."""
    parts = [_HEAD, *_constants(), *_arithmetic(), *map(_comparison, _COMPARISONS)]
    parts += [_power_of_two_numbers(), _power_of_a_number(), _constant_power()]
    parts += [_sign_change(ops.neg, "value = -x"), _sign_change(ops.abs, _SIZE), _TRUTH]
    parts += [_UNARY, _BINARY_FUNCTION, _ONLY_RECORDER, _MANY, _CHOSEN, _attached()]
    return "\n\n".join(parts)


def _code(row: Primitive) -> str:
    return f"_{row.name.strip('_').upper()}"


def _constants() -> list[str]:
    rows = [*_BINARY, *_COMPARISONS, ops.pow, ops.powc, ops.neg, ops.abs, ops.where, ops.guard]
    return ["\n".join(f"{_code(row)}: Final = CODES[ops.{row.name}]" for row in rows) + "\n"]


def _arithmetic() -> list[str]:
    both = _SLOT + _KNOWN.replace("{if_}", "elif")
    number = _KNOWN.replace("{if_}", "if")
    spelled = []
    for row, name in _BINARY.items():
        value = f"x {row.symbol} y"
        if row.python:
            value = f"value = {value}\n"
        else:
            value = _VALUE.format(quick=value, total=f"ops.{row.name}.value(x, y)")
        spelled += [
            _operator(row, name, "Var | float", both, value),
            _operator(row, f"r{name}", "float", number, value, reflected=True),
        ]
    return spelled


def _operator(  # noqa: PLR0913  # the parts of an operator
    row: Primitive,
    name: str,
    takes: str,
    operand: str,
    value: str,
    *,
    kind: str = "Var",
    reflected: bool = False,
) -> str:
    """The operator of a row on two operands, the second of which may be a number."""
    slow = "compared" if kind == "Condition" else "applied"
    given = "other, self" if reflected else "self, other"
    words = {
        "slowly": f"{slow}(ops.{row.name}, {given})",
        "types": _NUMBER.format(other="other"),
        "other": "other",
        "slot": "slot",
        "y": "x" if reflected else "y",
    }
    sides = ("slot", "self._slot") if reflected else ("self._slot", "slot")
    body = "recorder = self._recorder\n" + (operand + _ALONE + _INTERN).format(**words)
    body += f"{'y' if reflected else 'x'} = self._value\n{value}"
    body += _ENTRY.format(kind=kind, code=_code(row), left=sides[0], right=sides[1])
    return f"def _{name}(self: Var, other: {takes}, /) -> {kind}:\n{indent(body, '    ')}"


def _comparison(row: Primitive) -> str:
    takes = "object" if row in {ops.eq, ops.ne} else "Var | float"
    both = _SLOT + _KNOWN.replace("{if_}", "elif")
    value = f"value = 1.0 if x {row.symbol} y else 0.0\n"
    return _operator(row, row.name, takes, both, value, kind="Condition")


def _power_of_two_numbers() -> str:
    operand = _SLOT + "else:\n    return applied(ops.pow, self, other)\n"
    value = _VALUE.format(quick="_power(x, y)", total="ops.pow.value(x, y)")
    spelled = _operator(ops.pow, "power_of_two", "Var | float", operand, value)
    return spelled.replace(indent(_INTERN.format(slot="slot", other="other", y="y"), "    "), "")


def _power_of_a_number() -> str:
    value = _VALUE.format(quick="_power(x, y)", total="ops.pow.value(x, y)")
    operand = _KNOWN.replace("{if_}", "if")
    return _operator(ops.pow, "rpow", "float", operand, value, reflected=True)


def _constant_power() -> str:
    words = {"other": "other", "slot": "place", "y": "y", "types": _NUMBER.format(other="other")}
    slowly = "applied(ops.powc, self, other)"
    known = _KNOWN.replace("{if_}", "if").replace("known", "exponents")
    known = known.replace(
        "else:\n", "elif type({other}) is Var:\n    return _power_of_two(self, {other})\nelse:\n"
    )
    body = "recorder = self._recorder\n" + (known + _ALONE).format(slowly=slowly, **words)
    body += "if place < 0:\n    place = recorder.exponent(float(other))\nx = self._value\n"
    body += _VALUE.format(quick="_power(x, y)", total="ops.powc.value(x, y)")
    body += _ENTRY.format(kind="Var", code="_POWC", left="self._slot", right="place")
    return f"def _pow(self: Var, other: Var | float, /) -> Var:\n{indent(body, '    ')}"


def _sign_change(row: Primitive, value: str) -> str:
    body = "recorder = self._recorder\n"
    body += _ALONE.format(slowly=f"recorder.unary(ops.{row.name}, self)")
    body += f"x = self._value\n{value}\n"
    body += _ENTRY.format(kind="Var", code=_code(row), left="self._slot", right="-1")
    return f"def _{row.name}(self: Var, /) -> Var:\n{indent(body, '    ')}"


_TRUTH: Final = """\
def _bool(self: Condition, /) -> bool:
    recorder = self._recorder
    if recorder.thread != get_ident():
        return recorder.guard(ops.guard, self.indicator)._primal() != 0.0
    if recorder.marks is not None:
        recorder.mark()
    value = self._value
    recorder.codes.append(_GUARD)
    recorder.left.append(self._slot)
    recorder.right.append(-1)
    recorder.values.append(value)
    return value != 0.0  # type: ignore[return-value]  # where thread is not 0
"""

_UNARY: Final = (
    '''\
def unary(row: Primitive, plain: Callable[..., object]) -> Callable[[Operand], object]:
    """A row of one operand as a function; of a number that is not traced it is ``plain``."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand) -> object:
        if type(x) is not Var:
            return row(x) if type(x) is not float and has_axes(x) else plain(x)
        recorder = x._recorder
        if recorder.thread != get_ident():
            return recorder.unary(row, x)
        try:
            value = quick(x._value)
        except (ArithmeticError, ValueError):
            value = total(x._value)
'''
    + indent(_ENTRY.format(kind="Var", code="code", left="x._slot", right="-1"), "        ")
    + """
    return function
"""
)


def _of_two(x: str, slot: str, y: str, *, if_: str = "if") -> str:
    words = {
        "other": x,
        "slot": slot,
        "y": y,
        "slowly": "row(x, y)",
        "types": _FLOAT.format(other=x),
    }
    return (_SLOT + _KNOWN.replace("{if_}", "elif")).format(**words)


_BINARY_FUNCTION: Final = (
    '''\
def binary(row: Primitive) -> Callable[[Operand, Operand], Operand]:
    """A row of two operands as a function."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand, y: Operand) -> Operand:
        if type(x) is Var:
            recorder = x._recorder
        elif type(y) is Var:
            recorder = y._recorder
        elif type(x) is type(y) is float:
            return total(x, y)
        else:
            return row(x, y)
'''
    + indent(
        _of_two("x", "left", "p")
        + _of_two("y", "right", "q")
        + _ALONE.format(slowly="row(x, y)")
        + _INTERN.format(slot="left", other="x", y="p")
        + _INTERN.format(slot="right", other="y", y="q")
        + _VALUE.format(quick="quick(p, q)", total="total(p, q)")
        + _ENTRY.format(kind="Var", code="code", left="left", right="right"),
        "        ",
    )
    + """
    return function
"""
)

_ONLY_RECORDER: Final = '''\
def _only_recorder(xs: tuple[Operand, ...]) -> Recorder | None:
    """The recorder of all traced numbers among operands, where it is one."""
    recorder = None
    for x in xs:
        if type(x) is Var:
            if recorder is None:
                recorder = x._recorder
            elif x._recorder is not recorder:
                return None
        elif type(x) is not float and has_axes(x):
            return None
    return recorder
'''

_MANY: Final = (
    '''\
def many(row: Primitive) -> Callable[..., Operand]:
    """A row of any number of operands as a function."""
    code, total = CODES[row], row.value

    def function(*xs: Operand) -> Operand:
        x, y = xs if len(xs) == 2 else (None, None)
        if type(x) is type(y) is Var and x._recorder is y._recorder:
            recorder = x._recorder
            if recorder.thread != get_ident():
                return row(*xs)
            slots = [x._slot, y._slot]
            value = total(x._value, y._value)
        else:
            only = _only_recorder(xs)
            if only is None or only.thread != get_ident():
                return row(*xs)
            recorder = only
            slots = [x._slot if type(x) is Var else recorder.constant(x) for x in xs]
            value = total(*[recorder.values[slot] for slot in slots])
        start = len(recorder.pool)
        recorder.pool.extend(slots)
'''
    + indent(_ENTRY.format(kind="Var", code="code", left="start", right="len(slots)"), "        ")
    + """
    return function
"""
)

_CHOSEN: Final = '''\
def chosen(condition: Condition, x: Operand, y: Operand) -> Var:
    """``where`` of a condition."""
    recorder = condition._recorder
''' + indent(
    "".join(
        part.replace("row(x, y)", "cast(Var, ops.where(condition.indicator, x, y))")
        for part in (
            _of_two("x", "first", "p"),
            _of_two("y", "second", "q"),
            _ALONE.format(slowly="row(x, y)"),
        )
    )
    + _INTERN.format(slot="first", other="x", y="p")
    + _INTERN.format(slot="second", other="y", y="q")
    + "value = p if condition._value else q\n"
    + "start = len(recorder.pool)\n"
    + "recorder.pool.extend((condition._slot, first, second))\n"
    + _ENTRY.format(kind="Var", code="_WHERE", left="start", right="3"),
    "    ",
)


def _attached() -> str:
    names = [*_BINARY.values(), "pow"]
    names = [f"{side}{name}" for name in names for side in ("", "r")]
    names += [row.name for row in (*_COMPARISONS, ops.neg, ops.abs)]
    operators = "".join(f'    "__{name}__": _{name},\n' for name in names)
    return (
        f"_OPERATORS: Final[dict[str, Callable[..., Var | Condition]]] = {{\n{operators}}}\n\n"
        "for _name, _operator in _OPERATORS.items():\n    setattr(Var, _name, _operator)\n"
        'setattr(Condition, "__bool__", _bool)  # noqa: B010  # no checker lets it be assigned\n'
    )


if __name__ == "__main__":
    Path(__file__).with_name("operators.py").write_text(source(), encoding="utf-8")
