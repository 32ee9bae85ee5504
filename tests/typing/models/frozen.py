"""Parameters that nothing can be written to: each checker knows the type of their gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, assert_type

import attrs

import tapegrad as tg
from tapegrad import Real


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


@dataclass(frozen=True)
class Book(Generic[Real]):
    lines: tuple[Line[Real], ...]
    quotes: Mapping[str, Real]
    cap: Real | None = None


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real


def line(p: Line[Real], x: float) -> Real:
    return p.w * x + p.b


def book(p: Book[Real], x: float) -> Real:
    return line(p.lines[0], x) * p.quotes["a"]


def point(p: Point[Real]) -> Real:
    return p.x * p.y


def first(xs: Sequence[Real]) -> Real:
    return xs[0]


def quoted(p: Mapping[str, Real]) -> Real:
    return p["a"]


start = Line(1.0, 2.0)
assert assert_type(tg.grad(line)(start, 3.0), Line[float]) == Line(3.0, 1.0)
assert assert_type(tg.value_and_grad(line)(start, 3.0).grad, Line[float]) == Line(3.0, 1.0)
assert assert_type(tg.grad(book)(Book((start,), {"a": 1.0}), 2.0), Book[float]).quotes["a"] == 4.0
assert assert_type(tg.grad(point)(Point(1.0, 2.0)), Point[float]) == Point(2.0, 1.0)
assert assert_type(tg.grad(quoted)({"a": 1.0}), Mapping[str, float])["a"] == 1.0
assert assert_type(tg.grad(first)([1.0]), Sequence[float])[0] == 1.0
assert assert_type(tg.record(line)(start, 3.0).gradient(), Line[float]) == Line(3.0, 1.0)
assert assert_type(tg.hvp(line, start, start, 3.0), Line[float]) == Line(0.0, 0.0)
