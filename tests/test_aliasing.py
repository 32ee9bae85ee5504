"""Rows of the table whose operands and outputs share their places, on every backend.

An operand may stand twice, be a constant, be read for the last time, so that its buffer holds the
output, or be an output itself; what comes out is the row's own value.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

import tapegrad as tg
from tapegrad.compile.backends import python
from tapegrad.compile.backends.interface import RowOptions
from tests.strategies import same_bits
from tests.test_backends import (
    EVERY,
    IN_C,
    agrees,
    built,
    on_columns,
    program_of,
)

np = pytest.importorskip("numpy")

Application: TypeAlias = Any
"""A row, how many operands it is applied to, and its static operand."""

NUMBERS = (0.0, -0.0, 1.0, -2.5, 0.5, math.inf, -math.inf, math.nan, 1e200, 1e-200, -1e200, 5e-324)
CONSTANT = 2.0

PATTERNS = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 2), (0, None, 1), (None, 0, 0))
"""For each operand the input that it is; None for a constant."""


def operands(pattern: Sequence[int | None], xs: Sequence[Any]) -> list[Any]:
    return [CONSTANT if place is None else xs[place] for place in pattern]


def applied(application: Application, pattern: Sequence[int | None], xs: Sequence[Any]) -> Any:
    """The row on the inputs that the pattern says, as often as it takes operands."""
    row, width, static = application
    given = operands(pattern, xs)
    return row(*(given[index % 3] for index in range(width)), *static)


def inputs(count: int) -> list[tuple[float, ...]]:
    draw = random.Random(count)
    return [tuple(draw.choice(NUMBERS) for _ in range(3)) for _ in range(count)]


def programs(application: Application) -> list[tuple[Any, Any, bool]]:
    """A function of three numbers for each pattern; with ``alive`` its inputs are outputs, too.

    The operands are inputs, or computed before, so that each of them may be read for the last time.
    Patterns that differ in operands that the row does not take are one.
    """
    found, (_, width, _) = [], application
    for pattern in {pattern[:width]: pattern for pattern in PATTERNS}.values():
        for alive in (False, True):
            for computed in (False, True):

                def f(
                    xs: Sequence[Any],
                    pattern: Any = pattern,
                    alive: bool = alive,
                    computed: bool = computed,
                ) -> list[Any]:
                    used = [x * 2.0 for x in xs] if computed else list(xs)
                    value = applied(application, pattern, used)
                    return [value, *used] if alive else [value]

                found.append((f, pattern, computed))
    return found


def wanted(application: Application, pattern: Any, computed: bool, xs: Any) -> float:
    used = [2.0 * x for x in xs] if computed else xs
    return float(applied(application, pattern, used))


def shown(application: Application) -> str:
    row, width, static = application
    return "-".join(map(str, (row.name, width, *static)))


@pytest.mark.parametrize("application", EVERY, ids=shown)
def test_numpy_and_python_read_before_they_write(application: Application) -> None:
    """Each row alone, so that each buffer is used again at once."""
    rows = inputs(16)
    for f, pattern, computed in programs(application):
        tape = tg.record(f)([0.5, 0.25, 0.75])
        run = python.compiled(program_of(tape, any_row=True))
        found, _ = on_columns(program_of(tape, approximate=True), rows)
        for xs, answers in zip(rows, found.tolist(), strict=True):
            want = wanted(application, pattern, computed, xs)
            exact = run(xs)
            assert isinstance(exact, list)
            assert same_bits(float(exact[0]), want), (pattern, xs)
            assert close(application, pattern, computed, xs, answers[0]), (pattern, xs, answers)


def close(application: Application, pattern: Any, computed: bool, xs: Any, got: float) -> bool:
    """Whether a number is within 4 units of the row's value, or of the truth where that is."""
    if same_bits(got, wanted(application, pattern, computed, xs)):
        return True
    used = [2.0 * x for x in xs] if computed else xs
    return agrees(application, operands(pattern, used), got)


def every(xs: Sequence[Any]) -> list[Any]:
    return [applied(one, pattern, xs) for pattern in PATTERNS for one in EVERY]


def test_machine_code_reads_before_it_writes() -> None:
    """All rows in one program, for one call to the bit, and in both steps for rows."""
    native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
    rows = inputs(60)
    tape = tg.record(every)([0.5, 0.25, 0.75])
    run = native.ScalarFunction(program_of(tape))
    for xs in rows:
        for got, want in zip(run(xs), every(xs), strict=True):
            assert same_bits(float(got), float(want)), xs
    program = program_of(tape, approximate=True)
    out = np.empty((len(program.outputs), 64))
    code = native.rows(program, RowOptions(0, quick=True))
    code(np.empty(0), [np.array(rows)], range(60), out, np.empty(64, np.int32))
    tried = [(one, pattern) for pattern in PATTERNS for one in EVERY]
    for xs, answers in zip(rows, out[:, :60].T.tolist(), strict=True):
        for (one, pattern), got in zip(tried, answers, strict=True):
            assert close(one, pattern, False, xs, got), (shown(one), pattern, xs, got)


def test_c_reads_before_it_writes(tmp_path: Any) -> None:
    """All rows that C has, to the bit, where it does not leave its range."""

    def in_c(xs: Sequence[Any]) -> list[Any]:
        return [applied(one, pattern, xs) for pattern in PATTERNS for one in IN_C]

    run = built(program_of(tg.record(in_c)([0.5, 0.25, 0.75])), tmp_path)
    for xs in inputs(60):
        found = run(xs)
        assert isinstance(found, list)
        for got, want in zip(found, in_c(xs), strict=True):
            assert same_bits(float(got), float(want)), xs
