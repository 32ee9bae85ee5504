"""Machine code under valgrind, which sees every read and write beside what was allocated.

Valgrind tells no names of code made at run time, so that its errors there begin at an unknown
place; those that CPython and the loader make are not judged.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind"),
]

PROGRAMS = """
import warnings
from tests.fuzz.programs import make
from tests.fuzz.roads import ROADS, ROW_ROADS
warnings.simplefilter("ignore")
for seed in range({first}, {first} + {count}):
    case = make(seed)
    found = list(ROADS["jit, llvm"](case))
    for road in ROW_ROADS:
        if road.backend == "llvm":
            found += road.findings(case)
print("done", {count})
"""

LOOPS = """
from tests.fuzz import loop_programs, nest_programs
from tests.fuzz.loop_judges import code_of, lengths, loops_always
for seed in range({first}, {first} + {count}):
    for make in (loop_programs.make, nest_programs.make):
        for program, inputs in lengths(make(seed), 0, 7):
            with loops_always():
                code_of(program, [inputs], seed)
print("done", {count})
"""

TOO_SHORT = """
import numpy as np
import tapegrad as tg
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.llvm import machine_code
from tapegrad.compile.backends.row_code import RowShapes
from tapegrad.compile.paths import path_of
RowShapes.require = lambda *given: None
program = path_of(tg.record(lambda x: x * 2.0)(1.0)).program
run = machine_code.rows(program, RowOptions(0))
outs = [np.empty((1, room)) for room in (160, 1)]
flips = np.empty(160, np.int32)
print("done", flush=True)  # what it writes may end the process
for out in outs:
    run(np.empty(0), [np.ones(160)], range(160), out, flips)
"""


def errors(program: str, log: Path) -> list[str]:
    """The wrong reads and writes of machine code while a program runs."""
    command = ["valgrind", "--error-limit=no", f"--log-file={log}", sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "TAPEGRAD_CACHE": "0"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "done" in ran.stdout
    return re.findall(r"Invalid .* of size \d+\n==\d+==    at 0x[0-9A-F]+: \?\?\?", log.read_text())


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_machine_code_stays_in_its_memory(first: int, tmp_path: Path) -> None:
    """Random programs, one call at a time and over rows, on one thread and on two."""
    assert errors(PROGRAMS.format(first=first, count=10), tmp_path / "log") == []


@pytest.mark.parametrize("first", range(0, 6, 3))
def test_so_does_the_code_of_loops(first: int, tmp_path: Path) -> None:
    """On its own data, and on more with what it is given for those."""
    assert errors(LOOPS.format(first=first, count=3), tmp_path / "log") == []


def test_a_result_that_is_too_short_is_seen(tmp_path: Path) -> None:
    """Code that is handed less room than it was made for writes past it, and that is found."""
    assert errors(TOO_SHORT, tmp_path / "log")
