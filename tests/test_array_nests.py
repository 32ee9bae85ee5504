"""Steps on large arrays that end in sums, done row by row: the bits of the eager call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import numpy as tnp
from tapegrad.compile.arrays import nest_runs, nests
from tapegrad.compile.backends.interface import NestShape
from tapegrad.compile.backends.llvm import array_nest
from tapegrad.compile.backends.llvm.array_loop import FUNCTIONS
from tapegrad.compile.backends.llvm.array_nest import NestLoop, NestMemory, NestStep, Read
from tapegrad.compile.paths import path_of
from tapegrad.errors import BackendError
from tests.test_array_plans import agree, assert_same, compiled
from tests.test_array_truth import SPECIAL

native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")

RNG = np.random.default_rng(12)


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> list[nest_runs.NestRun]:
    """Nests of arrays of any size, in blocks of a few rows; the list has all that were made."""
    made: list[nest_runs.NestRun] = []
    make = nest_runs.NestRun.__init__

    def counted(self: Any, *given: Any) -> None:
        make(self, *given)
        made.append(self)

    monkeypatch.setattr(nest_runs.NestRun, "__init__", counted)
    monkeypatch.setattr(nests, "MOST_NUMBERS", 1)
    monkeypatch.setattr(nests, "_LEAST_ROWS", 2)
    monkeypatch.setattr(nest_runs, "_BLOCK", 40)
    return made


@pytest.fixture
def at_once(in_blocks: list[nest_runs.NestRun], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """As above; each becomes machine code at once, for three rows at a time.

    The list has whether each call ran as that, and found the bits of the blocks.
    """
    calls: list[bool] = []
    enter, same = native.NestEntry.__call__, nest_runs._is_same

    def counted(self: Any, given: Any) -> bool:
        calls.append(enter(self, given))
        return calls[-1]

    def compared(x: Any, y: Any) -> bool:
        calls.append(same(x, y))
        return calls[-1]

    monkeypatch.setattr(native.NestEntry, "__call__", counted)
    monkeypatch.setattr(nest_runs, "_is_same", compared)
    monkeypatch.setattr(nest_runs, "PAYS", -1)
    monkeypatch.setattr(nest_runs, "_AT_ONCE", 1)
    return calls


def clusters(c: Any, x: Any) -> Any:
    d = x[:, None, :] - c[None, :, :]
    return tnp.sum(tnp.min(tnp.sum(d * d, axis=2), axis=1))


def clusters_by_products(c: Any, x: Any) -> Any:
    squares = tnp.sum(x * x, axis=1)[:, None] + tnp.sum(c * c, axis=1)
    return tnp.sum(tnp.min(squares - 2.0 * (x @ c.T), axis=1))


def pairs(c: Any, x: Any) -> Any:
    d = x[:, None] - c
    return tnp.sum(tnp.sqrt(tnp.sum(d * d, axis=-1) + 1.0) * 0.5)


def softmax(c: Any, x: Any) -> Any:
    z = x @ c.T
    e = tnp.exp(z - tnp.max(z, axis=1, keepdims=True))
    return tnp.sum(tnp.log(tnp.sum(e, axis=1)) * tnp.sum(z * z, axis=1))


def chosen(c: Any, x: Any) -> Any:
    d = abs(x[:, None] - c) / 1.5
    near = tnp.where(d < 1.0, 0.5 * d * d, tnp.maximum(d, -d) - 0.5)
    return tnp.sum(tnp.max(tnp.minimum(near, 4.0), axis=(1, 2)) * 3.0)


def centred(c: Any, x: Any) -> Any:
    z = x[:, None] * c
    z = z - tnp.sum(z, axis=1, keepdims=True) / len(c)
    return tnp.sum(tnp.sum(z * z, axis=0) ** 2)


def turned(c: Any, x: Any) -> Any:
    """Of numbers for each row a row is made, whose length is their count; a row is reversed."""
    z = x @ c.T
    y = (z * z + tnp.sum(x * c, axis=1)) * z
    return tnp.sum(tnp.sum(tnp.sum((x[:, None] - c) * x, axis=2) + y * y[:, ::-1], axis=1))


def read_elsewhere(c: Any, x: Any) -> Any:
    """What is summed is read by something else, too, and in another shape."""
    z = x[:, None] * c
    v = (z * 3.0).reshape(len(x), -1)
    size = tnp.sum(v * v, axis=1) * tnp.sum(tnp.exp(-v * v), axis=1)
    return tnp.sum(tnp.exp(z)) + tnp.sum(tnp.sum(z, axis=0) ** 2) + tnp.sum(size)


PROGRAMS: Final = [
    clusters, clusters_by_products, pairs, softmax, chosen, centred, turned, read_elsewhere,
]  # fmt: skip
X, C = RNG.normal(size=(2, 9, 8))


def readings(f: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The slopes of a function of two arrays in both, and a product with its second derivative."""
    return [
        tg.value_and_grad(lambda p: f(*p)),
        lambda p: tg.grad(f)(*p),
        lambda p: tg.hvp(f, p[0], np.ones_like(p[0]), p[1]),
    ]


