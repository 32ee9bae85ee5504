"""Runs of operations on large arrays as loops of machine code: the bits of numpy's functions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad.compile.arrays import loops, plan
from tapegrad.compile.backends.llvm.array_loop import FUNCTIONS, LoopStep, array_loop
from tapegrad.errors import BackendError
from tests.test_array_plans import agree, assert_same, compiled
from tests.test_array_truth import SPECIAL

native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")

RNG = np.random.default_rng(11)
BINARY = ("add", "subtract", "multiply", "divide")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every run becomes a loop at its first call; the list has whether each call ran as one."""
    calls: list[int] = []
    enter = native.LoopEntry.__call__

    def counted(self: Any, given: Any) -> bool:
        calls.append(enter(self, given))
        return bool(calls[-1])

    monkeypatch.setattr(native.LoopEntry, "__call__", counted)
    monkeypatch.setattr(plan, "LARGE", 1)
    monkeypatch.setattr(plan, "BLOCK", 4)
    monkeypatch.setattr(loops, "PAYS", -1)
    return calls


def rosenbrock(v: Any) -> Any:
    return (100.0 * (v[1:] - v[:-1] * v[:-1]) ** 2 + (1.0 - v[:-1]) ** 2 / 3.0).sum()


@pytest.mark.parametrize("size", [1, 7, 8, 9, 144])
def test_each_function_has_the_bits_of_numpys(size: int) -> None:
    """On special numbers, of one array and of two; numbers of both signs of nan are nan."""
    pairs = np.array([(x, y) for x in SPECIAL for y in SPECIAL])
    picked = RNG.permutation(len(pairs))[:size]
    x, y, c = pairs[picked, 0].copy(), pairs[picked, 1].copy(), np.array(-3.0)
    steps = [LoopStep(name, ("x", "y")[: 1 + (name in BINARY)], name) for name in FUNCTIONS]
    steps += [LoopStep(name, ("c", "x"), f"c_{name}") for name in BINARY]
    written = [step.written for step in steps]
    run = native.loop(
        array_loop(steps, ["x", "y", *written], ["c"], written), size, 2, len(written), 1
    )
    out = {name: np.empty(size) for name in written}
    assert run([x, y, *out.values(), c])
    with np.errstate(all="ignore"):
        for step in steps:
            given = [{"x": x, "y": y, "c": c}[name] for name in step.given]
            wanted = getattr(np, step.function)(*given)
            assert_array_equal(out[step.written], wanted)
            signs = [np.signbit(each[wanted == wanted]) for each in (out[step.written], wanted)]
            assert_array_equal(*signs)


BAD: dict[str, Callable[[list[Any]], object]] = {
    "an array too few": lambda a: a.pop(),
    "an array that is short": lambda a: a.__setitem__(0, np.ones(9)),
    "an array of another type": lambda a: a.__setitem__(0, np.ones(10, np.float32)),
    "bytes in another order": lambda a: a.__setitem__(0, np.ones(10, ">f8")),
    "an array with gaps": lambda a: a.__setitem__(0, np.ones(20)[::2]),
    "an array that nobody may write to": lambda a: a[1].setflags(write=False),
    "two numbers": lambda a: a.__setitem__(2, np.ones(2)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_loop_takes_no_arrays_that_it_was_not_made_for(name: str) -> None:
    """It says so, and reads and writes nothing."""
    text = array_loop([LoopStep("multiply", ("x", "c"), "y")], ["x", "y"], ["c"], ["y"])
    run = native.loop(text, 10, 1, 1, 1)
    given = [np.ones(10), np.zeros(10), np.array(2.0)]
    written = given[1]
    BAD[name](given)
    assert not run(given)
    assert_array_equal(written, np.zeros(10))
    written.setflags(write=True)
    assert run([np.ones(10), written, np.array(2.0)])
    assert_array_equal(written, np.full(10, 2.0))


@pytest.mark.parametrize("seed", [100, 107])
def test_random_programs_as_loops(seed: int, at_once: list[int]) -> None:
    """Eager, recorded and compiled gradients agree to the bit."""
    agree(seed)
    assert any(at_once)


def test_products_with_a_hessian_as_loops(at_once: list[int]) -> None:
    """Parts that overlap are read where they stand, and those that are added come in order."""
    fast = compiled(lambda x, v: tg.hvp(rosenbrock, x, v), np.ones(50), np.ones(50))
    for _ in range(3):
        x, v = RNG.normal(size=(2, 50))
        assert_same(fast(x, v), tg.hvp(rosenbrock, x, v))
    assert all(at_once)
    assert at_once


def test_views_with_gaps_go_block_by_block(at_once: list[int]) -> None:
    """A loop takes arrays without gaps alone; the bits are those of numpy either way."""

    def f(x: Any) -> Any:
        y = x.reshape(-1, 2)[:, 1]
        return y * y * 3.0 - y

    x = RNG.normal(size=64)
    assert_same(compiled(f, x)(x), f(x))
    assert not any(at_once)


def test_a_run_becomes_a_loop_once_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before its steps have computed as many numbers; where LLVM has no memory, never."""
    made: list[str] = []

    def make(text: str, *_: int) -> Any:
        made.append(text)
        raise BackendError("no memory")

    monkeypatch.setattr(loops, "PAYS", 100)
    steps = [LoopStep("add", ("x", "x"), "y"), LoopStep("add", ("y", "x"), "y")]
    blocks: list[object] = []
    run = loops.Loop(make, steps, ["x"], ["y"], [], 10).around(lambda *given: blocks.append(given))
    for _ in range(8):
        run(np.ones(10), np.ones(10))
    assert (len(blocks), len(made)) == (8, 1)


def test_threads_share_a_loop(at_once: list[int]) -> None:
    """Each call has memory of its own."""
    fast = compiled(tg.grad(rosenbrock), np.ones(40))
    points = [RNG.normal(size=40) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for point, found in zip(points, pool.map(fast, points), strict=True):
            assert_array_equal(found, tg.grad(rosenbrock)(point))
    assert all(at_once)


def test_other_backends_make_no_loops(at_once: list[int]) -> None:
    """With backend="python" there is no machine code."""
    fast = tg.jit(tg.grad(rosenbrock), backend="python", eager_first=False)
    assert_same(fast(np.ones(40)), tg.grad(rosenbrock)(np.ones(40)))
    assert not at_once
