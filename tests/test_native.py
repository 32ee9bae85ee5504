"""Machine code from LLVM: the laws of the other backends, on every row and on random programs."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.llvm.instructions import Declarations, Instructions, Mode
from tapegrad.compile.program import Program, batch_program
from tests import strategies
from tests.strategies import points, programs, same_bits
from tests.test_backends import (
    EVERY,
    agrees,
    check_run,
    exact_programs,
    program_of,
    slopes_tape,
    tape_of_all,
    triples,
    value_of,
)

np = pytest.importorskip("numpy")
native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")


def on_rows(program: Program, rows: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    """The outputs by row, and the guards that flipped."""
    room = -(-len(rows) // 16) * 16
    out, flips = np.empty((len(program.outputs), room)), np.empty(room, dtype=np.int32)
    leaf = np.array(rows, dtype=float).reshape(len(rows), program.inputs)
    run = native.rows(program, RowOptions(0))
    run(np.empty(0), [leaf], range(len(rows)), out, flips)
    return out[:, : len(rows)].T, flips[: len(rows)]


class TestEveryRow:
    @pytest.mark.parametrize("whole", [False, True])
    def test_one_call_gives_the_eager_bits(self, *, whole: bool) -> None:
        """Each row of the table, spelled or called back, at points of every kind."""
        run = native.ScalarFunction(program_of(tape_of_all(EVERY), any_row=whole))
        for xs in triples(120):
            for application, got in zip(EVERY, run(xs), strict=True):
                assert same_bits(got, value_of(application, xs)), (application, xs)

    @pytest.mark.parametrize("near", [False, True])
    def test_rows_are_within_four_units(self, *, near: bool) -> None:
        """Each row of the table, of the truth or of the eager value, in vector code."""
        rows = triples(400)
        found, flips = on_rows(program_of(tape_of_all(EVERY), approximate=near), rows)
        assert (flips == -1).all()
        for xs, answers in zip(rows, found.tolist(), strict=True):
            for application, got in zip(EVERY, answers, strict=True):
                assert agrees(application, xs, got), (application, xs, got)


class TestPrograms:
    @settings(max_examples=40, deadline=None)
    @given(programs(5), st.data())
    def test_one_call_follows_the_eager_call(self, function: strategies.Program, data: Any) -> None:
        """Value and gradient at other points, to the bit, or the guard that flips."""
        start, other = (data.draw(points(function.width)) for _ in range(2))
        program = program_of(slopes_tape(function, start))
        run = native.ScalarFunction(program)
        for point in (start, other):
            check_run(run(point), program, function, point)

    @settings(max_examples=25, deadline=None)
    @given(exact_programs(), st.lists(points(3), min_size=1, max_size=20))
    def test_rows_follow_the_eager_call(
        self, function: strategies.Program, rows: list[list[float]]
    ) -> None:
        """Of operations that are rounded everywhere alike: each row to the bit, or its guard."""
        program = program_of(slopes_tape(function, rows[0]))
        found, flips = on_rows(program, rows)
        for point, answers, flip in zip(rows, found.tolist(), flips.tolist(), strict=True):
            check_run(answers if flip < 0 else flip, program, function, point)


def many(xs: Sequence[Any]) -> Any:
    """A program longer than one generated function, whose last values need the first."""
    kept = [xs[0] * float(index) + xs[1] for index in range(300)]
    total = xs[2]
    for value in kept:
        total = tg.math.sqrt(1.0 + value * value) + total * 0.5
    for value in kept[::-1]:
        total = total * 0.25 + value
    return total


class TestShapes:
    ROWS = 37

    def leaf(self) -> Any:
        return np.random.default_rng(1).normal(size=(self.ROWS, 3))

    def test_values_cross_from_one_function_to_the_next(self) -> None:
        """In scalar and in vector code, with places of the buffer used again."""
        tape = tg.record(tg.value_and_grad(many))([0.3, 0.7, 0.1])
        program = program_of(tape)
        rows = self.leaf()
        found, _ = on_rows(program, rows.tolist())
        run = native.ScalarFunction(program)
        for xs, answers in zip(rows.tolist(), found.tolist(), strict=True):
            value, slope = tg.value_and_grad(many)(xs)
            assert answers == [value, *slope]
            assert list(run(xs)) == [value, *slope]

    @pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 20])
    def test_rows_are_gathered_from_leaves_of_any_width(self, columns: int) -> None:
        """By eight columns at a time, the rest one by one; in any order, and from wider arrays."""

        def f(xs: Sequence[Any]) -> Any:
            total = xs[0]
            for index, x in enumerate(xs[1:]):
                total = total * 0.5 + x * float(index + 2)
            return total

        wide = np.random.default_rng(columns).normal(size=(self.ROWS, columns + 3))
        leaf = wide[:, 1 : 1 + columns]
        program = program_of(tg.record(f)(leaf[0].tolist()))
        order = np.random.default_rng(2).permutation(self.ROWS)[:21].astype(np.int64)
        for rows in (range(3, 30), range(8), range(36, 37), order):
            out, flips = np.empty((1, 48)), np.empty(48, dtype=np.int32)
            native.rows(program, RowOptions(0))(np.empty(0), [leaf], rows, out, flips)
            assert out[0, : len(rows)].tolist() == [f(leaf[row].tolist()) for row in rows]

    def test_what_is_the_same_for_all_rows_is_given_once(self) -> None:
        """The shared inputs first, then leaves with one axis or two."""

        def f(a: Any, rest: Any) -> Any:
            return tg.math.exp(a) * rest["x"] + rest["ys"][1] / rest["ys"][0]

        leaves = [np.linspace(1.0, 2.0, self.ROWS), np.abs(self.leaf()[:, :2]) + 1.0]
        tape = tg.record(f)(0.5, {"x": 1.0, "ys": [1.0, 2.0]})
        parts = batch_program(program_of(tape), [1, 2, 3])
        assert [row.name for row in parts.shared.rows].count("exp") == 1
        assert "exp" not in [row.name for row in parts.rows.rows]
        (shared,) = native.ScalarFunction(parts.shared)([0.5])
        out, flips = np.empty((1, 48)), np.empty(48, dtype=np.int32)
        run = native.rows(parts.rows, RowOptions(1))
        run(np.array([shared]), leaves, range(self.ROWS), out, flips)
        xs, ys = leaves
        expected = [
            f(0.5, {"x": x, "ys": pair}) for x, pair in zip(xs.tolist(), ys.tolist(), strict=True)
        ]
        assert out[0, : self.ROWS].tolist() == expected

    def test_sums_leave_out_the_rows_that_left_the_path(self) -> None:
        """Lane by lane, in the order of the rows."""

        def f(x: Any) -> Any:
            return x * 0.1 if x > 0.0 else -x

        xs = np.random.default_rng(3).normal(size=45)
        program = program_of(tg.record(f)(1.0))
        lanes, flips = np.full((1, 8), -0.0), np.empty(48, dtype=np.int32)
        native.rows(program, RowOptions(0, sums=True))(np.empty(0), [xs], range(45), lanes, flips)
        expected = [-0.0] * 8
        for row, x in enumerate(xs.tolist()):
            expected[row % 8] += x * 0.1 if x > 0.0 else -0.0
        assert lanes[0].tolist() == expected
        assert (flips[:45] == np.where(xs > 0.0, -1, 0)).all()
        assert (flips[45:] == -2).all()


class TestCalls:
    def test_an_error_in_a_rule_of_the_users_comes_through(self) -> None:
        """From scalar and from vector code alike, and the next call starts afresh."""

        @tg.primitive(partials=lambda y, x: 1.0, at=[0.5])
        def picky(x: float) -> float:
            if x > 5.0:
                raise LookupError("too large")
            return x

        def f(x: Any) -> Any:
            return picky(x) * 2.0

        program = program_of(tg.record(f)(1.0))
        run, rows = native.ScalarFunction(program), native.rows(program, RowOptions(0))
        for _ in range(2):
            assert list(run([2.0])) == [4.0]
            with pytest.raises(LookupError, match="too large"):
                run([6.0])
            with pytest.raises(LookupError, match="too large"):
                rows(np.empty(0), [np.array([1.0, 6.0])], range(2), np.empty((1, 16)),
                     np.empty(16, dtype=np.int32))  # fmt: skip

    def test_a_rule_of_the_users_sees_only_rows_on_the_path(self) -> None:
        """A number that the eager call would not hand to it is not handed to it."""
        seen: list[float] = []

        @tg.primitive(partials=lambda y, x: 1.0, at=[0.5])
        def watched(x: float) -> float:
            seen.append(x)
            return x

        def f(x: Any) -> Any:
            return watched(x) if x > 0.0 else x

        program = program_of(tg.record(f)(1.0))
        xs = np.array([1.0, -1.0, 2.0, -2.0, 3.0])
        seen.clear()
        native.rows(program, RowOptions(0))(
            np.empty(0), [xs], range(5), np.empty((1, 16)), np.empty(16, dtype=np.int32)
        )
        assert seen == [1.0, 2.0, 3.0]

    def test_contraction_is_only_for_those_who_ask(self) -> None:
        """With `fast` a product and a sum are rounded once; without, each."""

        def f(xs: Sequence[Any]) -> Any:
            return xs[0] * xs[1] + xs[2]

        rows = [[1.0 + 2.0**-30, 1.0 - 2.0**-30, -1.0]]
        program = program_of(tg.record(f)(rows[0]))
        out, flips = np.empty((1, 16)), np.empty(16, dtype=np.int32)
        for fast, expected in ((False, 0.0), (True, -(2.0**-60))):
            run = native.rows(program, RowOptions(0, fast=fast))
            run(np.empty(0), [np.array(rows)], range(1), out, flips)
            if not fast or "+fma" in native.features().split(","):
                assert out[0, 0] == expected

    def test_nan_is_not_hidden(self) -> None:
        """The larger and the smaller of a number and nan are nan, in vector code too."""

        def f(xs: Sequence[Any]) -> list[Any]:
            return [tg.math.maximum(*xs), tg.math.minimum(*xs)]

        rows = [[math.nan, 1.0], [1.0, math.nan], [0.0, 1.0]]
        found, _ = on_rows(program_of(tg.record(f)([1.0, 2.0])), rows)
        assert np.isnan(found[:2]).all()
        assert found[2].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_function_is_given_its_settings_with_each_part_of_the_lanes(width: int) -> None:
    """One lane at a time, too."""
    code = Instructions(Mode("rows", 4), Declarations())
    code.call("f", ["%x"], width, settings=["i32 7"])
    calls = [line for line in code.lines if "@f(" in line]
    assert len(calls) == 4 // width
    assert all(line.endswith(", i32 7)") for line in calls)


def entry_of(code: Any) -> Any:
    """The entry of code for one call, or for rows."""
    return code.run_bytes.__self__ if hasattr(code, "run_bytes") else code


class TestNothingIsLeftBehind:
    def test_code_is_freed_with_its_last_reference(self) -> None:
        """Without the garbage collector, calls back or not; engines do not share what they free."""
        program = program_of(tg.record(lambda x: tg.math.lgamma(x) * tg.math.sin(x))(1.0))
        gc.disable()
        try:
            for make in (native.scalar, lambda p: native.rows(p, RowOptions(0))):
                for _ in range(20):
                    code = make(program)
                    gone = weakref.ref(entry_of(code)._code)
                    del code
                    assert gone() is None
        finally:
            gc.enable()

    def test_code_keeps_what_it_calls(self) -> None:
        """The code that gathers rows stays while it may be called, whatever a cache drops."""
        program = program_of(tg.record(lambda x: x * 2.0)(1.0))
        native._gather.cache_clear()  # other code may hold what was kept
        code = native.rows(program, RowOptions(0))
        gathering = weakref.ref(native._gather(16))
        native._gather.cache_clear()
        gc.collect()
        assert gathering() is not None
        del code
        gc.collect()
        assert gathering() is None
