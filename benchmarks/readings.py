"""The cost of questions to a tape (listing, counts, explanation, ...) beside one reverse sweep.

    python -m benchmarks.readings

Times are medians of alternating runs. Compare the ratios between machines, not the seconds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.eager import alternating
from tapegrad import Real, math, record


def asian(p: Mapping[str, Real], paths: int, steps: int) -> Real:
    """An average price over price paths: a loop in a loop, and a guard for each price path."""
    total = 0.0 * p["spot"]
    for i in range(paths):
        spot = p["spot"]
        sum_ = 0.0 * spot
        for j in range(steps):
            drift = (0.05 - p["vol"] * p["vol"] / 2.0) / steps
            noise = math.sin(float(i * j)) / steps**0.5
            spot = spot * math.exp(drift + p["vol"] * noise)
            sum_ = sum_ + spot
        if sum_ > 100.0 * steps:
            total = total + (sum_ / steps - 100.0)
    return total / paths


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for paths in (4, 40):
        tape = record(asian)({"spot": 100.0, "vol": 0.2}, paths, 252)
        moved = tape.replay({"spot": 100.0, "vol": 0.2000001}, paths, 252)
        readings: dict[str, Callable[[], object]] = {
            "print(tape)": partial(str, tape),
            "lines()": tape.lines,
            "stats()": tape.stats,
            "first_nonfinite()": tape.first_nonfinite,
            "diff(itself)": partial(tape.diff, tape),
            "diff(moved)": partial(tape.diff, moved),
            "explain(wrt='vol')": partial(tape.explain, wrt="vol"),
        }
        sweep, *times = alternating(tape.cotangents, *readings.values(), rounds=9)
        each = sweep * 1e9 / len(tape)
        print(f"{len(tape):,} entries, one reverse sweep {each:.0f} ns an entry")
        for name, time in zip(readings, times, strict=True):
            print(f"  {name:20}{time / sweep:.2f} sweeps")


if __name__ == "__main__":
    main()