def agrees(f: Callable[..., Any], *points: Any) -> None:
    """Compiled for the first point, a function has the bits of the eager call at all."""
    with np.errstate(all="ignore"):
        fast = compiled(f, points[0])
        for point in points * 2:
            assert_same(fast(point), f(point))


@pytest.mark.parametrize("f", PROGRAMS)
def test_blocks_of_rows_have_the_bits_of_numpys(f: Any, in_blocks: list[Any]) -> None:
    """Values, slopes in both arrays, and products with a second derivative."""
    for reading in readings(f):
        agrees(reading, (C, X), (2.0 * C, X - 1.0))
    assert in_blocks


@pytest.mark.parametrize("f", PROGRAMS)
def test_rows_as_machine_code_have_the_bits_of_numpys(f: Any, at_once: list[bool]) -> None:
    """The same."""
    for reading in readings(f):
        agrees(reading, (C, X), (2.0 * C, X - 1.0))
    assert at_once
    assert all(at_once)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 23, 40, 128, 129, 300])
@pytest.mark.parametrize("parts", [1, 11])
def test_sums_have_numpys_order(length: int, parts: int, at_once: list[bool]) -> None:
    """Of numbers that are computed in the nest, and of such that are there before it."""

    def f(p: Any) -> Any:
        x, y = p
        both = x * y
        sums = tnp.sum(both, axis=2), tnp.sum(x, axis=2) * tnp.sum(x * x, axis=2)
        return *sums, tnp.sum(both, axis=1), tnp.sum(both, axis=0), tnp.sum(both * x, axis=(1, 2))

    shape = 3, parts, length
    agrees(f, *(tuple(RNG.normal(size=(2, *shape)) * 10.0**scale) for scale in (0, 9)))
    assert all(at_once)


def test_functions_have_the_bits_of_numpys_on_special_numbers(at_once: list[bool]) -> None:
    """Signs of zeros, infinities and nan, through sums and extremes, in vectors and one by one."""
    drawn = RNG.choice(SPECIAL, size=(40, 3, 11))

    def f(p: Any) -> Any:
        x, y = p[:20], p[20:]
        each = [x + y, x - y, x * y, x / y, -x, abs(x), tnp.sqrt(abs(x)), tnp.maximum(x, y)]
        each += [tnp.sign(x)]
        each += [tnp.minimum(x, y), tnp.where(x < y, x, y), tnp.where(x <= y, y, x * y)]
        each += [tnp.where(x == y, y, 1.0), tnp.where(x != 1.0, x, 2.0), tnp.where(x >= y, y, x)]
        each += [z for one in each for z in (tnp.sum(one, axis=2), tnp.sum(one, axis=0))]
        return (*each, *(z for one in each[:12] for z in (tnp.min(one, axis=2), one.max(axis=2))))

    agrees(f, drawn, RNG.choice(SPECIAL, size=drawn.shape), np.copysign(0.0, drawn))
    assert all(at_once)


def test_an_extreme_among_zeros_is_the_one_that_numpy_takes(at_once: list[bool]) -> None:
    """Its sign depends on the order in which numpy compares them."""
    zeros = [RNG.choice([0.0, -0.0, -0.0], size=(6, 37)) for _ in range(8)]
    agrees(lambda x: (tnp.min(x * 1.5, axis=1), tnp.max(x * 1.5, axis=1)), *zeros)
    assert all(at_once)


@pytest.mark.parametrize("seed", [100, 107, 112])
def test_random_programs_as_nests(seed: int, at_once: list[bool]) -> None:
    """Eager, recorded and compiled gradients agree to the bit."""
    agree(seed)
    assert all(at_once)


BAD: Final[dict[str, Callable[[list[Any]], object]]] = {
    "an array too few": lambda a: a.pop(),
    "an array that is short": lambda a: a.__setitem__(0, np.ones((12, 2))),
    "an array of another type": lambda a: a.__setitem__(0, np.ones((13, 2), np.float32)),
    "an array with gaps": lambda a: a.__setitem__(0, np.ones((13, 4))[:, ::2]),
    "an array that nobody may write to": lambda a: a[1].setflags(write=False),
}


@pytest.mark.parametrize("name", [None, *BAD])
def test_machine_code_takes_no_arrays_that_it_was_not_made_for(name: str | None) -> None:
    """It says so, and reads and writes nothing; else it writes the rows, and nothing beside."""
    step = NestStep("each", "negative", (Read("x", (1,)),), Read("y", (1,)), is_stored=True)
    memory = NestMemory({"x": 2, "y": 2}, [], [], {"y"}, {}, 0)
    text = array_nest.array_nest([NestLoop((2,), (step,))], memory, 0.0)
    run = native.nest(text, NestShape(13, 12, 8, (26, 26, 0), (1,), (0,) * 6))
    whole = np.zeros((20, 2))
    given = [np.ones((13, 2)), whole[:13], np.empty(0)]
    if name is not None:
        BAD[name](given)
    assert run(given) == (name is None)
    assert_array_equal(whole[:13], np.full((13, 2), -1.0 if name is None else 0.0))
    assert_array_equal(whole[13:], np.zeros((7, 2)))


