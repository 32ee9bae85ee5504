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
from tapegrad.ops.inline import INLINE
from tapegrad.ops.primitive import Primitive

__all__ = ["source"]

_BINARY: Final[Mapping[Primitive, str]] = {
    ops.add: "add", ops.sub: "sub", ops.mul: "mul", ops.div: "truediv",
    ops.floordiv: "floordiv", ops.mod: "mod",
}  # fmt: skip
"""The name that Python has for the operator of a row, without underscores."""

_FUNCTIONS: Final = (ops.sigmoid, ops.relu, ops.norm_cdf, ops.maximum, ops.minimum)
"""Rows whose values are functions of Python's here, which take longer to call than to spell."""

_COMPARISONS: Final = (ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne)

_HEAD: Final = '''\
"""Operators and functions of traced numbers: spelled by ``operator_code``, which see.

Each does what its operation needs and calls nothing else. Whatever is not plain (a recording that
has ended, another thread's, one inside another, a number of another recording or of another type)
is left to functions of ``recorder``, which say what is meant. ``recorder.plain`` is held by
this thread only where all is plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import update_wrapper
from math import copysign
from typing import Final, TypeVar, cast

from tapegrad.ops import floats
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, has_axes
from tapegrad.recording.recorder import CODES, Condition, Recorder, Var, applied, compared

__all__ = ["binary", "choice", "many", "natural_logarithm", "unary"]

F = TypeVar("F", bound=Callable[..., object])

pow: Final[Callable[..., float]] = math.pow
exp: Final[Callable[..., float]] = math.exp
erf: Final[Callable[..., float]] = math.erf
log: Final[Callable[..., float]] = math.log
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
_HAS_BITS: Final = "{other} or {other} is recorder.zero or copysign(1.0, {other}) > 0.0"
"""Whether a float is told by its value: -0.0 is another one than 0.0, and never known."""

_NUMBER: Final = """\
    known = recorder.known.get({other})
    {slot} = recorder.new_constant({other}) if known is None else known
"""
"""The slot of a number, which the recording may meet for the first time."""

_KNOWN: Final = f"""\
{{if_}} type({{other}}) is float and ({_HAS_BITS}):
{_NUMBER}    {{y}} = {{other}}
"""
"""An operand that is a float."""

_WHOLE: Final = f"""\
elif type({{other}}) is int:
{_NUMBER}    {{y}} = recorder.values[{{slot}}]  # type: ignore[assignment]  # where all is plain
"""
"""An operand that is an int: the recording has it as a float, to which a large one is rounded."""

_ELSE: Final = "else:\n    return {slowly}\n"

_SIZE: Final = "value: float = abs(x)  # type: ignore[assignment]  # where all is plain"
_ALONE: Final = "if not recorder.plain._is_owned():\n    return {slowly}\n"
_VALUE: Final = """\
try:
    value = {quick}
except (ArithmeticError, ValueError):
    value = {total}
"""


def source() -> str:
    """The source of the module ``operators``."""
    parts = [_HEAD, *_constants(), *_arithmetic(), *map(_comparison, _COMPARISONS)]
    parts += [_power_of_a_number(), _power()]
    parts += [_sign_change(ops.neg, "value = -x"), _sign_change(ops.abs, _SIZE), _TRUTH]
    parts += [_UNARY, _LOGARITHM, _BINARY_FUNCTION, *_spelled_functions()]
    return "\n\n".join([*parts, _ONLY_RECORDER, _MANY, _CHOICE, _attached()])


def _code(row: Primitive) -> str:
    return f"_{row.name.strip('_').upper()}"


def _constants() -> list[str]:
    rows = [*_BINARY, *_COMPARISONS, ops.pow, ops.powc, ops.neg, ops.abs, ops.where, ops.guard]
    rows += _FUNCTIONS
    return ["\n".join(f"{_code(row)}: Final = CODES[ops.{row.name}]" for row in rows) + "\n"]


def _number(*, first: bool, ints: bool = True) -> str:
    """An operand that is a number, or is left to what is slow; ``first`` where it is no Var."""
    known = _KNOWN.replace("{if_}", "if" if first else "elif")
    return known + _WHOLE * ints + _ELSE


def _arithmetic() -> list[str]:
    both, number = _SLOT + _number(first=False), _number(first=True)
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
        "other": "other",
        "slot": "slot",
        "y": "x" if reflected else "y",
    }
    sides = ("slot", "self._slot") if reflected else ("self._slot", "slot")
    body = "recorder = self._recorder\n" + (_ALONE + operand).format(**words)
    body += f"{'y' if reflected else 'x'} = self._value\n{value}"
    body += _ENTRY.format(kind=kind, code=_code(row), left=sides[0], right=sides[1])
    return f"def _{name}(self: Var, other: {takes}, /) -> {kind}:\n{indent(body, '    ')}"


def _comparison(row: Primitive) -> str:
    takes = "object" if row in {ops.eq, ops.ne} else "Var | float"
    both = _SLOT + _number(first=False)
    value = f"value = 1.0 if x {row.symbol} y else 0.0\n"
    return _operator(row, row.name, takes, both, value, kind="Condition")


def _power_of_a_number() -> str:
    value = _VALUE.format(quick="pow(x, y)", total="ops.pow.value(x, y)")
    return _operator(ops.pow, "rpow", "float", _number(first=True), value, reflected=True)


_POWER: Final = """\
recorder = self._recorder
if not recorder.plain._is_owned():
    return applied(ops.pow if type(other) is Var else ops.powc, self, other)
x = self._value
if type(other) is int or (
    type(other) is float and ({has_bits})
):
    known = recorder.exponents.get(other)
    place = recorder.exponent(other) if known is None else known
elif type(other) is Var and other._recorder is recorder:
{traced}else:
    return applied(ops.pow if type(other) is Var else ops.powc, self, other)
y: float = recorder.statics[place]  # type: ignore[assignment]  # an exponent
"""


def _power() -> str:
    """The power of a traced number: with an int or a float the exponent is a static operand."""
    traced = "z = other._value\n"
    traced += _VALUE.format(quick="pow(x, z)", total="ops.pow.value(x, z)")
    traced += _ENTRY.format(kind="Var", code="_POW", left="self._slot", right="other._slot")
    has_bits = _HAS_BITS.format(other="other")
    body = _POWER.format(has_bits=has_bits, traced=indent(traced, "    "))
    body += _VALUE.format(quick="pow(x, y)", total="ops.powc.value(x, y)")
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
    if not recorder.plain._is_owned():
        return recorder.guard(ops.guard, self.indicator)._primal() != 0.0
    if recorder.marks is not None:
        recorder.mark()
    value = self._value
    recorder.codes.append(_GUARD)
    recorder.left.append(self._slot)
    recorder.right.append(-1)
    recorder.values.append(value)
    return value != 0.0  # type: ignore[return-value]  # where all is plain
"""

_OF_ONE: Final = """\
if type(x) is not Var:
    return {plain}
recorder = x._recorder
if not recorder.plain._is_owned():
    return recorder.unary({row}, x)
p = x._value
"""

_UNARY: Final = (
    '''\
