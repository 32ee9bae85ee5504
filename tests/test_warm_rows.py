"""A batch like an earlier one is run at once, with the bits and the errors of any other."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad import numpy as tnp
from tapegrad.batch import inputs
from tapegrad.batch.reduce import BLOCK
from tests.places import refusal

BACKENDS: list[Any] = ["llvm", "numpy"]


class Pair(NamedTuple, Generic[Real]):
    a: Real
    b: Real


def f(x: Any, scale: Any = 2.0) -> Any:
    return math.sin(x) * scale if x > 0.0 else x * x


def of_pair(p: Any, w: Any) -> Any:
    return math.exp(p.a * w[0]) - p.b * w[1]


def of_array(p: Any, w: Any) -> Any:
    return math.sin((p["w"][:, 0] * tnp.asarray(w)).sum() * p["b"]) + p["c"] * w[0]


def bits(found: Any) -> object:
    """The bits of an answer of any kind."""
    if isinstance(found, tuple):
        return tuple(map(bits, found))
    if hasattr(found, "paths"):
        return found.paths, tuple(found.column(path).tobytes() for path in found.paths)
    return np.asarray(found, dtype=np.float64).tobytes()


class Looks:
    """Counts the calls whose arguments are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = inputs.batch_inputs

        def counted(*given: Any) -> Any:
            self.count += 1
            return original(*given)

        monkeypatch.setattr("tapegrad.batch.batched_function.batch_inputs", counted)


X = np.linspace(0.5, 3.0, 30)
W = np.array([[0.3, 0.5]] * 30)
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], tuple[Any, ...]]] = {
    "a number": (f, {}, (X,)),
    "a gradient": (tg.grad(f), {}, (X,)),
    "a value and gradient": (
        tg.value_and_grad(of_pair),
        {"in_axes": (0, 0)},
        (Pair(X, 0.5 * X), W),
    ),
    "a shared argument": (tg.grad(f), {"in_axes": (0, None)}, (X, 3.0)),
    "shared and mapped": (tg.grad(of_pair), {"in_axes": (None, 0)}, (Pair(1.0, 2.0), W)),
    "a shared array": (
        tg.grad(of_array),
        {"in_axes": (None, 0)},
        ({"b": 2.0, "w": np.array([[0.3], [0.5]]), "c": 1.0}, W),
    ),
    "a sum": (tg.value_and_grad(f), {"reduce": "sum"}, (X,)),
    "a mean": (tg.value_and_grad(f), {"reduce": "mean"}, (X,)),
    "an estimate": (tg.value_and_grad(f), {"reduce": "mean", "stderr": True}, (X,)),
}
cases = pytest.mark.parametrize(("function", "options", "args"), CALLS.values(), ids=CALLS)


class TestABatchLikeAnEarlierOne:
    @pytest.mark.parametrize("backend", BACKENDS)
    @cases
    def test_is_not_looked_at(
        self, monkeypatch: pytest.MonkeyPatch, backend: Any, function: Any, options: Any, args: Any
    ) -> None:
        """From the third call on, with any number of rows; its bits are those of the first."""
        looks = Looks(monkeypatch)
        batch: Any = tg.vmap(function, backend=backend, **options)
        expected = bits(batch(*args))
        for _ in range(4):
            assert bits(batch(*args)) == expected
        assert looks.count == 2
        fewer = [mapped(args, options, slice(3, 20)), mapped(args, options, slice(7, 8))]
        fresh: Any = tg.vmap(function, backend=backend, **options)
        expected_too = [bits(fresh(*some)) for some in fewer]
        seen = looks.count
        assert [bits(batch(*some)) for some in fewer] == expected_too
        assert looks.count == seen

    def test_counts_its_rows(self) -> None:
        """Once each, in several threads at a time, too."""
        batch: Any = tg.vmap(tg.grad(f))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: batch(X), range(40)))
        ((path,),) = (shape.paths for shape in batch.report().shapes)
        assert path.rows == 40 * len(X)

    def test_keeps_no_answer(self) -> None:
        """Nor does a later call write into an earlier one's."""
        batch: Any = tg.vmap(f)
        answers = [batch(X + number) for number in range(6)]
        kept = [bits(answer) for answer in answers]
        answers[0][:] = 7.0
        batch(X)
        assert [bits(answer) for answer in answers[1:]] == kept[1:]

    def test_where_the_recordings_arrive(self) -> None:
        """A pickled batch is as quick, and has the bits."""
        batch: Any = tg.vmap(tg.grad(f))
        expected = bits(batch(X))
        arrived: Any = pickle.loads(pickle.dumps(batch))  # noqa: S301  # our own
        assert [bits(arrived(X)) for _ in range(4)] == [expected] * 4

    def test_with_code_that_calls_python_is_looked_at(self) -> None:
        """So that an error of a custom row names the row."""

        def value(x: float) -> float:
            if x == 9.0:
                raise LookupError("mine")
            return x

        def slope(y: Any, x: Any) -> float:
            return 1.0

        row: Any = tg.primitive(partials=(slope,), at=[1.0])(value)
        batch: Any = tg.vmap(row)
        for _ in range(3):
            batch(X)
        with pytest.raises(LookupError) as caught:
            batch(np.array([1.0, 9.0]))
        assert caught.value.__notes__ == ["raised at row 1 of the batch"]


