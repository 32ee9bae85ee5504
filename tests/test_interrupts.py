"""Interrupts and full memories: nothing is left broken, and no number is wrong.

An exception is thrown before an instruction of the library, or of code that it generates, as an
interrupt or an allocation that fails would raise one there. It reaches the caller; and whatever was
interrupted then gives the right answers, to the bit. The tests throw at some instructions of each
program, from a random one on. With ``-m slow`` they throw at more, and with ``-m long`` at every
instruction that it runs, the first and the last time that it does.
"""

from __future__ import annotations

import gc
import pickle
import random
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from types import FrameType
from typing import Any, Final

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.compile.scan import step
from tapegrad.recording import recorder
from tapegrad.sweep import codegen, reverse
from tests.interrupts import (
    Instruction,
    Thrower,
    ends_within,
    every_one_of,
    instructions,
    shown,
    some_of,
)

ERRORS: Final = (KeyboardInterrupt, MemoryError)

HANDING_OVER: Final = {("/_support/threads.py", "Task.run"), ("/_support/threads.py", "Task.end")}
"""Where a thread's result may have been handed over already, and counts."""


def of_threads(seen: list[Instruction]) -> list[int]:
    """Each instruction of what runs in other threads, where it is come by first."""
    first = {each: number for number, each in reversed([*enumerate(seen, 1)])}
    return [number for each, number in first.items() if each[0] == "/_support/threads.py"]


CHOICES: Final = [
    pytest.param(of_threads, marks=pytest.mark.slow, id="those of threads"),
    pytest.param(partial(some_of, count=60), marks=pytest.mark.slow, id="60 of them"),
    pytest.param(every_one_of, marks=pytest.mark.long, id="all of them"),
]
"""How many instructions are thrown at."""
SPELLING: Final = {
    ("/pytree/codegen.py", "packer"),
    ("/pytree/change_checks.py", "executed"),
    ("<spelled by tapegrad>", "<module>"),
}
"""Where functions are spelled; what has no room for that is done without."""

POSITIVE: Final = np.array([0.5, 1.5, 2.5])
MIXED: Final = np.array([0.5, -1.5, 2.5])


@attrs.frozen
class Case:
    """An act that is interrupted on what ``make`` makes, and what is asked of that afterwards."""

    make: Callable[[], Any]
    act: Callable[[Any], object]
    ask: Callable[[Any], object]


def branchy() -> Any:
    """A function of its own for each case, since some is kept by function."""

    def f(x: Any) -> Any:
        return math.sin(x) * x if x > 0.0 else math.exp(x) - x

    return f


def after(made: Any, *acts: Callable[[Any], object]) -> Any:
    """What was made, after these acts."""
    for act in acts:
        act(made)
    return made


def at(*points: Any) -> Callable[[Any], object]:
    """The answers at some points."""
    return lambda f: tuple(f(point) for point in points)


def jit(backend: Any) -> Any:
    return tg.jit(tg.value_and_grad(branchy()), backend=backend, eager_first=False)


def eager_jit(backend: Any) -> Any:
    return tg.jit(tg.value_and_grad(branchy()), backend=backend)


def vmap(backend: Any, **options: Any) -> Any:
    return tg.vmap(tg.value_and_grad(branchy()), backend=backend, **options)


def kepler(anomaly: Any, mean: Any) -> Any:
    return anomaly - 0.3 * math.sin(anomaly) - mean


def called_back() -> Any:
    """A function with a rule of the user's, and a row that no backend has."""

    @tg.primitive(partials=lambda y, x: 3.0 * x * x, at=[0.5])  # y is not needed
    def cube(x: float) -> float:
        return x * x * x

    return lambda x: cube(x) + math.lgamma(x)


def chain() -> Any:
    @tg.checkpoint
    def block(x: Any) -> Any:
        return math.sin(x) * x

    return lambda x: block(block(x))


def of_dict(p: Any, t: float) -> Any:
    return math.sum([w * t for w in p["a"]]) * p["b"] + math.lgamma(p["b"])


def loss(p: Any, goal: float) -> Any:
    return (p["a"] - goal) ** 2 + p["a"] * p["b"] + p["b"] ** 2


def differences(p: Any, goal: float) -> Any:
    return [p["a"] - goal, p["b"] * p["a"]]


def everything(objective: Any) -> object:
    x = np.array([0.5, 0.25])
    return objective.fun(x), objective.jac(x), objective.hess(x), objective.hessp(x, x)


def recorded(f: Any) -> object:
    tape: Any = tg.record(f)(1.5)
    return str(tape), tape.gradient(), tape.replay(2.5).value, tape.simplify().tape.gradient()


