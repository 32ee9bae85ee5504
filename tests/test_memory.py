"""Where memory runs out, a compilation is refused, and the process goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory so")

ROOT = Path(__file__).parent.parent

LIMITED = """
import resource, sys
import numpy as np
import tapegrad as tg
from tapegrad import math


def long(x):
    for step in range(2000):
        x = math.sin(x) * 1.0001 + float(step)
    return x


def small(x):
    return x * 2.0


run, batch = tg.jit(small, backend="llvm", eager_first=False), tg.vmap(small, backend="llvm")
assert (run.compile(1.0)(2.0), batch(np.ones(3))[0]) == (4.0, 2.0)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
seen = []
for call in (lambda: compiled.compile(1.0), lambda: batched(np.ones(3))):
    compiled, batched = tg.jit(long, backend="llvm"), tg.vmap(long, backend="llvm")
    try:
        for _ in range(5):
            call()
    except tg.errors.BackendError as error:
        assert "MiB to compile this program" in str(error), error
        seen.append("refused")
    else:
        seen.append("compiled")
assert run(3.0) == 6.0
sys.stdout.write(" ".join(seen))
"""


@pytest.mark.parametrize(
    ("mebibytes", "seen"), [(35, "refused refused"), (400, "compiled compiled")]
)
def test_what_memory_does_not_suffice_for_is_refused(mebibytes: int, seen: str) -> None:
    """With an error of ours, and what was compiled before still runs."""
    pytest.importorskip("numpy")
    pytest.importorskip("llvmlite")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(mebibytes)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, seen), done.stderr[-2000:]
