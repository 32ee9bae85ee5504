"""Laws of code that programs share: it is compiled once for loops that run more or less often."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tapegrad as tg
from benchmarks.loops import garch
from tapegrad import math
from tapegrad.compile.lower import lower
from tapegrad.compile.program import Program
from tests.fuzz.loop_judges import frozen, lengths, loops_always, straight
from tests.fuzz.loop_programs import make
from tests.strategies import bits

np = pytest.importorskip("numpy")
machine = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
module = pytest.importorskip("tapegrad.compile.backends.llvm.module")
given_numbers = pytest.importorskip("tapegrad.compile.backends.llvm.given_numbers")
pieces = pytest.importorskip("tapegrad.compile.backends.llvm.piece_function")


def weighted(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A loop over constants that vary, and one that reads lags."""
    a, b, _ = p
    total, states = a, [a, b]
    for t, x in enumerate(xs):
        total = total * 0.9 + x * (1.0 / (1.0 + t))
        states.append(a * states[-1] + b * states[-2] * total)
    return total + math.sum(states[2:])


def nested(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A loop inside a loop, of which the outer one depends on the data."""
    a, b, c = p
    for x in xs:
        inner = x
        for _ in range(5):
            inner = math.tanh(a * inner + b)
        c = c + inner * inner
    return c


def listed(p: Sequence[Any], xs: Sequence[float]) -> list[Any]:
    """As many outputs as steps, and the last ones again."""
    values = [p[0]]
    for x in xs:
        values.append(values[-1] * p[1] + math.sin(x * p[2]))
    return [*values[::-1], p[0] * values[-1], values[0]]


def crossed(p: Sequence[Any], xs: Sequence[float]) -> Any:
    """A guard in each step, of which all come out alike."""
    level, rate, bound = p
    for x in xs:
        level = level + rate * x
        if level > 1e3 * bound:
            return 0.0 * level
    return level * level


def of_data(xs: Sequence[Any], p: Sequence[float]) -> Any:
    return garch(p, xs)


POINT = [0.11, 0.12, 0.7]
LOOPS: dict[str, Callable[..., Any]] = {
    "data": tg.value_and_grad(garch),
    "tables and lags": tg.value_and_grad(weighted),
    "nests": tg.value_and_grad(nested),
    "lists": listed,
    "guards": tg.value_and_grad(crossed),
    "a gradient with as many slopes as steps": tg.value_and_grad(of_data),
}


def draws(count: int, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(0.0, 0.1) for _ in range(count)]


def arguments(name: str, count: int) -> tuple[Any, ...]:
    return (draws(count), POINT) if "slopes" in name else (POINT, draws(count))


def recorded(name: str, count: int) -> Program:
    return lowered(tg.record(LOOPS[name])(*arguments(name, count)))


def lowered(tape: Any) -> Program:
    return lower(tape.columns.as_lists(), tape.outputs)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that are compiled, of which none is known before."""
    texts: list[str] = []
    monkeypatch.setenv("TAPEGRAD_CACHE", "0")
    make_object = machine._object_code

    def counted(text: str, level: int) -> Any:
        texts.append(text)
        return make_object(text, level)

    monkeypatch.setattr(machine, "_object_code", counted)
    machine._shared.cache_clear()
    yield texts
    machine._shared.cache_clear()


@pytest.mark.parametrize("name", LOOPS)
def test_the_text_is_that_of_any_other_length(name: str) -> None:
    """Its numbers differ, and the text does not, for one call, for rows and for sums."""
    programs = [recorded(name, count) for count in (210, 211, 240)]
    for mode, lanes in (("call", 1), ("rows", 16), ("sums", 8)):
        made = [module.module(program, mode, lanes=lanes) for program in programs]
        assert len({one.text for one in made}) == 1
        assert len({one.given for one in made}) == 3


@pytest.mark.parametrize("name", LOOPS)
def test_a_new_length_is_not_compiled(name: str, compiled: list[str]) -> None:
    """Its answers have the eager bits, whichever length the code was compiled for."""
    run = tg.jit(LOOPS[name], backend="llvm", eager_first=False)
    for count in (110, 111, 133, 109, 110):
        given = arguments(name, count)
        assert bits_of(run(*given)) == bits_of(run(*given)) == bits_of(LOOPS[name](*given))
    assert len(compiled) == 1


def test_rows_of_few_steps_have_few_texts() -> None:
    """A turn of a short loop runs a power of two of them, so there is one for each doubling."""
    texts = set()
    for count in range(17, 50):
        with loops_always():
            texts.add(module.module(recorded("lists", count), "rows", lanes=16).text)
    assert len(texts) == 3


def bits_of(answer: Any) -> Any:
    if isinstance(answer, Sequence):
        return [*map(bits_of, answer)]
    return bits(float(answer))


def test_rows_share_it_too(compiled: list[str]) -> None:
    """Batches of rows of other widths, each row with the eager bits."""
    run = tg.vmap(tg.value_and_grad(crossed), in_axes=(None, 0), backend="llvm")
    for width in (210, 211, 230):
        rows = np.array([draws(width, seed) for seed in range(20)])
        values, slopes = run(POINT, rows)
        for row in range(20):
            want = tg.value_and_grad(crossed)(POINT, tuple(rows[row].tolist()))
            assert bits_of((float(values[row]), slopes.row(row))) == bits_of(want)
    assert len([text for text in compiled if "@part0" in text]) == 1


def test_two_lengths_may_run_at_the_same_time() -> None:
    """Each call has a buffer with what its own length is given."""
    run = tg.jit(tg.value_and_grad(garch), backend="llvm", eager_first=False)
    data = [draws(count) for count in (110, 111, 133, 160)]
    want = [run(POINT, returns) for returns in data]

    def again(index: int) -> bool:
        return all(run(POINT, data[index]) == want[index] for _ in range(100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(again, [*range(4)] * 2))


def test_what_the_code_is_given_stays_as_it_is() -> None:
    """A call writes neither into it nor behind the buffer."""
    for name in LOOPS:
        program = recorded(name, 110)
        run = machine.ScalarFunction(program)
        entry = run.run_bytes.__self__
        size, mark = entry._buffer._length_, 0x7FF4DEADBEEF0BAD
        whole = (machine.ctypes.c_uint64 * (size + 16))(*[mark] * (size + 16))
        buffer = entry._buffer.from_buffer(whole)
        machine.ctypes.memmove(buffer, entry._given, len(entry._given))
        entry._buffers.append(buffer)
        inputs = [*draws(110), *POINT] if "slopes" in name else [*POINT, *draws(110)]
        assert frozen(run(inputs)) == frozen(straight(program, inputs))
        assert entry._given
        assert bytes(whole)[: len(entry._given)] == entry._given
        assert whole[size:] == [mark] * 16


def test_calls_into_python_are_those_of_the_program() -> None:
    """Rows with other static operands have another answer, though their text is one."""

    def summed(order: int, x: Any) -> Any:
        total = x
        for _ in range(60):
            total = total + math.polygamma(order, 1.0 + total * total)
            for _ in range(8):
                total = total * 0.5 - 0.1
        return total

    found: dict[int, str] = {}
    for order in (1, 2, 1, 3):
        tape = tg.record(lambda x, order=order: summed(order, x))(0.3)
        program = lowered(tape)
        found.setdefault(order, module.module(program).text)
        assert frozen(machine.ScalarFunction(program)([0.4])) == frozen(straight(program, [0.4]))
    assert len({*found.values()}) == 1


def test_the_report_says_that_it_is_shared() -> None:
    """Of the second length, and of the third, but not of the first."""
    machine._shared.cache_clear()
    run = tg.jit(tg.value_and_grad(garch), backend="llvm", eager_first=False)
    for count in (110, 111, 112):
        run(POINT, draws(count))
    paths = [path for shape in run.report().shapes[::-1] for path in shape.paths]
    assert [path.is_shared for path in paths] == [False, True, True]
    assert ", code of the same loops found in" in str(paths[1])
    assert "code of the same loops" not in str(paths[0])


def test_random_loops_of_other_lengths_share_their_code(compiled: list[str]) -> None:
    """Most of them, and all have the bits of the straight line."""
    ran = 0
    for seed in (0, 2, 9, 10, 12, 22):
        for program, inputs in lengths(make(seed), 20, 21, 36):
            with loops_always():
                run = machine.ScalarFunction(program)
            assert frozen(run(inputs)) == frozen(straight(program, inputs)), seed
            ran += 1
    assert len(compiled) < 0.6 * ran


def test_all_addresses_are_inside_of_their_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first iteration of each loop, and in the last one, of random programs."""
    found: set[tuple[str, int]] = set()
    spell = pieces.PieceFunction.element

    def element(self: Any, array: str, first: int, step: int) -> Any:
        name = array if array in {"%X", "%U"} else "buffer"
        found.update(((name, first), (name, first + step * (self.piece.count - 1))))
        return spell(self, array, first, step)

    monkeypatch.setattr(pieces.PieceFunction, "element", element)
    for seed in range(9):
        shared = (0, 3, 5)[seed % 3]
        for program, _ in lengths(make(seed), 7):
            found.clear()
            with loops_always():
                made = module.module(program, "rows", lanes=8, shared=shared)
            sizes = {"%X": program.inputs - shared, "%U": shared, "buffer": made.spills}
            assert all(0 <= place < sizes[name] for name, place in found)


def test_what_the_code_is_given_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With that of a shorter loop it runs the shorter loop."""
    short, long = (recorded("data", count) for count in (110, 111))
    inputs = [*POINT, *draws(111)]
    want = straight(long, inputs)
    assert frozen(machine.ScalarFunction(long)(inputs)) == frozen(want)
    given = module.module(short).given
    monkeypatch.setattr(given_numbers.GivenNumbers, "packed", lambda _: given)
    assert frozen(machine.ScalarFunction(long)(inputs)) != frozen(want)
