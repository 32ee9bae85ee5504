"""The paths of a batch: each row on its own, whatever was run before it, and run once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import errors
from tapegrad.batch import recordings
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.reduce import BLOCK, PairwiseSum, partial_sum
from tests.branches import Branchy, branchy
from tests.places import place, refusal

Floats = NDArray[np.float64]

BACKENDS: list[Any] = ["llvm", "numpy"]

SHARED: Final = (0.5, -0.25)
"""Numbers that are the same for all rows of a call."""


@st.composite
def rows_of(draw: st.DrawFn, width: int) -> Floats:
    """Rows of eighths, many of which are equal."""
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    return random.integers(-16, 17, (draw(st.integers(1, 60)), width)) / 8.0


def eager(f: Callable[..., float], rows: Floats, shared: float) -> Floats:
    """The answers of the function itself."""
    return np.array([f(tuple(row), shared) for row in rows.tolist()])


def same(found: Any, expected: Floats) -> bool:
    return np.array_equal(np.asarray(found), expected, equal_nan=True)


class TestRandomBranches:
    """A batch of a program full of branches has the bits of the eager calls."""

    @pytest.mark.parametrize("backend", BACKENDS)
    @settings(max_examples=10)
    @given(branchy(), st.data())
    def test_of_values(self, backend: Any, program: Branchy, data: st.DataObject) -> None:
        """In a first call, in one like it, with other shared numbers, and after travelling."""
        rows = data.draw(rows_of(program.width))
        batch: Any = tg.vmap(program, in_axes=(0, None), backend=backend, threads=1)
        for shared in SHARED:
            expected = eager(program, rows, shared)
            assert same(batch(rows, shared), expected)
            assert same(batch(rows, shared), expected)
        (shape,) = batch.report().shapes
        assert sum(path.rows for path in shape.paths) + shape.calls == 4 * len(rows)

    @pytest.mark.parametrize("backend", BACKENDS)
    @settings(max_examples=6)
    @given(branchy(), st.data())
    def test_of_gradients(self, backend: Any, program: Branchy, data: st.DataObject) -> None:
        """The slopes of each row too."""
        rows, gradient = data.draw(rows_of(program.width)), tg.value_and_grad(program)
        batch: Any = tg.vmap(gradient, in_axes=(0, None), backend=backend, threads=1)
        one_by_one = [gradient(tuple(row), 0.5) for row in rows.tolist()]
        for _ in range(2):
            values, slopes = batch(rows, 0.5)
            assert same(values, np.array([one.value for one in one_by_one]))
            for number, path in enumerate(slopes.paths):
                column = np.array([one.grad[number] for one in one_by_one])
                assert same(slopes.column(path), column)

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("backend", BACKENDS)
    @settings(max_examples=3)
    @given(branchy(), st.data())
    def test_of_many_blocks(
        self, backend: Any, threads: int, program: Branchy, data: st.DataObject
    ) -> None:
        """Values and sums of rows in several blocks, by one thread or by two."""
        rows = data.draw(rows_of(program.width))
        some = np.random.default_rng(0).integers(0, len(rows), 3 * BLOCK + 5)
        some[: BLOCK + 1] = 0
        expected, many = eager(program, rows, 0.5)[some], rows[some]
        options: dict[str, Any] = {"backend": backend, "threads": threads}
        batch: Any = tg.vmap(program, in_axes=(0, None), **options)
        sums: Any = tg.vmap(program, in_axes=(0, None), reduce="sum", **options)
        total = PairwiseSum()
        for start in range(0, len(some), BLOCK):
            with np.errstate(all="ignore"):
                total.add(partial_sum(expected[np.newaxis, start : start + BLOCK]))
        for _ in range(2):
            assert same(batch(many, 0.5), expected)
            assert same([sums(many, 0.5)], total.value().sums)

    @settings(max_examples=5)
    @given(branchy(), st.data())
    def test_of_workers(self, program: Branchy, data: st.DataObject) -> None:
        """Rows that go to workers come back from the paths that they take."""
        rows = data.draw(rows_of(program.width))
        with ThreadPoolExecutor(2) as pool:
            batch: Any = tg.vmap(program, in_axes=(0, None), backend="numpy", executor=pool)
            for _ in range(2):
                assert same(batch(rows, 0.5), eager(program, rows, 0.5))

    @settings(max_examples=8)
    @given(branchy(), st.data())
    def test_of_rows_off_the_path(self, program: Branchy, data: st.DataObject) -> None:
        """Masked, they and no others are nan; eager, they have the function's own answers."""
        rows = data.draw(rows_of(program.width))
        expected = eager(program, rows, 0.5)
        first: Any = tg.record(program)(tuple(rows[0].tolist()), 0.5)
        options: dict[str, Any] = {"in_axes": (0, None), "backend": "numpy", "threads": 1}
        alone: Any = tg.vmap(program, on_branch="mask", **options)
        rest: Any = tg.vmap(program, on_branch="eager", **options)
        kept = np.array([stays(first, row) for row in rows.tolist()])
        for _ in range(2):
            assert same(alone(rows, 0.5), np.where(kept, expected, np.nan))
            assert same(rest(rows, 0.5), expected)
        assert len(alone.tapes) == len(rest.tapes) == 1


