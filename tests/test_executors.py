"""Rows on other threads, processes and clusters: the same bits, and tapes that travel alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, NamedTuple

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad.batch.remote import messages, worker
from tapegrad.batch.remote.fingerprint import difference
from tests.places import place, refusal

Floats = NDArray[np.float64]


class Market(NamedTuple, Generic[Real]):
    spot: Real
    volatility: Real


MARKET = Market(100.0, 0.1)


def barrier(market: Market[Real], steps: Sequence[float]) -> Real:
    """As many paths as steps."""
    spot = market.spot
    for step in steps:
        spot = spot * math.exp(market.volatility * step)
        if spot > 130.0:
            return spot * 0.5
    return math.relu(spot - 100.0)


def normals(rows: int, width: int = 3) -> Floats:
    return np.random.default_rng(rows).standard_normal((rows, width))


ROWS = normals(30_000)


def sums(executor: Any, rows: Any = ROWS, **options: Any) -> tg.ValueAndGrad[Market[float]]:
    given: Any = {"in_axes": (None, 0), "reduce": "sum", "executor": executor, **options}
    batch: Any = tg.vmap(tg.value_and_grad(barrier), **given)
    found: tg.ValueAndGrad[Market[float]] = batch(MARKET, rows)
    return found


class Inline(Executor):
    """Runs what is submitted at once, as long as ``may`` says so."""

    def __init__(self, change: Callable[[Any, int], Any] = lambda answer, number: answer) -> None:
        self.count = 0
        self.change = change
        self.sent: list[tuple[Any, ...]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        self.sent.append(args)
        future: Future[Any] = Future()
        try:
            future.set_result(self.change(fn(*args, **kwargs), self.count))
        except Exception as error:  # noqa: BLE001  # it is the future's
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield pool


class TestTheBits:
    """An executor gives the bits of this process."""

    @pytest.mark.parametrize("backend", ["llvm", "numpy"])
    def test_of_processes(self, processes: Executor, backend: Any) -> None:
        """Sums, estimates and arrays of fresh processes are those of this one."""
        assert sums(processes, backend=backend) == sums(None, backend=backend)
        estimates = [
            sums(pool, backend=backend, reduce="mean", stderr=True) for pool in (processes, None)
        ]
        assert estimates[0] == estimates[1]
        values, slopes = tg.vmap(
            tg.value_and_grad(barrier), in_axes=(None, 0), backend=backend, executor=processes
        )(MARKET, ROWS)
        here, there = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), backend=backend)(
            MARKET, ROWS
        )
        assert np.asarray(values).tobytes() == np.asarray(here).tobytes()
        for path in there.paths:
            assert slopes.column(path).tobytes() == there.column(path).tobytes()

    @pytest.mark.parametrize("workers", [1, 3])
    def test_of_threads(self, workers: int) -> None:
        """Of any number of threads too."""
        with ThreadPoolExecutor(workers) as pool:
            assert sums(pool) == sums(None)

    def test_of_other_modes_of_branches(self) -> None:
        """Masked and eager rows are dealt with as they are here."""
        high = np.full((10, 3), 3.0)
        for mode in ("mask", "eager"):
            found = []
            for executor in (Inline(), None):
                batch = tg.vmap(
                    tg.value_and_grad(barrier), in_axes=(None, 0), reduce="mean", on_branch=mode,
                    executor=executor,
                )  # fmt: skip
                batch(MARKET, high)
                found.append(batch(MARKET, ROWS[:5000]))
            assert found[0] == found[1]

    def test_of_streams(self) -> None:
        """An iterator of blocks goes to workers as an array does."""
        stream = (ROWS[start : start + 7000] for start in range(0, len(ROWS), 7000))
        assert sums(Inline(), stream) == sums(None)

    @pytest.mark.slow
    @pytest.mark.parametrize("start", ["fork", "forkserver"])
    def test_of_other_ways_to_start(self, start: str) -> None:
        """Processes that are forked give them too."""
        context = multiprocessing.get_context(start)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert sums(pool) == sums(None)


class TestWhatTravels:
    def test_tapes_not_functions(self, processes: Executor) -> None:
        """Workers run tapes: a function and classes that cannot be pickled go to processes."""

        class Local(NamedTuple, Generic[Real]):
            a: Real

        here = os.getpid()

        def f(p: Any, x: float) -> Any:
            assert os.getpid() == here
            return p.a * x if x > 0.0 else p.a - x

        x = normals(9000, 1)[:, 0]
        batch = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce="sum", executor=processes)
        alone = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce="sum")
        assert batch(Local(2.0), x) == alone(Local(2.0), x)

    def test_a_tape_goes_once(self) -> None:
        """A worker that holds a tape is sent its key alone; the second call sends none."""
        pool = Inline()
        batch = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum", executor=pool)
        first = batch(MARKET, ROWS)
        sizes = [len(sent[1]) for sent in pool.sent]
        assert max(sizes) > 2 * min(sizes)
        assert sizes[-1] == min(sizes[sizes.index(max(sizes)) :])
        assert batch(MARKET, ROWS) == first

    def test_a_worker_that_comes_late_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that lacks a tape says so, and gets it."""

        def forget(answer: Any, number: int) -> Any:
            if number % 3 == 0:
                monkeypatch.setattr(worker, "_CODES", worker._CodeCache())
            return answer

        assert sums(Inline(forget)) == sums(None)

    def test_a_tape_is_known_by_what_it_computes(self) -> None:
        """The same program recorded from another row has the same key."""
        tapes = [tg.record(tg.value_and_grad(barrier))(MARKET, row) for row in ((0.1,), (0.2,))]
        sent = [messages.serialised(tape) for tape in tapes]
        assert sent[0] == sent[1]
        assert tapes[0] != tapes[1]

    def test_a_file_goes_by_its_name(self, tmp_path: Any, processes: Executor) -> None:
        """Rows of a memmap are read by the workers; where they cannot, they are sent."""
        path = tmp_path / "rows"
        ROWS.tofile(path)
        mapped: Any = np.memmap(path, np.float64, "r", shape=ROWS.shape)
        pool = Inline()
        expected = sums(None)
        assert sums(pool, mapped) == sums(processes, mapped) == expected
        rows = [leaf for sent in pool.sent for leaf in sent[2:] if hasattr(leaf, "path")]
        assert rows

        def missing(answer: Any, _: int) -> Any:
            return answer

        moved = Inline(missing)

        def as_float64(leaf: Any) -> Any:
            if hasattr(leaf, "path"):
                raise FileNotFoundError("not here")
            return leaf

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tapegrad.batch.remote.worker.as_float64", as_float64)
            assert sums(moved, mapped) == expected

    def test_a_changed_file_is_not_taken_for_the_same(self, tmp_path: Any) -> None:
        """A place in a file names its size and time too."""
        from tapegrad.batch.file_arrays import file_array

        path = tmp_path / "rows"
        ROWS.tofile(path)
        place_of = file_array(np.memmap(path, np.float64, "r", shape=ROWS.shape))
        assert place_of is not None
        assert np.array_equal(np.asarray(place_of[5:9]), ROWS[5:9])
        os.utime(path, (0, 0))
        with pytest.raises(FileNotFoundError, match="is not here, or has been changed"):
            np.asarray(place_of[5:9])


