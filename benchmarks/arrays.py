"""Gradients of programs on numpy's arrays, beside autograd, torch, jax and numpy by hand.

    python -m pip install -e '.[bench]' && python -m benchmarks.arrays [--quick]

Each library runs the same four programs on arrays of doubles: eagerly, compiled, and for a Hessian
times a vector, which a fifth program on a million numbers is for, too. Then the cost of one more
operation on 16 numbers: a chain of 120 less one of 20, by the functions of ``tapegrad.numpy`` and
of ``autograd``. Each library has one thread; the gradients are measured with all threads, too, in
another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

ONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
ALL = {"XLA_FLAGS": ""}
IS_INNER = "TAPEGRAD_BENCHMARK_ARRAYS"
if not os.environ.get(IS_INNER):
    os.environ.update(ONE)  # before numpy is loaded

import numpy as np  # noqa: E402  # after the number of threads is set

import tapegrad as tg  # noqa: E402  # as above
from benchmarks.peers import jax  # noqa: E402  # as above
from benchmarks.timing import Options, Peer, Run, compare, machine, options  # noqa: E402  # as above

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Loss: TypeAlias = Callable[..., Any]

RNG = np.random.default_rng(0)


def log_sum_exp(m: Any, z: Any) -> Any:
    top = m.max(z, axis=1, keepdims=True)
    return m.log(m.sum(m.exp(z - top), axis=1, keepdims=True)) + top


def network(m: Any) -> Loss:
    """A layer of tanh, and a softmax with the cross entropy."""

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = m.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return m.mean(log_sum_exp(m, z)[:, 0] - m.sum(z * t, axis=1))

    return loss


def moons(m: Any) -> Loss:
    """micrograd's network, with tanh, on a batch."""

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = m.tanh(x @ p["w1"] + p["b1"])
        h = m.tanh(h @ p["w2"] + p["b2"])
        s = (h @ p["w3"] + p["b3"])[:, 0]
        size = m.sum(p["w1"] ** 2) + m.sum(p["w2"] ** 2) + m.sum(p["w3"] ** 2)
        return m.mean(m.maximum(1.0 - y * s, 0.0)) + 1e-4 * size

    return loss


def rosenbrock(m: Any) -> Loss:
    """Rosenbrock's chain."""

    def loss(v: Any) -> Any:
        return m.sum(100.0 * (v[1:] - v[:-1] * v[:-1]) ** 2 + (1.0 - v[:-1]) ** 2)

    return loss


def logistic(m: Any) -> Loss:
    """A logistic regression with a penalty."""

    def loss(w: Any, x: Any, y: Any) -> Any:
        return m.mean(m.logaddexp(0.0, -(y * (x @ w)))) + 1e-3 * m.sum(w * w)

    return loss


def layers(*widths: int) -> dict[str, Array]:
    found = {}
    for number, (rows, columns) in enumerate(pairwise(widths), 1):
        found[f"w{number}"] = RNG.normal(size=(rows, columns)) / rows**0.5
        found[f"b{number}"] = np.zeros(columns)
    return found


PROGRAMS: Final[Mapping[str, tuple[Callable[[Any], Loss], tuple[Any, ...]]]] = {
    "network 784-128-10, 256 rows": (
        network,
        (layers(784, 128, 10), RNG.random((256, 784)), np.eye(10)[RNG.integers(0, 10, 256)]),
    ),
    "moons 2-16-16-1, 100 rows": (
        moons,
        (layers(2, 16, 16, 1), RNG.normal(size=(100, 2)), np.sign(RNG.normal(size=100))),
    ),
    "Rosenbrock, 1,000 numbers": (rosenbrock, (RNG.normal(size=1000),)),
    "logistic regression, 50,000 x 20": (
        logistic,
        (RNG.normal(size=20), RNG.normal(size=(50_000, 20)), np.sign(RNG.normal(size=50_000))),
    ),
}


MANY: Final = "Rosenbrock, 1,000,000 numbers"


def leaves(x: Any) -> list[Any]:
    return [x[key] for key in sorted(x)] if isinstance(x, dict) else [x]


def flat(found: Any) -> Array:
    return np.concatenate([np.ravel(np.asarray(part)) for part in leaves(found)])


