"""Custom rules, equations and checkpoints: numbers whose derivatives come from elsewhere."""

from __future__ import annotations

import copy
import functools
import inspect
import math as library
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import attrs
import mpmath
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.ops.table import TABLE
from tapegrad.transforms.checkpoint import checkpoint
from tapegrad.transforms.finite_differences import finite_difference
from tapegrad.transforms.implicit import root
from tapegrad.transforms.primitive import primitive
from tapegrad.transforms.taylor import taylor
from tests.places import place, refusal


@primitive(partials=lambda y, x: y / (x * (1.0 + y)), at=[0.5, 2.0])
def lambert_w(x: float) -> float:
    """The inverse of w exp(w)."""
    w = library.log1p(x)
    for _ in range(20):
        w -= (w * library.exp(w) - x) / (library.exp(w) * (1.0 + w))
    return w


@primitive(
    partials=(
        lambda y, x, a, b: a * math.cos(a * x) + b,
        lambda y, x, a, b: x * math.cos(a * x),
        None,
    ),
    at=[],
)
def wave(x: float, a: float, b: float) -> float:
    """A row of three operands; its partial in b is wrong on purpose, and not checked."""
    return library.sin(a * x) + b * x


@primitive(partials=lambda y, x: library.cos(x), at=[0.5])
def sine(x: float) -> float:
    return library.sin(x)


@primitive(partials=lambda y, x: 2.0 * math.exp(-x * x) / math.sqrt(math.pi), at=[0.3])
def erf(x: float) -> float:
    """Called as a row of the library is."""
    return library.erf(x)


def twice(x: Any) -> Any:
    return lambert_w(x) * 2.0


class TestACustomRow:
    def test_on_floats_it_is_the_function(self) -> None:
        """Name, doc, signature and value are those of what was decorated."""
        plain = inspect.unwrap(lambert_w)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(lambert_w, name) == getattr(plain, name)
        assert inspect.signature(lambert_w) == inspect.signature(plain)
        assert lambert_w(1.0) == plain(1.0) == 0.5671432904097838
        assert repr(lambert_w) == "<primitive lambert_w(x)>"

    def test_it_is_one_entry(self) -> None:
        """A tape prints, draws, replays and pickles it by its name."""
        tape = tg.record(twice)(1.0)
        line = place(twice, "return")
        assert str(tape).splitlines()[2] == (
            f"%1    lambert_w  %0        0.567143  2                    {line}"
        )
        assert len(tape) == 4
        assert 'label="lambert_w"' in tape.to_dot()
        assert tape.replay(2.0) == tg.record(twice)(2.0)
        again = pickle.loads(pickle.dumps(tape))  # noqa: S301  # our own bytes
        assert again == tape
        assert again.table.rows[-1] is tape.table.rows[-1]

    def test_it_is_pickled_by_reference(self) -> None:
        """A copy is the rule itself; a rule local to a function is refused, and so is its row."""
        assert pickle.loads(pickle.dumps(lambert_w)) is lambert_w  # noqa: S301  # our own bytes
        assert copy.deepcopy(lambert_w) is lambert_w

        @primitive(partials=(1.0,), at=[])
        def local(x: float) -> float:
            return x

        with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
            pickle.dumps(local)
        with pytest.raises(pickle.PicklingError, match=r"local is local to a function"):
            pickle.dumps(tg.record(local)(1.0))

    def test_every_mode_gives_the_derivatives_of_its_partials(self) -> None:
        """Reverse over reverse, forward, forward over reverse and Taylor agree with mpmath."""
        want = [float(c) for c in mpmath.taylor(mpmath.lambertw, 1.0, 4)]
        f: Callable[[float], float] = lambert_w
        assert tg.grad(f)(1.0) == pytest.approx(want[1], rel=1e-14)
        assert tg.jvp(f, 1.0, 1.0)[1] == pytest.approx(want[1], rel=1e-14)
        assert tg.grad(tg.grad(f))(1.0) == pytest.approx(2.0 * want[2], rel=1e-13)
        assert tg.hvp(f, 1.0, 1.0) == pytest.approx(2.0 * want[2], rel=1e-13)
        assert taylor(f, 4)(1.0) == pytest.approx(want, rel=1e-13)
        recorded = tg.record(tg.grad(f))(1.0)
        assert recorded.value == tg.grad(f)(1.0)
        assert recorded.simplify().tape.replay(2.0).value == tg.grad(f)(2.0)

    def test_more_than_two_operands(self) -> None:
        """A rule of three is recorded with a partial for each, None being flat."""

        def f(p: Any) -> Any:
            return wave(p[0], p[1], p[2])

        x, a = 0.5, 2.0
        assert tg.grad(f)([x, a, 1.0]) == [
            a * library.cos(a * x) + 1.0, x * library.cos(a * x), 0.0
        ]  # fmt: skip
        assert wave(x=0.5, a=2.0, b=1.0) == wave(0.5, 2.0, 1.0)  # type: ignore[call-overload]  # types go by position

    def test_a_name_of_the_library_is_not_taken(self) -> None:
        """A rule called as one of the library's rows stands on the tape under its full name."""
        tape = tg.record(lambda x: erf(x) + math.erf(x))(1.0)
        assert [node.primitive.name for node in tape if isinstance(node, tg.Apply)] == [
            "tests.test_custom.erf", "erf", "add"
        ]  # fmt: skip

    def test_what_the_function_raises_is_passed_on(self) -> None:
        """The error is the function's own."""

        @primitive(partials=lambda y, x: 1.0, at=[])
        def picky(x: float) -> float:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            tg.grad(picky)(1.0)


