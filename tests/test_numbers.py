"""The behaviours of numbers: what is one, what operations give at the edges, kinks, branches."""

from __future__ import annotations

import math as library
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, Var, errors, math
from tests.oracle import truth, ulps
from tests.places import place, refusal
from tests.strategies import same_bits

UNARY = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "degrees",
    "digamma", "erf", "erfc", "exp", "exp2", "expm1", "fabs", "floor", "gamma", "lgamma", "log",
    "log10", "log1p", "log2", "logsigmoid", "log_norm_cdf", "norm_cdf", "norm_pdf", "radians",
    "relu", "sigmoid",
    "sign", "sin", "sinh", "softplus", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
BINARY = (
    "atan2", "copysign", "fmod", "hypot", "log", "logaddexp", "maximum", "minimum", "pow",
    "remainder",
)  # fmt: skip
EDGES = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 5e-324, -5e-324, 1e-300, 20.0, -40.0,
    171.0, 710.0, -746.0, 1e16, 1e200, -1e200, 1.7976931348623157e308, inf, -inf, nan,
)  # fmt: skip

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "**": lambda x, y: x**y,
}


def cube(x: Real) -> Real:
    return x * x * x


def both_sides(apply: Any, x: float, y: float) -> tuple[Callable[[Any], Any], ...]:
    """A function of two numbers with both of them traced, the left one, and the right one."""
    return lambda p: apply(*p), lambda p: apply(p[0], y), lambda p: apply(x, p[1])


class TestAlwaysFloat64:
    @pytest.mark.parametrize(
        "point", [3, np.float64(3), np.float32(3), np.float16(3), np.int64(3), np.uint8(3)]
    )
    def test_ints_and_numpy_scalars_are_promoted_at_the_door(self, point: Any) -> None:
        """A number of any kind gives the gradient that the float gives, as a float."""
        value, slope = tg.value_and_grad(cube)(point)
        assert (value, slope) == (27.0, 27.0)
        assert type(value) is float
        assert type(slope) is float

    @pytest.mark.parametrize("number", [3, True, np.float32(3), np.float64(3), np.int64(3)])
    def test_operands_are_promoted(self, number: Any) -> None:
        """A number that meets a traced one is a float on the tape, whatever it was before."""

        def f(x: Any) -> Any:
            return math.maximum(x * number, number) + math.dot([x, number], [number, number])

        tape = tg.record(f)(2.0)
        assert {type(node.value) for node in tape if not isinstance(node, tg.Guard)} == {float}
        assert tape.gradient() == 2.0 * float(number)

    @pytest.mark.parametrize(
        ("leaf", "shown"),
        [
            (True, "a bool (True)"),
            (np.True_, "a bool (np.True_)"),
            ("2.0", "a str ('2.0')"),
            (None, "None"),
            (2j, "a complex (2j)"),
            (Decimal(2), "a Decimal (Decimal('2'))"),
            (np.timedelta64(2, "ns"), "a timedelta64 (np.timedelta64(2,'ns'))"),
            (Fraction(2), "a Fraction (Fraction(2, 1))"),
        ],
    )
    def test_what_is_no_number_is_refused_by_path_and_type(self, leaf: Any, shown: str) -> None:
        """A leaf that is no number is a TypeError that names its path and its type."""

        def call() -> object:
            return tg.grad(lambda p: p["layers"][0]["w"])({"layers": [{"w": leaf}]})

        assert refusal(errors.InputError, call) == (
            f"layers.0.w is {shown}, not a number or a container of numbers: pass a float there, "
            f"or pass it as data after the first argument ({place(call, 'layers')})"
        )
        assert issubclass(errors.InputError, TypeError)

    def test_an_int_too_large_for_a_float_is_refused_by_path(self) -> None:
        """An int beyond the range of a float is an OverflowError that names it."""

        def call() -> object:
            return tg.grad(lambda p: p["w"])({"w": 10**400})

        assert refusal(errors.InputRangeError, call) == (
            "w is an int of 1329 bits, too large for a float: pass a float "
            f"({place(call, '10**400')})"
        )
        assert issubclass(errors.InputRangeError, OverflowError)

    @pytest.mark.parametrize("apply", [math.maximum, lambda x, y: x * y, lambda x, y: y - x])
    def test_an_operand_too_large_for_a_float_is_refused(self, apply: Any) -> None:
        """An int beyond the range of a float is refused wherever a traced number meets it."""
        with pytest.raises(errors.InputRangeError, match="an operand is an int of 1329 bits"):
            tg.grad(lambda x: apply(x, 10**400))(2.0)

    @pytest.mark.parametrize("operand", ["a", None, 2j, Decimal(2), Fraction(2), [1.0]])
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_operators_refuse_what_is_no_number(self, operator: str, operand: Any) -> None:
        """A traced number and something that is no number have no sum, product, ..."""
        apply = OPERATORS[operator]
        if operator == "**" and isinstance(operand, Fraction):
            return  # a Fraction takes itself for a float there
        for call in (lambda x: apply(x, operand), lambda x: apply(operand, x)):
            with pytest.raises(TypeError):
                tg.grad(call)(2.0)

    @pytest.mark.parametrize("operand", ["a", None, 2j, Decimal(2), Fraction(2), [1.0]])
    def test_functions_refuse_what_is_no_number(self, operand: Any) -> None:
        """A function of several numbers refuses an operand that is none, and names it."""
        for call in (
            lambda x: math.maximum(x, operand),
            lambda x: math.atan2(operand, x),
            lambda x: math.hypot(x, operand),
            lambda x: tg.where(x > 0.0, operand, x),
        ):
            with pytest.raises(errors.InputError, match=r"an operand is .*, not a number"):
                tg.grad(call)(2.0)


