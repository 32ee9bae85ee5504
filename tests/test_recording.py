"""The behaviours of recording: what traced numbers refuse, and that nothing leaks."""
# ruff: noqa: PLW0108  # a lambda has a line here, which the messages must name

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import math as library
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import Condition, Real, Var, errors, math
from tests.places import place, refusal


def differentiated(use: Callable[[Any], object]) -> Callable[[], object]:
    """A call that hands a traced number to `use` while it is recorded."""

    def model(x: Any) -> Any:
        use(x)
        return x

    return lambda: tg.grad(model)(2.0)


REFUSED: list[tuple[Callable[[Any], object], str, str]] = [
    (
        lambda x: float(x),
        "float(x)",
        "x, or a function of tapegrad.math",
    ),
    (lambda x: complex(x), "complex(x)", "its real and imaginary parts as two numbers"),
    (
        lambda x: f"{x:.3f}",
        "format(x, '.3f')",
        "f'{x}' inside the function, or its result outside",
    ),
    (
        lambda x: library.sin(x),
        "float(x)",
        "x, or a function of tapegrad.math",
    ),
    (
        lambda x: library.fsum([x, x]),
        "float(x)",
        "x, or a function of tapegrad.math",
    ),
    (
        lambda x: "%.2f" % x,  # noqa: UP031  # it is what is tested
        "formatting x with %",
        "'%s' % x inside the function, or its result outside",
    ),
    (
        lambda x: x.__reduce__(),
        "pickling x",
        "the value that the recorded function returns",
    ),
    (
        lambda x: np.array([x], dtype=float),
        "float(x), which np.array([x], dtype=float) asks for,",
        "an array without a dtype, whose elements stay traced, or functions of tapegrad.math,",
    ),
    (
        lambda x: np.zeros(2).__setitem__(0, x),
        "float(x), which np.zeros(2).__setitem__(0, x) asks for,",
        "an array without a dtype, whose elements stay traced, or functions of tapegrad.math,",
    ),
]


class TestATracedNumberIsNotAFloat:
    @pytest.mark.parametrize(("use", "what", "instead"), REFUSED)
    def test_what_would_drop_its_derivative_is_refused(
        self, use: Callable[[Any], object], what: str, instead: str
    ) -> None:
        """The refusal names the call and its line, and says what to write instead."""
        code = use.__code__
        line = f"test_recording.py:{code.co_firstlineno}"
        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"{what} at {line} would drop the derivative of a traced number: "
            f"write {instead} instead"
        )

    @pytest.mark.parametrize("use", [hash, lambda x: {x}, lambda x: {x: 1}])
    def test_it_has_no_hash(self, use: Callable[[Any], object]) -> None:
        """Two traced numbers are never one key of a dict."""
        text = refusal(errors.TracedNumberError, differentiated(use))
        assert text.startswith("hash(x) at test_recording.py:")
        assert text.endswith(
            " would drop the derivative of a traced number: write int(x) for a key, or comparisons "
            "instead"
        )

    def test_it_can_be_shown(self) -> None:
        """repr, str and an empty format show the slot and the value."""
        seen: list[str] = []
        differentiated(lambda x: seen.extend((repr(x), str(x), f"{x}")))()
        assert seen == ["<Var %0 = 2.0>"] * 3

    @pytest.mark.parametrize("name", ["frexp", "modf", "ulp"])
    def test_functions_without_a_derivative_refuse_it(self, name: str) -> None:
        """frexp, modf, ulp and nextafter take plain numbers only."""
        function = getattr(math, name)
        assert function(2.0) == getattr(library, name)(2.0)

        def use(x: Any) -> None:
            function(x)

        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"math.{name} at {place(use, 'function(x)')} takes no traced number, as it has no "
            "derivative: compute it from plain numbers, outside the recorded function"
        )

    @pytest.mark.parametrize(
        ("use", "what"),
        [
            (lambda x: math.ldexp(1.0, x), "the exponent of ldexp"),
            (lambda x: math.polygamma(x, 1.0), "the order of polygamma"),
        ],
    )
    def test_an_int_parameter_refuses_it(self, use: Callable[[Any], object], what: str) -> None:
        """Where only an int has a meaning, a traced number is refused."""
        line = f"test_recording.py:{use.__code__.co_firstlineno}"
        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"{what} at {line} is a traced number: pass an int"
        )


