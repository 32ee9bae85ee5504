"""Runs random programs on every road: ``python -m tests.fuzz FIRST COUNT [WORKERS]``.

Prints each program on which roads disagree, with its seed, and at the end how many programs each
judge saw. The status is 1 if there was one.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.judges import JUDGES
from tests.fuzz.programs import Case, make

CHUNK = 50


def judge(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """How many programs each judge saw, and what they found."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for seed in range(first, first + count):
        case = make(seed)
        for name, (every, run) in JUDGES.items():
            if seed // 2 % every:
                continue
            seen[name] += 1
            try:
                wrong = list(run(case))
            except Exception as error:  # noqa: BLE001  # any error is a finding
                wrong = [] if _raises(case, type(error)) else [traceback.format_exc()]
            found += [f"seed {seed}, {name}: {what}\n{case.source}" for what in wrong[:1]]
    return seen, found


def _raises(case: Case, kind: type[Exception]) -> bool:
    """Whether the function itself, on floats, raises such an error: for the int of an infinity."""
    for point in case.points:
        try:
            case.function(*point)
        except kind:
            return True
    return False


def main(first: int, count: int, workers: int = 1) -> int:
    """Runs the programs in processes."""
    warnings.simplefilter("ignore")
    seen: Counter[str] = Counter()
    wrong = 0
    starts = range(first, first + count, CHUNK)
    sizes = [min(CHUNK, first + count - start) for start in starts]
    with ProcessPoolExecutor(workers) as pool:
        for counted, found in pool.map(judge, starts, sizes):
            seen += counted
            wrong += len(found)
            for text in found:
                sys.stdout.write(text)
    last = first + count - 1
    sys.stdout.write(f"seeds {first} to {last}: {dict(seen)}; {wrong} findings\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
