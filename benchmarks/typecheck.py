"""The time of `mypy --strict` on ten lines that use tapegrad, and on ten that use jax.

    python -m pip install -e '.[bench]' mypy && python -m benchmarks.typecheck

Times are medians of alternating runs, each with an empty cache. Compare the ratio between machines,
not the seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

OURS = """\
from collections.abc import Mapping

from tapegrad import Real, grad


def loss(p: Mapping[str, Real], x: float, y: float) -> Real:
    return (p["w"] * x + p["b"] - y) ** 2


print(grad(loss)({"w": 1.0, "b": 2.0}, 3.0, y=4.0))
"""

THEIRS = """\
from collections.abc import Mapping

from jax import Array, grad


def loss(p: Mapping[str, Array | float], x: float, y: float) -> Array | float:
    return (p["w"] * x + p["b"] - y) ** 2


print(grad(loss)({"w": 1.0, "b": 2.0}, 3.0, y=4.0))
"""

NOTHING = "print(1.0)\n"


def seconds(program: str) -> float:
    """The seconds of one run of mypy on the program, with an empty cache."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "user.py"
        path.write_text(program, encoding="utf-8")
        options = ["--strict", f"--cache-dir={folder}/cache", f"--config-file={os.devnull}"]
        start = perf_counter()
        run = subprocess.run(
            [sys.executable, "-m", "mypy", *options, str(path)],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        taken = perf_counter() - start
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    return taken


def alternating(programs: Sequence[str], rounds: int) -> list[float]:
    """The median seconds of each program, measured in turns."""
    times = [[seconds(program) for program in programs] for _ in range(rounds)]
    return [median(column) for column in zip(*times, strict=True)]


def main(rounds: int = 5) -> None:
    """Prints the seconds, and the ratio if jax is installed."""
    if find_spec("jax") is None:
        nothing, ours = alternating([NOTHING, OURS], rounds)
        print(f"one line: {nothing:.2f} s, ten with tapegrad: {ours:.2f} s; jax is not installed")
        return
    nothing, ours, theirs = alternating([NOTHING, OURS, THEIRS], rounds)
    print(f"one line: {nothing:.2f} s")
    print(f"ten lines with tapegrad: {ours:.2f} s, with jax: {theirs:.2f} s")
    print(f"ratio: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
