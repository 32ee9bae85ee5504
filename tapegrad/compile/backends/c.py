"""Writes a program as C99: one file without dependencies, with the bits of the eager call.

``run`` takes the inputs in order and writes the outputs. It returns -1; or the index of the guard
that came out differently, -2 where numbers leave the range in which this code has the bits of
Python's, and -3 where there is no memory, in which cases the outputs mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import copysign, isinf, isnan
from textwrap import dedent, fill
from typing import Final, final

from tapegrad._support.source_position import here
from tapegrad.compile.backends.function_writer import OPERATORS, FunctionWriter, indented, moves
from tapegrad.compile.partition import ProgramPart, slots_read
from tapegrad.compile.piece_buffer import PlacedPiece
from tapegrad.compile.program import Program
from tapegrad.compile.rare import rare_operands, rare_program
from tapegrad.errors import BackendError
from tapegrad.ops.primitive import Primitive

__all__ = ["source"]

_OPERATORS: Final[Mapping[str, str]] = {
    **OPERATORS,
    "div": "{0} / {1}",
    "where": "{0} ? {1} : {2}",
    "and_": "{0} && {1}",
    "or_": "{0} || {1}",
    "not_": "!{0}",
    "isnan": "isnan({0}) != 0",
    "isinf": "isinf({0}) != 0",
    "isfinite": "isfinite({0}) != 0",
    "abs": "fabs({0})",
    "pow": "power({0}, {1})",
}
"""The core rows that are not functions of C's library under their own name."""

_STACK: Final = 4096
"""The most numbers that pass through a buffer on the stack; more are on the heap."""

_POWER: Final = """\
/* Compilers make x * x of pow(x, 2.0), which rounds otherwise: this hides which function it is. */
static double (*const volatile power)(double, double) = pow;
"""

_PARTS: Final[Mapping[str, str]] = {
    "mantissa": """\
        static double mantissa(double x)
        {
            int n;
            return frexp(x, &n);
        }
        """,
    "exponent": """\
        static double exponent(double x)
        {
            int n;
            frexp(x, &n);
            return isfinite(x) ? n : 0.0;
        }
        """,
    "power_of_2": """\
        static double power_of_2(double n)
        {
            return n >= -1022.0 && n <= 1023.0 && n == trunc(n) ? ldexp(1.0, (int)n) : NAN;
        }
        """,
}
"""The core rows that C's library has in another form."""


def source(program: Program, name: str = "run") -> str:
    """The C source of ``int run(const double *in, double *out)``.

    It compiles with ``-std=c99 -Wall -Wextra -ffp-contract=off`` and needs the maths library.

    Raises:
        BackendError: when the program has rows that only Python can compute.
    """
    _require_c(program)
    return _CWriter(program, name).text()


def _require_c(program: Program) -> None:
    called = {
        row.name
        for slot, row in enumerate(program.rows)
        if not row.core and slot not in program.skip_where
    }
    if called:
        raise BackendError(
            f"C has no {', '.join(sorted(called))} ({here()}): use the python or llvm backend, "
            "which call back, or spell the model without"
        )


def _slots_read(program: Program, slot: int) -> Sequence[int]:
    """The slots that an entry reads in C, where some calls that may be skipped have no function."""
    if slot in program.skip_where and rare_program(program, slot) is None:
        return (program.skip_where[slot],)
    return slots_read(program, slot)


