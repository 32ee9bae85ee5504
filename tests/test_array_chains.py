"""Runs of steps on small arrays in one call: the bits of numpy's functions, on any arrays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from threading import Thread
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import numpy as tnp
from tapegrad.compile.arrays import chains, plan
from tapegrad.compile.arrays.chains import Call, Chain, Standing, at_index, records
from tests.test_array_plans import RNG, agree, assert_same, compiled

native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")

SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, 1e300, 1e-310, np.inf, -np.inf, np.nan])


@pytest.fixture
def records_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Chains whatever the size of a program; the records of each chain."""
    made: list[int] = []

    class Counted:
        def __init__(self, run: Any, code: Any) -> None:
            made.append(len(run))
            chain = Chain(run, code)
            self.size, self.memories, self.bind = chain.size, chain.memories, chain.bind

    monkeypatch.setattr(plan, "_MANY", 0)
    monkeypatch.setattr(plan, "Chain", Counted)
    return made


def standing(array: Any) -> Standing:
    return Standing.of_constant(f"at {array.ctypes.data}", array)


def ran(function: Any, *arrays: Any, axes: tuple[int, ...] | None = None) -> bool:
    """Runs a call on arrays, the last of which is written; False if it can have no records."""
    made = records([Call(function, tuple(map(standing, arrays)), axes)], native.chain())
    if made is not None:
        Chain(made, native.chain()).bind()()
    return made is not None


def views(array: Any) -> list[Any]:
    """Arrays of one shape that stand in other ways."""
    padded = np.zeros((*array.shape[:-1], 2 * array.shape[-1]))
    padded[..., ::2] = array
    turned = np.flip(array).copy()
    return [array, np.asfortranarray(array), padded[..., ::2], np.flip(turned)]


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "maximum", "less", "exp", "tanh"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 9, 3)])
def test_each_function_has_the_bits_of_numpys(name: str, shape: tuple[int, ...]) -> None:
    """On arrays in any order, with gaps, with a short last axis, broadcast, on special numbers."""
    function = getattr(np, name)
    pair = RNG.choice(SPECIAL, (2, *shape))
    with np.errstate(all="ignore"):
        for x, y in product(views(pair[0]), [pair[1], pair[1, :1, :, :1], np.array(2.0)]):
            given = (x, y)[: function.nin]
            wanted = function(*given)
            out = np.empty(wanted.shape, wanted.dtype)
            assert ran(function, *given, out)
            assert_same(out, wanted)


@pytest.mark.parametrize("name", ["add", "maximum", "minimum"])
@pytest.mark.parametrize(
    "shape",
    [
        (1,),
        (7,),
        (129,),
        (3, 8),
        (9, 1, 20),
        (2, 17, 3),
        (20, 2),
        (90, 4),
        (40, 7),
        (40, 8),
        (70, 3, 2),
        (70, 9, 5),
    ],
)
def test_functions_along_axes_have_the_bits_of_numpys(name: str, shape: tuple[int, ...]) -> None:
    """Sums are added up in numpy's order; zeros of either sign are where numpy has them."""
    function = getattr(np, name)
    places = range(len(shape))
    for axes in ([axis] for axis in places), [[*places]]:
        kinds = RNG.normal(size=shape), np.full(shape, -0.0), RNG.choice(SPECIAL, shape)
        for along, given in product(axes, kinds):
            with np.errstate(all="ignore"):
                wanted = np.asarray(function.reduce(given, tuple(along)))
            out = np.empty(wanted.shape)
            assert ran(function, given, out, axes=tuple(along))
            assert_same(out, wanted)


