"""Laws of every row of the table, generated from the table and judged by mpmath.

A new row arrives tested: its truth is one line of `tests/oracle.py`.
"""

from __future__ import annotations

import itertools
import math
import random
import struct
import sys
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from mpmath import mp

from tapegrad import grad, jvp, record
from tapegrad import math as tgmath
from tapegrad.ops import table as ops
from tapegrad.ops.inline import Symbol
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.recorder import Var
from tests.oracle import ORACLE, truth, ulps

ROWS = [row for row in ops.TABLE.rows if row.name in ORACLE]
OWN = {
    "sigmoid", "softplus", "logsigmoid", "relu", "sign", "logaddexp", "logsumexp", "maximum",
    "minimum", "norm_cdf", "norm_pdf", "dot", "mean", "digamma", "polygamma", "fma", "div", "powc",
    "pow", "fsum", "log_norm_cdf",
}  # fmt: skip
"""Rows whose values are judged: the others' are the standard library's."""

STRUCTURE = {"input", "constant", "guard", "whole", "where", "detached", "div_pos"}
INDICATORS = {
    "lt", "le", "gt", "ge", "eq", "ne", "and_", "or_", "not_", "isnan", "isinf", "isfinite",
    "truncdiv", "rounddiv", "step", "win", "shift", "hypot_shift", "exponent", "power_of_2",
    "sum_error",
}  # fmt: skip

TESTED = [row for row in ROWS if not row.helper]
SLOW = {"polygamma", "digamma", "lgamma", "gamma"}


def by_name(row: Primitive) -> str:
    return row.name


def operands(row: Primitive) -> st.SearchStrategy[tuple[float, ...]]:
    """Operands of a row, over the whole of its domain."""
    if row.arity is None:
        return variadic(row)
    intervals = row.domain if len(row.domain) == row.arity else row.domain * row.arity
    parts = [within(row, *interval) for interval in intervals]
    if row.has_static:
        parts.append(static(row))
    return st.tuples(*parts)


def variadic(row: Primitive) -> st.SearchStrategy[tuple[float, ...]]:
    if row.name == "dot":
        pairs = st.integers(1, 3).flatmap(
            lambda n: st.lists(finite(), min_size=2 * n, max_size=2 * n)
        )
        return pairs.map(tuple)
    return st.lists(finite(), min_size=1, max_size=5).map(tuple)


def finite(low: float = -math.inf, high: float = math.inf) -> st.SearchStrategy[float]:
    """Doubles of every magnitude, and more of the ordinary and of the subnormal ones."""
    bounds = max(low, -sys.float_info.max), min(high, sys.float_info.max)
    parts = [st.floats(*bounds, allow_nan=False)]
    parts += [
        st.floats(max(low, -size), min(high, size), allow_nan=False)
        for size in (40.0, sys.float_info.min)
        if max(low, -size) < min(high, size)
    ]
    return st.one_of(*parts)


def within(row: Primitive, low: float, high: float) -> st.SearchStrategy[float]:
    if row.name in SLOW:  # mpmath takes seconds far below zero
        return st.one_of(finite(max(low, -50.0), high), finite(max(low, -50.0), min(high, 50.0)))
    return finite(low, high)


def static(row: Primitive) -> st.SearchStrategy[float]:
    if row.name == "powc":
        return st.one_of(st.integers(-5, 9).map(float), finite())
    if row.name == "ldexp":
        return cast(st.SearchStrategy[float], st.integers(-2200, 2200))
    if row.name == "round_to":
        return cast(st.SearchStrategy[float], st.integers(-330, 330))
    return st.integers(0, 12).map(float)


def is_close(row: Primitive, of: str, got: float, want: mp.mpf, xs: Sequence[float]) -> bool:
    """Within 4 units in the last place, or the row's stated exception."""
    if mp.isnan(want):
        return not math.isfinite(got)
    if ulps(got, want) <= 4.0:
        return True
    if not math.isfinite(got):
        return False
    excused = sum(slack.magnitude(*xs) for slack in row.slack if slack.of == of)
    return bool(abs(mp.mpf(got) - want) <= 4.0 * sys.float_info.epsilon * excused)


def test_every_row_has_a_truth() -> None:
    """A row is judged by the oracle, or is structure or an indicator, which has no slope."""
    assert {row.name for row in ops.TABLE.rows} == set(ORACLE) | STRUCTURE | INDICATORS
    for row in ops.TABLE.rows:
        if row.name in INDICATORS:
            width = row.arity or 3
            assert [row.partial(i, 0.0, *[0.0] * width) for i in range(width)] == [None] * width


