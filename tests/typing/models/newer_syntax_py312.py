"""Type parameters in brackets: frozen classes and read-only containers, exact in ty, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_type

import attrs

import tapegrad as tg
from tapegrad import Scalar, Var, math


@attrs.frozen
class Base[R: (float, Var)]:
    a: R


@attrs.frozen
class Child[R: (float, Var)](Base[R]):
    b: R
    tags: tuple[str, ...] = ()


class Point[R: (float, Var)](NamedTuple):
    x: R
    y: R


@dataclass(frozen=True)
class Book[R: (float, Var)]:
    curve: Mapping[str, R]
    points: Sequence[Point[R]]
    cap: R | None = None


def child[R: (float, Var)](c: Child[R], x: float) -> R:
    return c.a * x + c.b


def book[R: (float, Var)](b: Book[R], scale: float = 1.0) -> R:
    base = math.sum(b.curve.values()) + math.sum([p.x * p.y for p in b.points])
    return base * scale if b.cap is None else math.minimum(base, b.cap)


def squared(x: Scalar) -> Scalar:
    return x * x


def outer[R: (float, Var)](x: R) -> Scalar:
    return tg.grad(squared)(x) * x


slope = assert_type(tg.grad(child)(Child(1.0, 2.0, ("a",)), 3.0), Child[float])
assert slope == Child(3.0, 1.0, ("a",))
found = assert_type(tg.grad(book)(Book({"1y": 0.01}, [Point(1.0, 2.0)], 100.0)), Book[float])
assert found.points == [Point(2.0, 1.0)]
value, gradient = tg.value_and_grad(child)(Child(1.0, 2.0), 3.0)
assert assert_type(gradient, Child[float]).b == assert_type(value, float) - 4.0
assert assert_type(tg.grad(outer)(2.0), float) == 8.0
assert assert_type(tg.record(child)(Child(1.0, 2.0), 3.0).gradient(), Child[float]).a == 3.0
assert assert_type(tg.jit(tg.grad(child))(Child(1.0, 2.0), 3.0), Child[float]).a == 3.0
