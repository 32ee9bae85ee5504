"""New paths: the function itself is called until a path pays for being recorded and compiled."""

from __future__ import annotations

import functools
import itertools
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple

import attrs
import pytest

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad.compile import cache, call_recording, learning
from tapegrad.compile.backends import python
from tapegrad.compile.jit import Compiled
from tests.places import place, refusal, warned_at

RECORDING: Final = 20.0
"""What recording a call costs here, in calls of the function itself."""
COMPILING: Final = 30.0
"""The same for compiling a path."""
UNIT: Final = 1e-3
"""The seconds of a call of the function itself."""
FREE_DECISIONS: Final = 2.0
"""The decisions that need not be paid for, in calls of the function itself."""


class Clock:
    """Counts calls, and goes by counted work."""

    def __init__(self) -> None:
        self.now = 0.0
        self.eager = self.recorded = 0

    def f(self, x: Any, structure: int = 0) -> Any:
        """A function whose path is chosen by its argument, and recorded for each ``structure``.

        The path of ``k + 0.5`` is number k; each is long enough to have to pay.
        """
        del structure
        if isinstance(x, float):
            self.eager += 1
            self.now += UNIT
        else:
            self.recorded += 1
            self.now += RECORDING * UNIT
        low, high = 0.0, 1024.0
        while high - low > 1.0:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if x > middle else (low, middle)
        for number in range(300):
            x = x * 0.5 + math.sin(x) if number % 2 else x - 0.25
        return x


def go_by(
    monkeypatch: pytest.MonkeyPatch,
    seconds: Callable[[], float],
    decided: Callable[[], float] = float,
) -> None:
    """Lets calls, recording and compiling take the time of one clock, decisions that of another."""
    for module in ("learning", "call_recording"):
        monkeypatch.setattr(f"tapegrad.compile.{module}.thread_time", seconds)
    monkeypatch.setattr("tapegrad.compile.learning.perf_counter", seconds)
    for module in ("call_recording", "jit"):
        monkeypatch.setattr(f"tapegrad.compile.{module}.perf_counter", decided)


