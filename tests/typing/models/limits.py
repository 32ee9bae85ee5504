"""Programs that run, and that a checker rejects for a reason of its own, each with what works."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, final

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import Batched, Columns, Compiled, Real, Scalar, Var, math, where

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method):
        return method


class Pair(NamedTuple, Generic[Real]):
    x: Real
    y: Real

    def added(self) -> Real:  # limit: mypy
        return self.x + self.y


def added_that_works(p: Pair[Real]) -> Real:
    return p.x + p.y


def product(p: Pair[Real]) -> Real:
    return p.x**2 * p.y


def product_of_scalar(p: Pair[Real]) -> Scalar:
    return p.x**2 * p.y


def directional(p: Pair[Real]) -> Scalar:
    return tg.grad(product)(p).x  # limit: mypy, ty, pyrefly


def directional_that_works(p: Pair[Real]) -> Scalar:
    return tg.grad(product_of_scalar)(p).x


def both(p: Pair[Real]) -> tuple[Real, Real]:
    return p.x * p.y, p.x


def both_of_floats(p: Pair[float]) -> tuple[float, float]:
    return both(p)


@attrs.frozen
class Shifted(Generic[Real]):
    a: Real
    b: Real = 1.0  # limit: mypy, pyright, basedpyright, ty, pyrefly, zuban


@attrs.frozen
class ShiftedThatWorks(Generic[Real]):
    a: Real
    b: Real | float = 1.0


def shifted(p: Shifted[Real]) -> Real:
    return p.a * p.b


def shifted_that_works(p: ShiftedThatWorks[Real]) -> Real:
    return p.a * p.b


def network(p: list[list[list[Real]]], x: Sequence[Real]) -> Real:
    h = x
    for layer in p:
        h = [math.tanh(math.dot(row, h)) for row in layer]
    return math.sum(h)  # limit: ty


def network_of_floats(p: list[list[list[Real]]], x: Sequence[float]) -> Real:
    h = x
    for layer in p:
        h = [math.tanh(math.dot(row, h)) for row in layer]  # limit: mypy, pyright, basedpyright
    return math.sum(h)  # limit: mypy, pyright, basedpyright, pyrefly


def network_that_works(p: list[list[list[Real]]], x: Sequence[Real]) -> Real:
    h: Sequence[Real] = x
    for layer in p:
        h = [math.tanh(math.dot(row, h)) for row in layer]
    return math.sum(h)


@attrs.frozen
class Constant(Generic[Real]):
    value: Real


@final
@attrs.frozen
class FinalConstant(Generic[Real]):
    value: Real


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    named: Mapping[str, Real] = attrs.field(factory=dict)  # limit: pyright, basedpyright

    def at(self, x: float) -> Real:
        return self.w * x


@attrs.frozen
class Shifting(Line[Real]):
    shifts: Mapping[str, Real] = attrs.field(factory=dict[str, Real])

    def at(self, x: float) -> Real:  # limit: pyrefly
        return super().at(x)  # limit: mypy


@attrs.frozen
class ShiftingThatWorks(Line[Real]):
    @override
    def at(self, x: float) -> Real:
        return Line[Real].at(self, x)


def either(p: Line[Real] | Constant[Real]) -> Real:
    if isinstance(p, Line):
        return math.exp(p.w)  # limit: ty
    return math.exp(p.value)


def either_that_works(p: Line[Real] | FinalConstant[Real]) -> Real:
    match p:
        case Line():
            return math.exp(p.w)
        case FinalConstant():
            return math.exp(p.value)


def at_zero(x: Real) -> Real:
    if x == 0.0:
        return x
    return math.log(x)  # limit: ty


def at_zero_that_works(x: Real) -> Real:
    if math.fabs(x) == 0.0:
        return x
    return math.log(x)


def doubled(xs: list[Real]) -> list[Real]:
    return [2.0 * x for x in xs]


def doubled_tuple(xs: list[Real]) -> tuple[Real, ...]:
    return tuple(2.0 * x for x in xs)


def total(p: Mapping[str, Real]) -> Scalar:
    return math.sum(p.values())


def power(x: Real, n: int) -> Real:
    return x**n  # limit: ty


def power_that_works(x: Real, n: int) -> Real:
    return math.pow(x, n)


def sloped(x: Real) -> Real:
    return x * where(x > 1.0, 2.0, 3.0)  # limit: ty, pyrefly


def sloped_that_works(x: Real) -> Real:
    return where(x > 1.0, 2.0 * x, 3.0 * x)


def narrowed(x: Real) -> Real:
    return 2.0 * x if isinstance(x, Var) else x  # limit: ty


pair = Pair(2.0, 3.0)
assert tg.grad(directional)(pair) == tg.grad(directional_that_works)(pair) == Pair(6.0, 4.0)
assert pair.added() == tg.grad(added_that_works)(pair).x + 4.0
assert Shifting(2.0).at(3.0) == ShiftingThatWorks(2.0).at(3.0) == 6.0
assert either(Line(0.0)) == either_that_works(FinalConstant(0.0)) == 1.0
assert tg.grad(at_zero)(2.0) == tg.grad(at_zero_that_works)(2.0) == 0.5
assert tg.grad(shifted)(Shifted(2.0)).b == tg.grad(shifted_that_works)(ShiftedThatWorks(2.0)).b
assert network([[[0.5]]], [1.0]) == network_of_floats([[[0.5]]], [1.0])
assert network([[[0.5]]], [1.0]) == network_that_works([[[0.5]]], [1.0])
assert tg.vjp(doubled, [1])[0] == [2.0]  # limit: mypy, zuban
assert tg.vjp(doubled, [1.0])[0] == [2.0]
assert tg.jit(both)(pair) == (6.0, 2.0)  # limit: pyrefly
assert tg.jit(both_of_floats)(pair) == (6.0, 2.0)
fast: Compiled[[Pair[float]], float] = tg.jit(product_of_scalar)  # limit: zuban
assert fast(pair) == 12.0
assert tg.jit(product_of_scalar)(pair) == 12.0  # limit: pyrefly
assert tg.record(doubled)([1.0]).value == [2.0]  # limit: ty
assert tg.record(doubled_tuple)([1.0]).value == (2.0,)

columns = {"a": np.ones(2)}
leaked: float = tg.vmap(tg.grad(total))(columns).row(0)["a"]  # limit: pyright, basedpyright
slopes: Batched[Columns[Mapping[str, float]]] = tg.vmap(tg.grad(total))
slope: float = slopes(columns).row(0)["a"]
assert leaked == slope == 1.0
models: list[Callable[[float], float]] = [tg.grad(sloped), tg.grad(sloped_that_works)]
assert [f(2.0) for f in models] == [2.0, 2.0]
assert [f.__name__ for f in models] == ["grad(sloped)", "grad(sloped_that_works)"]  # limit: ty
assert getattr(models[0], "__name__", "a function") == "grad(sloped)"
assert tg.grad(power)(3.0, 2) == tg.grad(power_that_works)(3.0, 2) == 6.0
assert tg.grad(narrowed)(3.0) == 2.0
