"""Complete solves by SciPy's L-BFGS-B with gradients of tapegrad and of jax.

    python -m pip install -e '.[bench]'
    OPENBLAS_NUM_THREADS=1 python -m benchmarks.solve [--quick]

Two problems are solved ten times: Rosenbrock's function of 1,000 unknowns, and a logistic
regression of 50,000 rows. Our functions are written in scalar Python, the regression as the loss of
one row; jax's are jitted functions of arrays. The first solve includes recording and compiling.
SciPy's own work is the same for both. It multiplies vectors of 1,000 numbers, for which threads
cost more than they save; OPENBLAS_NUM_THREADS=1 turns them off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

import tapegrad as tg
from benchmarks.peers import jax
from benchmarks.timing import (
    Peer,
    Run,
    first_answers,
    machine,
    options,
    ready,
    report_first,
    spelled,
)
from tapegrad import Real, math

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Both: TypeAlias = Callable[[Array], tuple[float, Any]]

SOLVES = 10
UNKNOWNS, ROWS, FEATURES = 1_000, 50_000, 20
START = np.tile([-1.2, 1.0], UNKNOWNS // 2)


def rosenbrock(xs: list[Real]) -> Real:
    return math.sum(100.0 * (y - x * x) ** 2 + (1.0 - x) ** 2 for x, y in pairwise(xs))


def row(weights: list[Real], features: Sequence[float], label: float) -> Real:
    """The negative log-likelihood of one label, which is 1.0 or -1.0."""
    return math.softplus(-label * math.dot(weights, features))


def regression() -> tuple[Array, Array]:
    draw = np.random.default_rng(0)
    features = draw.standard_normal((ROWS, FEATURES))
    logits = features @ draw.standard_normal(FEATURES)
    labels = np.where(draw.uniform(size=ROWS) < 1.0 / (1.0 + np.exp(-logits)), 1.0, -1.0)
    return features, labels


DATA = regression()


def solved(both: Both, start: Array) -> list[float]:
    """The value where L-BFGS-B stops, then the point."""
    from scipy.optimize import minimize

    found = minimize(both, start, jac=True, method="L-BFGS-B")
    return [float(found.fun), *found.x.tolist()]


def ours_of_rosenbrock() -> Run:
    o = tg.objective(rosenbrock, START.tolist())
    return lambda: solved(o.fun_and_jac, START)


def ours_of_regression() -> Run:
    o = tg.objective(row, [0.0] * FEATURES, *DATA, reduce="mean")
    return lambda: solved(o.fun_and_jac, np.zeros(FEATURES))


def jax_run(loss: Callable[..., Any], start: Array, *data: Array) -> Run:
    both = jax().jit(jax().value_and_grad(loss))
    held = [jax().numpy.asarray(array) for array in data]

    def called(x: Array) -> tuple[float, Any]:
        value, gradient = both(x, *held)
        return float(value), np.asarray(gradient)

    return lambda: solved(called, start)


def jax_of_rosenbrock() -> Run:
    def loss(x: Any) -> Any:
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    return jax_run(loss, START)


def jax_of_regression() -> Run:
    def loss(weights: Any, features: Any, labels: Any) -> Any:
        return jax().nn.softplus(-labels * (features @ weights)).mean()

    return jax_run(loss, np.zeros(FEATURES), *DATA)


PROBLEMS = {
    f"Rosenbrock's chain of {UNKNOWNS:,}": (ours_of_rosenbrock, jax_of_rosenbrock),
    f"logistic regression of {ROWS:,} rows": (ours_of_regression, jax_of_regression),
}
PEERS = [
    Peer(f"{name}, {problem}", name, make)
    for problem, makes in PROBLEMS.items()
    for name, make in zip(("tapegrad", "jax"), makes, strict=True)
]


def compare(problem: str, peers: Sequence[Peer], solves: int) -> None:
    """Prints the times of the first solve, of the last, and the median of all but the first."""
    from benchmarks.timing import Options

    sides = ready(peers, Options(quick=False, first=None), tolerance=1e-4)
    later: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(1, solves):
        for name, side in sides.items():
            start = perf_counter()
            side.run()
            later[name].append(perf_counter() - start)
    print(f"\n{problem}\n{'first':>26}{f'number {solves}':>13}{'median':>12}")
    for name, side in sides.items():
        times = side.first, later[name][-1], median(later[name])
        print(f"  {name.partition(',')[0]:12} {'  '.join(map(spelled, times))}")


def main() -> None:
    choice = options(__doc__)
    if choice.first:
        report_first(PEERS, choice.first)
        return
    print(machine("jax", "scipy", "numpy"))
    for problem in PROBLEMS:
        peers = [peer for peer in PEERS if peer.name.endswith(problem)]
        compare(problem, peers, 3 if choice.quick else SOLVES)
    first_answers("benchmarks.solve", PEERS, limit=600.0)


if __name__ == "__main__":
    main()