@pytest.mark.parametrize("row", [row for row in TESTED if row.name in OWN], ids=by_name)
def test_a_value_of_our_own_is_accurate(row: Primitive) -> None:
    """mpmath agrees within 4 units in the last place, or the stated exception."""

    @settings(max_examples=20 if row.name in SLOW else 40)
    @given(operands(row))
    def holds(xs: tuple[float, ...]) -> None:
        want = truth(row.name, None, *xs)
        assume(not (mp.isnan(want) and row.name in {"div", "pow", "powc"}))
        assert is_close(row, "value", row.value(*xs), want, xs)

    holds()


def partials(row: Primitive, xs: tuple[float, ...]) -> list[tuple[int, float]]:
    """The first partials at a point, where the row is not flat."""
    count = row.arity if row.arity is not None else len(xs)
    found = [(index, row.partial(index, row.value(*xs), *xs)) for index in range(count)]
    return [(index, cast(float, partial)) for index, partial in found if partial is not None]


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_a_first_partial_is_accurate_over_the_whole_domain(row: Primitive) -> None:
    """mpmath agrees within 4 units in the last place, or the stated exception.

    Where the value overflows and the slope does not, too.
    """

    @settings(max_examples=20 if row.name in SLOW else 60)
    @given(operands(row))
    def holds(xs: tuple[float, ...]) -> None:
        assume(row.name != "copysign" or xs[1] != 0.0)  # mpmath knows no negative zero
        for index, got in partials(row, xs):
            assert is_close(row, "partials", got, truth(row.name, index, *xs), xs), (index, got)

    holds()


FOUND = [
    ("cbrt", (9.5e-185,)),
    ("cbrt", (2.7088136044206816e-170,)),
    ("cbrt", (4.4783456626331983e-42,)),
]
"""Operands at which a first partial was once found to be off."""


@pytest.mark.parametrize(("name", "xs"), FOUND)
def test_a_first_partial_is_accurate_where_it_was_not(name: str, xs: tuple[float, ...]) -> None:
    """mpmath agrees there, too."""
    row: Primitive = getattr(ops, name)
    for index, got in partials(row, xs):
        assert is_close(row, "partials", got, truth(name, index, *xs), xs), (index, got)


@pytest.mark.parametrize(
    ("name", "xs"),
    [
        ("div", (5e-324, 3e-11)),
        ("div", (-3e-320, 7e-6)),
        ("atan2", (3e-11, 5e-324)),
        ("atan2", (1.7e308, 1.7e308)),
        ("hypot", (1.7e308, 1.7e308)),
        ("pow", (1e300, 1e-3)),
        ("pow", (0.625, 1.2e308)),
        ("pow", (5e-324, 0.99)),
        ("tanh", (20.0,)),
        ("erfc", (26.5,)),
        ("norm_pdf", (38.5,)),
        ("logaddexp", (1e10, 1e10 + 700.0)),
        ("exp2", (1024.2,)),
    ],
)
def test_a_first_partial_is_accurate_where_textbook_forms_lose_it(
    name: str, xs: tuple[float, ...]
) -> None:
    """Subnormal quotients, rounded differences, and tails, each to 4 units in the last place."""
    row: Primitive = getattr(ops, name)
    for index, got in partials(row, xs):
        assert is_close(row, "partials", got, truth(name, index, *xs), xs), (index, got)


@pytest.mark.parametrize("row", [row for row in TESTED if row.at_once], ids=by_name)
def test_partials_at_once_are_those_one_by_one(row: Primitive) -> None:
    """What shares work changes no bit."""

    @given(operands(row))
    def holds(xs: tuple[float, ...]) -> None:
        y = row.value(*xs)
        one_by_one = [cast(float, row.partial(index, y, *xs)) for index in range(len(xs))]
        at_once = cast("list[float]", list(row.every_partial(y, *xs)))
        assert all(map(same, at_once, one_by_one))
        assert len(at_once) == len(xs)

    holds()


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_outside_the_domain_value_and_partials_are_nan(row: Primitive) -> None:
    """No operation gives a number where it has none."""
    if row.arity is None or row.has_static:
        return
    for position, (low, high) in enumerate(row.domain):
        for outside in (
            math.nextafter(low, -math.inf),
            -1e300,
            math.nextafter(high, math.inf),
            1e300,
        ):
            if low <= outside <= high or math.isinf(outside):
                continue
            xs = tuple(outside if index == position else 0.5 for index in range(row.arity))
            assert math.isnan(row.value(*xs))
            assert all(math.isnan(partial) for _, partial in partials(row, xs)), xs


