"""Random programs against mpmath, which evaluates their tapes: one derivative on every road."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp

import tapegrad as tg
from tests.oracle import ORACLE
from tests.strategies import Program, ordinary, smooth


def by_mpmath(tape: tg.Tape[Any, ..., Any], xs: Sequence[mp.mpf]) -> mp.mpf:
    """The output of a tape, each entry by the oracle's value of its row."""
    values: list[mp.mpf] = []
    for node in tape:
        match node:
            case tg.Input():
                values.append(xs[node.slot])
            case tg.Constant():
                values.append(mp.mpf(node.value))
            case tg.Apply():
                operands = [values[operand] for operand in node.operands]
                truth = ORACLE[node.primitive.name].value
                values.append(mp.mpf(truth(*operands, *map(mp.mpf, node.static))))
            case tg.Guard():
                values.append(mp.mpf(1))
    return values[tape.outputs[0]]


@settings(max_examples=60)
@given(smooth(5), st.data())
def test_every_road_leads_to_mpmath_s_derivative(program: Program, data: Any) -> None:
    """Reverse, forward and Taylor, to the second order, against differences in 60 digits."""
    width = program.width
    point = data.draw(st.lists(ordinary, min_size=width, max_size=width))
    index = data.draw(st.integers(0, width - 1))
    tape = tg.record(program)(point)
    values = [float(node.value) for node in tape if not isinstance(node, tg.Guard)]
    assert all(map(isfinite, values))
    assume(all(abs(value) < 1e4 for value in values))

    def along(t: mp.mpf) -> mp.mpf:
        return by_mpmath(tape, [mp.mpf(x) + (t if i == index else 0) for i, x in enumerate(point)])

    with mp.workdps(60):
        first, second = mp.diff(along, 0), mp.diff(along, 0, 2)
    unit = [float(i == index) for i in range(width)]

    def moved(t: Any) -> Any:
        return program([x + t if i == index else x for i, x in enumerate(point)])

    series = tg.taylor(moved, 2)(0.0)
    slopes = [tg.grad(program)(point)[index], tg.jvp(program, point, unit)[1], series[1]]
    curves = [tg.hvp(program, point, unit)[index], 2.0 * series[2]]
    assert all(abs(slope - first) <= 1e-9 * (1 + abs(first)) for slope in slopes)
    assert all(abs(curve - second) <= 1e-7 * (1 + abs(second)) for curve in curves)


@given(smooth(4), smooth(4), st.data())
def test_the_product_rule_holds(f: Program, g: Program, data: Any) -> None:
    """(f g)' = f' g + f g'."""
    width = max(f.width, g.width)
    point = data.draw(st.lists(ordinary, min_size=width, max_size=width))

    def product(xs: Sequence[Any]) -> Any:
        return f(xs[: f.width]) * g(xs[: g.width])

    def first(xs: Sequence[Any]) -> Any:
        return f(xs[: f.width])

    def second(xs: Sequence[Any]) -> Any:
        return g(xs[: g.width])

    y, dy = tg.value_and_grad(first)(point)
    z, dz = tg.value_and_grad(second)(point)
    assert all(map(isfinite, (y, z, *dy, *dz)))
    scale = max(abs(y), abs(z), *map(abs, dy), *map(abs, dz), 1.0)
    assume(scale < 1e4)
    for got, a, b in zip(tg.grad(product)(point), dy, dz, strict=True):
        assert abs(got - (a * z + y * b)) <= 1e-10 * scale**2
