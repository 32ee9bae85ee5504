"""Rows on paths that are not compiled yet run step by step, with the bits of the compiled code."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.batch.batch_code import BatchCode
from tapegrad.compile.backends import python
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.program import Program, batch_program
from tests import strategies
from tests.strategies import points, programs
from tests.test_backends import EVERY, program_of, slopes_tape, tape_of_all, triples

np = pytest.importorskip("numpy")
native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
in_steps = pytest.importorskip("tapegrad.compile.backends.llvm.in_steps")


def on_rows(make: Any, program: Program, rows: Any, shared: Sequence[float] = ()) -> Any:
    """The outputs by row, and the guards that flipped, or where all outputs are nan."""
    room = -(-len(rows) // 16) * 16
    out, flips = np.empty((len(program.outputs), room)), np.empty(room, dtype=np.int32)
    run = make(program, RowOptions(len(shared), quick=True))
    run(np.array(shared, dtype=float), [rows], range(len(rows)), out, flips)
    found, flips = out[:, : len(rows)], flips[: len(rows)]
    return np.where(np.isnan(found) | (flips >= 0), 0.5, found), np.isnan(found), flips


def same(program: Program, rows: Any, shared: Sequence[float] = ()) -> bool:
    """Whether both ways give the same bits, nan in the same places, and leave at the same guards.

    What a row gives that left the path means nothing.
    """
    one, other = (
        on_rows(make, program, rows, shared) for make in (native.rows, in_steps.rows_in_steps)
    )
    stay = one[2] < 0
    return (
        one[0].tobytes() == other[0].tobytes()
        and bool((one[1] == other[1])[:, stay].all())
        and one[2].tolist() == other[2].tolist()
    )


class TestTheBits:
    def test_of_every_row_of_the_table(self) -> None:
        """At points of every kind, those included where something rare is needed."""
        program = program_of(tape_of_all(EVERY), approximate=True)
        assert same(program, np.array(triples(200)))

    @settings(max_examples=15, deadline=None)
    @given(programs(6), st.lists(points(3), min_size=1, max_size=30), st.integers(0, 2))
    def test_of_random_programs(
        self, function: strategies.Program, rows: list[list[float]], shared: int
    ) -> None:
        """Values and gradients, with inputs that all rows share."""
        tape = slopes_tape(function, rows[0])
        mapped = range(min(shared, function.width), function.width)
        parts = batch_program(program_of(tape, approximate=True), mapped)
        columns = np.array(rows)[:, mapped.start : function.width].reshape(len(rows), -1)
        same_for_all = np.linspace(0.5, 1.5, len(parts.shared.outputs)).tolist()
        assert same(parts.rows, columns, same_for_all)

    @settings(max_examples=30, deadline=None)
    @given(programs(6), st.data())
    def test_of_what_all_rows_share(self, function: strategies.Program, data: Any) -> None:
        """Without being compiled, for the first calls; or the guard that comes out differently."""
        start, other = (data.draw(points(function.width)) for _ in range(2))
        for near in (False, True):
            program = program_of(slopes_tape(function, start), approximate=near)
            run = python.compiled(program)
            for point in (start, other):
                found, expected = python.run_once(program, point), run(point)
                assert repr(found) == repr(expected)

    @pytest.mark.parametrize("reduce", [None, "sum"])
    def test_do_not_change_when_a_path_is_compiled(self, reduce: Any) -> None:
        """Nor do sums: however often a batch is run, and whatever was run before."""
        batch: Any = tg.vmap(tg.value_and_grad(ways), reduce=reduce, threads=1)
        answers = [bits(batch(ROWS)) for _ in range(30)]
        assert set(answers) == {answers[0]}
        backwards: Any = tg.vmap(tg.value_and_grad(ways), reduce=reduce, threads=1)
        for row in ROWS[::-7]:
            backwards(np.array([row]))
        assert bits(backwards(ROWS)) == answers[0]


def ways(x: Any) -> Any:
    """Seven paths."""
    for number in range(6):
        if x < number:
            return tg.math.exp(tg.math.sin(x) * number) / (1.0 + x * x) ** 2
    return tg.math.tanh(x) ** 3


ROWS = np.random.default_rng(0).uniform(-1.0, 7.0, 200)


def bits(found: Any) -> object:
    value, slopes = found
    slopes = slopes.column("x") if hasattr(slopes, "column") else slopes
    return np.asarray(value).tobytes(), np.asarray(slopes).tobytes()


class TestTheCost:
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[BatchCode]:
        """The paths that are compiled from now on."""
        made: list[BatchCode] = []
        original = BatchCode._compiled

        def counted(code: BatchCode, **options: bool) -> Any:
            made.append(code)
            return original(code, **options)

        monkeypatch.setattr(BatchCode, "_compiled", counted)
        return made

    def test_the_first_two_paths_are_compiled_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others are once their steps have taken half as long as that will; each of them once."""
        ticks = itertools.count()
        monkeypatch.setattr("tapegrad.batch.batch_code.perf_counter", lambda: next(ticks) * 1e-4)
        made = self.compiled(monkeypatch)
        batch: Any = tg.vmap(tg.grad(ways), threads=1)
        batch(ROWS)
        assert len(batch.tapes) == 7
        assert len(made) == 2
        for _ in range(40):
            batch(ROWS)
        assert len(made) == len(set(made)) == 7

    def test_fast_code_is_compiled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It rounds a product and a sum once, which steps cannot."""
        made = self.compiled(monkeypatch)
        batch: Any = tg.vmap(tg.grad(ways), threads=1, fast=True)
        batch(ROWS)
        assert len(made) == len(batch.tapes) == 7


def test_an_error_of_a_custom_row_names_the_row() -> None:
    """As it does in compiled code."""

    def value(x: float) -> float:
        if x == 9.0:
            raise LookupError("mine")
        return x

    def slope(y: Any, x: Any) -> float:
        return 1.0

    row: Any = tg.primitive(partials=(slope,), at=[1.0])(value)

    def f(x: Any) -> Any:
        return row(x) if x > 0.0 else -x

    batch: Any = tg.vmap(f)
    batch(np.array([-1.0, 2.0]))
    with pytest.raises(LookupError, match="mine") as caught:
        batch(np.array([-1.0, 5.0, 9.0]))
    assert caught.value.__notes__ == ["raised at row 2 of the batch"]
