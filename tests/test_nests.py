"""Laws of loops inside loops that run another number of times in each trip of the outer one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad.compile import piece_buffer as buffers
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.loops import Piece, Read, line_of
from tapegrad.compile.lower import lower
from tapegrad.compile.piece_buffer import piece_buffer
from tapegrad.compile.program import Program
from tapegrad.entries import repeats
from tests.fuzz.loop_judges import frozen, in_pieces, loops_always, straight

np = pytest.importorskip("numpy")
machine = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
module = pytest.importorskip("tapegrad.compile.backends.llvm.module")

POINT = [0.3, 0.6, 0.5]


def triangle(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """Sums of neighbours, one fewer in each row."""
    a, b, c = p
    values, total = [a * x for x in xs], a
    while len(values) > 1:
        values = [math.tanh(b * x + c * y) for x, y in pairwise(values)]
        total = total + values[0]
    return total


def binomial(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A tree whose last row is written one by one, with powers that are spelled differently."""
    up, share, strike = p
    count = len(xs)
    values = [math.relu(strike - (1.0 + 0.1 * up) ** (2 * j - count)) for j in range(count + 1)]
    for _ in range(count):
        values = [share * y + (1.0 - share) * x for x, y in pairwise(values)]
    return values[0]


def growing(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """Means of all before, so that each trip has a longer loop inside."""
    a, b, _ = p
    values = [a]
    for x in xs:
        mean = 0.0
        for value in values:
            mean = 0.9 * mean + value * b
        values.append(mean + math.sin(x * a))
    return values[-1]


def checked(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A triangle with a guard for each of its numbers."""
    a, b, c = p
    values = [a * x for x in xs]
    while len(values) > 1:
        values = [b * x + c * y for x, y in pairwise(values)]
        for value in values:
            if value > 10.0:
                return value
    return values[0]


def called(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A triangle that calls back into Python twice for each of its numbers."""
    a, b, c = p
    values = [a * x for x in xs]
    while len(values) > 1:
        values = [
            math.lgamma(2.0 + math.tanh(b * x)) - c * math.lgamma(3.0 + math.tanh(y))
            for x, y in pairwise(values)
        ]
    return values[0]


def diffusion(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A grid whose numbers, but for the ends, take steps with their neighbours."""
    a, b, c = p
    values = [math.sin(0.1 * place) * b for place in range(20)]
    for _ in xs:
        inner = [v + a * (u - 2.0 * v + w) for u, v, w in triples(values)]
        values = [values[0], *inner, values[-1]]
    return math.sum(values) * c


def triples(values: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(values, values[1:], values[2:], strict=False)


NESTS: dict[str, Callable[..., Any]] = {
    "triangle": tg.value_and_grad(triangle),
    "binomial": tg.value_and_grad(binomial),
    "diffusion": tg.value_and_grad(diffusion),
    "growing": tg.value_and_grad(growing),
    "checked": checked,
    "called": called,
}


def draws(count: int, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(0.0, 1.0) for _ in range(count)]


def recorded(name: str, count: int) -> Program:
    tape: Any = tg.record(NESTS[name])(POINT, draws(count))
    return lower(tape.columns.as_lists(), tape.outputs)


@pytest.mark.parametrize("name", ["triangle", "binomial", "checked", "called"])
def test_nearly_all_of_their_loops_are_spelled(name: str) -> None:
    """Those that read the row before, its first and last numbers, and rows of straight code."""
    line = line_of(recorded(name, 24))
    pieces = [placed.piece for placed in piece_buffer(line, 500).pieces]
    assert len(line.loops) > 15
    assert sum(piece.count > 1 for piece in pieces) > 0.9 * len(line.loops)


def test_loops_inside_that_run_equally_often_are_part_of_the_outer_one() -> None:
    """Of a grid's steps, and of the sweep back through them, each is one trip."""
    line = line_of(recorded("diffusion", 50))
    largest = sorted(line.loops, key=lambda loop: loop.saves)[-2:]
    assert [loop.count > 35 for loop in largest] == [True, True]
    assert line.saves > 0.9 * len(line.slots)
    text, more = (module.module(recorded("diffusion", count)).text for count in (50, 51))
    assert text == more


def test_the_longest_loops_stay_loops_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM takes more than linear time over a body, so one is not made much longer."""
    monkeypatch.setattr(repeats, "_LONGEST", 80)
    line = line_of(recorded("diffusion", 50))
    assert sum(loop.length < 10 for loop in line.loops) > 40


@pytest.mark.parametrize("name", NESTS)
def test_they_have_the_bits_of_the_straight_line(name: str) -> None:
    """By the rows of their pieces, and in code for one call."""
    program = recorded(name, 18)
    pieces = piece_buffer(line_of(program), 30)
    with loops_always():
        run = machine.ScalarFunction(program)
    for seed in (1, 2):
        inputs = [*POINT, *draws(18, seed)]
        want = frozen(straight(program, inputs))
        assert frozen(in_pieces(pieces, inputs, len(program.outputs))) == want
        assert frozen(run(inputs)) == want


@pytest.mark.parametrize("name", ["binomial", "checked"])
def test_rows_have_them_too(name: str) -> None:
    """Where all operations are rounded alike everywhere."""
    program, inputs = recorded(name, 18), [*POINT, *draws(18)]
    with loops_always():
        code = machine.rows(program, RowOptions(0, quick=True))
    out, flips = np.empty((len(program.outputs), 8)), np.empty(8, dtype=np.int32)
    code(np.empty(0), [np.array([inputs] * 3)], range(3), out, flips)
    assert flips[:3].tolist() == [-1] * 3
    assert frozen(out[:, 1].tolist()) == frozen(straight(program, inputs))


@pytest.mark.parametrize("row", [0, 7, 190])
def test_a_guard_says_which_it_is(row: int) -> None:
    """Whichever loop it is in, and wherever its block of numbers stands."""
    program = recorded("checked", 21)
    inputs = [*POINT, *draws(21)]
    values = [0.3 * x for x in inputs[3:]]
    first = 0
    for length in range(20, 0, -1):
        if first + length > row:
            break
        values = [0.6 * x + 0.5 * y for x, y in pairwise(values)]
        first += length
    inputs[3 + row - first] = 1e9
    want = straight(program, inputs)
    assert isinstance(want, int)
    with loops_always():
        run, code = (
            machine.ScalarFunction(program),
            machine.rows(program, RowOptions(0, quick=True)),
        )
    assert run(inputs) == want
    out, flips = np.empty((len(program.outputs), 16)), np.empty(16, dtype=np.int32)
    code(np.empty(0), [np.array([inputs] * 3)], range(3), out, flips)
    assert flips[:3].tolist() == [want] * 3


@pytest.mark.parametrize("name", ["triangle", "growing", "called"])
def test_their_code_does_not_depend_on_how_many_there_are(name: str) -> None:
    """The text of one is that of any other, and has each call into Python once."""
    made = [module.module(recorded(name, count)) for count in (23, 24, 26)]
    assert len({one.text for one in made}) == 1
    assert len(made[0].calls) == (name == "called")


def test_nor_does_code_for_rows() -> None:
    """And for their sums."""
    programs = [recorded("triangle", count) for count in (18, 19)]
    for mode, lanes in (("rows", 16), ("sums", 8)):
        assert len({module.module(one, mode, lanes=lanes).text for one in programs}) == 1


def test_a_larger_one_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer has the eager bits."""
    monkeypatch.setenv("TAPEGRAD_CACHE", "0")
    machine._shared.cache_clear()
    texts, make_object = list[str](), machine._object_code

    def counted(text: str, level: int) -> Any:
        texts.append(text)
        return make_object(text, level)

    monkeypatch.setattr(machine, "_object_code", counted)
    run = tg.jit(NESTS["triangle"], backend="llvm", eager_first=False)
    for count in (17, 18, 17):
        xs = draws(count)
        assert run(POINT, xs) == run(POINT, xs) == NESTS["triangle"](POINT, xs)
    assert len(texts) == 1


def test_the_judge_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a loop that goes on where it would read its own first numbers."""
    program = recorded("binomial", 21)
    inputs = [*POINT, *draws(21)]
    want = frozen(straight(program, inputs))

    def unchecked(self: Any, reader: Piece, source: Read, numbers: Sequence[int]) -> None:
        """Lets all numbers through."""

    monkeypatch.setattr(buffers._Planner, "require_there", unchecked)
    pieces = piece_buffer(line_of(program), 500)
    assert frozen(in_pieces(pieces, inputs, len(program.outputs))) != want
