"""How rows that take arrays as they are go number by number, written with rows of numbers.

An expansion takes arrays of operands, one for each number, and gives such an array. Sums go from
the first to the last, so that results are numpy's but for rounding. To expand a row, write a
function of its operands under ``@expands(row)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, reduce
from math import nan
from typing import Any, Final, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Shape

__all__ = ["EXPANSIONS", "Numbers", "elementwise", "expands"]

Numbers: TypeAlias = NDArray[np.object_]
"""Operands in the places of an array's numbers."""

Expansion: TypeAlias = Callable[..., Numbers]
E = TypeVar("E", bound=Expansion)

EXPANSIONS: Final[dict[Primitive, Expansion]] = {}
"""The expansions of the rows with a rule for arrays."""


def expands(*of: Primitive) -> Callable[[E], E]:
    """Makes a function the expansion of these rows."""

    def register(expansion: E) -> E:
        EXPANSIONS.update(dict.fromkeys(of, expansion))
        return expansion

    return register


def elementwise(row: Primitive, *operands: Numbers, static: tuple[Any, ...] = ()) -> Numbers:
    """A row of numbers on arrays of them, which are broadcast."""
    shape = np.broadcast_shapes(*(x.shape for x in operands))
    found = np.empty(shape, object)
    spread = [np.broadcast_to(x, shape) for x in operands]
    for index in np.ndindex(shape):
        found[index] = row(*(cast(Operand, x[index]) for x in spread), *static)
    return found


def _total(terms: Iterable[Operand]) -> Operand:
    return reduce(ops.add, terms)


def _along(x: Numbers, along: rows.Along, fold: Callable[[Iterable[Operand]], Operand]) -> Numbers:
    """A fold of the numbers along axes."""
    axes, keep = along
    others = [at for at in range(x.ndim) if at not in axes]
    shape = [x.shape[at] for at in others]
    rest = x.transpose(*others, *axes).reshape(*shape, -1)
    found = np.empty(shape, object)
    for index in np.ndindex(*shape):
        found[index] = fold(rest[index])
    return np.expand_dims(found, axes) if keep else found


# Shapes and parts.


@expands(rows.reshape)
def _reshape(x: Numbers, shape: Shape) -> Numbers:
    return x.reshape(shape)


@expands(rows.transpose)
def _transpose(x: Numbers, axes: Shape) -> Numbers:
    return x.transpose(axes)


@expands(rows.broadcast_to)
def _broadcast_to(x: Numbers, shape: Shape) -> Numbers:
    return np.broadcast_to(x, shape)


@expands(rows.getitem)
def _getitem(x: Numbers, index: rows.Index) -> Numbers:
    found = x[index]
    return found if isinstance(found, np.ndarray) else _alone(found)


def _alone(operand: object) -> Numbers:
    """One operand as an array without axes."""
    found = np.empty((), object)
    found[()] = operand
    return found


@expands(rows.scatter)
def _scatter(x: Numbers, static: tuple[rows.Index, Shape, bool]) -> Numbers:
    index, shape, _ = static
    zeros = np.empty(shape, object)
    zeros.fill(0.0)
    return _added(zeros, x, index, fresh=True)


@expands(rows.add_at)
def _add_at(z: Numbers, x: Numbers, static: tuple[rows.Index, bool]) -> Numbers:
    return _added(z.copy(), x, static[0], fresh=False)


def _added(whole: Numbers, x: Numbers, index: rows.Index, *, fresh: bool) -> Numbers:
    """Adds numbers at an index, one after the other; in ``fresh`` places they stand alone."""
    places = np.arange(whole.size).reshape(whole.shape)[index]
    flat, written = whole.reshape(-1), set[int]()
    for at, one in zip(np.ravel(places), np.broadcast_to(x, np.shape(places)).ravel(), strict=True):
        is_first = fresh and at not in written
        flat[at] = one if is_first else ops.add(flat[at], one)
        written.add(int(at))
    return flat.reshape(whole.shape)


@expands(rows.concatenate)
def _concatenate(*given: Any) -> Numbers:
    return np.concatenate(given[:-1], axis=given[-1])


@expands(rows.stack)
def _stack(*numbers: Numbers) -> Numbers:
    return np.array([one[()] for one in numbers], object)


# Along axes, and products.


@expands(rows.sum_)
def _sum(x: Numbers, along: rows.Along) -> Numbers:
    return _along(x, along, lambda terms: reduce(ops.add, terms, *_start(terms)))


def _start(terms: Iterable[Operand]) -> tuple[float, ...]:
    """0.0 for a sum of nothing."""
    return () if len(cast("list[Operand]", terms)) else (0.0,)


def _folded(row: Primitive, x: Numbers, along: rows.Along) -> Numbers:
    """A row of two numbers applied to the first two, to that and the third, and so on."""
    return _along(x, along, lambda terms: reduce(row, terms))


for _row, _of_two in {
    rows.amax: ops.maximum,
    rows.amin: ops.minimum,
    rows.every: ops.and_,
    rows.some: ops.or_,
}.items():
    expands(_row)(partial(_folded, _of_two))


