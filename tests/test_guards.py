"""Guards of what is piecewise constant: whole numbers and truths that Python asks for."""

from __future__ import annotations

import math as std
import operator
import pickle
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.compile.whole_numbers import questions
from tests.places import place, refusal

TABLE = (1.0, -0.5, 2.0, 0.25, -3.0)
"""Numbers to look up; their products and sums with eighths are exact."""


def whole_or(x: Any, instead: int) -> int:
    """The int in a number that may be infinite or nan, in a program that catches errors."""
    try:
        return int(x)
    except OverflowError:
        return instead
    except ValueError:
        return instead - 1


WHOLE: Sequence[Callable[[Any], int]] = (
    int,
    round,
    std.floor,
    std.ceil,
    std.trunc,
    lambda x: operator.index(math.floor(x)),
    lambda x: len(range(abs(math.trunc(x)))),
    lambda x: whole_or(x * std.inf, 3),
    lambda x: whole_or(abs(x) * 2.0**80, 0) >> 75,
)
"""Functions from numbers to ints."""

STEPS: Sequence[Callable[[Callable[[Any], int], Any, Any, Any], Any]] = (
    lambda whole, a, b, c: TABLE[whole(a) % 5] * b,
    lambda whole, a, b, c: c * b + sum(b for _ in range(whole(a) % 4)),
    lambda whole, a, b, c: a * whole(b) - c,
    lambda whole, a, b, c: (a > b) * c,
    lambda whole, a, b, c: c - (a > b),
    lambda whole, a, b, c: [b, c][a < 0.5],
    lambda whole, a, b, c: c * sum(x >= 0.25 for x in (a, b, c)),
    lambda whole, a, b, c: b if a else c,
    lambda whole, a, b, c: int(a != b) * c + a,
    lambda whole, a, b, c: 0.5 * b if a.is_integer() else c,
    lambda whole, a, b, c: round(a, 1) + b,
    lambda whole, a, b, c: (b - a) * 0.5 if not a and whole(c) else b * c,
    lambda whole, a, b, c: math.trunc(a) * b,
)
"""The steps of random programs: exact arithmetic, so that an answer that is not right is wrong."""


@attrs.frozen
class Steps:
    """A program of three numbers: each step replaces one of them."""

    steps: tuple[tuple[int, int, tuple[int, int, int]], ...]

    def __call__(self, xs: Any) -> Any:
        registers = list(xs)
        for step, whole, (a, b, target) in self.steps:
            numbers = registers[a], registers[b], registers[target]
            registers[target] = STEPS[step](WHOLE[whole], *numbers)
        return registers[0] * registers[1] - registers[2]


