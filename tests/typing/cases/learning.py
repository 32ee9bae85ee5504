"""Optimisers and trees keep the static type of the parameters."""

from typing import Generic, TypedDict, assert_type

import attrs

import tapegrad as tg
from tapegrad import Real
from tapegrad.learn import optim, tree


@attrs.frozen
class Line(Generic[Real]):
    name: str
    slope: Real
    rest: tuple[Real, ...]


class Options(TypedDict):
    rate: float
    decay: float


def loss(p: Line[Real], goal: float) -> Real:
    return (p.slope - goal) ** 2


def halved(x: float) -> float:
    return 0.5 * x


def sum_of(x: Real, y: Real) -> Real:
    return x + y


line = Line("l", 1.0, (2.0, 3.0))
gradient = tg.grad(loss)(line, 2.0)
options: Options = {"rate": 1.0, "decay": 2.0}
layers = [([1.0, 2.0], 0.5)]

assert_type(tree.add(line, gradient), Line[float])
assert_type(tree.subtract(options, options), Options)
assert_type(tree.scale(layers, 2.0), list[tuple[list[float], float]])
assert_type(tree.add_scaled(line, gradient, -0.1), Line[float])
assert_type(tree.map(halved, line), Line[float])
assert_type(tree.map(sum_of, line, gradient), Line[float])
assert_type(tree.map(lambda w, g: w - 0.1 * g, line, gradient), Line[float])
assert_type(tree.dot(line, line), float)
assert_type(tree.norm(line), float)
assert_type(tree.zeros_like(line), Line[float])
assert_type(tree.paths(line), tuple[str, ...])
assert_type(tree.size(line), int)

adam = assert_type(optim.adam(0.1), optim.Optimizer)
state = assert_type(adam.init(line), optim.State[Line[float]])
line, state = adam.update(gradient, state, line)
assert_type(line, Line[float])
assert_type(state, optim.State[Line[float]])
assert_type(state.moments, tuple[Line[float], ...])
assert_type(state.step, int)
assert_type(optim.adam(optim.warmup(10, optim.cosine(0.1, 100))), optim.Optimizer)
assert_type(optim.clipped(optim.sgd(0.1, momentum=0.9), norm=1.0), optim.Optimizer)


def own_schedule(step: int) -> float:
    return 0.1 / (1 + step)


assert_type(optim.sgd(own_schedule), optim.Optimizer)


def tuned(rate: tg.Scalar) -> tg.Scalar:
    p: dict[str, tg.Scalar] = {"x": 1.0}
    slope: dict[str, tg.Scalar] = {"x": 2.0}
    sgd = optim.sgd(rate)
    p, _ = sgd.update(slope, sgd.init(p), p)
    return p["x"]


assert_type(tg.grad(tuned)(0.1), float)