@expands(rows.cumsum)
def _cumsum(x: Numbers, axis: int) -> Numbers:
    found = np.moveaxis(x.copy(), axis, 0)
    for at in range(1, len(found)):
        found[at : at + 1] = elementwise(ops.add, found[at - 1 : at], found[at : at + 1])
    return np.moveaxis(found, 0, axis)


@expands(rows.matmul)
def _matmul(x: Numbers, y: Numbers) -> Numbers:
    first = x[None, :] if x.ndim == 1 else x
    second = y[:, None] if y.ndim == 1 else y
    shape = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    first = np.broadcast_to(first, (*shape, *first.shape[-2:]))
    second = np.broadcast_to(second, (*shape, *second.shape[-2:]))
    found = np.empty((*shape, first.shape[-2], second.shape[-1]), object)
    for index in np.ndindex(found.shape):
        *stack, row, column = index
        left, right = first[(*stack, row)], second[(*stack, slice(None), column)]
        found[index] = _total(map(ops.mul, left, right)) if len(left) else 0.0
    rest = [*shape, *x.shape[-2:-1], *y.shape[-1:]] if y.ndim > 1 else [*shape, *x.shape[-2:-1]]
    return found.reshape(rest)


# Places that numbers say.


def _is_at(places: list[Operand], lead: Shape, shape: Shape) -> Operand:
    """Whether places along the first axes are these; negative ones count from the end."""
    same = (
        ops.or_(ops.eq(place, float(at)), ops.eq(place, float(at - size)))
        for place, at, size in zip(places, lead, shape, strict=False)
    )
    return reduce(ops.and_, same)


def _places(i: Numbers, axes: Shape) -> list[Numbers]:
    """The places along each of the first axes."""
    return list(i) if axes[0] > 1 else [i]


@expands(rows.gather)
def _gather(x: Numbers, i: Numbers, axes: Shape) -> Numbers:
    along = _places(i, axes)
    outer, rest = along[0].shape, x.shape[len(along) :]
    found = np.empty((*outer, *rest), object)
    found.fill(nan)
    for index in np.ndindex(outer):
        for lead in np.ndindex(x.shape[: len(along)]):
            here = _is_at([cast(Operand, one[index]) for one in along], lead, x.shape)
            for inner in np.ndindex(rest):
                chosen = ops.where(here, x[(*lead, *inner)], found[(*index, *inner)])
                found[(*index, *inner)] = chosen
    return found


@expands(rows.pile)
def _pile(x: Numbers, i: Numbers, static: tuple[Shape, Shape]) -> Numbers:
    axes, shape = static
    along = _places(i, axes)
    outer, rest = along[0].shape, shape[len(along) :]
    found = np.empty(shape, object)
    for lead in np.ndindex(shape[: len(along)]):
        here = [
            _is_at([cast(Operand, one[index]) for one in along], lead, shape)
            for index in np.ndindex(outer)
        ]
        for inner in np.ndindex(rest):
            parts = (x[(*index, *inner)] for index in np.ndindex(outer))
            chosen = [ops.where(c, part, 0.0) for c, part in zip(here, parts, strict=True)]
            found[(*lead, *inner)] = reduce(ops.add, chosen, *_start(chosen))
    return found


@expands(rows.argsort)
def _argsort(x: Numbers, axis: int) -> Numbers:
    found = np.moveaxis(x.copy(), axis, -1)
    for index in np.ndindex(found.shape[:-1]):
        found[index] = _rising(list(found[index]))
    return np.moveaxis(found, -1, axis)


def _rising(xs: list[Operand]) -> list[Operand]:
    """The places of numbers in rising order; those that are equal keep theirs."""
    ranks = [_total(_is_before(xs, j, i) for j in range(len(xs))) for i in range(len(xs))]
    return [
        _total(ops.mul(float(i), ops.eq(rank, float(place))) for i, rank in enumerate(ranks))
        for place in range(len(xs))
    ]


def _is_before(xs: list[Operand], j: int, i: int) -> Operand:
    return ops.le(xs[j], xs[i]) if j < i else ops.lt(xs[j], xs[i])


@expands(rows.argmax)
def _argmax(x: Numbers, along: rows.Along) -> Numbers:
    return _along(x, along, _first_largest)


def _first_largest(xs: Iterable[Operand]) -> Operand:
    """The first place of the largest number."""
    best, *others = xs
    at: Operand = 0.0
    for place, one in enumerate(others, 1):
        is_larger = ops.gt(one, best)
        at, best = ops.where(is_larger, float(place), at), ops.where(is_larger, one, best)
    return at


@expands(rows.searchsorted)
def _searchsorted(x: Numbers, y: Numbers, side: tuple[bool]) -> Numbers:
    found = np.empty(y.shape, object)
    for index, one in np.ndenumerate(y):
        below = (ops.le(each, one) if side[0] else ops.lt(each, one) for each in x)
        found[index] = reduce(ops.add, below, cast(Operand, 0.0))
    return found


@expands(rows.norm)
def _norm(x: Numbers, along: rows.Along) -> Numbers:
    return _along(x, along, lambda terms: ops.hypot(*terms))
