"""Jacobians of functions of arrays: a block for each output and input, of both their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np

from tapegrad.ops import array_rows as rows
from tapegrad.ops.primitive import Operand, Shape, Traced

__all__ = ["Sweep", "by_columns", "by_rows", "unit_seeds"]

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
