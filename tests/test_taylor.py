"""Laws of Taylor coefficients: mpmath's, those of power series, and those of nested gradients."""

from __future__ import annotations

import math as plain
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.transforms.primitive import primitive
from tapegrad.transforms.taylor import taylor
from tests.chain import derivative
from tests.oracle import ORACLE
from tests.places import refusal
from tests.strategies import Program, ordinary, points, programs, same_bits, smooth

Number: TypeAlias = Any
Function: TypeAlias = Callable[[Number], Number]

JUDGED = [row for row in ops.TABLE.rows if row.name in ORACLE and not row.helper]
STATIC = {"powc": (2.5, -1.5, 3.0), "ldexp": (3,), "polygamma": (2.0,), "round_to": (1,)}


def by_name(row: Primitive) -> str:
    return row.name


def expansion(f: Function, x: float, order: int) -> list[Number]:
    """The coefficients by mpmath, from differences in 60 digits."""
    with mp.workdps(60):
        return list(mp.taylor(f, mp.mpf(x), order))


def close(got: tuple[float, ...], want: list[Number], tolerance: float = 1e-12) -> bool:
    scale = max(1.0, *(float(abs(c)) for c in want))
    return all(
        abs(float(c) - float(w)) <= tolerance * scale for c, w in zip(got, want, strict=True)
    )


def along_the_domain(row: Primitive, sine: Function, x: Number) -> list[Number]:
    """As many curves as the row has operands, inside its domain."""
    width = row.arity or 4
    intervals = row.domain * (width if len(row.domain) < width else 1)
    middles = [
        0.25 if high == 1.0 else max(low, 0.0) + 0.625 + 0.25 * index
        for index, (low, high) in enumerate(intervals[:width])
    ]
    return [middle + sine(x + index) / 4 for index, middle in enumerate(middles)]


@pytest.mark.parametrize("row", JUDGED, ids=by_name)
def test_every_row_expands_as_its_closed_form(row: Primitive) -> None:
    """mpmath's coefficients to order 6, of the row on curves that reach all its operands."""
    for static in STATIC.get(row.name, (None,)):
        rest = () if static is None else (static,)

        def f(x: Number, rest: tuple[float, ...] = rest) -> Number:
            return row(*along_the_domain(row, math.sin, x), *rest)

        def truth(x: Number, rest: tuple[float, ...] = rest) -> Number:
            return ORACLE[row.name].value(*along_the_domain(row, mp.sin, x), *rest)

        assert close(taylor(f, 6)(0.375), expansion(truth, 0.375, 6))


def x_to_the_x(x: Number) -> Number:
    return x**x


def quotient(x: Number) -> Number:
    return math.log(1.0 + x * x) / (2.0 + math.cos(x))


def nested(x: Number) -> Number:
    return math.sigmoid(math.sin(x) * math.exp(-x))


