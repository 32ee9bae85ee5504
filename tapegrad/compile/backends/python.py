"""A program as straight Python on floats, with the bits of the eager call.

Operators and functions of ``math`` stand in line where they do not raise; where they would, the
row's own function is called. The source holds no text of the tape: names are ``v0`` to ``vn``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, cast, final

from tapegrad.compile.backends.function_writer import OPERATORS, FunctionWriter
from tapegrad.compile.backends.interface import RunFloats, ScalarCode
from tapegrad.compile.partition import ProgramPart
from tapegrad.compile.program import Program
from tapegrad.entries.static_keys import static_key

__all__ = ["compiled", "scalar", "source"]

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
    **OPERATORS,
    "abs": "abs({0})",
    "detached": "{0}",
    "where": "{1} if {0} else {2}",
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "relu": "0.0 if {0} <= 0.0 else {0}",
    "step": "1.0 if {0} > 0.0 else 0.0 if {0} <= 0.0 else nan",
    "win": "1.0 if {0} > {1} else 0.0 if {0} < {1} else 0.5 if {0} == {1} else nan",
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
"""Exponents of which no power below 1e75 raises."""

_NAMES: Final[Mapping[str, object]] = {
    "abs": abs,
    **{name: value for name, value in vars(math).items() if not name.startswith("_")},
}
"""The functions that stand in the source under their own names."""


def compiled(program: Program) -> RunFloats:
    """A program as a function of Python."""
    writer = _PythonWriter(program, "run")
    code = compile(writer.text(), "<spelled by tapegrad>", "exec")
    namespace = {**_NAMES, **writer.called}
    exec(code, namespace)  # noqa: S102  # the source is spelled from rows and numbers alone
    return cast(RunFloats, namespace["run"])


def source(program: Program, name: str = "run") -> str:
    """The Python source, in which ``f0``, ``f1``, ... stand for rows' functions on floats."""
    return _PythonWriter(program, name).text()


def scalar(program: Program) -> ScalarCode:
    """Compiles a program for one call."""
    run = compiled(program)
    return ScalarCode(run, partial(_run_bytes, run))


def _run_bytes(run: RunFloats, inputs: bytes) -> bytes | int:
    found = run(memoryview(inputs).cast("d").tolist())
    return found if isinstance(found, int) else array("d", found).tobytes()


@final
class _PythonWriter(FunctionWriter):
    """Writes a program; ``called`` holds the objects that are named in the text."""

    input, declaration, store = "x[{}]", "v{} = {}", "b[{}] = v{}"

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(program, name)
        self.called: dict[str, object] = {}
        self.names: dict[object, str] = {}

    def text(self) -> str:
        """The source."""
        end = f"return [{', '.join(map(self.operand, self.program.outputs))}]"
        if len(self.parts) == 1:
            return self.function(self.name, "x", self.parts[0], end)
        functions = [
            self.function(f"{self.name}{index}", "x, b", part, "return None")
            for index, part in enumerate(self.parts[:-1])
        ]
        last = self.function(f"{self.name}_end", "x, b", self.parts[-1], end)
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

    def function(self, name: str, parameters: str, part: ProgramPart, end: str) -> str:
        return f"def {name}({parameters}):\n{self.body(part, [end])}\n"

    def entry(self, slot: int) -> Iterator[str]:
        program = self.program
        if slot in program.expected:
            (condition,) = self.operands(slot)
            recorded = "not " if program.expected[slot] else ""
            yield f"if {recorded}{condition}: return {program.guard_indices[slot]}"
        else:
            yield self.declared(slot, self.expression(slot))

    def literal(self, number: float) -> str:
        return f"({number!r})" if math.copysign(1.0, number) < 0.0 else repr(number)

    def expression(self, slot: int) -> str:
        """The value of an entry."""
        program = self.program
        name, operands = program.rows[slot].name, self.operands(slot)
        if name in _EVERYWHERE:
            plain = _EVERYWHERE[name].format(*operands)
            return f"1.0 if {plain} else 0.0" if slot in program.numeric_truths else plain
        if name == "powc_slope" and program.statics[slot] == 2.0:
            return f"2.0 * {operands[0]}"
        call = self.call(slot, operands)
        if usual := _IN_RANGE.get(name) or self.power(slot, name):
            return f"{usual.format(*operands)} {call}"
        if slot in program.skip_where:
            return f"0.0 if {self.operand(program.skip_where[slot])} else {call}"
        return call

    def power(self, slot: int, name: str) -> str:
        """The range in which a power by a small constant does not raise; else nothing."""
        program = self.program
        exponent = program.statics.get(slot)
        if name == "pow":
            exponent = program.constants.get(program.operands[slot][1])
        if name not in {"pow", "powc"} or exponent not in _SMALL:
            return ""
        return f"pow({{0}}, {exponent!r}) if -1e75 < {{0}} < 1e75 else"

    def call(self, slot: int, operands: Sequence[str]) -> str:
        """A call of the row's own function on floats."""
        row = self.program.rows[slot]
        static = [self.named(value, "s") for value in self.program.static(slot)]
        return f"{self.named(row.value, 'f')}({', '.join([*operands, *static])})"

    def named(self, value: object, kind: str) -> str:
        """The name under which the text knows a function or a static operand."""
        key = (kind, static_key(value))
        if key not in self.names:
            self.names[key] = f"{kind}{len(self.names)}"
            self.called[self.names[key]] = value
        return self.names[key]