class TestNumpyOnEitherSide:
    def test_a_numpy_scalar_times_a_traced_number_is_one(self) -> None:
        """np.float64(2) * x is a Var, and so is x * np.float64(2), for every operator."""
        seen: list[object] = []

        def f(x: Any) -> Any:
            two = np.float64(2)
            results = [
                two * x,
                x * two,
                two + x,
                x - two,
                two - x,
                two / x,
                two**x,
                x**two,
                -two % x,
            ]
            seen.extend(results)
            return math.sum(results)

        def plain(x: Any) -> Any:
            return math.sum(
                [2.0 * x, x * 2.0, 2.0 + x, x - 2.0, 2.0 - x, 2.0 / x, 2.0**x, x**2.0, -2.0 % x]
            )

        assert tg.value_and_grad(f)(3.0) == tg.value_and_grad(plain)(3.0)
        assert {type(result) for result in seen} == {Var}

    @pytest.mark.parametrize("scalar", [np.float32(2), np.int64(2), np.uint8(2), np.float16(2)])
    def test_every_numpy_scalar_does(self, scalar: Any) -> None:
        """Scalars of every numpy kind meet traced numbers as floats."""
        assert tg.grad(lambda x: scalar * x)(3.0) == 2.0
        assert tg.grad(lambda x: x * scalar)(3.0) == 2.0

    @pytest.mark.parametrize(
        "name",
        [
            "exp", "log", "sin", "tanh", "log1p", "expm1", "sqrt", "cbrt", "arctan", "arcsinh",
            "absolute", "negative", "degrees",
        ],
    )  # fmt: skip
    def test_a_numpy_function_records(self, name: str) -> None:
        """np.exp(x) is math.exp(x) on the tape."""
        ours = {"arctan": "atan", "arcsinh": "asinh", "absolute": "fabs"}.get(name, name)
        want: Any = (lambda x: -x) if name == "negative" else getattr(math, ours)
        assert tg.record(getattr(np, name))(0.75) == tg.record(want)(0.75)

    def test_comparisons_with_numpy_scalars_are_conditions(self) -> None:
        """np.float64(2) > x is a Condition whichever side numpy stands on."""
        seen: list[object] = []
        two = np.float64(2)
        differentiated(lambda x: seen.extend((two > x, x > two, two == x, np.less(x, two))))()
        assert {type(condition) for condition in seen} == {Condition}

    def test_arrays_of_traced_numbers_work_elementwise(self) -> None:
        """An array of traced numbers has dtype object and the arithmetic of its elements."""

        def f(p: Any) -> Any:
            xs = np.array([p[0], p[1]])
            assert xs.dtype == object
            ys = np.array([1.0, 2.0]) * xs + xs**2
            return ys.sum() + np.dot(xs, [3.0, 4.0]) + np.mean(xs) + np.prod(xs) + np.max(xs)

        def plain(p: Any) -> Any:
            a, b = p
            return (a + a**2 + 2.0 * b + b**2) + 3.0 * a + 4.0 * b + (a + b) / 2.0 + a * b + max(p)

        assert tg.grad(f)([2.0, 5.0]) == tg.grad(plain)([2.0, 5.0])

    def test_a_traced_number_and_an_array_of_floats(self) -> None:
        """A ufunc of an array and a traced number gives a traced array."""
        kinds: list[object] = []

        def f(x: Any) -> Any:
            arrays = (
                np.array([1.0, 2.0]) * x,
                x * np.array([1.0, 2.0]),
                np.hypot(x, np.array([3.0, 4.0])),
            )
            kinds.extend(array.dtype for array in arrays)
            return math.sum([*arrays[0], *arrays[1], *arrays[2]])

        assert tg.grad(f)(0.0) == 6.0
        assert kinds == [np.dtype(float)] * 3

    def test_an_array_compared_gives_conditions(self) -> None:
        """Each element of the comparison is a condition of its own."""

        def f(x: Any) -> Any:
            conditions = x < np.array([1.0, 3.0])
            assert_array_equal([type(c) is Condition for c in conditions], [True, True])
            return math.sum([tg.where(c, x, 0.0) for c in conditions])

        assert tg.grad(f)(2.0) == 1.0

    @pytest.mark.parametrize("name", ["heaviside", "logical_and", "matmul", "nextafter"])
    def test_other_functions_are_refused_by_name(self, name: str) -> None:
        """A ufunc that is no row of the table is refused, and named."""

        def use(x: Any) -> None:
            getattr(np, name)(x, x)

        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"numpy.{name} at {place(use, 'getattr')} takes no traced number: "
            "use a function of tapegrad.math"
        )

    def test_options_are_refused(self) -> None:
        """`out`, `where` and the like would drop the derivative."""

        def use(x: Any) -> None:
            np.sqrt(x, out=np.zeros(()))

        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"numpy.sqrt at {place(use, 'out')} takes no traced number with options: "
            "use a function of tapegrad.math"
        )

    def test_methods_of_functions_are_refused(self) -> None:
        """A reduction that starts from a traced number is refused by its full name."""

        def use(x: Any) -> None:
            np.add.at(np.zeros(2), 0, x)

        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"numpy.add.at at {place(use, 'add.at')} takes no traced number: "
            "use a function of tapegrad.math"
        )

    def test_what_is_no_number_is_refused(self) -> None:
        """A ufunc of a traced number and text names the operands."""

        def use(x: Any) -> None:
            np.multiply(x, "a")

        assert refusal(errors.TracedNumberError, differentiated(use)) == (
            f"mul at {place(use, 'multiply')} takes numbers, not (<Var %0 = 2.0>, 'a')"
        )


