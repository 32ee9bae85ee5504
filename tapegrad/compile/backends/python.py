"""A program as straight Python on floats, with the bits of the eager call.

Operators and functions of ``math`` stand in line where they do not raise; where they would, the
row's own function is called. The source holds no text of the tape: names are ``v0`` to ``vn``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from textwrap import indent
from typing import Final, TypeAlias, cast

from tapegrad.compile.backends.interface import Backend, ScalarCode
from tapegrad.compile.conditions import numbers
from tapegrad.compile.partition import Part, partition
from tapegrad.compile.program import Program
from tapegrad.entries.static_keys import static_key

__all__ = ["PYTHON", "Run", "compiled", "source"]

Run: TypeAlias = Callable[[Sequence[float]], "list[float] | int"]
"""The inputs in; the outputs out, or the index of the guard that came out differently."""

_ENTRIES: Final = 500
"""Entries in one function."""

_IN_RANGE: Final[Mapping[str, str]] = {
    "div": "{0} / {1} if {1} else",
    "sqrt": "sqrt({0}) if {0} >= 0.0 else",
    "exp": "exp({0}) if {0} < 709.0 else",
    "exp2": "exp2({0}) if {0} < 1023.0 else",
    "expm1": "expm1({0}) if {0} < 709.0 else",
    "sinh": "sinh({0}) if -709.0 < {0} < 709.0 else",
    "cosh": "cosh({0}) if -709.0 < {0} < 709.0 else",
    "log": "log({0}) if {0} > 0.0 else",
    "log2": "log2({0}) if {0} > 0.0 else",
    "log10": "log10({0}) if {0} > 0.0 else",
    "log1p": "log1p({0}) if {0} > -1.0 else",
    "sin": "sin({0}) if isfinite({0}) else",
    "cos": "cos({0}) if isfinite({0}) else",
    "tan": "tan({0}) if isfinite({0}) else",
    "asin": "asin({0}) if -1.0 <= {0} <= 1.0 else",
    "acos": "acos({0}) if -1.0 <= {0} <= 1.0 else",
    "acosh": "acosh({0}) if {0} >= 1.0 else",
    "atanh": "atanh({0}) if -1.0 < {0} < 1.0 else",
    "fmod": "fmod({0}, {1}) if {1} and isfinite({0}) else",
    "remainder": "remainder({0}, {1}) if {1} and isfinite({0}) else",
    "div_pos": "{0} / {1} if {1} > 0.0 else",
    "mod": "{0} % {1} if {1} else",
    "floordiv": "{0} // {1} if {1} else",
}
"""Where Python's own operator or function gives what the row does; elsewhere the row is called."""

_EVERYWHERE: Final[Mapping[str, str]] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "detached": "{0}",
    "where": "{1} if {0} else {2}",
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "relu": "0.0 if {0} <= 0.0 else {0}",
    "step": "1.0 if {0} > 0.0 else 0.0 if {0} <= 0.0 else nan",
    "win": "1.0 if {0} > {1} else 0.0 if {0} < {1} else 0.5 if {0} == {1} else nan",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "and_": "{0} and {1}",
    "or_": "{0} or {1}",
    "not_": "not {0}",
    "isnan": "{0} != {0}",
    "isinf": "isinf({0})",
    "isfinite": "isfinite({0})",
    **{
        name: f"{name}({{0}})"
        for name in ("asinh", "atan", "cbrt", "degrees", "erf", "erfc", "radians", "tanh")
    },
    "atan2": "atan2({0}, {1})",
    "copysign": "copysign({0}, {1})",
}
"""Rows that are an expression of Python whatever the operands."""


_SMALL: Final = (1.0, 2.0, 3.0, 4.0)


def compiled(program: Program) -> Run:
    """Compile a program into a function of Python."""
    writer = _Writer(program, "run")
    code = compile(writer.text(), "<spelled by tapegrad>", "exec")
    namespace = {**_NAMES, **writer.called}
    exec(code, namespace)  # noqa: S102  # the source is spelled from rows and numbers alone
    return cast(Run, namespace["run"])


def source(program: Program, name: str = "run") -> str:
    """Write the Python source, in which ``f0``, ``f1``, ... stand for rows' functions on floats."""
    return _Writer(program, name).text()


def _scalar(program: Program) -> ScalarCode:
    run = compiled(program)
    return ScalarCode(run, partial(_run_bytes, run))


