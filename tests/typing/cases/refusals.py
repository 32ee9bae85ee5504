"""What a checker must refuse; every line ends in mypy's code for it."""

import math as plain
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypedDict, assert_type

import attrs

from tapegrad import Condition, Real, Var, grad, math, partials, record, value_and_grad, where


def of_var(x: Var, y: Var, c: Condition) -> None:
    plain.sin(x)  # E: arg-type
    float(x)  # E: arg-type
    complex(x)  # E: call-overload
    [1.0, 2.0][x]  # E: call-overload
    x.value  # E: attr-defined
    x += "1"  # E: operator
    n: float = x  # E: assignment
    sum([x]).real  # E: union-attr
    where(x, 1.0, 2.0)  # E: call-overload
    where(c, "a", "b")  # E: call-overload
    math.sin("x")  # E: call-overload
    math.frexp(x)  # E: arg-type
    math.polygamma(x, x)  # E: call-overload
    math.sum(x)  # E: call-overload
    c + "1"  # E: call-overload


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real


class Weights(TypedDict, Generic[Real]):
    w: Real
    b: Real


def of_line(p: Line[Real], x: float, *, unit: str = "m") -> Real:
    return p.w * x + p.b


def of_point(p: Point[Real]) -> Real:
    return p.x * p.y


def of_weights(p: Weights[Real]) -> Real:
    return p["w"] * p["b"]


def of_mapping(p: Mapping[str, Real]) -> Real:
    return p["w"]


line = Line(1.0, 2.0)
grad(of_line)(line).w  # E: call-arg
grad(of_line)(line, 1.0, 2.0)  # E: call-arg, arg-type
grad(of_line)(line, 1.0, unit=2)  # E: arg-type
grad(of_line)(line, 1.0, z=2.0)  # E: call-arg
grad(of_line)(p=line, x=1.0)  # E: call-arg
grad(of_line)({"w": 1.0}, 1.0)  # E: arg-type
grad(of_line)(line, "1.0")  # E: arg-type
grad(of_line)(line, 1.0).weight  # E: attr-defined
grad(of_line)(line, 1.0) - 1.0  # E: operator
value_and_grad(of_line)(line, 1.0).gradient  # E: attr-defined
value_and_grad(of_line)(line, 1.0).value.w  # E: attr-defined
partials(of_line)(line, 1.0)["w"].real.w  # E: attr-defined
record(of_line)(line, 1.0).grad  # E: attr-defined
record(of_line)(line, 1.0).replay(line)  # E: call-arg
record(of_line)(line, 1.0).replay(2.0, 1.0)  # E: arg-type
grad(of_point)((1.0, 2.0))  # E: arg-type
grad(of_point)(Point(1.0, 2.0)).z  # E: attr-defined
grad(of_weights)({"w": 1.0})  # E: typeddict-item
grad(of_weights)({"w": 1.0, "b": 1.0, "c": 1.0})  # E: typeddict-unknown-key
grad(of_weights)({"w": 1.0, "b": "1.0"})  # E: typeddict-item
grad(of_weights)({"w": 1.0, "b": 2.0})["c"]  # E: typeddict-item
grad(of_mapping)({"w": 1.0})["w"] = 2.0  # E: index
grad(of_mapping)({"w": "1.0"})  # E: dict-item
Line("1.0", "2.0")  # E: type-var
assert_type(grad(of_line), float)  # E: assert-type


def pair(x: Real) -> tuple[Real, Real]:
    return x, x


def nothing(x: Real) -> None:
    pass


def truth(x: Real) -> bool:
    return x > 0.0  # E: return-value


def text(x: Real) -> str:
    return str(x)


grad(pair)  # E: arg-type
grad(nothing)  # E: arg-type
grad(text)  # E: arg-type
value_and_grad(pair)  # E: arg-type
record(pair)(1.0).gradient()  # E: misc
grad(2.0)  # E: call-overload
