"""A recording has one constant for all plain numbers with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tapegrad.ops import table as ops

NUMBERS = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 0.5, -3.0, 5e-324, math.inf, math.nan]) | st.floats()
)


def constants(tape: Any) -> list[float]:
    return [tape.values[slot] for slot in tape.columns.slots_of(ops.constant)]


@given(NUMBERS)
def test_equal_bits_are_one_constant(numbers: list[float]) -> None:
    """-0.0 is another number than 0.0; it and nan are written each time that they are met."""
    tape: Any = tg.record(lambda x: [x + number for number in numbers])(1.5)
    apart = [text for text in map(repr, numbers) if text in {"nan", "-0.0"}]
    shared = set(map(repr, numbers)).difference(apart)
    assert sorted(map(repr, constants(tape))) == sorted([*shared, *apart])
    added = [tape.values[tape.columns.operands(slot)[1]] for slot in tape.outputs]
    assert list(map(repr, added)) == list(map(repr, numbers))
    assert list(map(repr, tape.value)) == [repr(1.5 + number) for number in numbers]


@pytest.mark.parametrize("two", [2, 2.0, np.float64(2.0), np.float32(2.0), np.int64(2)])
def test_a_number_of_any_type_is_the_float_that_it_is_promoted_to(two: Any) -> None:
    """On either side, and in a function of several numbers."""
    tape: Any = tg.record(lambda x: [x * 2.0, two * x, x / two, math.hypot(x, two, 2.0)])(1.5)
    assert constants(tape) == [2.0]


def test_what_only_compares_equal_to_a_known_number_is_no_key() -> None:
    """It is promoted or refused as it is without one."""
    tape: Any = tg.record(lambda x: [x + 1.0, x * True])(1.5)
    assert constants(tape) == [1.0]
    with pytest.raises(tg.errors.InputError, match="Decimal"):
        tg.record(lambda x: [x + 1.0, x + Decimal(1)])(1.5)


def test_a_large_int_is_rounded_before_it_is_looked_up() -> None:
    """2**53 + 1 is the float 2**53, which a recording may know."""
    odd = 2**53 + 1
    tape: Any = tg.record(lambda x: [x + 2.0**53, x + odd, tg.where(x < odd, x, x)])(1.5)
    assert constants(tape) == [2.0**53]


def test_a_recorded_gradient_has_nothing_for_constants() -> None:
    """Everything that it records is needed."""

    def f(x: Any) -> Any:
        for _ in range(10):
            x = 1.5 - math.sin(2.0 * x) / 3.0
        return x

    assert tg.record(tg.value_and_grad(f))(0.5).stats().dead == 0


@pytest.mark.parametrize("number", [7.5, 7])
def test_a_number_met_in_another_thread_is_not_recorded(number: float) -> None:
    """The operation raises there before anything is written."""
    refused = []

    def use(x: Any) -> None:
        operations: list[Callable[[], object]] = [
            lambda: x + number, lambda: number / x, lambda: x > number, lambda: x**number,
            lambda: number**x, lambda: math.maximum(x, number), lambda: math.atan2(number, x),
        ]  # fmt: skip
        for operate in operations:
            with pytest.raises(tg.errors.RecordingError):
                operate()
            refused.append(1)

    def f(x: Any) -> Any:
        other = Thread(target=use, args=(x,))
        other.start()
        other.join()
        return x + 1.5

    tape: Any = tg.record(f)(2.5)
    assert (constants(tape), len(refused)) == ([1.5], 7)


@given(NUMBERS)
def test_exponents_keep_their_bits(numbers: list[float]) -> None:
    """Ints and floats that are equal are one exponent, -0.0 and nan are others."""
    exponents = [*numbers, 2, 2.0, 0, 0.0, -0.0]
    tape: Any = tg.record(lambda x: [x**number for number in exponents])(1.5)
    found = [tape.columns.static(slot)[0] for slot in tape.outputs]
    assert list(map(repr, found)) == [repr(float(number)) for number in exponents]
    assert list(map(repr, tape.value)) == [repr(math.pow(1.5, float(n))) for n in exponents]
