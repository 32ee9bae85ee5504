"""An ODE of chemical reactions: frozen dataclasses, options in a TypedDict, several integrators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import (
    ClassVar,
    Generic,
    Literal,
    NotRequired,
    Protocol,
    Required,
    Self,
    TypeAlias,
    TypedDict,
    Unpack,
)

import tapegrad as tg
from tapegrad import Real, Scalar, math


class Options(TypedDict, total=False):
    steps: Required[int]
    until: float
    method: Literal["euler", "heun", "rk4"]
    events: NotRequired[Callable[[float], bool]]


class Start(TypedDict, Generic[Real]):
    a: Real
    b: Real


@dataclass(frozen=True, slots=True)
class Rates(Generic[Real]):
    forward: Real
    backward: Real
    decay: Real | float = 0.1
    feed: Real | None = None
    unit: ClassVar[str] = "1/s"
    name: str = field(default="ab", compare=False)

    def __post_init__(self) -> None:
        assert self.unit

    def scaled(self, by: float) -> Self:
        return dataclasses.replace(self, forward=self.forward * by, backward=self.backward * by)

    @classmethod
    def parsed(cls, text: str) -> Rates[float]:
        forward, backward = map(float, text.split())
        return Rates(forward, backward)


@dataclass(frozen=True)
class Amounts(Generic[Real]):
    a: Real
    b: Real

    def __add__(self, other: Amounts[Real]) -> Amounts[Real]:
        return Amounts(self.a + other.a, self.b + other.b)

    def __mul__(self, by: float) -> Amounts[Real]:
        return Amounts(self.a * by, self.b * by)

    __rmul__ = __mul__

    @property
    def total(self) -> Real:
        return self.a + self.b


class Field(Protocol[Real]):
    def __call__(self, t: float, y: Amounts[Real], /) -> Amounts[Real]: ...


Stepper: TypeAlias = Callable[
    [Callable[[Amounts[Real]], Amounts[Real]], Amounts[Real], float], Amounts[Real]
]


def flow(rates: Rates[Real], y: Amounts[Real]) -> Amounts[Real]:
    turned = rates.forward * y.a - rates.backward * y.b
    fed = rates.feed if rates.feed is not None else 0.0
    return Amounts(fed - turned, turned - rates.decay * y.b)


def euler(
    f: Callable[[Amounts[Real]], Amounts[Real]], y: Amounts[Real], dt: float
) -> Amounts[Real]:
    return y + f(y) * dt


def heun(f: Callable[[Amounts[Real]], Amounts[Real]], y: Amounts[Real], dt: float) -> Amounts[Real]:
    slope = f(y)
    return y + (slope + f(y + slope * dt)) * (dt / 2.0)


def rk4(f: Callable[[Amounts[Real]], Amounts[Real]], y: Amounts[Real], dt: float) -> Amounts[Real]:
    k1 = f(y)
    k2 = f(y + 0.5 * dt * k1)
    k3 = f(y + 0.5 * dt * k2)
    k4 = f(y + dt * k3)
    return y + (k1 + 2.0 * k2 + 2.0 * k3 + k4) * (dt / 6.0)


def solved(
    rates: Rates[Real], start: Start[Real], **options: Unpack[Options]
) -> list[Amounts[Real]]:
    steps, method = options["steps"], options.get("method", "heun")
    dt = options.get("until", 1.0) / steps
    y = Amounts(start["a"], start["b"])
    states = [y]
    for k in range(steps):
        if "events" in options and options["events"](k * dt):
            break
        if method == "euler":
            y = euler(lambda at: flow(rates, at), y, dt)
        elif method == "heun":
            y = heun(lambda at: flow(rates, at), y, dt)
        else:
            y = rk4(lambda at: flow(rates, at), y, dt)
        states.append(y)
    return states


def misfit(
    rates: Rates[Real], seen: Sequence[float], start: Start[float], **options: Unpack[Options]
) -> Real:
    zero = 0.0 * rates.forward
    states = solved(rates, {"a": start["a"] + zero, "b": start["b"] + zero}, **options)
    residuals = [state.a - y for state, y in zip(states, seen, strict=False)]
    return math.sqrt(math.sum([r * r for r in residuals]) + 1e-12)


def of_start(start: Start[Real], rates: Rates[float], **options: Unpack[Options]) -> Scalar:
    one = 1.0 + 0.0 * start["a"]
    traced = Rates(rates.forward * one, rates.backward * one, rates.decay * one)
    return solved(traced, start, **options)[-1].total


def stiff(rates: Rates[Real], tolerance: float | None = None) -> bool:
    return bool(rates.forward > 10.0 * rates.backward) and tolerance is not None


def conserved(states: Iterable[Amounts[Real]]) -> Real:
    return math.maximum(*[state.total for state in states][:2])


def fit(
    rates: Rates[float], seen: Sequence[float], start: Start[float], rounds: int
) -> Rates[float]:
    options: Options = {"steps": 4, "method": "rk4"}
    compiled = tg.jit(tg.grad(misfit))
    for _ in range(rounds):
        slope = compiled(rates, seen, start, **options)
        rates = dataclasses.replace(
            rates,
            forward=rates.forward - 0.01 * slope.forward,
            backward=rates.backward - 0.01 * slope.backward,
        )
    return rates


start: Start[float] = {"a": 1.0, "b": 0.0}
rates = Rates.parsed("1.0 0.5")
options: Options = {"steps": 8, "until": 2.0}
states = solved(rates, start, **options)
seen = [state.a for state in states]
other = Rates(1.2, 0.4, feed=0.01)
slope = tg.grad(misfit)(other, seen, start, steps=8, until=2.0)
forward: float = slope.forward
feed: float | None = slope.feed
assert slope.name == "ab"
assert forward != 0.0
assert feed is not None
back = tg.grad(of_start)(start, rates, steps=3)
assert back["a"] > 0.0
keys: list[Literal["a", "b"]] = ["a", "b"]
assert [back[key] > 0.0 for key in keys] == [True, True]
fitted = fit(other, seen, start, 3)
assert fitted.scaled(2.0).forward == 2.0 * fitted.forward
value, gradient = tg.value_and_grad(misfit)(rates, seen, start, **options)
assert round(value, 5) == 0.0
tape = tg.record(misfit)(other, seen, start, steps=2)
assert tape.gradient().forward == tg.grad(misfit)(other, seen, start, steps=2).forward
as_dict = dataclasses.asdict(slope)
assert set(as_dict) >= {"forward", "decay"}
matrix = tg.jacobian(solved)(rates, start, steps=1)
assert len(matrix) == 4
total: float = conserved(states)
assert not stiff(rates)
