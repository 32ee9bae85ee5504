"""Straight code on arrays: rows as lines that call numpy's functions, and nothing in between.

A row is written in the steps of ``array_steps``, if they are few. An expression that was computed
is not computed again, and what is known to be a number goes by the row's own function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, lru_cache, partial
from re import findall, sub
from textwrap import indent
from typing import Any, Final, cast, final

import attrs
import numpy as np

from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import (
    PASSES,
    direct_function,
    has_bits_of_numbers,
    is_exact,
    is_own,
    ufunc_of,
    with_rare,
)
from tapegrad.ops.array_steps import SPELLED, STEPS
from tapegrad.ops.array_support import serving
from tapegrad.ops.inline import INLINE_NAMES, call_name
from tapegrad.ops.lowering import Usually
from tapegrad.ops.primitive import MANY, Operand, Primitive, Traced

__all__ = [
    "MOST_LINES",
    "NAMES",
    "Code",
    "Name",
    "NotSpelledError",
    "Script",
    "in_c_order",
    "spelled",
]

MOST_LINES: Final = 16
"""The most lines of a row that are written where it is needed; a longer one is called."""


class NotSpelledError(Exception):
    """An expression has no straight code."""


@attrs.frozen
class Name(Traced):
    """The name of a value: applying rows to names writes lines."""

    script: Script
    text: str

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Name:
        return self.script.apply(row, operands)

    @property
    def made_by(self) -> Primitive | None:
        """The row that gave this value, where that is known."""
        return self.script.made.get(self.text)


@final
@attrs.frozen(eq=False)
class Code:
    """A function of what ``names`` says, which gives what ``found`` says, None for "".

    With ``is_exact`` it has the same bits on parts of arrays as on the whole.
    """

    run: Callable[..., Any]
    names: Sequence[str]
    found: Sequence[str]
    is_exact: bool
    lines: int


class Script:
    """Lines that compute rows; ``known`` has the name of each expression that was computed.

    ``numbers`` are the names that stand for no arrays, ``inexact`` those of expressions whose bits
    depend on how arrays stand in memory. ``made`` has the rows that gave names, ``operands`` what
    these rows were applied to.

    Of the arrays ``given`` the result is one, element by element. ``spans`` has those of which a
    name is made. What is made of all of them has the result's shape: where nobody else holds it
    (``own``), another line may write to it.
    """

    def __init__(self, numbers: set[str], given: Collection[str] = ()) -> None:
        self.numbers = numbers
        self.spans: dict[str, set[str]] = {name: {name} for name in {*given} - numbers}
        self.own: set[str] = set()
        self.calls: dict[str, tuple[str, Sequence[str]]] = {}
        self.known: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self.made: dict[str, Primitive] = {}
        self.operands: dict[str, Sequence[Operand]] = {}
        self.inexact: set[str] = set()
        self.called: dict[str, Any] = {}

    def apply(self, row: Primitive, operands: Sequence[Operand]) -> Name:
        """The name of a row's value."""
        return Name(self, self.value(row, operands))

    def know(self, row: Primitive, operands: Sequence[Operand], name: str) -> None:
        """Notes the name that a row's value has."""
        self.known[self.expression(row, operands)] = name
        self.made[name], self.operands[name] = row, operands
        self.spans[name] = {*self.spans}

    def value(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The name of a row's value, which is computed if it is not known."""
        expression = self.expression(row, operands)
        name = self.known.get(expression)
        if name is None:
            on_numbers = all(map(self.is_number, operands))
            name = "" if on_numbers else self.written_out(row, operands)
            if not name:
                name = self.line(expression)
                self.made[name], self.operands[name] = row, operands
                if on_numbers:
                    self.numbers.add(name)
                else:
                    self.note(row, operands, name)
            self.known[expression] = name
        return name

    def note(self, row: Primitive, operands: Sequence[Operand], name: str) -> None:
        """Notes what the name of an array is good for."""
        if not is_exact(row):
            self.inexact.add(name)
        names = [operand.text for operand in operands if isinstance(operand, Name)]
        self.spans[name] = {each for text in names for each in self.spans.get(text, ())}
        if is_own(row):
            self.own.add(name)
        if row in _OUT:
            self.calls[name] = f"{row.name}_into", self.texts(row, operands)

    def once(self, expression: str) -> str:
        """The name for what an expression gives, which has one line."""
        if expression not in self.known:
            self.known[expression] = self.line(expression)
        return self.known[expression]

    def line(self, expression: str) -> str:
        """A new name for what an expression gives."""
        name = f"v{len(self.lines)}"
        self.lines[name] = expression
        return name

    def written_out(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The name of a row's value that is computed in few other rows; "" where it is not."""
        plain = [Name(self, x.text) if isinstance(x, Name) else x for x in operands]
        if row.has_static and isinstance(plain[-1], Name):
            return ""
        steps = STEPS.get(row)
        found = steps(*plain) if steps else None
        if found is None and _is_short(row, self.kinds(row, operands)):
            found = SPELLED[row](*plain)
        return "" if found is None else self.result(row, found, plain)

    def kinds(self, row: Primitive, operands: Sequence[Operand]) -> tuple[object, ...]:
        """The kinds of these operands, as ``spelled`` takes them."""
        static = operands[len(operands) - row.has_static :]
        given = operands[: len(operands) - row.has_static]
        return *(self.is_number(operand) for operand in given), *static

    def result(self, row: Primitive, found: Any, operands: Sequence[Operand]) -> str:
        """The name of what a spelling gives: an array, which has no elements that do not hold."""
        value, holds = (found.value, found.holds) if isinstance(found, Usually) else (found, 1.0)
        given, text = ", ".join(map(_text, operands)), _text(value)
        if self.is_number(value):
            text = self.line(f"filled({text}, {given})")
        if not isinstance(holds, Name):
            return text if holds == 1.0 else ""
        self.own.discard(text)
        name, all_hold = f"{row.name}_with_rare", self.unfolded(holds.text)
        self.called[name] = partial(with_rare, row)
        certain = self.certain(holds)
        test = self.once(certain) if certain else f"all_hold({all_hold})"
        checked = self.line(f"{text} if {test} else {name}({text}, {all_hold}, {given})")
        if text in self.inexact or holds.text in self.inexact:
            self.inexact.add(checked)
        return checked

    def unfolded(self, name: str) -> str:
        """The expression of a condition, in which those that it is made of are written out."""
        row, expression = self.made.get(name), self.lines.get(name)
        if expression is None or row is None or not row.is_truth or name in self.numbers:
            return name
        return sub(r"\bv\d+\b", lambda found: self.unfolded(found[0]), expression)

    def certain(self, holds: Operand) -> str:
        """A test that costs less than a condition for each number, where it shows that all hold."""
        if not isinstance(holds, Name) or holds.text not in self.operands:
            return ""
        if self.is_number(holds):
            return holds.text
        row = holds.made_by
        first, *rest = self.operands[holds.text]
        if row is ops.or_:
            return self.certain(first)
        if row is ops.and_:
            tests = [self.certain(first), self.certain(rest[0])]
            if self.is_implied(first, rest[0]):
                return tests[1]
            return " and ".join(tests) if all(tests) else ""
        bound = _text(rest[0]) if rest and not isinstance(rest[0], Name) else ""
        if row in _EXTREMES and bound and not self.is_number(first):
            return _EXTREMES[row].format(_text(first), bound)
        return ""

    def is_implied(self, holds: Operand, other: Operand) -> bool:
        """Whether one condition holds where another does, as for a number more than a square."""
        low, high = (self.applied(x, row) for x, row in ((holds, ops.gt), (other, ops.lt)))
        if low is None or high is None or low[0] != high[0]:
            return False
        number, square = self.applied(low[0], ops.add) or (None, None)
        x, y = self.applied(square, ops.mul) or (None, 0.0)
        return x == y and isinstance(number, float) and number > low[1]

    def applied(self, operand: object, row: Primitive) -> Sequence[Any] | None:
        """The operands to which a row was applied, if that gave this one."""
        is_made = isinstance(operand, Name) and operand.made_by is row
        return self.operands[cast(Name, operand).text] if is_made else None

    def product(self, x: Name, partial: Operand) -> Name:
        """The product with a partial, without a factor that is 1 or -1."""
        if isinstance(partial, float) and abs(partial) == 1.0:
            return x if partial == 1.0 else self.apply(ops.neg, (x,))
        return self.apply(ops.mul, (x, partial))

    def is_number(self, operand: object) -> bool:
        """Whether an operand is known to be no array."""
        return not isinstance(operand, Name) or operand.text in self.numbers

    def expression(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The expression of a row's value."""
        if not all(isinstance(operand, Name | float | int) for operand in operands):
            raise NotSpelledError
        on_numbers = all(map(self.is_number, operands))
        if row is ops.where and self.is_lesser(*operands):
            return f"lesser({_text(operands[2])}, {self.laid_down(operands[1])})"
        texts = self.texts(row, operands)
        if row in _OPERATORS:
            return row.python.format(*texts)
        if on_numbers:
            name, function = call_name(row), row.value
        else:
            name = f"{row.name}_on_arrays"
            function = direct_function(row) or serving("ops.elementwise").function_of(row)
            if not has_bits_of_numbers(row):
                texts = list(map(self.in_order, texts))
        self.called[name] = function
        called = f"{name}({', '.join(texts)})"
        if row is ops.div_pos and not self.is_number(operands[1]):
            called = (
                f"{' / '.join(texts)} if {_EXTREMES[ops.gt].format(texts[1], 0.0)} else {called}"
            )
        return called

    def in_order(self, text: str) -> str:
        """An operand in C order, where it is an array that a line has made."""
        made = self.lines.get(text, "")
        return _IN_ORDER.format(text) if made and not made.startswith("array(") else text

    def texts(self, row: Primitive, operands: Sequence[Operand]) -> list[str]:
        """The texts of the operands of a row, in one order for those that may change places."""
        is_direct = row in _OPERATORS or direct_function(row) is not None
        on_numbers = all(map(self.is_number, operands))
        found = list(map(self.laid_down if is_direct and not on_numbers else _text, operands))
        takes_arrays = row in _OPERATORS or ufunc_of(row) is not None
        if takes_arrays and any(map(self.spans.get, found)):
            found = [self.once(f"array({x})") if x in self.numbers else x for x in found]
        return sorted(found) if row.commutes_from == 0 else found

    def is_lesser(self, condition: Operand, bound: Operand, x: Operand) -> bool:
        """Whether a choice gives the lesser of an array and a number."""
        if not (isinstance(condition, Name) and isinstance(x, Name) and isinstance(bound, float)):
            return False
        if condition.made_by is not ops.gt or self.is_number(x):
            return False
        return bound != 0.0 and [*self.operands[condition.text]] == [x, bound]

    def laid_down(self, operand: object) -> str:
        """The text of an operand, where a number is an array without axes, as numpy makes one."""
        if isinstance(operand, Name):
            return operand.text
        name = f"c{_text(operand)}".translate(_OF_NUMBERS)
        self.called[name] = np.array(operand, np.float64)
        return name

    def body(self, found: Sequence[str]) -> list[str]:
        """The lines that lead to what was ``found``, which stands in C order."""
        needed, last = self.needed(found), dict[str, str]()
        for name, text in self.lines.items():
            if name in needed:
                last.update(dict.fromkeys(findall(r"\w+", text), name))
        last.update(dict.fromkeys(found, ""))
        lines = [f"{name} = {self.text(name, last)}" for name in self.lines if name in needed]
        results = (name for name in dict.fromkeys(found) if name in self.lines)
        return lines + [_IN_C_ORDER.format(name) for name in results if name not in self.numbers]

    def text(self, name: str, last: Mapping[str, str]) -> str:
        """The expression of a name, which may write to an array that no line reads after it.

        ``last`` has the name of the last line that reads each.
        """
        function, texts = self.calls.get(name, ("", ()))
        whole = {each for spans in self.spans.values() for each in spans}
        for text in texts:
            is_free = text in self.own and last[text] == name
            if is_free and self.spans[text] == whole != set():
                return f"{function}({', '.join([*texts, text])})"
        return self.lines[name]

    def needed(self, found: Sequence[str]) -> set[str]:
        """The names that lead to what was ``found``."""
        needed = set(found)
        for name, expression in reversed(self.lines.items()):
            if name in needed:
                needed.update(findall(r"\w+", expression))
        return needed

    def code(self, names: Sequence[str], found: Sequence[str]) -> Code:
        """A function of the ``names`` that gives what was ``found``."""
        lines = self.body(found)
        results = ", ".join(name or "None" for name in found)
        text = indent("\n".join([*lines, f"return {results},"]), "    ")
        text = f"def run({', '.join(names)}):\n{text}\n"
        namespace = {**INLINE_NAMES, **NAMES, **self.called}
        exec(compile(text, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # the source is spelled from the table alone
        run = cast("Callable[..., Any]", namespace["run"])
        is_exact = self.needed(found).isdisjoint(self.inexact)
        return Code(run, names, found, is_exact, len(self.lines))


@lru_cache(maxsize=4096)
def spelled(row: Primitive, kinds: tuple[object, ...]) -> Code | None:
    """The function of a row, None where it has no spelling for such operands.

    ``kinds`` has True for operands that are numbers, and last the static one.
    """
    spelling = SPELLED.get(row)
    count = len(kinds) - row.has_static
    if spelling is None or count > MANY:
        return None
    names = [f"x{at}" for at in range(count)]
    script = Script({name for name, kind in zip(names, kinds, strict=False) if kind}, names)
    static = cast("tuple[float, ...]", kinds[count:])
    given: list[Operand] = [*(Name(script, name) for name in names), *static]
    found = spelling(*given)
    text = "" if found is None else script.result(row, found, given)
    return script.code([*names, "n"] if row.has_static else names, (text,)) if text else None


@cache
def _is_short(row: Primitive, kinds: tuple[object, ...]) -> bool:
    """Whether a row is written where it is needed."""
    if row in PASSES or row not in SPELLED:
        return False
    code = spelled(row, kinds)
    return code is not None and code.lines <= MOST_LINES


def _text(operand: object) -> str:
    if isinstance(operand, Name):
        return operand.text
    return f"({operand!r})" if str(operand)[0] == "-" else repr(operand)


def in_c_order(found: Any) -> Any:
    """An array in C order; numbers stay."""
    if type(found) is np.ndarray and not found.flags.c_contiguous:
        return np.ascontiguousarray(found)
    return found


def _filled(number: float, *operands: Any) -> Any:
    """One number everywhere."""
    shapes = {x.shape for x in operands if type(x) is np.ndarray}
    return np.full(shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes), number)


def _all_hold(holds: Any) -> bool:
    """Whether a condition holds everywhere."""
    return bool(np.count_nonzero(holds) == np.size(holds))


_EXTREMES: Final = {
    ops.gt: "(not {0}.size or {0}.item({0}.argmin()) > {1})",
    ops.lt: "(not {0}.size or {0}.item({0}.argmax()) < {1})",
}
"""How comparisons of an array with a number are tested by its least or its largest number."""

_OF_NUMBERS: Final = str.maketrans("+-.()", "pmd__")
"""The letters for what stands in numbers but in no name."""

_IN_ORDER: Final = "{0} if {0}.flags.c_contiguous else ascontiguousarray({0})"

_IN_C_ORDER: Final = """\
if type({0}) is ndarray and {0}.ndim > 1 and not {0}.flags.c_contiguous:
    {0} = ascontiguousarray({0})"""

_OUT: Final[Mapping[Primitive, np.ufunc]] = {
    ops.add: np.add, ops.sub: np.subtract, ops.mul: np.multiply, ops.neg: np.negative,
    ops.div: np.divide, ops.abs: np.absolute, ops.sqrt: np.sqrt,
}  # fmt: skip
"""Rows that are rounded correctly: the bits stay where they write to an operand."""

NAMES: Final[Mapping[str, Any]] = {
    "all_hold": _all_hold, "array": np.array, "ascontiguousarray": np.ascontiguousarray,
    "filled": _filled, "lesser": np.minimum, "ndarray": np.ndarray,
    **{f"{row.name}_into": ufunc for row, ufunc in _OUT.items()},
}  # fmt: skip
"""The functions that lines call beside rows."""

_OPERATORS: Final = frozenset((ops.add, ops.mul, ops.neg, ops.sub))
"""Rows whose values on numbers and on arrays are Python's operators."""