def guards(tape: Any) -> list[tg.Guard]:
    return [node for node in tape if isinstance(node, tg.Guard)]


class TestGuards:
    @pytest.mark.parametrize(
        ("use", "count"),
        [
            (lambda x: x > 1.0, 0),
            (lambda x: (x > 1.0) & (x < 3.0) | ~(x == 2.0), 0),
            (lambda x: tg.where(x > 1.0, x, 0.0), 0),
            (lambda x: math.isclose(x, 2.0), 0),
            (lambda x: math.maximum(x, 1.0), 0),
            (lambda x: repr(x > 1.0), 0),
            (lambda x: 1 if x > 1.0 else 0, 1),
            (lambda x: not x > 1.0, 1),
            (lambda x: x > 1.0 and x < 3.0, 1),
            (lambda x: 1.0 < x < 3.0, 1),
            (lambda x: x < 1.0 or x > 3.0, 1),
            (lambda x: 1 if 1.0 < x < 3.0 else 0, 2),
            (lambda x: max(x, 1.0, 3.0), 2),
            (lambda x: sorted([x, 1.0, 3.0]), 2),
            (lambda x: x in [1.0, 2.0], 2),
            (lambda x: any(x > y for y in (5.0, 1.0, 0.0)), 2),
            (lambda x: (x > 1.0) == True, 1),  # noqa: E712  # it is what is tested
            (lambda x: {True: 1, False: 2}[x > 1.0], 2),
            (lambda x: [y for y in (1.0, 3.0) if x < y], 2),
        ],
    )
    def test_a_guard_is_recorded_only_where_python_asks(
        self, use: Callable[[Any], object], count: int
    ) -> None:
        """A comparison alone records no guard; if, and, chains, max, sorted and == do."""

        def model(x: Any) -> Any:
            use(x)
            return x

        assert len(guards(tg.record(model)(2.0))) == count

    def test_it_holds_the_outcome_and_the_line(self) -> None:
        """A guard knows which comparison was asked for, what it was, and where."""

        def model(x: Any) -> Any:
            if x > 3.0:
                return x
            while x < 4.0:
                x = x + 1.5
            return x

        tape = tg.record(model)(2.0)
        assert [(guard.outcome, str(guard.site)) for guard in guards(tape)] == [
            (False, place(model, "if x")),
            (True, place(model, "while x")),
            (True, place(model, "while x")),
            (False, place(model, "while x")),
        ]
        first = tape[guards(tape)[0].operand]
        assert isinstance(first, tg.Apply)
        assert first.primitive.name == "gt"

    def test_a_replay_that_takes_the_same_branches_goes_through(self) -> None:
        """Where every guard comes out as recorded, the tape is the program."""

        def model(x: Any) -> Any:
            return x * x if x > 1.0 else -x

        tape = tg.record(model)(2.0)
        assert (tape.replay(5.0).value, tape.replay(5.0).gradient()) == (25.0, 10.0)

    @pytest.mark.parametrize(
        ("condition", "shown"),
        [
            (lambda x: bool(x > 1.0), "0.5 > 1"),
            (lambda x: bool(1.0 < x), "0.5 > 1"),  # noqa: SIM300  # it is what is tested
            (lambda x: bool(x >= 1.0), "0.5 >= 1"),
            (lambda x: bool(x == 2.0), "0.5 == 2"),
            (lambda x: not x < 1.0, "0.5 < 1"),
            (lambda x: bool(x > 3.0 * x - 3.0), "0.5 > -1.5"),
        ],
    )
    def test_a_replay_that_would_take_another_raises(
        self, condition: Callable[[Any], bool], shown: str
    ) -> None:
        """The error names the line, the outcomes and both values of the comparison."""

        def model(x: Any) -> Any:
            return x * x if condition(x) else -x

        line = f"test_recording.py:{condition.__code__.co_firstlineno}"
        tape = tg.record(model)(2.0)
        was = guards(tape)[0].outcome
        assert refusal(errors.GuardError, lambda: tape.replay(0.5)) == (
            f"the condition at {line} was {was} when recorded and is {not was} here ({shown}): "
            "record again at these inputs, or spell the choice with tapegrad.where"
        )

    def test_where_replays_to_either_side(self) -> None:
        """A choice spelled with where has no guard: a replay takes the other arm."""
        tape = tg.record(lambda x: tg.where(x > 1.0, x * x, -x))(2.0)
        other = tape.replay(0.5)
        assert (other.value, other.gradient()) == (-0.5, -1.0)

    def test_guards_inside_a_recorded_gradient_are_checked(self) -> None:
        """The recording around a gradient holds the guards of the function inside."""

        def model(x: Any) -> Any:
            return x * x if x > 1.0 else -x

        tape = tg.record(tg.grad(model))(2.0)
        assert tape.replay(3.0).value == 6.0
        with pytest.raises(errors.GuardError, match=place(model, "if x").replace(".", r"\.")):
            tape.replay(0.5)

    def test_conditions_compare_by_their_truth(self) -> None:
        """Conditions are equal where the plain bools would be, and have their hash."""

        def model(p: Any) -> Any:
            a, b = p
            same = (a > 0.0) == (b > 0.0)
            assert hash(a > 0.0) == hash(True)
            return a * b if same else a

        assert tg.grad(model)([1.0, 2.0]) == [2.0, 1.0]
        assert tg.grad(model)([1.0, -2.0]) == [1.0, 0.0]

    def test_combined_conditions_follow_the_bools(self) -> None:
        """&, | and ~ take conditions and plain bools on either side."""

        def model(p: Any) -> Any:
            a, b = p[0] > 0.0, p[1] > 0.0
            table = [
                (a & b, False), (a | b, True), (~a, False), (a & True, True), (False & a, False),
                (True | b, True), (b | False, False), (~b & a, True),
            ]  # fmt: skip
            assert [bool(condition) for condition, _ in table] == [plain for _, plain in table]
            return p[0]

        tg.grad(model)([1.0, -1.0])


