"""mypy works out what vmap gives, and refuses options that do not go together."""

from collections.abc import Mapping, Sequence
from typing import Generic, assert_type

import attrs

from tapegrad import (
    BatchValueAndGrad,
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


market = Market(100.0, 0.2)
batch = vmap(value_and_grad(payoff), in_axes=(None, 0, None))
assert_type(batch(market, [[1.0]], 100.0), BatchValueAndGrad[Market[float]])
reduced = vmap(value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean")
assert_type(reduced(market, [[1.0]], 100.0), ValueAndGrad[Market[float]])
estimated = vmap(value_and_grad(payoff), in_axes=(None, 0, None), reduce="mean", stderr=True)
assert_type(estimated(market, [[1.0]], 100.0), Estimate[ValueAndGrad[Market[float]]])
by_name = vmap(value_and_grad(weights), in_axes=(None, 0))
assert_type(by_name({"a": 1.0, "b": 2.0}, [1.0]).grad.row(0), Mapping[str, float])
assert_type(vmap(square)([1.0]), FloatArray)
assert_type(vmap(grad(square))([1.0]), FloatArray)
assert_type(vmap(square, reduce="sum")([1.0]), float)

vmap(square, reduce="sum", stderr=True)  # E: call-overload
vmap(square, callback=enough)  # E: call-overload
vmap(square, reduce="max")  # E: call-overload
vmap(square, on_branch="skip")  # E: call-overload
vmap(square, in_axes=(1,))  # E: arg-type
vmap(square, executor=5)  # E: call-overload
batch(market, [[1.0]], 100.0).grad.row(0).rho  # E: attr-defined
batch()  # E: call-arg
batch(100.0, [[1.0]], 100.0)  # E: arg-type
