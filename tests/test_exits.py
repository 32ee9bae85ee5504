"""Laws of rows whose loops end at different steps: they have their own bits, and cost little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.compile.call_recording import leaves_loop
from tapegrad.compile.learning import Learning
from tests.places import refusal

np = pytest.importorskip("numpy")

BACKENDS: list[Any] = ["numpy"]
if find_spec("llvmlite"):
    BACKENDS.append("llvm")

EXACT: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - 0.5 * y,
    "product": lambda x, y: x * (1.0 + 0.125 * y),
    "quotient": lambda x, y: x / (1.5 + y * y),
    "root": lambda x, y: math.sqrt(x * x + y * y),
}
"""Steps of operations that are rounded correctly, so that code for rows has the eager bits."""


def first_passage(steps: Sequence[str], bound: float) -> Callable[[Any, Any], Any]:
    """A loop that ends where a row passes a bound, with what depends on the step."""

    def f(a: Any, xs: Any) -> Any:
        state = a
        for number, x in enumerate(xs):
            for step in steps:
                state = EXACT[step](state, a * x)
            if state > bound:
                return state * (0.1 * number) - a
        return state * state

    return f


def two_loops(a: Any, xs: Any) -> Any:
    """One loop after another, each of which ends where it may."""
    state, waited = a, 0.0
    for x in xs:
        state = state + a * x
        if state > 3.0:
            break
    for x in xs:
        waited = waited + state * x
        if waited < -3.0:
            return waited * a
    return waited + state


def nested(a: Any, xs: Any) -> Any:
    """A loop inside a loop, both of which end at different steps."""
    total = a
    for x in xs:
        part = x
        while part < 1.0:
            part = part + 0.5
        total = total + a * part
        if total > 12.0:
            return total * 2.0
    return total


def eager(f: Any, a: float, xs: Any) -> Any:
    return np.array([[v, g] for v, g in (tg.value_and_grad(f)(a, tuple(x)) for x in xs.tolist())])


def by_rows(batch: Any, a: float, xs: Any) -> Any:
    value, slopes = batch(a, xs)
    return np.stack([np.asarray(value), slopes.column(slopes.paths[0])], axis=1)


def batched(f: Any, **options: Any) -> Any:
    return tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), **options)


def draws(rows: int, steps: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.0, 1.0, (rows, steps)).round(3)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(EXACT)), min_size=1, max_size=3),
    st.sampled_from([0.5, 2.0, 4.0]),
    st.sampled_from([(1, 30), (3, 1), (90, 40)]),
    st.integers(0, 99),
)
def test_every_row_has_the_bits_of_its_eager_gradient(
    backend: Any, steps: list[str], bound: float, size: tuple[int, int], seed: int
) -> None:
    """Random programs, however many rows end at a step, in the first call and the next."""
    f, xs = first_passage(steps, bound), draws(*size, seed)
    batch = batched(f, backend=backend)
    expected = eager(f, 0.3, xs)
    for _ in range(3):
        assert by_rows(batch, 0.3, xs).tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", [two_loops, nested])
@pytest.mark.filterwarnings("ignore:.* has taken 64 paths")
def test_loops_after_and_inside_each_other(f: Any, backend: Any) -> None:
    """Each row ends each loop where its eager call does."""
    xs = draws(150, 25)
    batch = batched(f, backend=backend)
    expected = eager(f, 0.4, xs)
    for _ in range(2):
        assert by_rows(batch, 0.4, xs).tobytes() == expected.tobytes()


def walk(a: Any, xs: Any) -> Any:
    """A walk that ends above 4, by functions whose bits differ in code for many rows."""
    state = a
    for number, x in enumerate(xs):
        state = state + math.tanh(a * x)
        if state > 4.0:
            return math.exp(-0.01 * number * a) * state
    return math.sin(state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rare_rows_that_leave_a_loop_have_the_eager_bits(backend: Any) -> None:
    """And nobody is warned of their paths, which are as many as there are steps."""
    xs = draws(250, 75)
    batch = batched(walk, backend=backend)
    first = by_rows(batch, 0.7, xs)
    expected = eager(walk, 0.7, xs)
    is_early = np.array([walk(0.7, tuple(x)) for x in xs.tolist()]) > 1.0
    assert first[is_early].tobytes() == expected[is_early].tobytes()
    assert np.allclose(first, expected, 1e-12, 1e-12)
    for _ in range(3):
        assert by_rows(batch, 0.7, xs).tobytes() == first.tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_at_which_rows_leave_is_recorded_once(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If calls for all rows would take longer: then the function is called for no other row."""
    calls: list[object] = []

    def f(a: Any, xs: Any) -> Any:
        calls.append(xs)
        return walk(a, xs)

    monkeypatch.setattr(Learning, "expected", lambda *_: 1e9)
    xs = np.repeat(draws(120, 60), 2, axis=0)
    batch = batched(f, backend=backend)
    by_rows(batch, 0.5, xs)
    assert len(calls) == len(batch.tapes) > 12
    by_rows(batch, 0.5, xs)
    assert len(calls) == len(batch.tapes)


def test_a_sum_is_that_of_the_rows() -> None:
    """However the rows are cut into threads."""
    xs = draws(4_200, 12)
    sums = [batched(walk, reduce="sum", threads=threads)(1.7, xs) for threads in (1, 2)]
    assert sums[0] == sums[1]
    assert sums[0].value == pytest.approx(np.sum(by_rows(batched(walk), 1.7, xs)[:, 0]), rel=1e-12)


def test_a_row_that_raises_at_a_step_is_named() -> None:
    """Whatever path it would have taken."""

    def f(a: Any, xs: Any) -> Any:
        state = a
        for number, x in enumerate(xs):
            state = state + a * x
            if state > 3.0:
                return state
            if state < -3.0:
                raise LookupError(f"at step {number}")
        return state * a

    xs = np.full((40, 30), 0.01)
    xs[7:27] += np.linspace(0.1, 2.0, 20)[:, np.newaxis]
    xs[33] = -0.35
    with pytest.raises(LookupError, match="at step 24") as caught:
        batched(f)(0.4, xs)
    assert caught.value.__notes__ == ["raised at row 33 of the batch"]


def test_no_rows_are_an_error() -> None:
    """As in any batch."""
    text = refusal(errors.InputError, lambda: batched(walk)(0.7, draws(0, 5)))
    assert text.startswith("xs has no rows")


@pytest.mark.parametrize(
    ("outcomes", "leaves"),
    [
        ([0] * 8 + [1], True),
        ([1] * 30 + [0], True),
        ([1, 0, 1] + [0] * 9 + [1], True),
        ([0] * 7 + [1], False),
        ([0] * 9, False),
        ([0, 1] * 9, False),
        ([], False),
    ],
)
def test_a_loop_is_left_where_guards_came_out_alike(outcomes: list[int], leaves: bool) -> None:
    """Eight at least, and the last one did not."""
    assert leaves_loop(bytes(outcomes)) is leaves
