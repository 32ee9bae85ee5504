"""Laws of paths that differ in how often their loops run: few are compiled, and no bit differs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tapegrad.compile.learning import Learning
from tests.strategies import ordinary

np = pytest.importorskip("numpy")
machine = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")

STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "walk": lambda a, y, x: y + 0.25 * x * a,
    "drift": lambda a, y, x: y + 0.0625 * a + 0.1 * x,
    "exponential": lambda a, y, x: y * math.exp(0.125 * a * x + 0.05),
    "hyperbolic": lambda a, y, x: y + math.tanh(a * x) + 0.1,
    "choice": lambda a, y, x: y + tg.where(x > 0.0, a * x, 0.5 * x) + 0.05,
    "root": lambda a, y, x: math.sqrt(y * y + a * x * x),
}
ENDS: dict[str, Callable[[Any, Any, int], Any]] = {
    "rebate": lambda a, y, number: 5.0 * math.exp(-a * (0.01 * (number + 1))),
    "state": lambda a, y, number: y * a,
    "both": lambda a, y, number: y * math.exp(-a * (0.03 * number)),
    "discounted": lambda a, y, number: a * y * 0.99**number,
    "divided": lambda a, y, number: y / (1.0 + 0.1 * number),
}


def passage(steps: Sequence[str], end: str, bound: float) -> Callable[[Any, Any], Any]:
    """A loop of these steps, which ends where it passes a bound."""

    def f(a: Any, xs: Any) -> Any:
        state = 1.0 + 0.0 * a
        for number, x in enumerate(xs):
            for step in steps:
                state = STEPS[step](a, state, x)
            if state > bound:
                return ENDS[end](a, state, number)
        return state

    return f


def after(a: Any, xs: Any) -> Any:
    """A loop that ends somewhere, and then one that does not."""
    state = passage(["walk"], "both", 2.0)(a, xs)
    for x in xs[:12]:
        state = state * 0.9 + x
    return state


def inside(a: Any, xs: Any) -> Any:
    """A loop in each trip of one that ends somewhere."""
    state = a
    for number, x in enumerate(xs):
        for _ in range(3):
            state = state + 0.05 * x * a + 0.01
        if state > 1.0:
            return state * (1.0 + 0.5 * number)
    return state


def discounting(a: Any, xs: Any) -> Any:
    """Constants that are others in each trip."""
    state = a
    for number, x in enumerate(xs):
        state = state + 0.1 * x * a * (0.5 + 0.01 * number)
        if state > 1.0:
            return state
    return state


def switching(a: Any, xs: Any) -> Any:
    """What is computed after the loop depends on a plain number of steps."""
    state = a
    for number, x in enumerate(xs):
        state = state + 0.2 * x * a + 0.02
        if state > 1.0:
            return state * a if number % 5 else math.sin(state)
    return state


@pytest.fixture(name="pays", autouse=True)
def _pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it takes, paths pay for being recorded."""
    monkeypatch.setattr(Learning, "expected", lambda *_: 1e9)


def exits(f: Any, steps: int, seed: int = 0) -> tuple[Any, Any]:
    """A batch of which rows have left at many steps, and its recorded paths."""
    return learned(f, np.random.default_rng(seed).normal(0.1, 1.0, (2 * steps, steps)))


def learned(f: Any, xs: Any) -> tuple[Any, Any]:
    """A batch that has run two of each of these rows, and its recorded paths."""
    batch = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), backend="llvm")
    batch(0.7, np.repeat(xs, 2, axis=0))
    recorded = batch._cache.recordings[0]
    return batch, recorded.calls.codes if recorded._calls else ()


def require_as_compiled(codes: Any) -> int:
    """Holds code that was found by that which is compiled, and counts it."""
    found = [code for code in codes if code.path.code is not None]
    for code in found:
        made = machine.scalar(code.path.program)
        loops = code.loops
        assert made.loops.places == loops.places
        # A constant such as 0.5 stands in the text of code that is compiled for it.
        if len(made.loops.doubles) == len(loops.doubles):
            assert made.loops.given == loops.given
        assert code.path.outcomes == code.path.program.outcomes
        assert code.path.entries == len(code.path.tape)
    return len(found)


