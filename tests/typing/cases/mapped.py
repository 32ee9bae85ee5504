"""What vmap gives has types too: arrays, columns of the parameters, and the function's own."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, assert_type

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad import (
    Batched,
    BatchValueAndGrad,
    Columns,
    Estimate,
    FloatArray,
    Progress,
    Real,
    ValueAndGrad,
    grad,
    math,
    value_and_grad,
    vmap,
)


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real


def payoff(market: Market[Real], normals: Sequence[float], strike: float) -> Real:
    total = math.fsum([market.vol * normal for normal in normals])
    return math.relu(market.spot * math.exp(total) - strike)


def weights(p: Mapping[str, Real], x: float) -> Real:
    return p["a"] * x + p["b"]


def square(x: Real) -> Real:
    return x * x


def pair(x: Real) -> tuple[Real, Real]:
    return x, x * x


market = Market(100.0, 0.2)
normals: NDArray[np.float64] = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
x: NDArray[np.float64] = np.arange(4.0)

batch: Batched[BatchValueAndGrad[Market[float]]] = vmap(
    value_and_grad(payoff), in_axes=(None, 0, None)
)
values, slopes = batch(market, normals, 100.0)
assert_type(values, FloatArray)
assert_type(slopes, Columns[Market[float]])
assert_type(slopes.column("vol"), FloatArray)
assert_type(slopes.row(0), Market[float])
assert slopes.row(0).vol == slopes.column("vol")[0]
plain: NDArray[np.float64] = np.asarray(values)
assert plain.shape == (4,)

reduced: Batched[ValueAndGrad[Market[float]]] = vmap(
    value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean"
)
assert_type(reduced(market, normals, 100.0).grad.spot, float)

estimated: Batched[Estimate[ValueAndGrad[Market[float]]]] = vmap(
    value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean", stderr=True
)
estimate = estimated(market, normals, 100.0)
assert_type(estimate.stderr.grad.vol, float)
assert_type(estimate.rows, int)
assert estimate.rows == 4

by_name: Batched[BatchValueAndGrad[Mapping[str, float]]] = vmap(
    value_and_grad(weights), in_axes=(None, 0), backend="numpy", threads=1
)
assert by_name({"a": 2.0, "b": 1.0}, x).grad.paths == ("a", "b")

squares = assert_type(vmap(square)(x), FloatArray)
assert_type(squares * x - 1.0, FloatArray)
assert_type(squares[squares > 2.0] ** 2, FloatArray)
assert_type((squares >= x).sum(), int)
assert_type(vmap(grad(square))(x), FloatArray)
by_key: Batched[Columns[Mapping[str, float]]] = vmap(grad(weights), in_axes=(None, 0))
assert by_key({"a": 2.0, "b": 1.0}, x).paths == ("a", "b")
total: Batched[Mapping[str, float]] = vmap(grad(weights), in_axes=(None, 0), reduce="sum")
assert set(total({"a": 2.0, "b": 1.0}, x)) == {"a", "b"}
assert vmap(square)(x)[3] == vmap(pair)(x).column("1")[3] == 9.0


def enough(progress: Progress[float]) -> bool:
    assert_type(progress.value, float)
    assert_type(progress.stderr, float | None)
    return progress.rows > 10_000


def blocks() -> Iterator[NDArray[np.float64]]:
    yield x
    yield x[:2]


with ThreadPoolExecutor(1) as pool:
    summed = vmap(square, reduce="sum", callback=enough, executor=pool)
    assert assert_type(summed(blocks()), float) == 15.0
made = vmap(square, reduce="mean", executor=lambda: ThreadPoolExecutor(1))
assert made(x) == 3.5
assert_type(batch.source("llvm"), str)
assert len(batch.tapes) == len(batch.report().shapes[0].paths)
