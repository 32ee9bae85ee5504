"""The log posterior of a mixture of Gaussians with a Wishart prior."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import lgamma, log, pi
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats


def lower_triangle(d: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each element of a factor its place in [0, diagonal, elements below by columns]."""
    places = np.zeros((d, d), np.int64)
    places[np.diag_indices(d)] = 1 + np.arange(d)
    columns, rows = np.triu_indices(d, 1)
    places[rows, columns] = 1 + d + np.arange(len(rows))
    return places


def log_posterior(p: Mapping[str, Arr], x: Floats, m: int, gamma: float) -> Scalar:
    """The logarithm of the posterior density of n points in d dimensions, rows of ``x``."""
    (n, d), k = x.shape, p["alpha"].size
    parts = tnp.concat([np.zeros((k, 1)), tnp.exp(p["q"]), p["l"]], axis=1)
    factors = parts[:, lower_triangle(d)]
    logs = tnp.sum(p["q"], axis=1)
    rows = tnp.reshape(factors, (k * d, d))
    moved = tnp.sum(factors * tnp.reshape(p["mu"], (k, 1, d)), axis=2)
    misses = tnp.reshape(x @ rows.T, (n, k, d)) - moved
    scores = (p["alpha"] + logs) - 0.5 * tnp.sum(misses * misses, axis=2)
    likelihood = tnp.sum(tnp.logsumexp(scores, axis=1)) - n * tnp.logsumexp(p["alpha"])
    prior = m * tnp.sum(p["q"]) - 0.5 * gamma**2 * tnp.sum(rows * rows)
    posterior: Scalar = likelihood + prior + constant(n, d, k, m, gamma)
    return posterior


def constant(n: int, d: int, k: int, m: int, gamma: float) -> float:
    """The part that does not depend on the parameters."""
    freedom = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * log(pi)
    log_gamma += sum(lgamma(0.5 * (freedom - j)) for j in range(d))
    of_prior = freedom * d * log(gamma / np.sqrt(2.0)) - log_gamma
    return k * of_prior - 0.5 * n * d * log(2.0 * pi)


objective = tg.jit(log_posterior, static_argnames=("m", "gamma"))
jacobian = tg.jit(tg.grad(log_posterior), static_argnames=("m", "gamma"))


def _read(given: Mapping[str, Any]) -> tuple[dict[str, Floats], Floats, int, float]:
    k = given["k"]
    p = {name: np.array(given[name], float) for name in ("alpha", "mu", "q", "l")}
    p["l"] = p["l"].reshape(k, -1)
    return p, np.array(given["x"]), int(given["m"]), float(given["gamma"])


def _objective(given: Mapping[str, Any]) -> Run:
    return partial(objective, *_read(given))


def _jacobian(given: Mapping[str, Any]) -> Run:
    return partial(jacobian, *_read(given))


FUNCTIONS: Mapping[str, Prepare] = {"objective": _objective, "jacobian": _jacobian}
