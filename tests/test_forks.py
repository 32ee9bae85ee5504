"""A process that is forked while other threads work can do all that its parent can."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ROOT = Path(__file__).parent.parent

STORM = """
import faulthandler, os, random, signal, sys, threading, time, warnings
import numpy as np
import tapegrad as tg
from tapegrad import math

signal.alarm(100)
stop = threading.Event()
FUNCTIONS = [tg.vmap(tg.value_and_grad(lambda x, k=k: math.sin(x) * k if x > 0.1 * k else x))
             for k in range(40)]
X = np.linspace(0.0, 1.0, 50)


def work(seed, rounds=10**9):
    draw = random.Random(seed)
    while rounds > 0 and not stop.is_set():
        rounds -= 1
        k = draw.randrange(len(FUNCTIONS))
        FUNCTIONS[k](X * draw.random())
        fresh = tg.vmap(lambda x, k=k: math.cos(x) * k + math.exp(x) ** 2, reduce="mean")
        fresh(X)
        edge = draw.random()
        compiled = tg.jit(lambda x: math.tanh(x * k) if x > edge else x)
        for x in (0.1, 0.9, 0.5, 0.5, 0.5):
            compiled(x)


work(0, 3)  # what is imported by now is not imported while the process forks
threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
for thread in threads:
    thread.start()
started, forks = time.monotonic(), 0
while forks < 25 and time.monotonic() - started < 4.0:
    time.sleep(0.002 * (forks % 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the case here
        child = os.fork()
    if not child:
        faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)
        signal.alarm(20)
        for k, f in enumerate(FUNCTIONS[:4]):
            answer = f(X)
            assert answer.value[-1] == (math.sin(1.0) * k if 1.0 > 0.1 * k else 1.0), k
        fresh = tg.vmap(lambda x: math.cos(x) * 3.0)(X)
        assert abs(fresh[0] - 3.0) < 1e-12
        assert tg.jit(lambda x: x * x)(3.0) == 9.0
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    forks += 1
stop.set()
for thread in threads:
    thread.join()
sys.stdout.write(str(forks))
"""


def test_a_child_of_a_storm_of_threads_computes() -> None:
    """Recording, compiling and running, whatever the threads of the parent held when it forked."""
    pytest.importorskip("numpy")
    pytest.importorskip("llvmlite")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", STORM],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) > 2


def test_a_child_has_a_lock_of_its_own() -> None:
    """Free, where another thread of the parent holds it; and the parent keeps its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HELD],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


HELD = """
import os, signal, threading, warnings
from tapegrad._support.exclusive import Exclusive

signal.alarm(30)
warnings.simplefilter("ignore", DeprecationWarning)
lock, held, free = Exclusive(), threading.Event(), threading.Event()


def hold():
    held.set()
    free.wait()


thread = threading.Thread(target=lock.run, args=[hold])
thread.start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(30)
    lock.run(lambda: os._exit(0))
_, status = os.waitpid(child, 0)
free.set()
thread.join()
assert lock.run(lambda: status) == 0
child = lock.run(os.fork)
if not child:
    signal.alarm(30)
    lock.run(lambda: os._exit(0))
_, status = os.waitpid(child, 0)
assert status == 0
"""


def test_no_property_is_computed_under_a_lock_of_its_class() -> None:
    """The standard library's cached property has one before Python 3.12, as ``cached`` says."""
    files = (ROOT / "tapegrad").rglob("*.py")
    used = re.compile(
        r"^\s*@(functools\.)?cached_property|^from functools import .*cached_property", re.MULTILINE
    )
    assert [file.name for file in files if used.search(file.read_text(encoding="utf-8"))] == []
