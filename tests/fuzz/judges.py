"""All that is asked of a random program: the roads, rows, modes, high precision, and C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from math import fabs, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import tapegrad as tg
from tapegrad.errors import BackendError
from tests.fuzz import high_precision, modes
from tests.fuzz.programs import Case, Point, floats_of
from tests.fuzz.roads import ROW_ROADS, Rows, disagreements, frozen, nearly_tied, numbers_of

__all__ = ["JUDGES", "compiled_c", "through_executor"]

Judge = Callable[[Case], Iterator[str]]

HUGE: Final = 1e12
"""The scale of numbers and slopes from which on a program is too steep for differences."""


def rows(case: Case) -> Iterator[str]:
    """What ``vmap`` gives otherwise than the eager call, on every backend."""
    for road in ROW_ROADS:
        for found in road.findings(case):
            yield f"vmap on {road.backend} over {road.over}: {found}"


def through_executor(case: Case, executor: Executor) -> Iterator[str]:
    """What workers give otherwise: they get the tapes and not the function."""
    for over in ("p", "s"):
        road = Rows("auto", over, executor=executor)
        for found in road.findings(case):
            yield f"workers over {over}: {found}"


def precision(case: Case) -> Iterator[str]:
    """Where a finite value or slope at the first point is not what 150 digits give.

    The bound follows from how much the answer moves with its inputs' last digits. Where numbers on
    the way, or slopes, are huge, the steps of the differences are no small ones.
    """
    point = case.points[0]
    tape: Any = tg.record(tg.value_and_grad(case.function))(*point)
    got, recorded = floats_of(tape.value), numbers_of(tape)
    if not (high_precision.can_judge(case) and all(map(isfinite, got))) or nearly_tied(recorded):
        return
    scale = 1.0 + max((fabs(x) for x in recorded.values if isfinite(x)), default=0.0)
    if scale > HUGE:
        return
    right = high_precision.gradient(case, point)
    moved = high_precision.gradient(case, point, 1e-13)
    for x, y, z in zip(got, right, moved, strict=True):
        if not fabs(x - y) <= 1e-10 * scale + 1e3 * fabs(y - z):
            yield f"{got} at {point}, and with 150 digits {right}"
            return


def in_c(case: Case) -> Iterator[str]:
    """What C, compiled by gcc without contraction, gives otherwise at the point it was made for."""
    if shutil.which("gcc") is None:
        return
    point = case.points[0]
    run = tg.jit(tg.value_and_grad(case.function), backend="python")
    right = run(*point)
    try:
        source = run.source("c")
    except BackendError:
        return  # an operation of the user's, or one that C's library lacks
    got = _run_c(source, point, len(floats_of(right)))
    if frozen(got) != frozen(floats_of(right)):
        yield f"C at {point}: {got}, not {right}"


def _run_c(source: str, point: Point, outputs: int) -> list[float]:
    """The outputs of a C program at a point."""
    p, s, ts, _ = point
    inputs = [*floats_of(p), s, *ts]
    out: Any = (ctypes.c_double * outputs)()
    flip = compiled_c(source)((ctypes.c_double * len(inputs))(*inputs), out)
    return list(out) if flip == -1 else []


def compiled_c(source: str) -> Callable[..., int]:
    """The function of a C program, as gcc compiles it without contraction."""
    with TemporaryDirectory() as folder:
        file, library = Path(folder, "program.c"), Path(folder, "program.so")
        file.write_text(source, encoding="ascii")
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
        flags += ["-ffp-contract=off", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, str(file), "-o", str(library), "-lm"], check=True)
        return cast("Callable[..., int]", ctypes.CDLL(str(library)).run)


JUDGES: Final[Mapping[str, tuple[int, Judge]]] = {
    "roads": (1, disagreements),
    "high precision": (1, precision),
    "modes": (2, modes.findings),
    "rows": (5, rows),
    "C": (25, in_c),
}
"""Each judge, and every which program it sees in the long run."""
