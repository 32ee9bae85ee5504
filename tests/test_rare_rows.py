"""Rows on rare paths: they cost about what the function costs, and no history shows in the bits."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.batch import rare_rows, recordings
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.rare_rows import RARE
from tapegrad.batch.recordings import PathRecorder
from tapegrad.batch.reduce import BLOCK, PairwiseSum, partial_sum
from tapegrad.batch.row_runner import FEW_PATHS
from tapegrad.compile import call_recording, learning
from tapegrad.compile.call_recording import CallRecording
from tests.places import place, refusal, warned_at

Floats = NDArray[np.float64]

BACKENDS: list[Any] = ["llvm", "numpy"]


def bisected(x: Any) -> Any:
    """A logarithm by bisection, through functions whose bits differ in code for many rows."""
    low, high = -5.0, 5.0
    while high - low > 1e-2:
        middle = 0.5 * (low + high)
        if math.exp(middle) > x:
            high = middle
        else:
            low = middle
    return math.sin(low) * math.exp(math.tanh(x)) + math.log(x + 2.0)


def mixed(x: Any) -> Any:
    """Half of the rows take one path, the others nearly one each."""
    return bisected(x) if x > 0.0 else math.exp(math.sin(x)) * math.tanh(x)


quietly = pytest.mark.filterwarnings("ignore:.* has taken 6. paths")


def rows(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-20.0, 20.0, count)


def bits(found: Any) -> bytes:
    return np.asarray(found).tobytes()


def eager(f: Any, x: Floats) -> Floats:
    return np.array([f(one) for one in x.tolist()])


class TestTheBitsOfRareRows:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_are_those_of_the_function(self, backend: Any) -> None:
        """Of all rows on a path that fewer than 16 of the block take, in a block of many paths."""
        x = np.linspace(0.05, 30.0, 60)
        batch: Any = tg.vmap(bisected, backend=backend)
        for _ in range(3):
            assert bits(batch(x)) == bits(eager(bisected, x))

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_are_those_of_the_function_beside_arrays_without_columns(self, backend: Any) -> None:
        """A mapped array with rows of no numbers takes no place among the inputs."""
        x = np.linspace(0.05, 30.0, 60)
        batch: Any = tg.vmap(lambda x, none: bisected(x), in_axes=(0, 0), backend=backend)
        for _ in range(3):
            assert bits(batch(x, np.ones((60, 0)))) == bits(eager(bisected, x))

    @quietly
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_depend_on_the_rows_of_the_block_alone(self, backend: Any) -> None:
        """Not on earlier calls, threads or workers."""
        x = rows(BLOCK + 300)
        expected = bits(tg.vmap(mixed, backend=backend, threads=1)(x))
        batch: Any = tg.vmap(mixed, backend=backend, threads=2)
        for seed in range(4):
            batch(rows(40 * seed + 1, seed))
            assert bits(batch(x)) == expected
        with ThreadPoolExecutor(2) as pool:
            sent: Any = tg.vmap(mixed, backend=backend, executor=pool)
            assert [bits(sent(x)) for _ in range(2)] == [expected] * 2
        first, second = x[:BLOCK], x[BLOCK:]
        apart: Any = tg.vmap(mixed, backend=backend, threads=1)
        assert bits(apart(second)) == expected[8 * BLOCK :]
        assert bits(apart(first)) == expected[: 8 * BLOCK]

    @quietly
    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize(("scattered", "are_rare"), [(500, True), (300, False)])
    def test_are_those_of_more_rows_where_many_are_rare(
        self, backend: Any, scattered: int, are_rare: bool
    ) -> None:
        """Up to 127 rows on a path are rare where more than 384 rows are rare as it is."""

        def f(x: Any) -> Any:
            if x > 0.0:
                return bisected(x)
            return math.exp(math.sin(x)) * math.tanh(x) if x > -10.0 else math.exp(math.tanh(x))

        few, many = np.linspace(-9.9, -0.1, 127), np.linspace(-19.0, -11.0, 128)
        x = np.concatenate([np.geomspace(0.01, 140.0, scattered), few, many])
        x = np.random.default_rng(0).permutation(x)
        by_code = bits(tg.vmap(f, backend=backend)(few))
        assert by_code != bits(eager(f, few))
        batch: Any = tg.vmap(f, backend=backend, threads=1)
        batch(many), batch(few)
        for function in (batch, batch, tg.vmap(f, backend=backend, threads=2)):
            found = dict(zip(x.tolist(), function(x).tolist(), strict=True))
            mine = bits([found[one] for one in few.tolist()])
            assert mine == (bits(eager(f, few)) if are_rare else by_code)
            assert bits([found[one] for one in many.tolist()]) == bits(batch(many))

    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize(("guards", "are_rare"), [(80, True), (40, False)])
    def test_are_those_of_more_rows_on_a_long_path(
        self, backend: Any, guards: int, are_rare: bool
    ) -> None:
        """Up to 127 rows are rare on one of 64 guards or more, in a block of many paths."""

        def f(x: Any) -> Any:
            number = 0
            while number < guards and x > number:
                number += 1
            return math.exp(math.sin(x)) * math.tanh(x * 0.1)

        few, many = np.linspace(101.0, 120.0, 127), np.linspace(-20.0, -1.0, 128)
        x = np.random.default_rng(0).permutation([*few, *many, *range(1, 11)])
        batch: Any = tg.vmap(f, backend=backend, threads=1)
        by_code = bits(batch(few))
        assert by_code != bits(eager(f, few))
        for function in (batch, batch, tg.vmap(f, backend=backend)):
            found = dict(zip(x.tolist(), function(x).tolist(), strict=True))
            assert bits([found[one] for one in many.tolist()]) == bits(batch(many))
            mine = bits([found[one] for one in few.tolist()])
            assert mine == (bits(eager(f, few)) if are_rare else by_code)

    @quietly
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_sums(self, backend: Any) -> None:
        """A sum is that of the rows' own bits, in the decided order."""
        x = rows(BLOCK + 300)
        by_row = np.asarray(tg.vmap(mixed, backend=backend, threads=1)(x))
        total = PairwiseSum()
        for start in range(0, len(x), BLOCK):
            total.add(partial_sum(by_row[np.newaxis, start : start + BLOCK]))
        sums: Any = tg.vmap(mixed, backend=backend, reduce="sum")
        assert [sums(x), sums(x)] == total.value().sums.tolist() * 2

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_where_there_are_few_paths_a_row_has_the_same_bits_alone(self, backend: Any) -> None:
        """No row of a block with up to 8 paths is rare."""

        def f(x: Any) -> Any:
            for number in range(FEW_PATHS - 1):
                if x < number:
                    return math.exp(math.sin(x) * number)
            return math.tanh(x)

        x = np.random.default_rng(0).uniform(-2.0, 8.0, 30)
        batch: Any = tg.vmap(f, backend=backend, threads=1)
        expected = batch(x)
        assert len(batch.tapes) == FEW_PATHS
        alone: Any = tg.vmap(f, backend=backend, threads=1)
        assert bits([alone(x[row : row + 1])[0] for row in range(len(x))]) == bits(expected)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_are_the_same_where_the_recordings_arrive(
        self, backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rare rows run on recorded paths after pickling; what was not recorded is an error."""
        done = Counts(monkeypatch, plain=1e-3)
        x = np.linspace(0.05, 30.0, 20)
        batch: Any = tg.vmap(tg.grad(bisected), backend=backend)
        expected = batch(x)
        done.run_until_no_row_is_a_call(lambda: batch(x))
        arrived: Any = pickle.loads(pickle.dumps(batch))  # noqa: S301  # our own
        assert bits(arrived(x)) == bits(expected)
        with pytest.raises(errors.GuardError, match="travelled without its function"):
            arrived(np.linspace(0.05, 300.0, 60))


class Counts:
    """Counts the rows that the function is called for, paths recorded, and code for many rows.

    Time goes by what was counted, so that the machine's speed decides nothing. A call of the
    function takes as many seconds as ``plain`` says.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plain: float = 3e-5) -> None:
        self.plain = self.recorded = self.compiled = 0
        self._costs = {"plain": plain, "recorded": 1e-3, "compiled": 3e-3}

        def counted(owner: Any, name: str, what: str) -> None:
            original = getattr(owner, name)

            def call(*args: Any, **options: Any) -> Any:
                setattr(self, what, getattr(self, what) + 1)
                return original(*args, **options)

            monkeypatch.setattr(owner, name, call)

        counted(BatchCode, "_compiled", "compiled")
        counted(CallRecording, "_call", "plain")
        counted(recordings, "record_path", "recorded")
        counted(call_recording, "record_path", "recorded")
        for module in (call_recording, learning, rare_rows):
            monkeypatch.setattr(module, "thread_time", self.seconds)
        for name in ("batch.batch_code", "batch.recordings", "compile.paths"):
            monkeypatch.setattr(f"tapegrad.{name}.perf_counter", self.seconds)

    def seconds(self) -> float:
        """The time that has gone by."""
        return float(sum(getattr(self, what) * cost for what, cost in self._costs.items()))

    def run_until_no_row_is_a_call(self, run: Callable[[], object]) -> None:
        """Runs a batch until the function is not called any more, to be recorded either."""
        before = None
        for _ in range(100):
            if (self.plain, self.recorded) == before:
                return
            before = self.plain, self.recorded
            run()
        raise AssertionError(f"{self.plain} calls, and still some")


