"""The value and seven derivatives of an Asian option, in tapegrad, other libraries and C.

    python -m pip install -e '.[bench]' && python -m benchmarks.asian [--quick]

The value is a mean over 65,536 price paths of 50 steps each. Every version reads the same array,
with a row for each price path and a column for each step; converting it counts in its time. The C
program is asian.c, whose reverse pass is written by hand.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from math import fsum
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Generic, NamedTuple, TypeAlias

import numpy as np

import tapegrad as tg
from benchmarks.peers import buffered, floats, jax
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

STEPS = 50
PATHS = 65_536
DT = 1.0 / STEPS
ROOT_DT = DT**0.5


class Market(NamedTuple, Generic[Real]):
    """The parameters that the value depends on."""

    spot: Real
    strike: Real
    rate: Real
    variance: Real
    reversion: Real
    level: Real
    volatility: Real


def payoff(market: Market[Real], normals: Sequence[float]) -> Real:
    """The discounted payoff of one price path; each normal moves the price and its variance."""
    spot, variance = market.spot, market.variance
    total: Real | float = 0.0
    for normal in normals:
        move = math.sqrt(variance) * (ROOT_DT * normal)
        spot = spot * math.exp((market.rate - 0.5 * variance) * DT + move)
        drift = market.reversion * (market.level - variance) * DT
        variance = abs(variance + drift + market.volatility * move)
        total = total + spot
    return math.exp(-market.rate) * math.relu(total * DT - market.strike)


MARKET = Market(100.0, 100.0, 0.03, 0.04, 2.0, 0.05, 0.3)
NORMALS = np.random.default_rng(0).standard_normal((PATHS, STEPS))


Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class Maths(NamedTuple):
    """The functions of another library; the rest of the program is the same for all libraries."""

    sqrt: Callable[..., Any]
    exp: Callable[..., Any]
    relu: Callable[..., Any]


def step(maths: Maths, market: Market[Any], carry: tuple[Any, ...], normal: Any) -> tuple[Any, ...]:
    spot, variance, total = carry
    move = maths.sqrt(variance) * (ROOT_DT * normal)
    spot = spot * maths.exp((market.rate - 0.5 * variance) * DT + move)
    drift = market.reversion * (market.level - variance) * DT
    variance = abs(variance + drift + market.volatility * move)
    return spot, variance, total + spot


def paid(maths: Maths, market: Market[Any], total: Any) -> Any:
    return maths.exp(-market.rate) * maths.relu(total * DT - market.strike)


def payoff_with(maths: Maths, market: Market[Any], normals: Sequence[Any]) -> Any:
    """`payoff` on another library's numbers, or on its arrays with a column for each step."""
    carry: tuple[Any, ...] = (market.spot, market.variance, 0.0)
    for normal in normals:
        carry = step(maths, market, carry, normal)
    return paid(maths, market, carry[2])


def ours(fast: bool, threads: int | None, normals: Array = NORMALS) -> Run:
    gradient = tg.value_and_grad(payoff)
    mean = tg.vmap(gradient, in_axes=(None, 0), reduce="mean", fast=fast, threads=threads)

    def run() -> list[float]:
        value, slopes = mean(MARKET, normals)
        return [value, *slopes]

    return run


def jax_maths() -> Maths:
    numpy = jax().numpy
    return Maths(numpy.sqrt, numpy.exp, lambda x: numpy.maximum(x, 0.0))


def jax_scalar() -> Run:
    """The scalar program, mapped over the price paths."""
    one = jax().vmap(jax().value_and_grad(partial(payoff_with, jax_maths())), in_axes=(None, 0))
    mean = jax().jit(lambda *x: jax().tree.map(lambda leaf: leaf.mean(), one(*x)))
    return lambda: floats(mean(MARKET, NORMALS))