class TestCheckingARule:
    @pytest.mark.parametrize(
        "wrong",
        [
            lambda y, x: y / (x * (1.0 + y)) * (1.0 + 1e-7),
            lambda y, x: y / (x * (1.0 + y)) * (1.0 - 1e-7),
            lambda y, x: -y / (x * (1.0 + y)),
            lambda y, x: 0.0,
            lambda y, x: math.nan,
            lambda y, x: x / (y * (1.0 + x)),
        ],
    )
    def test_a_wrong_partial_is_refused(self, wrong: Any) -> None:
        """A sign, a swap and one part in 10^7 are seen at any ordinary point."""
        for x in (0.01, 0.5, 3.0, 40.0):
            with pytest.raises(errors.PrimitiveError, match=r"^the partial of lambert_w in x at "):
                primitive(partials=wrong, at=[x])(inspect.unwrap(lambert_w))

    def test_swapped_partials_are_refused(self) -> None:
        """The message names the rule, the operand, the point, both numbers and the error."""

        def call() -> object:
            swapped = (lambda y, a, b: a, lambda y, a, b: b)
            return primitive(partials=swapped, at=[(2.0, 3.0)])(lambda a, b: a * b)

        assert refusal(errors.PrimitiveError, call) == (
            "the partial of <lambda> in a at (2.0, 3.0) is 2.0, and differences give 3.0 with an "
            f"error of 3e-14 ({place(call, 'return')}): mend the partial"
        )

    def test_every_row_of_the_library_passes_as_a_rule(self) -> None:
        """No right partial is refused, and none a little wrong passes, where it is not 0."""
        for row in TABLE.rows:
            if (
                row.arity not in {1, 2}
                or row.has_static
                or row.name in {"div_pos", "guard", "whole"}
            ):
                continue
            point = [0.3 if row.domain[0][0] == -1.0 else 1.7, 0.9][: row.arity]
            for index in range(row.arity or 0):
                slope = row.partial(index, row.value(*point), *point)
                if not isinstance(slope, float) or slope == 0.0:
                    continue

                def along(x: float, row: Any = row, index: int = index) -> float:
                    return float(row.value(*point[:index], x, *point[index + 1 :]))  # noqa: B023  # called now

                found = finite_difference(along, point[index])
                assert abs(found.value - slope) <= 10.0 * found.error + 1e-15 * abs(slope), row
                assert found.error <= 5e-9 * abs(slope), row

    def test_not_decided_where_nothing_can_be_said(self) -> None:
        """A zero slope, a kink and rough values are reported, not refused and not approved."""

        def rough(x: float) -> float:
            return round(library.sin(x), 6)

        rule = primitive(partials=lambda y, x: library.cos(x), at=[0.5])
        (check,) = rule(rough).checked
        assert check.outcome == "not decided"
        assert repr(check).startswith("<partial in x at (0.5) not decided: 0.87758256189037")

        cosine = primitive(partials=lambda y, x: -library.sin(x), at=[0.0, 1.0])(library.cos)
        assert [check.outcome for check in cosine.checked] == ["not decided", "agrees"]

        kinked = primitive(partials=lambda y, x: 7.0, at=[0.0])(lambda x: abs(x) + x)
        assert [check.outcome for check in kinked.checked] == ["not decided"]

    def test_points_at_the_edge_of_the_domain(self) -> None:
        """Where the function raises around a point, only nearer values are compared."""
        rule = primitive(partials=lambda y, x: 0.5 / y, at=[1e-3, 1e-9, 1e200])(library.sqrt)
        assert [check.outcome for check in rule.checked] == ["agrees"] * 3

    def test_unchecked(self) -> None:
        """Without points nothing is checked, and nothing is said to be."""
        assert wave.checked == ()


