"""What stands beside a traced number and is none: the error says what to write."""

from __future__ import annotations

import math as library
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

import tapegrad as tg
from tapegrad import errors
from tests.places import place, refusal

REFUSED: list[tuple[object, str, str]] = [
    ("2", "a str ('2')", "write float(...) around it, or f'{x}' for a text"),
    (b"2", "a bytes (b'2')", "write float(...) around it, or f'{x}' for a text"),
    ([1.0], "a list ([1.0])", "write a list comprehension, or numpy.array(...) around it"),
    ((1.0,), "a tuple ((1.0,))", "write a list comprehension, or numpy.array(...) around it"),
    ({}, "a dict ({})", "write a list comprehension, or numpy.array(...) around it"),
    (Fraction(1, 3), "a Fraction (Fraction(1, 3))", "write float(...) around it"),
    (Decimal(2), "a Decimal (Decimal('2'))", "write float(...) around it"),
    (1j, "a complex (1j)", "keep its real and imaginary parts as two numbers"),
    (None, "None", "pass a float"),
]


class Money:
    """A class that knows what to do with numbers."""

    def __rmul__(self, other: Any) -> Any:
        return other * 3.0

    def __radd__(self, other: Any) -> Any:
        return other + 3.0


@pytest.mark.parametrize(("other", "shown", "cure"), REFUSED)
def test_an_operand_that_is_no_number_is_named(other: Any, shown: str, cure: str) -> None:
    """On either side of every operator; nothing is repeated x times."""

    def uses(x: Any) -> list[Any]:
        return [
            lambda: x + other,
            lambda: x - other,
            lambda: x * other,
            lambda: x / other,
            lambda: x**other,
            lambda: x // other,
            lambda: x % other,
        ]

    def reflected(x: Any) -> list[Any]:
        return [lambda: other + x, lambda: other * x, lambda: other - x, lambda: other / x]

    for operators in (uses, reflected):
        for index in range(len(operators(1.0))):

            def f(x: Any, which: int = index, operators: Any = operators) -> Any:
                return operators(x)[which]()

            text = refusal(errors.InputError, partial(tg.grad(f), 3.0))
            assert text.startswith(f"an operand is {shown}, not a number (test_operands.py:")
            assert text.endswith(f"): {cure}")


@pytest.mark.parametrize("other", [Fraction(1, 2), Decimal("0.5"), 0.5 + 0j])
def test_a_comparison_with_another_kind_of_number_is_refused(other: Any) -> None:
    """Floats are equal to such numbers, so that False would be wrong."""

    def f(x: Any) -> Any:
        return x if x == other else 2.0 * x

    assert f(0.5) == 0.5
    text = refusal(errors.InputError, lambda: tg.grad(f)(0.5))
    assert f", not a number ({place(f, 'x == other')}): " in text


@pytest.mark.parametrize("other", ["a", None, [1.0], object()])
def test_other_objects_are_not_equal(other: Any) -> None:
    """As they are not to a float."""
    assert tg.grad(lambda x: 2.0 * x if x == other else 3.0 * x)(1.0) == 3.0


def test_classes_that_know_numbers_keep_the_last_word() -> None:
    """Python asks the other operand where a traced number does not know it."""
    money: Any = Money()
    assert tg.grad(lambda x: x * money + (x + money))(2.0) == 4.0
    with pytest.raises(TypeError, match="unsupported operand"):
        tg.grad(lambda x: x - money)(2.0)


def test_a_function_that_catches_the_refusal_is_not_believed() -> None:
    """Where it then goes another way than for floats, the derivative is of another function."""

    def f(x: Any) -> Any:
        try:
            return library.log(x)
        except Exception:  # noqa: BLE001  # it is what is tested
            return x * 0.0 - 1.0

    for call in (
        lambda: tg.value_and_grad(f)(3.0),
        lambda: tg.jvp(f, 3.0, 1.0),
        lambda: tg.record(f)(3.0),
        lambda: tg.jit(f).compile(3.0),
        lambda: tg.vmap(f)([3.0]),
        lambda: tg.grad(lambda x: tg.grad(f)(x) * x)(3.0),
    ):
        assert refusal(errors.TracedNumberError, call) == (
            f"f catches the error of float(x) at {place(f, 'library.log')}, and goes another way "
            "than it goes for floats: write x, or a function of tapegrad.math, in that line"
        )


def test_a_function_that_catches_it_and_is_right_is_believed() -> None:
    """Asking for a float first is common, and harmless where the number is used as it is."""

    def f(x: Any, outer: Any = 1.0) -> Any:
        try:
            y = float(x)
        except TypeError:
            y = x
        return y * y * outer

    assert tg.value_and_grad(f)(3.0) == (9.0, 6.0)
    assert tg.grad(lambda x: tg.grad(lambda y: f(y, x))(3.0))(2.0) == 6.0
    assert tg.vmap(tg.grad(f))([3.0, 4.0]).tolist() == [6.0, 8.0]