def mapped(args: Sequence[Any], options: dict[str, Any], rows: slice) -> tuple[Any, ...]:
    """The arguments with some of their rows."""

    def cut(value: Any) -> Any:
        return Pair(*map(cut, value)) if isinstance(value, Pair) else value[rows]

    axes = options.get("in_axes", (0,) * len(args))
    return tuple(
        value if axis is None else cut(value) for value, axis in zip(args, axes, strict=True)
    )


def warmed(function: Callable[..., Any] = f, **options: Any) -> Any:
    """A batched function that has met its arguments."""
    batch = tg.vmap(function, **options)
    for _ in range(3):
        batch(X)
    return batch


class TestABatchThatDiffers:
    @given(st.lists(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=5), max_size=8))
    def test_in_its_paths(self, stream: list[list[float]]) -> None:
        """On any stream of batches, each has the bits that a new function gives it."""
        for options in ({}, {"reduce": "sum"}):
            batch, fresh = BATCHES[bool(options)]
            for rows in stream:
                assert bits(batch(np.array(rows))) == bits(fresh(rows))

    def test_in_the_kind_of_its_numbers(self) -> None:
        """Other types, strides and containers give the same answers."""
        batch = warmed()
        x = np.repeat(np.arange(1.0, 9.0), 2)
        expected = bits(batch(x))
        backwards = x[::-1].copy()[::-1]
        swapped = x.astype(x.dtype.newbyteorder())
        for same in (x.tolist(), x.astype(int), x.astype(np.float32), backwards, swapped):
            assert bits(batch(same)) == expected
        x.flags.writeable = False
        assert bits(batch(x)) == expected
        assert bits(batch(x[::2])) == bits(batch(x[::2].copy()))

    def test_in_the_number_of_its_rows(self) -> None:
        """More than a block of them go where they did before."""
        batch = warmed()
        x = np.linspace(0.5, 3.0, BLOCK + 3)
        assert bits(batch(x)) == bits(tg.vmap(f)(x))

    def test_in_its_shape_or_its_type(self) -> None:
        """What was refused is refused, in the same words."""
        batch = warmed()
        for wrong in (np.array([]), np.array(1.0), np.array([1j]), np.ma.masked_array(X), None):

            def call(given: Any = wrong, function: Any = batch) -> Any:
                return function(given)

            def new(given: Any = wrong) -> Any:
                return tg.vmap(f)(given)

            assert words(refusal(errors.InputError, call)) == words(refusal(errors.InputError, new))
        two: Any = tg.vmap(lambda x, y: x * y)
        for _ in range(3):
            two(X, X)
        text = refusal(errors.InputError, lambda: two(X, X[1:]))
        assert "x has 30 rows and y has 29" in text

    def test_in_what_is_read_from_outside(self) -> None:
        """A changed cell is seen, and so is a changed static argument."""
        factor = 2.0

        def scaled(x: Any) -> Any:
            return x * factor

        batch = warmed(scaled)
        factor = 3.0
        assert bits(batch(X)) == bits(X * 3.0)

        def powered(x: Any, n: int) -> Any:
            return x**n

        by_power: Any = tg.vmap(powered, static_argnames="n")
        for n in (2, 2, 2, 3, 3, 2):
            fresh: Any = tg.vmap(powered, static_argnames="n")
            assert bits(by_power(X, n)) == bits(fresh(X, n))

    def test_inside_a_recording(self) -> None:
        """Traced numbers are recorded after many plain ones, too."""
        batch: Any = tg.vmap(f, in_axes=(0, None))
        for _ in range(3):
            batch(X, 2.0)
        slope = tg.grad(lambda s: batch(X, s)[0])(2.0)
        assert slope == pytest.approx(tg.grad(lambda s: f(float(X[0]), s))(2.0), rel=1e-13)

    def test_where_rows_may_not_leave(self) -> None:
        """The options for rows that leave the path hold."""
        strict = warmed(on_branch="raise")
        with pytest.raises(errors.GuardError, match="row 1 leaves the recorded path"):
            strict(np.array([1.0, -1.0]))
        masked = warmed(on_branch="mask")
        assert np.isnan(masked(np.array([1.0, -1.0]))).tolist() == [False, True]


BATCHES: tuple[tuple[Any, Any], ...] = (
    (tg.vmap(tg.grad(f)), tg.vmap(tg.grad(f), backend="auto")),
    (tg.vmap(tg.grad(f), reduce="sum"), tg.vmap(tg.grad(f), reduce="sum")),
)
"""A batched function that gets arrays, and one that gets lists, which are always looked at."""


def words(text: str) -> str:
    """A message without the place that it names."""
    return text.partition("(tests/")[0].partition(" (")[0]
