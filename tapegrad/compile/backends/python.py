"""A program as straight Python on floats, with the bits of the eager call.

Operators and functions of ``math`` stand in line where they do not raise, as ``ops.inline`` has
them; where they would, the row's own function is called. The source holds no text of the tape:
names are ``v0`` to ``vn``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, cast, final

from tapegrad.compile.backends.function_writer import OPERATORS, FunctionWriter, indented, moves
from tapegrad.compile.backends.interface import RunFloats, ScalarCode
from tapegrad.compile.loops import Table
from tapegrad.compile.piece_buffer import Input, Place, PlacedPiece, Source
from tapegrad.compile.program import Program
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.inline import INLINE_NAMES, inlined

__all__ = ["compiled", "run_once", "scalar", "source"]

_TRUTHS: Final[Mapping[str, str]] = {
    **{name: text for name, text in OPERATORS.items() if getattr(ops, name).is_truth},
    "and_": "{0} and {1}",
    "or_": "{0} or {1}",
    "not_": "not {0}",
    "isnan": "{0} != {0}",
    "isinf": "isinf({0})",
    "isfinite": "isfinite({0})",
}
"""Conditions, which are bools here."""

_SMALL: Final = (1.0, 2.0, 3.0, 4.0)
"""Exponents of which no power below 1e75 raises."""


def compiled(program: Program) -> RunFloats:
    """A program as a function of Python."""
    writer = _PythonWriter(program, "run")
    code = compile(writer.text(), "<spelled by tapegrad>", "exec")
    namespace = {**INLINE_NAMES, **writer.called}
    exec(code, namespace)  # noqa: S102  # the source is spelled from rows and numbers alone
    return cast(RunFloats, namespace["run"])


def run_once(program: Program, inputs: Sequence[float]) -> Sequence[float] | int:
    """The outputs of a program, or the guard that came out differently, without compiling it."""
    values = [*inputs, *[0.0] * (len(program) - program.inputs)]
    for slot in range(program.inputs, len(program)):
        operands = [values[operand] for operand in program.operands[slot]]
        if slot in program.constants:
            values[slot] = program.constants[slot]
        elif slot in program.expected:
            if bool(operands[0]) != program.expected[slot]:
                return program.guard_indices[slot]
        elif slot not in program.skip_where or not values[program.skip_where[slot]]:
            values[slot] = program.rows[slot].value(*operands, *program.static(slot))
    return [float(values[output]) for output in program.outputs]


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


def _meets(source: Place, grid: Place | None, count: int) -> bool:
    """Whether a source reads what is stored while it does."""
    if grid is None or abs(source.step) % grid.step:
        return False
    first, last = source.first, source.first + source.step * (count - 1)
    return min(first, last) <= grid.first + grid.step * count and max(first, last) >= grid.first


@final
class _PythonWriter(FunctionWriter):
    """Writes a program; ``called`` holds the objects that are named in the text."""

    input, output, declaration = "x[{}]", "o[{}]", "v{} = {}"
    variable = assignment = "{} = {}"

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(program, name)
        self.called: dict[str, object] = {}
        self.names: dict[object, str] = {}

    def text(self) -> str:
        """The source."""
        if self.pieces:
            return self.text_of_pieces()
        end = f"return [{', '.join(map(self.operand, self.program.outputs))}]"
        bodies = [self.body(part, ["return None"]) for part in self.parts[:-1]]
        last = self.body(self.parts[-1], [end])
        if not bodies:
            return f"def {self.name}(x):\n{last}\n"
        last = f"def {self.name}_end(x, b):\n{last}\n"
        functions = self.functions("x, b", bodies)
        return "\n\n".join([*functions, last, self.entry_point(len(bodies))])

    def text_of_pieces(self) -> str:
        """The source of a program with loops."""
        count = len(self.program.outputs)
        functions = self.functions("x, b, o", [self.piece_body(p, []) for p in self.pieces])
        tables = [f"k{index} = {self.table(index)}" for index in range(len(self.tables))]
        return "\n\n".join([*tables, *functions, self.entry_point(len(functions), count)])

    def functions(self, parameters: str, bodies: Sequence[str]) -> Sequence[str]:
        """Functions with these bodies."""
        return [
            f"def {self.name}{index}({parameters}):\n{body}\n" for index, body in enumerate(bodies)
        ]

    def entry_point(self, count: int, outputs: int | None = None) -> str:
        """The function that calls all others; they write so many outputs, or the last gives all."""
        names = "".join(f"{self.name}{index}, " for index in range(count))
        given, end = ("x, b", f"{self.name}_end(x, b)") if outputs is None else ("x, b, o", "o")
        made = "" if outputs is None else f"    o = [0.0] * {outputs}\n"
        return (
            f"def {self.name}(x):\n"
            f"    b = [0.0] * {self.places}\n"
            f"{made}"
            f"    for part in ({names}):\n"
            f"        flip = part({given})\n"
            "        if flip is not None: return flip\n"
            f"    return {end}\n"
        )

    def looped(self, placed: PlacedPiece) -> Iterator[str]:
        """A loop over columns, since slices of them are read in less time than by their places.

        ``i`` is the place of the first value that is stored for each iteration, and what a loop
        stores itself is read by place.
        """
        count, grid = placed.piece.count, self.grid(placed)
        columns, before = {}, []
        for slot, source in placed.sources.items():
            if isinstance(source, Place) and moves(source) and _meets(source, grid, count):
                before.append(self.declared(slot, self.source(source)))
            elif moves(source):
                columns[f"v{slot}"] = self.column(source, count)
        if grid is not None:
            columns["i"] = f"range({grid.first}, {grid.first + grid.step * count}, {grid.step})"
        lines = [*before, *self.iteration(placed)]
        rows = ", ".join([f"range({count})", *columns.values()])
        yield f"for {', '.join(['t', *columns])} in {f'zip({rows})' if columns else rows}:"
        yield indented(lines)

    def grid(self, placed: PlacedPiece) -> Place | None:
        """The place of the first value that is stored for each iteration."""
        return next((stored.place for stored in placed.stored if stored.place.step), None)

    def stored_at(self, place: Place) -> str:
        """The place at which an iteration stores a value, beside that of the first one."""
        if self.placed is None or self.placed.piece.count == 1 or not place.step:
            return str(place.first)
        grid = self.grid(self.placed)
        return f"i + {place.first - (grid or place).first}"

    def column(self, source: Source, count: int) -> str:
        """The values of a source in all iterations, as a slice."""
        if isinstance(source, Table):
            return self.source(source).removesuffix("[t]")
        stop = source.first + source.step * count
        stops = stop if stop >= 0 else ""
        base = "x" if isinstance(source, Input) else "b"
        return f"{base}[{source.first}:{stops}:{source.step}]"

    def table(self, index: int) -> str:
        """Constants, as a tuple."""
        return f"({', '.join(map(self.literal, self.tables[index]))})"

    def entry(self, slot: int) -> Iterator[str]:
        program = self.program
        if slot in program.expected:
            (condition,) = self.operands(slot)
            recorded = "not " if program.expected[slot] else ""
            yield f"if {recorded}{condition}: return {self.guard_index(slot)}"
        else:
            yield self.declared(slot, self.expression(slot))

    def literal(self, number: float) -> str:
        return f"({number!r})" if math.copysign(1.0, number) < 0.0 else repr(number)

    def expression(self, slot: int) -> str:
        """The value of an entry."""
        program = self.program
        row, operands = program.rows[slot], self.operands(slot)
        if row.name in _TRUTHS:
            condition = _TRUTHS[row.name].format(*operands)
            return f"1.0 if {condition} else 0.0" if slot in self.numeric else condition
        if row.name == "powc_slope" and program.statics[slot] == 2.0:
            return f"2.0 * {operands[0]}"
        call = self.call(slot, operands)
        if usual := self.power(slot, row.name):
            return f"{usual.format(*operands)} {call}"
        plain = inlined(row, operands, call)
        if plain != call:
            return plain
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