class Work:
    """A clock, and a count of what was compiled, which the function of the clock cannot see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock = Clock()
        self.f = clock.f
        self.compiled = 0
        go_by(monkeypatch, lambda: clock.now, lambda: clock.now)
        compiler = python.scalar

        def scalar(program: Any) -> Any:
            self.compiled += 1
            clock.now += COMPILING * UNIT
            return compiler(program)

        monkeypatch.setattr(
            "tapegrad.compile.backends.registry.Choice.scalar", lambda _, p: scalar(p)
        )
        costs = {learning.CALLING: 1.0, learning.RECORDING: RECORDING, "python": COMPILING}
        monkeypatch.setattr(learning, "USUAL", {k: v * UNIT / 300 for k, v in costs.items()})

    def decide_in(self, monkeypatch: pytest.MonkeyPatch, units: float) -> None:
        """Lets it take so long to take the arguments of a call apart."""
        flatten = cache.flatten_arguments

        def flattened(*args: Any, **options: Any) -> Any:
            self.clock.now += units * UNIT
            return flatten(*args, **options)

        monkeypatch.setattr("tapegrad.compile.jit.flatten_arguments", flattened)

    @property
    def units(self) -> float:
        """The work so far, in calls of the function itself."""
        return self.clock.now / UNIT


STREAMS: dict[str, Callable[[], Iterator[int]]] = {
    "always the same": lambda: itertools.repeat(3),
    "always new": lambda: iter(range(1000)),
    "two in turn": lambda: itertools.cycle((3, 700)),
    "one that comes often, among new ones": lambda: (
        500 if number % 3 else number % 1000 for number in itertools.count()
    ),
    "forty in turn": lambda: (number * 25 % 1000 for number in itertools.count()),
    "each of them twice": lambda: (number // 2 % 1000 for number in itertools.count()),
    "one for long, then another": lambda: (
        number // 200 * 37 % 1000 for number in itertools.count()
    ),
}


STRUCTURES: dict[str, Callable[[int], int]] = {
    "one": lambda _: 0,
    "always new": lambda number: number,
    "two in turn": lambda number: number % 2,
    "each of them thrice": lambda number: number // 3,
    "one that comes often, among new ones": lambda number: 0 if number % 3 else number,
}

TINY: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "always the same": lambda _: ([0.1] * 20, 8),
    "100 lengths": lambda number: ([0.1] * (number % 100), 0),
    "5 lengths": lambda number: ([0.1] * (10 + number % 5), 0),
    "each length twice": lambda number: ([0.1] * (number // 2 % 300), 0),
    "100 static values": lambda number: ([0.1], number % 100),
    "new static values": lambda number: ([0.1], number),
    "new paths": lambda number: ([number * 0.6180339887 % 1.0], 30),
    "40 paths": lambda number: ([number % 40 * 0.6180339887 % 1.0], 30),
    "paths of length 8": lambda number: ([number * 0.6180339887 % 1.0], 8),
}
"""Arguments of a function that takes next to no time."""

quietly = pytest.mark.filterwarnings("ignore:.* has been recorded 8 times")


class TestAtMostTwiceTheFunction:
    @pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
    def test_on_any_stream(
        self, monkeypatch: pytest.MonkeyPatch, stream: Callable[[], Iterator[int]]
    ) -> None:
        """At any time the work is at most twice that of the calls, and the bits are theirs."""
        plain, work = Work(monkeypatch), Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        for calls, number in enumerate(itertools.islice(stream(), 1000), 1):
            x = number + 0.5
            assert fast(x) == plain.f(x)
            assert work.units <= 2.0 * calls

    @quietly
    @pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
    def test_on_any_stream_of_structures(
        self, monkeypatch: pytest.MonkeyPatch, structure: Callable[[int], int]
    ) -> None:
        """What the paths of all structures of arguments may spend is one budget."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        for calls in range(1, 301):
            fast(calls % 7 // 4 + 0.5, structure(calls))
            assert work.units <= 2.0 * calls

    @quietly
    @pytest.mark.parametrize(("times", "compiled"), [(3, 0), (15, 0), (100, 3)])
    def test_structures_that_come_a_few_times_are_not_recorded(
        self, monkeypatch: pytest.MonkeyPatch, times: int, compiled: int
    ) -> None:
        """What the calls of others have paid for is not spent on one that does not pay for it."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        for calls in range(300):
            fast(3.5, calls // times)
        assert (work.clock.recorded, work.compiled) == (compiled, compiled)
        assert compiled or work.clock.eager == 300

    @quietly
    @pytest.mark.parametrize("decision", [0.2, 1.0, 5.0])
    @pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
    def test_decisions_count(
        self, monkeypatch: pytest.MonkeyPatch, structure: Callable[[int], int], decision: float
    ) -> None:
        """But for the first few, however long it takes to find out what a call needs."""
        work = Work(monkeypatch)
        work.decide_in(monkeypatch, decision)
        fast = tg.jit(work.f, backend="python")
        for calls in range(1, 301):
            fast(calls % 7 // 4 + 0.5, structure(calls))
            assert work.units <= 2.0 * calls + FREE_DECISIONS + 3.0 * decision

    def test_code_is_found_again_where_that_pays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of more structures than are tried at once, at half the time of a call each."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        for structure in range(7):
            fast.compile(0.5, structure)
        work.decide_in(monkeypatch, 0.5)
        before = work.units
        for calls in range(200):
            fast(0.5, calls % 7)
        assert work.clock.eager == 0
        assert work.units - before <= 0.5 * 200 + FREE_DECISIONS

    def test_where_calls_go_elsewhere_as_soon_as_they_are_quick(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The worst that calls can do: no compiled path is ever taken again."""
        work, number = Work(monkeypatch), 3
        fast = tg.jit(work.f, backend="python")
        for calls in range(1, 1001):
            before = work.compiled
            fast(number + 0.5)
            assert work.units <= 2.0 * calls
            number += 37 * (work.compiled - before)
        assert work.compiled > 5

    @pytest.mark.parametrize("factor", [0.1, 3.0])
    def test_costs_are_learnt(self, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
        """Where an entry takes less or more than is usual, one path too many is made at most."""
        work = Work(monkeypatch)
        costs = dict.fromkeys((learning.RECORDING, "python"), factor)
        monkeypatch.setattr(
            learning, "USUAL", {k: v * costs.get(k, 1.0) for k, v in learning.USUAL.items()}
        )
        fast = tg.jit(work.f, backend="python")
        for calls, number in enumerate(itertools.islice(itertools.cycle((3, 700)), 400), 1):
            fast(number + 0.5)
            assert work.units <= 2.0 * calls + RECORDING + COMPILING
        assert (work.clock.recorded, work.compiled) == (2, 2)
        costs = dict(fast.report().costs)
        (entries,) = {len(tape) for tape in fast.tapes}
        assert costs["recording"] == pytest.approx(RECORDING * UNIT / entries)
        assert costs["calling"] == pytest.approx(UNIT / entries)
        assert "seconds an entry: recording " in str(fast.report())

    def test_paths_that_come_again_are_compiled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two paths in turn: the function is called until both have paid, and not once more."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        for _ in range(100):
            fast(3.5), fast(700.5)
        assert (work.clock.recorded, work.compiled) == (2, 2)
        assert work.clock.eager <= 3.0 * (RECORDING + COMPILING)
        before = work.clock.now
        for _ in range(100):
            fast(3.5), fast(700.5)
        assert work.clock.now == before

    def test_a_path_that_comes_once_is_not_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However much the calls before it have taken."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python").compile(3.5)
        assert (work.clock.recorded, work.compiled) == (1, 1)
        fast._budget.called = 1e3
        for number in (700, 100):
            fast(number + 0.5)
        assert (work.clock.recorded, work.clock.eager) == (1, 2)

    @pytest.mark.filterwarnings("ignore:.* has taken 64 paths")
    def test_paths_of_which_none_comes_again_are_recorded_more_and_more_rarely(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though calls leave the known paths at the same line again and again."""
        ticks = map(float, itertools.count())
        go_by(monkeypatch, lambda: next(ticks))
        new, known = tg.jit(folded, backend="python"), tg.jit(folded, backend="python")
        for number in range(2000):
            new((number * 0.6180339887) % 1.0)
            known((number % 40 * 0.6180339887) % 1.0)
        assert len(new.tapes) < 90
        assert len(known.tapes) == 40

    def test_short_functions_need_not_pay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One is recorded at its second call and compiled at its third, and so on by path."""
        work = Work(monkeypatch)

        def f(x: Real) -> Real:
            return math.sin(x) if x > 0.0 else x * x

        fast, eager = tg.jit(f, backend="python"), f
        seen = []
        for x in (1.0, 2.0, 3.0, -1.0, -2.0):
            assert fast(x) == eager(x)
            seen.append((len(fast.tapes), work.compiled))
        assert seen == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)]

    @quietly
    @pytest.mark.filterwarnings("ignore:.* has taken 64 paths")
    @pytest.mark.slow
    @pytest.mark.timed
    @pytest.mark.parametrize("differentiated", [True, False])
    @pytest.mark.parametrize("stream", TINY.values(), ids=TINY)
    def test_of_tiny_functions_in_seconds(
        self, stream: Callable[[int], tuple[Any, ...]], differentiated: bool
    ) -> None:
        """But for some milliseconds in all, and a few microseconds a call."""
        f = tg.value_and_grad(tiny) if differentiated else tiny
        calls = [stream(number) for number in range(3000)]
        eager = min(thread_seconds(f, calls) for _ in range(2))
        first = thread_seconds(tg.jit(f), calls)
        assert first <= 2.5 * eager + 20e-3 + 6e-6 * len(calls)

    @pytest.mark.slow
    @pytest.mark.timed
    def test_in_seconds(self) -> None:
        """An integration whose steps come out differently at each point."""
        points = [(1.3 + 0.05 * number, 2.0) for number in range(30)]
        eager, fast = tg.value_and_grad(decay), tg.jit(tg.value_and_grad(decay))
        assert seconds(lambda: [fast(p) for p in points]) <= 2.5 * seconds(
            lambda: [eager(p) for p in points]
        )


