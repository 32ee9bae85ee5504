"""What types and run agree upon, kind by kind, and what types allow and the run refuses."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import (
    Annotated,
    ClassVar,
    Final,
    Generic,
    NewType,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
)

import attrs

import tapegrad as tg
from tapegrad import Real, Scalar, math
from tapegrad.errors import InputError

T = TypeVar("T")
Years = NewType("Years", float)
Couple: TypeAlias = tuple[T, T]
Curve: TypeAlias = Mapping[str, Real]
Activation: TypeAlias = Callable[[Scalar], Scalar]


class Options(TypedDict, total=False):
    scale: float
    label: str


class Payoff(Protocol):
    def __call__(self, x: Real, /) -> Real: ...


class HasWeight(Protocol):
    @property
    def w(self) -> Scalar: ...


@dataclass(frozen=True)
class Layer(Generic[Real]):
    w: Annotated[Real, "a weight"]
    act: Activation
    payoff: Payoff = math.fabs
    more: tuple[Callable[[Scalar], Scalar], ...] = ()
    other: Callable[[Scalar], Scalar] | None = None
    b: Real | float = 1.0
    kind: ClassVar[str] = "layer"
    next: Self | None = None

    def renamed(self) -> Self:
        return self


@attrs.frozen
class Tree(Generic[Real]):
    both: Couple[Real]
    left: Tree[Real] | None = None


@attrs.frozen
class Dated(Generic[Real]):
    x: Real
    years: Years


def aged(p: Dated[Real]) -> Real:
    return p.x * p.years


def layer(p: Layer[Real]) -> Scalar:
    value = p.act(p.w) * p.b + p.payoff(p.w)
    return value if p.next is None else value * layer(p.next)


def tree(t: Tree[Real]) -> Real:
    product = t.both[0] * t.both[1]
    return product if t.left is None else product * tree(t.left)


def curve(points: Curve[Real]) -> Real:
    return math.sum(points.values())


def polynomial(xs: Sequence[Real]) -> Real:
    return math.sum([x * k for k, x in enumerate(xs)])


def dated(x: Real, years: Years, steps: range, **options: Unpack[Options]) -> Real:
    rate: Final = options.get("scale", 1.0)
    return x * years * rate * len(steps)


def of_protocol(p: HasWeight) -> Scalar:
    return p.w * p.w


def first_layer(weights: list[list[Real]], x: Sequence[Real], depth: int) -> Real:
    h: Sequence[Real] = x
    for _ in range(depth):
        h = [math.tanh(math.dot(row, h)) for row in weights]
    return math.sum(h)


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


def refusals() -> dict[str, str]:
    """Each of these has the type that the model asks for, and is refused when it runs."""
    by_name: defaultdict[str, float] = defaultdict(float, a=1.0)
    return {
        "ordered": refused(lambda: tg.grad(curve)(OrderedDict(a=1.0))),
        "default": refused(lambda: tg.grad(curve)(by_name)),
        "counter": refused(lambda: tg.grad(curve)(Counter(a=1))),
        "proxy": refused(lambda: tg.grad(curve)(MappingProxyType({"a": 1.0}))),
        "range": refused(lambda: tg.grad(polynomial)(range(3))),
        "deque": refused(lambda: tg.grad(polynomial)(deque([1.0]))),
        "new type": refused(lambda: tg.grad(aged)(Dated(1.0, Years(2.0)))),
        "bool": refused(lambda: tg.grad(polynomial)([True])),
    }


last = Layer(2.0, math.exp)
deep = Layer(1.0, math.tanh, math.fabs, (math.exp,), math.sin, 1.0, last)  # limit: zuban
slope = tg.grad(layer)(deep)
b: float = slope.b
assert slope.next is not None
assert (slope.act, slope.other, slope.kind, b > 0.0) == (math.tanh, math.sin, "layer", True)
assert slope.renamed().next is slope.next
assert tg.grad(tree)(Tree((2.0, 3.0), Tree((1.0, 1.0)))).both == (3.0, 2.0)
assert tg.grad(curve)({**OrderedDict(a=1.0)}) == {"a": 1.0}
assert list(tg.grad(polynomial)(list(range(3)))) == [0.0, 1.0, 2.0]
assert tg.grad(dated)(Years(1.0), Years(2.0), range(3), scale=0.5) == 3.0
assert tg.record(dated)(1.0, Years(2.0), range(3), label="a").gradient() == 6.0
assert layer(Layer(2.0, math.fabs)) == 4.0
weighted: float = tg.grad(polynomial)((1.0, Years(2.0)))[1]
assert weighted == 1.0
assert tg.grad(first_layer)([[0.5]], [1.0], 2)[0][0] != 0.0
for name, text in refusals().items():
    assert ": pass " in text or ": annotate it Real" in text, name
