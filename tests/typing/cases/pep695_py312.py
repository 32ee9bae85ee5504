"""The same in the syntax of Python 3.12: type parameters with the constraints written out."""

from dataclasses import dataclass
from typing import NamedTuple, TypedDict, assert_type

import attrs

from tapegrad import Var, grad, math, record, value_and_grad


@attrs.frozen
class Line[R: (float, Var)]:
    w: R
    b: R
    name: str = "line"


@attrs.frozen
class Network[R: (float, Var)]:
    layers: list[Line[R]]
    scale: R


@dataclass(frozen=True, slots=True)
class Circle[R: (float, Var)]:
    radius: R


class Point[R: (float, Var)](NamedTuple):
    x: R
    y: R


class Weights[R: (float, Var)](TypedDict):
    w: R


type Vector[R] = list[R]


@attrs.frozen
class Swarm[R: (float, Var)]:
    xs: Vector[R]


def line[R: (float, Var)](p: Line[R], x: float) -> R:
    return p.w * x + p.b


def network[R: (float, Var)](p: Network[R], x: float) -> R:
    return math.sum([layer.w * x + layer.b for layer in p.layers]) * p.scale


def circle[R: (float, Var)](p: Circle[R]) -> R:
    return p.radius * p.radius


def point[R: (float, Var)](p: Point[R]) -> R:
    return p.x * p.y


def weights[R: (float, Var)](p: Weights[R]) -> R:
    return 3.0 * p["w"]


def swarm[R: (float, Var)](p: Swarm[R]) -> R:
    return math.prod(p.xs)


assert assert_type(grad(line)(Line(2.0, 1.0), x=3.0), Line[float]) == Line(3.0, 1.0)
assert assert_type(grad(network)(Network([Line(1.0, 2.0)], 2.0), 3.0), Network[float]) == Network(
    [Line(6.0, 2.0)], 5.0
)
assert assert_type(grad(circle)(Circle(2.0)), Circle[float]) == Circle(4.0)
assert assert_type(grad(point)(Point(2.0, 3.0)), Point[float]) == Point(3.0, 2.0)
assert assert_type(grad(weights)({"w": 1.0}), Weights[float]) == {"w": 3.0}
many = Swarm([2.0, 3.0])
assert assert_type(grad(swarm)(many), Swarm[float]) == Swarm([3.0, 2.0])

value, gradient = value_and_grad(circle)(Circle(3.0))
assert assert_type(value, float) == 9.0
assert assert_type(gradient, Circle[float]) == Circle(6.0)
assert assert_type(record(point)(Point(2.0, 3.0)).value, float) == 6.0