def powers(x: Any) -> Any:
    """Two rules that a loop defines; the first of them."""
    found = []
    for n in (2, 3):

        @primitive(partials=lambda y, x: n * x ** (n - 1), at=[])
        def power(x: float) -> float:
            return x**n  # noqa: B023  # it is what is tested

        found.append(power(x))
    return found[0]


FACTOR = 2.0


@primitive(partials=lambda y, x: FACTOR, at=[1.0])
def times(x: float) -> float:
    return FACTOR * x


@primitive(partials=lambda y, x: 1.0 / x, at=[2.0])
def logarithm(x: float) -> float:
    return library.log(x) if x > 0.0 else library.nan


class TestTheSameRule:
    def test_variables_of_a_loop_are_held(self) -> None:
        """Every road applies and differentiates the rule of the iteration."""
        fast, slope = tg.jit(powers, eager_first=False), tg.jit(tg.grad(powers), eager_first=False)
        assert [fast(2.0), fast(3.0), fast(2.0)] == [4.0, 9.0, 4.0]
        assert [slope(2.0), slope(3.0), slope(2.0)] == [4.0, 6.0, 4.0]
        assert tg.grad(powers)(2.0) == tg.jvp(powers, 2.0, 1.0)[1] == 4.0
        assert tg.hvp(powers, 2.0, 1.0) == tg.grad(tg.grad(powers))(2.0) == 2.0
        assert tg.record(powers)(2.0).replay(3.0).gradient() == 6.0
        assert taylor(powers, 2)(2.0) == (4.0, 4.0, 1.0)

    def test_a_global_that_changed_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The value of one rule and the slope of another never meet."""

        def f(x: Any) -> Any:
            return times(x) * x

        tape, fast = tg.record(tg.grad(f))(1.0), tg.jit(tg.value_and_grad(f), eager_first=False)
        assert fast(1.0) == fast(1.0) == (2.0, 4.0)
        _, pullback = tg.vjp(f, 1.0)
        monkeypatch.setitem(globals(), "FACTOR", 5.0)
        assert fast(2.0) == fast(2.0) == tg.value_and_grad(f)(2.0)
        for call in (lambda: tape.replay(2.0), lambda: pullback(1.0)):
            message = refusal(errors.RecordingError, call)
            assert message.startswith("times (test_custom.py:")
            assert message.endswith(
                ") is called again and reads the global FACTOR, which was 2.0 and is 5.0 now: "
                "make it one of its numbers"
            )
        assert tg.value_and_grad(f)(1.0) == (5.0, 10.0)

    def test_where_the_value_is_nan_so_is_the_slope(self) -> None:
        """Outside its domain a rule has no derivative on any road, whatever its formula gives."""
        fast = tg.jit(tg.grad(logarithm), eager_first=False)
        replayed = tg.record(tg.grad(logarithm))(2.0).replay(-1.0).value
        assert fast(2.0) == fast(4.0) * 2.0 == 0.5
        for slope in (tg.grad(logarithm)(-1.0), fast(-1.0), fast(-1.0), replayed):
            assert library.isnan(slope)
        assert library.isnan(tg.hvp(logarithm, -1.0, 1.0))

    @pytest.mark.parametrize("constant", [True, "1.0", b"1", 1j, [1.0]])
    def test_a_constant_partial_is_a_number(self, constant: Any) -> None:
        """What only converts to a float is none."""

        def call() -> object:
            return primitive(partials=(constant,), at=[])(lambda x: x)

        message = refusal(errors.PrimitiveError, call)
        assert message.startswith(f"a partial of <lambda> ({place(call, 'return')}) is a ")
        assert message.endswith(
            ": pass a function of the result and the numbers, a number where the slope is "
            "constant, or None where it is 0"
        )


def scaled(a: float, x: float) -> float:
    """A function of which a partial is made."""
    return a * x * x


class Scaled:
    """The same as an object."""

    def __init__(self, a: float) -> None:
        self.a = a

    def __call__(self, x: float) -> float:
        return scaled(self.a, x)


class TestErrorsOfRules:
    @pytest.mark.parametrize("made", [functools.partial, lambda f, a: Scaled(a)])
    def test_a_function_without_a_name_is_a_rule(self, made: Any) -> None:
        """A partial of a function, and an object that is called, go by their class."""
        rule: Any = primitive(partials=lambda y, x: 6.0 * x, at=[1.5])(made(scaled, 3.0))
        assert tg.value_and_grad(rule)(2.0) == (12.0, 12.0)
        assert tg.jit(tg.grad(rule), eager_first=False)(2.0) == 12.0
        assert rule.__name__ in {"partial", "Scaled"}

    def test_a_traced_number_that_is_read_is_refused(self) -> None:
        """Its derivative would be dropped: it has to be a number of the rule."""

        def outer(a: Any) -> Any:
            return primitive(partials=lambda y, x: 2.0 * x, at=[1.5])(lambda x: a * x * x)(3.0)

        assert refusal(errors.TracedNumberError, lambda: tg.grad(outer)(2.0)) == (
            f"<lambda> ({place(outer, 'return')}) reads a traced number that is not among its "
            "numbers, and primitive would drop its derivative: pass it as one of them"
        )

    def test_a_missing_order_names_the_rule(self) -> None:
        """A partial on plain numbers alone gives the first order and says so at the second."""
        f: Callable[[float], float] = sine
        assert tg.grad(f)(0.5) == library.cos(0.5)

        def over_reverse() -> object:
            return tg.grad(tg.grad(f))(0.5)

        def over_forward() -> object:
            return tg.hvp(f, 0.5, 1.0)

        for call in (over_reverse, over_forward):
            assert refusal(errors.PrimitiveError, call) == (
                f"the partial of sine in x ({place(call, 'return')}) takes plain numbers only, so "
                "there is no derivative of order 2, nor a recorded one of order 1: write it with "
                "tapegrad.math and operators"
            )

    def test_arity(self) -> None:
        """The number of partials is that of the numbers, and that of a call."""

        def too_many() -> object:
            decorate: Any = primitive(partials=(1.0, 1.0), at=[])
            return decorate(lambda x: x)

        def of_the_partial() -> object:
            return primitive(partials=lambda y: 1.0, at=[1.0])(lambda x: x)

        def of_the_call() -> object:
            return lambert_w(1.0, 2.0)  # type: ignore[call-overload]  # it is what is tested

        assert refusal(errors.PrimitiveError, too_many) == (
            f"<lambda> takes (x) and partials has 2 of them ({place(too_many, 'return')}): give "
            "one for each number"
        )
        assert refusal(errors.PrimitiveError, of_the_partial) == (
            f"the partial of <lambda> in x ({place(of_the_partial, 'return')}) does not take 2 "
            "numbers: take the result and then x"
        )
        assert refusal(errors.InputError, of_the_call) == (
            f"lambert_w ({place(of_the_call, 'return')}) was given 2 numbers: pass 1 (x)"
        )

    def test_what_is_no_number(self) -> None:
        """An operand, a result and a partial are numbers, or the rule is named."""

        def operand() -> object:
            return lambert_w("1.0")  # type: ignore[call-overload]  # it is what is tested

        def result() -> object:
            rule: Any = primitive(partials=lambda y, x: 1.0, at=[])(lambda x: None)  # type: ignore[arg-type,return-value]  # it is tested
            return rule(1.0)

        def slope() -> object:
            bad: Any = lambda y, x: "1.0"  # noqa: E731  # a partial as users write it
            return primitive(partials=bad, at=[1.0])(lambda x: x)

        assert refusal(errors.InputError, operand) == (
            f"x of lambert_w ({place(operand, 'return')}) is a str ('1.0'), not a number: "
            "pass a float"
        )
        assert refusal(errors.OutputError, result) == (
            f"<lambda> ({place(result, 'rule(1.0)')}) returned None: return a float"
        )
        assert refusal(errors.PrimitiveError, slope) == (
            f"the partial of <lambda> in x ({place(slope, 'return')}) returned a str ('1.0'): "
            "return a number"
        )


def kepler(anomaly: Any, mean: Any, eccentricity: Any) -> Any:
    return anomaly - eccentricity * math.sin(anomaly) - mean


def eccentric(p: Any) -> Any:
    return root(kepler, p[0], p[0], p[1])


def product_log(w: Any, x: Any) -> Any:
    return w * math.exp(w) - x


def call_price(vol: Any, spot: Any, strike: Any, years: Any) -> Any:
    spread = vol * math.sqrt(years)
    d = math.log(spot / strike) / spread + spread / 2.0
    return spot * math.norm_cdf(d) - strike * math.norm_cdf(d - spread)


def implied(price: Any) -> Any:
    def mismatch(vol: Any, price: Any) -> Any:
        return call_price(vol, 100.0, 110.0, 1.0) - price

    return root(mismatch, 0.5, price)


class TestRoot:
    def test_kepler(self) -> None:
        """First and second derivatives of Kepler's equation are its closed forms."""
        mean, e = 1.0, 0.3
        x = eccentric([mean, e])
        d = 1.0 - e * library.cos(x)
        assert kepler(x, mean, e) == pytest.approx(0.0, abs=4e-16)
        assert tg.grad(eccentric)([mean, e]) == pytest.approx([1.0 / d, library.sin(x) / d], 1e-15)
        second = tg.hessian(eccentric)([mean, e])
        assert second["0"]["0"] == pytest.approx(-e * library.sin(x) / d**3, rel=1e-14)
        assert second["0"]["1"] == pytest.approx(second["1"]["0"], rel=1e-14)
        mixed = (library.cos(x) - e) / d**3
        assert second["0"]["1"] == pytest.approx(mixed, rel=1e-13)

    def test_lambert_w_to_the_fourth_order(self) -> None:
        """Taylor's coefficients through an equation are those of its solution."""

        def w(x: Any) -> Any:
            return root(product_log, 1.0, x)

        want = [float(c) for c in mpmath.taylor(mpmath.lambertw, 2.0, 4)]
        assert taylor(w, 4)(2.0) == pytest.approx(want, rel=1e-13)
        third = tg.grad(tg.grad(tg.grad(w)))(2.0)
        assert third == pytest.approx(6.0 * want[3], rel=1e-13)

    def test_implied_volatility(self) -> None:
        """The slope is 1 / vega, and the second derivative -volga / vega ** 3."""

        def price(vol: Any) -> Any:
            return call_price(vol, 100.0, 110.0, 1.0)

        vol = 0.23
        vega, volga = tg.grad(price)(vol), tg.grad(tg.grad(price))(vol)
        assert implied(price(vol)) == pytest.approx(vol, rel=1e-14)
        assert tg.grad(implied)(price(vol)) == pytest.approx(1.0 / vega, rel=1e-13)
        second = tg.grad(tg.grad(implied))(price(vol))
        assert second == pytest.approx(-volga / vega**3, rel=1e-12)

    def test_it_is_one_entry_that_solves_anew(self) -> None:
        """A replay, of the value or of the gradient, is a recording at the new point."""
        tape = tg.record(eccentric)([1.0, 0.3])
        assert [node.primitive.name for node in tape if isinstance(node, tg.Apply)] == ["root"]
        assert "root       %0 %0 %1 kepler" in str(tape)
        assert tape.replay([2.0, 0.5]) == tg.record(eccentric)([2.0, 0.5])
        assert tape.simplify().tape.replay([2.0, 0.5]).gradient() == tg.grad(eccentric)([2.0, 0.5])
        assert pickle.loads(pickle.dumps(tape)) == tape  # noqa: S301  # our own bytes
        gradient = tg.record(tg.grad(eccentric))([1.0, 0.3])
        for tape_ in (gradient, gradient.simplify().tape):
            assert tape_.replay([2.0, 0.5]).value == tg.grad(eccentric)([2.0, 0.5])

    def test_the_start_has_no_derivative(self) -> None:
        """Where the search begins, traced or not, the solution is the same number."""
        assert tg.grad(lambda s: root(product_log, s, 2.0))(0.9) == 0.0
        assert root(product_log, 0.1, 2.0) == pytest.approx(root(product_log, 5.0, 2.0), rel=4e-16)

    @pytest.mark.parametrize(
        ("f", "start", "want"),
        [
            (math.atan, 100.0, 0.0),
            (lambda x: math.log(x) + 5.0, 50.0, library.exp(-5.0)),
            (lambda x: math.cbrt(x - 1.0), 7.0, 1.0),
            (lambda x: x * math.exp(-x), 2.0, 0.0),
            (lambda x: math.exp(x) - 1e-300, 0.0, library.log(1e-300)),
            (lambda x: x**3 - 2.0 * x + 2.0, 0.0, -1.7692923542386314),
            (lambda x: 3.0 * x - 1.0, 0.0, 1.0 / 3.0),
        ],
    )
    def test_what_newton_alone_does_not_solve(self, f: Any, start: float, want: float) -> None:
        """A step too long is shortened, and a start too far is bracketed."""
        assert root(f, start) == pytest.approx(want, rel=1e-14, abs=1e-300)

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: x * x + 1.0,
            lambda x: x * x,
            lambda x: 1.0 / x,
            lambda x: 3.0,
            lambda x: math.log(-math.fabs(x)),
            lambda x: x - 1.0 if x < 0.0 else x + 1.0,
        ],
    )
    def test_no_simple_solution_is_an_error(self, f: Any) -> None:
        """No zero, a double one, a pole and a jump are refused, and nothing near them returned."""
        with pytest.raises(errors.ConvergenceError):
            root(f, 1.0)

    def test_messages(self) -> None:
        """What was sought, from where, and how far it got; what f must not read."""

        def nothing() -> object:
            return root(lambda x: 3.0 + 0.0 * x, 1.0)

        def closure(a: Any) -> Any:
            return root(lambda x: x * x - a, 1.0)

        def text() -> object:
            return root(product_log, 1.0, "2.0")  # type: ignore[call-overload]  # it is tested

        assert refusal(errors.ConvergenceError, nothing) == (
            f"root ({place(nothing, 'return')}) found no simple solution of <lambda> from 1.0: its "
            "value is 3.0 at 1.0, after 253 evaluations: start nearer to a solution, or check that "
            "there is one where the slope is not 0"
        )
        assert refusal(errors.TracedNumberError, lambda: tg.grad(closure)(2.0)) == (
            f"<lambda> ({place(closure, 'return')}) reads a traced number that is not among its "
            "arguments, and root would drop its derivative: pass it to root after the start"
        )
        assert refusal(errors.InputError, text) == (
            f"argument 1 after the start of root ({place(text, 'return')}) is a str ('2.0'), not a "
            "number: pass a float"
        )