PRODUCTS = [
    ((4, 5), (5, 3)), ((5,), (5, 3)), ((4, 5), (5,)), ((5,), (5,)), ((7, 4, 5), (5, 3)),
    ((7, 4, 5), (7, 5, 3)), ((4, 5), (7, 5, 3)), ((40, 30), (30, 50)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", PRODUCTS)
def test_products_have_the_bits_of_numpys(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Of vectors, matrices and stacks, transposed or not, and of a matrix by itself."""
    x, y = (RNG.normal(size=shape) for shape in shapes)
    for one, other in product((x, turned(x)), (y, turned(y))):
        wanted = np.asarray(np.matmul(one, other))
        out = np.empty(wanted.shape)
        assert ran("product", one, other, out)
        assert out.tobytes() == wanted.tobytes()
    square = np.empty((x.shape[-1],) * 2)
    if x.ndim == 2:
        assert ran("product", x.T, x, square)
        assert square.tobytes() == np.matmul(x.T, x).tobytes()


def test_many_short_rows_are_computed_column_by_column() -> None:
    """Where all is rounded correctly; other functions go through them as numpy does."""
    x, out = (np.ndarray((100, 3), buffer=bytearray(3200), strides=(32, 8)) for _ in "ab")
    x[:] = RNG.normal(size=(100, 3))
    for function, calls in ((np.negative, 3), (np.sqrt, 3), (np.exp, 100)):
        made = records([Call(function, (standing(x), standing(out)))], native.chain())
        assert [kind.shape.calls for kind, *_ in made or ()] == [calls]
        assert ran(function, x, out)
        with np.errstate(all="ignore"):
            assert_same(out, function(x))


PLACES: list[Any] = [
    (np.array([0, 2, 2, -1]),), (np.array([[1, 1], [0, 3]]), slice(None), np.array([0, 2])),
    (slice(1, 4), np.array([3, 3, 0])), (np.arange(6) % 2 == 0,), (..., np.array([1, 1])),
    (np.array([1]), None, 2), (np.array([4, 1]), slice(None, None, -2)),
]  # fmt: skip


@pytest.mark.parametrize("index", PLACES, ids=str)
def test_parts_at_places_have_the_bits_of_numpys(index: Any) -> None:
    """They are taken, and added where places come more than once, in numpy's order."""
    for whole in views(RNG.normal(size=(6, 5, 4))):
        part = np.ascontiguousarray(whole[index])
        out = np.empty(part.shape)
        wanted = whole.copy(order="K")
        np.add.at(wanted, index, 0.1 * part)
        for call in (
            at_index("take", standing(whole), standing(out), index),
            at_index("add_rows", standing(whole), standing(0.1 * part), index),
        ):
            assert call is not None
            Chain(records([call], native.chain()) or (), native.chain()).bind()()
        assert out.tobytes() == part.tobytes()
        assert_same(whole, wanted)


def test_which_parts_at_places_have_no_records() -> None:
    """Parts that do not stand one after the other or are repeated, large ones, and the same."""
    x, index = RNG.normal(size=(8, 3)), (np.array([1, 0]),)
    many, other = np.ones(chains.MOST_NUMBERS + 1), np.ones((2, 3))
    pairs = [
        (x, np.asfortranarray(other)), (x, np.ones(3)), (x, np.ones((1, 3))), (many, np.ones(2)),
        (np.ones((8, 3), int), other), (x, np.ones((2, 3), int)),
    ]  # fmt: skip
    assert at_index("add_rows", standing(x), standing(other), index) is not None
    for whole, part in pairs:
        assert at_index("add_rows", standing(whole), standing(part), index) is None
    table = Standing.new("m", 0, (8, 3), "d")
    assert at_index("take", table, table.part(24, (2, 3), (24, 8)), index) is None


def test_places_of_arrays_are_part_of_chains(records_of: list[int]) -> None:
    """And so are the slopes there, of a part that is returned and of none, too."""
    places, none = np.array([2, 0, 2]), np.array([], int)

    def f(x: Any) -> Any:
        y = tnp.exp(x)
        z = y[places] * y[:, places[:2]][:3, :1]
        return tnp.sum(z * z) + tnp.sum(y[none]), y[places], z[:, places % 2]

    def total(x: Any) -> Any:
        return f(x)[0]

    x = RNG.normal(size=(4, 3))
    for g in (f, tg.value_and_grad(total), lambda x: tg.hvp(total, x, x)):
        fast: Any = compiled(g, np.ones((4, 3)))
        assert_same(fast(x), g(x))
        assert_same(fast(x), g(x))
    fast = compiled(lambda x: tnp.sum(x[places] * x[places[::-1]]) * x, np.ones((4, 3)))
    assert path_of(fast).steps == 2


def test_slopes_of_quotients_have_the_bits_of_the_row(records_of: list[int]) -> None:
    """Call after call: where two quotients are enough, and where the row itself computes them."""

    def f(p: Any) -> Any:
        return tnp.sum(p["x"] / p["y"]) + tnp.sum(p["x"][:3, None] / p["z"]) + tnp.sum(1.0 / p["z"])

    def powers(least: int, most: int) -> Any:
        return RNG.normal(size=200) * 10.0 ** RNG.integers(least, most, 200)

    plain = dict.fromkeys("xyz", np.linspace(1.0, 2.0, 200))
    fast: Any = compiled(tg.value_and_grad(f), plain)
    for of_x in ((-9, 9), (-320, -280), (280, 308), (-320, 308)):
        for y in (powers(-9, 9), powers(-30, -1), powers(1, 30), np.resize(SPECIAL, 200)):
            for p in ({"x": powers(*of_x), "y": y, "z": y}, plain):
                assert_same(fast(p), tg.value_and_grad(f)(p))
    assert len(records_of) > 3


def test_arrays_are_copied_to_be_reshaped_in_chains(records_of: list[int]) -> None:
    """Where they cannot be seen in another shape; truth values are copied by numpy."""

    def f(x: Any) -> Any:
        y = tnp.sin(x)
        flat = y[:, :2].reshape(-1) * y.T.reshape(-1)[:8]
        return tnp.sum(flat * flat), y.T.reshape(2, 6), tnp.where((y.T > 0.1).reshape(-1), 1.0, 2.0)

    x = RNG.normal(size=(4, 3))
    for g in (f, tg.value_and_grad(lambda x: f(x)[0])):
        fast: Any = compiled(g, np.ones((4, 3)))
        assert_same(fast(x), g(x))
        assert_same(fast(x), g(x))
    fast = compiled(lambda x: (x * 2.0).T.reshape(-1) * 3.0, np.ones((4, 3)))
    assert path_of(fast).steps == 2


def turned(x: Any) -> Any:
    """The same with the last two axes in the other order in memory."""
    return x if x.ndim < 2 else np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def test_what_has_no_records() -> None:
    """Arrays of other kinds, large ones, and ones that overlap where they are written."""
    x = np.ones(10)
    assert not ran(np.add, x, np.ones(10, bool), np.empty(10))
    assert not ran("product", np.ones((4, 6))[:, ::2], np.ones(3), np.empty(4))
    square = np.ones((4, 4))
    assert not ran("product", square, np.ones((4, 4)), square)
    assert not ran("product", np.ones((4, 4)), square, square)
    assert not ran("product", np.ones((4, 1)), np.ones(1), np.empty(4))
    assert not ran(np.exp, np.ones(chains.MOST_NUMBERS + 1), np.empty(chains.MOST_NUMBERS + 1))
    whole = Standing.new("m", 0, (10,), "d")
    part, rest = whole.seen_by(lambda a: a[:9]), whole.seen_by(lambda a: a[:0:-1])
    assert part is not None
    assert rest is not None
    assert records([Call(np.negative, (part, rest))], native.chain()) is None
    assert records([Call(np.negative, (part, part))], native.chain()) is not None


def test_a_copy_is_no_view() -> None:
    """Nothing is known of where one stands."""
    whole = Standing.new("m", 0, (3, 4), "d")
    assert whole.seen_by(lambda a: a.T.reshape(12)) is None
    assert whole.seen_by(lambda a: a[[0, 2]]) is None
    assert whole.seen_by(np.ndarray.ravel) == Standing.new("m", 0, (12,), "d")


def test_numbers_are_taken_by_any_index(records_of: list[int]) -> None:
    """Also by one with an ellipsis, or with a place for each of some axes."""

    def f(x: Any) -> Any:
        y = tnp.exp(x)
        return y[..., 0, 1] * y[1, ..., 2] + tnp.sum(y.T[..., 1]) * y[-1, -1]

    fast = compiled(tg.value_and_grad(f), RNG.normal(size=(3, 4)))
    x = RNG.normal(size=(3, 4))
    assert_same(fast(x), tg.value_and_grad(f)(x))
    assert records_of


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (4, 0)])
def test_nothing_is_written_to_arrays_of_no_numbers(
    shape: tuple[int, ...], records_of: list[int]
) -> None:
    """They are broadcast against others whose numbers stay what they are."""
    empty, row = np.zeros(shape), np.arange(1.0 * shape[-1])
    assert not ran(np.add, empty, row, np.empty(shape))

    def f(x: Any, y: Any) -> Any:
        z = (x + y) * y + y
        return z * y + z, tnp.sum(z * z), tnp.exp(y) * y + y

    fast = compiled(f, np.ones(shape), row + 1.0)
    for found, wanted in zip(fast(empty, row), f(empty, row), strict=True):
        assert_same(found, wanted)


def test_without_inner_loops_the_functions_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy keeps them in another way: numbers, sums and products are those of the call."""
    monkeypatch.setattr(plan, "_MANY", 0)
    monkeypatch.setattr(chains, "_loops", lambda _: {})
    for known in ("_kinds", "_product_kind"):
        monkeypatch.setattr(chains, known, getattr(chains, known).__wrapped__)

    def f(x: Any) -> Any:
        y = x * 2.0
        return (y[0, 0] + y[1, 1]) * tnp.sum(y @ y.T) + tnp.max(y) * y[0, 1]

    x = RNG.normal(size=(3, 4))
    fast = compiled(tg.value_and_grad(f), RNG.normal(size=(3, 4)))
    assert_same(fast(x), tg.value_and_grad(f)(x))


def cell(w: Any, h: Any, c: Any, x: Any) -> tuple[Any, Any]:
    forget, into, out = (tnp.sigmoid(x * w[i] + h * w[i + 1]) for i in range(3))
    c = c * forget + into * tnp.tanh(h)
    return out * tnp.tanh(tnp.maximum(c, 0.1)), c


def chain_of_cells(w: Any, xs: Any) -> Any:
    """A loop with products, parts, choices, a branch and numbers."""
    h = c = xs[0]
    total = 0.0
    for x in xs[1:]:
        h, c = cell(w, h, c, x)
        total = total + tnp.sum(x * h) / (2.0 + tnp.max(h) + h[1])
        if total > 1e6:
            return total
        h = h + 0.1 * (w.T @ (w @ x)) * (x @ h)
        h = tnp.where(h > x, h, tnp.concat([x[:2], tnp.sqrt(h[2:] * h[2:])]))
    return total + tnp.log(tnp.sum(tnp.exp(c) + 1.0))


@pytest.mark.parametrize(
    "transform", [lambda f: f, tg.value_and_grad, lambda f: lambda x, y: tg.hvp(f, x, x, y)]
)
def test_recurrent_cells_have_the_bits_of_the_eager_call(
    transform: Callable[..., Any], records_of: list[int]
) -> None:
    """Of their values and derivatives; nearly all of it is in chains."""
    f = transform(chain_of_cells)
    fast = compiled(f, RNG.normal(size=(5, 6)), RNG.normal(size=(8, 6)))
    for _ in range(3):
        w, xs = RNG.normal(size=(5, 6)), RNG.normal(size=(8, 6))
        assert_same(fast(w, xs), f(w, xs))
    assert max(records_of) > 25


def test_matrices_made_of_numbers_are_part_of_chains(records_of: list[int]) -> None:
    """Numbers that arrays alone read stand with these; others are there as soon as they are known.

    So a chain ends only where Python computes a number.
    """

    def f(x: Any) -> Any:
        s, c = tnp.sin(x[0]), tnp.cos(x[0])
        a = s * x[1] - c
        turn = tnp.array([[c, -s, 1.0], [s * a, c + x[1], a], [0.0, abs(a), s]])
        total = tnp.sum(turn @ turn.T * s)
        return total * a if a > 0.5 else total / a

    for transform in (lambda f: f, tg.value_and_grad, tnp.jacobian):
        fast = compiled(transform(f), np.array([0.4, 2.0]))
        for point in ([0.4, 2.0], [0.1, -3.0], [np.inf, 1.0], [0.4, np.nan], [-0.0, 0.0]):
            assert_same(fast(np.array(point)), transform(f)(np.array(point)))
    fast = compiled(lambda x: tnp.array([[x[0], -x[1]], [x[1] * 2.0, x[0]]]) @ x, np.ones(2))
    assert path_of(fast).steps == 2  # a copy of x, and the chain
    fast = compiled(lambda x: tnp.array([tnp.sin(x[0]), -tnp.cos(x[0])]) * x, np.ones(2))
    assert path_of(fast).steps == 8  # these, two functions, what they read and write, and a chain


@pytest.mark.parametrize("seed", [100, 103, 107])
def test_random_programs_as_chains(seed: int, records_of: list[int]) -> None:
    """Eager, recorded and compiled gradients agree to the bit."""
    agree(seed)
    assert any(records_of)


def path_of(fast: Any) -> Any:
    """What the report says of a function with one path."""
    ((path,),) = (shape.paths for shape in fast.report().shapes)
    return path


def test_a_small_program_has_chains_once_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results have the same bits before and after, and are the caller's own.

    The report tells of the code that runs by now.
    """
    monkeypatch.setattr(plan, "_PAYS", 100)
    monkeypatch.setattr(plan._START, "left", 0)
    f = tg.value_and_grad(chain_of_cells)
    given = RNG.normal(size=(5, 6)), RNG.normal(size=(3, 6))
    fast, made = compiled(f, *given), list[int]()
    before = path_of(fast)
    bind = Chain.bind

    def counted(*given: Any) -> Any:
        made.append(1)
        return bind(*given)

    monkeypatch.setattr(Chain, "bind", counted)
    wanted = f(*given)
    found = [fast(*given) for _ in range(6)]
    assert made
    for one in found:
        assert_same(one, wanted)
        one.grad[:] = 0.0
    assert_same(fast(*given), wanted)
    assert path_of(fast).steps < before.steps
    assert path_of(fast).memory > before.memory


def test_what_starting_takes_is_paid_for_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the steps of all programs together."""
    monkeypatch.setattr(plan, "_PAYS", 100)
    monkeypatch.setattr(plan._START, "left", 2000)
    started = []
    monkeypatch.setattr(plan, "_chain", lambda make: started.append(1))
    given = RNG.normal(size=(5, 6)), RNG.normal(size=(3, 6))
    programs = chain_of_cells, lambda w, xs: 2.0 * chain_of_cells(w, xs)
    fast, other = (compiled(tg.value_and_grad(f), *given) for f in programs)
    for _ in range(7):
        fast(*given), other(*given)
    assert not started
    for _ in range(20):
        fast(*given), other(*given)
    assert len(started) == 2


def test_a_number_of_a_large_array_is_read_where_the_array_stands() -> None:
    """The array is there, though a run in blocks writes it and nothing else reads it."""

    def f(v: Any, x: Any) -> Any:
        for _ in range(200):
            v = v * 0.5 + tnp.sin(v)
        y = (x * v[0] + 1.0) * x - 0.5
        return y[17] * v[1] + y[-1] * v[2]

    v, x = RNG.normal(size=3), RNG.normal(size=plan.LARGE)
    fast = compiled(f, v, x)
    assert_same(fast(v, x), f(v, x))


@pytest.mark.parametrize("seed", [100, 101, 102, 104, 107])
def test_chains_and_blocks_go_together(
    seed: int, records_of: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buffer that a chain reads is not only a block long."""
    monkeypatch.setattr(plan, "LARGE", 8)
    monkeypatch.setattr(plan, "BLOCK", 4)
    agree(seed)
    assert any(records_of)


def test_threads_have_memory_of_their_own(records_of: list[int]) -> None:
    """What one computes is not seen by another."""
    f = tg.value_and_grad(chain_of_cells)
    points = [(RNG.normal(size=(5, 6)), RNG.normal(size=(8, 6))) for _ in range(4)]
    fast, found = compiled(f, *points[0]), dict[int, list[Any]]()

    def work(index: int) -> None:
        found[index] = [fast(*points[index]) for _ in range(20)]

    threads = [Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, point in enumerate(points):
        assert_same(found[index], [f(*point)] * 20)
    assert records_of


def test_a_loop_of_scan_on_arrays_has_the_bits_of_a_loop() -> None:
    """Its steps are chained as well."""
    xs = RNG.normal(size=(40, 6))

    def looped(w: Any, xs: Any) -> Any:
        state = xs[0], xs[0]
        for x in xs:
            state = cell(w, state[0], state[1], x)
        return tnp.sum(state[0])

    def scanned(w: Any, xs: Any) -> Any:
        (h, _), _ = tg.scan(lambda of, x: (cell(w, of[0], of[1], x), None), (xs[0], xs[0]), xs)
        return tnp.sum(h)

    w = RNG.normal(size=(5, 6))
    fast = compiled(tg.value_and_grad(scanned), w, xs)
    assert_same(fast(w, xs).value, looped(w, xs))
    np.testing.assert_allclose(fast(w, xs).grad, tg.grad(looped)(w, xs), rtol=1e-13)