def overdrawn(f: Callable[..., Any]) -> Any:
    """The compiled function after decisions that took too long for a while."""
    fast: Any = tg.jit(f)
    fast._budget.decided = 1e9
    return fast


class Point(NamedTuple, Generic[Real]):
    """A container that is more than floats to begin with."""

    at: Real
    rest: list[Real]


@attrs.frozen
class Scaled(Generic[Real]):
    """A class with a float in a field that is not annotated ``Real``."""

    at: Real
    scale: float


class TestStraightCalls:
    @pytest.mark.parametrize(
        "x",
        [0.3, 1, [0.3, 0.4], (0.3, 1), {"a": 0.3, "b": 0.4}, [[0.3], [0.4]], Point(0.3, [1.0, 2])],
        ids=repr,
    )
    def test_have_the_results_of_others(self, x: Any) -> None:
        """Whatever is differentiated: with floats for ints, in the structure of the argument."""

        def f(x: Any, n: int, scale: float = 2.0) -> Any:
            total = sum(leaf * scale for leaf in leaves(x))
            return {"total": total + n, "n": n}

        for function in (f, lambda *args, **named: tg.grad(of_leaves)(args[0])):
            fast, known = overdrawn(function), tg.jit(function)
            for _ in range(4):
                assert repr(fast(x, 3, scale=0.5)) == repr(known(x, 3, scale=0.5))
            assert fast.tapes == ()
            assert "4 calls went straight to the function itself" in str(fast.report())

    def test_refuse_a_number_in_a_field_that_is_none_of_numbers(self) -> None:
        """A class with such a field is taken apart at each call."""
        fast = overdrawn(lambda model: model.at)
        with pytest.raises(errors.InputError, match="scale is a float"):
            fast(Scaled(0.5, 2.0))

    def test_share_nothing_with_the_function(self) -> None:
        """A list that it keeps and returns is copied."""
        kept = [1.0, 2.0]
        fast = overdrawn(lambda x: kept)
        fast(0.5).append(3.0)
        assert fast(0.5) == [1.0, 2.0]

    def test_refuse_what_others_refuse(self) -> None:
        """In the same words."""
        fast, known = overdrawn(of_leaves), tg.jit(of_leaves)
        endless: list[object] = []
        endless.append(endless)
        for argument in ("abc", ["abc"], {1, 2}, endless):
            calls = [functools.partial(f, argument) for f in (fast, known)]
            assert refusal(errors.InputError, calls[0]) == refusal(errors.InputError, calls[1])

    def test_where_the_function_takes_traced_numbers_alone(self) -> None:
        """A whole number as an index: the call is recorded after all."""
        fast = overdrawn(lambda t: [2.0, 3.0, 5.0][t] * t)
        assert [fast(float(n)) for n in (1, 2, 1, 2)] == [3.0, 10.0, 3.0, 10.0]

    def test_are_differentiated(self) -> None:
        """A traced number reaches the function, on known paths and beside them."""
        fast = overdrawn(folded)
        assert tg.grad(lambda x: fast(x) * x)(0.3) == tg.grad(lambda x: folded(x) * x)(0.3)

    def test_end_when_calls_have_caught_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then a path is recorded and compiled as any other."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        fast._budget.decided = 30.0 * UNIT
        for _ in range(200):
            fast(0.5)
        assert (work.clock.recorded, work.compiled) == (1, 1)
        assert 60 <= work.clock.eager <= 150