place_of = st.integers(0, 2)
programs = st.builds(
    Steps,
    st.lists(
        st.tuples(
            st.integers(0, len(STEPS) - 1),
            st.integers(0, len(WHOLE) - 1),
            st.tuples(place_of, place_of, place_of),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
)
eighths = st.integers(-20, 20).map(lambda k: k / 8.0)
points = st.tuples(eighths, eighths, eighths)


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal, to the bit but for the sign of zero."""
    return np.array_equal(np.asarray(one, float), np.asarray(other, float), equal_nan=True)


def outcomes(tape: tg.Tape[Any, ..., Any]) -> list[float]:
    """How the guards of a tape came out."""
    return [node.outcome for node in tape if isinstance(node, tg.Guard)]


class TestRandomPrograms:
    """Programs full of ints, indices, ranges and truths give the right answer on every road."""

    @settings(max_examples=60)
    @given(programs, points, st.lists(points, min_size=1, max_size=4))
    def test_replays(self, program: Steps, point: Any, others: list[Any]) -> None:
        """A replay gives the function's answer where all guards come out alike, else an error."""
        tape = tg.record(program)(point)
        assert same(tape.value, program(point))
        assert same(tape.gradient(), tg.grad(program)(point))
        smaller = tape.simplify().tape
        for other in others:
            there = tg.record(program)(other)
            if repr(outcomes(there)) == repr(outcomes(tape)):
                assert same(tape.replay(other).value, program(other))
                assert same(smaller.replay(other).value, program(other))
                assert same(tape.replay(other).gradient(), tg.grad(program)(other))
            else:
                with pytest.raises(errors.GuardError):
                    tape.replay(other)
                with pytest.raises(errors.GuardError):
                    smaller.replay(other)

    @pytest.mark.parametrize("backend", ["python", "llvm"])
    @settings(max_examples=20)
    @given(programs, st.lists(points, min_size=1, max_size=6))
    def test_jit(self, backend: Any, program: Steps, given: list[Any]) -> None:
        """Compiled calls, one after the other, also after pickling; other outcomes, other paths."""
        fast: Any = tg.jit(tg.value_and_grad(program), backend=backend, eager_first=False)
        for point in given:
            expected = tg.value_and_grad(program)(point)
            assert same(fast(point).value, program(point))
            assert same(fast(point).grad, expected.grad)
        travelled = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own
        for point in given:
            assert same(travelled(point).grad, tg.grad(program)(point))
        different = {repr(outcomes(tg.record(tg.value_and_grad(program))(p))) for p in given}
        assert len(fast.tapes) == len(different)

    @pytest.mark.parametrize("backend", ["numpy", "llvm"])
    @settings(max_examples=20)
    @given(programs, st.lists(points, min_size=1, max_size=20))
    def test_vmap(self, backend: Any, program: Steps, rows: list[Any]) -> None:
        """Rows, each on the path that it takes, and again in the other order."""
        batch: Any = tg.vmap(tg.value_and_grad(program), backend=backend)
        for ordered in (rows, rows[::-1]):
            values, slopes = batch(np.array(ordered))
            assert same(values, [program(row) for row in ordered])
            expected = [tg.grad(program)(row) for row in ordered]
            assert same([slopes.row(i) for i in range(len(ordered))], expected)


def outcome_of(use: Callable[[Any], object], x: float) -> Any:
    """How the one guard of a use of a traced number came out."""

    def f(x: Any) -> Any:
        use(x)
        return x

    (outcome,) = outcomes(tg.record(f)(x))
    return outcome


class TestWhatPythonAsksFor:
    """What asks for an int or a truth records one guard, and gets Python's own object."""

    @pytest.mark.parametrize("x", [2.5, -2.5, 3.5, 0.0, -0.75, 7.0, 1e300])
    @pytest.mark.parametrize("use", [int, round, std.floor, std.ceil, std.trunc, bool])
    def test_a_number(self, use: Callable[[Any], Any], x: float) -> None:
        """int, round, floor, ceil, trunc and bool of a traced number."""
        seen: list[object] = []
        assert outcome_of(lambda x: seen.append(use(x)), x) == use(x)
        assert seen == [use(x)]
        assert type(seen[0]) is type(use(x))

    @pytest.mark.parametrize(
        "use",
        [
            range,
            lambda n: "abcdefgh"[n],
            lambda n: (0, 1, 2, 3, 4)[n:],
            operator.index,
            lambda n: np.zeros(n).tolist(),
            lambda n: "%d" % n,  # noqa: UP031  # it is what is tested
            lambda n: std.comb(5, n),
            bin,
        ],
    )
    def test_an_index(self, use: Callable[[Any], object]) -> None:
        """A whole number is an index, and what range and the library's counts take."""
        seen: list[object] = []
        assert outcome_of(lambda x: seen.append(use(x)), 3.0) == 3
        assert seen == [use(3)]

    @pytest.mark.parametrize(
        "use",
        [
            int,
            float,
            lambda c: "ab"[c],
            lambda c: -c,
            lambda c: 2 - c,
            lambda c: (c + 1, 1),
            lambda c: c * 2.5,
            lambda c: c / 4,
            lambda c: 2.0**c,
            lambda c: sum([c]),
            lambda c: c < True,
            lambda c: sorted([c]) == [True],
        ],
    )
    @pytest.mark.parametrize("x", [1.0, -1.0])
    def test_a_condition(self, use: Callable[[Any], object], x: float) -> None:
        """A condition is the 1 or 0 that the bool is."""
        seen: list[object] = []
        assert outcome_of(lambda x: seen.append(use(x > 0.0)), x) == (x > 0.0)
        assert seen == [use(x > 0.0)]
        assert type(seen[0]) is type(use(x > 0.0))

    @pytest.mark.parametrize("x", [0.5, 2.0, -3.0, 1e300, std.inf, std.nan])
    def test_is_integer(self, x: float) -> None:
        """``is_integer`` is a condition, which ``where`` takes, too."""
        chosen = tg.record(lambda x: tg.where(x.is_integer(), 1.0, 0.0))(x)
        assert chosen.value == x.is_integer()
        assert outcomes(chosen) == []
        assert tg.record(lambda x: 1.0 if x.is_integer() else 0.0)(x).value == x.is_integer()

    @pytest.mark.parametrize("n", [0, 1, 3, -2, 400, -400])
    @settings(max_examples=25)
    @given(st.floats())
    def test_rounding_to_decimals(self, n: int, x: float) -> None:
        """``round(x, n)`` is a number without a slope, on every road."""

        def f(x: Any) -> Any:
            return round(x, n)

        try:
            expected = round(x, n)
        except OverflowError:
            expected = std.copysign(std.inf, x)
        assert repr(tg.record(f)(0.5).replay(x).value) == repr(expected)
        assert tg.value_and_grad(lambda x: f(x) + 2.0 * x)(0.5).grad == 2.0
        assert repr(tg.jit(f, backend="python", eager_first=False)(x)) == repr(expected)


class TestErrors:
    """What is no int raises what Python raises; a replay names both numbers."""

    @pytest.mark.parametrize(
        ("x", "error", "what"),
        [
            (std.nan, ValueError, "nan"),
            (std.inf, OverflowError, "an infinity"),
            (-std.inf, OverflowError, "an infinity"),
        ],
    )
    def test_no_int(self, x: float, error: type[Exception], what: str) -> None:
        """nan and the infinities, with the line."""

        def f(x: Any) -> Any:
            return x * round(x)

        assert refusal(error, lambda: tg.grad(f)(x)) == (
            f"round(x) at {place(f, 'round(x)')} is asked of {what}, which is no int: test it "
            "before"
        )

    def test_no_index(self) -> None:
        """A number that is not whole."""

        def f(x: Any) -> Any:
            return x * len(range(x))

        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)(4.5)) == (
            f"x as an index at {place(f, 'range(x)')} is 4.5, and an index, or the argument of "
            "range, is a whole number: write int(x), or pass an int"
        )

    def test_a_replay(self) -> None:
        """The line, the number recorded, the number now, and the operation."""

        def f(x: Any) -> Any:
            return x * int(2.0 * x)

        assert refusal(errors.GuardError, lambda: tg.record(f)(1.5).replay(2.125)) == (
            f"the whole number at {place(f, 'int(')} was 3 when recorded and is 4 here "
            "(trunc 4.25): record again at these inputs"
        )
        assert refusal(errors.GuardError, lambda: tg.record(f)(1.5).replay(std.nan)) == (
            f"the whole number at {place(f, 'int(')} was 3 when recorded and is nan here "
            "(trunc nan): record again at these inputs"
        )

    def test_a_replay_of_an_index(self) -> None:
        """A number that was whole and is not."""

        def f(x: Any) -> Any:
            return TABLE[x] * x

        assert refusal(errors.GuardError, lambda: tg.record(f)(1.0).replay(1.5)) == (
            f"the whole number at {place(f, 'TABLE[x]')} was 1 when recorded and is nan here: "
            "record again at these inputs"
        )

    def test_a_row_that_leaves_the_recorded_path(self) -> None:
        """``on_branch="raise"`` says which number it was recorded with."""

        def f(x: Any) -> Any:
            return TABLE[int(x)] * x

        batch = tg.vmap(f, on_branch="raise", backend="numpy")
        batch(np.array([1.5]))
        text = refusal(errors.GuardError, lambda: batch(np.array([1.25, 2.5])))
        assert text.startswith(
            f"row 1 leaves the recorded path at {place(f, 'int(x)')}, where its whole number is "
            "not 1: "
        )

    def test_the_exception_that_a_program_catches_is_guarded(self) -> None:
        """A number that is no int, or no index, takes the branch of the exception, and keeps it."""

        def f(x: Any) -> Any:
            try:
                return TABLE[x] * x
            except TypeError:
                return x

        tape = tg.record(f)(1.5)
        assert tape.replay(2.5).value == 2.5
        with pytest.raises(errors.GuardError):
            tape.replay(2.0)
        for backend in ("python", "llvm"):
            fast = tg.jit(f, backend=backend, eager_first=False)
            assert [fast(x) for x in (2.0, 1.5, 1.0, 0.25)] == [4.0, 1.5, -0.5, 0.25]


