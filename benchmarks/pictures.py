"""The cost of pictures: by line beside a reverse sweep, of a small tape beside ``dot`` alone.

    python -m benchmarks.pictures

Times are medians of alternating runs. Compare the ratios between machines, not the seconds. The
last part needs the ``dot`` program.
"""

from __future__ import annotations

import platform
import subprocess
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.eager import alternating
from tapegrad import Real, math, record


def walk(x: Real, steps: int) -> Real:
    """A loop over operations with one operand, with two and with a static one, and a guard."""
    y = x
    for _ in range(steps):
        y = math.sin(y) * 0.9 + x
        if y > 1.0:
            y = y - 0.25 * y**2
    return y


def by_line() -> None:
    for steps in (10_000, 100_000):
        tape = record(walk)(0.7, steps)
        sweep, drawn, table = alternating(
            tape.cotangents, partial(tape.to_dot, by="line"), partial(str, tape), rounds=9
        )
        memory = [peak(run) / len(tape) for run in (tape.cotangents, tape.to_dot)]
        print(f"{len(tape):,} entries, one reverse sweep {sweep * 1e9 / len(tape):.0f} ns an entry")
        print(f"  to_dot(by='line') / sweep {drawn / sweep:.2f}")
        print(f"  print(tape) / sweep       {table / sweep:.2f}")
        print(f"  bytes an entry at the peak: sweep {memory[0]:.0f}, to_dot {memory[1]:.0f}")


def peak(run: Callable[[], object]) -> int:
    """The most bytes that a run holds at once."""
    tracemalloc.start()
    run()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


def by_node() -> None:
    tape = record(walk)(0.7, 13)
    with TemporaryDirectory() as folder:
        text, ours, theirs = (Path(folder) / name for name in ("a.dot", "a.svg", "b.svg"))
        tape.draw(text)
        command = ["dot", "-Tsvg", f"-o{theirs}", str(text)]
        drawn, laid_out = alternating(
            lambda: tape.draw(ours), lambda: subprocess.run(command, check=True), rounds=15
        )
    print(f"{len(tape)} entries by node: draw(.svg) / dot -Tsvg {drawn / laid_out:.2f}")


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    by_line()
    by_node()


if __name__ == "__main__":
    main()
