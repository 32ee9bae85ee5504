"""Laws of programs with loops: what repeats is found, and its body is compiled once."""

from __future__ import annotations

import ctypes
import random
import shutil
from collections.abc import Sequence
from typing import Any

import pytest

import tapegrad as tg
from benchmarks.loops import garch
from tapegrad import math
from tapegrad.compile.backends import c, python
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.loops import line_of
from tapegrad.compile.lower import lower
from tapegrad.compile.piece_buffer import piece_buffer
from tapegrad.compile.program import Program
from tests.fuzz.judges import compiled_c
from tests.fuzz.loop_judges import frozen, in_pieces, straight
from tests.places import place

np = pytest.importorskip("numpy")
machine = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
module = pytest.importorskip("tapegrad.compile.backends.llvm.module")


def lorenz(p: Sequence[Any], steps: int) -> Any:
    """A system of three equations by Euler's method."""
    x, y, z = p
    for _ in range(steps):
        x, y, z = x + 0.01 * (y - x), y + 0.01 * (x * (28.0 - z) - y), z + 0.01 * (x * y - z)
    return x * x + y * y + z * z


def barrier(p: Sequence[Any], normals: Sequence[Any]) -> Any:
    """A price that is worth nothing once it has been too high."""
    price, volatility = p
    for normal in normals:
        price = price * math.exp(volatility * normal)
        if price > 2.0:
            return 0.0 * price
    return price


def compounded(p: Sequence[Any]) -> list[Any]:
    """Values of which all read the first, itself as well, and constants that vary."""
    values = [math.sin(p[0])]
    for step in range(40):
        values.append(math.sin(values[-1] * values[0]) * (0.5 + step))
    return [*values[::-1], values[0]]


def program_of(f: Any, *args: Any) -> Program:
    tape = tg.record(f)(*args)
    return lower(tape.columns.as_lists(), tape.outputs)


def draws(count: int, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(0.0, 0.1) for _ in range(count)]


class TestFinding:
    def test_what_repeats_is_a_loop(self) -> None:
        """Nearly all of the steps, of the function and of its gradient, stand in two loops."""
        program = program_of(tg.value_and_grad(lorenz), [1.0, 2.0, 3.0], 200)
        line = line_of(program)
        assert [loop.count > 190 for loop in line.loops] == [True, True]
        assert line.saves > 0.98 * len(line.slots)

    def test_what_differs_is_none(self) -> None:
        """Equal operations on operands that follow no rule, and three steps of a rule."""
        draw = random.Random(2)

        def irregular(xs: Sequence[Any]) -> Any:
            values = list(xs)
            for _ in range(600):
                values.append(draw.choice(values) * draw.choice(values))
            return math.sum(values)

        assert line_of(program_of(irregular, [0.5, 1.5])).saves < 700
        assert not line_of(program_of(lorenz, [1.0, 2.0, 3.0], 3)).loops

    def test_pieces_are_the_program(self) -> None:
        """Loops that read their own first step, data and tables, by their rows to the bit."""
        for program, inputs in (
            (program_of(compounded, [0.3]), [0.4]),
            (program_of(tg.value_and_grad(garch), [0.1, 0.1, 0.8], draws(60)), None),
        ):
            given = inputs or [0.1, 0.2, 0.7, *draws(60, 3)]
            line = line_of(program)
            assert line.loops
            for again in (False, True):
                found = in_pieces(piece_buffer(line, 50, again=again), given, len(program.outputs))
                assert frozen(found) == frozen(straight(program, given))


class TestReport:
    def test_it_shows_the_loops_with_their_lines(self) -> None:
        """How often each comes, how many entries it has, and the lines that recorded them."""
        run = tg.jit(tg.value_and_grad(lorenz), eager_first=False)
        for _ in range(2):
            run([1.0, 2.0, 3.0], 200)
        ((path,),) = (shape.paths for shape in run.report().shapes)
        line = place(lorenz, "x, y, z = x +")
        assert [loop.lines for loop in path.loops] == [line, line]
        assert [loop.count > 190 for loop in path.loops] == [True, True]
        first = path.loops[0]
        assert f"loops: {first.count} x {first.entries} entries at {line}, " in str(path)

    def test_it_shows_none_where_the_code_has_none(self) -> None:
        """A few steps are a straight line."""
        run = tg.jit(tg.value_and_grad(lorenz), eager_first=False)
        for _ in range(2):
            run([1.0, 2.0, 3.0], 5)
        assert "loops: " not in str(run.report())


