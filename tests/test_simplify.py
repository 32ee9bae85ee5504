"""Laws of a simplified tape: less of it, and the same bits."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, math
from tests.strategies import Program, points, programs, same_bits


@given(programs(), st.data())
def test_a_simplified_tape_keeps_value_gradient_and_guards(program: Program, data: Any) -> None:
    """Bit for bit, and a replay at the same point is the same tape.

    A program with a gradient inside holds one already: only its value is kept then.
    """
    point = data.draw(points(program.width))
    tape = tg.record(program)(point)
    simple = tape.simplify().tape
    assert len(simple) <= len(tape)
    assert same_bits(simple.value, tape.value)
    if not tape.holds_gradient:
        assert all(map(same_bits, simple.gradient(), tape.gradient()))
    assert simple.replay(point) == simple


@given(programs(5), st.data())
def test_a_simplified_gradient_keeps_its_bits(program: Program, data: Any) -> None:
    """Sharing and dropping change no output of a tape that holds its gradient."""
    point = data.draw(points(program.width))
    tape = tg.record(tg.grad(program))(point)
    result = tape.simplify()
    simple = result.tape
    assert all(map(same_bits, simple.value, tape.value))
    assert all(map(same_bits, simple.replay(point).value, tape.value))
    assert len(tape) - len(simple) == result.dead + result.shared + result.dropped
    again = simple.simplify()
    assert again.tape == simple


def model(x: Real) -> Real:
    math.exp(x)
    return tg.label(x * x, "square") * 1.0 + (math.sin(1.0) + 2.0 * 3.0)


def test_what_is_removed_is_said() -> None:
    """Dead entries and constants go; neutral operations only where no cotangent is to come."""
    tape = tg.record(model)(3.0)
    result = tape.simplify()
    assert result.tape.gradient() == tape.gradient() == 6.0
    assert (result.dead, result.dropped) == (1, 0)
    assert str(result) == (
        "7 entries became 6: 1 dead, 0 equal to another, 0 neutral; 0 folded into constants"
    )
    assert next(node for node in result.tape if isinstance(node, tg.Apply)).label == "square"
    fast = tape.simplify(fast=True)
    assert fast.dropped == 1


def test_fast_turns_small_powers_into_products() -> None:
    """x ** 3 as x * x * x, in as many products."""

    def cube(x: Real) -> Real:
        return x**3

    simple = tg.record(cube)(2.0).simplify(fast=True).tape
    assert [node.primitive.name for node in simple if isinstance(node, tg.Apply)] == ["mul", "mul"]
    assert simple.replay(3.0).value == 27.0
