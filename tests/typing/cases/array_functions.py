"""Functions of `tapegrad.numpy`: plain arrays make plain ones, and traced arrays traced ones."""

from collections.abc import Mapping, Sequence
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from tapegrad import Real, Scalar, Var, grad
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats, linalg
from tapegrad.recording.array_var import ArrayCondition, ArrayVar


def normalised(x: Arr) -> Arr:
    shifted = tnp.exp(x - tnp.max(x))
    return shifted / tnp.sum(shifted)


def likelihood(p: Mapping[str, Arr], x: Floats, y: Floats) -> Scalar:
    gaps = tnp.subtract(tnp.reshape(x, (-1, 1)), tnp.reshape(x, (1, -1)))
    k = tnp.exp(-0.5 * (gaps / p["length"]) ** 2) + 1e-3 * tnp.eye(3)
    rest = y - p["mean"]
    fit = tnp.vdot(rest, linalg.solve(k, rest))
    volume = tnp.sum(tnp.log(tnp.diagonal(linalg.cholesky(k))))
    return 0.5 * fit + volume + 0.5 * linalg.slogdet(k).logabsdet + linalg.det(k)


def attention(p: Mapping[str, Arr], x: Floats) -> Scalar:
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    scores = tnp.einsum("id,jd->ij", q, k) / 2.0
    masked = tnp.where(tnp.tril(tnp.ones((3, 3))) > 0.0, scores, -1e9)
    mixed = tnp.einsum("ij,jd->id", tnp.softmax(masked, axis=-1), v)
    both = tnp.concat([mixed, x @ p["v"]], axis=1)
    return tnp.mean(both**2) + tnp.norm(tnp.stack([mixed, v]))


def layered(p: Sequence[Arr], x: Floats, labels: NDArray[np.int64]) -> Scalar:
    h: Arr | Floats = x
    for w in p:
        h = tnp.maximum(h @ w, 0.0)
    logits = tnp.log_softmax(h)
    picked = tnp.take_along_axis(logits, tnp.reshape(labels, (-1, 1)), axis=1)
    s = linalg.svd(p[0], full_matrices=False)
    values, vectors = linalg.eigh(p[0] @ p[0].T)
    return -tnp.mean(picked) + tnp.sum(s.S) + tnp.max(values) + tnp.sum(vectors[:, 0])


def moved(x: Arr) -> Arr:
    y = tnp.clip(x, -1.0, 1.0)
    y = tnp.at_set(y, 0, 1.0)
    y = tnp.at_add(y, slice(1, 2), 2.0 * y[1:2])
    y = tnp.roll(tnp.flip(y), 1)
    y = tnp.interp(y, np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    y = tnp.take(y, tnp.argsort(y))
    left, right = tnp.split(y, 2)
    y = tnp.hstack([left, right])
    y = tnp.stack([y, y])
    y = tnp.where(tnp.isnan(y), tnp.nan_to_num(y), y)
    y = y * tnp.quantile(y, 0.5) + tnp.median(y) * tnp.var(y)
    y = tnp.mean(y, axis=0) + tnp.quantile(y, 0.5, axis=0)
    return tnp.diff(tnp.sort(tnp.round(y, 2)))


def traced(x: ArrayVar, data: Floats, a: Var) -> Var:
    assert_type(tnp.maximum(x, data), ArrayVar)
    assert_type(tnp.maximum(data, x), ArrayVar)
    assert_type(tnp.multiply(data, a), ArrayVar)
    assert_type(tnp.maximum(1.0, a), Var)
    assert_type(tnp.reshape(a, (1, 1)), ArrayVar)
    assert_type(tnp.stack([a, a]), ArrayVar)
    assert_type(tnp.stack([x, data]), ArrayVar)
    assert_type(tnp.where(x > 0.0, data, 0.0), ArrayVar)
    assert_type(tnp.isfinite(x), ArrayCondition)
    assert_type(tnp.greater(x, data), ArrayCondition)
    assert_type(tnp.argsort(x), ArrayVar)
    assert_type(linalg.solve(data, x), ArrayVar)
    assert_type(linalg.svd(x), linalg.SVDResult[ArrayVar])
    assert_type(linalg.slogdet(x), linalg.SlogdetResult[Var])
    assert_type(tnp.einsum("ij,j", data, x), ArrayVar)
    assert_type(a * x, ArrayVar)
    assert_type(tnp.sum(x) * x, ArrayVar)
    return linalg.det(x)


def mixed(scale: Real, x: Arr) -> Scalar:
    return tnp.sum(tnp.multiply(scale, x)) * scale


x: Floats = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]])
v: Floats = np.array([0.5, 1.0, 2.0])
start = {"length": np.ones(1), "mean": np.zeros(3)}
assert_type(grad(likelihood)(start, v, v), Mapping[str, Floats])
assert_type(grad(attention)({"q": x, "k": x, "v": x}, x), Mapping[str, Floats])
assert_type(grad(layered)([x, x], x, np.array([0, 1, 2])), Sequence[Floats])
assert_type(normalised(v), Floats)
assert_type(moved(np.array([0.25, 0.75, 0.5, 0.0])), Floats)
assert_type(mixed(2.0, v), float | Var)

assert_type(linalg.solve(x, v), Floats)
assert_type(linalg.inv(x), Floats)
assert_type(linalg.solve_triangular(x, v, trans="T", lower=True), Floats)
assert_type(linalg.lstsq(x, v), linalg.LstsqResult[Floats])
assert_type(linalg.lstsq(x, v, rcond=1e-9).s, Floats)
rank: int = linalg.lstsq(x, v).rank
assert_type(linalg.svd(x).U, Floats)
assert_type(linalg.slogdet(x).logabsdet, float)
assert_type(linalg.det(x), float)
assert_type(linalg.norm(x), float)
assert_type(linalg.norm(x, axis=0), Floats)
assert_type(tnp.einsum("ij->ji", x), Floats)
assert_type(tnp.argsort(x), NDArray[np.intp])
assert_type(tnp.argmax(x), np.intp)
assert_type(tnp.take(np.arange(3), [1]), NDArray[np.intp])
assert_type(tnp.reshape(x > 0.0, (9, 1)), NDArray[np.bool_])
assert_type(tnp.sum(x), float)
assert_type(tnp.sum(x, axis=0), Floats)
assert_type(tnp.sum(x, keepdims=True), Floats)
assert_type(tnp.sum(np.arange(3)), float)
assert_type(tnp.stack([x, x]), Floats)
assert_type(tnp.stack([1.0, 2.0]), Floats)
assert_type(tnp.maximum(x, [1, 2, 3]), Floats)
assert_type(tnp.zeros_like(x), Floats)
assert_type(tnp.asarray([1.0, 2.0]), Floats)
assert_type(tnp.astype(x, np.float32), NDArray[np.float32])
assert_type(tnp.less(x, 1.0), NDArray[np.bool_])
