"""A Gaussian process and a Kalman filter on matrices: factors, solutions, determinants."""

from collections.abc import Mapping
from typing import Generic, NamedTuple, assert_type

import numpy as np

import tapegrad as tg
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats, linalg


def kernel(p: Mapping[str, Arr], x: Floats, z: Floats) -> Arr:
    gaps = tnp.subtract(x[:, None], z[None, :])
    return tnp.exp(p["height"]) * tnp.exp(-0.5 * tnp.square(gaps / tnp.exp(p["length"])))


def factor(p: Mapping[str, Arr], x: Floats) -> Arr:
    noise = tnp.exp(p["noise"]) * tnp.eye(len(x))
    return linalg.cholesky(kernel(p, x, x) + noise)


def evidence(p: Mapping[str, Arr], x: Floats, y: Floats) -> Scalar:
    lower = factor(p, x)
    white = linalg.solve_triangular(lower, y, lower=True)
    volume = tnp.sum(tnp.log(tnp.diagonal(lower)))
    return -0.5 * tnp.vdot(white, white) - volume - 0.5 * len(x) * float(np.log(2.0 * np.pi))


def by_determinant(p: Mapping[str, Arr], x: Floats, y: Floats) -> Scalar:
    k = kernel(p, x, x) + tnp.exp(p["noise"]) * tnp.eye(len(x))
    sign, size = linalg.slogdet(k)
    fit = tnp.vdot(y, linalg.solve(k, y))
    return -0.5 * (fit + sign * size + len(x) * float(np.log(2.0 * np.pi)))


def predicted(p: Mapping[str, Arr], x: Floats, y: Floats, z: Floats) -> tuple[Arr, Arr]:
    across = kernel(p, z, x)
    lower = factor(p, x)
    half = linalg.solve(lower, tnp.matrix_transpose(across))
    spread = tnp.exp(p["height"]) - tnp.sum(half * half, axis=0)
    return across @ linalg.solve(lower @ tnp.matrix_transpose(lower), y), tnp.sqrt(spread)


class Belief(NamedTuple, Generic[Arr]):
    mean: Arr
    spread: Arr


class Motion(NamedTuple, Generic[Arr]):
    step: Arr
    noise: Arr
    seen: Arr


def updated(
    belief: Belief[Arr] | Belief[Floats], motion: Motion[Arr], y: Floats
) -> tuple[Belief[Arr], Scalar]:
    mean = motion.step @ belief.mean
    spread = motion.step @ belief.spread @ tnp.matrix_transpose(motion.step) + motion.noise
    rest = y - motion.seen @ mean
    across = motion.seen @ spread
    total = across @ tnp.matrix_transpose(motion.seen) + 0.1 * tnp.eye(1)
    gain = tnp.matrix_transpose(linalg.solve(total, across))
    fit = tnp.vdot(rest, linalg.solve(total, rest)) + linalg.slogdet(total).logabsdet
    return Belief(mean + gain @ rest, spread - gain @ across), -0.5 * fit


def likelihood(motion: Motion[Arr], start: Belief[Floats], seen: Floats) -> Scalar:
    belief: Belief[Arr] | Belief[Floats] = start
    found: Scalar = 0.0
    for y in seen:
        belief, part = updated(belief, motion, y)
        found = found + part
    return found


x, y = np.linspace(0.0, 3.0, 8), np.sin(np.linspace(0.0, 3.0, 8))
p = {"height": np.zeros(1), "length": np.zeros(1), "noise": np.full(1, -3.0)}
slope = assert_type(tg.grad(evidence)(p, x, y), Mapping[str, Floats])
other = tg.grad(by_determinant)(p, x, y)
assert np.allclose(slope["length"], other["length"])
assert tg.check_grad(evidence, p, x, y).ok
mean, spread = predicted(p, x, y, np.array([0.5, 1.5]))
assert_type(mean, Floats)
assert abs(mean[0] - np.sin(0.5)) < 0.05
assert spread.shape == (2,)

motion = Motion(np.array([[1.0, 0.1], [0.0, 1.0]]), 0.01 * np.eye(2), np.array([[1.0, 0.0]]))
seen = np.array([[0.0], [0.1], [0.25]])
steps = assert_type(
    tg.grad(likelihood)(motion, Belief(np.zeros(2), np.eye(2)), seen), Motion[Floats]
)
assert steps.step.shape == (2, 2)
assert np.isfinite(steps.seen).all()
