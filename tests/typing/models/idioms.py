"""Idioms: descent over dicts, classes that hold transforms, options, enums, recursion, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from itertools import pairwise
from typing import Generic, NotRequired, ParamSpec, Protocol, TypedDict, TypeVar, assert_never

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import Real, math

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")
Row = tuple[float, float]


class Kind(StrEnum):
    CALL = "call"
    PUT = "put"


class Spec(TypedDict):
    depth: int
    scale: NotRequired[float]


@attrs.frozen
class Table(Generic[K, Real]):
    items: Mapping[K, Real]

    def __getitem__(self, key: K) -> Real:
        return self.items[key]


@dataclass
class Mutable(Generic[Real]):
    w: Real
    history: tuple[Real, ...] = ()
    name: str = "mutable"


def announced(f: Callable[P, R]) -> Callable[P, R]:
    @wraps(f)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return f(*args, **kwargs)

    return inner


def logistic(p: Mapping[str, Real], rows: Sequence[Row], *, l2: float = 0.0) -> Real:
    losses = [math.log1p(math.exp(-y * (p["w"] * x + p["b"]))) for x, y in rows]
    return math.mean(losses) + l2 * math.sum([v**2 for v in p.values()])


class Trainer:
    rate: float = 0.1

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self.step = tg.jit(tg.value_and_grad(logistic))

    def run(self, start: Mapping[str, float]) -> Iterator[float]:
        p = dict(start)
        while True:
            value, slope = self.step(p, self.rows)
            yield value
            for k in p:
                p[k] -= self.rate * slope[k]

    def __call__(self, p: Mapping[str, Real]) -> Real:
        return logistic(p, self.rows)

    @staticmethod
    def doubled(x: Real) -> Real:
        return x * 2.0

    @classmethod
    def made(cls, x: Real) -> Real:
        return cls.doubled(x)


class Loss(Protocol):
    def __call__(self, p: Mapping[str, Real], /) -> Real: ...


def slope_of(f: Loss, start: Mapping[str, float]) -> Mapping[str, float]:
    return tg.grad(f)(start)


def table(t: Table[str, Real], keys: Iterable[str]) -> Real:
    return math.sum([t[key] for key in keys])


def mutable(m: Mutable[Real], x: float) -> Real:
    return m.w * x + math.sum(m.history)


@announced
def deep(x: Real, spec: Spec) -> Real:
    for _ in range(spec["depth"]):
        x = math.tanh(x) * spec.get("scale", 1.0)
    return x


def recursive(x: Real, n: int) -> Real:
    return x if n == 0 else math.sin(recursive(x, n - 1))


def signed(x: Real, kind: Kind = Kind.CALL) -> Real:
    if kind is Kind.CALL:
        return x
    if kind is Kind.PUT:
        return -x
    assert_never(kind)


def optional(x: Real, y: Real | None = None) -> Real:
    return x * x if y is None else x * y


def root_of(x: Real, tolerance: float = 1e-10) -> Real:
    y = 1.0 + 0.0 * x
    for _ in range(50):
        if math.fabs(change := (y * y - x) / (2.0 * y)) < tolerance:
            break
        y = y - change
    return y


def rosenbrock(x: Sequence[Real]) -> Real:
    return math.sum([(1.0 - a) ** 2 + 100.0 * (b - a * a) ** 2 for a, b in pairwise(x)])


def softmax(xs: Sequence[Real]) -> list[Real]:
    top = max(xs)
    powers = [math.exp(x - top) for x in xs]
    total = math.sum(powers)
    return [power / total for power in powers]


def cross_entropy(xs: Sequence[Real], k: int) -> Real:
    return -math.log(softmax(xs)[k])


def grid(x: Real, n: int) -> Real:
    cells: list[list[Real]] = [[x * i * j for j in range(n)] for i in range(n)]
    filled = [0.0 * x] * n
    filled[0] = x
    sums: dict[int, Real] = {}
    for i in range(n):
        sums[i] = sums.get(i - 1, x) + cells[i][i]
    return math.sum(sums.values()) + filled[0]


def checked(x: Real) -> Real:
    if not 0.0 < x < 1.0:
        raise ValueError(f"x must be inside (0, 1): {x!r}")
    return math.log(x / (1.0 - x))


rows = [(1.0, 1.0), (-1.0, -1.0), (0.5, -1.0)]
p = {"w": 0.0, "b": 0.0}
for _ in range(3):
    slope = tg.grad(logistic)(p, rows, l2=0.01)
    p = {k: v - 0.1 * slope[k] for k, v in p.items()}
trainer = Trainer(rows)
losses = [value for value, _ in zip(trainer.run({"w": 0.0, "b": 0.0}), range(3), strict=False)]
assert losses == sorted(losses, reverse=True)
assert slope_of(trainer, p).keys() == p.keys()
assert tg.grad(Trainer.doubled)(1.0) == tg.grad(Trainer.made)(1.0) == 2.0
diagonal: dict[str, float] = {k: tg.hessian(trainer)(p)[k][k] for k in p}
assert tg.grad(table)(Table({"a": 1.0}), ["a"]).items["a"] == 1.0
changed = tg.grad(mutable)(Mutable(1.0), 2.0)
changed.w += 1.0
assert changed == Mutable(3.0)
assert tg.grad(deep)(0.0, {"depth": 3}) == tg.grad(recursive)(0.0, 5) == 1.0
assert tg.grad(signed)(1.0, Kind.PUT) == -tg.grad(signed)(1.0) == -1.0
assert (tg.grad(optional)(2.0), tg.grad(optional)(2.0, 5.0)) == (4.0, 5.0)
assert tg.partials(optional)(x=2.0, y=3.0) == {"x": 3.0, "y": 2.0}
assert round(tg.grad(root_of)(4.0), 6) == 0.25
functions: dict[str, Callable[[Sequence[float]], Sequence[float]]] = {
    "eager": tg.grad(rosenbrock),
    "compiled": tg.jit(tg.grad(rosenbrock)),
}
assert functions["eager"]([0.0, 0.0]) == functions["compiled"]([0.0, 0.0])
assert round(sum(tg.grad(cross_entropy)([1.0, 2.0], 0)), 12) == 0.0
assert tg.grad(grid)(1.0, 3) == 10.0
assert round(tg.grad(checked)(0.25), 6) == 5.333333
mean: float = tg.vmap(signed, reduce="mean")(np.linspace(-1.0, 1.0, 5))
assert mean == 0.0