class TestSources:
    def test_a_thousand_steps_are_a_page(self) -> None:
        """Of C, and of Python, and of ten times the steps as well."""
        for language in ("c", "python"):
            texts = []
            for steps in (60, 600):
                run = tg.jit(tg.value_and_grad(lorenz), backend="python", eager_first=False)
                run([1.0, 2.0, 3.0], steps)
                texts.append(run.source(language))
            assert len(texts[1].splitlines()) == len(texts[0].splitlines()) < 300
            assert len(texts[1]) < 1.05 * len(texts[0])

    @pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
    @pytest.mark.parametrize("stack", [8, 4096])
    def test_c_has_the_eager_bits(self, monkeypatch: pytest.MonkeyPatch, stack: int) -> None:
        """With the buffer on the stack, or on the heap, where guards leave a loop as well."""
        monkeypatch.setattr(c, "_STACK", stack)
        program = program_of(tg.value_and_grad(barrier), [1.0, 0.1], draws(100))
        text = c.source(program)
        assert ("calloc" in text) == (stack < 4096)
        run, out = compiled_c(text), (ctypes.c_double * 3)()
        for normals in (draws(100), draws(100, 5)):
            inputs = (ctypes.c_double * 102)(1.0, 0.1, *normals)
            assert run(inputs, out) == -1
            value, slopes = tg.value_and_grad(barrier)([1.0, 0.1], normals)
            assert out[:] == [value, *slopes]
        assert run((ctypes.c_double * 102)(1.0, 0.1, *[0.0] * 57, *[50.0] * 43), out) == 57

    def test_python_has_the_eager_bits(self) -> None:
        """Of a loop over data, at other points as well, and where a guard flips in a loop."""
        run = tg.jit(tg.value_and_grad(garch), backend="python", eager_first=False)
        data = draws(150)
        for point in ([0.1, 0.1, 0.8], [0.2, 0.05, 0.6], [0.3, 0.1, 0.5]):
            for _ in range(2):
                assert run(point, data) == tg.value_and_grad(garch)(point, data)
        program = program_of(tg.value_and_grad(barrier), [1.0, 0.1], draws(100))
        inputs = [1.0, 0.1, *draws(100)]
        inputs[2 + 57] = 50.0
        assert python.compiled(program)(inputs) == 57


class TestMachineCode:
    def test_a_body_is_compiled_once(self) -> None:
        """The text of ten times the steps is as long, but for the digits of its numbers."""
        short, long = (
            module.module(program_of(tg.value_and_grad(lorenz), [1.0, 2.0, 3.0], steps))
            for steps in (60, 600)
        )
        assert len(long.text) < 1.02 * len(short.text)
        assert long.short

    def test_a_call_has_the_eager_bits(self) -> None:
        """Of a loop over data, with another loop for its gradient."""
        run = tg.jit(tg.value_and_grad(garch), backend="llvm", eager_first=False)
        data = draws(300)
        for point in ([0.1, 0.1, 0.8], [0.2, 0.05, 0.6], [0.3, 0.1, 0.5]):
            for _ in range(2):
                assert run(point, data) == tg.value_and_grad(garch)(point, data)

    @pytest.mark.parametrize("step", [0, 1, 57, 99])
    def test_a_guard_in_a_loop_says_at_which_step_it_flipped(self, step: int) -> None:
        """One call and rows leave at the guard of that step."""
        normals = draws(100)
        program = program_of(tg.value_and_grad(barrier), [1.0, 0.1], normals)
        assert line_of(program).pays
        normals[step] = 50.0
        inputs = [1.0, 0.1, *normals]
        assert machine.ScalarFunction(program)(inputs) == straight(program, inputs) == step
        out, flips = np.empty((len(program.outputs), 16)), np.empty(16, dtype=np.int32)
        code = machine.rows(program, RowOptions(0))
        code(np.empty(0), [np.array([inputs] * 5)], range(5), out, flips)
        assert flips[:5].tolist() == [step] * 5

    def test_rows_have_the_eager_bits(self) -> None:
        """Of a loop through mapped columns, which all share the parameters."""
        normals = np.array([draws(120, seed) for seed in range(40)])
        run = tg.vmap(tg.value_and_grad(walk), in_axes=(None, 0), backend="llvm")
        values, slopes = run([1.0, 0.3], normals)
        for row in range(40):
            want = tg.value_and_grad(walk)([1.0, 0.3], tuple(normals[row].tolist()))
            assert (float(values[row]), slopes.row(row)) == want

    def test_fast_code_keeps_the_bits_that_guards_see(self) -> None:
        """With ``fast`` rows leave a loop where they did, and their values are close."""
        normals = np.array([draws(120, seed) for seed in range(40)])
        exact, fast = (
            tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), backend="llvm", fast=fast)(
                [1.0, 0.7], normals
            )
            for fast in (False, True)
        )
        assert np.allclose(exact.value, fast.value, rtol=1e-12)
        assert ((exact.value == 0.0) == (fast.value == 0.0)).all()
        assert 0 < (exact.value == 0.0).sum() < 40


