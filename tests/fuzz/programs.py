"""Random programs as Python source, each with points to call it at; a seed says which.

A program is a function ``f(p, s, ts, n)`` of a container of parameters, a float, a list of floats
and an int. It has branches, loops that end when the numbers say so, early returns, choices,
closures with transforms inside, custom operations, checkpoints and equations solved by ``root``.
An *exact* program computes with what the hardware rounds correctly, so that every backend, for
calls and for rows, must give the bits of the eager call.
"""

from __future__ import annotations

import itertools
import linecache
import math as std
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, Generic, TypeAlias, cast

import attrs

import tapegrad as tg
from tapegrad import Real, math

__all__ = ["Case", "Number", "Point", "filled", "floats_of", "make"]

Number: TypeAlias = Any
"""A float or a traced number; programs do not care."""
Point: TypeAlias = "tuple[object, float, list[float], int]"
"""The arguments of a program."""


@attrs.frozen
class Pair(Generic[Real]):
    """Parameters as a class: a number, and a list of them."""

    first: Real
    rest: list[Real]
    name: str = "pair"


@tg.primitive(partials=lambda y, x: 3.0 * x * x, at=[0.5])
def cube(x: float) -> float:
    """An operation of the user's, which every backend calls back."""
    return x * x * x


@tg.checkpoint
def block(a: Number, b: Number) -> Number:
    """A part that the reverse sweep computes again."""
    for _ in range(3):
        a = a * 0.5 + b
    return a


@tg.checkpoint
def smooth_block(a: Number, b: Number) -> Number:
    """The same, with a function that is not exact."""
    return math.sin(a * b) + a


def equation(x: Number, a: Number) -> Number:
    """It has one solution, and a slope of 1 at least."""
    return x + x**3 - a


NAMESPACE: Final[Mapping[str, object]] = {
    "tg": tg, "math": math, "std": std, "Pair": Pair, "cube": cube, "block": block,
    "smooth_block": smooth_block, "equation": equation,
}  # fmt: skip

EXACT: Final = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "-{a}", "2.0 * {a} - {b}", "{a} / (1.0 + {b} * {b})",
    "0.5 * {a} + 1.0", "{c} - {a}", "abs({a})", "math.sqrt(1.0 + {a} * {a})", "{a} * s",
    "{a} + ts[0]", "math.fma({a}, {b}, {c})", "max({a}, {b})", "min({a}, {b}, 0.75)",
    "math.maximum({a}, {b})", "math.minimum({a}, 0.5)", "math.relu({a})",
    "tg.where({a} > {b}, {a} * {c}, {b})",
    "tg.where(({a} < {k}) & ({b} >= s), {a} / (0.5 * {b} * {b} + 0.5), {c})",
    "tg.where({a} > 0.0, math.sqrt({a}), {b})", "tg.stop_gradient({a}) * {b}",
    "sorted([{a}, {b}, {c}])[1]", "math.floor({a}) * 0.25 + {b}", "{a} ** 2", "block({a}, {b})",
    "math.sum([{a}, {b}, {c}])", "math.copysign({a}, {b})", "ts[n % len(ts)] * {a}",
    "tg.grad(lambda y: y * y * {a} + y * {b})({c})",
    "tg.jvp(lambda y: y * {a} - y * y, {b}, {c})[1]",
    "tg.grad(tg.grad(lambda y: y * y * y * {a}))({b})",
    "tg.grad(lambda q: q[0] * q[1] + q[1] * {a})([{b}, {c}])[1]",
    "ts[int(abs({a})) % len(ts)] * {b}", "{a} * (0.25 + math.trunc(2.0 * {b}))",
    "{a} + 0.25 * round({b})", "{a} * std.floor({b})",
    "math.sum([{a} for _ in range(int(min(abs({b}), 3.0)))]) + {c}", "[{a}, {b}][{a} > {c}]",
    "({b} if math.ceil({a}) % 2.0 else {c})", "{c} * bool({a})",
    "tg.value_and_grad(lambda y: (y * {a} if y > {b} else y - {a}))({c}).value",
    "tg.scan(lambda y, x: (y * {a} + x, None), {b}, ts)[0]",
    "tg.scan(lambda y, x: ((y[1] - x, y[0] * {a}), y[0] + {c}), ({b}, {a}), [{c}, s, 0.5])[1][2]",
    "tg.scan(lambda y, x: (y * {a} if y > x else y - {a}, y), {b}, [0.5, {c}, s])[0]",
)  # fmt: skip
"""What exact programs compute; ``{k}`` is a constant, ``s``, ``ts`` and ``n`` are the data."""

