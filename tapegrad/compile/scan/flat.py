"""Numbers and arrays that stand side by side in one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from math import prod
from typing import Any, cast

import numpy as np

from tapegrad.ops.array_rows import concatenate, getitem, reshape
from tapegrad.ops.array_rows import stack as row_of_numbers
from tapegrad.ops.primitive import Operand, Shape, shape_of

__all__ = ["cut", "joined", "parted", "places"]


def joined(parts: Sequence[Operand]) -> Operand:
    """The vector of numbers and arrays one after the other."""
    vectors: list[Operand] = []
    for is_number, group in groupby(parts, lambda part: not shape_of(part)):
        if is_number:
            vectors.append(row_of_numbers(*group))
        else:
            vectors += (reshape(x, (prod(shape_of(x)),)) for x in group)
    if len(vectors) > 1:
        return concatenate(*vectors, 0)
    return vectors[0] if vectors else cast(Operand, np.zeros(0))


def parted(vector: Operand, shapes: Sequence[Shape]) -> list[Operand]:
    """The numbers and arrays of these shapes with which a vector begins."""
    return [
        reshape(getitem(vector, (slice(at, at + prod(shape)),)), shape)
        if shape
        else getitem(vector, (at,))
        for at, shape in places(shapes)
    ]


def cut(vector: Any, shapes: Sequence[Shape]) -> list[Any]:
    """The arrays of these shapes in a plain vector, also where a shape has no axes."""
    ends = accumulate(map(prod, shapes))
    return [
        vector[end - prod(shape) : end].reshape(shape)
        for end, shape in zip(ends, shapes, strict=True)
    ]


def places(shapes: Sequence[Shape]) -> Iterator[tuple[int, Shape]]:
    """Where each part begins, with its shape, of parts that stand side by side."""
    start = 0
    for shape in shapes:
        yield start, shape
        start += prod(shape)
