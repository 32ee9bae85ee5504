"""Rows with a partial broken on purpose, points to judge rows at, and functions that apply them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Partial, Primitive

Slope: TypeAlias = Callable[..., Operand | None]
"""A partial of a row, as a function of the result and the operands."""

Mutation: TypeAlias = Callable[[Slope, Operand, tuple[Operand, ...]], Operand]
"""What a broken partial gives, from the right one, the result and the operands."""

X = TypeVar("X")

ROWS = [row for row in ops.TABLE.rows if row.kind not in {"input", "constant", "guard"}]
"""Every row that has operands to differentiate in."""

STATICS = {
    "powc": (2.5, 3.0), "powc_slope": (2.5, -2.0), "ldexp": (3, -2), "polygamma": (1.0, 2.0),
    "round_to": (1, 0),
}  # fmt: skip
WIDTH = {"dot": 4}


def points(row: Primitive, count: int) -> list[tuple[float, ...]]:
    """Ordinary operands of a row, the static one included; the same in every process."""
    draw = random.Random(row.name)
    width = row.arity if row.arity is not None else WIDTH.get(row.name, 3)
    intervals = row.domain if len(row.domain) == width else row.domain[:1] * width
    found = []
    for _ in range(count):
        xs = [_within(draw, row, *interval) for interval in intervals]
        if row.name == "where":
            xs[0] = float(draw.random() < 0.5)
        if row.has_static:
            xs.append(draw.choice(STATICS[row.name]))
        found.append(tuple(xs))
    return found


def _within(draw: random.Random, row: Primitive, low: float, high: float) -> float:
    """A number of everyday size, away from the ends of the domain, and from 0 and poles."""
    if row.name.startswith("powc") or row.name in {"gamma", "gamma_slope", "polygamma", "div_pos"}:
        low = 0.0
    low = max(low, -2.5)
    high = min(high, max(low, 0.0) + 2.5)
    x = low + (high - low) * draw.uniform(0.08, 0.92)
    return round(x, 3) + 0.0117


def applied(row: Primitive, static: tuple[float, ...]) -> Callable[[Sequence[Any]], Any]:
    """The row as a function of its operands in a sequence."""

    def apply(xs: Sequence[Any]) -> Any:
        return row(*xs, *static)

    apply.__name__ = apply.__qualname__ = row.name
    return apply


def split(row: Primitive, xs: tuple[X, ...]) -> tuple[tuple[X, ...], tuple[X, ...]]:
    """The operands that are differentiated in, and the static one."""
    count = len(xs) - row.has_static
    return xs[:count], xs[count:]


def slopes(row: Primitive) -> list[Slope]:
    """The partials of a row as functions; of a variadic row the one that it has."""
    if not isinstance(row.partials, tuple):
        return [row.partials]
    return [partial(row.partial, index) for index in range(len(row.partials))]


def broken(row: Primitive, which: int, mutation: Mutation) -> Primitive:
    """The row with one of its partials replaced by a mutation of it."""
    slope = slopes(row)[which]
    if not isinstance(row.partials, tuple):
        broken = attrs.evolve(row, partials=lambda i, y, *xs: mutation(partial(slope, i), y, xs))
        return attrs.evolve(broken, at_once=None)  # which is held to the partials by its own law

    def mutated(y: Operand, *xs: Operand) -> Operand:
        operands, static = split(row, xs)
        return mutation(lambda y, *xs: slope(y, *xs, *static), y, operands)

    partials: list[Partial] = list(row.partials)
    partials[which] = mutated
    return attrs.evolve(row, partials=tuple(partials))


def mutants(row: Primitive) -> Iterator[tuple[str, int, Primitive]]:
    """The row with each partial broken in each of six ways: the way, the partial, the row."""
    for which in range(len(slopes(row))):
        for way, mutation in MUTATIONS.items():
            yield way, which, broken(row, which, mutation)


def _number(partial: Operand | None) -> Operand:
    return 0.0 if partial is None else partial


def _sign(slope: Slope, y: Operand, xs: tuple[Operand, ...]) -> Operand:
    return ops.neg(_number(slope(y, *xs)))


def scaled(factor: float) -> Mutation:
    """The mutation that is off by a factor."""

    def scale(slope: Slope, y: Operand, xs: tuple[Operand, ...]) -> Operand:
        return ops.mul(_number(slope(y, *xs)), factor)

    return scale


def _swapped(slope: Slope, y: Operand, xs: tuple[Operand, ...]) -> Operand:
    """The operands the other way round; a lone one changes places with the result."""
    return _number(slope(xs[0], y) if len(xs) == 1 else slope(y, *reversed(xs)))


def _result_for_operands(slope: Slope, y: Operand, xs: tuple[Operand, ...]) -> Operand:
    return _number(slope(y, *[y] * len(xs)))


MUTATIONS: dict[str, Mutation] = {
    "sign": _sign,
    "scaled": scaled(1.0 + 1e-6),
    "swapped": _swapped,
    "result for operands": _result_for_operands,
    "constant 0": lambda slope, y, xs: 0.0,
    "constant 1": lambda slope, y, xs: 1.0,
}


def is_same(row: Primitive, mutant: Primitive, xs: tuple[float, ...]) -> bool:
    """Whether a mutant's partials at a point are those of the row."""
    count = len(split(row, xs)[0])
    y = row.value(*xs)
    for index in range(count):
        want = cast(float, _number(row.partial(index, y, *xs)))
        got = cast(float, _number(mutant.partial(index, y, *xs)))
        if not (abs(got - want) <= 1e-10 * abs(want) or (got != got and want != want)):
            return False
    return True
