"""Jacobians of functions of arrays: a block for each output and input, of both their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np

from tapegrad.ops import array_rows as rows
from tapegrad.ops.primitive import Operand, Shape, Traced

__all__ = ["Sweep", "by_columns", "by_rows", "numbers_of", "seeds_by_colour", "unit_seeds"]

Sweep: TypeAlias = Callable[[dict[int, Operand]], Sequence[Operand]]
"""Gives the derivatives that belong to seeds by slot."""

Blocks: TypeAlias = list[list[Operand]]
"""For each output, the block of each input."""


def unit_seeds(slot: int, shape: Shape) -> Iterator[dict[int, Operand]]:
    """For each number of a slot in C order the seeds that are 1 there and 0 in the others."""
    if not shape:
        yield {slot: 1.0}
        return
    for place in product(*map(range, shape)):
        seed = np.zeros(shape)
        seed[place] = 1.0
        yield {slot: cast(Operand, seed)}


def by_columns(
    push: Sweep, inputs: Sequence[tuple[int, Shape]], outputs: Sequence[Shape]
) -> Blocks:
    """The blocks from a forward sweep for each number of the inputs, given by slot and shape."""
    columns = [[push(seeds) for seeds in unit_seeds(slot, own)] for slot, own in inputs]
    return [
        [
            _block([dots[at] for dots in found], shape, own, are_columns=True)
            for found, (_, own) in zip(columns, inputs, strict=True)
        ]
        for at, shape in enumerate(outputs)
    ]


def by_rows(pull: Sweep, outputs: Sequence[tuple[int, Shape]], inputs: Sequence[Shape]) -> Blocks:
    """The blocks from a reverse sweep for each number of the outputs, given by slot and shape."""
    lines = [[pull(seeds) for seeds in unit_seeds(slot, shape)] for slot, shape in outputs]
    return [
        [
            _block([bars[at] for bars in found], shape, own, are_columns=False)
            for at, own in enumerate(inputs)
        ]
        for found, (_, shape) in zip(lines, outputs, strict=True)
    ]


def _block(parts: Sequence[Operand], out: Shape, own: Shape, *, are_columns: bool) -> Operand:
    """The block of an output and an input, from its columns or its rows in order."""
    whole = out + own
    if not whole:
        return parts[0]
    if not prod(whole):
        return cast(Operand, np.zeros(whole))
    each = out if are_columns else own
    flat = rows.concatenate(*(_flat(part, prod(each)) for part in parts), cast(Operand, 0))
    matrix = rows.reshape(flat, (len(parts), prod(each)))
    if are_columns:
        matrix = rows.transpose(matrix, (1, 0))
    block = rows.reshape(matrix, whole)
    return block if isinstance(block, Traced) else cast(Operand, np.array(cast(Any, block)))


def _flat(part: Operand, size: int) -> Operand:
    """A part as an array with one axis."""
    shape = getattr(part, "shape", ())
    return rows.reshape(part, (size,)) if shape else rows.stack(part)


def seeds_by_colour(
    colours: Sequence[int], leaves: Sequence[tuple[int, Shape]]
) -> list[dict[int, Operand]]:
    """For each colour the seeds that are 1 in the numbers that have it, leaf after leaf."""
    found: list[dict[int, Operand]] = []
    for colour in range(1 + max(colours, default=-1)):
        chosen, start = np.equal(colours, colour).astype(np.float64), 0
        seeds: dict[int, Operand] = {}
        for slot, shape in leaves:
            part = chosen[start : start + prod(shape)]
            start += prod(shape)
            if part.any():
                seed: Any = part.reshape(shape) if shape else float(part[0])
                seeds[slot] = seeds[slot] + seed if slot in seeds else seed
        found.append(seeds)
    return found


def numbers_of(found: Sequence[Operand]) -> list[Operand]:
    """Derivatives one by one, those of an array in C order."""
    return [number for one in found for number in _numbers(one)]


def _numbers(one: Operand) -> Iterator[Operand]:
    shape = getattr(one, "shape", ())
    if not shape:
        yield one
    elif isinstance(one, Traced):
        for place in product(*map(range, shape)):
            yield rows.getitem(one, place)
    else:
        yield from cast(Any, one).ravel().tolist()