@pytest.mark.parametrize("end", ["rebate", "both"])
def test_most_paths_of_a_loop_are_found_by_a_few(end: str) -> None:
    """The code is given what it is given where the path is compiled by itself."""
    _, codes = exits(passage(["walk"], end, 2.0), 60)
    assert require_as_compiled(codes) > len(codes) // 3 > 8


@pytest.mark.parametrize("f", [after, inside, discounting, switching])
def test_other_loops_are_found_or_compiled(f: Any) -> None:
    """Loops after and inside others, constants for each trip, and other ends at some steps."""
    batch, codes = exits(f, 40, seed=1)
    require_as_compiled(codes)
    xs = np.random.default_rng(2).normal(0.1, 1.0, (60, 40))
    value, slopes = batch(0.6, xs)
    expected = [tg.value_and_grad(f)(0.6, tuple(x)) for x in xs.tolist()]
    assert np.allclose(value, [one.value for one in expected], 1e-12, 1e-12)
    assert np.allclose(slopes.column(slopes.paths[0]), [one.grad for one in expected], 1e-12, 1e-12)


SPECIAL = 23
"""The step after which the constant of ``hidden`` is another one."""


def hidden(a: Any, xs: Any) -> Any:
    """A constant is another one after one step, which shows in rows that went far alone."""
    state = 1.0 + 0.0 * a
    for number, x in enumerate(xs):
        state = state + 0.25 * x * a
        if state > 2.0:
            return state + math.maximum(state - 9.0, 0.0) * (1.0 if number == SPECIAL else 0.5)
    return state


def test_a_constant_is_compared_that_no_recorded_number_shows() -> None:
    """Rows of one path give their own numbers, whatever the one that was recorded gives."""
    walks = np.random.default_rng(0).normal(0.1, 1.0, (120, 60))
    batch, codes = learned(hidden, np.concatenate([walks, 8.0 * np.eye(60)]))
    assert require_as_compiled(codes) > 4
    rows = 90.0 * np.eye(60)
    value, slopes = batch(0.7, np.repeat(rows, 3, axis=0))
    expected = [tg.value_and_grad(hidden)(0.7, tuple(row)) for row in rows.tolist()]
    assert np.allclose(value[::3], [one.value for one in expected], 1e-12)
    assert np.allclose(slopes.column(slopes.paths[0])[::3], [one.grad for one in expected], 1e-12)


def require_same_bits(steps: list[str], end: str, bound: float, seed: int, a: float) -> None:
    """Holds what is found by what is compiled, for random rows that leave it or do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "expected", lambda *_: 1e9)
        _, codes = exits(passage(steps, end, bound), 40, seed)
    require_as_compiled(codes)
    rows = np.random.default_rng(seed).normal(0.1, 1.0, (4, 40)).tolist()
    for code in codes:
        if code.path.code is not None:
            by_itself = machine.scalar(code.path.program).run
            assert [repr(code.run([a, *row])) for row in rows] == [
                repr(by_itself([a, *row])) for row in rows
            ]


RANDOM = given(
    st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3),
    st.sampled_from(sorted(ENDS)),
    st.sampled_from([1.5, 2.5, 4.0]),
    st.integers(0, 99),
    ordinary,
)


@settings(max_examples=2, deadline=None)
@RANDOM
def test_random_loops(steps: list[str], end: str, bound: float, seed: int, a: float) -> None:
    """Whatever is found has the bits and the guards of what is compiled."""
    require_same_bits(steps, end, bound, seed, a)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@RANDOM
def test_many_random_loops(steps: list[str], end: str, bound: float, seed: int, a: float) -> None:
    """The same of many."""
    require_same_bits(steps, end, bound, seed, a)


def test_found_paths_are_told_and_travel() -> None:
    """The report and a pickled function have them as any others."""
    batch, codes = exits(passage(["walk"], "rebate", 2.0), 40)
    found = [code for code in codes if code.path.code is not None]
    (shape,) = batch.report().shapes
    assert len(shape.paths) == len(batch.tapes)
    assert all("test_like_paths.py" in path.guards[0] for path in shape.paths)
    assert sum(path.is_shared for path in shape.paths) >= len(found) > 0
    arrived = pickle.loads(pickle.dumps(batch))  # noqa: S301  # our own
    assert arrived.tapes == batch.tapes
