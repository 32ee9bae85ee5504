"""Laws of `root`: where a function passes through 0, and the same function ever after."""

from __future__ import annotations

import math as library
import pickle
from collections.abc import Callable
from math import inf, isnan, nan
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tests.places import place, refusal

SLOW = settings(max_examples=20)
BACKENDS = ["numpy", "llvm"]


def exponents(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of every scale between two powers of ten."""
    return st.floats(low, high).map(lambda power: 10.0**power)


def signed(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.builds(library.copysign, numbers, st.sampled_from([1.0, -1.0]))


def diode(v: Any, current: Any) -> Any:
    return 1e-12 * (math.exp(v / 0.025) - 1.0) + v / 100.0 - current


def call_price(vol: Any, years: float) -> Any:
    spread = vol * math.sqrt(years)
    d = math.log(100.0 / 110.0) / spread + spread / 2.0
    return 100.0 * math.norm_cdf(d) - 110.0 * math.norm_cdf(d - spread)


class TestAnyStart:
    @SLOW
    @given(exponents(-3, 3), exponents(-200, 200), signed(exponents(-5, 5)))
    @example(1.0, 5.0, 720.0)
    @example(1.0, 5.0, -720.0)
    def test_exponentials(self, k: float, a: float, start: float) -> None:
        """exp(k x) = a is solved from where exp overflows, and from where it is 0."""
        got = tg.root(lambda x, k, a: math.exp(k * x) - a, start / k, k, a)
        assert got == pytest.approx(float(mpmath.log(a) / k), rel=1e-12, abs=1e-12 / k)

    @SLOW
    @given(exponents(-200, 200), signed(exponents(-50, 150)), st.sampled_from([3, 5, -1, -2]))
    @example(8.0, 1e103, 3)
    @example(1e300, 1.0, 3)
    def test_powers(self, a: float, start: float, n: int) -> None:
        """x ** n = a is solved over the whole double range, beside a pole at 0 too.

        There slopes overflow at 1e-150.
        """
        if n < 0:
            start, a = abs(start), min(max(a, 1e-150), 1e150)
        got = tg.root(lambda x, a: x**n / a - 1.0, start, a)
        assert abs(got) == pytest.approx(float(mpmath.mpf(a) ** (mpmath.mpf(1) / n)), rel=1e-12)

    @SLOW
    @given(exponents(-6, 200), signed(exponents(-5, 5)), st.sampled_from([0.0, 3.0, -150.0]))
    @example(1.0, 720.0, 0.0)
    def test_a_valley_between_overflows(self, depth: float, start: float, at: float) -> None:
        """cosh(x - at) = c has a solution on either side; one of them is found from anywhere."""
        got = tg.root(lambda x, c: math.cosh(x - at) - c, start, 1.0 + depth)
        want = float(mpmath.acosh(mpmath.mpf(1.0 + depth)))
        assert abs(got - at) == pytest.approx(want, rel=1e-7, abs=1e-9 * abs(at))

    @SLOW
    @given(st.floats(-300.0, 300.0), st.floats(0.05, 2.0))
    @example(20.0, 0.1)
    @example(10.0, 0.1)
    def test_a_diode(self, start: float, current: float) -> None:
        """The current of a diode overflows at a few volts, and its voltage is found."""
        with mpmath.workdps(40):
            want = mpmath.findroot(
                lambda v: mpmath.mpf(1e-12) * mpmath.expm1(v / mpmath.mpf(0.025)) + v / 100
                - mpmath.mpf(current), 0.7, solver="newton", tol=1e-20,
            )  # fmt: skip
        assert tg.root(diode, start, current) == pytest.approx(float(want), rel=1e-9)

    @SLOW
    @given(exponents(-8, 200), st.floats(0.05, 3.0), st.floats(0.1, 4.0))
    def test_implied_volatility(self, start: float, vol: float, years: float) -> None:
        """The price is flat for small and for large volatilities, where the slope underflows."""
        price = call_price(vol, years)
        got = tg.root(lambda vol, price: call_price(vol, years) - price, start, price)
        assert call_price(got, years) == pytest.approx(price, abs=1e-11)
        assert got == pytest.approx(vol, rel=1e-6)

    @pytest.mark.parametrize(
        ("f", "start", "want"),
        [
            (lambda x: math.log(x) + 5.0, -1.0, library.exp(-5.0)),
            (lambda x: math.sqrt(x - 3.0) - 1.0, -100.0, 4.0),
            (lambda x: math.asin(x) - 1.5, 5.0, library.sin(1.5)),
            (lambda x: math.exp(x) - math.exp(2.0 * x - 3.0), 800.0, 3.0),
            (lambda x: math.tanh(x) - 0.5, 1e5, library.atanh(0.5)),
            (lambda x: math.exp(-x) - 1e-300, 800.0, -library.log(1e-300)),
            (lambda x: x * math.exp(-x), 800.0, 0.0),
            (lambda x: math.gamma(x) - 24.0, 200.0, 5.0),
            (lambda x: 1e-310 * (x - 7.0), 1.0, 7.0),
            (math.sqrt, 1.0, 0.0),
            (math.cbrt, 5.0, 0.0),
            (lambda x: math.tan(x) - 1.0, library.pi / 2.0, library.pi / 4.0),
        ],
    )
    def test_flat_undefined_and_overflowing(self, f: Any, start: float, want: float) -> None:
        """A start that is no number or tells nothing is left for one that does."""
        assert tg.root(f, start) == pytest.approx(want, rel=1e-13, abs=1e-12)

    def test_the_derivative_is_that_of_the_solution(self) -> None:
        """It does not depend on the start, in overflow or not."""

        def of(a: Any) -> Any:
            return tg.root(lambda x, a: math.exp(x) - a, 720.0, a)

        assert tg.value_and_grad(of)(5.0) == pytest.approx((library.log(5.0), 0.2), rel=1e-14)


class TestNoSolution:
    @pytest.mark.parametrize(
        ("f", "start"),
        [
            (lambda x: (x - 1.0) ** 2, 3.0),
            (lambda x: x * x - 2.0 * x + 1.0, 3.0),
            (lambda x: x * x, 1e-170),
            (lambda x: x**3, 3.0),
            (lambda x: x**3, 1e-120),
            (lambda x: (x - 1.0) ** 3, 3.0),
            (lambda x: math.exp(-x), 1.0),
            (lambda x: math.exp(-x), 740.0),
            (math.exp, -740.0),
            (lambda x: math.exp(x) + 1.0, 720.0),
            (lambda x: 1.0 / (x - 1.0), 1.0 + 1e-15),
            (lambda x: 1.0 / x, 1e-300),
            (lambda x: math.relu(x - 1.0), 3.0),
            (lambda x: math.log(x) * 0.0 + 1.0, -1.0),
            (lambda x: x - 1.0, nan),
            (lambda x: x - 1.0, inf),
            (lambda x: x - nan, 1.0),
            (lambda x: 0.0 * x + inf, 1.0),
        ],
    )
    def test_what_only_looks_like_one_is_refused(self, f: Any, start: float) -> None:
        """Double and triple zeros, values that underflow, poles, infinities and nan."""
        with pytest.raises(errors.ConvergenceError):
            tg.root(f, start)

    def test_what_lies_beyond_a_pole_is_not_near_the_start(self) -> None:
        """1 + r changes sign between the start and the other solution."""
        with pytest.raises(errors.ConvergenceError):
            tg.root(present_value, 0.1, 100.0, 10.0)


def present_value(r: Any, now: Any, later: Any) -> Any:
    return now + later / (1.0 + r)


def rate(row: Any) -> Any:
    return tg.root(present_value, 0.1, row[0], row[1], on_failure="nan")


def strict(row: Any) -> Any:
    return tg.root(present_value, 0.1, row[0], row[1])


ROWS = np.array([[-100.0, 110.0], [100.0, 10.0], [-50.0, 60.0]])


class TestFailures:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_nan_for_a_row(self, backend: Any) -> None:
        """One row without a solution is nan, value and gradient; the others are what they are."""
        found = tg.vmap(tg.value_and_grad(rate), backend=backend)(ROWS)
        assert found.value == pytest.approx([0.1, nan, 0.2], nan_ok=True)
        assert found.grad.column("0") == pytest.approx([0.011, nan, 0.024], nan_ok=True)
        assert found.grad.column("1") == pytest.approx([0.01, nan, 0.02], nan_ok=True)

    def test_nan_in_every_mode(self) -> None:
        """All derivatives of a call without a solution are nan, whatever asks for them."""
        bad = [100.0, 10.0]
        assert isnan(rate(bad))
        fast = tg.jit(tg.grad(rate), eager_first=False)
        replayed = tg.record(tg.grad(rate))([-100.0, 110.0]).replay(bad).value
        for gradient in (tg.grad(rate)(bad), fast(bad), fast(bad), replayed):
            assert list(map(isnan, gradient)) == [True, True]
        assert isnan(tg.jvp(rate, bad, [1.0, 0.0])[1])
        assert all(isnan(x) for row in tg.hessian(rate)(bad).values() for x in row.values())
        assert fast([-100.0, 110.0]) == tg.grad(strict)([-100.0, 110.0])

    def test_the_error_is_the_default_and_names_the_line_that_asks(self) -> None:
        """It is the user's own, in a batch and in compiled code as in a plain call."""
        line = place(strict, "tg.root")
        fast = tg.jit(strict, eager_first=False)
        fast([-100.0, 110.0])
        calls: list[Callable[[], object]] = [
            lambda: strict([100.0, 10.0]),
            lambda: tg.grad(strict)([100.0, 10.0]),
            lambda: fast([100.0, 10.0]),
            lambda: tg.vmap(strict)(ROWS),
            lambda: tg.vmap(strict, backend="numpy", threads=2)(np.tile(ROWS, (5000, 1))),
        ]
        for call in calls:
            message = refusal(errors.ConvergenceError, call)
            assert message.startswith(
                f"root ({line}) found no simple solution of present_value from 0.1: its value is "
            )

    def test_an_unknown_option_is_refused(self) -> None:
        """The message says what there is."""

        def call() -> object:
            return tg.root(present_value, 0.1, 1.0, 2.0, on_failure="skip")  # type: ignore[call-overload]  # it is tested

        assert refusal(errors.InputError, call) == (
            f"on_failure='skip' ({place(call, 'return')}) is unknown: use 'raise' or 'nan'"
        )


def powers(a: Any) -> Any:
    """Two roots of equations that a loop defines; the first of them."""
    found = []
    for n in (2, 3):

        def inner(x: Any) -> Any:
            return x**n  # noqa: B023  # it is what is tested

        def power(x: Any, a: Any) -> Any:
            return inner(x) - a

        found.append(tg.root(power, 1.0, a))
    return found[0]


class Exponent:
    n = 2


def hidden(a: Any) -> Any:
    return tg.root(lambda x, a: x**Exponent.n - a, 1.0, a)


def all_hidden(a: Any) -> Any:
    found = []
    for n in (2, 3):
        Exponent.n = n
        found.append(hidden(a))
    return found[0]


NUMBER = 2


def of_global(a: Any) -> Any:
    return tg.root(numbered, 1.0, a)


def numbered(x: Any, a: Any) -> Any:
    return x**NUMBER - a


class TestTheSameEquation:
    @pytest.mark.parametrize("a", [1.0, 4.0])
    def test_variables_of_a_loop_are_held(self, a: float) -> None:
        """Every road differentiates, and solves again, the equation of the iteration."""
        slope, curve = 0.5 / library.sqrt(a), -0.25 * a**-1.5
        fast, rows = (
            tg.jit(powers, eager_first=False),
            tg.vmap(tg.value_and_grad(powers))(np.array([a, 9.0])),
        )
        assert [fast(4.0), fast(9.0), fast(a)] == [2.0, 3.0, library.sqrt(a)]
        assert rows.value == pytest.approx([library.sqrt(a), 3.0])
        assert rows.grad.column("a") == pytest.approx([slope, 1.0 / 6.0])
        for got in (
            tg.grad(powers)(a),
            tg.jvp(powers, a, 1.0)[1],
            tg.jit(tg.grad(powers), eager_first=False)(a),
            tg.record(powers)(9.0).replay(a).gradient(),
            tg.record(tg.grad(powers))(9.0).replay(a).value,
            tg.taylor(powers, 2)(a)[1],
        ):
            assert got == pytest.approx(slope, rel=1e-14)
        assert tg.hvp(powers, a, 1.0) == pytest.approx(curve, rel=1e-14)
        assert tg.grad(tg.grad(powers))(a) == pytest.approx(curve, rel=1e-14)

    def test_what_an_equation_writes_to_is_left_to_it(self) -> None:
        """A counter of the user's counts on."""
        calls = 0

        def counting(x: Any, a: Any) -> Any:
            nonlocal calls
            calls += 1
            return x * x - a

        tg.grad(lambda a: tg.root(counting, 1.0, a))(4.0)
        assert calls > 4

    @pytest.mark.parametrize("a", [1.0, 4.0])
    def test_a_change_that_is_not_held_is_refused(self, a: float) -> None:
        """Slopes of another equation are never given; compiled code sees the change."""
        value, pullback = tg.vjp(all_hidden, a)
        assert value == pytest.approx(library.sqrt(a))
        tape, gradient = tg.record(all_hidden)(a), tg.jit(tg.grad(hidden), eager_first=False)
        Exponent.n = 2
        assert gradient(a) == gradient(a) == pytest.approx(0.5 / library.sqrt(a))
        rows = tg.vmap(hidden)
        rows(np.array([a, 9.0]))
        Exponent.n = 3
        assert gradient(8.0) == gradient(8.0) == pytest.approx(1.0 / 12.0)
        assert rows(np.array([8.0, 1.0])) == pytest.approx([2.0, 1.0])
        for call in (
            lambda: pullback(1.0),
            lambda: tg.grad(all_hidden)(a),
            lambda: tape.replay(9.0),
        ):
            message = refusal(errors.RecordingError, call)
            assert message.startswith(
                f"the equation <lambda> of root ({place(hidden, 'root')}) is called again and is "
                "another one than before; it reads something that changed: at "
            )
            assert message.endswith("pass all that it depends on to root after the start")

    def test_a_global_that_changed_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message says which, what it was and what it is, even where both have one solution."""
        _, pullback = tg.vjp(of_global, 1.0)
        monkeypatch.setitem(globals(), "NUMBER", 3)
        assert refusal(errors.RecordingError, lambda: pullback(1.0)) == (
            f"the equation numbered of root ({place(of_global, 'root')}) is called again and is "
            "another one than before; it reads the global NUMBER, which was 2 and is 3 now: pass "
            "all that it depends on to root after the start"
        )

    def test_tapes_are_equal_where_the_equations_are(self) -> None:
        """Neither the line that asks nor the values on the way are part of a tape's identity."""

        def one(a: Any) -> Any:
            return tg.root(numbered, 1.0, a)

        tape = tg.record(of_global)(4.0)
        assert tape == tg.record(one)(4.0)
        assert pickle.loads(pickle.dumps(tape)) == tape  # noqa: S301  # our own bytes
        assert tape.simplify().tape.replay(9.0).value == 3.0