INEXACT: Final = (
    "math.sin({a})", "math.cos({a} + {b})", "math.exp(-{a} * {a})", "math.tanh({a})",
    "math.atan({a})", "math.sigmoid({a} - {b})", "math.log1p({a} * {a})", "math.erf({a})",
    "math.softplus({a})", "math.hypot({a}, {b}, 1.0)", "math.prod([{a}, {b}, {c}])",
    "math.dot([{a}, {b}], [{c}, s])",
    "math.logsumexp([{a}, {b}, {c}])", "math.fsum([{a}, {b}, {c}])",
    "math.pow(1.5 + math.tanh({a}), {b})", "math.atan2({a}, 2.0 + {b} * {b})",
    "math.cbrt({a} + 3.0)", "{a} ** 3", "math.log(2.0 + {a} * {a})", "math.expm1(math.tanh({a}))",
    "math.norm_cdf({a})", "math.lgamma(1.5 + {a} * {a})", "math.asinh({a})", "cube(math.tanh({a}))",
    "smooth_block({a}, {b})", "tg.root(equation, 0.5, math.tanh({a}))",
    "tg.grad(lambda y: math.sin(y * {a}) + y**3)({b})",
    "tg.grad(lambda y: math.tanh(y) * {a})({b}) ** 2",
    "tg.hvp(lambda q: math.sin(q[0]) * q[1] + q[0] * q[1] * q[1], [{a}, {b}], [1.0, {c}])[0]",
    "tg.linearize(lambda y: math.sin(y) * {a}, {b})[1]({c})",
    "tg.vjp(lambda y: [math.cos(y), y * {a}], {b})[1]([1.0, {c}])",
    "tg.scan(lambda y, x: (math.tanh(y * {a}), y), {b}, None, 4)[1][3]",
    "tg.scan(lambda y, x: (math.sin(y + x * {a}), None), {b}, [{c}, 0.5, s])[0]",
)  # fmt: skip
"""What the other programs compute beside that."""

CONSTANTS: Final = ("0.0", "0.25", "-0.5", "1.0", "0.3")

SHAPES: Final[Sequence[tuple[int, Sequence[str], Callable[[Sequence[float]], object]]]] = (
    (1, ("p",), lambda x: x[0]),
    (2, ("p[0]", "p[1]"), list),
    (2, ("p[0]", "p[1]"), tuple),
    (3, ("p['a']", "p['w'][0]", "p['w'][1]"), lambda x: {"a": x[0], "w": [x[1], x[2]]}),
    (3, ("p.first", "p.rest[0]", "p.rest[1]"), lambda x: Pair(x[0], [x[1], x[2]])),
    (2, ("p[1]['k']", "p[0].first"), lambda x: (Pair(x[0], []), {"k": x[1]})),
)
"""Containers of parameters: how many numbers, how they are read, and how they are made."""


@attrs.frozen
class Case:
    """A program, and points to call it at; ``columns`` has the numbers of the parameters."""

    seed: int
    source: str
    exact: bool
    points: tuple[Point, ...]

    @property
    def function(self) -> Callable[..., Number]:
        """The program; its source lines are known to tracebacks and to the library."""
        name = f"<program {self.seed}>"
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(True), name)
        namespace = dict(NAMESPACE)
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102  # written below
        return cast("Callable[..., Number]", namespace["f"])


def floats_of(value: Any) -> list[Number]:
    """The numbers of a value, in order."""
    if isinstance(value, float | tg.Var):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    elif attrs.has(type(value)):
        value = [getattr(value, field.name) for field in attrs.fields(type(value))]
    return [x for part in value for x in floats_of(part)] if isinstance(value, list | tuple) else []