def leaves(x: Any) -> list[Any]:
    """The numbers in containers, in order."""
    if isinstance(x, dict):
        x = list(x.values())
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, list | tuple) else [x]


def of_leaves(x: Any) -> Any:
    return sum(leaf * leaf for leaf in leaves(x))


class TestTheCompilerOfTheBackend:
    def test_takes_over_where_python_has_saved_as_much(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Python's code serves first, and for good where it saves little."""
        pytest.importorskip("llvmlite")
        monkeypatch.setattr(call_recording, "_QUICK_CALLS", 5)
        fast = tg.jit(folded)
        for _ in range(30):
            fast(0.3)
        (path,) = fast.report().shapes[0].paths
        assert path.runs_on == "python"
        fast._budget.credit = 10.0
        for _ in range(6):
            assert fast(0.3) == folded(0.3)
        (path,) = fast.report().shapes[0].paths
        assert path.runs_on == "llvm"


class TestTheCostUpFront:
    def test_each_path_is_compiled_at_its_first_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With ``eager_first=False``, however long it is; the function itself is never called."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python", eager_first=False)
        for calls, number in enumerate(range(0, 400, 40), 1):
            fast(number + 0.5)
            assert (work.clock.eager, work.clock.recorded, work.compiled) == (0, calls, calls)
        fast(0.5)
        assert (work.clock.eager, work.clock.recorded, work.compiled) == (0, 10, 10)

    def test_compile_does_it_for_given_arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once for each path, and gives the compiled function."""
        work = Work(monkeypatch)
        fast = tg.jit(work.f, backend="python")
        assert fast.compile(3.5) is fast
        assert fast.compile(700.5).compile(3.5) is fast
        assert (work.clock.eager, work.clock.recorded, work.compiled) == (0, 2, 2)
        plain = Work(monkeypatch)
        assert [fast(3.5), fast(700.5)] == [plain.f(3.5), plain.f(700.5)]
        assert (work.clock.eager, work.clock.recorded, work.compiled) == (0, 2, 2)

    def test_compile_uses_the_backend_that_is_kept(self) -> None:
        """Not Python's code, which serves short paths at first."""
        pytest.importorskip("llvmlite")
        fast = tg.jit(folded)
        for _ in range(3):
            fast(0.3)
        assert [path.runs_on for path in fast.report().shapes[0].paths] == ["python"]
        fast.compile(0.3)
        assert [path.runs_on for path in fast.report().shapes[0].paths] == ["llvm"]
        assert fast(0.3) == folded(0.3)

    def test_compile_takes_plain_numbers(self) -> None:
        """A traced one has no code, whether it is an argument or read from outside."""
        fast = tg.jit(folded)

        def given() -> object:
            return tg.grad(lambda x: fast.compile(x)(x))(0.3)

        def read() -> object:
            return tg.grad(lambda x: tg.jit(lambda y: x * y).compile(0.2)(0.2))(0.3)

        assert refusal(errors.TracedNumberError, given) == (
            f"folded was to be compiled ({place(given, 'fast.compile')}) for a traced number: pass "
            "plain numbers, or call it"
        )
        assert "reads a traced number that is not an argument" in refusal(
            errors.TracedNumberError, read
        )

    def test_the_option_travels(self) -> None:
        """With a function that has recorded nothing yet, and to the methods of objects."""
        sent = pickle.dumps(tg.jit(folded, eager_first=False))
        arrived = pickle.loads(sent)  # noqa: S301  # our own
        arrived(0.3)
        assert len(arrived.tapes) == 1

        class Model:
            @tg.jit
            def late(self, x: Any) -> Any:
                return folded(x)

            @functools.partial(tg.jit, eager_first=False)
            def value(self, x: Any) -> Any:
                return folded(x)

        model = Model()
        assert model.value(0.3) == model.late(0.3)
        assert (len(model.value.tapes), len(model.late.tapes)) == (1, 0)


