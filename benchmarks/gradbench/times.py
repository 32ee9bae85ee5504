r"""The times of all evals at the suite's sizes, beside other tools that speak its protocol.

    python -m benchmarks.gradbench.times [--quick] [--only det lse] \
        [--against NAME COMMAND]... [--in FOLDER]

Each ``COMMAND`` is run in ``FOLDER``, a checkout of the suite, as its driver would: for the
derivatives written in C++ it is ``python3 python/gradbench/gradbench/cpp.py manual``, with
PYTHONPATH set to ``python/gradbench``. Functions run for a second each; the first run and the
median of the later ones are printed, and the largest relative difference of the outputs.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, TypeAlias, cast

import attrs
import numpy as np

from benchmarks.gradbench.tool import responses
from benchmarks.timing import machine

Message: TypeAlias = Mapping[str, Any]
Input: TypeAlias = dict[str, Any]
Ask: TypeAlias = Callable[[Message], Any]
"""Gives the response to a message."""

MODES = "rr", "ff", "fr", "rf"
"""Which way the outer derivative is taken, and the inner one."""

SIZES: Mapping[str, tuple[Any, ...]] = {
    "det": (5, 6, 7, 8, 9, 10, 11),
    "lse": (2_500, 10_000, 40_000, 160_000, 640_000, 1_280_000),
    "llsq": (16, 64, 256, 1_024, 4_096, 16_392),
    "ode": ((1_000, 1), (1_000, 100), (10_000, 10), (100_000, 1), (100_000, 10)),
    "saddle": MODES,
    "particle": MODES,
    "kmeans": ((10, 1_000, 8), (10, 10_000, 16), (100, 1_000, 8), (100, 10_000, 16)),
    "gmm": ((2, 5), (10, 5), (10, 25), (20, 50), (64, 5), (64, 25)),
    "ba": ((49, 7_776, 31_843), (161, 48_126, 182_072)),
    "lstm": ((2, 1_024), (2, 4_096), (4, 1_024), (4, 4_096)),
    "ht": ((544, 100, 1), (544, 100, 3), (544, 6_400, 3), (10_000, 100, 3), (10_000, 6_400, 3)),
}
"""The sizes that are run of each eval; the suite has some more between them."""

DERIVATIVES = {"kmeans": "dir", **dict.fromkeys(("gmm", "ba", "lstm", "ht"), "jacobian")}
"""The names of the derivatives, where they are not ``gradient``; descent has its modes."""


def clusters(size: tuple[int, int, int], draw: np.random.Generator) -> Input:
    """So many centroids, which are points, of so many points in so many dimensions."""
    points = draw.random(size[1:]).tolist()
    return {"points": points, "centroids": points[-size[0] :]}


def mixture(size: tuple[int, int], draw: np.random.Generator) -> Input:
    """A thousand points in ``d`` dimensions, and ``k`` components."""
    d, k = size
    parts = {
        "x": draw.normal(size=(1_000, d)), "alpha": draw.normal(size=k),
        "mu": draw.random((k, d)), "q": draw.normal(size=(k, d)),
        "l": draw.normal(size=(k, d * (d - 1) // 2)),
    }  # fmt: skip
    numbers = {"d": d, "k": k, "n": 1_000, "m": 0, "gamma": 1.0}
    return numbers | {name: part.tolist() for name, part in parts.items()}


def scene(size: tuple[int, int, int], draw: np.random.Generator) -> Input:
    """So many cameras, points and observations, all of them alike."""
    one = {"cam": draw.random(11).tolist(), "x": [0.5, 0.2, 4.0], "w": 0.9, "feat": [0.1, 0.2]}
    return one | dict(zip("nmp", size, strict=True))


def recurrent(size: tuple[int, int], draw: np.random.Generator) -> Input:
    """A network of so many layers, and a sequence of so many rows of fourteen bits."""
    layers, count = size
    parts = {
        "main_params": draw.random((2 * layers, 56)), "extra_params": draw.random((3, 14)),
        "state": draw.random((2 * layers, 14)), "sequence": 1.0 * draw.integers(0, 2, (count, 14)),
    }  # fmt: skip
    return {name: part.tolist() for name, part in parts.items()}


def hand(size: tuple[int, int, int], draw: np.random.Generator) -> Input:
    """A hand of 22 bones, and so many points, each in a triangle, or at a corner."""
    vertices, count, corners = size
    moves = 0.5 * draw.normal(size=(2, 22, 4, 4))
    skin = draw.normal(size=(vertices, 4))
    moves[..., 3, :], skin[:, 3] = (0.0, 0.0, 0.0, 1.0), 1.0
    model = {
        "bone_count": 22, "bone_names": [f"bone {index}" for index in range(22)],
        "parents": [-1, *(0 if bone % 4 == 1 else bone - 1 for bone in range(1, 22))],
        "base_relatives": moves[0].tolist(), "inverse_base_absolutes": moves[1].tolist(),
        "base_positions": skin.tolist(),
        "weights": draw.random((vertices, 22)).tolist(),
        "triangles": draw.integers(0, vertices, (1_000, 3)).tolist(), "is_mirrored": False,
    }  # fmt: skip
    data = {
        "model": model, "points": draw.normal(size=(count, 3)).tolist(),
        "correspondences": draw.integers(0, min(vertices, 1_000), count).tolist(),
    }  # fmt: skip
    us = draw.random((count, 2)).tolist() if corners > 1 else []
    return {"theta": draw.normal(size=26).tolist(), "data": data, "us": us}


GIVEN: Mapping[str, Callable[[Any, np.random.Generator], Input]] = {
    "det": lambda size, draw: {"A": draw.random(size * size).tolist(), "ell": size},
    "lse": lambda size, draw: {"x": draw.random(size).tolist()},
    "llsq": lambda size, draw: {"x": draw.random(128).tolist(), "n": size},
    "ode": lambda size, draw: {"x": draw.random(size[0]).tolist(), "s": size[1]},
    "saddle": lambda size, draw: {"start": [1.0, 1.0]},
    "particle": lambda size, draw: {"w": 0.0},
    "kmeans": clusters,
    "gmm": mixture,
    "ba": scene,
    "lstm": recurrent,
    "ht": hand,
}
"""The input of an eval of a size."""


@attrs.frozen
class Times:
    """The first run of a function and the later ones, in microseconds, and its output."""

    first: float
    later: float
    output: list[float]


def times(ask: Ask, message: Message) -> Times | None:
    """The times of one function of a tool; None where it fails."""
    answer = ask(message)
    if not answer.get("success"):
        return None
    runs = [one["nanoseconds"] / 1e3 for one in answer["timings"] if one["name"] == "evaluate"]
    return Times(runs[0], median(runs[len(runs) // 2 :]), list(flat(answer["output"])))


def flat(output: Any) -> Iterator[float]:
    """The numbers of an output, those of dicts by key."""
    if isinstance(output, dict):
        output = [part for _, part in sorted(output.items())]
    if not isinstance(output, list):
        yield output
        return
    for part in output:
        yield from flat(part)


def ours(message: Message) -> Any:
    """The response of our own tool."""
    return json.loads(next(responses(iter([json.dumps(message)]))))


def tool(command: str, folder: str) -> Ask:
    """A tool that runs as a process and answers line by line."""
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(message: Message) -> Any:
        stream = cast(Any, process)
        stream.stdin.write(f"{json.dumps(message)}\n")
        stream.stdin.flush()
        return json.loads(stream.stdout.readline())

    return ask


def difference(found: Times, other: Times) -> float:
    """The largest difference of two outputs, relative to the larger numbers among them."""
    x, y = np.array(found.output), np.array(other.output)
    scale = np.maximum(np.abs(y), 1e-6 * np.abs(y).max() + 1e-300)
    return float(np.max(np.abs(x - y) / scale))


def compare(options: Namespace) -> None:
    """Prints a line for each eval and size, in which each other tool has a ratio."""
    others = {name: tool(command, options.folder) for name, command in options.against}
    heads = "".join(f"{f'later / {name}':>17}" for name in others)
    print(f"{'eval':<9}{'size':<20}{'first us':>12}{'later us':>12}{heads}{'apart':>10}")
    for module in options.only or SIZES:
        define = {"id": 0, "kind": "define", "module": module}
        known = {name: other for name, other in others.items() if other(define).get("success")}
        for size in SIZES[module][: 2 if options.quick else None]:
            limits = {"min_runs": 3, "min_seconds": 0.1 if options.quick else 1.0}
            message = {
                "id": 1, "kind": "evaluate", "module": module,
                "function": size if size in MODES else DERIVATIVES.get(module, "gradient"),
                "input": GIVEN[module](size, np.random.default_rng(0)) | limits,
            }  # fmt: skip
            theirs = {name: times(other, message) for name, other in known.items()}
            found = times(ours, message)
            print(line(module, size, found, [theirs.get(name) for name in others]), flush=True)


def line(module: str, size: Any, found: Times | None, theirs: Sequence[Times | None]) -> str:
    """The line of an eval and a size."""
    head = f"{module:<9}{size!s:<20}"
    if found is None:
        return f"{head}{'failed':>12}"
    ratios = (f"{found.later / other.later:>17.2f}" if other else f"{'':17}" for other in theirs)
    apart = [difference(found, other) for other in theirs if other]
    end = f"{max(apart):>10.0e}" if apart else ""
    return f"{head}{found.first:>12,.0f}{found.later:>12,.1f}{''.join(ratios)}{end}"


def main() -> None:
    """Reads the options and compares."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=SIZES)
    parser.add_argument("--against", nargs=2, action="append", default=[])
    parser.add_argument("--in", dest="folder", default=".")
    print(machine("numpy"))
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
