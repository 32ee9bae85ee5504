"""`value_and_grad`, `partials`, `record` and what a tape gives back."""

from collections.abc import Callable, Mapping
from typing import Generic, assert_type

import attrs

from tapegrad import (
    Node,
    Real,
    Scalar,
    Tape,
    ValueAndGrad,
    grad,
    label,
    math,
    partials,
    record,
    scope,
    value_and_grad,
)


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


@scope("loss")
def loss(p: Line[Real], x: float, y: float = 4.0) -> Real:
    return label((p.w * x + p.b - y) ** 2, "squared")


both = value_and_grad(loss)(Line(1.0, 2.0), 3.0, y=4.0)
assert_type(both, ValueAndGrad[Line[float]])
assert assert_type(both.value, float) == 1.0
assert assert_type(both.grad, Line[float]) == Line(6.0, 2.0)
value, gradient = both
assert assert_type(value, float) == 1.0
assert assert_type(gradient, Line[float]) == Line(6.0, 2.0)

tape = record(loss)(Line(1.0, 2.0), 3.0, y=4.0)
assert assert_type(tape.value, float) == 1.0
assert assert_type(tape.gradient(), Line[float]) == Line(6.0, 2.0)
again = tape.replay(Line(2.0, 2.0), 3.0, y=4.0)
assert assert_type(again.value, float) == 16.0
assert assert_type(again.gradient(), Line[float]) == Line(24.0, 8.0)
assert_type(tape.nodes[0], Node)
assert_type(tape[1:], tuple[Node, ...])  # limit: zuban
assert_type(list(tape), list[Node])
assert assert_type(tape.paths, tuple[str, ...]) == ("w", "b", "x", "y")
assert assert_type(tape.to_dot(), str).startswith("digraph")
named = assert_type(tape.named_cotangents(), dict[str, float])
assert named == {"w": 6.0, "b": 2.0, "squared": 1.0}
assert "loss" in assert_type(tape.to_json(), str)
assert "w = 1" in assert_type(tape.tree(), str)


def square(x: Real) -> Real:
    return x * x


assert_type(record(square)(3.0), Tape[float, [], float])


def several(p: Mapping[str, Real], x: float) -> tuple[Real, list[Real]]:
    return p["w"] * x, [p["w"], p["b"]]


outputs = record(several)({"w": 2.0, "b": 1.0}, 3.0)
assert assert_type(outputs.value, tuple[float, list[float]]) == (6.0, [2.0, 1.0])
assert_type(outputs.replay({"w": 3.0, "b": 1.0}, 3.0).value, tuple[float, list[float]])

derivative = record(grad(square))(3.0)
assert assert_type(derivative.value, float) == 6.0
assert assert_type(derivative.gradient(), float) == 2.0

both_again = record(value_and_grad(square))(3.0)
assert assert_type(both_again.value, ValueAndGrad[float]) == ValueAndGrad(9.0, 6.0)


def perhaps(x: Real) -> Scalar:
    return x * x if x > 0.0 else 0.0


assert assert_type(record(perhaps)(3.0).gradient(), float) == 6.0


def ratio(a: Real, b: Real, *, c: Real) -> Real:
    return a * math.tanh(b) / c


found = partials(ratio)(1.0, 0.0, c=2.0)
assert assert_type(found, dict[str, float]) == {"a": 0.0, "b": 0.5, "c": 0.0}
assert_type(partials(ratio)(a=1.0, b=0.0, c=2.0)["a"], float)
by_name: Callable[[float], dict[str, float]] = partials(square)
assert by_name(3.0) == {"x": 6.0}
