"""Compiled functions are called as the function is, and give what it gives."""

from collections.abc import Mapping, Sequence
from typing import Generic, assert_type

import attrs

import tapegrad as tg
from tapegrad import Compiled, FloatArray, Real, Tape, ValueAndGrad, math


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real


def price(market: Market[Real], strike: float, *, t: float = 1.0) -> Real:
    return math.maximum(market.spot * math.exp(market.vol * t) - strike, 0.0)


def program_of_row(x: Real, t: float) -> Real:
    return x * len(f"{t:.2f}")


def loss(p: Mapping[str, Real], xs: Sequence[float]) -> Real:
    return math.sum([(p["w"] * x - 1.0) ** 2 for x in xs])


market = Market(100.0, 0.2)
fast = tg.jit(tg.value_and_grad(price))
answer = fast(market, 90.0, t=0.0)
assert assert_type(answer, ValueAndGrad[Market[float]]).value == 10.0
assert assert_type(fast(market, 90.0).grad, Market[float]) == tg.grad(price)(market, 90.0)
assert assert_type(tg.jit(price)(market, 90.0, t=0.0), float) == 10.0
slope = assert_type(tg.jit(tg.grad(loss))({"w": 1.0}, [2.0]), Mapping[str, float])
assert slope == {"w": 4.0}
assert assert_type(tg.jit(tg.hessian(loss))({"w": 1.0}, [2.0]), dict[str, dict[str, float]])

fixed = tg.jit(tg.value_and_grad(price), static_argnames=("strike", "t"))
assert assert_type(fixed(market, 90.0, t=0.0), ValueAndGrad[Market[float]]) == answer
assert_type(tg.record(loss, static_argnames="xs")({"w": 1.0}, [2.0]).value, float)
assert_type(tg.vmap(program_of_row, static_argnames="t", reduce="mean")([1.0], 2.0), float)


def program(x: float) -> tuple[float, str]:
    return x, "name"


compiled: Compiled[[float], tuple[float, str]] = tg.jit(program, backend="python")
assert assert_type(compiled(2.0), tuple[float, str]) == (2.0, "name")
tapes: tuple[Tape[object, ..., object], ...] = compiled.tapes
flat = compiled.flat(2.0)
assert flat.outputs == ("0",)


def both(inputs: FloatArray) -> FloatArray:
    return flat(inputs) + flat(inputs)