def _of_number(row: Primitive, x: Operand, plain: Callable[..., object]) -> object:
    """A function of one operand that is not a traced number, perhaps a traced array."""
    return row(x) if type(x) is not float and has_axes(x) else plain(x)


def unary(row: Primitive, plain: Callable[..., object]) -> Callable[[Operand], object]:
    """A row of one operand as a function; of a number that is not traced it is ``plain``."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand) -> object:
'''
    + indent(
        _OF_ONE.format(plain="_of_number(row, x, plain)", row="row")
        + _VALUE.format(quick="quick(p)", total="total(p)")
        + _ENTRY.format(kind="Var", code="code", left="x._slot", right="-1"),
        "        ",
    )
    + """
    return _SPELLED.get(row, function)
"""
)

_LOGARITHM: Final = (
    '''\
def natural_logarithm(slowly: F) -> F:
    """A logarithm that does at once what is plain; ``slowly`` takes a base, and what is not."""
    code, total = CODES[ops.log], ops.log.value

    def function(x: Operand, base: Operand | None = None, /) -> object:
        if type(x) is not Var or base is not None:
            return slowly(x, base)
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return slowly(x)
        p = x._value
'''
    + indent(
        _VALUE.format(quick="log(p)", total="total(p)")
        + _ENTRY.format(kind="Var", code="code", left="x._slot", right="-1"),
        "        ",
    )
    + """
    return cast(F, update_wrapper(function, slowly))
"""
)


def _traced(name: str, slot: str, value: str) -> str:
    """An operand that is traced, and names the recording."""
    alone = _ALONE.format(slowly="{row}(x, y)")
    return f"recorder = {name}._recorder\n{alone}{slot} = {name}._slot\n{value} = {name}._value\n"


def _other(name: str, slot: str, value: str, *, traced: bool = True) -> str:
    """An operand beside a traced one, which may be a float, and with ``traced`` another one."""
    words = {"other": name, "slot": slot, "y": value, "slowly": "{row}(x, y)"}
    return (_SLOT * traced + _number(first=not traced, ints=False)).format(**words)


_OF_TWO: Final = (
    "if type(x) is Var:\n"
    + indent(_traced("x", "left", "p"), "    ")
    + indent(_other("y", "right", "q"), "    ")
    + "elif type(y) is Var:\n"
    + indent(_traced("y", "right", "q"), "    ")
    + indent(_other("x", "left", "p", traced=False), "    ")
    + """\