def stays(tape: Any, row: Sequence[float]) -> bool:
    """Whether a row takes the path of a tape."""
    try:
        tape.replay(tuple(row), 0.5)
    except errors.GuardError:
        return False
    return True


def six_ways(x: float, y: float, z: float) -> float:
    """Six paths; a row may leave three before it is on its own."""
    if x > -0.27:
        if x < -0.12:
            if y < -0.24:
                return z * 5.0 if z > -0.49 else x * 5.0
            return x * 9.0
        if y < -0.63:
            return y * 3.0
        return x * 4.0 if y > -0.56 else z * 3.0
    return x * 1.0


SIX: Final = np.array(
    [
        [0.18, -0.24, -0.14, 0.47, -0.15, -0.07],
        [-1.17, -0.2, -0.99, -0.6, -1.39, 0.79],
        [-0.42, -0.12, -1.72, 1.8, 1.07, -1.58],
    ]
)
"""A row for each path."""


def bisected(x: float) -> float:
    """A root by bisection: nearly every row has a path of its own."""
    low, high = 0.0, 4.0
    while high - low > 1e-2:
        middle = 0.5 * (low + high)
        if middle * middle > x:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


class TestEachRowIsInOneGroup:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_where_each_row_has_its_own_path(self, backend: Any) -> None:
        """Rows that leave one path at several comparisons go on to one path each."""
        batch: Any = tg.vmap(six_ways, backend=backend, threads=1)
        for _ in range(2):
            assert batch(*SIX).tolist() == [six_ways(*row) for row in SIX.T.tolist()]
        assert len(batch.tapes) == 6
        assert [path.rows for path in batch.report().shapes[0].paths] == [2] * 6

    def test_known_paths_are_found(self) -> None:
        """With no function to ask, and no path left of those allowed, known rows run on."""
        batch: Any = tg.vmap(six_ways, threads=1, max_paths=6)
        expected = batch(*SIX)
        assert same(batch(*SIX), expected)
        assert same(pickle.loads(pickle.dumps(batch))(*SIX), expected)  # noqa: S301  # our own

    def test_the_code_of_a_path_runs_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many paths there are, a warm call runs each once, on rows that may take it."""
        rows = np.linspace(0.01, 15.9, 400)
        batch: Any = tg.vmap(bisected, backend="numpy", threads=1)
        with pytest.warns(UserWarning, match="has taken 64 paths"):
            batch(rows)
        ran: list[tuple[BatchCode, int]] = []
        kernel = BatchCode.kernel

        def counted(code: BatchCode, count: int, *, sums: bool) -> Any:
            ran.append((code, count))
            return kernel(code, count, sums=sums)

        monkeypatch.setattr(BatchCode, "kernel", counted)
        assert same(batch(rows), np.array([bisected(x) for x in rows.tolist()]))
        assert len({code for code, _ in ran}) == len(ran) > 1
        deepest = max(len(code.outcomes) for code, _ in ran)
        assert sum(count for _, count in ran) <= deepest * len(rows)

    @pytest.mark.parametrize("goes_on", [True, False])
    def test_the_end_of_a_loop_is_found_in_few_steps(
        self, monkeypatch: pytest.MonkeyPatch, *, goes_on: bool
    ) -> None:
        """Where each path leads on to the next, whichever outcome of its guards goes on."""

        def f(x: Any) -> Any:
            number = 0.0
            while x > number if goes_on else not x <= number:
                number += 1.0
            return x * number

        rows = np.repeat(np.arange(64.0), 16)
        batch: Any = tg.vmap(f, backend="numpy", threads=1)
        expected = [f(x) for x in rows.tolist()]
        assert batch(rows).tolist() == expected
        assert len(batch.tapes) == 64
        ran = []
        kernel = BatchCode.kernel

        def counted(code: BatchCode, count: int, *, sums: bool) -> Any:
            ran.append(count)
            return kernel(code, count, sums=sums)

        monkeypatch.setattr(BatchCode, "kernel", counted)
        assert batch(rows).tolist() == expected
        assert sum(ran) <= 8 * len(rows)

    def test_a_limit_counts_rows_once(self) -> None:
        """The error about many paths counts no more rows than there are."""
        rows = np.linspace(0.01, 15.9, 400)
        text = refusal(errors.GuardError, lambda: tg.vmap(bisected, max_paths=50)(rows))
        assert text.startswith("the rows take more than max_paths=50 paths; ")
        assert 1 <= int(text.split("; ")[1].split(" ")[0].replace(",", "")) <= 400


class TestWhatRowsDependOn:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_bits_do_not_depend_on_what_was_run_before(self, backend: Any) -> None:
        """A row has the bits of its own path in a first call, in the next, and alone."""

        def f(x: Any, y: Any) -> Any:
            t = y / (1.0 + y * y)
            if t <= 0.1:
                s = tg.math.sin(max(y, t) + x + 0.5)
            else:
                s = tg.math.remainder(t**3, 1.0 + y * y)
            r = tg.math.sinh(tg.math.tanh(s))
            return tg.math.sin(r) if t**3 <= 0.1 else r

        x, y = np.random.default_rng(0).standard_normal((2, 20))
        batch: Any = tg.vmap(f, backend=backend, threads=1)
        expected = batch(x, y)
        assert same(batch(x, y), expected)
        assert same(batch(x[::-1], y[::-1])[::-1], expected)
        alone: Any = tg.vmap(f, backend=backend, threads=1)
        found = [alone(x[row : row + 1], y[row : row + 1])[0] for row in range(len(x))]
        assert same(found, expected)

    def test_fast_code_agrees_on_comparisons(self) -> None:
        """What a comparison depends on is rounded alike on all paths, with `fast` too."""

        def f(x: float, y: float, z: float) -> float:
            product = x * y
            rest = product - z
            return product * 2.0 + rest if rest > 0.0 else rest * 1.5

        x, y = np.random.default_rng(0).random((2, 1000))
        for firsts in ((2.0, 0.5), (0.5, 2.0)):
            batch: Any = tg.vmap(f, fast=True, threads=1)
            batch(np.ones(2), np.ones(2), np.array(firsts))
            assert same(batch(x, y, x * y), np.zeros(1000))

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_paths_that_disagree_are_named(
        self, backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row that two paths send to each other is an error with the line, and with the row."""
        monkeypatch.setenv("LIMIT", "5.0")

        def f(x: float) -> float:
            return 2.0 * x if x > float(os.environ["LIMIT"]) else -x

        batch: Any = tg.vmap(f, backend=backend, threads=1)
        batch(np.array([7.0]))
        monkeypatch.setenv("LIMIT", "0.0")
        batch(np.array([-1.0]))
        with pytest.raises(errors.GuardError) as caught:
            batch(np.array([7.0, -1.0, 3.0]))
        assert str(caught.value) == (
            f"two recorded paths disagree on the comparison at {place(f, 'LIMIT')}: pass what "
            "it depends on as an argument, and let rules depend on their arguments alone"
        )
        assert caught.value.__notes__ == ["raised at row 2 of the batch"]

    @pytest.mark.parametrize("backend", ["python", "llvm"])
    def test_a_call_that_two_paths_send_to_each_other_is_an_error(
        self, backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`jit` names the line, and goes on to answer calls on which the paths agree."""
        monkeypatch.setenv("LIMIT", "5.0")

        def f(x: float) -> float:
            return 2.0 * x if x > float(os.environ["LIMIT"]) else -x

        compiled: Any = tg.jit(f, backend=backend, eager_first=False)
        compiled(7.0)
        monkeypatch.setenv("LIMIT", "0.0")
        compiled(-1.0)
        with pytest.raises(errors.GuardError) as caught:
            compiled(3.0)
        assert str(caught.value) == (
            f"two recorded paths disagree on the comparison at {place(f, 'LIMIT')}: pass what "
            "it depends on as an argument, and let rules depend on their arguments alone"
        )
        assert (compiled(7.0), compiled(-1.0)) == (14.0, 1.0)


class TestInterrupts:
    def test_a_path_is_added_with_its_code_or_not_at_all(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An interrupt while a path is recorded leaves a batch that works."""
        batch: Any = tg.vmap(lambda x: x if x > 0.0 else -x, threads=1)

        def interrupted(*_: object, **__: object) -> object:
            raise KeyboardInterrupt

        for rows in ([1.0, 2.0], [1.0, -2.0]):
            with monkeypatch.context() as patch:
                patch.setattr(recordings, "BatchCode", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    batch(np.array(rows))
            assert batch(np.array(rows)).tolist() == [abs(x) for x in rows]
