"""The time of compiling and running an operation, for programs of growing length.

    python -m pip install -e '.[bench]' && python -m benchmarks.growth [--quick]

The program is Euler's method for the equations of Lotka and Volterra, eight operations a step. The
time of compiling is that of the first call minus that of a later one, so it includes recording. The
time of an empty program is subtracted from all times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Generic, NamedTuple

import numpy as np

import tapegrad as tg
from benchmarks.timing import Options, Peer, Run, asked, in_turns, machine, options, spelled
from tapegrad import Real

SIZES = (1_000, 10_000, 100_000)
PER_STEP = 8
ROWS = 4_096


class Start(NamedTuple, Generic[Real]):
    """The initial numbers of prey and of hunters."""

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
    gradient = tg.jit(tg.value_and_grad(populations), eager_first=False)

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


def growth(kind: str, make: Callable[[int], Run], rows: int, choice: Options) -> None:
    sizes = (0, *SIZES)
    peers = [Peer(str(size), "tapegrad", partial(make, size // PER_STEP)) for size in sizes]
    times = in_turns({peer.name: asked(peer) for peer in peers}, choice)
    later = {size: times[str(size)] - times["0"] for size in SIZES}
    first = {int(peer.name): compiling(peer, 1 if choice.quick else 3) for peer in peers}
    print(f"\n{kind:42}{''.join(f'{size:>14,}' for size in SIZES)}     most / least")
    compile_times = [(first[size] - first[0] - later[size]) / size for size in SIZES]
    print(line("compiling, per operation", compile_times))
    title = "running, per operation" + (" and row" if rows > 1 else "")
    print(line(title, [later[size] / size / rows for size in SIZES]))


def compiling(peer: Peer, rounds: int) -> float:
    return median(asked(peer).first for _ in range(rounds))


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