elif type(x) is type(y) is float:
    return {total}
else:
    return {row}(x, y)
"""
)

_BINARY_FUNCTION: Final = (
    '''\
def binary(row: Primitive) -> Callable[[Operand, Operand], Operand]:
    """A row of two operands as a function."""
    code, total, quick = CODES[row], row.value, floats.raising(row.value)

    def function(x: Operand, y: Operand) -> Operand:
'''
    + indent(
        _OF_TWO.format(row="row", total="total(x, y)")
        + _VALUE.format(quick="quick(p, q)", total="total(p, q)")
        + _ENTRY.format(kind="Var", code="code", left="left", right="right"),
        "        ",
    )
    + """
    return _SPELLED.get(row, function)
"""
)


def _spelled_functions() -> list[str]:
    names = "".join(f"    ops.{row.name}: _{row.name},\n" for row in _FUNCTIONS)
    mapping = f"_SPELLED: Final[Mapping[Primitive, Callable[..., Operand]]] = {{\n{names}}}\n"
    return [*map(_function, _FUNCTIONS), mapping]


def _function(row: Primitive) -> str:
    """A function of one operand or of two whose value is spelled."""
    one = row.arity == 1
    names = ["p", "q"][: row.arity]
    total = f"ops.{row.name}.value"
    value, within = (text.format(*names) for text in INLINE[row])
    called = f"{total}({', '.join(names)})"
    body = f"value: float = {value} if {within} else {called}\n" if within else f"value = {value}\n"
    if one:
        plain = f"_of_number(ops.{row.name}, x, {total})  # type: ignore[return-value]  # as total"
        start = _OF_ONE.format(plain=plain, row=f"ops.{row.name}")
    else:
        start = _OF_TWO.format(row=f"ops.{row.name}", total=f"{total}(x, y)")
    sides = ("x._slot", "-1") if one else ("left", "right")
    body = start + body + _ENTRY.format(kind="Var", code=_code(row), left=sides[0], right=sides[1])
    takes = "x: Operand" if one else "x: Operand, y: Operand"
    return f"def _{row.name}({takes}) -> Operand:\n{indent(body, '    ')}"


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
_NOTHING: Final = cast(Operand, object())
"""Stands for an operand that is not there: Python is quicker with defaults than with ``*xs``."""


def many(row: Primitive) -> Callable[..., Operand]:
    """A row of any number of operands as a function."""
    code, total = CODES[row], row.value

    def of_any(*xs: Operand) -> Operand:
        recorder = _only_recorder(xs)
        if recorder is None or not recorder.plain._is_owned():
            return row(*xs)
        slots = [x._slot if type(x) is Var else recorder.constant(x) for x in xs]
        value = total(*[recorder.values[slot] for slot in slots])
        start = len(recorder.pool)
        recorder.pool.extend(slots)
'''
    + indent(_ENTRY.format(kind="Var", code="code", left="start", right="len(slots)"), "        ")
    + """
    def function(x: Operand = _NOTHING, y: Operand = _NOTHING, /, *others: Operand) -> Operand:
        if others or type(x) is not Var or type(y) is not Var or x._recorder is not y._recorder:
            return of_any(*[each for each in (x, y, *others) if each is not _NOTHING])
        recorder = x._recorder
        if not recorder.plain._is_owned():
            return row(x, y)
        value = total(x._value, y._value)
        pool = recorder.pool
        start = len(pool)
        pool.append(x._slot)
        pool.append(y._slot)
"""
    + indent(_ENTRY.format(kind="Var", code="code", left="start", right="2"), "        ")
    + """
    return update_wrapper(function, of_any)
"""
)

_CHOICE: Final = (
    '''\
def choice(slowly: F) -> F:
    """``where`` that does at once what is plain, and leaves anything else to ``slowly``."""

    def function(condition: Condition, x: Operand, y: Operand, /) -> object:
        if type(condition) is not Condition:
            return slowly(condition, x, y)
        recorder = condition._recorder
'''
    + indent(
        (
            _ALONE.format(slowly="{row}(x, y)")
            + _other("x", "first", "p")
            + _other("y", "second", "q")
        ).replace("{row}(x, y)", "slowly(condition, x, y)")
        + """\
value = p if condition._value else q
pool = recorder.pool
start = len(pool)
pool.append(condition._slot)
pool.append(first)
pool.append(second)
"""
        + _ENTRY.format(kind="Var", code="_WHERE", left="start", right="3"),
        "        ",
    )
    + """
    return cast(F, update_wrapper(function, slowly))
"""
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
