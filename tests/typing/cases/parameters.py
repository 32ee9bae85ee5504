"""The ten kinds of parameters: the gradient has the type of what was passed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypedDict, assert_type

import attrs

from tapegrad import Real, grad, math


def square(x: Real) -> Real:
    return x * x


def of_dict(p: dict[str, Real]) -> Real:
    return p["w"] * p["b"]


def of_mapping(p: Mapping[str, Real]) -> Real:
    return p["w"] * p["b"]


def of_list(p: list[Real]) -> Real:
    return math.prod(p)


def of_tuple(p: tuple[Real, Real]) -> Real:
    first, second = p
    return first * second


class Weights(TypedDict, Generic[Real]):
    w: Real
    b: Real


def of_typed_dict(p: Weights[Real]) -> Real:
    return p["w"] * p["b"]


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real


def of_named_tuple(p: Point[Real]) -> Real:
    return p.x * p.y


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real
    name: str = "line"


def of_attrs(p: Line[Real], x: float, y: float) -> Real:
    return (p.w * x + p.b - y) ** 2


@attrs.frozen
class Network(Generic[Real]):
    layers: tuple[Line[Real], ...]
    scales: Mapping[str, Real]
    depth: int = 2


def of_nested(p: Network[Real], x: float) -> Real:
    return math.sum([(line.w * x + line.b) * p.scales["out"] for line in p.layers])


@dataclass(frozen=True)
class Circle(Generic[Real]):
    radius: Real
    unit: str = "m"


def of_dataclass(p: Circle[Real]) -> Real:
    return math.pi * p.radius**2


assert assert_type(grad(square)(1.5), float) == 3.0
assert assert_type(grad(of_dict)({"w": 2.0, "b": 3.0}), dict[str, float]) == {"w": 3.0, "b": 2.0}
assert assert_type(grad(of_mapping)({"w": 2, "b": 3}), Mapping[str, float]) == {"w": 3.0, "b": 2.0}
assert assert_type(grad(of_list)([2.0, 3.0, 4.0]), list[float]) == [12.0, 8.0, 6.0]
assert assert_type(grad(of_tuple)((2.0, 3.0)), tuple[float, float]) == (3.0, 2.0)
assert assert_type(grad(of_typed_dict)({"w": 2.0, "b": 3.0}), Weights[float]) == {
    "w": 3.0,
    "b": 2.0,
}
assert assert_type(grad(of_named_tuple)(Point(2.0, 3.0)), Point[float]) == Point(3.0, 2.0)
assert assert_type(grad(of_attrs)(Line(1.0, 2.0, "fit"), 3.0, y=4.0), Line[float]) == Line(
    6.0, 2.0, "fit"
)
assert assert_type(grad(of_dataclass)(Circle(0.5)), Circle[float]) == Circle(math.pi)

network = Network((Line(1.0, 2.0), Line(3.0, 4.0)), {"out": 0.5})
assert assert_type(grad(of_nested)(network, 10.0), Network[float]) == Network(
    (Line(5.0, 0.5), Line(5.0, 0.5)), {"out": 46.0}
)

measured: dict[str, int] = {"w": 2, "b": 3}
assert_type(grad(of_mapping)(measured), Mapping[str, float])

# The models run on plain floats as they are.
assert assert_type(square(3.0), float) == 9.0
assert assert_type(of_attrs(Line(1.0, 2.0), 3.0, 4.0), float) == 1.0
assert assert_type(of_nested(network, 10.0), float) == 23.0