COMPOSED: dict[str, tuple[Function, Function]] = {
    "exp": (math.exp, mp.exp),
    "sin": (math.sin, mp.sin),
    "cos": (math.cos, mp.cos),
    "log": (math.log, mp.log),
    "sqrt": (math.sqrt, mp.sqrt),
    "tanh": (math.tanh, mp.tanh),
    "sigmoid": (math.sigmoid, lambda x: 1 / (1 + mp.exp(-x))),
    "erf": (math.erf, mp.erf),
    "powc": (lambda x: (1.0 + x * x) ** 2.5, lambda x: (1 + x * x) ** 2.5),
    "x**x": (x_to_the_x, lambda x: x**x),
    "quotient": (quotient, lambda x: mp.log(1 + x * x) / (2 + mp.cos(x))),
    "nested": (nested, lambda x: 1 / (1 + mp.exp(-mp.sin(x) * mp.exp(-x)))),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions_expand_to_order_sixteen(name: str) -> None:
    """mpmath's coefficients, each to a relative 1e-11 of the largest."""
    f, truth = COMPOSED[name]
    assert close(taylor(f, 16)(1.25), expansion(truth, 1.25, 16), 1e-11)


def products(f: Function, order: int, x: float = 0.375) -> int:
    """The multiplications of an expansion, counted on its own tape."""
    tape = tg.record(taylor(f, order))(x)
    return sum(isinstance(node, tg.Apply) and node.primitive.name == "mul" for node in tape)


class TestCost:
    def test_equal_entries_are_shared(self) -> None:
        """A sigmoid at order 16 takes 816 products at most; unshared partials take 523,944."""
        assert products(math.sigmoid, 16) <= 816

    @pytest.mark.parametrize("name", ["exp", "sin", "tanh", "sigmoid", "erf", "quotient", "nested"])
    def test_products_grow_with_the_square_of_the_order(self, name: str) -> None:
        """Where the partials close on each other, twice the order is four times the products."""
        f, _ = COMPOSED[name]

        def inside(x: Number) -> Number:
            return f(math.exp(x))

        assert products(inside, 32) <= 4.2 * products(inside, 16)

    def test_half_the_square_of_the_order_for_each_operand(self) -> None:
        """exp(g) has one entry and one operand: n * (n + 1) / 2 products, and n for slopes."""
        n = 20

        def inner(x: Number) -> Number:
            return math.exp(x)

        def outer(x: Number) -> Number:
            return math.exp(math.exp(x))

        assert products(outer, n) - products(inner, n) <= n * (n + 1) // 2 + n

    def test_a_chain_that_never_closes_ends_at_the_order(self) -> None:
        """gamma needs polygamma below the order, and no further."""
        tape = tg.record(taylor(math.gamma, 6))(2.5)
        applied = [node for node in tape if isinstance(node, tg.Apply)]
        orders = {node.static for node in applied if node.primitive.name == "polygamma"}
        assert orders == {(1.0,), (2.0,), (3.0,), (4.0,), (5.0,)}

    def test_a_product_of_many_takes_no_subsets(self) -> None:
        """prod of n factors has 2^n products of some of them; n^2 entries do."""

        def f(x: Number) -> Number:
            return math.prod([x + float(i) for i in range(40)])

        assert products(f, 3) <= 3 * 40 * 40
        assert close(taylor(f, 3)(0.5), expansion(lambda x: mp.rf(x, 40), 0.5, 3))


LINE = smooth().flatmap(
    lambda f: st.tuples(st.just(f), st.lists(ordinary, min_size=f.width, max_size=f.width))
)


ANY_LINE = programs(5).flatmap(
    lambda f: st.tuples(st.just(f), points(f.width), points(1).map(lambda x: x[0]))
)


def on_a_line(program: Program, point: list[float]) -> Function:
    """The program along one direction through a point."""
    slopes = (1.0, -0.5, 0.75)

    def f(t: Number) -> Number:
        return program([x + slope * t for x, slope in zip(point, slopes, strict=False)])

    return f


class TestLaws:
    @given(LINE)
    def test_coefficients_are_derivatives_over_factorials(
        self, case: tuple[Program, list[float]]
    ) -> None:
        """The k-th coefficient is the k-th nested gradient over k!."""
        f = on_a_line(*case)
        found = taylor(f, 3)(0.125)
        assert all(map(plain.isfinite, found))
        want, derivative = [tg.record(f)(0.125).value], f
        for order in range(1, 4):
            derivative = tg.grad(derivative)
            want.append(derivative(0.125) / plain.factorial(order))
        assert close(found, want, 1e-9)

    @given(LINE, LINE)
    def test_sums_and_products_expand_as_power_series_do(
        self, one: tuple[Program, list[float]], two: tuple[Program, list[float]]
    ) -> None:
        """Coefficients are linear, and those of a product are Cauchy's sums of products."""
        f, g, order = on_a_line(*one), on_a_line(*two), 5
        fs, gs = taylor(f, order)(0.125), taylor(g, order)(0.125)
        assert all(map(plain.isfinite, fs + gs))
        combined = taylor(lambda t: 2.0 * f(t) - 3.0 * g(t), order)(0.125)
        assert close(combined, [2.0 * a - 3.0 * b for a, b in zip(fs, gs, strict=True)], 1e-11)
        cauchy = [sum(fs[j] * gs[k - j] for j in range(k + 1)) for k in range(order + 1)]
        size = 1.0 + max(map(abs, fs)) * max(map(abs, gs))
        multiplied = taylor(lambda t: f(t) * g(t), order)(0.125)
        assert all(abs(c - w) <= 1e-10 * size for c, w in zip(multiplied, cauchy, strict=True))

    @settings(max_examples=60)
    @given(ANY_LINE)
    def test_a_recorded_expansion_is_the_eager_one(
        self, case: tuple[Program, list[float], float]
    ) -> None:
        """`record(taylor(f, n))(x)` has the eager bits, and replays to them wherever it does."""
        program, point, elsewhere = case
        f = taylor(on_a_line(program, point), 3)
        tape = tg.record(f)(0.125)
        assert all(map(same_bits, tape.value, f(0.125)))
        try:
            replayed = tape.replay(elsewhere).value
        except errors.GuardError:
            return
        assert all(map(same_bits, replayed, f(elsewhere)))

    @given(ANY_LINE)
    def test_the_first_coefficient_is_what_the_chain_rule_allows(
        self, case: tuple[Program, list[float], float]
    ) -> None:
        """At kinks and poles, and with dead arms, too."""
        program, point, x = case
        f = on_a_line(program, point)
        tape = tg.record(f)(x)
        law = derivative(tape.columns, {0: 1.0}, tape.outputs[0])
        assert all(law.allows(taylor(f, order)(x)[1]) for order in (1, 2, 3))

    @given(ordinary)
    def test_the_slope_of_a_coefficient_is_the_next_one(self, x: float) -> None:
        """d c_k / dx = (k + 1) c_(k + 1)."""
        for k in range(4):
            slope = tg.grad(lambda x, k=k: taylor(nested, k)(x)[k])(x)
            assert close((slope,), [(k + 1) * taylor(nested, k + 1)(x)[k + 1]])


def choice(x: Number) -> Number:
    return tg.where(x > 0.0, math.sqrt(x), x * x)


class TestEdges:
    def test_order_zero_is_the_value(self) -> None:
        """One coefficient, which is f(x)."""
        assert taylor(math.exp, 0)(0.0) == (1.0,)

    def test_polynomials_end(self) -> None:
        """Coefficients beyond the degree are 0.0, and those up to it are exact."""
        assert taylor(lambda x: 3.0 * x + 1.0, 3)(2) == (7.0, 3.0, 0.0, 0.0)
        assert taylor(lambda x: x**2, 6)(0.0) == (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
        assert taylor(lambda x: x, 2)(5.0) == (5.0, 1.0, 0.0)
        assert taylor(lambda x: 4.0, 2)(5.0) == (4.0, 0.0, 0.0)

    def test_data_and_steps_do_not_move(self) -> None:
        """Only the first argument does, and not through a step or a cut."""

        def f(x: Number, a: Number, n: int) -> Number:
            return a * x**n + math.floor(x) + tg.stop_gradient(x)

        assert taylor(f, 3)(1.5, 2.0, n=3) == (9.25, 13.5, 9.0, 2.0)

    def test_only_the_arm_that_is_selected_counts(self) -> None:
        """The other arm of a `where` may be nan; a replay of the tape may select it."""
        assert taylor(choice, 3)(-2.0) == (4.0, -4.0, 1.0, 0.0)
        tape = tg.record(taylor(choice, 3))(4.0)
        assert tape.value == (2.0, 0.25, -1.0 / 64.0, 1.0 / 512.0)
        assert tape.replay(-2.0).value == (4.0, -4.0, 1.0, 0.0)

    def test_the_branch_is_the_one_taken(self) -> None:
        """A guard chooses at x, however near the other branch is."""

        def f(x: Number) -> Number:
            return math.sin(x) if x > 0.0 else x

        assert taylor(f, 2)(0.0) == (0.0, 1.0, 0.0)

    def test_it_nests(self) -> None:
        """An expansion inside a gradient sees the outer number, and the other way round."""
        assert tg.grad(lambda y: taylor(lambda x: math.sin(x * y), 3)(0.0)[3])(2.0) == -2.0
        assert taylor(tg.grad(math.sin), 2)(0.0) == (1.0, 0.0, -0.5)
        assert taylor(lambda x: taylor(math.exp, 2)(x)[2], 1)(0.0) == (0.5, 0.5)

    def test_a_rule_of_the_user_s_expands_too(self) -> None:
        """Its partials are recorded as they are for gradients, inside a recording as well."""
        rule = primitive(partials=lambda y, x: 3.0 * math.exp(x) * x if x > -5.0 else x, at=[])

        @rule
        def f(x: float) -> float:
            return 3.0 * plain.exp(x) * (x - 1.0)

        def composed(x: Number) -> Number:
            return f(math.sin(x))

        def spelled(x: Number) -> Number:
            return 3.0 * math.exp(math.sin(x)) * (math.sin(x) - 1.0)

        want = list(taylor(spelled, 5)(0.375))
        assert close(taylor(composed, 5)(0.375), want)
        assert close(tg.record(taylor(composed, 5))(0.375).value, want)

    @pytest.mark.parametrize("order", [-1, 1.0, True, "2", None])
    def test_an_order_counts(self, order: Any) -> None:
        """Anything but 0, 1, 2, ... is refused where the expansion is asked for."""
        message = refusal(errors.InputError, lambda: taylor(math.exp, order))
        assert message.startswith("the order of a Taylor series is ")
        assert message.endswith("the value alone, 1 for the first derivative too, and so on")

    def test_it_expands_one_number_in_one_number(self) -> None:
        """A container as the argument or as the result is refused, with what to do."""
        of_list: Any = lambda xs: xs[0]  # noqa: E731  # a program with a mistake
        message = refusal(errors.InputError, lambda: taylor(of_list, 2)([1.0]))  # type: ignore[arg-type]  # the mistake
        assert "a list, and a Taylor series is in one number" in message
        to_list: Any = lambda x: [x]  # noqa: E731  # a program with a mistake
        refusal(errors.OutputError, lambda: taylor(to_list, 2)(1.0))


def plain_slope(y: float, x: float) -> float:
    return 3.0 * float(x) ** 2


def test_a_rule_with_a_first_partial_only_has_a_series_of_order_one() -> None:
    """What a first derivative needs is all that is asked of the rule."""

    @tg.primitive(partials=plain_slope, at=[0.5])
    def cube(x: float) -> float:
        return x**3

    assert tg.taylor(cube, 1)(2.0) == (8.0, 12.0)
    with pytest.raises(errors.PrimitiveError, match="no derivative of order 2"):
        tg.taylor(cube, 2)(2.0)