class TestNesting:
    """Each recording is told apart by identity, never by depth."""

    def test_the_inner_gradient_sees_the_outer_number_as_a_constant(self) -> None:
        """d/dx of x times d/dy of x y is 2 x; choosing by operand gave 0 once."""
        assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(3.0))(2.0) == 4.0
        assert tg.grad(lambda x: x * tg.grad(lambda y: y * x)(3.0))(2.0) == 4.0
        assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(3.0))(2.0) == 1.0

    def test_the_classical_confusion(self) -> None:
        """d/dx of x times d/dy of (x + y) at y = 1 is 1, not 2."""
        assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0

    def test_the_inner_point_may_be_an_outer_number(self) -> None:
        """grad(f)(x) inside grad differentiates through the point."""
        assert tg.grad(lambda x: tg.grad(lambda y: y * y * y)(x))(2.0) == 12.0
        assert tg.grad(lambda x: tg.grad(lambda y: y * y * x)(x))(3.0) == 12.0

    def test_to_any_order(self) -> None:
        """The fourth derivative of sin is sin."""
        fourth = tg.grad(tg.grad(tg.grad(tg.grad(math.sin))))
        assert fourth(1.0) == pytest.approx(library.sin(1.0), rel=1e-15)

    def test_three_recordings_deep(self) -> None:
        """Closures over two open recordings keep both derivatives."""

        def f(x: Any) -> Any:
            def g(y: Any) -> Any:
                return tg.grad(lambda z: x * y * z * z)(y)

            return tg.grad(g)(x)

        # 2 x y^2, then 4 x y, at y = x: 4 x^2
        assert tg.grad(f)(3.0) == 24.0

    def test_a_closure_s_number_has_no_gradient_in_the_inner_recording(self) -> None:
        """What the inner function does not depend on gives 0.0 there, and the outer is intact."""
        assert tg.grad(lambda x: x * tg.grad(lambda y: x * x)(3.0))(2.0) == 0.0
        assert tg.grad(lambda x: x + tg.grad(lambda y: x * x)(3.0))(2.0) == 1.0

    @pytest.mark.parametrize(
        "transform",
        [
            lambda f: tg.grad(f),
            lambda f: lambda x: tg.value_and_grad(f)(x).grad,
            lambda f: lambda x: tg.record(f)(x).gradient(),
            lambda f: lambda x: tg.partials(f)(x)["y"],
            lambda f: lambda x: tg.record(tg.grad(f))(x).value,
            lambda f: lambda x: tg.record(f)(1.0).replay(x).gradient(),
        ],
    )
    def test_every_transform_nests_in_every_other(self, transform: Any) -> None:
        """Each way to a first derivative gives the second inside each other way."""
        for outer in (tg.grad, lambda f: lambda x: tg.record(f)(x).gradient()):

            def inner(x: Any) -> Any:
                return x * transform(lambda y: y * y * y + x * y)(x)

            # x (3 x^2 + x) has slope 9 x^2 + 2 x
            assert outer(inner)(2.0) == 40.0

    def test_the_value_of_value_and_grad_is_differentiable(self) -> None:
        """Both parts of an inner value_and_grad carry the outer derivative."""

        def f(x: Any) -> Any:
            value, slope = tg.value_and_grad(lambda y: y * y * x)(x)
            return value + 10.0 * slope

        # x^3 + 20 x^2
        assert tg.grad(f)(2.0) == 12.0 + 80.0

    def test_two_inner_recordings_side_by_side(self) -> None:
        """Recordings that follow each other inside one do not meet."""

        def f(x: Any) -> Any:
            first, second = tg.grad(lambda y: y * x), tg.grad(lambda y: y * y * x)
            return first(5.0) * second(7.0)

        assert tg.grad(f)(3.0) == 14.0 * 2.0 * 3.0

    def test_an_inner_function_that_captures_an_inner_number_is_refused_later(self) -> None:
        """A number of an ended inner recording is of no use to the outer one."""
        leaked: list[Any] = []

        def f(x: Any) -> Any:
            def inner(y: Any) -> Any:
                leaked.append(y)
                return y * x

            tg.grad(inner)(1.0)
            return x * leaked[0]

        with pytest.raises(errors.RecordingError, match="has ended"):
            tg.grad(f)(2.0)


