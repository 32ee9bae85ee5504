"""mypy works out what vmap gives, and refuses options that do not go together."""

from collections.abc import Mapping, Sequence
from typing import Generic, assert_type

import attrs

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
    return math.relu(market.spot * math.exp(market.vol * normals[0]) - strike)


def weights(p: Mapping[str, Real], x: float) -> Real:
    return p["a"] * x + p["b"]


def square(x: Real) -> Real:
    return x * x


def enough(progress: Progress[float]) -> bool:
    return progress.rows > 10_000


batch = vmap(value_and_grad(payoff), in_axes=(None, 0, None))
assert_type(batch, Batched[BatchValueAndGrad[Market[float]]])
assert_type(batch(Market(100.0, 0.2), [[1.0]], 100.0).grad, Columns[Market[float]])
reduced = vmap(value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean")
assert_type(reduced, Batched[ValueAndGrad[Market[float]]])
estimated = vmap(value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean", stderr=True)
assert_type(estimated, Batched[Estimate[ValueAndGrad[Market[float]]]])
by_name = vmap(value_and_grad(weights), in_axes=(None, 0))
assert_type(by_name, Batched[BatchValueAndGrad[Mapping[str, float]]])
assert_type(vmap(square), Batched[FloatArray])
assert_type(vmap(grad(square)), Batched[FloatArray])
assert_type(vmap(square, reduce="sum"), Batched[float])

vmap(square, reduce="sum", stderr=True)  # E: call-overload
vmap(square, callback=enough)  # E: call-overload
vmap(square, reduce="max")  # E: call-overload
vmap(square, on_branch="skip")  # E: call-overload
vmap(square, in_axes=(1,))  # E: arg-type
vmap(square, executor=5)  # E: call-overload
batch(Market(100.0, 0.2), [[1.0]], 100.0).grad.row(0).rho  # E: attr-defined