def scanned(checkpoint: bool) -> Callable[[Market[Any], Any], Any]:
    """The program as a fast jax program: a scan over the steps, on vectors over the price paths."""
    maths = jax_maths()

    def payoffs(market: Market[Any], normals: Any) -> Any:
        def body(carry: tuple[Any, ...], normal: Any) -> tuple[Any, None]:
            return step(maths, market, carry, normal), None

        zeros = jax().numpy.zeros(normals.shape[0])
        start = (market.spot + zeros, market.variance + zeros, zeros)
        loop = jax().checkpoint(body) if checkpoint else body
        (_, _, total), _ = jax().lax.scan(loop, start, normals.T)
        return paid(maths, market, total)

    return payoffs


def jax_scan(checkpoint: bool) -> Run:
    payoffs = scanned(checkpoint)
    mean = jax().jit(jax().value_and_grad(lambda *x: payoffs(*x).mean()))
    return lambda: floats(mean(MARKET, NORMALS))


def jax_blocks(size: int = 1024) -> Run:
    """The scan over blocks of price paths that fit the cache, distributed over the cores."""
    payoffs, lax, spec = scanned(checkpoint=False), jax().lax, jax().sharding.PartitionSpec
    gradient = jax().value_and_grad(lambda *x: payoffs(*x).sum())

    def on_one_core(market: Market[Any], normals: Any) -> Any:
        blocks = normals.reshape(-1, size, STEPS)
        sums = lax.map(partial(gradient, market), blocks)
        return jax().tree.map(lambda leaf: lax.psum(leaf.sum(), "paths") / PATHS, sums)

    kind = jax().sharding.AxisType.Auto
    mean = jax().jit(
        jax().shard_map(
            on_one_core,
            mesh=jax().make_mesh((CORES,), ("paths",), axis_types=(kind,)),
            in_specs=(spec(), spec("paths")),
            out_specs=spec(),
            check_vma=False,
        )
    )
    return lambda: floats(mean(MARKET, NORMALS))


def torch_arrays(compiled: bool) -> Run:
    import torch

    mean = partial(payoff_with, Maths(torch.sqrt, torch.exp, torch.relu))
    if compiled:
        mean = torch.compile(mean)

    def run() -> list[float]:
        inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in MARKET]
        value = mean(Market(*inputs), torch.from_numpy(NORMALS).T.contiguous()).mean()
        return floats((value, torch.autograd.grad(value, inputs)))

    return run


def autograd_arrays() -> Run:
    from autograd import numpy, value_and_grad

    maths = Maths(numpy.sqrt, numpy.exp, lambda x: numpy.maximum(x, 0.0))
    mean = value_and_grad(
        lambda inputs, normals: payoff_with(maths, Market(*inputs), normals).mean()
    )
    return lambda: floats(mean(tuple(MARKET), np.ascontiguousarray(NORMALS.T)))


