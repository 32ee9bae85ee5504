"""Optimisers and trees keep the static type of the parameters."""

from typing import Generic, TypedDict, assert_type

import attrs

import tapegrad as tg
from tapegrad import Real, learn
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


def whole(p: Line[Real], xs: list[float], ys: list[float]) -> Real:
    return p.slope * (xs[0] - ys[0])


def row(p: Line[Real], x: float, y: float) -> Real:
    return (p.slope * x - y) ** 2


def right(p: Line[float]) -> float:
    return p.slope


xs, ys = [1.0, 2.0], [2.0, 4.0]
fitted = learn.fit(whole, line, xs, ys, optimizer=adam, steps=10)
assert_type(fitted, learn.Fit[Line[float]])
for step in fitted:
    assert_type(step, learn.Step[Line[float]])
    assert_type(step.parameters, Line[float])
    assert_type(step.state, optim.State[Line[float]])
    assert_type(step.loss, float)
assert_type(learn.fit(whole, line, xs, ys, optimizer=adam, epochs=2, batch_size=1).last().step, int)
by_row = learn.fit(
    row, line, xs, ys, optimizer=adam, steps=10, reduce="mean", metrics={"right": right}
)
record = by_row.last()
assert_type(record.parameters, Line[float])
assert_type(record.metrics["right"], float)
assert_type(next(learn.fit(loss, line, 2.0, optimizer=adam, steps=10)), learn.Step[Line[float]])
*_, end = learn.fit(loss, line, 2.0, optimizer=adam, steps=3, state=state)
assert_type(end.parameters, Line[float])
