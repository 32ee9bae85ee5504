"""A Kalman filter on named tuples: a state that is carried along, its likelihood, its gradient."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import accumulate, pairwise
from typing import Final, Generic, NamedTuple

import numpy as np

import tapegrad as tg
from tapegrad import Real, Scalar, math


class Noise(NamedTuple, Generic[Real]):
    process: Real
    measurement: Real


class State(NamedTuple, Generic[Real]):
    mean: Real
    variance: Real


class Step(NamedTuple, Generic[Real]):
    state: State[Real]
    log_likelihood: Real


class Settings(NamedTuple):
    start: float = 0.0
    spread: float = 1.0
    skip: int = 0


SETTINGS: Final = Settings()


def predicted(state: State[Real], noise: Noise[Real]) -> State[Real]:
    return state._replace(variance=state.variance + noise.process)


def update(state: State[Real], noise: Noise[Real], seen: float) -> Step[Real]:
    prior = predicted(state, noise)
    total = prior.variance + noise.measurement
    gain = prior.variance / total
    innovation = seen - prior.mean
    after = State(prior.mean + gain * innovation, (1.0 - gain) * prior.variance)
    return Step(after, -0.5 * (math.log(2.0 * math.pi * total) + innovation**2 / total))


def filtered(
    noise: Noise[Real], data: Iterable[float], settings: Settings = SETTINGS
) -> Iterator[Step[Real]]:
    zero = 0.0 * noise.process
    state = State(settings.start + zero, settings.spread + zero)
    for seen in data:
        step = update(state, noise, seen)
        yield step
        state = step.state


def negative_log_likelihood(
    noise: Noise[Real], data: Sequence[float], settings: Settings = SETTINGS
) -> Real:
    steps = list(filtered(noise, data, settings))
    return -math.sum([step.log_likelihood for step in steps[settings.skip :]])


def by_logarithms(logs: tuple[Real, Real], data: Sequence[float]) -> Real:
    process, measurement = logs
    return negative_log_likelihood(Noise(math.exp(process), math.exp(measurement)), data)


def last_state(noise: Noise[Real], data: Sequence[float]) -> State[Real]:
    *_, last = filtered(noise, data)
    return last.state


def smoothness(noise: Noise[Real], data: Sequence[float]) -> Scalar:
    means = [step.state.mean for step in filtered(noise, data)]
    return math.sum([(b - a) ** 2 for a, b in pairwise(means)])


def running(noise: Noise[Real], data: Sequence[float]) -> Real:
    sums = list(accumulate([noise.process * x for x in data]))
    return sums[-1] * noise.measurement


def folded(noise: Noise[Real], data: Sequence[float]) -> Real:
    def step(state: State[Real], seen: float) -> State[Real]:
        return update(state, noise, seen).state

    zero = 0.0 * noise.process
    return reduce(step, data, State(zero, 1.0 + zero)).mean


def descend(noise: Noise[float], data: Sequence[float], rate: float) -> tuple[Noise[float], float]:
    value, slope = tg.value_and_grad(negative_log_likelihood)(noise, data, Settings(skip=1))
    return Noise(*(n - rate * s for n, s in zip(noise, slope, strict=True))), value


data = [0.1, 0.3, 0.2, 0.6, 0.5, 0.9]
noise = Noise(0.1, 0.2)
values: list[float] = []
for _ in range(5):
    noise, value = descend(noise, data, 1e-3)
    values.append(value)
assert values == sorted(values, reverse=True)
logs = tg.grad(by_logarithms)((-2.0, -1.5), data)
first: float = logs[0]
state = tg.record(last_state)(noise, data).value
mean: float = state.mean
assert mean == last_state(noise, data).mean
assert tg.grad(smoothness)(noise, data).process > 0.0
jacobian = tg.jacobian(last_state)(noise, data)
assert set(jacobian) == {"mean", "variance"}
fast = tg.jit(tg.value_and_grad(negative_log_likelihood))
assert fast(noise, data)[1] == tg.grad(negative_log_likelihood)(noise, data)
assert isinstance(fast(noise, data).grad, Noise)
found = tg.objective(by_logarithms, (-2.0, -1.5), data)
assert len(found.x0) == 2
start: tuple[float, float] = found.unflatten(found.x0)
many = tg.vmap(tg.value_and_grad(by_logarithms), in_axes=(None, 0))
both = many((-2.0, -1.5), np.array([data, data]))
worst = float(np.max(np.asarray(both.value)))
per_row: tuple[float, float] = both.grad.row(0)
assert per_row == tuple(both.grad.row(1))
assert tg.grad(running)(noise, data).process > 0.0
assert tg.grad(folded)(noise, data).measurement != 0.0
at = partial(negative_log_likelihood, noise, data)
assert at() == negative_log_likelihood(noise, data)
state, pull = tg.vjp(last_state, noise, data)
back: Noise[float] = pull(State(1.0, 0.0))
forward, along = tg.jvp(last_state, noise, Noise(1.0, 0.0), data)
assert abs(back.process - along.mean) < 1e-12
assert tg.check_grad(negative_log_likelihood, noise, data).ok
assert tg.hessian(by_logarithms)((-2.0, -1.5), data)["0"]["1"] != 0.0
assert worst < 100.0