class TestRefusals:
    def test_fingerprints_differ_in_words(self) -> None:
        """What differs is named, of a list what each has alone."""
        own = {"numpy": "2.0", "instructions": "avx,avx2,fma"}
        assert difference(own, own) is None
        assert difference(own, {**own, "numpy": "1.0"}) == "numpy 2.0 against 1.0"
        other = {**own, "instructions": "avx,sse"}
        assert difference(own, other) == "instructions avx2,fma against sse"

    def test_workers_on_another_path(self) -> None:
        """A worker on which no path can be taken says so, rather than guess."""
        from tapegrad.batch.row_runner import ChunkOptions, RowRunner

        runner = RowRunner((), {})
        text = refusal(
            errors.GuardError, lambda: runner.run((), range(1), ChunkOptions(sums=False))
        )
        assert text == (
            "a worker takes another path than was recorded, for numbers that are the same for all "
            "rows: two sides of a comparison differ by rounding alone; compare with a margin"
        )

    def test_workers_of_another_kind(self) -> None:
        """Workers whose bits may differ are named with what they differ in."""

        def other(answer: Any, number: int) -> Any:
            if number < 3:
                return answer
            other = {**answer.fingerprint, "numpy": "1.0"}
            return attrs.evolve(answer, worker="far:1", fingerprint=other)

        pool = Inline(other)

        def call() -> object:
            return sums(pool)

        text = refusal(errors.BackendError, call)
        version = np.__version__
        assert text == (
            f"workers {worker.worker_name()} and far:1 ({place(sums, 'batch(MARKET')}) differ in "
            f"numpy {version} against 1.0, so that sums would depend on who did which rows: use "
            "workers of one kind"
        )

    def test_workers_of_another_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker with another version of tapegrad refuses, and names both."""

        class Older(Inline):
            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                return super().submit(fn, "0.0.1", *args[1:])

        assert refusal(errors.BackendError, lambda: sums(Older())) == (
            f"worker {worker.worker_name()} has tapegrad {tg.__version__} and was sent work by "
            "0.0.1: install one version"
        )

    def test_workers_without_the_package(self) -> None:
        """A module that a worker cannot import is named."""

        class Bare(Inline):
            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                future: Future[Any] = Future()
                future.set_exception(ModuleNotFoundError("No module", name="tapegrad"))
                return future

        assert refusal(errors.BackendError, lambda: sums(Bare())) == (
            f"a worker cannot import tapegrad ({place(sums, 'batch(MARKET')}): install there what "
            "is installed here"
        )

    def test_an_executor_that_is_shut(self) -> None:
        """An executor that takes no work is refused with what it says."""
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        assert refusal(errors.BackendError, lambda: sums(pool)) == (
            f"the executor ({place(sums, 'batch(MARKET')}) takes no work (cannot schedule new "
            "futures after shutdown): pass one that is running"
        )

    def test_what_is_no_executor(self) -> None:
        """Neither an executor nor what makes one."""
        where = place(sums, "batch(MARKET")
        for executor in (5, lambda: 5):
            assert refusal(errors.InputError, partial(sums, executor)) == (
                f"executor ({where}) is an int (5): pass an executor of concurrent.futures, or a "
                "function that makes one"
            )

    def test_an_error_of_a_rule_comes_back_with_its_row(self, processes: Executor) -> None:
        """What a rule raises in a worker is raised here, the row noted."""
        x = np.ones(9000)
        x[8765] = 13.0
        batch = tg.vmap(lambda y: unlucky(y) * 2.0, executor=processes)
        with pytest.raises(ArithmeticError, match="thirteen") as caught:
            batch(x)
        assert "raised at row 8,765 of the batch" in caught.value.__notes__

    def test_a_rule_that_cannot_travel(self, processes: Executor) -> None:
        """A rule that is local to a function is refused by name before anything is sent."""

        @tg.primitive(partials=lambda y, x: 3.0, at=[1.0])
        def local(x: float) -> float:
            return 3.0 * x

        batch = tg.vmap(lambda y: local(y) * 2.0, executor=processes)

        def call() -> object:
            return batch(np.ones(10))

        name = "TestRefusals.test_a_rule_that_cannot_travel.<locals>.local"
        assert refusal(errors.BackendError, call) == (
            f"a rule cannot go to workers ({place(call, 'batch(')}): {name} is local to a "
            "function: define it at the top of a module to pickle it"
        )


@tg.primitive(partials=lambda y, x: 2.0, at=[1.0])
def unlucky(x: float) -> float:
    """A rule that cannot do 13."""
    if x == 13.0:
        raise ArithmeticError("thirteen")
    return 2.0 * x


@tg.primitive(partials=lambda y, x: 1.0, at=[1.0])
def deadly(x: float) -> float:
    """Kills the worker that runs it, once for each file that its number names."""
    mark = os.environ.get("TAPEGRAD_TEST_MARK", "")
    if x == 13.0 and mark and not os.path.exists(mark):  # noqa: PTH110  # as short as can be
        with open(mark, "w", encoding="utf-8"):  # noqa: PTH123  # the same
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return x


class TestBroken:
    """Workers that die."""

    @pytest.fixture
    def mark(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
        path = str(tmp_path / "mark")
        monkeypatch.setenv("TAPEGRAD_TEST_MARK", path)
        return path

    def rows(self) -> Floats:
        x = normals(60_000, 1)[:, 0].copy()
        x[50_000] = 13.0
        return x

    def test_a_broken_pool_names_the_rows_done(self, mark: str) -> None:
        """One error says how far it came, and what would have gone on."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            batch = tg.vmap(lambda y: deadly(y) * 2.0, reduce="sum", executor=pool)

            def call() -> object:
                return batch(self.rows())

            text = refusal(errors.BackendError, call)
        assert text.startswith("the executor broke when ")
        assert text.endswith(
            f" were done ({place(call, 'batch(')}): pass a function that makes executors, and "
            "what is left goes to another"
        )

    def test_a_function_that_makes_pools_goes_on(self, mark: str) -> None:
        """What was not done goes to another pool, and the bits are the same."""
        made: list[Executor] = []

        def make() -> Executor:
            made.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
            return made[-1]

        batch = tg.vmap(lambda y: deadly(y) * 2.0, reduce="sum", executor=make)
        found = batch(self.rows())
        assert len(made) == 2
        assert found == tg.vmap(lambda y: deadly(y) * 2.0, reduce="sum")(self.rows())
        with pytest.raises(RuntimeError, match="shutdown"):
            made[-1].submit(int)

    def test_pools_that_break_again_and_again_end_it(self) -> None:
        """After three that break with nothing done, it is given up."""
        from concurrent.futures.process import BrokenProcessPool

        made: list[Executor] = []

        class Broken(Inline):
            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                future: Future[Any] = Future()
                future.set_exception(BrokenProcessPool("again"))
                return future

        def make() -> Executor:
            made.append(Broken())
            return made[-1]

        text = refusal(errors.BackendError, lambda: sums(make))
        assert text.startswith("the executor broke when no rows were done")
        assert len(made) == 4

    def test_a_pool_that_breaks_before_it_is_asked(self) -> None:
        """A pool that is broken already is like one that breaks later."""
        from concurrent.futures.process import BrokenProcessPool

        class Broken(Inline):
            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                if self.count == 3:
                    raise BrokenProcessPool("before")
                return super().submit(fn, *args, **kwargs)

        def double(executor: Any) -> float:
            x = np.arange(50_000.0)
            batch = tg.vmap(tg.grad(lambda y: y * y), reduce="sum", executor=executor)
            found: float = batch(x)
            return found

        assert double(Broken) == double(None)
        assert refusal(errors.BackendError, lambda: double(Broken())).startswith(
            "the executor broke when rows 0 to "
        )

    def test_an_interrupt_cancels_what_waits(self) -> None:
        """Ctrl-C leaves nothing behind in the executor."""

        class Slow(Executor):
            def __init__(self) -> None:
                self.futures: list[Future[Any]] = []

            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                future: Future[Any] = Future()
                if not self.futures:
                    future.set_result(fn(*args))
                elif len(self.futures) == 1:
                    future.set_exception(KeyboardInterrupt())
                self.futures.append(future)
                return future

        pool = Slow()
        batch = tg.vmap(lambda x: x * 2.0, reduce="sum", executor=pool)
        with pytest.raises(KeyboardInterrupt):
            batch(np.ones(50_000))
        assert len(pool.futures) > 2
        assert all(future.cancelled() for future in pool.futures[2:])


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
class TestDask:
    """A real cluster, with workers in processes of their own."""

    def test_its_executor_gives_the_same_bits(self, client: Any) -> None:
        """Arrays and streams from here."""
        assert sums(client.get_executor()) == sums(None)
        stream = (ROWS[start : start + 7000] for start in range(0, len(ROWS), 7000))
        assert sums(client.get_executor(), stream) == sums(None)

    def test_its_arrays_stay_where_they_are(self, client: Any) -> None:
        """Rows of a Dask array are made by the workers that use them; the bits are the same."""
        import dask.array as da

        rows = da.from_array(ROWS, chunks=(5000, 2))
        assert sums(client.get_executor(), rows) == sums(None)
        assert sums(None, rows) == sums(None)

    def test_a_worker_that_dies_loses_nothing(self, client: Any, tmp_path: Any) -> None:
        """The scheduler has its rows done again, and no bit changes."""
        pids = list(client.run(os.getpid).values())
        killed: list[int] = []

        def kill(progress: Any) -> None:
            if progress.rows > 40_000 and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        rows = normals(400_000)
        found = sums(client.get_executor(), rows, callback=kill)
        assert killed
        assert found == sums(None, rows)