def walk(p: Sequence[Any], steps: Sequence[Any]) -> Any:
    """A walk of operations that are rounded everywhere alike."""
    place, total = p[0], 0.0
    for step in steps:
        place = math.maximum(place + p[1] * step, 0.5 * place)
        total = total + math.sqrt(1.0 + place * place)
    return total


class TestStores:
    def test_only_what_each_iteration_leaves_is_stored_in_each(self) -> None:
        """What is read of the last iteration alone is stored once, after the loop."""

        def decay(p: Sequence[Any]) -> Any:
            x, y = p
            for _ in range(300):
                x, y = x * 0.99 + y * 0.01, y * 0.98 + math.sin(x)
            return x * y

        program = program_of(decay, [1.0, 2.0])
        for mode, lanes in (("call", 1), ("rows", 16)):
            text = module.module(program, mode, lanes=lanes).text
            body = text.partition("\nloop:\n")[2].partition("\nloop.done:\n")[0]
            assert "@tapegrad_sin" in body
            assert " store " not in body


def step_rows(program: Program, *, again: bool) -> list[set[str]]:
    """The rows whose values each loop stores in all of its iterations."""
    buffer = piece_buffer(line_of(program), 500, again=again)
    return [
        {placed.piece.body.rows[placed.piece.start + one.entry].name for one in placed.stored
         if one.place.step}
        for placed in buffer.pieces if placed.piece.count > 1
    ]  # fmt: skip


class TestComputedAgain:
    def test_what_is_an_operation_or_two_away_is_not_kept(self) -> None:
        """The sweep computes shocks and their squares again, and not the sums and quotients."""
        program = program_of(tg.value_and_grad(garch), [0.1, 0.1, 0.8], draws(60))
        forward, *_ = step_rows(program, again=False)
        assert {"mul", "div"} < forward
        assert "mul" not in step_rows(program, again=True)[0]
        assert "div" in step_rows(program, again=True)[0]

    @pytest.mark.parametrize("otherwise", [lambda x, p: x / 0.7, lambda x, p: x * p])
    def test_what_stands_beside_a_loop_may_have_been_made_otherwise(self, otherwise: Any) -> None:
        """By another operation in the first step, or from others; a loop reads what all made."""

        def f(p: Sequence[Any]) -> Any:
            value, values, scaled = p[0], [], []
            for index in range(40):
                value = math.sin(value)
                values.append(value)
                scaled.append(value * 0.7 if index else otherwise(value, p[0]))
            total = math.cos(value)
            for x, y in zip(values, scaled, strict=True):
                total = total + math.exp(x) * math.sin(y)
            return total

        program = program_of(f, [0.5])
        first, second = (x for x in piece_buffer(line_of(program), 50).pieces if x.piece.count > 1)
        assert second.piece.count > first.piece.count
        found = in_pieces(piece_buffer(line_of(program), 50, again=True), [0.4], 1)
        assert frozen(found) == frozen(straight(program, [0.4]))


def test_code_for_rows_aligns_its_stack() -> None:
    """Vectors that it puts aside never cross lines of the cache, whoever calls it."""
    program = program_of(tg.value_and_grad(lorenz), [1.0, 2.0, 3.0], 40)
    for lanes in (8, 16):
        text = module.module(program, "rows", lanes=lanes).text
        lines = [line for line in text.splitlines() if line.startswith("define")]
        defined = [line for line in lines if "@part" in line]
        assert defined
        assert all('"stackrealign"' in line for line in defined)


def test_rows_share_what_has_a_static_operand() -> None:
    """It is computed once for all rows, for which it is a number like any other."""

    def rounded(x: Any, share: Any) -> Any:
        return x * round(share, 1)

    batch = tg.vmap(rounded, in_axes=(0, None), backend="llvm")
    assert batch([1.0, 3.0], 0.26).tolist() == [0.3, 3.0 * 0.3]