def step(x: Any, y: Any, count: int) -> Any:
    for _ in range(count):
        x, y = math.sin(x * y) + x, y * 0.99 + x * x * 0.001
    return x, y


def chain(x: Any) -> Any:
    for _ in range(7):
        x = math.sin(x) * 1.1
    return x


def steps(block: Any) -> Any:
    """A program in which the arguments of blocks are used beside them, and twice in them."""

    def f(p: Any) -> Any:
        (x, y), z = p, p[0] * p[1]
        for _ in range(4):
            x, y = block(x, y, 3)
            x = x * z + block(y, y, 1)[0]
            y = tg.where(x > 0.0, y + p[0] * 0.1, x)
        return x * y + z

    return f


def repeated(block: Any, count: int) -> Any:
    def f(x: Any) -> Any:
        for _ in range(count):
            x = block(x)
        return x

    return f


def peak(f: Callable[[Any], Any]) -> int:
    """The bytes that a gradient takes at its height, of what is compiled once apart."""
    tg.grad(checkpoint(math.sin))(1.0)
    tracemalloc.start()
    try:
        tg.grad(f)(1.0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sines(count: int) -> Callable[[Any], Any]:
    def block(x: Any) -> Any:
        for _ in range(count):
            x = math.sin(x)
        return x

    return block


class TestCheckpoint:
    @pytest.mark.parametrize("point", [[0.3, 0.4], [-0.7, 1.1], [2.0, -0.1]])
    def test_the_bits_are_those_without(self, point: list[float]) -> None:
        """Values and gradients of blocks of several numbers are the same to the last bit."""
        plain, blocks = steps(step), steps(checkpoint(step))
        assert tg.value_and_grad(blocks)(point) == tg.value_and_grad(plain)(point)
        assert blocks(point) == plain(point)
        value, pullback = tg.vjp(blocks, point)
        assert (value, pullback(1.0), pullback(1.0)) == (
            tg.vjp(plain, point)[0], tg.grad(plain)(point), tg.grad(plain)(point)
        )  # fmt: skip

    @pytest.mark.parametrize("exact", [False, True])
    def test_the_bits_are_those_without_where_arrays_stand_beside(self, exact: bool) -> None:
        """A block of numbers or of arrays, before and after other arrays, changes no bit."""

        def of_array(x: Any, y: Any) -> Any:
            return np.tanh(x * y), np.sum(x) * y

        def f(p: Any, call: Any) -> Any:
            number = call(chain)(p["x"]) + call(chain)(p["x"] * 0.5)
            grid = p["w"] * np.arange(3.0) + number
            first, second = call(of_array)(grid, p["x"])
            chosen = tg.where(p["x"] > 0.0, call(chain)(second), number)
            return np.sum(first) * chosen + call(chain)(np.sum(first)) + np.sum(grid)

        gradient = tg.value_and_grad(f, exact=exact)
        for x in (0.7, -0.7):
            point = {"x": x, "w": np.array([0.5, -1.0, 2.0])}
            found, right = gradient(point, checkpoint), gradient(point, lambda block: block)
            assert found.value == right.value
            assert found.grad["x"] == right.grad["x"]
            assert found.grad["w"].tolist() == right.grad["w"].tolist()
            shares = tg.vjp(f, point, checkpoint)[1](1.0)
            assert shares["x"] == tg.vjp(f, point, lambda block: block)[1](1.0)["x"]

    @pytest.mark.parametrize("exact", [False, True])
    def test_the_bits_are_those_without_where_arrays_stand_inside(self, exact: bool) -> None:
        """A block of numbers may compute with arrays, loop by scan, and give arrays."""
        weights = np.array([1.0, -0.5, 2.0])

        def looped(x: Any) -> Any:
            return tg.scan(lambda c, y: (math.sin(c * x) + y, None), x, [0.1, 0.2, 0.3])[0]

        def f(p: Any, call: Any) -> Any:
            inner = call(lambda x: math.exp(x) * x)
            number = call(lambda x: inner(x) * np.sum(np.tanh(weights * x)))(p[0])
            found = call(lambda x: {"row": weights * x, "x": x, "same": weights})(p[1])
            return number * np.sum(found["row"] * found["same"]) + call(looped)(found["x"])

        gradient, point = tg.value_and_grad(f, exact=exact), [0.7, -0.4]
        assert gradient(point, checkpoint) == gradient(point, lambda block: block)

    def test_results_that_are_arguments_constants_or_equal(self) -> None:
        """What a block hands through is what was handed in."""

        def block(x: Any, y: float) -> Any:
            z = x * y
            return {"same": x, "twice": [z, z], "constant": 2.0, "text": "abc"}

        def f(x: Any, call: Any) -> Any:
            found = call(x, 3.0)
            assert found["same"] is x
            assert found["text"] == "abc"
            return found["twice"][0] * found["twice"][1] + found["constant"] * found["same"]

        assert tg.grad(f)(2.0, call=checkpoint(block)) == tg.grad(f)(2.0, call=block) == 38.0

    def test_blocks_in_blocks(self) -> None:
        """A block may be cut into blocks."""
        nested = checkpoint(repeated(checkpoint(chain), 3))
        assert tg.grad(repeated(nested, 3))(0.5) == tg.grad(repeated(chain, 9))(0.5)

    def test_every_other_transform_sees_the_inside(self) -> None:
        """Recordings, higher orders and forward mode are those without checkpoints."""
        block, point = checkpoint(chain), 0.5
        assert len(tg.record(block)(point)) == len(tg.record(chain)(point)) == 16
        assert tg.record(tg.grad(block))(point).value == tg.grad(chain)(point)
        assert tg.grad(tg.grad(block))(point) == tg.grad(tg.grad(chain))(point)
        assert tg.hvp(block, point, 1.0) == tg.hvp(chain, point, 1.0)
        assert tg.jvp(block, point, 1.0) == tg.jvp(chain, point, 1.0)
        assert taylor(block, 3)(point) == taylor(chain, 3)(point)

    def test_numbers_from_around_a_block(self) -> None:
        """A block that reads a traced number it was not given is taken down as it is."""

        def f(p: Any) -> Any:
            return checkpoint(lambda x: math.sin(x * p[1]))(p[0])

        x, y = 0.5, 2.0
        assert tg.grad(f)([x, y]) == [y * library.cos(1.0), x * library.cos(1.0)]

    def test_a_block_of_plain_numbers_in_a_gradient_that_is_recorded(self) -> None:
        """The sweep through a block may itself be recorded, with a choice around it."""

        def outer(block: Any) -> Any:
            def f(x: Any) -> Any:
                def inner(y: Any) -> Any:
                    return tg.where(x * y > 0.0, block(y) * x, y) * block(block(y) + y)

                return tg.grad(inner)(2.0)

            return f

        for x in (3.0, -3.0):
            plain, blocks = tg.record(outer(chain))(x), tg.record(outer(checkpoint(chain)))(x)
            assert blocks.value == plain.value
            assert blocks.gradient() == plain.gradient()
            assert blocks.replay(-x).value == plain.replay(-x).value == outer(chain)(-x)

    def test_containers(self) -> None:
        """Arguments are searched for numbers as inputs are; ints and texts stay what they are."""

        @attrs.frozen
        class Model:
            w: tg.Real  # type: ignore[valid-type]  # bound by no class here

        @checkpoint
        def block(models: dict[str, Any], power: int, *, shift: float) -> Any:
            return models["a"].w ** power + shift

        def f(p: Any) -> Any:
            return block({"a": Model(p)}, 3, shift=1.0)

        assert tg.value_and_grad(f)(2.0) == (9.0, 12.0)

    def test_a_block_that_is_not_the_same_twice_is_refused(self) -> None:
        """What is computed again is compared with what was recorded."""
        counts = iter(range(10))

        @checkpoint
        def block(x: Any) -> Any:
            return x * next(counts)

        def call() -> object:
            return tg.grad(block)(2.0)

        assert refusal(errors.RecordingError, call) == (
            f"block under checkpoint ({place(call, 'return')}) gave (0.0,) when recorded and "
            "(2.0,) when computed again: let it depend on nothing but its arguments"
        )

    def test_variables_of_a_loop_are_held(self) -> None:
        """A block is computed again as it was in its iteration."""

        def f(x: Any) -> Any:
            for n in (2, 3):
                x = checkpoint(lambda x: x**n)(x)  # noqa: B023  # it is what is tested
            return x

        assert tg.value_and_grad(f)(2.0) == (64.0, 192.0)

    def test_a_block_that_comes_to_the_same_numbers_in_another_way_is_refused(self) -> None:
        """1 ** 2 is 1 ** 3, and the slopes differ."""
        powers = iter([2, 3])

        @checkpoint
        def block(x: Any) -> Any:
            return x ** next(powers)

        def call() -> object:
            return tg.grad(block)(1.0)

        assert refusal(errors.RecordingError, call) == (
            f"block under checkpoint ({place(call, 'return')}) came to (1.0,) in another way when "
            "computed again: let it depend on nothing but its arguments"
        )

    @pytest.mark.parametrize("result", [None, "text", (None, 2), []])
    def test_a_block_without_traced_results_runs_once(self, result: object) -> None:
        """Nothing in it has a derivative, so there is nothing to compute again."""
        calls = []

        @checkpoint
        def block(x: Any) -> object:
            calls.append(x * 2.0)
            return result

        def f(x: Any) -> Any:
            assert block(x) == result
            return x * 3.0

        assert tg.grad(f)(2.0) == 3.0
        assert len(calls) == 1

    def test_memory_is_that_of_the_ends_and_of_one_block(self) -> None:
        """10,000 steps in blocks of 100 take the memory of fewer than 1,000 recorded steps."""
        block = checkpoint(sines(100))
        assert peak(repeated(block, 100)) < 1_000 * peak(sines(5_000)) / 5_000

    @pytest.mark.slow
    def test_memory_of_a_million_steps(self) -> None:
        """10^6 steps in blocks of 10^3 take the memory of fewer than 10,000 recorded steps.

        They are 1,000 inside the block and 2,000 entries for the ends, each with its arguments.
        """
        block = checkpoint(sines(1_000))
        assert peak(repeated(block, 1_000)) < 10_000 * peak(sines(20_000)) / 20_000
