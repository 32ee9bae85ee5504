"""Peers side by side: first their answers compared, then their times, in turns.

Every run gives its answer as plain floats, so that nobody is timed for work that was put off, and
nobody for other numbers than ours. Ratios travel between machines, seconds do not.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeAlias

import attrs

__all__ = [
    "CORES", "Answer", "Options", "Peer", "Run", "agree", "first_answers", "in_turns", "machine",
    "options", "prepare", "report_first", "spelled", "table",
]  # fmt: skip

Answer: TypeAlias = Iterable[float]
Run: TypeAlias = Callable[[], Answer]

CORES = os.cpu_count() or 1


@attrs.frozen
class Peer:
    """One way to the answer: what it is called, what it imports, and how its run is made."""

    name: str
    library: str
    make: Callable[[], Run]
    slow: bool = False  # left out with --quick

    @property
    def installed(self) -> bool:
        """Whether its library can be imported."""
        return find_spec(self.library) is not None


@attrs.frozen
class Options:
    """The command line."""

    quick: bool
    first: str | None

    @property
    def seconds(self) -> float:
        """How long each run goes before its times count, so that whoever compiles is done."""
        return 0.2 if self.quick else 2.0

    @property
    def rounds(self) -> int:
        """How many times count."""
        return 5 if self.quick else 25


def options(description: str | None) -> Options:
    """The command line, read."""
    parser = ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no slow peers")
    parser.add_argument("--first", metavar="PEER", help="time this peer's first answer, alone")
    read = parser.parse_args()
    return Options(read.quick, read.first)


def machine(*libraries: str) -> str:
    """Processor, cores, Python and the versions of the libraries, for the head of a listing."""
    here = [f"Python {platform.python_version()}", f"{processor()}, {CORES} cores"]
    there = [f"{name} {version(name)}" for name in libraries if find_spec(name)]
    return ", ".join([*here, platform.system(), *there])


def processor() -> str:
    """The processor's name where the system tells, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def prepare(peers: Iterable[Peer], choice: Options) -> dict[str, Run]:
    """The runs of the peers that are installed; of the others a sentence is printed."""
    runs = {}
    for peer in peers:
        if not peer.installed:
            print(f"{peer.name}: left out, {peer.library} is not installed")
        elif not (peer.slow and choice.quick):
            runs[peer.name] = peer.make()
    return runs


def agree(runs: Mapping[str, Run], tolerance: float = 1e-9) -> None:
    """Ask all runs once, and refuse to go on where one differs from the first."""
    (reference, want), *rest = ((name, list(run())) for name, run in runs.items())
    for name, got in rest:
        for index, (ours, theirs) in enumerate(zip(want, got, strict=True)):
            if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance):
                raise SystemExit(f"{reference} gives {ours!r} at {index}, {name} {theirs!r}")


def in_turns(runs: Mapping[str, Run], choice: Options) -> dict[str, float]:
    """The median seconds of each run, the runs taking turns."""
    counts = {name: settled(run, choice.seconds) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(choice.rounds):
        for name, run in runs.items():
            # Once for the caches, and for threads of the run before that may still spin.
            run()
            times[name].append(per_call(run, counts[name]))
    return {name: median(seconds) for name, seconds in times.items()}


def settled(run: Run, seconds: float) -> int:
    """How many calls take some ten milliseconds, after as many as fill the seconds."""
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
    """Seconds with a unit, in ten columns."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:7.2f} {unit:2}"
    return f"{seconds / 1e-9:7.2f} ns"


def table(title: str, times: Mapping[str, float], *beside: str) -> None:
    """Print the times, and their ratios to the times of those beside."""
    named = [name for name in beside if name in times]
    print(f"\n{title}")
    width = max(map(len, times)) + 2
    print(" " * (width + 10) + "".join(f"  / {name}" for name in named))
    for name, seconds in times.items():
        ratios = (f"{seconds / times[one]:{len(one) + 4}.2f}" for one in named)
        print(f"  {name:{width - 2}}{spelled(seconds)}{''.join(ratios)}")


def report_first(peers: Iterable[Peer], name: str) -> None:
    """In a fresh process: print the seconds of the import, and of all else up to the answer."""
    (peer,) = (peer for peer in peers if peer.name == name)
    start = perf_counter()
    importlib.import_module(peer.library)
    imported = perf_counter()
    peer.make()()
    print(imported - start, perf_counter() - imported)


def first_answers(module: str, peers: Iterable[Peer], limit: float) -> dict[str, float]:
    """Print how long each peer takes to its first answer in a fresh process, imports apart."""
    print("\nfirst answer, in a fresh process        after the import   the import")
    taken = {}
    for peer in peers:
        command = [sys.executable, "-m", module, "--first", peer.name]
        try:
            run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"  {peer.name:40} none in {limit:.0f} s")
            continue
        loading, answering = map(float, run.stdout.split()[-2:])
        taken[peer.name] = answering
        print(f"  {peer.name:40}{spelled(answering)}     {spelled(loading)}")
    return taken
