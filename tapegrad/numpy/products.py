"""Products of vectors."""

from __future__ import annotations

from math import prod

import numpy as np

from tapegrad.numpy.arrays import ArrayLike, applied, beside, operand
from tapegrad.numpy.signatures import inner_product, product
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, shape_of

__all__ = ["column_and_row", "outer", "vdot"]


def _flat(x: ArrayLike) -> Operand:
    found = operand(x)
    return rows.reshape(found, (prod(shape_of(found)),))


def column_and_row(x: ArrayLike, y: ArrayLike, /) -> tuple[Operand, Operand]:
    """Operands of which each number of the first meets each of the second."""
    first, second = operand(x), operand(y)
    return rows.reshape(first, (*shape_of(first), *[1] * len(shape_of(second)))), second


@product
@beside(np.outer)
def outer(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """The matrix of the products of each number of x with each of y."""
    return ops.mul(*column_and_row(_flat(x), _flat(y)))


@inner_product
@beside(np.vdot)
def vdot(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """The sum of the products of the numbers of x with those of y."""
    return applied(rows.matmul, _flat(x), _flat(y))