def leaked_number() -> Any:
    leaked: list[Any] = []

    def model(x: Any) -> Any:
        leaked.append(x)
        return x

    tg.grad(model)(2.0)
    return leaked[0]


class TestAfterTheEnd:
    @pytest.mark.parametrize(
        "use",
        [
            lambda x: x + 1.0,
            lambda x: 1.0 - x,
            lambda x: x * x,
            lambda x: -x,
            lambda x: abs(x),
            lambda x: x**2,
            lambda x: x > 1.0,
            lambda x: math.sin(x),
            lambda x: math.hypot(x, x),
            lambda x: np.exp(x),
            lambda x: tg.where(True, x, 1.0) * 2.0,
            lambda x: tg.stop_gradient(x),
            lambda x: tg.label(x, "late"),
            lambda x: tg.scope("late")(lambda y: y)(x),
            lambda x: tg.grad(lambda y: y * x)(1.0),
            lambda x: tg.grad(lambda y: y)(x),
            lambda x: tg.record(lambda y: x)(1.0),
        ],
    )
    def test_a_number_used_too_late_names_both_lines(self, use: Callable[[Any], object]) -> None:
        """The error says where the number is used and where its recording was opened."""
        number = leaked_number()
        line = f"test_recording.py:{use.__code__.co_firstlineno}"
        assert refusal(errors.RecordingError, lambda: use(number)) == (
            f"a traced number is used at {line} after its recording, opened at "
            f"{place(leaked_number, 'tg.grad')}, has ended: return what is wanted from the "
            "recorded function instead"
        )

    @pytest.mark.parametrize("number", [3, 3.0])
    def test_a_number_that_the_recording_has_met_revives_nothing(self, number: float) -> None:
        """Whichever operand it is, and as an exponent."""
        kept: list[Any] = []
        differentiated(lambda x: kept.extend((x, x * number, x**number)))()
        x = kept[0]
        uses: list[Callable[[], object]] = [
            lambda: x + number, lambda: number - x, lambda: x > number, lambda: x**number,
            lambda: number**x, lambda: math.maximum(x, number), lambda: math.atan2(number, x),
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(errors.RecordingError, match="has ended"):
                use()

    def test_a_condition_asked_too_late_raises(self) -> None:
        """The truth of a comparison belongs to its recording as well."""
        kept: list[Any] = []
        differentiated(lambda x: kept.append(x > 1.0))()
        for ask in (bool, lambda c: ~c, lambda c: c & True, lambda c: tg.where(c, 1.0, 2.0)):
            with pytest.raises(errors.RecordingError, match="has ended"):
                ask(kept[0])

    def test_it_can_still_be_shown(self) -> None:
        """A repr never raises."""
        assert repr(leaked_number()) == "<Var %0 = 2.0>"

    def test_it_holds_on_to_nothing_of_the_recording(self) -> None:
        """A number that got away keeps no entries and no values of its recording alive."""
        number = leaked_number()
        recorder = number._recorder
        for entries in (recorder.codes, recorder.values, recorder.left, recorder.pool):
            assert not entries

    def test_a_tape_of_an_inner_recording_can_be_read_after_the_outer_one(self) -> None:
        """Printing and drawing show numbers, record nothing, and never raise."""
        tapes: list[Any] = []

        def f(x: Any) -> Any:
            tapes.append(tg.record(lambda y: y * y * x)(x))
            before = len(x._recorder.codes)
            str(tapes[0])
            tapes[0].to_dot()
            assert len(x._recorder.codes) == before
            return tapes[0].value

        assert tg.grad(f)(3.0) == 27.0
        assert "27" in str(tapes[0])
        assert "value 27" in tapes[0].to_dot()
        with pytest.raises(errors.RecordingError, match="has ended"):
            tapes[0].gradient()


class TestExceptions:
    def test_the_user_s_own_exception_passes_as_it_is(self) -> None:
        """It is the same object, without cause or context, and its traceback ends in user code."""
        mine = ValueError("mine")

        def model(x: Any) -> Any:
            raise mine

        for transform in (tg.grad, tg.record, tg.value_and_grad, tg.partials):
            with pytest.raises(ValueError, match="mine") as caught:
                transform(model)(1.0)
            assert caught.value is mine
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None
            assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "model"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_it_ends_the_recording(self, error: type[BaseException]) -> None:
        """After an exception or an interrupt the number is dead and the next gradient is right."""
        leaked: list[Any] = []

        def model(x: Any) -> Any:
            leaked.append(x)
            if len(leaked) == 1:
                raise error
            return x * x

        with pytest.raises(error):
            tg.grad(model)(1.0)
        with pytest.raises(errors.RecordingError):
            leaked[0] + 1.0
        assert tg.grad(model)(3.0) == 6.0

    def test_it_leaves_scopes_and_outer_recordings_as_they_were(self) -> None:
        """An exception caught inside a recording leaves its scopes closed."""

        @tg.scope("fails")
        def fails(x: Any) -> Any:
            tg.label(tg.grad(lambda y: y / y * x)(x) + 1.0, "inside")
            raise ValueError

        def model(x: Any) -> Any:
            try:
                fails(x)
            except ValueError:
                return x * 3.0

        tape = tg.record(model)(2.0)
        assert tape.gradient() == 3.0
        last = tape[-1]
        assert isinstance(last, tg.Apply)
        assert last.scope == ()
        (inside,) = (slot for slot in range(len(tape)) if tape.label(slot) == "inside")
        assert tape.scope(inside) == ("fails",)
        assert str(last.site) == place(model, "x * 3.0")

    def test_it_leaves_nothing_alive(self) -> None:
        """With the collector off, what a failing model held is freed when the error is."""

        class Thing:
            pass

        things: list[weakref.ref[Thing]] = []

        def model(x: Any) -> Any:
            thing = Thing()
            things.append(weakref.ref(thing))
            raise ValueError

        gc.disable()
        try:
            for transform in (tg.grad, tg.record):
                with contextlib.suppress(ValueError):
                    transform(model)([1.0, {"a": 2.0}])
            assert [thing() for thing in things] == [None, None]
        finally:
            gc.enable()


class TestInputsAreCopied:
    def test_a_container_mutated_by_the_model_is_its_own(self) -> None:
        """The model gets containers of its own; the caller's stay as they are."""
        point: dict[str, Any] = {"a": [1.0, 2.0], "b": {"c": 3.0}}

        def model(p: Any) -> Any:
            p["a"].append(p["b"].pop("c"))
            return math.prod(p["a"])

        assert tg.grad(model)(point) == {"a": [6.0, 3.0], "b": {"c": 2.0}}
        assert point == {"a": [1.0, 2.0], "b": {"c": 3.0}}

    def test_a_container_mutated_afterwards_changes_no_tape(self) -> None:
        """A tape keeps the inputs it was recorded with: parameters and data."""
        point, data, array = {"w": [2.0]}, [3.0, 4.0], np.array([5.0])

        def model(p: Any, xs: Any, ys: Any) -> Any:
            return p["w"][0] * math.sum(xs) * ys[0]

        tape: Any = tg.record(model)(point, data, array)
        before = (str(tape), tape.gradient(), tape.value, hash(tape))
        point["w"].append(7.0)
        point["v"] = [8.0]
        data[0] = 100.0
        array[0] = 100.0
        assert (str(tape), tape.gradient(), tape.value, hash(tape)) == before
        assert tape.replay({"w": [3.0]}).value == 105.0

    def test_a_gradient_is_the_caller_s_own(self) -> None:
        """Changing a gradient changes neither the next one nor the tape."""
        tape = tg.record(lambda p: p["w"] * p["w"])({"w": 2.0})
        tape.gradient()["w"] = 0.0
        assert tape.gradient() == {"w": 4.0}


class TestNothingIsShared:
    def test_threads_record_at_once(self) -> None:
        """Gradients computed by many threads at once are those computed by one."""
        barrier = threading.Barrier(4)

        def model(p: Any) -> Any:
            barrier.wait(timeout=20)
            total = p[0]
            for step in range(200):
                total = math.sin(total) + p[1] * float(step) if step % 2 else total * p[0]
            barrier.wait(timeout=20)
            return total

        points = [[0.1 * index, 1.0 - 0.1 * index] for index in range(4)]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(tg.grad(model), points))
        barrier = threading.Barrier(1)
        assert together == [tg.grad(model)(point) for point in points]

    @pytest.mark.parametrize(
        "use",
        [
            lambda x: x * 2.0,
            lambda x: x > 1.0,
            lambda x: math.sin(x),
            lambda x: tg.label(x, "a"),
            lambda x: tg.grad(lambda y: y * x)(1.0),
            lambda x: tg.grad(lambda y: y)(x),
        ],
    )
    def test_a_number_that_crosses_threads_raises(self, use: Callable[[Any], object]) -> None:
        """Another thread's use names its own line and the recording's; this thread goes on."""
        line = f"test_recording.py:{use.__code__.co_firstlineno}"

        def model(x: Any) -> Any:
            with ThreadPoolExecutor(1) as pool:
                future = pool.submit(lambda: refusal(errors.RecordingError, lambda: use(x)))
                assert future.result() == (
                    f"a traced number of the recording opened at {opened} is used in another "
                    f"thread at {line}: record in the thread that uses it"
                )
            return x * x

        def call() -> Any:
            return tg.grad(model)(3.0)

        opened = place(call, "tg.grad")
        assert call() == 6.0

    def test_a_number_that_comes_with_its_context_to_another_thread_raises(self) -> None:
        """What a thread holds is not handed on, as variables of a context are."""

        def model(x: Any) -> Any:
            with ThreadPoolExecutor(1) as pool:
                context = contextvars.copy_context()
                double = pool.submit(context.run, lambda: x * 2.0)
                with pytest.raises(errors.RecordingError, match="another thread"):
                    double.result()
            return x * contextvars.Context().run(lambda: x * 2.0)

        assert tg.grad(model)(3.0) == 12.0

    def test_a_thread_may_record_inside_a_recording(self) -> None:
        """A gradient of plain numbers in another thread has nothing to do with this one's."""

        def model(x: Any) -> Any:
            with ThreadPoolExecutor(1) as pool:
                slope = pool.submit(tg.grad(math.sin), 0.0).result()
            return x * slope

        assert tg.grad(model)(3.0) == 1.0

    def test_generators(self) -> None:
        """A model may consume generators, and suspend them between recordings."""

        def powers(x: Any) -> Iterator[Any]:
            term = 1.0
            while True:
                yield term
                term = term * x

        def model(x: Any) -> Any:
            terms = powers(x)
            inner = tg.grad(lambda y: y * next(terms) * next(terms))(1.0)
            return inner + next(terms) + math.sum(next(terms) for _ in range(2))

        # x + x^2 + x^3 + x^4
        assert tg.grad(model)(2.0) == 1.0 + 4.0 + 12.0 + 32.0

    def test_a_generator_that_outlives_its_recording_raises(self) -> None:
        """A suspended generator holds a dead number afterwards."""
        kept: list[Iterator[Any]] = []

        def model(x: Any) -> Any:
            kept.append(x * float(step) for step in range(3))
            return next(kept[0]) + x

        assert tg.grad(model)(2.0) == 1.0
        with pytest.raises(errors.RecordingError, match="has ended"):
            next(kept[0])

    def test_async_tasks(self) -> None:
        """Models that run an event loop, and tasks that record, keep to themselves."""

        async def later(x: Any) -> Any:
            await asyncio.sleep(0)
            return x * x

        def model(x: Any) -> Any:
            async def both() -> Any:
                first, second = await asyncio.gather(later(x), later(3.0 * x))
                return first + second

            with asyncio.Runner() as runner:
                return runner.run(both())

        async def tasks() -> list[float]:
            async def one(x: float) -> float:
                await asyncio.sleep(0)
                return float(tg.grad(tg.grad(lambda y: y * y * y))(x))

            return list(await asyncio.gather(*(one(float(x)) for x in range(5))))

        assert tg.grad(model)(2.0) == 40.0
        with asyncio.Runner() as runner:
            assert runner.run(tasks()) == [0.0, 6.0, 12.0, 18.0, 24.0]

    def test_partial_functions_methods_and_callables_are_functions(self) -> None:
        """Whatever can be called with numbers can be recorded."""

        class Model:
            def __call__(self, x: Any, k: float = 2.0) -> Any:
                return k * x

            def method(self, x: Any) -> Any:
                return self(x, 5.0)

        assert tg.grad(Model())(1.0) == 2.0
        assert tg.grad(Model().method)(1.0) == 5.0
        assert tg.grad(functools.partial(Model(), k=3.0))(1.0) == 3.0


