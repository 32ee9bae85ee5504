"""How compiling and running grow with the program: per operation, net of an empty call.

    python -m pip install -e '.[bench]' && python -m benchmarks.growth [--quick]

The program is Lotka and Volterra's equations in steps of Euler's, eight operations each. Compiling
is what the first call takes longer than the next ones; recording the program is part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Generic, NamedTuple

import numpy as np

import tapegrad as tg
from benchmarks.timing import Options, Run, in_turns, machine, options, spelled
from tapegrad import Real

SIZES = (1_000, 10_000, 100_000)
PER_STEP = 8
ROWS = 4_096


class Start(NamedTuple, Generic[Real]):
    """Hares and lynxes."""

    prey: Real
    hunters: Real


START = Start(1.0, 0.5)
BIRTHS = np.linspace(0.9, 1.1, ROWS)


def populations(start: Start[Real], birth: float, steps: int) -> Real:
    prey, hunters = start
    for _ in range(steps):
        born, eaten = birth - hunters, prey - 1.0
        prey, hunters = prey + 1e-3 * (born * prey), hunters + 1e-3 * (eaten * hunters)
    return prey * hunters


def one_call(steps: int) -> Run:
    gradient = tg.jit(tg.value_and_grad(populations))

    def run() -> list[float]:
        value, slope = gradient(START, 1.0, steps)
        return [value, *slope]

    return run


def many_rows(steps: int) -> Run:
    gradient = tg.value_and_grad(populations)
    mean = tg.vmap(gradient, in_axes=(None, 0, None), reduce="mean")

    def run() -> list[float]:
        value, slope = mean(START, BIRTHS, steps)
        return [value, *slope]

    return run


def first_call(make: Callable[[int], Run], steps: int) -> float:
    run = make(steps)
    start = perf_counter()
    run()
    return perf_counter() - start


def compiling(make: Callable[[int], Run], steps: int, rounds: int) -> float:
    return median(first_call(make, steps) for _ in range(rounds))


def growth(kind: str, make: Callable[[int], Run], rows: int, choice: Options) -> None:
    rounds = 1 if choice.quick else 3
    runs = {str(size): make(size // PER_STEP) for size in (0, *SIZES)}
    times = in_turns(runs, choice)
    empty = compiling(make, 0, rounds)
    firsts, laters = [], []
    for size in SIZES:
        later = times[str(size)] - times["0"]
        laters.append(later / size / rows)
        firsts.append((compiling(make, size // PER_STEP, rounds) - empty - later) / size)
    print(f"\n{kind:42}{''.join(f'{size:>14,}' for size in SIZES)}     most / least")
    print(line("compiling, per operation", firsts))
    print(line("running, per operation" + (" and row" if rows > 1 else ""), laters))


def line(title: str, times: list[float]) -> str:
    columns = "".join(f"    {spelled(seconds)}" for seconds in times)
    return f"  {title:40}{columns}{max(times) / min(times):17.2f}"


def main() -> None:
    choice = options(__doc__)
    print(machine("numpy", "llvmlite"))
    growth("one call at a time", one_call, 1, choice)
    growth(f"{ROWS:,} rows", many_rows, ROWS, choice)


if __name__ == "__main__":
    main()
