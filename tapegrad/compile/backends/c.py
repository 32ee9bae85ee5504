"""A program as C99: one file of straight code without dependencies, and the bits of the eager call.

``run`` takes the inputs in order and writes the outputs. It returns -1; or the index of the guard
that came out differently, and -2 where numbers leave the range in which this code has the bits of
Python's, in which cases the outputs mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import copysign, isinf, isnan
from textwrap import dedent, indent
from typing import Final, cast, final

from tapegrad._support.source_position import here
from tapegrad.compile.backends.interface import Backend
from tapegrad.compile.conditions import numbers
from tapegrad.compile.partition import Part, partition, slots_read
from tapegrad.compile.program import Program
from tapegrad.errors import BackendError
from tapegrad.ops.primitive import Primitive

__all__ = ["C", "source"]

_ENTRIES: Final = 500
"""Entries in one function."""

_OPERATORS: Final[Mapping[str, str]] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "where": "{0} ? {1} : {2}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
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

_POWER: Final = """\
/* Compilers make x * x of pow(x, 2.0), which rounds otherwise: this hides which function it is. */
static double (*const volatile power)(double, double) = pow;
"""

_HELPERS: Final[Mapping[str, str]] = {
    "div2": """\
        /* a / (b * b) where a / b is far from 1. */
        static double div2(double a, double b)
        {
            int m, n;
            if (b == 0.0 || isnan(b))
                return isnan(b) ? b : a * INFINITY;
            if (isinf(a) || isinf(b))
                return a / b / b;
            a = frexp(a, &m);
            b = frexp(b, &n);
            return ldexp(a / (b * b), m - 2 * n);
        }
        """,
    "recip_re": """\
        /* x / (x * x + y * y) where the sum is far from 1. */
        static double recip_re(double x, double y)
        {
            int m, n;
            if (isnan(x) || isnan(y) || (x == 0.0 && y == 0.0))
                return NAN;
            if (isinf(x) || isinf(y))
                return copysign(0.0, x);
            const double mantissa = frexp(x, &m);
            frexp(fmax(fabs(x), fabs(y)), &n);
            x = ldexp(x, -n);
            y = ldexp(y, -n);
            return ldexp(mantissa / (power(x, 2.0) + power(y, 2.0)), m - 2 * n);
        }
        """,
    "pow_dx": """\
        /* n * x ** (n - 1) for x > 0, the rounding of n - 1 carried along. */
        static double pow_slope(double x, double n)
        {
            const double c = n + -1.0, t = c - n, rest = (n - (c - t)) + (-1.0 - t);
            const double y = power(x, c), carry = rest != 0.0 ? rest * log(x) : 0.0;
            const double root = power(x, 0.5 * c);
            const int plain = (1e-290 < fabs(y) && fabs(y) < 1e290) || !isfinite(n);
            const double slope = plain ? n * y : n * root * root;
            return fabs(carry) < 0.5 && isfinite(slope) ? slope + slope * carry : slope;
        }

        static double pow_dx(double x, double n)
        {
            if (n == 2.0)
                return 2.0 * x;
            if (n == 1.0 || n == 0.0)
                return n + 0.0;
            if (x > 0.0)
                return pow_slope(x, n);
            if (fmod(n, 1.0) != 0.0)
                return x == 0.0 ? n * power(0.0, n - 1.0) : NAN;
            if (x == 0.0 || isnan(x) || isinf(n))
                return n * power(x, n - 1.0);
            return fmod(n, 2.0) != 0.0 ? pow_slope(-x, n) : -pow_slope(-x, n);
        }
        """,
    "pow_dy": """\
        /* x ** n * log(x), which is 0 at x = 0 < n. */
        static double pow_dy(double x, double n)
        {
            if (x > 0.0) {
                const double y = power(x, n), root = power(x, 0.5 * n);
                if ((1e-290 < fabs(y) && fabs(y) < 1e290) || !isfinite(n) || !isfinite(x))
                    return y * log(x);
                return root * log(x) * root;
            }
            if (x == 0.0 && !isnan(n))
                return n > 0.0 ? 0.0 : -INFINITY;
            return NAN;
        }
        """,
    "norm_pdf_slope": """\
        /* -x * exp(-x * x / 2) / sqrt(2 * pi) in the far tail, as a product of roots. */
        static double norm_pdf_slope(double x)
        {
            const double square = x * x, c = 134217729.0 * x, high = c - (c - x), low = x - high;
            const double rest = ((high * high - square) + high * low + low * high) + low * low;
            const double e = exp(-0.25 * square), root = e - e * (0.25 * rest);
            return (-x * 0.3989422804014327) * root * root;
        }
        """,
}
"""The functions, in C, of rows that are called in a rare range."""

_ALIASES: Final[Mapping[str, str]] = {"powc_slope": "pow_dx"}
"""Rows that share another's function."""


