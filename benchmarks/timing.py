"""Compares libraries: first their answers, then their times, measured in turns.

A *peer* is one way to compute an answer, such as a library. Every run returns its answer as plain
floats, so that work which a library postpones is timed, too. Compare the ratios between machines,
not the seconds.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeAlias

import attrs

__all__ = [
    "CORES", "Answer", "Options", "Peer", "Ready", "Run", "asked", "compare", "first_answers",
    "in_turns", "machine", "options", "refuse_to_differ", "report_first", "spelled",
]  # fmt: skip

Answer: TypeAlias = Iterable[float]
Run: TypeAlias = Callable[[], Answer]

CORES = os.cpu_count() or 1

os.environ["TAPEGRAD_CACHE"] = "0"  # a first call finds nothing that an earlier run compiled


@attrs.frozen
class Peer:
    """One way to compute an answer: its name, the library it needs, and a maker of its run."""

    name: str
    library: str
    make: Callable[[], Run]
    slow: bool = False  # left out with --quick

    @property
    def installed(self) -> bool:
        """Whether its library can be imported."""
        return find_spec(self.library) is not None


@attrs.frozen
class Ready:
    """A run that was called once: the seconds of making and calling it, and its answer."""

    run: Run
    first: float
    answer: list[float] = attrs.field(repr=False)


@attrs.frozen
class Options:
    """The options of the command line."""

    quick: bool
    first: str | None

    @property
    def seconds(self) -> float:
        """The seconds that each run is repeated before it is timed, so that compiling is over."""
        return 0.2 if self.quick else 2.0

    @property
    def rounds(self) -> int:
        """The number of times that each run is timed."""
        return 5 if self.quick else 25


def options(description: str | None) -> Options:
    """The options read from the command line."""
    parser = ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no slow peers")
    parser.add_argument("--first", metavar="PEER", help="time this peer's first answer, alone")
    read = parser.parse_args()
    return Options(read.quick, read.first)


def machine(*libraries: str) -> str:
    """The line with Python, processor, cores, system and the versions of the libraries."""
    here = [f"Python {platform.python_version()}", f"{processor()}, {CORES} cores"]
    there = [f"{name} {version(name)}" for name in libraries if find_spec(name)]
    return ", ".join([*here, platform.system(), *there])


def processor() -> str:
    """The processor's name where the system gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def ready(peers: Iterable[Peer], choice: Options, tolerance: float = 1e-9) -> dict[str, Ready]:
    """The runs of the peers that are installed, each made and called once.

    Exits if an answer is not that of the first peer.
    """
    made: dict[str, Ready] = {}
    for peer in peers:
        if not peer.installed:
            print(f"{peer.name}: left out, {peer.library} is not installed")
        elif not (peer.slow and choice.quick):
            made[peer.name] = asked(peer)
    (reference, want), *rest = made.items()
    for name, got in rest:
        refuse_to_differ(reference, want.answer, name, got.answer, tolerance)
    return made


def asked(peer: Peer) -> Ready:
    start = perf_counter()
    run = peer.make()
    answer = list(run())
    return Ready(run, perf_counter() - start, answer)


def refuse_to_differ(
    reference: str, want: Answer, name: str, got: Answer, tolerance: float
) -> None:
    for index, (ours, theirs) in enumerate(zip(want, got, strict=True)):
        if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance):
            raise SystemExit(f"{reference} gives {ours!r} at {index}, {name} {theirs!r}")


def in_turns(
    sides: Mapping[str, Ready],
    choice: Options,
    of: Callable[[Sequence[float]], float] = median,
) -> dict[str, float]:
    """The median seconds of each run, or another of all, measured in turns."""
    counts = {name: settled(side.run, choice.seconds) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(choice.rounds):
        for name, side in sides.items():
            # One call before: it fills the caches, and threads of the previous run come to rest.
            side.run()
            times[name].append(per_call(side.run, counts[name]))
    return {name: of(seconds) for name, seconds in times.items()}


def settled(run: Run, seconds: float) -> int:
    """The number of calls that take about ten milliseconds, found by calling for ``seconds``."""
    end = perf_counter() + seconds
    while True:
        taken = per_call(run, 1)
        if perf_counter() > end:
            return max(1, int(0.01 / taken))


def per_call(run: Run, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        run()
    return (perf_counter() - start) / count


def spelled(seconds: float) -> str:
    """A time with its unit, ten characters wide."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:7.2f} {unit:2}"
    return f"{seconds / 1e-9:7.2f} ns"


def compare(
    title: str, peers: Iterable[Peer], choice: Options, *beside: str, tolerance: float = 1e-9
) -> None:
    """Prints the times of first and later answers of each peer, and their ratios to ``beside``."""
    sides = ready(peers, choice, tolerance)
    times = in_turns(sides, choice)
    width = max(map(len, sides)) + 2
    heads = "".join(f"  / {name}" for name in beside)
    print(f"\n{title}\n{'first':>{width + 9}}{'next':>11}{heads}")
    for name, seconds in times.items():
        ratios = (f"{seconds / times[one]:{len(one) + 4}.2f}" for one in beside)
        first = spelled(sides[name].first)
        print(f"  {name:{width}}{first} {spelled(seconds)}{''.join(ratios)}")


def report_first(peers: Iterable[Peer], name: str) -> None:
    """Prints the seconds of the import, and from there to the answer; runs in a fresh process."""
    (peer,) = (peer for peer in peers if peer.name == name)
    known, start = peer.library in sys.modules, perf_counter()
    importlib.import_module(peer.library)
    imported = perf_counter()
    peer.make()()
    print(0.0 if known else imported - start, perf_counter() - imported)


def first_answers(module: str, peers: Iterable[Peer], limit: float) -> None:
    """Prints the time to each peer's first answer in a fresh process, without the import."""
    print(f"\nfirst answers, in fresh processes\n{'apart from':>52}   the import")
    for peer in peers:
        command = [sys.executable, "-m", module, "--first", peer.name]
        try:
            run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"  {peer.name:40} none in {limit:.0f} s")
            continue
        loading, answering = map(float, run.stdout.split()[-2:])
        imported = f"   {spelled(loading)}" if loading else ""
        print(f"  {peer.name:40}{spelled(answering)}{imported}")
