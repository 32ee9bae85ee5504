"""Derivatives inside models, more results beside the value, and results of `-> Scalar` models."""

from collections.abc import Callable, Mapping
from typing import Generic

import attrs

import tapegrad as tg
from tapegrad import Real, Scalar, Tape, math


@attrs.frozen
class Info(Generic[Real]):
    residual: Real
    steps: int


@attrs.frozen(kw_only=True)
class Pair(Generic[Real]):
    x: Real
    y: Real
    shift: Real | None = None


@attrs.frozen
class Held(Generic[Real]):
    f: Callable[[Real], Real]
    a: Real


def with_info(w: Mapping[str, Real], x: float) -> tuple[Real, Info[Real]]:
    r = w["a"] * x - 1.0
    return r**2, Info(r, 3)


def potential(x: Scalar) -> Scalar:
    return x**4 / 4.0 - x


def newton(x: Real, steps: int) -> Scalar:
    y: Scalar = x
    for _ in range(steps):
        y = y - tg.grad(potential)(y) / tg.grad(tg.grad(potential))(y)
    return y


def product(p: Pair[Real]) -> Scalar:
    return p.x**2 * p.y + (p.shift if p.shift is not None else 0.0)


def directional(p: Pair[Real]) -> Scalar:
    g = tg.grad(product)(p)
    return g.x + 2.0 * g.y


def held(p: Held[Real]) -> Real:
    return p.f(p.a)


def kinked(p: Pair[Real], t: float, floor: float | None = None) -> Real:
    low = 0.0 if floor is None else floor
    r = p.x * t + p.y - low
    if r < 0.0:
        r = -r
    return tg.where(r > 1.0, 2.0 * r - 1.0, r**2) + 0.0 * tg.stop_gradient(r)


grad, info = tg.grad(with_info, has_aux=True)({"a": 2.0}, 3.0)
(value, more), grad2 = tg.value_and_grad(with_info, has_aux=True)({"a": 2.0}, 3.0)
residual: float = info.residual
steps: int = more.steps
assert (grad["a"], residual, value, steps) == (30.0, 5.0, 25.0, 3)
assert grad2 == grad == {"a": 30.0}

root: float = tg.grad(newton)(1.5, 2)
second: float = tg.grad(tg.grad(potential))(2.0)
third: float = tg.grad(tg.grad(tg.grad(potential)))(2.0)
assert (second, third) == (12.0, 12.0)
assert tg.grad(directional)(Pair(x=1.0, y=2.0)).x == 2.0 * 2.0 + 4.0
assert tg.grad(held)(Held(math.exp, 0.0)).a == 1.0

pair = Pair(x=1.0, y=2.0)
tape = tg.record(kinked)(pair, 3.0)
kept: Tape[Pair[float], ..., float] = tape
for node in tape:
    match node:
        case tg.Guard(outcome=outcome):
            assert not outcome
        case tg.Input() | tg.Constant() | tg.Apply():
            pass
w: float = tg.record(product)(pair).value
y, pull = tg.vjp(product, pair)
back: Pair[float] = pull(1.0)
assert w == y == 2.0
assert back.x == 4.0
flat = tg.jit(kinked).flat(pair, 3.0)
assert flat.inputs[:2] == ("x", "y")