def filled(value: Any, numbers: Iterator[Any]) -> Any:
    """The same containers with other numbers."""
    if isinstance(value, float):
        return next(numbers)
    if isinstance(value, Pair):
        return Pair(filled(value.first, numbers), filled(value.rest, numbers))
    if isinstance(value, dict):
        return {key: filled(part, numbers) for key, part in value.items()}
    return type(value)(filled(part, numbers) for part in value)


class _Writer:
    """Writes the statements of one program."""

    def __init__(self, rng: Random, expressions: Sequence[str]) -> None:
        self.rng, self.expressions = rng, expressions
        self.lines: list[str] = []
        self.names: list[str] = []
        self.fresh: Iterator[int] = itertools.count()

    def write(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def expression(self) -> str:
        names = {key: self.rng.choice(self.names) for key in "abc"}
        return self.rng.choice(self.expressions).format(**names, k=self.rng.choice(CONSTANTS))

    def condition(self) -> str:
        left, right = self.rng.choice(self.names), self.rng.choice([*self.names, *CONSTANTS, "s"])
        compare = self.rng.choice(("<", "<=", ">", ">=", "<", ">", "==", "!="))
        again = f" and {self.rng.choice(self.names)} < 2.0" if self.rng.random() < 0.2 else ""
        return f"{left} {compare} {right}{again}"

    def statements(self, depth: int, count: int, *, own: bool) -> None:
        """Statements at this depth; in a body (not ``own``) no new name is bound."""
        for _ in range(count):
            kind = self.rng.random()
            if depth < 4 and kind < 0.18:
                self.branch(depth)
            elif depth < 4 and kind < 0.30:
                self.loop(depth)
            elif not own and kind < 0.34:
                self.write(depth, f"return {self.rng.choice(self.names)} * 0.5")
            else:
                self.assign(depth, own=own)

    def assign(self, depth: int, *, own: bool) -> None:
        expression = self.expression()
        if own and self.rng.random() < 0.7:
            name = f"v{next(self.fresh)}"
            self.write(depth, f"{name} = {expression}")
            self.names.append(name)
        else:
            self.write(depth, f"{self.rng.choice(self.names)} = {expression}")

    def branch(self, depth: int) -> None:
        self.write(depth, f"if {self.condition()}:")
        self.statements(depth + 1, self.rng.randint(1, 2), own=False)
        if self.rng.random() < 0.6:
            self.write(depth, "else:")
            self.statements(depth + 1, self.rng.randint(1, 2), own=False)

    def loop(self, depth: int) -> None:
        rounds = self.rng.choice(("2", "3", "n", "len(ts)"))
        self.write(depth, f"for i{depth} in range({rounds}):")
        if self.rng.random() < 0.4:
            self.write(depth + 1, f"if {self.condition()}:")
            self.write(depth + 2, self.rng.choice(("break", "break", "continue")))
        name = self.rng.choice(self.names)
        self.write(depth + 1, f"{name} = 0.5 * {name} + ts[i{depth} % len(ts)] * 0.125")
        self.statements(depth + 1, self.rng.randint(1, 2), own=False)


def _numbers(rng: Random, count: int) -> list[float]:
    return [round(rng.uniform(-2.0, 2.0), 3) for _ in range(count)]


def make(seed: int, *, points: int = 4) -> Case:
    """The program of a seed; every other one is exact."""
    rng = Random(seed)
    exact = seed % 2 == 0
    writer = _Writer(rng, EXACT if exact else (*EXACT, *INEXACT))
    width, reads, shape = rng.choice(SHAPES)
    writer.write(0, "def f(p, s, ts, n):")
    for read in reads:
        name = f"v{next(writer.fresh)}"
        writer.write(1, f"{name} = {read}")
        writer.names.append(name)
    writer.statements(1, rng.randint(3, 8), own=True)
    left, right = writer.names[-1], rng.choice(writer.names)
    writer.write(1, f"return {left} + {right} * s")
    ts, n = _numbers(rng, rng.randint(1, 3)), rng.randint(0, 3)
    found = tuple(
        (shape(_numbers(rng, width)), _numbers(rng, 1)[0], _numbers(rng, len(ts)), n)
        for _ in range(points)
    )
    return Case(seed, "\n".join(writer.lines) + "\n", exact, found)
