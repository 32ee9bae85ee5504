"""Python loops of thousands of steps, compiled: first and next answers beside jax's scan.

    python -m pip install -e '.[bench]' && python -m benchmarks.loops [--quick]

The programs are Lorenz's equations by the method of Runge and Kutta, with the slopes of the three
parameters and of the start, and the likelihood of a GARCH model, with its three slopes. They are
also written with ``scan``, compiled or not, and for jax with ``lax.scan``. No code is taken from
the cache on disk. The times of recording and compiling an entry are those that ``report()`` gives.
At the end lists of many lengths are called a few times each.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from functools import partial
from time import thread_time
from typing import Any, NamedTuple

import tapegrad as tg
from benchmarks.peers import floats, jax
from benchmarks.timing import (
    Options,
    Peer,
    Run,
    compare,
    first_answers,
    machine,
    options,
    per_call,
    report_first,
    spelled,
)
from tapegrad import Real, math

STEPS = 1_000
DAYS = (2_000, 10_000)
MANY_DAYS = 1_000_000
GROWTH = (6, 57, 570, 5_700)
LENGTHS = range(100, 150)
TIMES = (3, 30, 300)
STEP = 0.01
LORENZ = [10.0, 28.0, 8.0 / 3.0, 1.0, 1.0, 1.0]
GARCH = [0.1, 0.1, 0.8]


def slope(p: Sequence[Real], state: Sequence[Real]) -> list[Real]:
    """The derivative of the state of Lorenz's equations in time."""
    x, y, z = state
    return [p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z]


def along(state: Sequence[Real], by: float, slopes: Sequence[Real]) -> list[Real]:
    return [x + by * k for x, k in zip(state, slopes, strict=True)]


def step(p: Sequence[Real], state: Sequence[Real]) -> list[Real]:
    """One step of Runge and Kutta's method."""
    first = slope(p, state)
    second = slope(p, along(state, 0.5 * STEP, first))
    third = slope(p, along(state, 0.5 * STEP, second))
    last = slope(p, along(state, STEP, third))
    slopes = zip(first, second, third, last, strict=True)
    mean = [a + 2.0 * b + 2.0 * c + d for a, b, c, d in slopes]
    return along(state, STEP / 6.0, mean)


def lorenz(p: list[Real], steps: int) -> Real:
    state = p[3:]
    for _ in range(steps):
        state = step(p, state)
    return math.sum([x * x for x in state])


def garch(p: Sequence[Real], returns: Sequence[float]) -> Real:
    omega, alpha, beta = p
    variance, total = omega / (1.0 - alpha - beta), 0.0 * omega
    for r in returns:
        total = total + math.log(variance) + r * r / variance
        variance = omega + alpha * r * r + beta * variance
    return 0.5 * total


def lorenz_scan(p: list[Real], steps: int) -> Real:
    def body(state: list[Real], _: None) -> tuple[list[Real], None]:
        return step(p, state), None

    state, _ = tg.scan(body, p[3:], None, steps)
    return math.sum([x * x for x in state])


def garch_scan(p: list[Real], returns: Sequence[float]) -> Real:
    omega, alpha, beta = p

    def day(carry: tuple[Real, Real], r: float) -> tuple[tuple[Real, Real], None]:
        variance, total = carry
        total = total + math.log(variance) + r * r / variance
        return (omega + alpha * r * r + beta * variance, total), None

    start = omega / (1.0 - alpha - beta), 0.0 * omega
    (_, total), _ = tg.scan(day, start, returns)
    return 0.5 * total


class Program(NamedTuple):
    """A program, the same with ``scan`` and for jax, a point, and the data beside it."""

    ours: Any
    looped: Any
    theirs: Any
    point: list[float]
    data: Any


def eager(program: Program) -> Run:
    return lambda: flat(tg.value_and_grad(program.ours)(program.point, program.data))


def compiled(program: Program) -> Run:
    run = tg.jit(tg.value_and_grad(program.ours), eager_first=False)
    return lambda: flat(run(program.point, program.data))


def as_scan(program: Program) -> Run:
    return lambda: flat(tg.value_and_grad(program.looped)(program.point, program.data))


def compiled_scan(program: Program) -> Run:
    return compiled(program._replace(ours=program.looped))


def flat(answer: Any) -> list[float]:
    value, slopes = answer
    return [value, *slopes]


def scanned(program: Program) -> Run:
    np, data = jax().numpy, program.data
    static: tuple[int, ...] = (1,)
    if not isinstance(data, int):
        data, static = np.array(data), ()
    run = jax().jit(jax().value_and_grad(program.theirs), static_argnums=static)
    point = np.array(program.point)
    return lambda: floats(run(point, data))


def lorenz_jax(p: Any, steps: int) -> Any:
    np = jax().numpy

    def body(state: Any, _: None) -> tuple[Any, None]:
        return np.stack(step(p, state)), None

    state, _ = jax().lax.scan(body, p[3:], None, length=steps)
    return (state * state).sum()


