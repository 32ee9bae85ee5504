"""Every operator under the eager gradient, in relation to ``x + y``.

    python -m benchmarks.operators

A program adds up the results of one operation, so that the sweep reaches all of them, and the time
of the additions is subtracted. An addition takes half of the time of a program of two. Times are
the least of alternating runs in one process: to record an operation, and to sweep it. Compare the
ratios between machines, not the nanoseconds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

from tapegrad import grad, math, where
from tapegrad.recording.trace import trace
from tapegrad.sweep.reverse import cotangents

Model: TypeAlias = Callable[[list[float]], float]

COUNT: Final = 500
POINT: Final = [1.25, 0.75]
SUM: Final = "x + y"
OPERATIONS: Final = (
    "x - y", "x * y", "x / y", "x % y", "x // y", "x + 1.5", "2.0 * x", "3 * x", "1.5 - x",
    "1.0 / x", "x / 2.0", "x ** 2", "x ** 0.5", "-x", "abs(x)", "math.sqrt(x)", "math.exp(x)",
    "math.log(x)", "math.sin(x)", "math.tanh(x)", "math.atan(x)", "math.erf(x)",
    "math.sigmoid(x)", "math.relu(x)", "math.maximum(x, y)", "math.atan2(x, y)", "x ** y",
    "math.hypot(x, y)", "math.norm_cdf(x)", "where(x > 0.0, x, y)",
)  # fmt: skip
GUARDS: Final = ("x > y", "x > 0.0")


def model(line: str) -> Model:
    """A program that runs a line many times."""
    source = f"def f(p):\n  x, y = p\n  t = x\n  for _ in range({COUNT}):\n    {line}\n  return t\n"
    names: dict[str, Model] = {}
    exec(source, {"math": math, "where": where}, names)  # noqa: S102  # of the lines above
    return names["f"]


def measured(models: Mapping[str, Model], rounds: int) -> dict[str, tuple[float, float]]:
    """The nanoseconds to record and to sweep a line of each, the least of alternating runs."""
    best = dict.fromkeys(models, (1e18, 1e18))
    for _ in range(rounds):
        for name, f in models.items():
            start = perf_counter()
            traced = trace(f, POINT, {})
            recorded = perf_counter()
            cotangents(traced.columns, {traced.outputs[0]: 1.0})
            seconds = recorded - start, perf_counter() - recorded
            least = (min(pair) for pair in zip(best[name], seconds, strict=True))
            best[name] = next(least), next(least)
    return {name: (a * 1e9 / COUNT, b * 1e9 / COUNT) for name, (a, b) in best.items()}


def operators(rounds: int = 60) -> None:
    """Prints a line for each operation."""
    models = {name: model(f"t = t + ({name})") for name in (SUM, *OPERATIONS)}
    models |= {name: model(f"if {name}: pass") for name in GUARDS}
    times = measured({"t + y": model("t = t + y"), "": model("pass"), **models}, rounds)
    addition, nothing, two = times.pop("t + y"), times.pop(""), times.pop(SUM)
    one = [(a - b) / 2 for a, b in zip(two, nothing, strict=True)]
    print(f"{'':24}record  sweep  / ({SUM})")
    print(f"  {SUM:22}{one[0]:5.0f}  {one[1]:5.0f}  {1:8.2f}")
    for name, taken in times.items():
        less = nothing if name in GUARDS else addition
        record, sweep = (a - b for a, b in zip(taken, less, strict=True))
        shown = f"if {name}:" if name in GUARDS else name
        print(f"  {shown:22}{record:5.0f}  {sweep:5.0f}  {(record + sweep) / sum(one):8.2f}")


def of_number(x: float) -> float:
    return math.sin(x) * x + 2.0


def of_list(p: list[float]) -> float:
    return (p[0] * p[1] + p[2]) * p[0]


def of_dict(p: Mapping[str, float]) -> float:
    return (p["a"] * p["b"] + p["b"]) * p["a"]


def tiny(count: int = 100, rounds: int = 300) -> None:
    """Prints the time of gradients of three operations."""
    runs: dict[str, Callable[[], object]] = {
        "a number": partial(grad(of_number), 0.5),
        "a list": partial(grad(of_list), [2.0, 3.0, 4.0]),
        "a dict": partial(grad(of_dict), {"a": 2.0, "b": 3.0}),
    }
    best = dict.fromkeys(runs, 1e9)
    for _ in range(rounds):
        for name, run in runs.items():
            start = perf_counter()
            for _ in range(count):
                run()
            best[name] = min(best[name], (perf_counter() - start) / count)
    shown = ", ".join(f"of {name} {seconds * 1e6:.1f} µs" for name, seconds in best.items())
    print(f"a gradient of three operations: {shown}")


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    operators()
    tiny()


if __name__ == "__main__":
    main()