def ours(make: Callable[[Any], Loss], args: tuple[Any, ...], compiled: bool) -> Run:
    gradient: Any = tg.value_and_grad(make(np))
    gradient = tg.jit(gradient) if compiled else gradient
    return lambda: flat(gradient(*args)[1])


def autograd(make: Callable[[Any], Loss], args: tuple[Any, ...]) -> Run:
    import autograd
    import autograd.numpy as anp

    gradient = autograd.value_and_grad(make(anp))
    return lambda: flat(gradient(*args)[1])


def of_jax(make: Callable[[Any], Loss], args: tuple[Any, ...], compiled: bool) -> Run:
    gradient = jax().value_and_grad(make(jax().numpy))
    gradient = jax().jit(gradient) if compiled else gradient
    arrays = jax().tree.map(jax().numpy.asarray, args)
    return lambda: flat(gradient(*arrays)[1])


class Torch:
    """torch under numpy's names."""

    def __getattr__(self, name: str) -> Any:
        import torch

        def along(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            function = getattr(torch, {"max": "amax"}.get(name, name))
            return function(x) if axis is None else function(x, dim=axis, keepdim=keepdims)

        def binary(x: Any, y: Any) -> Any:
            if name == "logaddexp":
                return torch.nn.functional.softplus(y)
            return torch.clamp(x, min=y)

        if name in {"sum", "mean", "max"}:
            return along
        return binary if name in {"logaddexp", "maximum"} else getattr(torch, name)


def of_torch(make: Callable[[Any], Loss], args: tuple[Any, ...]) -> Run:
    import torch

    if not os.environ.get(IS_INNER):
        torch.set_num_threads(1)
    x, *data = args
    parts = [torch.from_numpy(part.copy()).requires_grad_() for part in leaves(x)]
    given: Any = dict(zip(sorted(x), parts, strict=True)) if isinstance(x, dict) else parts[0]
    rest, loss = [torch.from_numpy(array) for array in data], make(Torch())

    def run() -> Array:
        found = torch.autograd.grad(loss(given, *rest), parts)
        return np.concatenate([part.numpy().ravel() for part in found])

    return run


def by_hand(name: str, args: tuple[Any, ...]) -> Callable[[], Run]:
    """The gradient in numpy, as a person would write it."""
    return lambda: lambda: flat(_BY_HAND[name](*args))


def network_by_hand(p: Any, x: Any, t: Any) -> Any:
    h = np.tanh(x @ p["w1"] + p["b1"])
    z = h @ p["w2"] + p["b2"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    dz = (e / e.sum(axis=1, keepdims=True) - t) / len(x)
    dh = (dz @ p["w2"].T) * (1.0 - h * h)
    return {"w1": x.T @ dh, "b1": dh.sum(0), "w2": h.T @ dz, "b2": dz.sum(0)}


def moons_by_hand(p: Any, x: Any, y: Any) -> Any:
    g = np.tanh(x @ p["w1"] + p["b1"])
    h = np.tanh(g @ p["w2"] + p["b2"])
    s = (h @ p["w3"] + p["b3"])[:, 0]
    ds = np.where(1.0 - y * s > 0.0, -y, 0.0)[:, None] / len(x)
    dh = (ds @ p["w3"].T) * (1.0 - h * h)
    dg = (dh @ p["w2"].T) * (1.0 - g * g)
    found = {"w1": x.T @ dg, "w2": g.T @ dh, "w3": h.T @ ds}
    found = {key: part + 2e-4 * p[key] for key, part in found.items()}
    return {**found, "b1": dg.sum(0), "b2": dh.sum(0), "b3": ds.sum(0)}


def rosenbrock_by_hand(v: Any) -> Any:
    found, before = np.zeros_like(v), v[:-1]
    rest = v[1:] - before * before
    found[1:] = 200.0 * rest
    found[:-1] -= 400.0 * before * rest + 2.0 * (1.0 - before)
    return found


def logistic_by_hand(w: Any, x: Any, y: Any) -> Any:
    z = y * (x @ w)
    return (-y / (1.0 + np.exp(z))) @ x / len(x) + 2e-3 * w


_BY_HAND: Final[Mapping[str, Callable[..., Any]]] = dict(
    zip(
        PROGRAMS,
        (network_by_hand, moons_by_hand, rosenbrock_by_hand, logistic_by_hand),
        strict=True,
    )
)


def gradients(choice: Options) -> None:
    """Prints a table for each program."""
    for name, (make, args) in PROGRAMS.items():
        peers = [
            Peer("tapegrad", "tapegrad", partial(ours, make, args, compiled=False)),
            Peer("tapegrad, jit", "tapegrad", partial(ours, make, args, compiled=True)),
            Peer("autograd", "autograd", partial(autograd, make, args)),
            Peer("torch", "torch", partial(of_torch, make, args)),
            Peer("jax", "jax", partial(of_jax, make, args, compiled=False), slow=True),
            Peer("jax, jit", "jax", partial(of_jax, make, args, compiled=True)),
            Peer("numpy, by hand", "numpy", by_hand(name, args)),
        ]
        compare(f"{name}, value and gradient", peers, choice, "tapegrad", tolerance=1e-7)


def products(choice: Options) -> None:
    """Prints a table for the Hessian of each program times a vector."""
    many = {MANY: (rosenbrock, (RNG.normal(size=1_000_000),))}
    for name, (make, args) in {**PROGRAMS, **many}.items():
        x, *data = args
        v = {k: RNG.normal(size=part.shape) for k, part in x.items()} if isinstance(x, dict) else x
        given = make, x, v, data
        peers = [
            Peer("tapegrad", "tapegrad", partial(product_of_ours, *given)),
            Peer("tapegrad, jit", "tapegrad", partial(compiled_product, *given)),
            Peer("jax", "jax", partial(product_of_jax, *given, compiled=False)),
            Peer("jax, jit", "jax", partial(product_of_jax, *given, compiled=True)),
        ]
        title = f"{name}, Hessian times a vector"
        compare(title, peers, choice, "jax", "jax, jit", tolerance=1e-7)


def product_of_ours(make: Callable[[Any], Loss], x: Any, v: Any, data: list[Any]) -> Run:
    loss = make(np)
    return lambda: flat(tg.hvp(loss, x, v, *data))


def compiled_product(make: Callable[[Any], Loss], x: Any, v: Any, data: list[Any]) -> Run:
    loss = make(np)

    def product(x: Any, v: Any, *data: Any) -> Any:
        return tg.hvp(loss, x, v, *data)

    compiled: Any = tg.jit(product)
    return lambda: flat(compiled(x, v, *data))


def product_of_jax(
    make: Callable[[Any], Loss], x: Any, v: Any, data: list[Any], compiled: bool
) -> Run:
    loss = make(jax().numpy)

    def product(x: Any, v: Any, *data: Any) -> Any:
        return jax().jvp(lambda x: jax().grad(loss)(x, *data), (x,), (v,))[1]

    run = jax().jit(product) if compiled else product
    given = jax().tree.map(jax().numpy.asarray, (x, v, *data))
    return lambda: flat(run(*given))


ENTRIES: Final[Mapping[str, Callable[[Any, Any, Any], Any]]] = {
    "y * x": lambda m, y, x: y * x,
    "y / x": lambda m, y, x: y / x,
    "y + 1.0": lambda m, y, x: y + 1.0,
    "y * 0.9": lambda m, y, x: y * 0.9,
    "y ** 2": lambda m, y, x: y**2,
    "y ** x": lambda m, y, x: y**x,
    "sqrt(y)": lambda m, y, x: m.sqrt(y),
    "exp(-y)": lambda m, y, x: m.exp(-y),
    "log(y + 1.2)": lambda m, y, x: m.log(y + 1.2),
    "log1p(y)": lambda m, y, x: m.log1p(y),
    "sin(y)": lambda m, y, x: m.sin(y),
    "arctan(y)": lambda m, y, x: m.arctan(y),
    "tanh(y)": lambda m, y, x: m.tanh(y),
    "abs(y)": lambda m, y, x: m.abs(y),
    "hypot(y, x)": lambda m, y, x: m.hypot(y, x),
    "maximum(y, x)": lambda m, y, x: m.maximum(y, x),
    "relu(y)": lambda m, y, x: m.relu(y),
    "where(y > x, y, x)": lambda m, y, x: m.where(y > x, y, x),
    "clip(y, 0.6, 0.9)": lambda m, y, x: m.clip(y, 0.6, 0.9),
    "sigmoid(y)": lambda m, y, x: m.sigmoid(y),
    "logaddexp(y, x)": lambda m, y, x: m.logaddexp(y, x),
    "erf(y)": lambda m, y, x: m.erf(y),
    "norm_cdf(y)": lambda m, y, x: m.norm_cdf(y),
    "y[::-1]": lambda m, y, x: y[::-1],
}
_NAMES: Final = [
    "abs",
    "arctan",
    "clip",
    "exp",
    "hypot",
    "log",
    "log1p",
    "logaddexp",
    "maximum",
    "sin",
    "sqrt",
    "sum",
    "tanh",
    "where",
]


def functions(m: Any, **others: Any) -> Any:
    """The functions of a module that the entries call, and others."""
    return SimpleNamespace(**{**{name: getattr(m, name) for name in _NAMES}, **others})


def spaces() -> tuple[Any, Any, Any]:
    """The functions of numpy, with SciPy's, of tapegrad and of autograd, which has no ``hypot``."""
    import autograd.numpy as anp
    from autograd.scipy import special
    from autograd.scipy.stats import norm
    from scipy import special as of_scipy

    from tapegrad import numpy as tnp

    own = {name: getattr(tnp, name) for name in ("erf", "norm_cdf", "relu", "sigmoid")}
    plain = functions(
        np,
        erf=of_scipy.erf,
        norm_cdf=of_scipy.ndtr,
        relu=lambda x: np.maximum(x, 0.0),
        sigmoid=of_scipy.expit,
    )
    theirs = functions(
        anp,
        erf=special.erf,
        norm_cdf=norm.cdf,
        relu=lambda x: anp.maximum(x, 0.0),
        sigmoid=special.expit,
    )
    theirs.hypot = lambda x, y: anp.sqrt(x * x + y * y)
    return plain, functions(tnp, **own), theirs


def entries(rounds: int) -> None:
    """Prints what one more operation costs, the least of alternating runs."""
    import autograd

    x = np.linspace(0.5, 1.0, 16)
    print(
        f"\none more operation on 16 numbers\n{'tapegrad':>29}   less numpy's  autograd / tapegrad"
    )
    for name, step in ENTRIES.items():
        makers = (lambda f: f, tg.grad, autograd.grad)
        pairs = [
            [make(chain(step, m, n)) for n in (20, 120)]
            for make, m in zip(makers, spaces(), strict=True)
        ]
        numpy, own, theirs = one_more(pairs, x, rounds)
        print(f"  {name:18}{own:6.2f} µs{own - numpy:12.2f} µs{theirs / own:16.2f}")


def chain(step: Callable[[Any, Any, Any], Any], m: Any, length: int) -> Loss:
    def f(x: Any) -> Any:
        y = x
        for _ in range(length):
            y = step(m, y, x)
        return m.sum(y)

    return f


def one_more(pairs: list[list[Any]], x: Array, rounds: int) -> list[float]:
    """The microseconds of one more operation, of pairs of programs of 20 and 120."""
    best = [[1e9, 1e9] for _ in pairs]
    for _ in range(rounds):
        for at, pair in enumerate(pairs):
            for which, run in enumerate(pair):
                start = perf_counter()
                run(x)
                best[at][which] = min(best[at][which], perf_counter() - start)
    return [(long - short) / 100 * 1e6 for short, long in best]


def main() -> None:
    choice = options(__doc__)
    if os.environ.get(IS_INNER):
        print("\nall threads")
        gradients(choice)
        return
    print(machine("autograd", "torch", "jax", "numpy"))
    print("\none thread")
    gradients(choice)
    products(choice)
    entries(9 if choice.quick else 25)
    environment = {k: v for k, v in os.environ.items() if k not in ONE} | ALL | {IS_INNER: "1"}
    command = [sys.executable, "-m", "benchmarks.arrays", *sys.argv[1:]]
    sys.stdout.flush()
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