class TestTheirCost:
    @quietly
    def test_a_row_for_each_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Few of them are recorded and compiled, and the function is called for the others."""
        done = Counts(monkeypatch)
        x = np.linspace(0.05, 100.0, 400)
        tg.vmap(bisected, backend="numpy")(x)
        assert done.compiled <= FEW_PATHS + 400 // RARE
        assert done.recorded <= FEW_PATHS + 400 // RARE + 400 // 20
        assert 100 < done.plain <= 400

    @quietly
    def test_more_rows_cost_no_more_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once many rows are rare, no code is made for those that few others go along with."""
        made = []
        for count in (1000, 4000):
            done = Counts(monkeypatch)
            tg.vmap(bisected, backend="numpy")(np.geomspace(0.01, 140.0, count))
            made.append(done.compiled)
        assert made[1] <= made[0] + FEW_PATHS < 60

    def test_paths_of_many_rows_are_recorded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And the function is not called any more."""
        done = Counts(monkeypatch)
        x = np.repeat(np.linspace(0.05, 100.0, 20), 2 * RARE)
        batch: Any = tg.vmap(bisected, backend="numpy")
        batch(x)
        assert done.plain == 0
        assert done.recorded == done.compiled == len(batch.tapes)
        batch(x)
        assert done.plain == 0
        assert done.recorded == done.compiled == len(batch.tapes)

    def test_rare_paths_that_come_again_are_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the end a call on known rows does not call the function."""
        done = Counts(monkeypatch, plain=1e-3)
        calls: list[object] = []

        def f(x: Any) -> Any:
            calls.append(x)
            return bisected(x)

        x = np.linspace(0.05, 30.0, 20)
        batch: Any = tg.vmap(tg.grad(f), backend="numpy")
        found = [bits(batch(x))]
        done.run_until_no_row_is_a_call(lambda: found.append(bits(batch(x))))
        calls.clear()
        assert bits(batch(x)) == found[0]
        assert not calls
        assert len({*found}) == 1

    def test_code_for_many_rows_that_serves_few_is_no_credit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where all rows are rare, nothing but their own calls pays for recording their paths."""
        done = Counts(monkeypatch)
        for module in (learning, call_recording, rare_rows):
            monkeypatch.setattr(module, "thread_time", lambda: 0.0)
        batch: Any = tg.vmap(bisected, backend="numpy")
        for _ in range(3):
            batch(np.linspace(0.05, 30.0, 60))
            assert done.recorded == done.compiled < FEW_PATHS

    def test_rare_rows_beside_many_others_are_compiled_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As much time may go to them as went to the others: here at the second call."""
        done = Counts(monkeypatch)
        common, rare = np.linspace(0.05, 100.0, 40), [0.3, 33.3]
        x = np.concatenate([np.repeat(common, 2 * RARE), rare])
        batch: Any = tg.vmap(bisected, backend="numpy")
        expected = bits(batch(x))
        for _ in range(3):
            assert bits(batch(x)) == expected
        assert (done.plain, done.recorded) == (2, done.compiled + 2)

    def test_what_all_rows_share_is_computed_once_for_each_path(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Learning n paths takes work in proportion to n."""
        counts = []
        shared = BatchCode.shared
        for paths in (20, 40):
            done: list[BatchCode] = []

            def counted(code: BatchCode, inputs: Any, done: list[BatchCode] = done) -> Any:
                done.append(code)
                return shared(code, inputs)

            def f(w: Any, x: Any) -> Any:
                number = 0.0
                while number < x:
                    number += 1.0
                return w * x

            monkeypatch.setattr(BatchCode, "shared", counted)
            batch: Any = tg.vmap(f, in_axes=(None, 0), backend="numpy")
            batch(2.0, np.repeat(np.arange(float(paths)), RARE))
            assert len(batch.tapes) == paths
            counts.append(len(done))
        assert counts == [20, 40]


class TestTheirErrors:
    def test_of_the_function_name_the_row(self) -> None:
        """As those of recorded rows do."""

        def f(x: Any) -> Any:
            if x == 7.0:
                raise LookupError("mine")
            return bisected(x)

        x = np.linspace(0.05, 30.0, 60)
        x[41] = 7.0
        with pytest.raises(LookupError, match="mine") as caught:
            tg.vmap(f)(x)
        assert caught.value.__notes__ == ["raised at row 41 of the batch"]

    def test_of_other_structures_name_the_row(self) -> None:
        """A rare row returns what the others do."""

        def f(x: Any) -> Any:
            y = bisected(x)
            return (y, y) if x == 7.0 else y

        x = np.linspace(0.05, 30.0, 60)
        x[41] = 7.0
        text = refusal(errors.OutputError, lambda: tg.vmap(f)(x))
        assert text.startswith("row 41 of f ")
        assert "returned another structure than the rows before it" in text

    def test_of_a_function_that_needs_traced_numbers(self) -> None:
        """What fails with plain numbers is recorded: it is right there."""

        def f(x: Any) -> Any:
            y = bisected(x)
            return tg.where(~(x > 3.0), y, 2.0 * y)

        x = np.linspace(0.05, 30.0, 60)
        fast = tg.jit(f, eager_first=False)
        expected = [tg.record(f)(one).value for one in x.tolist()]
        assert np.allclose(np.asarray(tg.vmap(f)(x)), expected, 1e-12, 1e-12)
        assert [fast(one) for one in x.tolist()] == expected

    def test_too_many_paths(self) -> None:
        """Rare paths count, and a row counts once."""
        x = np.linspace(0.05, 100.0, 400)
        batch = tg.vmap(bisected, max_paths=50)
        text = refusal(errors.GuardError, lambda: batch(x))
        assert text.startswith("the rows take more than max_paths=50 paths; ")
        assert 1 <= int(text.split("; ")[1].split(" ")[0].replace(",", "")) <= 400
        assert f"part at {place(bisected, 'math.exp(middle) > x')}: spell that choice" in text

    def test_many_paths_earn_one_warning(self) -> None:
        """It names the function, their number, and the line that parts most."""
        batch: Any = tg.vmap(bisected)

        def calls() -> None:
            for seed in range(3):
                batch(np.abs(rows(300, seed)))

        with pytest.warns(UserWarning, match=r"has taken \d+ paths") as seen:
            calls()
        assert len(seen) == 1
        assert warned_at(seen) == place(calls, "batch(")
        line = place(bisected, "math.exp(middle) > x")
        assert f"most of them part at {line}: spell that choice" in str(seen[0].message)

    def test_the_lines_at_which_paths_part_are_counted_for_the_warning_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once, however many rows and calls follow."""
        counted: list[object] = []
        lines = PathRecorder._lines

        def count(recorder: PathRecorder) -> Any:
            counted.append(recorder)
            return lines(recorder)

        monkeypatch.setattr(PathRecorder, "_lines", count)
        batch: Any = tg.vmap(bisected)
        with pytest.warns(UserWarning, match="has taken 64 paths"):
            batch(np.geomspace(0.01, 140.0, 300))
        batch(np.geomspace(0.011, 139.0, 300))
        assert len(counted) == 1

    def test_calls_are_told_in_the_report(self) -> None:
        """Each row is counted once: on a path, or as a call of the function."""
        batch: Any = tg.vmap(tg.grad(bisected))
        x = np.linspace(0.05, 30.0, 60)
        for calls in range(1, 4):
            batch(x)
            (shape,) = batch.report().shapes
            assert sum(path.rows for path in shape.paths) + shape.calls == 60 * calls
        assert "calls of the function itself in " in str(batch.report())


class TestHessiansOfRareRows:
    def test_a_hessian_has_the_entries_of_rare_rows(self) -> None:
        """The pattern is that of the tapes, so that each path has one."""
        pytest.importorskip("scipy")

        def loss(p: Any, x: Any) -> Any:
            y = bisected(x)
            return p[0] * p[1] * y if x > 29.0 else p[0] * p[0] * y

        x = np.linspace(0.05, 30.0, 40)
        objective: Any = tg.objective(loss, [1.0, 2.0], x, reduce="sum")

        def total(p: Any) -> Any:
            return math.sum(loss(p, one) for one in x.tolist())

        expected = tg.hessian(total)([1.0, 2.0])
        found = objective.hess([1.0, 2.0])
        for row in range(2):
            for column in range(2):
                assert found[row][column] == pytest.approx(expected[str(row)][str(column)])
