"""The eager sweep of arrays: its bits, what it leaves alone, and the memory it takes."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from platform import libc_ver
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

RNG = np.random.default_rng(1)
POINT = {
    "a": RNG.normal(size=(3, 4)),
    "b": RNG.normal(size=4),
    "c": RNG.normal(size=(3, 1)),
    "d": 0.7,
}
DATA = RNG.normal(size=(3, 4))
WEIGHTS = RNG.normal(size=(4, 4))

STEPS: list[Callable[[Any, Any, Any], Any]] = [
    lambda x, y, m: x + y,
    lambda x, y, m: x - y,
    lambda x, y, m: x * y,
    lambda x, y, m: x / (y * y + 1.5),
    lambda x, y, m: -x,
    lambda x, y, m: x * 0.7 + 1.0,
    lambda x, y, m: 2.0 - x,
    lambda x, y, m: np.tanh(x),
    lambda x, y, m: np.sin(x),
    lambda x, y, m: np.exp(x * 0.1),
    lambda x, y, m: np.sqrt(x * x + 0.3),
    lambda x, y, m: x**2,
    lambda x, y, m: np.maximum(x, y),
    lambda x, y, m: np.logaddexp(x, y),
    lambda x, y, m: np.where(x > 0.0, x * y, y),
    lambda x, y, m: np.where(y < 0.3, np.sqrt(np.abs(y)), x),
    lambda x, y, m: x @ m,
    lambda x, y, m: x[::-1],
    lambda x, y, m: x[:, ::-1] * y,
    lambda x, y, m: x.T.reshape(3, 4),
    lambda x, y, m: x + x.sum(axis=0),
    lambda x, y, m: x * y.sum(axis=1, keepdims=True),
    lambda x, y, m: x - x.mean(),
    lambda x, y, m: x + y[1],
    lambda x, y, m: x * y[0, 2],
    lambda x, y, m: x + y.max(axis=0),
    lambda x, y, m: x[np.array([2, 0, 2])],
    lambda x, y, m: np.concatenate([x[:1], y[1:]]),
    lambda x, y, m: np.cumsum(x, axis=1) * 0.5,
    lambda x, y, m: (x.T @ y) [:3],
]  # fmt: skip


def program(seed: int) -> Callable[[Any, Any], Any]:
    """A program of some ten steps, each on two of the arrays so far."""

    def f(p: Any, data: Any) -> Any:
        chosen = random.Random(seed)  # the same program each time
        arrays = [p["a"], data + p["b"], p["a"] * p["c"], p["a"] * p["d"], data]
        for _ in range(10):
            step = chosen.choice(STEPS)
            arrays.append(step(chosen.choice(arrays[-4:]), chosen.choice(arrays), WEIGHTS))
        return arrays[-1].sum() + (arrays[-2] * arrays[-3]).mean()

    return f


@pytest.mark.parametrize("seed", range(60))
def test_all_roads_to_a_gradient_have_the_same_bits(seed: int) -> None:
    """The eager one, the recorded one, that of a tape and of a replay."""
    f = program(seed)
    eager = tg.grad(f)(POINT, DATA)
    recorded = tg.record(tg.grad(f))(POINT, DATA)
    roads = [recorded.value, tg.record(f)(POINT, DATA).gradient()]
    roads.append(recorded.replay(POINT, DATA).value)
    for found in roads:
        for key, part in eager.items():
            assert_array_equal(found[key], part)


def test_blocks_of_a_checkpoint_are_swept_from_their_results() -> None:
    """A cotangent that one reads is not dropped: blocks of numbers, of arrays, one by one."""

    def block(z: Any, t: Any) -> Any:
        return np.tanh(z * t) * z

    def f(p: Any, data: Any, apart: Any) -> Any:
        z = apart(block)(p["d"] * p["d"], 0.5)
        y = apart(block)(p["b"] * z, data[0])
        return np.sum(apart(block)(y, data)) * p["d"] + np.sum(p["b"])

    plain = tg.grad(f)(POINT, DATA, lambda block: block)
    for found in (
        tg.grad(f)(POINT, DATA, tg.checkpoint),
        tg.vjp(f, POINT, DATA, tg.checkpoint)[1](1.0),
    ):
        for key, part in plain.items():
            np.testing.assert_allclose(found[key], part, rtol=1e-14)


class TestMemory:
    @pytest.mark.parametrize("read", ["record", "vjp", "linearize"])
    def test_what_is_kept_does_not_see_later_changes(self, read: str) -> None:
        """The arguments may be written to after the call."""

        def f(x: Any, data: Any) -> Any:
            return (np.sin(x) * data).sum()

        x, data, v = np.ones(3), np.full(3, 2.0), np.ones(3)
        wanted = 2.0 * np.cos(x)
        if read == "record":
            kept: Callable[[], Any] = tg.record(f)(x, data).gradient
        elif read == "vjp":
            pullback = tg.vjp(f, x, data)[1]
            kept = lambda: pullback(1.0)  # noqa: E731  # one of three
        else:
            forward = tg.linearize(f, x, data)[1]
            kept, wanted = lambda: forward(v), wanted.sum()
        x[:], data[:] = 7.0, 9.0
        assert_array_equal(kept(), wanted)

    def test_a_pullback_gives_arrays_of_the_callers_own(self) -> None:
        """What is done to a result or a cotangent changes no later one."""
        x, w = np.ones(2), np.full(2, 3.0)
        value, pullback = tg.vjp(lambda x, w: np.where(x > 0.0, x * w, x) + x, x, w)
        first = pullback(np.ones(2))
        value[:], first[:] = 5.0, 6.0
        assert_array_equal(pullback(np.ones(2)), [4.0, 4.0])
        assert_array_equal(w, [3.0, 3.0])

    def test_a_gradient_is_never_an_argument(self) -> None:
        """Where it has the same numbers, too."""
        p, data = {"a": np.ones(2), "b": np.full(2, 3.0)}, np.full(2, 5.0)
        found = tg.grad(lambda p, d: np.where(p["a"] > 0.0, p["a"] * p["b"] * d, d).sum())(p, data)
        for part in found.values():
            part[:] = 0.0
        assert_array_equal(p["b"], [3.0, 3.0])
        assert_array_equal(data, [5.0, 5.0])

    def test_an_argument_that_is_changed_after_its_use_is_reported(self) -> None:
        """A small one is copied; a large one says so, and can be written to afterwards."""

        def f(w: Any, data: Any) -> Any:
            y = (data * w).sum()
            data[0] = 7.0
            return y

        small, large = np.ones(4), np.ones(20_000)
        assert_array_equal(tg.grad(f)(np.ones(4), small), [1.0, 1.0, 1.0, 1.0])
        with pytest.raises(errors.InputError, match=r"writes at .*test_array_sweeps"):
            tg.grad(f)(np.ones(20_000), large)
        large[0] = 2.0
        assert large.flags.writeable

    def test_a_large_argument_is_locked_as_long_as_a_recording_has_it(self) -> None:
        """A gradient inside another gives it back to that, which gives it back to the caller."""

        def inner(w: Any, data: Any) -> Any:
            return (data * w * w).sum()

        def outer(w: Any, data: Any) -> Any:
            slope = tg.grad(inner)(w, data)
            with pytest.raises(ValueError, match="read-only"):
                data[0] = 7.0
            return (slope * slope).sum()

        w, data = np.ones(20_000), np.ones(20_000)
        assert_array_equal(tg.grad(outer)(w, data), np.full(20_000, 8.0))
        data[0] = 3.0
        assert_array_equal(tg.hvp(inner, w, w, data)[:2], [6.0, 2.0])
        assert data.flags.writeable

    def test_a_cotangent_is_dropped_once_it_was_used(self) -> None:
        """At the peak there are the values and a few cotangents."""
        size, steps = 50_000, 30

        def chain(x: Any) -> Any:
            y = x
            for _ in range(steps):
                y = np.sin(y)
            return y.sum()

        gradient, x = tg.grad(chain), np.ones(size)
        gradient(x)
        tracemalloc.start()
        gradient(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < (steps + 5) * x.nbytes

    def test_what_a_gradient_has_visited_is_dropped(self) -> None:
        """Where arrays are large: values that were read by what comes before alone are gone.

        Results beside the value, constants and what is swept again stay.
        """
        values: list[weakref.ref[Any]] = []
        alive: set[int] = set()

        def slope(y: Any, x: Any) -> Any:
            alive.add(sum(value() is not None for value in values))
            return 2.0 * x

        square = tg.primitive(partials=slope, at=[0.5])(lambda x: x * x)

        def f(x: Any) -> Any:
            z, kept = square(x), x * 0.5
            values.clear()
            for _ in range(4):
                z = np.tanh(z * DATA[0, 0])
                values.append(weakref.ref(z._value))
            return np.sum(z * z * kept), kept

        x = RNG.random(size=1 << 13)
        gradient, kept = tg.grad(f, has_aux=True)(x)
        assert alive == {0}
        assert_array_equal(kept, x * 0.5)
        _, pullback = tg.vjp(lambda x: f(x)[0], x)
        assert_array_equal(pullback(1.0), pullback(1.0))
        assert_array_equal(pullback(1.0), gradient)
        parts = [tg.grad(lambda x: f(x)[0])(part) for part in np.split(x, 2)]
        assert_array_equal(np.concatenate(parts), gradient)

    @pytest.mark.parametrize("name", ["grad", "vjp", "jvp", "hvp"])
    def test_nothing_waits_for_the_garbage_collector(self, name: str) -> None:
        """Arrays are freed as a sweep ends, and none is kept for the next one."""

        def f(x: Any) -> Any:
            y = np.where(x > 0.5, x * x, np.where(x > 0.2, np.sqrt(x), 3.0 * x)) @ np.ones((4, 4))
            return np.sum(np.where(y > 1.0, np.hypot(y, x), y) ** 3) + np.sum(x[1:]) ** 2

        calls: dict[str, Callable[[Any], object]] = {
            "grad": tg.grad(f), "vjp": lambda x: tg.vjp(f, x)[1](1.0),
            "jvp": lambda x: tg.jvp(f, x, x), "hvp": lambda x: tg.hvp(f, x, x),
        }  # fmt: skip
        run, x = calls[name], RNG.random(size=(200, 4))
        run(x)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(20):
                run(x)
            kept, _ = tracemalloc.get_traced_memory()
            assert gc.collect() == 0
        finally:
            tracemalloc.stop()
            gc.enable()
        assert kept < 20 * x.nbytes

    @pytest.mark.skipif(libc_ver()[0] != "glibc", reason="other libraries keep other memory")
    def test_a_sweep_has_the_memory_of_the_one_before(self) -> None:
        """In a process that has freed no large array the system hands out no new pages."""
        script = (
            "import resource, numpy as np, tapegrad as tg\n"
            "def f(x): return (np.tanh(x * 2.0) * np.sin(x) / (x + 3.0)).sum()\n"
            "x = np.ones(200_000)\n"
            "def run():\n"
            "    for _ in range(3): tg.grad(f)(x), tg.hvp(f, x, x)\n"
            "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
            "print(-(run() - run()))\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert int(run.stdout) < 100

    def test_parts_are_added_in_place(self) -> None:
        """A loop over the numbers of an array takes no array for each of them."""

        def f(x: Any) -> Any:
            total = 0.0
            for place in range(len(x)):
                total = total + x[place] * x[place]
            return total

        x = RNG.normal(size=200)
        assert_array_equal(tg.grad(f)(x), x + x)


def test_shapes_that_disagree_are_told_from_other_errors() -> None:
    """Both shapes and the line, for an operator, one from the right and a function."""
    wide, narrow = np.ones((2, 3)), np.ones(2)
    for f in (lambda x: x + narrow, lambda x: narrow * x, lambda x: np.maximum(x, narrow)):
        with pytest.raises(errors.InputError, match=r"\(2, 3\)"):
            tg.grad(lambda x, f=f: tnp.sum(f(x)))(wide)
