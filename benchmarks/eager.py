"""The eager gradient: time beside micrograd and XAD, growth with the program, memory, import.

    python -m pip install -e '.[bench]' && python -m benchmarks.eager

Times are medians of alternating runs in one process, in seconds of the processor: of longer runs
more wait for other programs. Compare the ratios between machines, not the seconds.
"""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from operator import truediv
from statistics import median
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

from benchmarks.eager_programs import PROGRAMS, Functions, Program
from benchmarks.moons import loss, moons, network
from benchmarks.timing import refuse_to_differ
from tapegrad import Real, grad, math, record

POINTS, LABELS = moons(20, noise=0.1, seed=1337)
NETWORK = network((2, 16, 16, 1), seed=1337)
ROOT_HALF = sqrt(0.5)


def in_rounds(
    *runs: Callable[[], object], rounds: int, clock: Callable[[], float] = process_time
) -> list[list[float]]:
    """The seconds of each run in each round, the runs taking turns."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for seconds, run in zip(times, runs, strict=True):
            start = clock()
            run()
            seconds.append(clock() - start)
    return times


def alternating(*runs: Callable[[], object], rounds: int = 25) -> list[float]:
    """The median seconds of each run on a clock on the wall, the runs taking turns."""
    return list(map(median, in_rounds(*runs, rounds=rounds, clock=perf_counter)))


def micrograd_gradient() -> Callable[[], object]:
    """micrograd's gradient of the same loss at the same parameters, written as in its demo."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = MLP(2, [16, 16, 1])
    for parameter, value in zip(model.parameters(), flat(NETWORK), strict=True):
        parameter.data = value

    def gradient() -> object:
        inputs = [list(map(Value, point)) for point in POINTS]
        scores = list(map(model, inputs))
        losses = [(1 + -y * s).relu() for y, s in zip(LABELS, scores, strict=True)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        return [parameter.grad for parameter in model.parameters()]

    return gradient


def flat(net: object) -> list[float]:
    """The numbers in nested containers, in order."""
    if isinstance(net, float):
        return [net]
    assert isinstance(net, Sequence)
    return [number for part in net for number in flat(part)]


def beside_micrograd() -> None:
    def ours() -> object:
        return grad(loss)(NETWORK, POINTS, LABELS)

    def with_positions() -> object:
        return record(loss)(NETWORK, POINTS, LABELS).gradient()

    theirs = micrograd_gradient()
    got, want = flat(ours()), theirs()
    assert isinstance(want, list)
    assert max(abs(a - b) for a, b in zip(got, want, strict=True)) < 1e-12
    times = in_rounds(ours, with_positions, theirs, rounds=25)
    eager, positioned, micrograd = map(median, times)
    entries = len(record(loss)(NETWORK, POINTS, LABELS))
    print(f"moons, {entries:,} entries: gradient {eager * 1e3:.1f} ms")
    print(f"  micrograd / tapegrad                       {micrograd / eager:6.1f}")
    print(f"  micrograd / tapegrad, a tape with positions {micrograd / positioned:5.1f}")


OURS = Functions(math.cos, math.exp, math.log, math.norm_cdf, math.relu, math.sin, math.sqrt)


def function_of(program: Program) -> Callable[[list[float]], float]:
    """A program with our functions, as a function of its parameters alone."""

    def value(p: list[Real]) -> Real:
        return program.model(p, OURS)

    return value


def of_micrograd(program: Program) -> Callable[[], list[float]]:
    """micrograd's gradient of a rational program; it has relu and no other function."""
    from micrograd.engine import Value

    functions: Any = SimpleNamespace(relu=Value.relu)
    model: Any = program.model

    def gradient() -> list[float]:
        numbers = list(map(Value, program.parameters))
        model(numbers, functions).backward()
        return [number.grad for number in numbers]

    return gradient


def of_xad(program: Program) -> Callable[[], list[float]]:
    """XAD's gradient, from its tape in C++; its normal distribution is made of ``erf``."""
    import xad.adj_1st
    import xad.math

    library: Any = xad.math
    functions = Functions(
        library.cos,
        library.exp,
        library.log,
        lambda x: 0.5 * (1.0 + library.erf(x * ROOT_HALF)),
        lambda x: library.max(x, 0.0),
        library.sin,
        library.sqrt,
    )
    model: Any = program.model

    def gradient() -> list[float]:
        with xad.adj_1st.Tape() as tape:
            numbers = list(map(xad.adj_1st.Real, program.parameters))
            tape.registerInputs(numbers)
            tape.newRecording()
            result = model(numbers, functions)
            tape.registerOutput(result)
            result.derivative = 1.0
            tape.computeAdjoints()
            return [number.derivative for number in numbers]

    return gradient


def beside_others() -> None:
    """Prints the times of other libraries divided by ours, program by program.

    A ratio is the median of those of runs next to each other.
    """
    sys.setrecursionlimit(1_000_000)  # micrograd descends into the expression
    print(f"{'':18}operations   gradient   micrograd / tapegrad   XAD / tapegrad")
    for program in PROGRAMS:
        others = [of_xad(program), *([of_micrograd(program)] if program.rational else [])]
        ours = partial(grad(function_of(program)), program.parameters)
        for other in others:
            refuse_to_differ("tapegrad", ours(), "another library", other(), 1e-9)
        seconds, *times = in_rounds(ours, *others, rounds=25)
        ratios = [median(map(truediv, theirs, seconds)) for theirs in times]
        xad, micrograd = (f"{ratios[k]:.2f}" if k < len(ratios) else "" for k in (0, 1))
        count = operations(program)
        print(
            f"  {program.name:16}{count:10,}{median(seconds) * 1e3:8.2f} ms{micrograd:>23}{xad:>17}"
        )


def operations(program: Program) -> int:
    """The number of operations of a program: its entries but for inputs and constants."""
    stats = record(function_of(program))(program.parameters).stats()
    return stats.entries - stats.inputs - stats.constants


def dropping(p: tuple[Real, Real], steps: int) -> Real:
    x, y = p
    for _ in range(steps):
        x = x * y + y
    return x


def keeping(p: tuple[Real, Real], steps: int) -> Real:
    x, y = p
    kept = []
    for _ in range(steps):
        x = x * y + y
        kept.append(x)
    return kept[-1]


def growth() -> None:
    """Prints the time of an operation in a short program and in a long one.

    The garbage collector looks again and again at what a program keeps, and is measured apart.
    """
    for program in (dropping, keeping):
        print(f"{program.__name__} its values, ns an operation", end="")
        for collects in (True, False):
            (gc.enable if collects else gc.disable)()
            short, long = per_operation(program, 500, 200), per_operation(program, 500_000, 5)
            print(f"{'' if collects else ', without the collector'}:", end=" ")
            print(f"{short * 1e9:.0f} at 1,000, {long / short:.2f} times that", end="")
            print(" at 1,000,000" if collects else "", end="")
        print()
        gc.enable()


def per_operation(
    program: Callable[[tuple[float, float], int], float], steps: int, rounds: int
) -> float:
    """The median seconds of a gradient divided by the number of operations, two for each step."""
    (times,) = in_rounds(partial(grad(program), (0.5, 0.3), steps), rounds=rounds)
    return median(times) / (2 * steps)


def weight() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tape = record(dropping)((0.5, 0.3), 500_000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"a held tape: {(after - before) / len(tape):.1f} bytes an entry")


def import_time() -> None:
    """Prints the time of the import with cached bytecode, as in any installation."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run(module: str) -> Callable[[], object]:
        command = [sys.executable, "-c", f"import {module}"]
        return lambda: subprocess.run(command, check=True, env=environment)

    run("tapegrad")()

    empty, attrs, ours = alternating(run("sys"), run("attrs"), run("tapegrad"), rounds=21)
    print(f"import attrs {(attrs - empty) * 1e3:.0f} ms, tapegrad {(ours - empty) * 1e3:.0f} ms")
    print(f"  python -c 'import tapegrad' / 'import attrs' {ours / attrs:.2f}")
    print(f"  the same net of starting Python             {(ours - empty) / (attrs - empty):.2f}")


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    beside_micrograd()
    beside_others()
    growth()
    weight()
    import_time()


if __name__ == "__main__":
    main()
