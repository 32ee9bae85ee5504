"""Compiled functions of arrays: the bits of the eager call, on every path and at every point."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.compile.arrays import frames, plan
from tapegrad.ops.array_table import ARRAY_TABLE
from tapegrad.ops.primitive import Primitive

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4))
LAYER = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}


def loss(p: Any, x: Any, y: Any) -> Any:
    return ((np.tanh(x @ p["w"] + p["b"]) - y) ** 2).mean()


def assert_same(found: Any, wanted: Any) -> None:
    """Two results have the same structure and the same bits; there is one nan."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, tuple | list):
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
        return
    one, other = np.asarray(found), np.asarray(wanted)
    assert one.shape == other.shape
    assert_array_equal(one, other)
    nan = np.isnan(one) & np.isnan(other)
    assert_array_equal(np.where(nan, 0.0, np.signbit(one)), np.where(nan, 0.0, np.signbit(other)))


def compiled(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function compiled for these arguments."""
    return tg.jit(f).compile(*args, **kwargs)


class TestArguments:
    def test_new_arrays_of_floats_are_no_new_recording(self) -> None:
        """They are inputs, among the data, too: whatever their layout and their kind of floats."""
        fast = compiled(tg.value_and_grad(loss), LAYER, X, Y)
        for x in (2.0 * X, np.asfortranarray(X), X[::-1], X.astype(np.float32), X):
            assert_same(fast(LAYER, x, Y), tg.value_and_grad(loss)(LAYER, x, Y))
        assert len(fast.tapes) == 1

    def test_a_long_list_is_an_array_of_its_numbers(self) -> None:
        """Taken at once where all of it is used as it is, beside numbers that are read alone."""

        def f(p: Any, xs: Any, ys: Any) -> Any:
            return np.sum(p[0] * np.array(xs)) + np.sum(np.array([*ys[1:], p[1]]) * ys[0])

        xs, ys = [0.1 * k for k in range(50)], [0.3 * k - 1.0 for k in range(40)]
        fast = compiled(tg.value_and_grad(f), [0.5, 2.0], xs, ys)
        for point, given in (([0.5, 2.0], xs), ([0.7, -1.0], xs[::-1])):
            assert_same(fast(point, given, ys), tg.value_and_grad(f)(point, given, ys))

    def test_another_shape_is_another_recording(self) -> None:
        """So are another container, and ints or truth values that differ."""

        def f(p: Any, x: Any, rows: Any) -> Any:
            return (x[rows] @ p["w"]).sum()

        fast = tg.jit(f, eager_first=False)
        for x, rows in ((X, [0, 1]), (X[:4], [0, 1]), (X, [1, 2])):
            assert_same(fast(LAYER, x, np.array(rows)), f(LAYER, x, rows))
        assert len(fast.tapes) == 3

    def test_numbers_and_arrays_mix(self) -> None:
        """In one container and one call, by position and by name."""

        def f(p: Any, x: Any, *, scale: float) -> Any:
            return {"y": tnp.sum(x * p["w"]) * p["s"], "x": x * scale, "fixed": np.ones(2)}

        fast = compiled(f, {"w": X, "s": 2.0}, Y[:, :3], scale=0.5)
        for scale in (0.5, -1.5):
            args = {"w": X + 1.0, "s": 3.0}, Y[:, :3]
            assert_same(fast(*args, scale=scale), f(*args, scale=scale))
        assert len(fast.tapes) == 1

    def test_traced_arrays_call_the_function(self) -> None:
        """The derivative is that of the function itself."""
        inner = compiled(loss, LAYER, X, Y)
        found = tg.grad(lambda p: inner(p, X, Y) * 2.0)(LAYER)
        assert_same(found, tg.grad(lambda p: loss(p, X, Y) * 2.0)(LAYER))

    def test_static_arguments_and_aux(self) -> None:
        """What is static is passed on as it is; beside a gradient anything may come."""

        def f(p: Any, x: Any, how: str) -> Any:
            y = getattr(np, how)(x @ p["w"])
            return y.sum(), {"mean": y.mean(), "how": how}

        fast = tg.jit(tg.grad(f, has_aux=True), static_argnames="how", eager_first=False)
        for how in ("tanh", "sin", "tanh"):
            found, aux = fast(LAYER, X, how)
            wanted, expected = tg.grad(f, has_aux=True)(LAYER, X, how)
            assert_same(found, wanted)
            assert aux == expected


class TestResults:
    def test_results_are_the_callers_own(self) -> None:
        """They share memory with nothing, however they were computed."""
        whole = np.ones(3)

        def f(x: Any, y: Any) -> Any:
            z = x * 2.0
            return x, z, z, z[1:], z.reshape(3, 1), tnp.asarray(whole) + 0.0 * y, y, x + y

        fast = compiled(f, np.ones(3), np.ones(3))
        x, y = np.arange(3.0), np.arange(3.0)
        before = fast(x, y)
        wanted = [np.array(part) for part in before]
        arrays = [*before, x, y, *fast(x + 1.0, y)]
        for place, one in enumerate(arrays):
            assert one.flags.writeable
            assert not any(np.shares_memory(one, other) for other in arrays[:place])
        assert_same(list(before), wanted)
        for part in before:
            part[...] = 7.0
        assert_same(list(fast(x, y)), wanted)

    def test_first_calls_give_arrays_of_the_callers_own(self) -> None:
        """While the function itself is called, and in the call that is recorded."""
        for eager_first in (True, False):
            x, fast = np.ones(3), tg.jit(lambda x: (x, x * 2.0), eager_first=eager_first)
            found = fast(x)
            found[0][0] = found[1][0] = 5.0
            assert_same(x, np.ones(3))
            assert_same(fast(x)[1], 2.0 * np.ones(3))

    def test_threads_share_no_buffers(self) -> None:
        """Calls at once give what they give one by one."""
        f = tg.value_and_grad(loss)
        fast = compiled(f, LAYER, X, Y)
        points = [{"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)} for _ in range(8)]
        wanted = [f(p, X, Y) for p in points]
        failed: list[BaseException] = []

        def work(place: int) -> None:
            try:
                for _ in range(50):
                    assert_same(fast(points[place], X, Y), wanted[place])
            except BaseException as error:  # noqa: BLE001  # told to the test's own thread
                failed.append(error)

        threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []

    def test_memory_between_calls_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The buffers of code that was made longest ago go first, and are made again."""
        monkeypatch.setattr(frames, "MOST_BYTES", 40_000)
        many = [compiled(lambda x: (np.exp(np.sin(x)) * x).sum(), np.ones(1000)) for _ in range(6)]
        wanted = many[0](np.ones(1000))
        assert [fast(np.ones(1000)) for fast in many] == [wanted] * 6
        gc.collect()
        idle = [one for one in gc.get_objects() if type(one) is frames.Frames and one._idle]
        assert sum(one._size for one in idle) <= 40_000


def branching(p: Any, x: Any) -> Any:
    h = x @ p["w"]
    if h.sum() > 0.0:
        h = np.tanh(h) * 2.0
    for place in range(int(abs(p["b"][0]) * 3.0) + 1):
        h = h * p["b"][place % 4]
    return h.max() if (h > 0.0).any() else h.min()


class TestPaths:
    def test_guards_lead_to_paths(self) -> None:
        """Each is recorded once, and gives the eager bits."""
        fast, f = (
            tg.jit(tg.value_and_grad(branching), eager_first=False),
            tg.value_and_grad(branching),
        )
        points = [({"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}, X) for _ in range(30)]
        for _ in range(2):
            for point in points:
                assert_same(fast(*point), f(*point))
        assert 2 < len(fast.tapes) < 30

    def test_beyond_the_most_paths_the_function_is_called(self) -> None:
        """As on numbers."""
        fast = tg.jit(branching, eager_first=False, max_paths=1)
        for scale in (1.0, 0.1, 5.0, -5.0):
            layer = {key: part * scale for key, part in LAYER.items()}
            assert_same(fast(layer, X), branching(layer, X))
        assert len(fast.tapes) == 1

    def test_first_calls_are_of_the_function_itself(self) -> None:
        """A path is recorded once it comes again, and such calls have taken as long."""
        fast = tg.jit(tg.value_and_grad(loss))
        fast(LAYER, X, Y)
        assert fast.tapes == ()
        for _ in range(50):
            fast(LAYER, X, Y)
        assert len(fast.tapes) == 1
        assert fast.report().shapes[0].paths[0].runs_on == "plan"
        assert_same(fast(LAYER, X, Y), tg.value_and_grad(loss)(LAYER, X, Y))

    def test_tapes_travel(self) -> None:
        """A pickled function gives the same bits where it arrives, and knows its paths alone."""
        fast = compiled(tg.grad(branching), LAYER, X)
        sent = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own
        assert_same(sent(LAYER, X), tg.grad(branching)(LAYER, X))
        assert sent.tapes == fast.tapes
        with pytest.raises(errors.GuardError, match="travelled without its function"):
            sent({"w": -LAYER["w"], "b": LAYER["b"]}, X)

    def test_a_function_may_call_itself_compiled(self) -> None:
        """An operation of one's own may run the same code inside a call of it."""
        depth: list[int] = []

        def around(x: float) -> float:
            if len(depth) == 1:
                depth.append(1)
                inner(np.full(3, 5.0))
            return 2.0 * x

        rule = tg.primitive(partials=lambda y, x: 2.0, at=[1.0])(around)

        def f(x: Any) -> Any:
            y = np.exp(x * 0.1)
            return rule(x[0] * x[1]) * y.sum()

        inner: Any = compiled(f, np.ones(3))
        depth.append(1)
        assert inner(np.ones(3)) == 2.0 * np.exp(np.full(3, 0.1)).sum()
        assert depth == [1, 1]


class TestNumbersOfArrays:
    def test_a_loop_over_data_has_code_of_numbers(self) -> None:
        """Where arrays are read number by number: with the same bits, paths and pickles."""

        def f(p: Any, ts: Any, k: float) -> Any:
            s = 0.0
            for place in range(len(ts)):
                s = 0.9 * s + tg.math.exp(-p * ts[place]) * k
                if s > 3.0:
                    s = s - 1.0
            return s

        g, ts = tg.value_and_grad(f), np.linspace(0.0, 1.0, 20)
        fast = tg.jit(g, eager_first=False)
        for _ in range(2):
            for p, k in ((0.5, 1.0), (0.1, 0.2), (2.0, 3.0)):
                assert fast(p, ts * k, k) == g(p, ts * k, k)
        assert len(fast.tapes) > 1
        assert all(path.runs_on != "plan" for path in fast.report().shapes[0].paths)
        assert "double" in fast.source("c")
        sent = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own
        assert sent(0.5, ts, 1.0) == g(0.5, ts, 1.0)


class TestTransforms:
    def test_derivatives_of_every_kind(self) -> None:
        """Each gives compiled what it gives as it stands, at other points than the recorded one."""
        v = {key: np.ones_like(part) for key, part in LAYER.items()}
        made: list[Callable[..., Any]] = [
            tg.grad(loss), tg.value_and_grad(loss),
            lambda p, x, y: tg.jvp(loss, p, v, x, y), lambda p, x, y: tg.hvp(loss, p, v, x, y),
            lambda p, x, y: tg.grad(lambda q: tg.grad(loss)(q, x, y)["b"].sum())(p),
        ]  # fmt: skip
        for f in made:
            fast = compiled(f, LAYER, X, Y)
            assert_same(fast(v, 0.5 * X, Y), f(v, 0.5 * X, Y))

    def test_arrays_and_numbers_side_by_side(self) -> None:
        """A flat function takes and gives the numbers of all arrays in order, which it names."""
        p: dict[str, Any] = {"b": LAYER["b"], "s": 2.0}
        flat = tg.jit(tg.grad(lambda p, x: (np.sin(x @ p["b"]) * p["s"]).sum())).flat(p, Y)
        assert flat.inputs[:5] == ("b[0]", "b[1]", "b[2]", "b[3]", "s")
        assert flat.outputs == flat.inputs[:5]
        given = np.concatenate([p["b"] + 1.0, [3.0], Y.ravel()])
        wanted = tg.grad(lambda p, x: (np.sin(x @ p["b"]) * p["s"]).sum())(
            {"b": p["b"] + 1.0, "s": 3.0}, Y
        )
        assert_same(flat(given), np.array([*wanted["b"], wanted["s"]]))


class TestReports:
    def test_a_report_has_the_arrays_kept_as_constants(self) -> None:
        """With their sizes, and the steps of the code and the memory that it keeps."""
        table = RNG.normal(size=(4, 100))
        fast = compiled(lambda b: np.exp(b @ table).sum(), LAYER["b"])
        (path,) = fast.report().shapes[0].paths
        assert [shape for shape, _ in path.arrays] == [(4, 100)]
        assert path.steps == 3
        assert path.memory == 1600
        text = str(fast.report())
        assert "3 steps in 1,600 bytes that are kept between calls" in text
        assert "arrays kept as constants: 4x100 in 3,200 bytes (test_array_plans.py:" in text

    def test_source_calls_numpy(self) -> None:
        """It is Python's alone; other languages have no arrays."""
        fast = compiled(lambda x: np.exp(x * 2.0).sum(), np.ones(3))
        source = fast.source("python")
        assert "np_exp(b" in source
        with pytest.raises(errors.BackendError, match="a path with arrays has no source in c"):
            fast.source("c")


class TestBits:
    def test_equal_factors_stay_apart(self) -> None:
        """A product of a matrix and its own transpose takes another way than one of two copies."""

        def f(x: Any) -> Any:
            return (x * 2.0) @ (x * 2.0).T

        x = RNG.normal(size=(37, 41))
        assert_same(compiled(f, x)(x), f(x))

    def test_neutral_operations_keep_the_layout(self) -> None:
        """x * 1 is x, but not for a view, whose sums would be added in another order."""

        def f(x: Any) -> Any:
            return (
                (x.T * 1.0).sum(axis=0),
                np.negative(-x.T).sum(axis=1),
                np.exp(x[::-1] * 1.0).sum(),
            )

        x = RNG.normal(size=(301, 77))
        assert_same(compiled(f, x)(x), tuple(tg.record(f)(x).value))

    def test_a_choice_by_a_number(self) -> None:
        """The condition may be a number, and the arms of any shapes."""

        def f(x: Any, s: float) -> Any:
            return np.where(x.sum() > 0.0, x, s) + tnp.where(s > x.max(), s, x * s)

        fast = compiled(f, np.ones(3), 2.0)
        for x, s in ((np.ones(3), 2.0), (-np.ones(3), 2.0), (np.ones(3), -2.0)):
            assert_same(fast(x, s), tg.record(f)(x, s).value)

    @pytest.mark.parametrize(
        "row",
        [row for row in ARRAY_TABLE.rows if row.is_operation and row.array is None],
        ids=lambda row: row.name,
    )
    def test_every_row_of_numbers_on_arrays(self, row: Primitive) -> None:
        """In order and not, with the numbers that are special."""
        special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, np.inf, -np.inf, np.nan, 1e-310, 700.0, -800.0]
        count = row.arity or 2 * row.in_groups_of
        statics: list[tuple[Any, ...]] = [()]
        if row.has_static:
            statics = [(2.0,), (0.5,), (-1.0,), (1.0,), (3.0,)] if row.static_type is float else []
        xs = [RNG.permutation([*special, *RNG.normal(size=12)]).reshape(4, 6) for _ in range(count)]
        for static in statics:

            def f(*xs: Any, static: Any = static) -> Any:
                views, with_numbers = [x.T for x in xs], [xs[0], *[0.5] * (count - 1)]
                return tuple(row(*part, *static) for part in (xs, views, with_numbers))

            fast = tg.jit(f, eager_first=False)
            with np.errstate(all="ignore"):
                wanted = f(*xs)
            for _ in range(2):
                assert_same(fast(*xs), wanted)


UNARY: Final[list[Callable[[Any], Any]]] = [
    np.sin, np.tanh, np.exp, lambda x: np.sqrt(abs(x) + 1.0), tnp.sigmoid, lambda x: x * x,
    lambda x: -x, lambda x: x**3, lambda x: 1.0 / (x * x + 1.0), lambda x: x.T,
    lambda x: x[::-1], lambda x: x - x.mean(axis=0, keepdims=True), lambda x: x / (x * x).sum(),
    lambda x: tnp.where(x > 0.1, x * 2.0, np.sin(x)), lambda x: x.reshape(-1),
    lambda x: x.cumsum(0), lambda x: x.max(axis=-1, keepdims=True) * x, lambda x: x * 1.0,
    lambda x: tnp.where(x > 0.0, np.sqrt(x), x), lambda x: x[np.array([0, 0, -1])],
    lambda x: tnp.concat([x, x * 0.5]), lambda x: np.maximum(x, 0.0), lambda x: x[..., ::2],
    lambda x: np.logaddexp(0.0, -x), lambda x: x.T.reshape(-1), lambda x: abs(x) ** 0.5,
    lambda x: tg.math.sin(x.sum()) * x, lambda x: x if x.sum() > 0.3 else x * 2.0,
    lambda x: x.T @ x if x.ndim == 2 else x, lambda x: x[0] * x,
]  # fmt: skip
BINARY: Final[list[Callable[[Any, Any], Any]]] = [
    lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y, lambda x, y: x / (y * y + 1.0),
    np.maximum, np.minimum, lambda x, y: tnp.where(x > y, x, y * 0.5), np.logaddexp,
    lambda x, y: x + (-y), lambda x, y: (-x) * y,
]  # fmt: skip


def fit(x: Any, y: Any) -> bool:
    """Whether two arrays go together element by element."""
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def program(seed: int) -> Callable[..., Any]:
    """A random program of arrays and numbers, with branches."""

    def f(p: Any, d: Any, k: float) -> Any:
        r = np.random.default_rng(seed)
        xs = [p["w"], p["b"], d, p["s"] * p["b"] * k]
        for _ in range(int(r.integers(3, 14))):
            x, y = (xs[r.integers(len(xs))] for _ in range(2))
            kind = r.integers(0, 10)
            one, two = UNARY[r.integers(len(UNARY))], BINARY[r.integers(len(BINARY))]
            if kind < 5 and x.size < 2000:
                xs.append(one(x))
            elif kind < 8 and fit(x, y):
                xs.append(two(x, y))
            elif x.ndim == y.ndim == 2 and x.shape[1] == y.shape[0]:
                xs.append(np.tanh(x @ y) * 0.5)
        return xs[-1].mean() + 0.1 * xs[-2].sum() + (xs[-3] * xs[-3]).mean()

    return f


def agree(seed: int) -> None:
    """The gradient of a program has one set of bits, recorded and compiled, at every point."""
    f, r = tg.grad(program(seed)), np.random.default_rng(10**6 + seed)
    fast, points = tg.jit(f, eager_first=False), []
    for scale in (1.0, 0.5, 40.0):
        p = {"w": scale * r.normal(size=(3, 4)), "b": r.normal(size=4), "s": r.normal()}
        points.append((p, r.normal(size=(5, 3)), scale))
    for point in points * 2:
        wanted = f(*point)
        assert_same(fast(*point), wanted)
        assert_same(tg.record(f)(*point).value, wanted)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs(seed: int) -> None:
    """Eager, recorded and compiled gradients agree to the bit."""
    agree(seed)


@pytest.mark.parametrize("seed", range(100, 115))
def test_random_programs_in_blocks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of steps on large arrays go block by block, which changes no bits."""
    monkeypatch.setattr(plan, "LARGE", 1)
    monkeypatch.setattr(plan, "BLOCK", 4)
    agree(seed)


def test_parts_that_overlap_are_added_to_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of one part is not added before all of the part before it."""
    monkeypatch.setattr(plan, "LARGE", 1)
    monkeypatch.setattr(plan, "BLOCK", 4)

    def f(v: Any) -> Any:
        return (100.0 * (v[1:] - v[:-1] * v[:-1]) ** 2 + (1.0 - v[:-1]) ** 2 * v[::-1][1:]).sum()

    fast, x = compiled(tg.grad(f), np.ones(50)), RNG.normal(size=50)
    assert "for i in range(0, 49, 4):" in fast.source("python")
    assert_same(fast(x), tg.grad(f)(x))


def test_what_a_run_alone_reads_takes_the_memory_of_a_block() -> None:
    """Of a chain on large arrays only inputs and results stand in memory as a whole."""
    size = plan.LARGE

    def f(v: Any) -> Any:
        return 1.0 - (v * v + 2.0) * v - (v - 0.5) / (v * v + 1.0)

    x = RNG.normal(size=size)
    fast = compiled(f, x)
    assert_same(fast(x), f(x))
    (path,) = fast.report().shapes[0].paths
    assert 0 < path.memory <= 8 * 8 * plan.BLOCK
    assert path.memory < 8 * size


def slope(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = tg.grad(f)
    return found


ROW, WEIGHTS = RNG.normal(size=5), RNG.normal(size=(5, 3))
UNIFORM: list[Callable[[Any], Any]] = [
    lambda x: tg.hvp(lambda y: np.sum(y**2), x, x),
    lambda x: tg.hvp(lambda y: np.sum(y**2 @ WEIGHTS), x, 1.0 + x),
    lambda x: tg.hvp(lambda y: np.sum((y**2)[1:] * y[:-1]), x, x),
    slope(lambda x: np.sum(slope(lambda y: np.sum(y**2))(x))),
    slope(lambda x: np.sum(slope(lambda y: np.sum(y**2 * ROW))(x))),
    slope(lambda x: np.sum(slope(lambda y: np.sum(y**2 @ WEIGHTS))(x) ** 2)),
    lambda x: slope(lambda x: np.sum(slope(lambda y: np.sum(y**2))(x)))(x).T @ x,
    lambda x: x * np.exp(slope(lambda x: np.sum(slope(lambda y: np.sum(y**2))(x)))(x)),
    lambda x: x * np.sum(slope(lambda x: np.sum(slope(lambda y: np.sum(y**2))(x)))(x)),
]


@pytest.mark.parametrize("f", UNIFORM)
def test_an_array_of_one_number_is_that_number(f: Callable[[Any], Any]) -> None:
    """It becomes an array where one is asked for: in products, sums, parts and results."""
    x = RNG.normal(size=(4, 5))
    fast = compiled(f, x)
    for point in (x, 2.0 * x):
        assert_same(fast(point), f(point))


@pytest.mark.slow
def test_many_random_programs() -> None:
    """The same of many more."""
    for seed in range(1000, 1300):
        agree(seed)


LINEAR: Final[dict[str, Callable[[Any], Any]]] = {
    "solve": lambda x: np.linalg.solve(x @ x.T + np.eye(4), x[:, 0]).sum(),
    "det": lambda x: np.linalg.det(x @ x.T + np.eye(4)),
    "inv": lambda x: (np.linalg.inv(x @ x.T + np.eye(4)) * x[:, :4]).sum(),
    "cholesky": lambda x: np.linalg.cholesky(x @ x.T + np.eye(4)).sum(),
    "qr": lambda x: np.linalg.qr(x.T)[1].sum(),
    "norm": lambda x: np.linalg.norm(x, axis=1).sum() + np.linalg.norm(x),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x).sum(),
    "convolve": lambda x: np.convolve(x[0], x[1, :3]).max(),
    "windows": lambda x: (
        tnp.sliding_window_view(np.sin(x), 2, axis=1) ** 2 * x[:, :4, None]
    ).sum(),
    "sort": lambda x: (np.sort(x, axis=1)[:, :2] * x[:, 1:3]).sum() + x.ravel()[np.argmax(x)],
    "take": lambda x: np.take(x, [2, 0, 2], axis=1).sum() * x[x > 0.0].sum(),
}


@pytest.mark.parametrize("name", LINEAR)
def test_rows_that_take_arrays_as_they_are(name: str) -> None:
    """Values and gradients agree to the bit, at other points than the recorded one."""
    f, x = LINEAR[name], RNG.normal(size=(4, 5))
    for g in (f, tg.value_and_grad(f)):
        fast = tg.jit(g, eager_first=False)
        for point in (x, 2.0 * x, x[:, ::-1].copy(), 2.0 * x):
            assert_same(fast(point), tg.record(g)(point).value)