class TestReadings:
    """Tables, counts, pictures, differences and reports say what the number was."""

    @staticmethod
    def model(x: Any, n: Any) -> Any:
        return TABLE[int(x)] * x * round(n) if x else x

    def test_they_all_show_it(self) -> None:
        """Each reading names the whole number, and counts it as a guard."""
        tape = tg.record(self.model)(2.5, 3.75)
        assert outcomes(tape) == [True, 2, 4]
        assert [line.split()[1:4] for line in str(tape).splitlines() if " guard " in line] == [
            ["guard", f"%{node.operand}", str(node.outcome)]
            for node in tape
            if isinstance(node, tg.Guard)
        ]
        assert tape.stats().guards == 3
        (line,) = tape.lines().lines
        assert (line.taken, line.declined, line.wholes) == (1, 0, 2)
        assert "1 true, 2 whole" in str(tape.lines())
        dot = tape.to_dot(by="line")
        assert "guard True, 4, 2" in dot
        assert ">2<" in tape.to_dot(by="node") or '"2"' in tape.to_dot(by="node")
        assert tape.diff(tg.record(self.model)(1.5, 3.75)).guard is not None
        assert tape.first_nonfinite() is None
        assert len(tape.explain(wrt="x").paths) == 1
        assert pickle.loads(pickle.dumps(tape)) == tape  # noqa: S301  # our own
        assert tape.jacobian_sparsity().shape == (1, 1)

    def test_a_report_has_one_guard_for_one_question_of_the_program(self) -> None:
        """However many comparisons the compiled code makes for it."""
        fast = tg.jit(self.model).compile(2.5, 40.0)
        (path,) = fast.report().shapes[0].paths
        assert path.outcomes == (True, 2, 40)
        assert path.guards == (place(self.model, "TABLE"),) * 3
        assert f"{place(self.model, 'TABLE')} 40" in str(path)

    def test_every_mode_of_differentiation(self) -> None:
        """Second order, Taylor, sparsity and nesting see the constant that the number is."""

        def f(xs: Sequence[Any]) -> Any:
            return xs[0] ** int(xs[1]) * TABLE[round(xs[0])]

        def fixed(xs: Sequence[Any]) -> Any:
            return xs[0] ** 3 * TABLE[2]

        point = [1.75, 3.25]
        assert tg.hvp(f, point, [1.0, 1.0]) == tg.hvp(fixed, point, [1.0, 1.0])
        assert tg.hessian(f)(point) == tg.hessian(fixed)(point)
        assert tg.sparse_hessian(f)(point) == tg.sparse_hessian(fixed)(point)
        along = [tg.taylor(lambda t: g([t, 3.25]), 4)(1.75) for g in (f, fixed)]  # noqa: B023  # called now
        assert along[0] == along[1]
        assert tg.record(tg.grad(f))(point).replay([1.5, 3.5]).value == tg.grad(fixed)([1.5, 3.5])
        with pytest.raises(errors.GuardError):
            tg.record(tg.grad(f))(point).replay([1.75, 4.0])
        assert tg.check_grad(f, point).ok
        assert tg.grad(tg.checkpoint(f))(point) == tg.grad(fixed)(point)