def seconds(f: Callable[[], object]) -> float:
    started = time.perf_counter()
    f()
    return time.perf_counter() - started


def thread_seconds(f: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> float:
    """The time of this thread that the calls take, and nothing around them."""
    started = time.thread_time()
    for args in calls:
        f(*args)
    return time.thread_time() - started


def tiny(xs: Sequence[Any], folds: int) -> Any:
    """A sum, and some folds."""
    y = sum(xs)
    for _ in range(folds % 37):
        y = 2.0 * y if y < 0.5 else 2.0 - 2.0 * y
    return y * y


def decay(p: Sequence[Any]) -> Any:
    """Heun's method with step control."""
    rate, y = p
    t, h = 0.0, 0.1
    while t < 1.0:
        if t + h > 1.0:
            h = 1.0 - t
        a = -rate * y
        b = -rate * (y + h * a)
        error = abs(0.5 * h * (b - a))
        if error < 1e-5:
            t, y = t + h, y + 0.5 * h * (a + b)
        h = h * min(2.0, max(0.2, 0.9 * math.sqrt(1e-5 / (error + 1e-300))))
    return y


def folded(x: Any) -> Any:
    """A tent map: nearly every argument has a path of its own."""
    for _ in range(30):
        x = 2.0 * x if x < 0.5 else 2.0 - 2.0 * x
    return x


class TestCallsOfTheFunction:
    @pytest.mark.parametrize("backend", ["python", "llvm", "auto"])
    def test_have_the_bits_of_recorded_ones(self, backend: Any) -> None:
        """In any mixture, a path that was met before among them."""
        fast, eager = tg.jit(tg.value_and_grad(folded), backend=backend), tg.value_and_grad(folded)
        for number in range(120):
            x = (number * 0.381966) % 1.0 if number % 3 else 0.3
            assert fast(x) == eager(x)
        assert 1 < len(fast.tapes) < 80

    def test_give_floats_for_ints_as_recorded_ones_do(self) -> None:
        """In the first argument, in fields annotated ``Real``, and in the result."""

        def f(xs: list[Any]) -> Any:
            seen.append(xs[0])
            y = folded(xs[0] * 0.01)
            return {"y": y, "n": 1} if y > -1.0 else {"y": y, "n": 2}

        seen: list[Any] = []
        fast = tg.jit(f)
        for number in range(50):
            found: Any = fast([number])
            assert found == f([float(number)])
            assert type(found["n"]) is type(found["y"]) is float
        assert {type(x) for x in seen} >= {float}
        assert int not in {type(x) for x in seen}

    def test_between_flat_arrays(self) -> None:
        """A new path gives the outputs in their order, or the error about structures."""
        numpy = pytest.importorskip("numpy")
        flat, eager = tg.jit(tg.value_and_grad(folded)).flat(0.3), tg.value_and_grad(folded)
        for number in range(120):
            x = (number * 0.381966) % 1.0
            assert tuple(flat(numpy.array([x])).tolist()) == eager(x)

    def test_an_error_of_the_function_passes(self) -> None:
        """And nothing is spoilt by it."""

        def f(x: Any) -> Any:
            y = folded(x)
            if x > 0.9:
                raise LookupError("mine")
            return y

        fast = tg.jit(f)
        for number in range(60):
            x = (number * 0.381966) % 1.0
            if x > 0.9:
                with pytest.raises(LookupError, match="mine"):
                    fast(x)
            else:
                assert fast(x) == f(x)

    def test_many_paths_earn_one_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It names the function, the number of paths, and the line that parts most of them."""

        def f(x: Any) -> Any:
            for _ in range(30):
                x = 2.0 * x if x < 0.5 else 2.0 - 2.0 * x
            return x

        ticks = map(float, itertools.count())
        go_by(monkeypatch, lambda: next(ticks))
        fast = tg.jit(tg.grad(f), backend="python")

        def calls() -> None:
            for number in range(400):
                fast((number * 0.381966) % 1.0)

        with pytest.warns(UserWarning, match="64 paths") as seen:
            calls()
        assert len(seen) == 1
        assert warned_at(seen) == place(calls, "fast(")
        text = str(seen[0].message)
        assert text.startswith(f"f ({place(calls, 'fast(')}) has taken 64 paths, and is called ")
        assert f"most of them part at {place(f, 'x < 0.5')}: spell that choice with where" in text

    def test_are_told_in_the_report(self) -> None:
        """How many there were, how long they took, and what they pay for."""
        fast = tg.jit(tg.grad(folded))
        for number in range(20):
            fast((number * 0.381966) % 1.0)
        report = fast.report()
        (shape,) = report.shapes
        assert shape.calls + len(shape.paths) == 20
        assert shape.called > 0.0
        assert f"and {shape.calls} calls of the function itself in " in str(report)
        assert "a path that comes again is recorded, and compiled, once calls of" in str(report)


class TestHessiansOfNewPaths:
    def test_every_path_is_recorded_where_that_is_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However long the paths, and from the second call on."""
        work = Work(monkeypatch)
        fast = Compiled(work.f, "python", 1024, eager_first=False)
        for number in range(0, 400, 20):
            fast(number + 0.5)
        assert (work.clock.eager, work.clock.recorded, len(fast.tapes)) == (0, 20, 20)

    def test_a_hessian_has_the_entries_of_a_path_that_is_new(self) -> None:
        """The pattern is that of the tapes, so that each path has one."""
        pytest.importorskip("scipy")

        def loss(p: list[Any]) -> Any:
            y = folded(p[0] * 0.01 + 0.3)
            for _ in range(80):
                y = y * 0.5 + p[0] * 0.25
            return p[1] * p[1] * y if p[0] > 10.0 else p[0] * p[0] + p[1]

        objective: Any = tg.objective(loss, [0.0, 1.0])
        for first in (0.0, 1.0, 11.0, 12.5, 2.0, 13.0):
            expected = tg.hessian(loss)([first, 2.0])
            names = ("0", "1")
            found = objective.hess([first, 2.0])
            for row, column in itertools.product(range(2), range(2)):
                assert found[row][column] == pytest.approx(
                    expected[names[row]][names[column]], rel=1e-12
                )