@pytest.mark.parametrize("row", ops.TABLE.rows[4:], ids=by_name)
def test_no_float_makes_a_row_raise(row: Primitive) -> None:
    """Values and partials are total: nan and infinities in, a float out."""
    width, draw = row.arity if row.arity is not None else 4, random.Random(row.name)
    special = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, 1e308]
    points = [*itertools.product(special, repeat=width)] if width < 3 else []
    for _ in range(60):
        any_floats = struct.unpack(f"{width}d", draw.randbytes(8 * width))
        points.append(tuple(draw.choice([x, *special]) for x in any_floats))
    for point in points:
        xs = (*point, *(3,) * row.has_static)
        assert isinstance(row.value(*xs), float), xs
        if row.name != "where":
            assert all(isinstance(partial, float) for _, partial in partials(row, xs)), xs


def applied(
    row: Primitive, xs: tuple[float, ...]
) -> tuple[Callable[[Sequence[float]], float], tuple[float, ...]]:
    """The row with its static operand in place, and the point at the others."""
    count = len(xs) - row.has_static

    def program(given: Sequence[float]) -> float:
        return cast(float, row(*given, *xs[count:]))

    return program, xs[:count]


def on_one_argument(row: Primitive) -> Callable[[Sequence[Var]], Var]:
    def apply(xs: Sequence[Var]) -> Var:
        return cast(Var, row(*xs))

    return apply


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_eager_replayed_and_traced_agree_to_the_bit(row: Primitive) -> None:
    """One rule, whichever road: the compiled sweep, the tape's, and the recorded gradient."""

    @settings(max_examples=20)
    @given(operands(row))
    def holds(xs: tuple[float, ...]) -> None:
        program, point = applied(row, xs)
        eager = grad(program)(point)
        tape = record(program)(point)
        assert same(tape.value, row.value(*xs))
        assert all(map(same, tape.gradient(), eager))
        assert tape.replay(point) == tape
        recorded = record(grad(program))(point)
        assert all(map(same, recorded.value, eager))
        assert recorded.replay(point) == recorded

    holds()


def same(x: float, y: float) -> bool:
    """One number: nan is nan, and zeros have signs."""
    return (math.isnan(x) and math.isnan(y)) or (
        x == y and math.copysign(1, x) == math.copysign(1, y)
    )


LINEAR = {"mod", "fmod", "remainder", "floordiv"}
"""Linear between their jumps: there is nothing to see in a second derivative."""

CURVED = [row for row in TESTED if not row.has_static and row.name not in LINEAR]


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("row", CURVED, ids=by_name)
def test_higher_derivatives_are_accurate(row: Primitive, order: int) -> None:
    """Within 32 eps of the largest magnitude among the entries of the rule's own tape.

    In reverse, forward, and one over the other.
    """
    if row.partials in ((None,), (None, None)):
        return
    f = on_one_argument(row)

    @settings(max_examples=5 if row.name in SLOW else 10)
    @given(ordinary(row), st.integers(0, 99), st.lists(st.booleans(), min_size=4, max_size=4))
    def holds(xs: tuple[float, ...], pick: int, modes: list[bool]) -> None:
        index = pick % len(xs)
        assume(smooth(row, xs))
        want = higher_truth(row, index, order, xs)
        derivative = nested(f, index, modes[:order])
        tape = record(derivative)(xs)
        values = [node.value for node in tape if not hasattr(node, "outcome")]
        assert all(map(math.isfinite, values))
        largest = max(map(abs, values))
        assert abs(mp.mpf(tape.value) - want) <= 32.0 * sys.float_info.epsilon * largest

    holds()


def ordinary(row: Primitive) -> st.SearchStrategy[tuple[float, ...]]:
    """Points at which differences in 50 digits find a derivative."""
    width = row.arity or 3
    intervals = row.domain if len(row.domain) == width else row.domain * width
    parts = [
        st.floats(max(low, -30.0), min(high, 30.0)).map(lambda x: x if abs(x) > 1e-3 else 0.25)
        for low, high in intervals
    ]
    return st.tuples(*parts) if row.name != "dot" else st.tuples(*parts, *parts)