def recorded_sum(count: int) -> tg.Tape[Any, ..., Any]:
    return tg.record(math.fsum)([1.0] * count)


class TestArguments:
    @pytest.mark.parametrize("count", [1, 50])
    def test_an_input_has_the_line_that_called(self, count: int) -> None:
        """All inputs have it, few as many."""
        tape = recorded_sum(count)
        lines = {str(tape.site(slot)) for slot in range(count)}
        assert lines == {place(recorded_sum, "math.fsum")}

    def test_data_gets_no_gradient_and_keywords_pass_through(self) -> None:
        """The first argument is differentiated, the rest is data."""

        def model(w: Real, xs: list[float], *, scale: float, name: str = "n") -> Real:
            assert isinstance(name, str)
            return w * math.sum(xs) * scale

        assert tg.grad(model)(2.0, [1.0, 2.0], scale=10.0) == 30.0
        assert tg.record(model)(2.0, [1.0, 2.0], scale=10.0).paths == (
            "w", "xs:0", "xs:1", "scale",
        )  # fmt: skip

    def test_paths_name_every_input(self) -> None:
        """Keys that are no names are written with their repr; data goes by its parameter."""

        def model(p: Any, q: Any, *rest: Any, **named: Any) -> Any:
            return p["a"][0]

        tape = tg.record(model)(
            {"a": [1.0, (2.0,)], "b c": 3.0, 4: 5.0, -1: 6.0, ("x", 1): 7.0}, {"k": 8.0}, 9.0, z=1.5
        )
        assert tape.paths == (
            "a.0", "a.1.0", "['b c']", "4", "[-1]", "[('x', 1)]", "q:k", "rest:0", "z",
        )  # fmt: skip

    def test_the_shape_comes_back(self) -> None:
        """A dict gives a dict, a list a list, a tuple a tuple, a float a float, nested or not."""
        point = {"a": 1.0, "b": [2.0, (3.0, {"c": 4.0})], "empty": [], "d": ()}
        got = tg.grad(lambda p: p["a"] * p["b"][1][1]["c"])(point)
        assert got == {"a": 4.0, "b": [0.0, (0.0, {"c": 1.0})], "empty": [], "d": ()}
        assert list(got) == list(point)

    def test_static_data_reaches_the_model_as_it_is(self) -> None:
        """Ints, text, bools and arrays in data are handed through, the very objects."""
        array, things = np.array([1.0]), (3, "text", True, None)
        seen: list[Any] = []

        def model(x: Any, *data: Any) -> Any:
            seen.extend(data)
            return x

        tg.grad(model)(1.0, array, *things)
        assert seen[0] is array
        assert seen[1:] == list(things)
        assert [type(thing) for thing in seen[1:]] == [int, str, bool, type(None)]