def source(program: Program, name: str = "run") -> str:
    """Write the C source of ``int run(const double *in, double *out)``.

    It compiles with ``-std=c99 -Wall -Wextra -ffp-contract=off`` and needs the maths library.

    Raises:
        BackendError: when the program has rows that only Python can compute.
    """
    _require_c(program)
    return _Writer(program, name).text()


C: Final = Backend("c", source=source)


def _require_c(program: Program) -> None:
    called = {
        row.name
        for slot, row in enumerate(program.rows)
        if not row.core and slot not in program.rarely
    }
    if called:
        raise BackendError(
            f"C has no {', '.join(sorted(called))} ({here()}): use the python or llvm backend, "
            "which call back, or spell the model without"
        )


@final
class _Writer:
    """Writes a program."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name
        partitioned = partition(program, _ENTRIES, reads=_slots_read)
        self.parts, self.places = partitioned.parts, partitioned.places
        self.numbers = numbers(program)
        self.guards = {slot: index for index, slot in enumerate(program.expected)}
        self.helpers: dict[str, None] = {}

    def text(self) -> str:
        functions = [self.function(index, part) for index, part in enumerate(self.parts)]
        helpers = [dedent(_HELPERS[name]) for name in self.helpers]
        power = [_POWER] if "power(" in "".join([*functions, *helpers]) else []
        return "\n".join(["#include <math.h>\n", *power, *helpers, *functions, self.entry_point()])

    def entry_point(self) -> str:
        calls = "".join(
            f"    if ((flip = {self.name}{index}(in, out, b)) != -1)\n        return flip;\n"
            for index in range(len(self.parts))
        )
        return (
            f"int {self.name}(const double *in, double *out)\n{{\n"
            f"    double b[{max(self.places, 1)}];\n    int flip;\n{calls}    return -1;\n}}\n"
        )

    def function(self, index: int, part: Part) -> str:
        lines = [line for slot in part.slots for line in self.lines(slot)]
        lines += [f"b[{place}] = v{slot};" for slot, place in part.writes.items()]
        if part is self.parts[-1]:
            outputs = map(self.operand, self.program.outputs)
            lines += [f"out[{index}] = {value};" for index, value in enumerate(outputs)]
        arrivals = [f"const double v{slot} = in[{slot}];" for slot in part.inputs]
        arrivals += [f"const double v{slot} = b[{place}];" for slot, place in part.reads.items()]
        unused = "(void)in, (void)out, (void)b;"
        body = indent("\n".join([unused, *arrivals, *lines, "return -1;"]), "    ")
        parameters = "const double *in, double *out, double *b"
        return f"static int {self.name}{index}({parameters})\n{{\n{body}\n}}\n"

    def lines(self, slot: int) -> Iterator[str]:
        """Write one entry."""
        row, operands = self.program.rows[slot], self.program.operands[slot]
        if slot in self.guards:
            kept = "!" if self.program.expected[slot] else ""
            yield f"if ({kept}{self.operand(operands[0])})\n    return {self.guards[slot]};"
        elif row.is_truth:
            kind = "double" if slot in self.numbers else "int"
            yield f"const {kind} v{slot} = {self.expression(slot, row)};"
        elif slot in self.program.rarely:
            yield from self.rarely(slot, row)
        else:
            yield f"const double v{slot} = {self.expression(slot, row)};"

    def rarely(self, slot: int, row: Primitive) -> Iterator[str]:
        """Write a row that is called in a rare range: its C function, or the way out."""
        holds, name = self.operand(self.program.rarely[slot]), _ALIASES.get(row.name, row.name)
        if name not in _HELPERS:
            yield f"if (!{holds})\n    return -2;"
            yield f"const double v{slot} = 0.0;"
            return
        self.helpers[name] = None
        statics = [self.program.statics[slot]] if slot in self.program.statics else []
        operands = [*map(self.operand, self.program.operands[slot]), *map(_literal, statics)]
        yield f"const double v{slot} = {holds} ? 0.0 : {name}({', '.join(operands)});"

    def expression(self, slot: int, row: Primitive) -> str:
        operands = [self.operand(operand) for operand in self.program.operands[slot]]
        if row.name in _OPERATORS:
            return _OPERATORS[row.name].format(*operands)
        return f"{row.name}({', '.join(operands)})"

    def operand(self, slot: int) -> str:
        constants = self.program.constants
        return _literal(constants[slot]) if slot in constants else f"v{slot}"


def _slots_read(program: Program, slot: int) -> Sequence[int]:
    """Return the slots that an entry reads in C, where not every rare call has a function."""
    name = program.rows[slot].name
    if (
        slot in program.rarely
        and not program.rows[slot].core
        and _ALIASES.get(name, name) not in _HELPERS
    ):
        return (program.rarely[slot],)
    return slots_read(program, slot)


def _literal(value: object) -> str:
    """Write a number in C, to the bit."""
    number = cast(float, value)
    if isnan(number):
        return "NAN"
    text = "INFINITY" if isinf(number) else abs(number).hex()
    return f"(-{text})" if copysign(1.0, number) < 0.0 else text