def smooth(row: Primitive, xs: tuple[float, ...]) -> bool:
    """Away from kinks and from the ends of the domain."""
    intervals = row.domain if len(row.domain) == len(xs) else row.domain[:1] * len(xs)
    inside = all(low + 1e-3 < x < high - 1e-3 for x, (low, high) in zip(xs, intervals, strict=True))
    pole = row.name in {"gamma", "lgamma", "digamma"} and xs[0] < 0.5
    tie = row.name in {"maximum", "minimum"} and xs[0] == xs[1]
    return inside and not pole and not tie


def nested(
    f: Callable[[Sequence[Var]], Var], index: int, modes: Sequence[bool]
) -> Callable[[Sequence[float]], float]:
    """The derivative in one operand, once for each mode: forward, or in reverse."""
    derivative = cast(Callable[[Sequence[float]], float], f)
    for forward in modes:
        derivative = (pushed if forward else pulled)(derivative, index)
    return derivative


def pulled(f: Callable[[Sequence[float]], float], index: int) -> Callable[[Sequence[float]], float]:
    return lambda xs: grad(f)(xs)[index]


def pushed(f: Callable[[Sequence[float]], float], index: int) -> Callable[[Sequence[float]], float]:
    def along(xs: Sequence[float]) -> float:
        return jvp(f, xs, tuple(float(place == index) for place in range(len(xs))))[1]

    return along


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_forward_and_reverse_are_the_partial(row: Primitive) -> None:
    """Along one operand either mode gives the partial itself, to the bit."""
    if row.name in {"copysign", "floordiv"} or row.partials in ((None,), (None, None)):
        return

    @settings(max_examples=20)
    @given(operands(row))
    def holds(xs: tuple[float, ...]) -> None:
        program, point = applied(row, xs)
        for index, partial in partials(row, xs):
            assert same(0.0 + pulled(program, index)(point), 0.0 + partial)
            if len(point) == 1:
                assert same(pushed(program, index)(point), partial)

    holds()


def higher_truth(row: Primitive, index: int, order: int, xs: tuple[float, ...]) -> mp.mpf:
    """Differences of the closed form of the first partial, in 100 digits."""
    partial = ORACLE[row.name].partials

    def first(x: mp.mpf) -> mp.mpf:
        moved = [mp.mpf(value) for value in xs]
        moved[index] = x
        if callable(partial):
            return mp.mpf(partial(index, *moved))
        slope = partial[index]
        return mp.mpf(slope(*moved)) if slope else mp.mpf(0)

    with mp.workdps(100):
        return mp.diff(first, mp.mpf(xs[index]), order - 1)


def test_the_table_spells_itself() -> None:
    """Every fixed partial runs on symbols: the reverse sweep can be generated from it."""
    for row in ops.TABLE.rows:
        if isinstance(row.partials, tuple):
            names = [Symbol(f"x{index}") for index in range(len(row.partials) + row.has_static)]
            for index in range(len(row.partials)):
                assert isinstance(row.partial(index, Symbol("y"), *names), Symbol | float | None)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_derivative_passes_through_the_differentiated_operands(row: Primitive) -> None:
    """The partial in any other is None; a row of any number of operands has none of these."""
    count = 3 if row.arity is None else row.arity
    passing = set(row.differentiated_operands(count))
    assert passing <= set(range(count))
    if isinstance(row.partials, tuple):
        symbols = [Symbol(f"x{index}") for index in range(count + row.has_static)]
        found = [row.partial(index, Symbol("y"), *symbols) for index in range(count)]
        assert passing == {index for index, partial in enumerate(found) if partial is not None}
    else:
        assert len(passing) == count


@pytest.mark.parametrize("name", [name for name in dir(math) if not name.startswith("_")])
def test_every_name_of_the_standard_library_is_here(name: str) -> None:
    """`from tapegrad import math` is the whole port."""
    assert name in tgmath.__all__
    assert hasattr(tgmath, name)


@given(st.floats())
@example(0.0)
@example(-1.0)
@example(710.0)
@example(math.inf)
def test_a_function_of_the_library_returns_what_the_library_returns(x: float) -> None:
    """Where the library returns, the same float; where it raises, a float all the same."""
    for row in ROWS:
        theirs = getattr(math, row.name, None)
        if theirs is None or row.arity != 1 or row.has_static:
            continue
        ours = getattr(tgmath, row.name)(x)
        try:
            assert same(ours, theirs(x))
        except (ValueError, OverflowError):
            assert isinstance(ours, float)
