"""Runs random programs on every road: ``python -m tests.fuzz FIRST COUNT [WORKERS [KIND]]``.

KIND is ``loops`` for programs with loops, whose code with loops is compared with straight code,
``nests`` for loops inside loops, and ``arrays`` for programs of arrays.
Prints each program on which roads disagree, with its seed, and at the end how many programs each
judge saw. The status is 1 if there was one.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

from tests.fuzz import array_programs, loop_programs, nest_programs, programs
from tests.fuzz.array_judges import ARRAY_JUDGES
from tests.fuzz.judges import JUDGES
from tests.fuzz.loop_judges import LOOP_JUDGES

CHUNK = 50

KINDS: Mapping[str, tuple[Any, Mapping[str, tuple[int, Any]]]] = {
    "all": (programs.make, JUDGES),
    "loops": (loop_programs.make, LOOP_JUDGES),
    "nests": (nest_programs.make, LOOP_JUDGES),
    "arrays": (array_programs.make, ARRAY_JUDGES),
}
"""Kinds of programs: what makes one, and what judges it."""


def judge(first: int, count: int, kind: str = "all") -> tuple[Counter[str], list[str]]:
    """How many programs each judge saw, and what they found."""
    make, judges = KINDS[kind]
    seen: Counter[str] = Counter()
    found: list[str] = []
    for seed in range(first, first + count):
        case = make(seed)
        for name, (every, run) in judges.items():
            if seed // 2 % every:
                continue
            seen[name] += 1
            try:
                wrong = list(run(case))
            except Exception as error:  # noqa: BLE001  # any error is a finding
                wrong = [] if _raises(case, type(error)) else [traceback.format_exc()]
            found += [f"seed {seed}, {name}: {what}\n{case.source}" for what in wrong[:1]]
    return seen, found


def _raises(case: Any, kind: type[Exception]) -> bool:
    """Whether the function itself, on floats, raises such an error: for the int of an infinity."""
    for point in case.points:
        try:
            case.function(*point)
        except kind:
            return True
    return False


def main(first: int, count: int, workers: int = 1, kind: str = "all") -> int:
    """Runs the programs in processes."""
    warnings.simplefilter("ignore")
    seen: Counter[str] = Counter()
    wrong = 0
    starts = range(first, first + count, CHUNK)
    sizes = [min(CHUNK, first + count - start) for start in starts]
    with ProcessPoolExecutor(workers) as pool:
        for counted, found in pool.map(judge, starts, sizes, repeat(kind)):
            seen += counted
            wrong += len(found)
            for text in found:
                sys.stdout.write(text)
    last = first + count - 1
    sys.stdout.write(f"seeds {first} to {last}: {dict(seen)}; {wrong} findings\n")
    return int(wrong > 0)


if __name__ == "__main__":
    first, count, workers, kind, *_ = [*sys.argv[1:], *["", "", "1", "all"][len(sys.argv) - 1 :]]
    sys.exit(main(int(first), int(count), int(workers), kind))
