"""The time that type checkers take for ten lines that use tapegrad, and for ten that use jax.

    python -m pip install '.[bench]' mypy 'pyright[nodejs]' ty && python -m benchmarks.typecheck

Each run is cold: a process of its own with an empty cache, and strict settings where there are any.
Times are medians of alternating runs. Compare the ratios between machines, not the seconds.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

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

PROGRAMS: Final = {"one line": NOTHING, "tapegrad": OURS, "jax": THEIRS}


def mypy(file: Path) -> list[str]:
    options = ["--strict", f"--cache-dir={file.parent}/cache", f"--config-file={os.devnull}"]
    return [sys.executable, "-m", "mypy", *options, str(file)]


def pyright(file: Path) -> list[str]:
    (file.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    options = [f"--pythonpath={sys.executable}", f"--project={file.parent}"]
    return [sys.executable, "-m", "pyright", *options]


def ty(file: Path) -> list[str]:
    return [
        str(Path(sys.executable).parent / "ty"),
        "check",
        f"--python={sys.executable}",
        str(file),
    ]


def seconds(command: Callable[[Path], list[str]], program: str) -> float:
    """The seconds of one run of a checker on the program.

    Of jax, pyright and ty find types that are not known, or wrong; they read all of them for that.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "user.py"
        path.write_text(program, encoding="utf-8")
        given = command(path)
        start = perf_counter()
        run = subprocess.run(given, check=False, capture_output=True, text=True, cwd=folder)
        taken = perf_counter() - start
    if run.returncode and (program != THEIRS or run.returncode > 1):
        raise SystemExit(run.stdout + run.stderr)
    return taken


def alternating(
    command: Callable[[Path], list[str]], programs: Sequence[str], rounds: int
) -> list[float]:
    """The median seconds of each program, measured in turns."""
    times = [[seconds(command, program) for program in programs] for _ in range(rounds)]
    return [median(column) for column in zip(*times, strict=True)]


def main(rounds: int = 7) -> None:
    """Prints the seconds, and the ratio to jax if it is installed."""
    names = [name for name in PROGRAMS if name != "jax" or find_spec("jax") is not None]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for command in (mypy, pyright, ty):
        name = command.__name__
        found = alternating(command, [PROGRAMS[one] for one in names], rounds)
        said = ", ".join(f"{one} {taken:.2f} s" for one, taken in zip(names, found, strict=True))
        ratio = f"; tapegrad / jax {found[1] / found[2]:.2f}" if len(found) > 2 else ""
        print(f"{name} {version(name)}: {said}{ratio}")


if __name__ == "__main__":
    main()
