"""What compiled code calls back into Python, and what it does out of range instead."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pytest

import tapegrad as tg
from tapegrad.compile.lower import lower
from tapegrad.compile.program import Program
from tapegrad.compile.rare import called_back, called_rarely, rare_program
from tapegrad.ops import table as ops
from tapegrad.ops.elsewhere import ELSEWHERE, NEAR_ELSEWHERE
from tapegrad.ops.lowering import LOWER, NEAR, Spelling, Usually
from tapegrad.ops.primitive import Primitive
from tests.strategies import same_bits
from tests.test_backends import CALLED_BACK, SPECIAL, STATICS, agrees, drawn

OPERATIONS = [row for row in ops.TABLE.rows if row.kind not in {"input", "constant", "guard"}]


def programs_of(row: Primitive, *, approximate: bool) -> Iterator[Program]:
    """The programs of a row, of its gradient and of its Hessian, of two and of many operands."""
    widths = (2, 10) if row.arity is None else (row.arity,)
    statics: list[tuple[float, ...]] = [(n,) for n in STATICS.get(row.name, ())[:3]]
    for width, static in itertools.product(widths, statics or [()]):
        point = [0.3 + 0.04 * k for k in range(width)]

        def f(xs: Sequence[Any], static: tuple[float, ...] = static) -> Any:
            return row(*xs, *static)

        for g in (f, tg.grad(f), tg.hessian(f)):
            tape = tg.record(g)(point)
            yield lower(tape.columns, tape.outputs, approximate=approximate)


@cache
def asked(*, approximate: bool) -> tuple[set[str], set[str]]:
    """The rows by which any operation calls Python, to the second order: always, and rarely."""
    always, rarely = set[str](), set[str]()
    for row in OPERATIONS:
        for program in programs_of(row, approximate=approximate):
            always.update(called_back(program))
            rarely.update(called_rarely(program))
    return always, rarely


ROUNDED_BY_PYTHON = {"hypot", "direction"} | ({"dot"} if sys.version_info >= (3, 12) else set())
"""Rows that have the bits of functions of Python's own; ``math.sumprod`` is new in 3.12."""


def test_gamma_functions_decimals_and_roundings_of_python_call_back() -> None:
    """Whatever is computed by code for one call; rarely, where a sum's rounding is not certain."""
    always, rarely = asked(approximate=False)
    assert always == CALLED_BACK | ROUNDED_BY_PYTHON
    assert rarely == {"fsum", "mean", "dot", "hypot_shift", "shifted_hypot"} - ROUNDED_BY_PYTHON


def test_gamma_functions_and_decimals_call_back_from_rows() -> None:
    """Whatever is computed by code for rows; rarely, a sum of which nearly all digits cancel."""
    always, rarely = asked(approximate=True)
    assert always == CALLED_BACK
    assert rarely == {"fsum"}


def test_an_operation_of_the_user_calls_back() -> None:
    """And the report says so; what is spelled elsewhere is in no report."""

    @tg.primitive(partials=(lambda y, x: 2.0 * x,), at=[1.5])
    def square(x: float) -> float:
        return x * x

    def f(x: Any) -> Any:
        return square(x) / x

    fast = tg.jit(tg.grad(f), backend="llvm", eager_first=False)
    for _ in range(3):
        fast(2.0)
    [path] = fast.report().shapes[0].paths
    assert (path.called_back, path.called_rarely) == (("square",), ())


# Elsewhere.

TABLES: Mapping[str, tuple[dict[Primitive, Any], dict[Primitive, Spelling]]] = {
    "exact": (ELSEWHERE, LOWER),
    "near": (NEAR_ELSEWHERE, {**LOWER, **NEAR}),
}
BOTH = [
    pytest.param(kind, row, id=f"{kind} {row.name}") for kind in TABLES for row in TABLES[kind][0]
]


def outside(row: Primitive, usual: Spelling) -> list[tuple[float, ...]]:
    """Operands at which the usual spelling does not hold."""
    points = drawn(row, 900)
    if row.arity == 2:
        points += itertools.product(SPECIAL, repeat=2)
    found = []
    for xs in points:
        spelled = usual(*xs)
        if not isinstance(spelled, Usually) or not spelled.holds:
            found.append(xs)
    return found


@pytest.mark.parametrize(("kind", "row"), BOTH)
def test_it_is_the_row_wherever_the_usual_spelling_is_not(kind: str, row: Primitive) -> None:
    """To the bit, or within 4 units in the last place for code that is nowhere nearer."""
    spellings, usual = TABLES[kind]
    points = outside(row, usual[row])
    assert len(points) > 9
    for xs in points:
        got, want = float(spellings[row](*xs)), float(row.value(*xs))
        near = kind == "near" and agrees((row, len(xs), ()), xs, got)
        assert same_bits(got, want) or near, (xs, got, want)


@pytest.mark.parametrize(("kind", "row"), BOTH)
def test_it_is_made_of_core_rows(kind: str, row: Primitive) -> None:
    """A function by itself calls nothing back, and leaves no path."""
    for program in programs_of(row, approximate=kind == "near"):
        for slot in program.skip_where:
            rare = rare_program(program, slot)
            assert rare is None or all(inner.core for inner in rare.rows)


POINTS = {
    "div2": [(1e-300, 1e200), (3e-320, 1e-160), (1e300, 1e160), (0.0, 0.0), (1.0, -0.0)],
    "pow": [(1e300, 1.5), (1e-300, 2.5), (0.0, 1.5), (-2.0, 2.0), (5e-324, 0.5)],
    "atan2": [(1e-200, 1e-200), (1e200, 3e200), (0.0, 0.0), (math.inf, 1.0), (5e-324, 0.0)],
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_rows_leave_the_range_one_by_one(name: str, backend: Any) -> None:
    """Beside others that do not, each with the slopes of its own call."""
    row: Primitive = getattr(ops, name)

    def f(xs: Sequence[Any]) -> Any:
        return row(*xs)

    draw = random.Random(name)
    ordinary = [(draw.uniform(0.5, 2.0), draw.uniform(0.5, 2.0)) for _ in range(45)]
    points = [xs for pair in zip(ordinary, itertools.cycle(POINTS[name])) for xs in pair]
    found = tg.vmap(tg.grad(f), backend=backend)(points)
    for index, xs in enumerate(points):
        want, got = tg.grad(f)(xs), found.row(index)
        for x, y in zip(want, got, strict=True):
            assert same_bits(x, y) or abs(x - y) <= 4.0 * math.ulp(x), (xs, want, got)


def test_what_is_rarely_needed_leaves_the_others_their_bits() -> None:
    """Wherever in a step of rows it stands."""

    def f(xs: Sequence[Any]) -> Any:
        return xs[0] / xs[1]

    gradient = tg.vmap(tg.grad(f), backend="llvm")
    plain = [(1.0 + k / 7.0, 3.0 - k / 11.0) for k in range(32)]
    want = [gradient(plain).row(index) for index in range(32)]
    for place in range(32):
        points = [(1e-300, 1e200) if k == place else xs for k, xs in enumerate(plain)]
        found = gradient(points)
        assert [found.row(k) for k in range(32) if k != place] == want[:place] + want[place + 1 :]