class TestNeverASilentWrongFiniteNumber:
    @pytest.mark.parametrize(
        ("name", "point"),
        [
            ("log", -1.0), ("log2", -1.0), ("log10", -1.0), ("log1p", -2.0), ("sqrt", -1.0),
            ("asin", 2.0), ("acos", -2.0), ("acosh", 0.5), ("acosh", -2.0), ("atanh", 2.0),
            ("atanh", -2.0), ("gamma", -1.0), ("digamma", -1.0), ("sin", inf), ("cos", inf),
            ("tan", -inf),
        ],
    )  # fmt: skip
    def test_outside_the_domain_value_and_gradient_are_nan(self, name: str, point: float) -> None:
        """Where a function has no value, both the value and the gradient are nan."""
        value, slope = tg.value_and_grad(getattr(math, name))(point)
        assert library.isnan(value)
        assert library.isnan(slope)

    @pytest.mark.parametrize("power", [0.5, -1.5, 1 / 3])
    def test_a_fractional_power_of_a_negative_number_is_nan(self, power: float) -> None:
        """Python's complex result does not escape: value and gradient are nan."""
        for f in (lambda x: x**power, lambda x: math.pow(x, power)):
            value, slope = tg.value_and_grad(f)(-2.0)
            assert library.isnan(value)
            assert library.isnan(slope)
        value, slope = tg.value_and_grad(lambda y: (-2.0) ** y)(power)
        assert library.isnan(value)
        assert library.isnan(slope)

    @pytest.mark.parametrize(
        ("f", "point", "value", "slope"),
        [
            (lambda x: 1.0 / x, 0.0, inf, -inf),
            (lambda x: 1.0 / x, -0.0, -inf, -inf),
            (lambda x: x / 0.0, 1.0, inf, inf),
            (lambda x: x / 0, -1.0, -inf, inf),
            (lambda x: 0.0 / x, 0.0, nan, nan),
            (lambda x: x**-1, 0.0, inf, -inf),
            (lambda x: 2.0**x, 2000.0, inf, inf),
            (lambda x: x * x, 1e300, inf, 2e300),
            (lambda x: x**2, 1e300, inf, 2e300),
            (lambda x: x // 0.0, 1.0, inf, 0.0),
            (math.exp, 1000.0, inf, inf),
            (math.expm1, 1000.0, inf, inf),
            (math.sinh, -1000.0, -inf, inf),
            (math.cosh, -1000.0, inf, -inf),
            (math.log, 0.0, -inf, inf),
            (math.log1p, -1.0, -inf, inf),
            (math.sqrt, 0.0, 0.0, inf),
            (math.atanh, 1.0, inf, inf),
            (math.gamma, 172.0, inf, inf),
        ],
    )
    def test_overflow_and_division_by_zero_follow_ieee(
        self, f: Any, point: float, value: float, slope: float
    ) -> None:
        """At a pole and beyond the range there are infinities, and nan for 0 / 0."""
        got = tg.value_and_grad(f)(point)
        assert same_bits(got.value, value)
        assert same_bits(got.grad, slope)

    @pytest.mark.parametrize("name", UNARY)
    def test_no_function_of_one_number_raises(self, name: str) -> None:
        """Every float has a value and a gradient, and the value is the one plain floats get."""
        f = getattr(math, name)
        for x in EDGES:
            value, slope = tg.value_and_grad(f)(x)
            plain = f(x)
            assert value == plain if type(plain) is int else same_bits(value, plain)
            assert type(slope) is float

    @pytest.mark.parametrize("name", BINARY)
    def test_no_function_of_two_numbers_raises(self, name: str) -> None:
        """Every pair of floats has a value and partials, whichever side is traced."""
        f = getattr(math, name)
        for x in EDGES:
            for y in EDGES:
                plain = f(x, y)
                for traced in both_sides(f, x, y):
                    assert same_bits(tg.value_and_grad(traced)([x, y]).value, plain)

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_no_operator_raises(self, operator: str) -> None:
        """ZeroDivisionError, OverflowError, ValueError and complex numbers never escape."""
        apply = OPERATORS[operator]
        for x in EDGES:
            for y in EDGES:
                both, left, right = (
                    tg.value_and_grad(traced)([x, y]).value for traced in both_sides(apply, x, y)
                )
                assert same_bits(both, left)
                assert same_bits(both, right)
                try:
                    plain = apply(x, y)
                except (ArithmeticError, ValueError):
                    continue
                assert same_bits(both, plain if isinstance(plain, float) else nan)

    @pytest.mark.parametrize("f", [lambda x: x % 0.0, lambda x: math.fmod(x, 0.0)])
    def test_a_remainder_by_zero_has_no_gradient(self, f: Any) -> None:
        """A remainder by zero is nan, and so is its slope."""
        value, slope = tg.value_and_grad(f)(1.0)
        assert library.isnan(value)
        assert library.isnan(slope)

    def test_zero_times_infinity_stays_nan_and_can_be_explained(self) -> None:
        """The first entry that is nan names its operation, its operands and its line."""

        def f(x: Real) -> Real:
            huge = math.exp(x)
            return math.sin(huge * math.expm1(x * 0.0))

        tape = tg.record(f)(1000.0)
        assert library.isnan(tape.value)
        first = next(
            node for node in tape if isinstance(node, tg.Apply) and node.value != node.value
        )
        assert first.primitive.name == "mul"
        assert [tape[slot].value for slot in first.operands] == [inf, 0.0]  # type: ignore[union-attr]  # an Apply
        assert str(first.site) == place(f, "huge * math")


class TestFirstPartialsAreAccurate:
    @pytest.mark.parametrize(
        ("name", "operands"),
        [
            ("expm1", (-40.0,)), ("expm1", (1e-18,)), ("tanh", (20.0,)), ("tanh", (-300.0,)),
            ("sigmoid", (40.0,)), ("sigmoid", (-700.0,)), ("asin", (1.0 - 1e-15,)),
            ("acos", (-1.0 + 1e-15,)), ("atanh", (1.0 - 1e-15,)), ("asinh", (1e200,)),
            ("acosh", (1e200,)), ("acosh", (1.0 + 1e-15,)), ("atan", (1e200,)),
            ("hypot", (3e200, 4e200)), ("hypot", (3e-200, 4e-200)), ("div", (1e200, 3e200)),
            ("div", (3e-200, 1e-200)), ("atan2", (3e200, 4e200)), ("erf", (5.3,)),
            ("erfc", (26.0,)), ("norm_cdf", (-37.5,)), ("norm_pdf", (20.1,)),
            ("log1p", (-1.0 + 1e-15,)), ("logaddexp", (700.0, -700.0)), ("softplus", (-700.0,)),
        ],
    )  # fmt: skip
    def test_first_partials_hold_where_famous_libraries_lose_them(
        self, name: str, operands: tuple[float, ...]
    ) -> None:
        """Each first partial is within 4 units in the last place where others lose it."""
        f = OPERATORS["/"] if name == "div" else getattr(math, name)
        got = tg.grad(lambda p: f(*p))(list(operands))
        for index, slope in enumerate(got):
            assert ulps(slope, truth(name, index, *operands)) <= 4.0


class TestCotangentsAreAddedInTheOrderOfTheSweep:
    def test_the_highest_entry_comes_first(self) -> None:
        """Of 1, 1e16 and -1e16 from rising entries the last two meet first: the sum is 1."""

        def f(x: Real) -> Real:
            low, middle, high = x * 1.0, x * 1e16, x * -1e16
            return low + middle + high

        assert tg.grad(f)(1.0) == 1.0
        assert tg.record(tg.grad(f))(1.0).value == 1.0

    def test_operands_go_from_left_to_right(self) -> None:
        """Of 1, 1e16 and -1e16 from one entry's operands the first two meet first: the sum is 0."""

        def f(x: Real) -> Real:
            return math.dot([x, x, x], [1.0, 1e16, -1e16])

        assert tg.grad(f)(1.0) == 0.0
        assert tg.record(tg.grad(f))(1.0).value == 0.0

    def test_nothing_is_seeded_with_zero(self) -> None:
        """A negative zero arrives as it is; 0.0 + -0.0 would have lost its sign."""
        assert library.copysign(1.0, tg.grad(lambda x: x * -0.0)(1.0)) == -1.0


class TestKinks:
    @pytest.mark.parametrize(
        "f", [abs, math.fabs, math.relu, math.sign, math.floor, math.ceil, math.trunc]
    )
    @pytest.mark.parametrize("zero", [0.0, -0.0])
    def test_the_slope_at_zero_is_zero(self, f: Any, zero: float) -> None:
        """abs, relu and the steps have slope 0 at 0."""
        assert tg.grad(f)(zero) == 0.0

    @pytest.mark.parametrize("f", [math.floor, math.ceil, math.trunc])
    @pytest.mark.parametrize("x", [-0.0, 0.0, -0.5, 0.5])
    def test_a_rounded_zero_has_no_sign_on_any_road(
        self, f: Callable[[float], float], x: float
    ) -> None:
        """An int has none, and what is recorded or compiled gives what floats give."""
        found = float(f(x)), tg.record(f)(x).value, tg.jit(f, eager_first=False)(x)
        assert [repr(one) for one in found] == [repr(float(f(x)))] * 3
        assert not any(str(one).startswith("-0") for one in found)

    @pytest.mark.parametrize("f", [math.sign, math.floor, math.ceil, math.trunc])
    def test_steps_have_slope_zero_everywhere(self, f: Any) -> None:
        """A step is flat beside its jumps, and at them."""
        assert [tg.grad(f)(x) for x in (-1.5, -1.0, 0.3, 2.0, 1e300)] == [0.0] * 5

    @pytest.mark.parametrize("f", [math.maximum, math.minimum])
    def test_a_tie_gives_each_side_one_half(self, f: Any) -> None:
        """maximum and minimum of equal numbers share their slope."""
        assert tg.grad(lambda p: f(p[0], p[1]))([2.0, 2.0]) == [0.5, 0.5]
        assert tg.grad(lambda p: f(p[0], p[1]))([0.0, -0.0]) == [0.5, 0.5]
        assert tg.grad(lambda x: f(x, x))(2.0) == 1.0

    def test_python_s_max_takes_the_side_it_returns(self) -> None:
        """max returns its first argument at a tie, and that one has the whole slope."""
        largest: Any = max
        assert tg.grad(largest)([2.0, 2.0]) == [1.0, 0.0]

    def test_hypot_has_slope_zero_at_the_origin(self) -> None:
        """hypot'(0, 0) is 0 in every direction, in any dimension."""
        assert tg.grad(lambda p: math.hypot(*p))([0.0, 0.0]) == [0.0, 0.0]
        assert tg.grad(lambda p: math.hypot(*p))([0.0, -0.0, 0.0]) == [0.0, 0.0, 0.0]
        assert tg.grad(lambda p: math.dist(p, [1.0, 2.0]))([1.0, 2.0]) == [0.0, 0.0]

    @pytest.mark.parametrize("x", [-2.0, -0.0, 0.0, 3.0, inf])
    def test_a_power_with_exponent_zero_has_slope_zero(self, x: float) -> None:
        """x ** 0 is 1 everywhere: slope 0, with a plain exponent and with a traced one."""
        assert tg.grad(lambda x: x**0)(x) == 0.0
        assert tg.grad(lambda x: x**0.0)(x) == 0.0
        assert tg.partials(lambda x, y: x**y)(x, 0.0)["x"] == 0.0

    def test_a_constant_power_is_right_for_negative_numbers(self) -> None:
        """x ** n with a plain n asks for no logarithm."""
        assert tg.value_and_grad(lambda x: x**3)(-2.0) == (-8.0, 12.0)
        assert tg.value_and_grad(lambda x: x**2.0)(-1.5) == (2.25, -3.0)
        assert tg.grad(tg.grad(lambda x: x**3))(-2.0) == -12.0

    def test_a_traced_exponent_at_zero_and_below(self) -> None:
        """d/dy x ** y is 0 at x == 0 < y and nan for x < 0."""
        assert tg.partials(lambda x, y: x**y)(0.0, 2.0) == {"x": 0.0, "y": 0.0}
        below = tg.partials(lambda x, y: x**y)(-2.0, 2.0)
        assert below["x"] == -4.0
        assert library.isnan(below["y"])


def root_above_zero(x: Real) -> Real:
    return tg.where(x > 0.0, math.sqrt(x), x)


class TestABranchNotTaken:
    def test_the_arm_of_where_not_selected_contributes_nothing(self) -> None:
        """Not even a nan: where(x > 0, sqrt(x), x) has slope 1 at -4."""
        assert tg.grad(root_above_zero)(-4.0) == 1.0
        assert tg.grad(root_above_zero)(4.0) == 0.25

    @pytest.mark.parametrize("recorded", [-4.0, 4.0])
    @pytest.mark.parametrize("replayed", [-4.0, 4.0, 0.0, -0.0, inf, -inf, nan])
    def test_nor_does_it_in_a_recorded_gradient(self, recorded: float, replayed: float) -> None:
        """A recorded gradient, replayed where the other arm is taken, has the eager bits."""
        tape = tg.record(tg.grad(root_above_zero))(recorded)
        assert same_bits(tape.replay(replayed).value, tg.grad(root_above_zero)(replayed))

    @pytest.mark.parametrize("recorded", [-4.0, 4.0])
    @pytest.mark.parametrize("replayed", [-4.0, 4.0])
    def test_nor_does_it_in_a_second_derivative(self, recorded: float, replayed: float) -> None:
        """The dead arm of a second derivative contributes nothing either, recorded or eager."""
        second = tg.grad(tg.grad(root_above_zero))
        assert second(-4.0) == 0.0
        assert second(4.0) == -0.03125
        assert tg.record(second)(recorded).replay(replayed).value == second(replayed)

    def test_a_python_branch_not_taken_contributes_nothing(self) -> None:
        """What an `if` skips is not computed at all."""

        def f(x: Real) -> Real:
            return math.log(x) if x > 0.0 else 3.0 * x

        assert tg.grad(f)(-4.0) == 3.0
        assert tg.grad(f)(4.0) == 0.25

    def test_where_with_a_plain_bool_picks(self) -> None:
        """A plain condition chooses without an entry, and the other arm may be anything."""

        def f(x: Any, flag: bool) -> Any:
            return tg.where(flag, x * x, x)

        assert tg.grad(f)(3.0, True) == 6.0
        assert tg.grad(f)(3.0, False) == 1.0
        assert tg.where(True, 1.0, 2.0) == 1.0


class TestAnInputThatDoesNotMatter:
    def test_its_gradient_is_zero_and_its_key_is_present(self) -> None:
        """What the result does not depend on has the gradient 0.0."""
        got = tg.grad(lambda p: p["a"] * 2.0)({"a": 1.0, "b": 2.0, "c": [3.0, {"d": 4.0}]})
        assert got == {"a": 2.0, "b": 0.0, "c": [0.0, {"d": 0.0}]}

    def test_a_constant_has_gradient_zero(self) -> None:
        """A function that returns a plain number has a gradient, and it is 0.0."""
        assert tg.value_and_grad(lambda x: 3)(1.0) == (3.0, 0.0)

    def test_the_zero_is_positive(self) -> None:
        """An input reached only through an arm not taken is 0.0, in a replay too."""

        def f(p: Any) -> Any:
            return tg.where(p[0] > 0.0, -p[1], p[0])

        tape = tg.record(tg.grad(f))([1.0, 2.0])
        for slopes in (tg.grad(f)([-1.0, 2.0]), tape.replay([-1.0, 2.0]).value):
            assert slopes[0] == 1.0
            assert same_bits(slopes[1], 0.0)

    def test_stop_gradient_is_a_constant(self) -> None:
        """A number behind stop_gradient has no derivative, of any order."""
        assert tg.grad(lambda x: x * tg.stop_gradient(x))(3.0) == 3.0
        assert tg.grad(tg.grad(lambda x: x * x * tg.stop_gradient(x)))(3.0) == 6.0
        assert tg.stop_gradient(3.0) == 3.0


@given(x=st.floats(), y=st.floats())
def test_comparisons_are_python_s(x: float, y: float) -> None:
    """A comparison of traced numbers is true exactly where that of the floats is."""
    seen: list[bool] = []

    def f(p: Any) -> Any:
        a, b = p
        seen[:] = [bool(c) for c in (a < b, a <= b, a > b, a >= b, a == b, a != b)]
        return a

    tg.grad(f)([x, y])
    assert seen == [x < y, x <= y, x > y, x >= y, x == y, x != y]


def test_a_traced_number_is_no_float() -> None:
    """A Var is not a float, so nothing that asks for one takes it in silence."""
    seen: list[object] = []

    def f(x: Any) -> Any:
        seen.extend((isinstance(x, float), isinstance(x, Var)))
        return x

    tg.grad(f)(1.0)
    assert seen == [False, True]


@pytest.mark.parametrize("order", range(1, 7))
def test_derivatives_of_a_square_end(order: int) -> None:
    """From the third on they are 0, at 0 as well, whether the exponent is traced or not."""
    constant: Any = lambda x: x**2  # noqa: E731  # differentiated again and again below
    traced: Any = lambda x, n: x**n  # noqa: E731  # the same
    for _ in range(order):
        constant, traced = tg.grad(constant), tg.grad(traced)
    assert constant(0.0) == traced(0.0, 2.0) == (2.0 if order == 2 else 0.0)


def test_a_slope_may_be_finite_where_the_value_is_not() -> None:
    """2 ** 1024.2 overflows, and its derivative does not."""
    want = truth("exp2", 0, 1024.2)
    assert library.exp2(1000.0) < inf == math.exp2(1024.2)
    assert ulps(tg.grad(math.exp2)(1024.2), want) <= 4.0
