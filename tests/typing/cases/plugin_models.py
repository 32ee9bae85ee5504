"""With the plugin: models that cannot be traced, and the partial derivatives by name."""

from collections.abc import Callable, Mapping
from typing import Generic, Literal, Protocol, reveal_type

import attrs

from tapegrad import (
    Real,
    Scalar,
    grad,
    hessian,
    hvp,
    jacobian,
    math,
    objective,
    partials,
    record,
    scope,
    taylor,
    value_and_grad,
    vjp,
)


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real

    def at(self, x: float) -> Real:
        return self.w * x + self.b


@attrs.frozen
class Loose:
    """Not generic, and yet its numbers can be traced."""

    w: Scalar


def plain(x: float) -> float:
    return x * x


def plain_line(p: Line[float], x: float) -> float:
    return p.w * x


def constant(x: Real) -> float:
    return 1.0


def truth(x: Real) -> bool:
    return bool(x > 0.0)


def several(x: Real) -> list[float]:
    return [1.0]


def square(x: Real) -> Real:
    return x * x


@scope("scoped")
def scoped(x: Real) -> Real | float:
    return x if x > 0.0 else 0.0


def loose(p: Loose) -> Scalar:
    return p.w * 2.0


def mapping(p: Mapping[str, Real]) -> Scalar:
    return p["w"]


def price(spot: Real, vol: Real, rate: float = 0.0) -> Real:
    return spot * vol * math.exp(rate)


grad(plain)  # E: tapegrad-trace
grad(plain_line)  # E: tapegrad-trace
value_and_grad(constant)  # E: tapegrad-trace
grad(truth)  # E: tapegrad-trace
partials(plain)  # E: tapegrad-trace
record(plain)  # E: tapegrad-trace
record(several)(1.0)
hvp(plain, 1.0, 1.0)  # E: tapegrad-trace
jacobian(plain)  # E: tapegrad-trace
hessian(plain)  # E: tapegrad-trace
vjp(plain, 1.0)  # E: tapegrad-trace
objective(plain, 1.0)  # E: tapegrad-trace
taylor(plain, 2)  # E: tapegrad-trace


@grad  # E: tapegrad-trace
def decorated(x: float) -> float:
    return x * x


class HasWeight(Protocol):
    @property
    def w(self) -> Scalar: ...


def of_protocol(p: HasWeight) -> Scalar:
    return p.w * 2.0


grad(of_protocol)(Loose(1.0))
grad(square)
grad(grad(square))
grad(math.sin)
grad(scoped)
grad(loose)
grad(mapping)
grad(lambda x: x)
derivative = grad(square)
grad(derivative)
record(square)(1.0).gradient()


def outer(x: Real) -> Scalar:
    def inner(y: Real) -> Real:
        return x * y * y

    return grad(inner)(x) * x


def option(x: Real, kind: Literal["call", "put"], *, is_long: bool = True) -> Real:
    return x if (kind == "call") is is_long else -x


reveal_type(partials(option)(x=1.0, kind="put"))  # N: ByName[Literal['x']]

found = partials(price)(spot=1.0, vol=2.0)
reveal_type(found)  # N: ByName[Literal['spot'] | Literal['vol'] | Literal['rate']]
found["spot"] + found["vol"]
found["volatility"]  # E: tapegrad-names
found.get("volatility")  # E: tapegrad-names
as_dict: dict[str, float] = found
as_mapping: Mapping[str, float] = found
found["spot"] = sum(found.values())
for name, value in found.items():
    value + value * found.get(name, 0.0)
copied: dict[str, float] = {**found}
derivatives: Callable[[float, float, float], dict[str, float]] = partials(price)
partials(price)(spot=1.0, volatility=2.0)  # E: call-arg
partials(price)(1.0, 2.0, rate="0")  # E: arg-type