def garch_jax(p: Any, returns: Any) -> Any:
    np = jax().numpy
    omega, alpha, beta = p

    def body(carry: Any, r: Any) -> tuple[Any, None]:
        variance, total = carry
        total = total + np.log(variance) + r * r / variance
        return (omega + alpha * r * r + beta * variance, total), None

    start = omega / (1.0 - alpha - beta), 0.0 * omega
    (_, total), _ = jax().lax.scan(body, start, returns)
    return 0.5 * total


def peers(program: Program) -> list[Peer]:
    return [
        Peer("tapegrad, compiled", "tapegrad", partial(compiled, program)),
        Peer("tapegrad, eager", "tapegrad", partial(eager, program)),
        *peers_by_scan(program),
    ]


def peers_by_scan(program: Program) -> list[Peer]:
    return [
        Peer("tapegrad, scan", "tapegrad", partial(compiled_scan, program)),
        Peer("tapegrad, scan eager", "tapegrad", partial(as_scan, program)),
        Peer("jax, scan", "jax", partial(scanned, program)),
    ]


def growth(choice: Options) -> None:
    """Prints the times of recording, compiling and running an entry, for more and more steps."""
    heads = "".join(f"{name:>13}" for name in ("recording", "compiling", "next"))
    print(f"\n{'Lorenz, an entry of the program':36}{heads}")
    for steps in GROWTH[:-1] if choice.quick else GROWTH:
        run = tg.jit(tg.value_and_grad(lorenz), eager_first=False)
        run(LORENZ, steps)
        ((path,),) = (shape.paths for shape in run.report().shapes)
        again = compiled(Program(lorenz, None, None, LORENZ, steps))
        again()
        call = min(per_call(again, 1) for _ in range(choice.rounds))
        times = (path.recording, path.compiling, call)
        columns = "".join(f"{spelled(seconds / path.entries):>13}" for seconds in times)
        print(f"  {steps:6,} steps,{path.entries:11,} entries   {columns}")


def lengths(choice: Options) -> None:
    """Prints what streams of lengths take beside eager calls, in the time of the thread."""
    draw = random.Random(7)
    data = [draw.gauss(0.0, 1.0) for _ in range(LENGTHS[-1])]
    programs: dict[str, tuple[Any, list[float], list[Any]]] = {
        "Lorenz": (lorenz, LORENZ, [*LENGTHS]),
        "GARCH": (garch, GARCH, [data[:length] for length in LENGTHS]),
    }
    heads = "".join(f"{name:>12}" for name in ("/ eager", "recorded", "compiled"))
    print(f"\n{f'{len(LENGTHS)} lengths, each called so often':36}{heads}")
    warnings.simplefilter("ignore")  # of so many lengths
    for name, (f, point, every) in programs.items():
        for times in TIMES[:-1] if choice.quick else TIMES:
            run, itself = tg.jit(tg.value_and_grad(f)), tg.value_and_grad(f)
            ratio = seconds(run, point, every, times) / seconds(itself, point, every, times)
            paths = [path for shape in run.report().shapes for path in shape.paths]
            made = sum(path.runs_on == "llvm" and not path.is_shared for path in paths)
            print(f"  {name:16}{times:6,} times          {ratio:12.2f}{len(paths):12}{made:12}")


def seconds(run: Any, point: list[float], every: Sequence[Any], times: int) -> float:
    """The seconds of calls with one after the other of these data, each so often."""
    started = thread_time()
    for data in every:
        for _ in range(times):
            run(point, data)
    return thread_time() - started


def normals(count: int) -> Any:
    """An array of returns."""
    import numpy as np

    return np.random.default_rng(7).normal(size=count)


def main() -> None:
    choice = options(__doc__)
    draw = random.Random(7)
    by_runge_and_kutta = Program(lorenz, lorenz_scan, lorenz_jax, LORENZ, STEPS)
    if choice.first is not None:
        report_first(peers(by_runge_and_kutta), choice.first)
        return
    print(machine("numpy", "llvmlite", "jax"))
    title = f"Lorenz, {STEPS:,} steps of Runge and Kutta, value and 6 slopes"
    compare(title, peers(by_runge_and_kutta), choice, "tapegrad, compiled", tolerance=1e-6)
    for days in DAYS:
        returns = [draw.gauss(0.0, 1.0) for _ in range(days)]
        program = Program(garch, garch_scan, garch_jax, GARCH, returns)
        title = f"GARCH, {days:,} days, value and 3 slopes"
        compare(title, peers(program), choice, "tapegrad, compiled")
    days = MANY_DAYS // 10 if choice.quick else MANY_DAYS
    many = Program(None, garch_scan, garch_jax, GARCH, normals(days))
    title = f"GARCH, {days:,} days, value and 3 slopes"
    compare(title, peers_by_scan(many), choice, "tapegrad, scan")
    growth(choice)
    lengths(choice)
    first_answers("benchmarks.loops", peers(by_runge_and_kutta), 120.0)


if __name__ == "__main__":
    main()