def of_arrays(x: Any) -> Any:
    y = np.tanh(np.outer(x, x) + np.eye(3))
    y += x
    return y.sum() + np.linalg.det(y) if (x > 0.0).all() else np.sort(x)[0] * y.max()


def recorded_at(point: Any) -> Callable[[Any], object]:
    def act(f: Any) -> object:
        tape: Any = pickle.loads(pickle.dumps(tg.record(f)(point)))  # noqa: S301  # our own
        return tape.gradient().tolist(), tape.replay(point).value, tape.simplify().tape.value

    return act


def in_a_loop() -> Any:
    """A loop, the code of whose steps is made anew."""
    step._made.cache_clear()
    return lambda x: tg.scan(lambda c, t: (c * t + x, None), x, [0.5, -0.5])[0]


def unlike_any() -> Any:
    """A function after which the sweeps' code is generated anew."""
    codegen._compiled.cache_clear()
    reverse._float_loop.cache_clear()
    return branchy()


def gradient(f: Any) -> object:
    return tg.grad(f)(1.5)


def higher(f: Any) -> object:
    pair = [1.5, 2.0]
    return (
        tg.taylor(f, 4)(1.5),
        tg.sparse_hessian(lambda v: f(v[0]) * v[1])(pair),
        tg.jacobian(lambda v: [f(v[0]), v[1]])(pair),
        tg.hvp(f, 1.5, 1.0),
    )


def again(f: Any, point: Any) -> object:
    return pickle.loads(pickle.dumps(f))(point)  # noqa: S301  # our own


BOTH: Final = at(1.5, 1.5, -0.5, -0.5, -0.5)
ROWS: Final = at(POSITIVE, MIXED, MIXED)
POINT: Final = {"a": [1.5, 2.0], "b": 3.0}

CASES: Final[dict[str, Case]] = {
    "gradient": Case(lambda: tg.grad(branchy()), at(1.5), at(1.5, -0.5)),
    "gradient of a dict": Case(
        lambda: tg.value_and_grad(of_dict), lambda f: f(POINT, 2.0), lambda f: f(POINT, 2.0)
    ),
    "gradient of a gradient": Case(lambda: tg.grad(tg.grad(branchy())), at(1.5), at(1.5, -0.5)),
    "gradient by blocks": Case(lambda: tg.grad(chain()), at(1.5), at(1.5, -0.5)),
    "gradient of a root": Case(
        lambda: tg.grad(lambda mean: tg.root(kepler, mean, mean)), at(1.0), at(1.0)
    ),
    "gradient of a rule": Case(lambda: tg.grad(called_back()), at(1.5), at(1.5, 2.5)),
    "gradient of a loop": Case(lambda: tg.grad(in_a_loop()), at(1.5), at(1.5, -0.5)),
    "tape": Case(branchy, recorded, recorded),
    "gradient of arrays": Case(lambda: tg.grad(of_arrays), at(MIXED), at(MIXED, POSITIVE)),
    "tape of arrays": Case(lambda: of_arrays, recorded_at(MIXED), recorded_at(MIXED)),
    "jit of arrays": Case(
        lambda: tg.jit(tg.grad(of_arrays), eager_first=False), at(MIXED), at(MIXED, POSITIVE)
    ),
    "other transforms": Case(branchy, higher, higher),
    "new sweep": Case(unlike_any, gradient, gradient),
    "objective": Case(
        lambda: tg.objective(loss, {"a": 1.0, "b": 2.0}, 3.0), everything, everything
    ),
    "residuals": Case(
        lambda: tg.residuals(differences, {"a": 1.0, "b": 2.0}, 3.0, in_axes=(None, None)),
        lambda r: r.jac(r.x0),
        lambda r: (r.fun(r.x0), r.jac(r.x0)),
    ),
    "pickled jit": Case(
        lambda: after(jit("python"), at(1.5)), partial(again, point=1.5), partial(again, point=1.5)
    ),
    "pickled vmap": Case(
        lambda: after(vmap("numpy"), at(MIXED)),
        partial(again, point=MIXED),
        partial(again, point=MIXED),
    ),
    **{
        f"{title} of jit on {backend}": Case(make, act, BOTH)
        for backend in ("python", "llvm")
        for title, make, act in (
            ("first calls", partial(eager_jit, backend), at(1.5, 1.5, 1.5)),
            ("a call that compiles", partial(jit, backend), at(1.5)),
            ("new path", lambda b=backend: after(jit(b), at(1.5)), at(-0.5)),
        )
    },
    "calls back from jit": Case(
        lambda: after(tg.jit(called_back(), backend="llvm"), at(1.5, 1.5)),
        at(1.5, 2.5),
        at(1.5, 2.5),
    ),
    "known calls back from jit": Case(
        lambda: tg.jit(called_back(), backend="llvm").compile(1.5), at(2.5), at(1.5, 2.5)
    ),
    **{
        f"{title} of vmap on {backend}": Case(make, act, ROWS)
        for backend in ("numpy", "llvm")
        for title, make, act in (
            ("first call", partial(vmap, backend), at(POSITIVE)),
            ("known path", lambda b=backend: after(vmap(b), at(POSITIVE)), at(POSITIVE)),
            ("new path", lambda b=backend: after(vmap(b), at(POSITIVE)), at(MIXED)),
            ("sum", partial(vmap, backend, reduce="sum"), at(MIXED)),
            ("stray row", partial(vmap, backend, on_branch="eager"), at(MIXED)),
        )
    },
    "calls back from vmap": Case(
        lambda: after(tg.vmap(called_back(), backend="llvm"), at(POSITIVE)),
        at(POSITIVE + 1.0),
        at(POSITIVE, POSITIVE + 1.0),
    ),
    "vmap in threads": Case(
        partial(vmap, "numpy", threads=2),
        at(np.linspace(-1.0, 2.0, 9000)),
        at(np.linspace(-1.0, 2.0, 9000), MIXED),
    ),
}