@pytest.mark.parametrize(
    ("f", "x", "verdict"),
    [
        (lambda x: TABLE[int(x)] * x, 3.75, "right"),
        (lambda x: TABLE[int(x)] * x, 4.75, "right"),
        (lambda x: x * int(x), 2.0, "kink"),
        (lambda x: x * round(x), 2.5, "kink"),
        (lambda x: (x > 1.0) * x, 1.0, "kink"),
    ],
)
def test_a_derivative_is_checked_on_one_side_of_a_jump(
    f: Callable[[Any], Any], x: float, verdict: str
) -> None:
    """Points in another cell, or beyond the end of a table, are left out."""
    assert tg.check_grad(f, x).findings[0].verdict == verdict


def test_rows_on_workers_take_the_paths_of_their_numbers() -> None:
    """Tapes travel with the numbers that Python asked for."""

    def f(x: Any) -> Any:
        return TABLE[int(x)] * x

    rows = np.array([0.5, 1.5, 2.5, 3.25, 1.0] * 40)
    with ThreadPoolExecutor(2) as pool:
        found: Any = tg.vmap(f, backend="numpy", executor=pool)(rows)
    assert found.tolist() == [f(x) for x in rows.tolist()]


def test_a_compiled_program_in_c_asks_the_same() -> None:
    """The source in C compares, and needs nothing else."""
    fast = tg.jit(lambda x: TABLE[int(x)] * x).compile(2.5)
    assert ">=" in fast.source("c")
    assert "trunc" in fast.source("c")