def casadi_map(compiled: bool) -> Run:
    """An SX Function mapped over the price paths of each core, which writes sums to buffers.

    casadi's compiler writes where it is started, and removes that at the end, if nobody stops it.
    """
    import casadi

    inputs, normals = casadi.SX.sym("inputs", 7), casadi.SX.sym("normals", STEPS)
    maths = Maths(casadi.sqrt, casadi.exp, lambda x: casadi.fmax(x, 0.0))
    value = payoff_with(maths, Market(*casadi.vertsplit(inputs)), casadi.vertsplit(normals))
    answer = casadi.vertcat(value, casadi.gradient(value, inputs))
    flags = {"flags": ["-O3", "-march=native", "-ffast-math"]}
    jit = {"jit": True, "compiler": "shell", "jit_options": flags} if compiled else {}
    with chdir(gettempdir()):
        one = casadi.Function("one", [inputs, normals], [answer], jit)
    core = one.map("core", "serial", PATHS // CORES, [0], [0])
    market, sums = np.array(MARKET), np.zeros((CORES, 8))
    evaluate = buffered(core.map("cores", "thread", CORES, [0], []), [market, NORMALS], [sums])

    def run() -> list[float]:
        market[:] = MARKET
        evaluate()
        answer: list[float] = (sums.sum(axis=0) / PATHS).tolist()
        return answer

    return run


def c_program(flags: Sequence[str], threads: int) -> Run:
    """The program asian.c, called once for each thread; ctypes releases the interpreter's lock."""
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    with TemporaryDirectory() as folder:
        source, built = Path(__file__).with_suffix(".c"), Path(folder) / "asian.so"
        compiler = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", *flags]
        subprocess.run([*compiler, str(source), "-o", str(built), "-lm"], check=True)
        function = ctypes.CDLL(str(built)).value_and_grad
    function.argtypes, function.restype = [pointer, pointer, size, pointer], None
    market, sums = np.array(MARKET), np.zeros((threads, 8))
    share = PATHS // threads
    pool = ThreadPoolExecutor(threads)

    def part(thread: int) -> None:
        normals = NORMALS[thread * share :]
        function(market.ctypes.data, normals.ctypes.data, share, sums[thread].ctypes.data)

    def run() -> list[float]:
        list(pool.map(part, range(threads)))
        answer: list[float] = (sums.sum(axis=0) / PATHS).tolist()
        return answer

    return run


PEERS = [
    Peer("tapegrad, 1 thread", "tapegrad", partial(ours, False, 1)),
    Peer("tapegrad", "tapegrad", partial(ours, False, None)),
    Peer("fast, 1 thread", "tapegrad", partial(ours, True, 1)),
    Peer("fast", "tapegrad", partial(ours, True, None)),
    Peer("jax, this program, jit and vmap", "jax", jax_scalar),
    Peer("jax, scan", "jax", partial(jax_scan, checkpoint=False)),
    Peer("jax, scan and checkpoint", "jax", partial(jax_scan, checkpoint=True)),
    Peer("jax, scan, blocks, a device a core", "jax", jax_blocks),
    Peer("torch", "torch", partial(torch_arrays, compiled=False)),
    Peer("torch.compile", "torch", partial(torch_arrays, compiled=True), slow=True),
    Peer("autograd", "autograd", autograd_arrays),
    Peer("casadi, map", "casadi", partial(casadi_map, compiled=False)),
]
C = [
    Peer("casadi, map, compiled by gcc", "casadi", partial(casadi_map, compiled=True)),
    Peer("C, 1 thread", "ctypes", partial(c_program, [], 1)),
    Peer("C", "ctypes", partial(c_program, [], CORES)),
    Peer("C -ffast-math, 1 thread", "ctypes", partial(c_program, ["-ffast-math"], 1)),
    Peer("C -ffast-math", "ctypes", partial(c_program, ["-ffast-math"], CORES)),
]


def as_eager(paths: int = 64) -> None:
    """Exits if the mean over a few price paths is not that of the eager gradients."""
    rows = NORMALS[:paths]
    eager = [tg.value_and_grad(payoff)(MARKET, row) for row in rows.tolist()]
    want = [fsum(column) / paths for column in zip(*([v, *g] for v, g in eager), strict=True)]
    got = ours(fast=False, threads=None, normals=rows)()
    refuse_to_differ("eager", want, "vmap", got, tolerance=1e-12)


def main() -> None:
    choice = options(__doc__)
    peers = [*PEERS, *C] if shutil.which("gcc") else PEERS
    if choice.first:
        report_first(peers, choice.first)
        return
    print(machine("jax", "torch", "autograd", "casadi", "numpy"))
    if peers is PEERS:
        print("C is left out: there is no gcc")
    as_eager()
    title = f"{PATHS:,} paths, value and 7 slopes"
    compare(title, peers, choice, "tapegrad, 1 thread", "tapegrad", "fast, 1 thread", "fast")
    names = {"tapegrad", "fast", "jax, this program, jit and vmap", "jax, scan", "torch"}
    first_answers("benchmarks.asian", [peer for peer in peers if peer.name in names], limit=600.0)


if __name__ == "__main__":
    main()