NAMES: Final = [
    pytest.param(name, marks=pytest.mark.long) if name == "gradient of a loop" else name
    for name in CASES
]
"""The cases; one records and compiles so much that it takes minutes."""


def check_thrown(case: Case, number: int, error: type[BaseException], right: str) -> None:
    """Throws at one instruction; the exception comes through, and the answers are right."""
    made, thrower = case.make(), Thrower(number, error)
    with ends_within(20):
        try:
            found = shown(thrower.run(lambda: case.act(made)))
        except error:
            pass
        else:
            # Python's parser raises this error, too: where there is another way, it is taken.
            # Threads do not take the same instructions each time.
            thrown = thrower.thrown
            if thrown is not None and not thrower.is_lost and thrown[:2] not in HANDING_OVER:
                assert error is MemoryError
                assert thrown[:2] in SPELLING, thrown
            assert found == shown(case.act(case.make()))
        assert shown(case.ask(made)) == right, thrower.thrown


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_call_leaves_all_as_good_as_new(name: str) -> None:
    """At some instructions, from a random one on."""
    case = CASES[name]
    right, seen = shown(case.ask(case.make())), instructions(partial(case.act, case.make()))
    for number in some_of(seen, 4):
        check_thrown(case, number, random.choice(ERRORS), right)


def test_numpy_is_silenced_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an interrupt comes before, it is passed on, and numpy's settings are what they were."""

    class Interrupted(np.errstate):
        def __enter__(self) -> None:
            raise KeyboardInterrupt

    settings = np.geterr()
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "quiet", lambda **_: Interrupted(all="ignore"))
        with pytest.raises(KeyboardInterrupt):
            tg.grad(of_arrays)(MIXED)
    assert np.geterr() == settings
    assert tg.grad(of_arrays)(MIXED).shape == (3,)
    assert np.geterr() == settings


@pytest.mark.parametrize("choose", CHOICES)
@pytest.mark.parametrize("name", NAMES)
def test_a_call_may_be_interrupted_at_every_instruction(
    name: str, choose: Callable[[list[Instruction]], list[int]]
) -> None:
    """By either exception in turn."""
    case = CASES[name]
    right, seen = shown(case.ask(case.make())), instructions(partial(case.act, case.make()))
    for index, number in enumerate(choose(seen)):
        check_thrown(case, number, ERRORS[index % 2], right)


def by_parts(x: Any) -> Any:
    """Every way to write entries: rows of all kinds, a scope, a label, a gradient inside."""

    @tg.scope("inside")
    def inside(x: Any) -> Any:
        y = tg.label(x * 2.0, "y")
        slope: Any = tg.grad(lambda z: math.hypot(z, y, x) * math.sin(z) ** 3)(x)
        return slope + math.fsum([x, y]) + (x if x > y else -abs(y) / 3.0)

    return inside(x)


def instead(x: Any) -> Any:
    return math.cos(x) * 3.0


def catching(*kinds: type[BaseException]) -> Any:
    """A model that goes on where an exception of these kinds comes, in another way."""

    def f(x: Any) -> Any:
        try:
            y = by_parts(x)
        except kinds:
            y = instead(x)
        return y * x

    return f


