"""Random programs, as hypothesis strategies, and random containers of numbers to call them with.

The programs run on floats and on traced numbers alike.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias

import attrs
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math

__all__ = [
    "Data",
    "Frozen",
    "Named",
    "Program",
    "Step",
    "bits",
    "containers",
    "ordinary",
    "points",
    "programs",
    "same_bits",
    "smooth",
]

Number: TypeAlias = Any
"""A float or a traced number; programs do not care."""


def bits(x: float) -> bytes:
    """The eight bytes of a float; all nans have the same."""
    return struct.pack("<d", x if x == x else float("nan"))


def same_bits(x: float, y: float) -> bool:
    """Whether two floats are the same, the sign of zero included; nan is itself."""
    return type(x) is type(y) is float and bits(x) == bits(y)


def _branch(a: Number, b: Number, c: Number) -> Number:
    return a * c if a > b else math.sin(b)


def _loop(a: Number, b: Number, c: Number) -> Number:
    """As many rounds as the numbers say, with a chained comparison that ends them."""
    for _ in range(3):
        if not -1.0 < a < 1.0:
            break
        a = a * 2.0 + b
    return a - c


def _closure(a: Number, b: Number, c: Number) -> Number:
    """A gradient inside, of a function that sees numbers of the program around it."""
    return c * tg.grad(lambda y: math.sin(y * a) + y * c)(b)


def _twice(a: Number, b: Number, c: Number) -> Number:
    """A gradient of a gradient inside."""
    return tg.grad(tg.grad(lambda y: math.tanh(y * a) * c))(b)


def _guarded_root(a: Number, b: Number, _: Number) -> Number:
    return tg.where(a > 0.0, math.sqrt(a), b)


def _guarded_quotient(a: Number, b: Number, c: Number) -> Number:
    return tg.where((b != 0.0) & ~(c < -1.0), a / b if isinstance(b, tg.Var) else a, c)


def _nested_choice(a: Number, b: Number, c: Number) -> Number:
    inner = tg.where(b > c, math.log(a), a * b)
    return tg.where(a > b, inner, inner * c)


SMOOTH: tuple[Callable[[Number, Number, Number], Number], ...] = (
    lambda a, b, c: a + b,
    lambda a, b, c: a - b,
    lambda a, b, c: a * b,
    lambda a, b, c: -a,
    lambda a, b, c: 2.0 * a + 0.5,
    lambda a, b, c: a**2,
    lambda a, b, c: a / (1.0 + b * b),
    lambda a, b, c: math.sin(a),
    lambda a, b, c: math.cos(a),
    lambda a, b, c: math.tanh(a),
    lambda a, b, c: math.atan(a),
    lambda a, b, c: math.sigmoid(a),
    lambda a, b, c: math.erf(a),
    lambda a, b, c: math.softplus(a),
    lambda a, b, c: math.asinh(a),
    lambda a, b, c: math.exp(-a * a),
    lambda a, b, c: math.log1p(a * a),
    lambda a, b, c: math.sqrt(1.0 + a * a),
    lambda a, b, c: math.logaddexp(a, b),
    lambda a, b, c: math.logsumexp([a, b, c]),
    lambda a, b, c: math.fsum([a, b, 1.0, c]),
    lambda a, b, c: math.mean([a, b, c]),
    lambda a, b, c: math.dot([a, b], [b, c]),
    lambda a, b, c: math.prod([a, b, c]),
    math.fma,
    lambda a, b, c: math.hypot(a, b, 1.0),
    lambda a, b, c: math.atan2(a, 2.0 + math.sin(b)),
    lambda a, b, c: math.pow(2.0, math.tanh(a)),
    _closure,
    _twice,
)
"""Operations whose derivatives of every order are finite, on all of R."""

ROUGH: tuple[Callable[[Number, Number, Number], Number], ...] = (
    lambda a, b, c: abs(a),
    lambda a, b, c: math.relu(a),
    lambda a, b, c: math.maximum(a, b),
    lambda a, b, c: math.minimum(a, b),
    max,
    lambda a, b, c: sorted([a, b, c])[1],
    lambda a, b, c: math.floor(a) + b,
    lambda a, b, c: math.fmod(a, 1.5),
    lambda a, b, c: math.copysign(a, tg.where(math.isnan(b), 1.0, b)),
    lambda a, b, c: math.log(a),
    lambda a, b, c: math.sqrt(a),
    lambda a, b, c: math.exp(a),
    lambda a, b, c: math.pow(a, b),
    lambda a, b, c: math.pow(a, -1.5),
    lambda a, b, c: tg.stop_gradient(a) * b,
    lambda a, b, c: tg.where(math.isnan(a), b, c),
    _branch,
    _loop,
    _guarded_root,
    _guarded_quotient,
    _nested_choice,
)
"""Operations with kinks, poles, edges of a domain, branches and choices."""


@attrs.frozen
class Step:
    """One operation, and the earlier numbers that it is applied to."""

    operation: Callable[[Number, Number, Number], Number]
    operands: tuple[int, int, int]


@attrs.frozen
class Program:
    """A graph of operations over its inputs, in which every number may be used again."""

    width: int
    steps: tuple[Step, ...]

    def __call__(self, xs: Sequence[Number]) -> Number:
        """The sum of the last two numbers."""
        numbers = list(xs)
        for step in self.steps:
            numbers.append(step.operation(*(numbers[operand] for operand in step.operands)))
        return numbers[-1] + numbers[-2]


@st.composite
def _programs(
    draw: st.DrawFn,
    operations: tuple[Callable[[Number, Number, Number], Number], ...],
    longest: int,
) -> Program:
    width = draw(st.integers(1, 3))
    steps = []
    for count in range(width, width + draw(st.integers(1, longest))):
        operand = st.integers(0, count - 1)
        operands = draw(st.tuples(operand, operand, operand))
        steps.append(Step(draw(st.sampled_from(operations)), operands))
    return Program(width, tuple(steps))


def programs(longest: int = 8) -> st.SearchStrategy[Program]:
    """Programs of every operation, branches and choices among them."""
    return _programs(SMOOTH + ROUGH, longest)


def smooth(longest: int = 5) -> st.SearchStrategy[Program]:
    """Programs without kinks, poles or branches."""
    return _programs(SMOOTH, longest)


ordinary: st.SearchStrategy[float] = st.floats(-2.0, 2.0).map(lambda x: round(x, 4))
"""Numbers of everyday size."""

_edges = st.sampled_from((0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, math.inf, -math.inf))


def points(width: int) -> st.SearchStrategy[list[float]]:
    """Inputs of a program: mostly ordinary, sometimes at an edge."""
    number = st.one_of(ordinary, ordinary, ordinary, _edges, st.just(math.nan))
    return st.lists(number, min_size=width, max_size=width)


class Named(NamedTuple, Generic[tg.Real]):
    """A named tuple of a number or a container, and a name."""

    part: tg.Real
    name: str


@attrs.frozen
class Frozen(Generic[tg.Real]):
    """The same as an attrs class."""

    part: tg.Real
    name: str


@dataclass(frozen=True)
class Data(Generic[tg.Real]):
    """The same as a dataclass."""

    part: tg.Real
    name: str


def containers(numbers: st.SearchStrategy[float] = ordinary) -> st.SearchStrategy[Any]:
    """Numbers, and dicts, lists, tuples, named tuples, attrs classes and dataclasses of them."""
    keys = st.one_of(st.text(max_size=3), st.integers(0, 3), st.tuples(st.booleans()))
    return st.recursive(
        numbers,
        lambda part: st.one_of(
            st.lists(part, max_size=3),
            st.lists(part, max_size=3).map(tuple),
            st.dictionaries(keys, part, max_size=3),
            *(st.builds(kind, part, st.text(max_size=3)) for kind in (Named, Frozen, Data)),
        ),
        max_leaves=12,
    )
