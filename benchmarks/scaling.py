"""Batches on workers: the bytes that are sent, the time to compile, and the speed of two workers.

    python -m pip install -e '.[bench,dask]' && python -m benchmarks.scaling [--quick]

One worker process and two run an Asian option (asian.py) over rows in a file, and a system of two
equations over rows that are sent. All answers are compared with that of this process, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeAlias

import numpy as np

import tapegrad as tg
from benchmarks.asian import MARKET, payoff
from benchmarks.timing import Options, machine, options, spelled
from tapegrad import Real
from tapegrad.batch.remote.messages import serialised

Run: TypeAlias = Callable[[], Any]
Work: TypeAlias = Callable[[Executor | None], Run]
"""A function that makes the run for an executor, or for this process (None)."""

WORKERS = (1, 2)
DAYS = 250


def asian(rows: Any) -> Work:
    """The mean value and its gradient over rows that the workers read from a file."""

    def made(executor: Executor | None) -> Run:
        gradient = tg.value_and_grad(payoff)
        batch = tg.vmap(gradient, in_axes=(None, 0), reduce="mean", threads=1, executor=executor)
        return lambda: batch(MARKET, rows)

    return made


class Start(NamedTuple, Generic[Real]):
    """The initial numbers of prey and of hunters."""

    prey: Real
    hunters: Real


def populations(start: Start[Real], birth: float) -> Real:
    """The product of both numbers after `DAYS` steps of Lotka and Volterra's equations."""
    prey, hunters = start
    for _ in range(DAYS):
        born, eaten = birth - hunters, prey - 1.0
        prey, hunters = prey + 1e-2 * (born * prey), hunters + 1e-2 * (eaten * hunters)
    return prey * hunters


def sent(rows: int) -> Work:
    """The mean value and its gradient over rows that are sent: one number, and much arithmetic."""
    births = np.linspace(0.9, 1.1, rows)

    def made(executor: Executor | None) -> Run:
        gradient = tg.value_and_grad(populations)
        batch = tg.vmap(gradient, in_axes=(None, 0), reduce="mean", threads=1, executor=executor)
        return lambda: batch(Start(1.0, 0.5), births)

    return made


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """Fresh worker processes that have finished their imports."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        list(pool.map(abs, range(4 * count)))
        yield pool


def seconds(work: Work, pool: Executor | None, rounds: int) -> tuple[float, float, Any]:
    """The seconds of the first call, the median of the later ones, and the answer."""
    taken, run = [], work(pool)
    answer = None
    for _ in range(rounds + 1):
        start = perf_counter()
        answer = run()
        taken.append(perf_counter() - start)
    return taken[0], median(taken[1:]), answer


def bytes_sent(choice: Options) -> None:
    """Prints the size of what is sent to a worker for each path."""
    print("\nbytes sent for a path")
    batch = tg.vmap(tg.value_and_grad(payoff), in_axes=(None, 0), reduce="sum")
    for steps in (10, 50, 250) if choice.quick else (10, 50, 250, 1000):
        rows = np.random.default_rng(steps).standard_normal((8, steps))
        start = perf_counter()
        batch(MARKET, rows)
        made = perf_counter() - start
        size = len(serialised(batch.tapes[0]))
        entries = batch.report().shapes[0].paths[0].entries
        print(
            f"  {steps:5} steps: {entries:7,} entries, {size:9,} bytes, recorded and compiled in "
            f"{spelled(made)}"
        )


def scale(title: str, work: Work, choice: Options) -> None:
    """Prints the times of one worker and of two; exits if their answers differ from ours."""
    rounds = 3 if choice.quick else 9
    first, expected_time, expected = seconds(work, None, rounds)
    print(f"\n{title}\n  this thread {spelled(expected_time)}, its first call {spelled(first)}")
    times = {}
    for count in WORKERS:
        with workers(count) as pool:
            first, times[count], answer = seconds(work, pool, rounds)
        if answer != expected:
            raise SystemExit(f"{count} workers give {answer}, this process {expected}")
        print(f"  {count} workers   {spelled(times[count])}, the first call {spelled(first)}")
    print(f"  two workers are {times[1] / times[2]:.2f} times one; all bits are the same")


def draw() -> None:
    """Prints the time of drawing the numbers of a row."""
    source, times = np.random.default_rng(0), []
    for _ in range(9):
        start = perf_counter()
        source.standard_normal((20_000, 50))
        times.append((perf_counter() - start) / 20_000)
    print(f"\n50 normal numbers are drawn in {spelled(median(times))}")


def schedule(choice: Options) -> None:
    """Prints the time that Dask needs to schedule a piece."""
    if find_spec("distributed") is None:
        print("\nDask is left out: it is not installed")
        return
    import dask.array as da
    import distributed

    pieces = 64 if choice.quick else 256
    rows = da.ones((pieces * 4096,), chunks=4096)
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        batch = tg.vmap(lambda x: 2.0 * x, reduce="sum", executor=client.get_executor())
        _, taken, answer = seconds(lambda _: lambda: batch(rows), None, 3)
    if answer != 2.0 * len(rows):
        raise SystemExit(f"Dask gives {answer}")
    print(f"\nDask takes {spelled(taken / pieces)} for a piece of its own array")


def main() -> None:
    choice = options(__doc__)
    print(machine("numpy", "llvmlite"))
    bytes_sent(choice)
    draw()
    schedule(choice)
    blocks = 256 if choice.quick else 1024
    with TemporaryDirectory() as folder:
        path = Path(folder) / "normals"
        np.random.default_rng(0).standard_normal((blocks * 4096, 50)).tofile(path)
        rows = np.memmap(path, np.float64, "r", shape=(blocks * 4096, 50))
        scale(f"Asian option, {len(rows):,} rows of 50 in a file", asian(rows), choice)
    rows_sent = (512 if choice.quick else 4096) * 4096
    scale(f"two equations, {rows_sent:,} rows of 1, sent", sent(rows_sent), choice)


if __name__ == "__main__":
    main()