def facts(f: Any) -> object:
    """What a tape says that does not depend on entries which nothing needs."""
    tape: Any = tg.record(f)(1.5)
    replayed = tape.replay(2.5)
    assert all(0 <= scope.start <= scope.stop <= len(tape) for scope in tape.scopes)
    return tape.value, tape.gradient(), replayed.value, replayed.gradient()


def second(f: Any) -> object:
    inner: Any = tg.grad(f)
    outer: Any = tg.grad(inner)
    return outer(1.5)


def right_by(ask: Callable[[Any], object]) -> list[str]:
    """The answers of the model that goes on in either way."""

    def times(part: Callable[[Any], Any]) -> Callable[[Any], object]:
        return lambda x: part(x) * x

    return [shown(ask(times(part))) for part in (by_parts, instead)]


def check_caught(ask: Callable[[Any], object], number: int, error: type[BaseException]) -> None:
    """The model that caught an exception is recorded rightly, or refused."""
    right = right_by(ask)
    try:
        found = shown(Thrower(number, error).run(lambda: ask(catching(*ERRORS))))
    except (errors.RecordingError, *ERRORS):
        return
    assert found in right


ASKED: Final[dict[str, Callable[[Any], object]]] = {
    "gradient": lambda f: tg.value_and_grad(f)(1.5),
    "second": second,
    "tape": facts,
    "jit": lambda f: tg.jit(tg.value_and_grad(f), backend="python", eager_first=False)(1.5),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_model_that_catches_an_interrupt_is_recorded_rightly_or_refused(name: str) -> None:
    """At some instructions, from a random one on."""
    seen = instructions(lambda: ASKED[name](catching(*ERRORS)))
    for number in some_of(seen, 10):
        check_caught(ASKED[name], number, random.choice(ERRORS))


@pytest.mark.parametrize("choose", CHOICES)
@pytest.mark.parametrize("name", ASKED)
def test_a_model_may_catch_an_interrupt_at_every_instruction(
    name: str, choose: Callable[[list[Instruction]], list[int]]
) -> None:
    """By either exception in turn."""
    seen = instructions(lambda: ASKED[name](catching(*ERRORS)))
    for index, number in enumerate(choose(seen)):
        check_caught(ASKED[name], number, ERRORS[index % 2])


def within_frames(room: int, f: Callable[[], Any]) -> Any:
    """The result of a function that may call so many functions inside each other."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth() + room)
    try:
        return f()
    finally:
        sys.setrecursionlimit(before)


def depth() -> int:
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1  # type: ignore[assignment]  # None ends it
    return count


@pytest.mark.parametrize("name", ASKED)
def test_a_model_that_catches_a_full_stack_is_recorded_rightly_or_refused(name: str) -> None:
    """Full after any number of functions inside each other."""

    def f(x: Any, room: int) -> Any:
        try:
            y = within_frames(room, lambda: by_parts(x))
        except RecursionError:
            y = instead(x)
        return y * x

    ask, found = ASKED[name], set()
    right = right_by(ask)
    for room in range(4, 70):
        try:
            found.add(shown(ask(lambda x, room=room: f(x, room))))
        except errors.RecordingError:
            continue
    assert found == set(right)


@pytest.mark.parametrize(
    ("transform", "backend"),
    [(tg.jit, "python"), (tg.jit, "llvm"), (tg.vmap, "numpy"), (tg.vmap, "llvm")],
)
def test_a_full_stack_in_compiled_code_is_an_error(transform: Any, backend: Any) -> None:
    """Also where it is full as machine code calls back; then all is right again."""
    f = called_back()
    point = 2.5 if transform is tg.jit else POSITIVE
    fast = after(transform(f, backend=backend), at(point, point, point))
    right, raised = shown(fast(point)), 0
    for room in range(3, 60):
        try:
            assert shown(within_frames(room, lambda: fast(point))) == right
        except RecursionError:
            raised += 1
        assert shown(fast(point)) == right
    assert 0 < raised < 57


class StopError(BaseException):
    """Raised by the tests' signal handler."""


@attrs.define
class Storm:
    """How often a signal's handler raised, how often that came through, and wrong answers."""

    raised: int = 0
    stopped: int = 0
    wrong: int = 0

    def run(self, act: Callable[[], bool], seconds: float, longest: float) -> None:
        """Interrupts an act at random times, again and again; ``act`` says whether it is right."""
        before, end = signal.signal(signal.SIGALRM, self._stop), monotonic() + seconds
        gc.disable()  # what it calls back may be interrupted, too, and drops the exception
        try:
            while monotonic() < end:
                try:
                    self._once(act, random.uniform(1e-6, longest))
                except StopError:
                    self.stopped += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
            gc.enable()

    def _once(self, act: Callable[[], bool], seconds: float) -> None:
        count = self.raised
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while self.raised == count:
            self.wrong += not act()

    def _stop(self, *_: object) -> None:
        self.raised += 1
        raise StopError


STORMS: Final[dict[str, tuple[Callable[[], Any], Any, float]]] = {
    "jit": (lambda: tg.jit(called_back(), backend="llvm").compile(2.5), 2.5, 40e-6),
    "vmap": (lambda: tg.vmap(called_back(), backend="llvm"), np.linspace(1.0, 2.0, 40), 1e-3),
    "sum": (
        lambda: tg.vmap(called_back(), backend="llvm", reduce="sum"),
        np.linspace(1.0, 2.0, 40),
        1e-3,
    ),
}


def check_storm(name: str, seconds: float, rows: int = 40) -> None:
    """Every interrupt arrives, no number is wrong, and the hook for lost errors is as it was.

    Of so many rows first: LLVM's classes drop an interrupt where it comes in a ``__del__``, so all
    has to be compiled before.
    """
    make, point, longest = STORMS[name]
    fast, hook = make(), sys.unraisablehook
    fast(point if isinstance(point, float) else np.resize(point, rows))
    right = shown(fast(point))
    found = Storm()
    found.run(lambda: shown(fast(point)) == right, seconds, longest)
    assert found.raised > 10
    assert found == Storm(found.raised, found.raised, wrong=0)
    assert shown(fast(point)) == right
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("name", STORMS)
def test_signals_while_machine_code_calls_back_come_through(name: str) -> None:
    """Whatever a handler raises, at times that are random."""
    check_storm(name, 0.1)


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(5.0, marks=pytest.mark.slow), pytest.param(60.0, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("name", STORMS)
def test_many_signals_while_machine_code_calls_back_come_through(name: str, seconds: float) -> None:
    """The same for longer."""
    check_storm(name, seconds, rows=300_000)


def test_threads_go_on_after_an_interrupt_of_the_one_that_waits_for_them() -> None:
    """The pool is there for the next call, and no lock is held."""
    batch = tg.vmap(called_back(), backend="llvm", threads=2)
    points = np.linspace(1.0, 2.0, 9_000)
    right, count = shown(batch(points)), threading.active_count()
    for _ in range(3):
        found = Storm()
        with ends_within(60):
            found.run(lambda: shown(batch(points)) == right, 0.1, 0.02)
            assert found == Storm(found.raised, found.raised, wrong=0)
            assert shown(batch(points)) == right
    assert threading.active_count() == count


def test_the_thread_that_waits_for_others_takes_no_lock_in_python_code() -> None:
    """An interrupt between taking it and the ``try`` around it would leave it taken for good."""
    batch = tg.vmap(called_back(), backend="llvm", threads=2)
    points = np.linspace(1.0, 2.0, 9_000)
    batch(points)
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        files.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        batch(points)
    finally:
        sys.setprofile(None)
    assert any("batch" in file for file in files)
    assert not [file for file in files if "threading" in file or "concurrent" in file]


def test_a_call_that_raises_leaves_no_thread_at_work() -> None:
    """What was begun has ended by then, and what was not never begins."""
    running: list[float] = []

    @tg.primitive(partials=lambda y, x: 1.0, at=[1.0])
    def slow(x: float) -> float:
        running.append(x)
        sleep(0.0001)
        running.pop()
        if x > 1.9:
            raise ValueError(x)
        return x

    batch = tg.vmap(slow, threads=2)
    batch(np.linspace(1.0, 1.5, 9_000))
    with pytest.raises(ValueError, match=r"1\.9"):
        batch(np.linspace(1.95, 1.0, 40_000))
    assert running == []


def test_an_interrupt_of_one_thread_is_its_own() -> None:
    """Others that call the same function meanwhile get right answers."""
    fast, points = tg.jit(called_back(), backend="llvm").compile(1.5), (1.5, 2.5)
    wrong: list[float] = []
    right = [fast(point) for point in points]
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            wrong.extend(x for x, y in zip(map(fast, points), right, strict=True) if x != y)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = Storm()
    with ends_within(60):
        found.run(lambda: fast(2.5) == right[1], 0.3, 1e-3)
        over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert found == Storm(found.raised, found.raised, wrong=0)
