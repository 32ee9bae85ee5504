"""Regression on columns: weights in a class, robust and quantile losses, a curve by a solver."""

from collections.abc import Mapping, Sequence
from typing import Generic, assert_type

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import Real, Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats


@attrs.frozen
class Table:
    """Columns by name, as a frame has them."""

    columns: Mapping[str, Floats]

    def to_numpy(self) -> Floats:
        return np.column_stack(list(self.columns.values()))

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]


@attrs.frozen
class Weights(Generic[Real, Arr]):
    slopes: Arr
    offset: Real
    name: str = attrs.field(default="weights", kw_only=True)


@attrs.frozen
class Linear(Generic[Arr]):
    slopes: Arr
    offset: Arr


def fitted(p: Linear[Arr], table: Table) -> Arr:
    return tnp.matmul(table.to_numpy(), p.slopes) + p.offset


def huber(rest: Arr, width: float = 1.0) -> Arr:
    size = tnp.abs(rest)
    return tnp.where(size < width, 0.5 * rest * rest, width * (size - 0.5 * width))  # limit: ty


def robust(p: Linear[Arr], table: Table, y: Floats, width: float = 1.0) -> Scalar:
    return tnp.mean(huber(y - fitted(p, table), width)) + 0.01 * tnp.norm(p.slopes)


def pinball(p: Linear[Arr], table: Table, y: Floats, *, share: float) -> Scalar:
    rest = y - fitted(p, table)
    return tnp.mean(tnp.maximum(share * rest, (share - 1.0) * rest))


def curve(knots: Arr, at: Floats, y: Floats) -> Scalar:
    heights = tnp.cumulative_sum(tnp.softplus(knots))
    line = tnp.interp(at, np.linspace(0.0, 1.0, 5), heights)
    return tnp.sum((line - y) ** 2) + tnp.sum(tnp.diff(knots) ** 2)


def polynomial(p: Sequence[Arr], x: Floats, y: Floats) -> Scalar:
    powers = tnp.stack([x**n for n in range(3)], axis=1)
    rest = powers @ p[0] - y
    if tnp.max(tnp.abs(rest)) > 1e6:
        return tnp.sum(tnp.abs(rest))
    return tnp.vdot(rest, rest) / len(y)


def explained(p: Linear[Arr], table: Table, y: Floats) -> tuple[Scalar, Mapping[str, Scalar]]:
    rest = y - fitted(p, table)
    total = tnp.sum((y - tnp.mean(y)) ** 2)
    left = tnp.sum(rest**2)
    return left, {"share": 1.0 - left / total, "largest": tnp.max(tnp.abs(rest))}


def with_a_number(p: Weights[Real, Arr], table: Table, y: Floats) -> Scalar:
    line = tnp.add(tnp.matmul(table.to_numpy(), p.slopes), p.offset)
    return tnp.mean((line - y) ** 2) + 0.1 * p.offset * p.offset


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


def squares(p: Line[Real], x: Floats, y: Floats) -> Scalar:
    return tnp.mean((p.w * x + p.b - y) ** 2)


def absolute(p: Line[Real], x: Floats, y: Floats) -> Scalar:
    rest = y - x * p.w - p.b
    return tnp.sum(tnp.where(rest > 0.0, rest, -rest)) + tnp.vdot(rest, rest)


def decay(p: Mapping[str, Real], t: Floats, y: Floats) -> Scalar:
    fit = p["height"] * tnp.exp(-p["rate"] * t) + p["floor"]
    return tnp.mean(tnp.square(fit - y)) + 0.1 * p["height"] ** 2


table = Table({"age": np.array([1.0, 2.0, 3.0]), "size": np.array([0.0, 1.0, 0.5])})
y = np.array([1.0, 2.0, 4.0])
start = Linear(np.zeros(2), np.zeros(1))
slope = assert_type(tg.grad(robust)(start, table, y, width=0.5), Linear[Floats])
assert slope.slopes.shape == (2,)
assert tg.grad(pinball)(start, table, y, share=0.9).offset[0] < 0.0
step = 0.1 * slope.slopes
lower = robust(Linear(start.slopes - step, start.offset), table, y, 0.5)
assert lower < robust(start, table, y, 0.5)
assert_type(tg.grad(curve)(np.zeros(5), np.array([0.1, 0.6]), np.ones(2)), Floats)
assert_type(tg.grad(polynomial)([np.zeros(3)], y, y), Sequence[Floats])
(value, aux), gradient = tg.value_and_grad(explained, has_aux=True)(start, table, y)
assert gradient.slopes.shape == (2,)
assert aux["share"] < 1.0
mixed = assert_type(
    tg.grad(with_a_number)(Weights(np.zeros(2), 0.0), table, y), Weights[float, Floats]
)
assert mixed.slopes.shape == (2,)
ages = table["age"]
line = assert_type(tg.grad(squares)(Line(1.0, 0.0), ages, y), Line[float])
assert line.b < 0.0
assert tg.check_grad(absolute, Line(1.1, 0.3), ages, y).ok
falling = {"height": 1.0, "rate": 0.5, "floor": 0.0}
assert_type(tg.grad(decay)(falling, ages, y), Mapping[str, float])