numbers = st.floats() | st.integers(-300, 300).map(float) | st.integers().map(float)
EDGES = [0.0, std.nan, std.inf, -std.inf, *(s * 2.0**k for s in (1, -1) for k in range(60))]
EDGES += [sys.float_info.max, -sys.float_info.max, 2.0**512, 2.0**1023, 2.0**53 + 2.0]


class TestQuestions:
    """A whole number is told from all others by questions with two answers."""

    @given(numbers, numbers)
    def test_two_numbers_part_at_one_question_or_are_the_same(self, x: float, y: float) -> None:
        """Up to the first answer that differs, both are asked the same; one always differs."""
        x, y = (std.copysign(std.trunc(z), z) if std.isfinite(z) else z for z in (x, y))
        asked = list(zip(questions(x, x), questions(x, y), strict=False))
        for (mine, my_answer), (theirs, their_answer) in asked:
            assert mine == theirs == my_answer
            if my_answer != their_answer:
                return
        assert repr(x + 0.0) == repr(y + 0.0)
        assert len(list(questions(x, x))) == len(list(questions(x, y)))

    @pytest.mark.parametrize("x", EDGES)
    def test_the_answers_are_the_number_s_own(self, x: float) -> None:
        """At both ends of the range, at every power of two and beside it."""
        for near in (x, std.nextafter(x, 0.0), std.nextafter(x, std.inf)):
            number = float(std.trunc(near)) if std.isfinite(near) else near
            assert all(question == answer for question, answer in questions(number, number))

    def test_small_numbers_take_few(self) -> None:
        """An index costs a few comparisons, and they grow with its logarithm."""
        assert [len(list(questions(float(n), float(n)))) for n in (0, 1, 3, 10, 100)] == [
            3,
            4,
            6,
            9,
            15,
        ]


class TestBits:
    """A traced number has none, and its truth is a comparison: bits are refused, never combined."""

    @pytest.mark.parametrize(
        ("what", "f"),
        [
            ("x & y", lambda x: x & 1),
            ("x & y", lambda x: 1 & x),
            ("x & y", lambda x: x & (x > 0.0)),
            ("x & y", lambda x: (x > 0.0) & x),
            ("x | y", lambda x: (x > 0.0) | x),
            ("x | y", lambda x: x | x),
            ("x ^ y", lambda x: x ^ 1),
            ("x << y", lambda x: 1 << x),
            ("x >> y", lambda x: x >> 1),
            ("~x", lambda x: ~x),
        ],
    )
    def test_an_operator_of_ints_is_refused(self, what: str, f: Callable[..., Any]) -> None:
        """The message names what was written, the line, and both things to write."""
        message = refusal(errors.TracedNumberError, lambda: tg.grad(f)(1.0))
        assert message == (
            f"{what} at test_guards.py:{f.__code__.co_firstlineno} would drop the derivative of a "
            "traced number: write int(x) for the bits of a whole number, or x != 0.0 for a truth "
            "instead"
        )

    def test_a_column_of_ints_has_the_bits_of_its_guard(self) -> None:
        """As the message says: by `int`, and by a comparison."""
        ints, flags = np.array([1, 2, 3]), np.array([True, False, True])

        def f(x: Any, n: Any, flag: Any) -> Any:
            return tg.where((flag != 0.0) & (x > 0.0), x * (1 << int(n)), x * (int(n) & 1))

        assert tg.vmap(f)(np.ones(3), ints, flags).tolist() == [2.0, 0.0, 8.0]


class TestManyIndices:
    """What is an index in a recording is one on every other path too, however many there are."""

    @pytest.mark.parametrize("column", [np.arange(40), np.arange(40.0)])
    def test_rows_beyond_the_limit_of_paths(self, column: Any) -> None:
        """The function itself may raise on a float there; then the row is recorded, not kept."""
        table = [1.5 * k for k in range(40)]

        def f(i: Any, x: Any) -> Any:
            return table[i] * x

        rows = tg.vmap(f, max_paths=4, on_branch="eager")
        assert rows(column, np.full(40, 2.0)).tolist() == [3.0 * k for k in range(40)]
        assert len(rows.tapes) <= 4
        fast = tg.jit(f, max_paths=4, eager_first=False)
        assert [fast(float(k), 2.0) for k in column] == [3.0 * k for k in range(40)]
        assert len(fast.tapes) <= 4
