"""Writes a program as C99: one file without dependencies, with the bits of the eager call.

``run`` takes the inputs in order and writes the outputs. It returns -1; or the index of the guard
that came out differently, and -2 where numbers leave the range in which this code has the bits of
Python's, in which cases the outputs mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import copysign, isinf, isnan
from textwrap import dedent
from typing import Final, cast, final

from tapegrad._support.source_position import here
from tapegrad.compile.backends.function_writer import OPERATORS, FunctionWriter
from tapegrad.compile.partition import ProgramPart, slots_read
from tapegrad.compile.program import Program
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
    "shift": """\
        /* n so that x * 2 ** n is in the middle of the range, where x is not. */
        static double shift(double x)
        {
            int n;
            frexp(x, &n);
            return isfinite(x) ? -n : 0.0;
        }
        """,
    "shifted": """\
        /* x * 2 ** n for a whole n. */
        static double shifted(double x, double n)
        {
            return isfinite(n) ? ldexp(x, (int)fmax(fmin(n, 9999.0), -9999.0)) : NAN;
        }
        """,
}
"""The functions, in C, of rows that are rarely needed."""

_ALIASES: Final[Mapping[str, str]] = {"powc_slope": "pow_dx"}
"""The rows that share the function of another row."""


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


def _c_name(row: Primitive) -> str:
    """The name of the C function of a row."""
    return _ALIASES.get(row.name, row.name)


def _slots_read(program: Program, slot: int) -> Sequence[int]:
    """The slots that an entry reads in C, where some calls that may be skipped have no function."""
    row, skip = program.rows[slot], program.skip_where.get(slot)
    if skip is not None and not row.core and _c_name(row) not in _HELPERS:
        return (skip,)
    return slots_read(program, slot)


@final
class _CWriter(FunctionWriter):
    """Writes a program; ``helpers`` names the functions of ``_HELPERS`` that it calls."""

    input, declaration, store = "in[{}]", "const double v{} = {};", "b[{}] = v{};"

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(program, name, _slots_read)
        self.helpers: dict[str, None] = {}

    def text(self) -> str:
        """The source."""
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

    def function(self, index: int, part: ProgramPart) -> str:
        end = ["return -1;"]
        if part is self.parts[-1]:
            outputs = enumerate(map(self.operand, self.program.outputs))
            end = [*(f"out[{index}] = {value};" for index, value in outputs), *end]
        parameters = "const double *in, double *out, double *b"
        unused = "    (void)in, (void)out, (void)b;"
        body = self.body(part, end)
        return f"static int {self.name}{index}({parameters})\n{{\n{unused}\n{body}\n}}\n"

    def entry(self, slot: int) -> Iterator[str]:
        program, row = self.program, self.program.rows[slot]
        if slot in program.expected:
            (condition,) = self.operands(slot)
            recorded = "!" if program.expected[slot] else ""
            yield f"if ({recorded}{condition})\n    return {program.guard_indices[slot]};"
        elif row.is_truth and slot not in program.numeric_truths:
            yield f"const int v{slot} = {self.expression(slot, row)};"
        elif slot in program.skip_where:
            yield from self.skippable(slot, row)
        else:
            yield self.declared(slot, self.expression(slot, row))

    def skippable(self, slot: int, row: Primitive) -> Iterator[str]:
        """The statements of a call that is rarely needed: its C function, or the way out."""
        skip, name = self.operand(self.program.skip_where[slot]), _c_name(row)
        if name not in _HELPERS:
            yield f"if (!{skip})\n    return -2;"
            yield self.declared(slot, "0.0")
            return
        self.helpers[name] = None
        static = [self.literal(cast(float, value)) for value in self.program.static(slot)]
        call = f"{name}({', '.join([*self.operands(slot), *static])})"
        yield self.declared(slot, f"{skip} ? 0.0 : {call}")

    def expression(self, slot: int, row: Primitive) -> str:
        """The value of an entry."""
        operands = self.operands(slot)
        if row.name in _OPERATORS:
            return _OPERATORS[row.name].format(*operands)
        return f"{row.name}({', '.join(operands)})"

    def literal(self, number: float) -> str:
        if isnan(number):
            return "NAN"
        text = "INFINITY" if isinf(number) else abs(number).hex()
        return f"(-{text})" if copysign(1.0, number) < 0.0 else text
