"""Streams of calls of a function made by ``jit``, in relation to calls of the function itself.

Run it with ``python -m benchmarks.streams``. Times are those of the thread, summed over all calls
of a stream from the first one on, so that all recording and compiling is in them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from time import thread_time
from typing import Final

import attrs

from benchmarks.timing import machine
from tapegrad import Real, jit, math, value_and_grad

CALLS: Final = 3_000
"""The calls of a stream."""


@attrs.frozen
class Stream:
    """Numbers, and the folds that each call does with them."""

    name: str
    arguments: Callable[[int], tuple[list[float], int]]


STREAMS: Final = (
    Stream("always the same", lambda _: ([0.1] * 20, 8)),
    Stream("always a new path", lambda number: ([number * 0.6180339887 % 1.0], 30)),
    Stream("40 paths in turn", lambda number: ([number % 40 * 0.6180339887 % 1.0], 30)),
    Stream("5 lengths in turn", lambda number: ([0.1] * (10 + number % 5), 0)),
    Stream("100 lengths in turn", lambda number: ([0.1] * (1 + number % 100), 0)),
    Stream("each length twice", lambda number: ([0.1] * (1 + number // 2 % 300), 0)),
    Stream("100 static values", lambda number: ([0.1], number % 100)),
    Stream("always a new value", lambda number: ([0.1], number)),
)


def folded(xs: Sequence[Real], folds: int) -> Real:
    """A sum, and some folds of a tent map, each of which is a choice between two ways."""
    y = math.sum(xs)
    for _ in range(folds % 37):
        y = 2.0 * y if y < 0.5 else 2.0 - 2.0 * y
    return y * y


def seconds(f: Callable[[list[float], int], object], stream: Stream) -> list[float]:
    """The seconds that all calls of a stream have taken, after each of them."""
    return list(islice(_seconds(f, stream), CALLS))


def _seconds(f: Callable[[list[float], int], object], stream: Stream) -> Iterator[float]:
    total, call = 0.0, 0
    while True:
        numbers, folds = stream.arguments(call)
        started = thread_time()
        f(numbers, folds)
        total, call = total + thread_time() - started, call + 1
        yield total


def compare(title: str, f: Callable[[list[float], int], object]) -> None:
    """Prints a line for each stream."""
    print(f"\n{title:24}{'a call':>10}{'all':>9}{'last quarter':>15}{'beyond twice':>15}")
    for stream in STREAMS:
        itself, jitted = seconds(f, stream), seconds(jit(f), stream)
        quarter = CALLS - CALLS // 4
        last = (jitted[-1] - jitted[quarter]) / (itself[-1] - itself[quarter])
        beyond = max(0.0, *(ours - 2.0 * own for ours, own in zip(jitted, itself, strict=True)))
        print(
            f"  {stream.name:22}{itself[-1] / CALLS * 1e6:7.1f} µs{jitted[-1] / itself[-1]:9.2f}"
            f"{last:15.2f}{beyond * 1e3:12.1f} ms"
        )


def main() -> None:
    warnings.simplefilter("ignore")  # of many paths, and of many static values
    print(machine("llvmlite"))
    jit(folded).compile([0.1], 1)  # loads the compiler
    compare("value and gradient", value_and_grad(folded))
    compare("value", folded)


if __name__ == "__main__":
    main()
