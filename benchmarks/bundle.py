"""The Jacobians of 30,000 reprojection errors (bundle adjustment), also in other libraries and C.

    python -m pip install -e '.[bench]' && python -m benchmarks.bundle [--quick]

A camera has eleven numbers (rotation vector, centre, focal length, principal point, two of radial
distortion), a point has three, and an observation has a weight. Each observation gives two errors,
and so two rows of the sparse Jacobian with fifteen entries each. Every version reads the same
arrays, with a row for each observation. The C program is bundle.c, whose derivatives are written by
hand.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import tapegrad as tg
from benchmarks.peers import jax
from benchmarks.timing import (
    CORES,
    Peer,
    Run,
    compare,
    first_answers,
    machine,
    options,
    refuse_to_differ,
    report_first,
)
from tapegrad import Real, math

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ROWS = 30_000
STEP = ROWS // 100
"""Every STEP-th observation is returned as plain floats and compared."""


class Maths(NamedTuple):
    """The functions of another library; the rest of the program is the same for all libraries."""

    sqrt: Callable[[Any], Any]
    sin: Callable[[Any], Any]
    cos: Callable[[Any], Any]


def errors_with(maths: Maths, inputs: Any, feature: Any) -> tuple[Any, Any]:
    """The computed position of the point in the image minus the observed one, times the weight."""
    r0, r1, r2, c0, c1, c2, focal, u0, v0, k1, k2, p0, p1, p2, weight = inputs
    angle = maths.sqrt(r0 * r0 + r1 * r1 + r2 * r2)
    sine, cosine = maths.sin(angle), maths.cos(angle)
    inverse = 1.0 / angle
    a0, a1, a2 = r0 * inverse, r1 * inverse, r2 * inverse
    d0, d1, d2 = p0 - c0, p1 - c1, p2 - c2
    along = (a0 * d0 + a1 * d1 + a2 * d2) * (1.0 - cosine)
    x = d0 * cosine + (a1 * d2 - a2 * d1) * sine + a0 * along
    y = d1 * cosine + (a2 * d0 - a0 * d2) * sine + a1 * along
    z = d2 * cosine + (a0 * d1 - a1 * d0) * sine + a2 * along
    u, v = x / z, y / z
    square = u * u + v * v
    radial = 1.0 + square * (k1 + square * k2)
    return (
        weight * (focal * radial * u + u0 - feature[0]),
        weight * (focal * radial * v + v0 - feature[1]),
    )


def errors(inputs: Sequence[Real], feature: Sequence[float]) -> tuple[Real, Real]:
    """The same program with our functions, and with types."""
    found: tuple[Real, Real] = errors_with(Maths(math.sqrt, math.sin, math.cos), inputs, feature)
    return found


def entries(inputs: Sequence[Real], feature: Sequence[float]) -> tuple[float, ...]:
    """The Jacobian of one observation, row by row."""
    matrix = tg.jacobian(errors)(inputs, feature)
    return tuple(slope for row in matrix.values() for slope in row.values())


def scene(seed: int = 0) -> tuple[Array, Array]:
    """Random cameras and points in front of them, and the observed positions in the image."""
    draw = np.random.default_rng(seed)
    inputs = np.concatenate(
        [
            draw.uniform(0.1, 0.5, (ROWS, 3)),
            draw.normal(0.0, 0.3, (ROWS, 3)),
            draw.uniform(400.0, 600.0, (ROWS, 1)),
            draw.normal(0.0, 5.0, (ROWS, 2)),
            draw.normal(0.0, 0.01, (ROWS, 2)),
            draw.uniform(-1.0, 1.0, (ROWS, 2)),
            draw.uniform(4.0, 8.0, (ROWS, 1)),
            draw.uniform(0.5, 1.5, (ROWS, 1)),
        ],
        axis=1,
    )
    return inputs, draw.normal(0.0, 50.0, (ROWS, 2))


INPUTS, FEATURES = scene()


def some(matrices: Array) -> list[float]:
    """Every STEP-th Jacobian, as plain floats."""
    found: list[float] = matrices[::STEP].ravel().tolist()
    return found


def ours(fast: bool, threads: int | None) -> Run:
    """The Jacobians by ``vmap``: one column for each entry, with all observations."""
    jacobians = tg.vmap(entries, fast=fast, threads=threads)

    def run() -> list[float]:
        columns = jacobians(INPUTS, FEATURES)
        parts = [np.asarray(columns.column(path))[::STEP] for path in columns.paths]
        found: list[float] = np.stack(parts, axis=1).ravel().tolist()
        return found

    return run


def jax_jacobians(transform: str) -> Run:
    numpy = jax().numpy
    maths = Maths(numpy.sqrt, numpy.sin, numpy.cos)
    one = getattr(jax(), transform)(lambda x, f: numpy.stack(errors_with(maths, x, f)))
    every = jax().jit(jax().vmap(one))
    return lambda: some(np.asarray(every(INPUTS, FEATURES)))


def torch_jacobians(compiled: bool) -> Run:
    import torch

    maths = Maths(torch.sqrt, torch.sin, torch.cos)

    def one(inputs: Any, feature: Any) -> Any:
        return torch.stack(errors_with(maths, inputs, feature))

    every = torch.func.vmap(torch.func.jacrev(one))
    if compiled:
        every = torch.compile(every)
    inputs, features = torch.from_numpy(INPUTS), torch.from_numpy(FEATURES)
    return lambda: some(every(inputs, features).numpy())


def c_program(flags: Sequence[str], threads: int, kept: bool = False) -> Run:
    """The program bundle.c, called once for each thread; ctypes releases the interpreter's lock.

    It writes to a new array at each call, or with ``kept`` to the same one.
    """
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    with TemporaryDirectory() as folder:
        source, built = Path(__file__).with_suffix(".c"), Path(folder) / "bundle.so"
        compiler = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", *flags]
        subprocess.run([*compiler, str(source), "-o", str(built), "-lm"], check=True)
        function = ctypes.CDLL(str(built)).jacobians
    function.argtypes, function.restype = [pointer, pointer, size, pointer], None
    share, again = ROWS // threads, np.empty((ROWS, 2, 15))
    pool = ThreadPoolExecutor(threads)

    def part(thread: int, matrices: Array) -> None:
        rows = slice(thread * share, None)
        inputs, features, out = INPUTS[rows], FEATURES[rows], matrices[rows]
        function(inputs.ctypes.data, features.ctypes.data, share, out.ctypes.data)

    def run() -> list[float]:
        matrices = again if kept else np.empty((ROWS, 2, 15))
        list(pool.map(lambda thread: part(thread, matrices), range(threads)))
        return some(matrices)

    return run


PEERS = [
    Peer("tapegrad, 1 thread", "tapegrad", partial(ours, fast=False, threads=1)),
    Peer("tapegrad", "tapegrad", partial(ours, fast=False, threads=None)),
    Peer("fast, 1 thread", "tapegrad", partial(ours, fast=True, threads=1)),
    Peer("fast", "tapegrad", partial(ours, fast=True, threads=None)),
    Peer("jax, vmap of jacrev, jit", "jax", partial(jax_jacobians, "jacrev")),
    Peer("jax, vmap of jacfwd, jit", "jax", partial(jax_jacobians, "jacfwd")),
    Peer("torch.func", "torch", partial(torch_jacobians, compiled=False)),
    Peer("torch.compile", "torch", partial(torch_jacobians, compiled=True), slow=True),
]
C = [
    Peer("C, 1 thread", "ctypes", partial(c_program, [], 1)),
    Peer("C", "ctypes", partial(c_program, [], CORES)),
    Peer("C -ffast-math, 1 thread", "ctypes", partial(c_program, ["-ffast-math"], 1)),
    Peer("C -ffast-math", "ctypes", partial(c_program, ["-ffast-math"], CORES)),
    Peer("C, 1 thread, one array", "ctypes", partial(c_program, [], 1, kept=True)),
    Peer("C -ffast-math, 1 thread, one array", "ctypes",
         partial(c_program, ["-ffast-math"], 1, kept=True)),
]  # fmt: skip


def as_eager() -> None:
    """Exits if our Jacobians of a few observations are not the eager ones."""
    rows = zip(INPUTS[::STEP].tolist(), FEATURES[::STEP].tolist(), strict=True)
    eager = [float(slope) for inputs, feature in rows for slope in entries(inputs, feature)]
    refuse_to_differ("eager", eager, "vmap", ours(fast=False, threads=None)(), tolerance=1e-12)


def main() -> None:
    choice = options(__doc__)
    peers = [*PEERS, *C] if shutil.which("gcc") else PEERS
    if choice.first:
        report_first(peers, choice.first)
        return
    print(machine("jax", "torch", "numpy"))
    if peers is PEERS:
        print("C is left out: there is no gcc")
    as_eager()
    title = f"{ROWS:,} observations, a Jacobian of 2 by 15 for each"
    compare(title, peers, choice, "tapegrad, 1 thread", "tapegrad", "fast, 1 thread", "fast")
    names = {"tapegrad", "fast", "jax, vmap of jacrev, jit", "jax, vmap of jacfwd, jit"}
    first_answers("benchmarks.bundle", [peer for peer in peers if peer.name in names], limit=600.0)


if __name__ == "__main__":
    main()