class _CWriter(FunctionWriter):
    """Writes a program; ``functions`` has the functions that it calls, by their names."""

    input, output, declaration = "in[{}]", "out[{}]", "const double v{} = {};"
    variable, assignment = "double {} = {};", "{} = {};"

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(program, name, _slots_read)
        self.functions: dict[str, str] = {}

    def text(self) -> str:
        """The source."""
        bodies = [self.straight_body(part) for part in self.parts]
        bodies += [self.piece_body(placed, ["return -1;"]) for placed in self.pieces]
        parts = [self.function(index, body) for index, body in enumerate(bodies)]
        before = [*self.functions.values(), *map(self.table, range(len(self.tables)))]
        power = [_POWER] if "power(" in "".join([*parts, *before]) else []
        has_heap = self.places > _STACK
        headers = "#include <math.h>\n" + "#include <stdlib.h>\n" * has_heap
        return "\n".join([headers, *power, *before, *parts, self.entry_point(len(parts))])

    def entry_point(self, count: int) -> str:
        """The function that calls all others."""
        head = f"int {self.name}(const double *in, double *out)\n{{\n"
        if self.places <= _STACK:
            calls = "".join(
                f"    if ((flip = {self.name}{index}(in, out, b)) != -1)\n        return flip;\n"
                for index in range(count)
            )
            # Zeros, since compilers cannot tell that a loop runs at all, or that nothing is read
            # after a part that returns early, and warn of what these alone write.
            buffer = f"    double b[{max(self.places, 1)}] = {{0}};\n    int flip;\n"
            return f"{head}{buffer}{calls}    return -1;\n}}\n"
        calls = " ||\n        ".join(
            f"(flip = {self.name}{index}(in, out, b)) != -1" for index in range(count)
        )
        return (
            f"{head}    double *b = calloc({self.places}, sizeof *b);\n    int flip = -3;\n"
            f"    if (b == NULL)\n        return flip;\n    (void)({calls});\n"
            "    free(b);\n    return flip;\n}\n"
        )

    def straight_body(self, part: ProgramPart) -> str:
        """The statements of a part, of which the last writes the outputs."""
        end = ["return -1;"]
        if part is self.parts[-1]:
            outputs = enumerate(map(self.operand, self.program.outputs))
            end = [*(f"out[{index}] = {value};" for index, value in outputs), *end]
        return self.body(part, end)

    def function(self, index: int, body: str) -> str:
        """A function with this body."""
        parameters = "const double *in, double *out, double *b"
        unused = "    (void)in, (void)out, (void)b;"
        return f"static int {self.name}{index}({parameters})\n{{\n{unused}\n{body}\n}}\n"

    def looped(self, placed: PlacedPiece) -> Iterator[str]:
        yield f"for (int t = 0; t < {placed.piece.count}; t++) {{"
        for slot, source in placed.sources.items():
            if moves(source):
                yield indented([self.declared(slot, self.source(source))])
        yield indented(self.iteration(placed))
        yield "}"

    def table(self, index: int) -> str:
        """An array of constants."""
        numbers = indented(fill(", ".join(map(self.literal, self.tables[index])), 96).splitlines())
        return f"static const double k{index}[] = {{\n{numbers}\n}};\n"

    def entry(self, slot: int) -> Iterator[str]:
        program, row = self.program, self.program.rows[slot]
        if slot in program.expected:
            (condition,) = self.operands(slot)
            recorded = "!" if program.expected[slot] else ""
            yield f"if ({recorded}{condition})\n    return {self.guard_index(slot)};"
        elif row.is_truth and slot not in self.numeric:
            yield f"const int v{slot} = {self.expression(slot, row)};"
        elif slot in program.skip_where:
            yield from self.skippable(slot, row)
        else:
            yield self.declared(slot, self.expression(slot, row))

    def skippable(self, slot: int, row: Primitive) -> Iterator[str]:
        """The statements of a call that is rarely needed: its C function, or the way out."""
        skip, rare = self.operand(self.program.skip_where[slot]), rare_program(self.program, slot)
        if rare is None:
            yield f"if (!{skip})\n    return -2;"
            yield self.declared(slot, "0.0")
            return
        name = f"{row.name}_{rare.inputs}" if row.arity is None else row.name
        if name not in self.functions:
            self.functions |= _rare_functions(rare, name, row.doc)
        static = map(self.literal, rare_operands(self.program, slot))
        operands = ", ".join([*self.operands(slot), *static])
        yield self.declared(slot, f"{skip} ? 0.0 : {name}({operands})")

    def expression(self, slot: int, row: Primitive) -> str:
        """The value of an entry."""
        operands = self.operands(slot)
        if row.name in _OPERATORS:
            return _OPERATORS[row.name].format(*operands)
        if row.name in _PARTS:
            self.functions[row.name] = dedent(_PARTS[row.name])
        return f"{row.name}({', '.join(operands)})"

    def literal(self, number: float) -> str:
        if isnan(number):
            return "NAN"
        text = "INFINITY" if isinf(number) else abs(number).hex()
        return f"(-{text})" if copysign(1.0, number) < 0.0 else text


def _rare_functions(program: Program, name: str, doc: str) -> Mapping[str, str]:
    """The function of what is rarely needed, after those that it calls."""
    writer = _RareWriter(program, name)
    text = writer.function_of_operands(doc)
    return {**writer.functions, name: text}


@final
class _RareWriter(_CWriter):
    """Writes a program that computes one number as a function of its operands."""

    input = "x{}"

    def function_of_operands(self, doc: str) -> str:
        """The text of the function."""
        (output,) = self.program.outputs
        given = ", ".join(f"double x{slot}" for slot in range(self.program.inputs))
        (part,) = self.parts
        body = self.body(part, [f"return {self.operand(output)};"])
        return f"/* {doc} */\nstatic double {self.name}({given})\n{{\n{body}\n}}\n"