def _run_bytes(run: Run, inputs: bytes) -> bytes | int:
    found = run(memoryview(inputs).cast("d").tolist())
    return found if isinstance(found, int) else array("d", found).tobytes()


PYTHON: Final = Backend("python", scalar=_scalar, source=source, calls_any_row=True)


_NAMES: Final[Mapping[str, object]] = {
    "abs": abs,
    **{name: value for name, value in vars(math).items() if not name.startswith("_")},
}


class _Writer:
    """Writes a program, and knows what the names in it stand for."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name
        partitioned = partition(program, _ENTRIES)
        self.parts, self.places = partitioned.parts, partitioned.places
        self.numbers = numbers(program)
        self.guards = {slot: index for index, slot in enumerate(program.expected)}
        self.called: dict[str, object] = {}
        self.names: dict[object, str] = {}

    def text(self) -> str:
        if len(self.parts) == 1:
            return self.function(self.name, "x", self.parts[0], self.return_outputs())
        functions = [
            self.function(f"{self.name}{index}", "x, b", part, "return None")
            for index, part in enumerate(self.parts[:-1])
        ]
        last = self.function(f"{self.name}_end", "x, b", self.parts[-1], self.return_outputs())
        return "\n\n".join([*functions, last, self.entry_point()])

    def entry_point(self) -> str:
        names = "".join(f"{self.name}{index}, " for index in range(len(self.parts) - 1))
        return (
            f"def {self.name}(x):\n"
            f"    b = [0.0] * {self.places}\n"
            f"    for part in ({names}):\n"
            "        flip = part(x, b)\n"
            "        if flip is not None: return flip\n"
            f"    return {self.name}_end(x, b)\n"
        )

    def function(self, name: str, parameters: str, part: Part, end: str) -> str:
        lines = [f"v{slot} = x[{slot}]" for slot in part.inputs]
        lines += [f"v{slot} = b[{place}]" for slot, place in part.reads.items()]
        lines += map(self.line, part.slots)
        lines += [f"b[{place}] = v{slot}" for slot, place in part.writes.items()]
        return f"def {name}({parameters}):\n{indent(chr(10).join([*lines, end]), '    ')}\n"

    def return_outputs(self) -> str:
        return f"return [{', '.join(map(self.operand, self.program.outputs))}]"

    def line(self, slot: int) -> str:
        if slot in self.guards:
            condition = self.operand(self.program.operands[slot][0])
            kept = "not " if self.program.expected[slot] else ""
            return f"if {kept}{condition}: return {self.guards[slot]}"
        return f"v{slot} = {self.expression(slot)}"

    def expression(self, slot: int) -> str:
        program = self.program
        name, operands = program.rows[slot].name, [*map(self.operand, program.operands[slot])]
        if name in _EVERYWHERE:
            plain = _EVERYWHERE[name].format(*operands)
            return f"1.0 if {plain} else 0.0" if slot in self.numbers else plain
        if name == "powc_slope" and program.statics[slot] == 2.0:
            return f"2.0 * {operands[0]}"
        call = self.call(slot, operands)
        if usual := _IN_RANGE.get(name) or self.power(slot, name):
            return f"{usual.format(*operands)} {call}"
        if slot in program.rarely:
            return f"0.0 if {self.operand(program.rarely[slot])} else {call}"
        return call

    def power(self, slot: int, name: str) -> str:
        """Write the range in which a power by a small constant does not raise; else nothing."""
        program = self.program
        exponent = program.statics.get(slot)
        if name == "pow":
            exponent = program.constants.get(program.operands[slot][1])
        if name not in {"pow", "powc"} or exponent not in _SMALL:
            return ""
        return f"pow({{0}}, {exponent!r}) if -1e75 < {{0}} < 1e75 else"

    def call(self, slot: int, operands: Sequence[str]) -> str:
        """Write a call of the row's own function on floats."""
        row, statics = self.program.rows[slot], self.program.statics
        static = [self.named(statics[slot], "s")] if slot in statics else []
        return f"{self.named(row.value, 'f')}({', '.join([*operands, *static])})"

    def named(self, value: object, kind: str) -> str:
        """The name under which the text knows a function or a static operand."""
        key = (kind, static_key(value))
        if key not in self.names:
            self.names[key] = f"{kind}{len(self.names)}"
            self.called[self.names[key]] = value
        return self.names[key]

    def operand(self, slot: int) -> str:
        if slot not in self.program.constants:
            return f"v{slot}"
        number = self.program.constants[slot]
        return f"({number!r})" if math.copysign(1.0, number) < 0.0 else repr(number)
