"""Kinds of annotation: NewType, Annotated, aliases, Unpack, ranges, counters, Final."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Generic, NewType, TypeAlias, TypedDict, Unpack

import attrs

import tapegrad as tg
from tapegrad import Real, math

Years = NewType("Years", float)
Curve: TypeAlias = Mapping[str, Real]
Positive: TypeAlias = Annotated[Real, "above zero"]  # limit: zuban
DAYS: Final[float] = 365.0


class Options(TypedDict, total=False):
    notional: float
    floor: float


@attrs.frozen
class Bond(Generic[Real]):
    rate: Annotated[Real, "continuously compounded"]
    spreads: tuple[Real, ...] = ()

    def __call__(self, t: Years) -> Real:
        return math.exp(-(self.rate + math.sum(self.spreads)) * t)


def priced(bond: Bond[Real], times: Iterable[Years], **options: Unpack[Options]) -> Real:
    total = math.sum([bond(t) for t in times]) * options.get("notional", 1.0)
    return math.maximum(total, options.get("floor", 0.0))


def curve(points: Curve[Real], order: Sequence[str]) -> Real:
    return math.sum([points[name] * k for k, name in enumerate(order)])


def over_range(x: Positive[Real], steps: range) -> Real:
    for k in steps:
        x = x + x / (k + 1.0)
    return x


def counted(x: Real, words: Sequence[str]) -> Real:
    seen: defaultdict[str, Real] = defaultdict(lambda: 0.0 * x)
    for word in words:
        seen[word] = seen[word] + x
    return math.sum([count * count for count in seen.values()])


bond = Bond(0.02, (0.01,))
times = [Years(1.0), Years(730.0 / DAYS)]
slope: float = tg.grad(priced)(bond, times, notional=100.0).rate
assert slope < 0.0
assert tg.grad(curve)({"a": 1.0, "b": 2.0}, ["a", "b"])["b"] == 1.0
assert tg.grad(over_range)(2.0, range(3)) == 4.0
assert tg.grad(counted)(1.0, ["a", "b", "a"]) == 10.0