def test_what_a_nest_alone_reads_takes_little_memory() -> None:
    """Some rows of it, however many there are."""
    x, c = RNG.normal(size=(5_000, 8)), RNG.normal(size=(10, 8))
    fast = compiled(tg.grad(clusters), c, x)
    assert_same(fast(c, x), tg.grad(clusters)(c, x))
    (path,) = fast.report().shapes[0].paths
    assert 0 < path.memory < 8 * 5_000 * 10 * 8 // 2


def test_a_nest_is_compiled_once_that_pays(
    in_blocks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before its steps have computed as many numbers; where LLVM has no memory, never."""
    made: list[str] = []

    def make(text: str, *_: object) -> Any:
        made.append(text)
        raise BackendError("no memory")

    monkeypatch.setattr(native, "nest", make)
    monkeypatch.setattr(nest_runs, "PAYS", 1 << 14)
    f = tg.value_and_grad(clusters)
    fast = compiled(f, C, X)
    counts = []
    for _ in range(8):
        assert_same(fast(C, X), f(C, X))
        counts.append(len(made))
    assert (counts[0], counts[-1]) == (0, 1)
    assert in_blocks


def test_machine_code_with_other_bits_is_never_used(
    at_once: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs beside the blocks at first, and is given up."""
    wrong = {**FUNCTIONS, "subtract": "fadd $type $0, $1"}
    monkeypatch.setattr(array_nest, "FUNCTIONS", wrong)
    f = tg.value_and_grad(clusters)
    fast = compiled(f, C, X)
    assert_same(fast(C, X), f(C, X))
    tried = list(at_once)
    for _ in range(3):
        assert_same(fast(C, X), f(C, X))
    assert at_once == tried == [True, False] * (len(tried) // 2)


def test_without_the_address_of_numpys_loops_nothing_is_compiled(
    at_once: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays with blocks."""
    monkeypatch.setattr(nest_runs, "inner_loop", lambda *_: (0, 0))
    agrees(readings(clusters)[0], (C, X))
    assert not at_once


def test_a_guard_stays_before_what_comes_after_it(at_once: list[bool]) -> None:
    """Entries of a nest are moved together, but not past a guard or a function of the user's."""
    called: list[float] = []

    @tg.primitive(partials=lambda y, x: 1.0, at=[0.5])
    def noted(x: float) -> float:
        called.append(x)
        return x

    def f(x: Any) -> Any:
        z = tnp.sum(x * x * x, axis=1)
        if z[0] > 0.0:
            z = z * noted(2.0 + x[0, 0])
        return tnp.sum(z * 3.0)

    fast = tg.jit(tg.value_and_grad(f), eager_first=False)
    for sign in (1.0, -1.0, 2.0, -2.0):
        before = len(called)
        found = fast(sign * abs(X))
        assert (len(called) > before) == (sign > 0.0)
        assert_same(found, tg.value_and_grad(f)(sign * abs(X)))


def test_nests_are_found_in_little_time(
    in_blocks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few questions for each entry of a long program, whether or not there are nests."""
    asked: list[int] = []
    kind = nests._Rows.kind

    def counted(self: Any, slot: int, inside: Any) -> Any:
        asked.append(slot)
        return kind(self, slot, inside)

    def steps(x: Any, count: int, of: int) -> Any:
        total = 0.0
        for step in range(count):
            x = tnp.tanh(x * 0.9 + X) * 0.5 - x * x
            total = total + tnp.sum(tnp.sum(x * x, axis=1)) if step % of == 0 else total
        return total + tnp.sum(x)

    monkeypatch.setattr(nests._Rows, "kind", counted)
    for of in (2, 1000):
        asked.clear()
        program = path_of(tg.record(partial(steps, count=200, of=of))(X)).program
        nests.arranged(program)
        assert len(asked) < 5 * len(program)


def test_threads_share_a_nest(at_once: list[bool]) -> None:
    """Each call has memory of its own."""
    fast = compiled(tg.grad(clusters), C, X)
    points = [RNG.normal(size=C.shape) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for point, found in zip(points, pool.map(lambda c: fast(c, X), points), strict=True):
            assert_array_equal(found, tg.grad(clusters)(point, X))
    assert all(at_once)


def test_other_backends_go_by_blocks_alone(in_blocks: list[Any], at_once: list[bool]) -> None:
    """With backend="python" there is no machine code."""
    fast = tg.jit(tg.grad(clusters), backend="python", eager_first=False)
    assert_same(fast(C, X), tg.grad(clusters)(C, X))
    assert in_blocks
    assert not at_once
