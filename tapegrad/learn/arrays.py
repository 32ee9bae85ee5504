"""Serves trees and optimisers that have arrays: loaded when numpy is there and worth its while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, prod
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tapegrad.batch.arrays import is_static_column
from tapegrad.ops.primitive import Operand, Shape

__all__ = ["Floats", "clip", "column", "joined", "norm", "parted", "quiet", "sign", "sqrt", "zeros"]

Floats: TypeAlias = NDArray[np.float64]

sqrt: Final = np.sqrt
sign: Final = np.sign
zeros: Final = np.zeros


def clip(x: Floats, limit: float) -> Floats:
    """The numbers, between -limit and limit."""
    return np.clip(x, -limit, limit)


def norm(x: Floats) -> float:
    """The Euclidean norm of a vector, in which no square overflows."""
    found = float(np.sqrt(x @ x))
    if found != inf:
        return found
    largest = float(np.abs(x).max())
    return largest * float(np.linalg.norm(x / largest)) if largest != inf else inf


def column(values: list[Any] | tuple[Any, ...]) -> object:
    """A column of numbers as an array; one of texts, dates and the like as it is."""
    if is_static_column(values):
        return values
    try:
        return np.array(values)
    except ValueError:  # of different lengths: vmap says so
        return values


def quiet() -> Any:
    """A context without numpy's warnings."""
    return np.errstate(all="ignore")


def joined(leaves: Sequence[Operand], shapes: Iterable[Shape]) -> Floats:
    """Numbers and the elements of arrays, one after the other, in a vector."""
    if not any(shapes):
        return np.array(leaves, np.float64)
    return np.concatenate([np.ravel(leaf) for leaf in leaves])  # type: ignore[arg-type]  # plain


def parted(x: Floats, shapes: Sequence[Shape]) -> list[Any]:
    """The numbers of a vector as floats, and arrays of these shapes."""
    if not any(shapes):
        return list(x.tolist())
    found: list[Any] = []
    at = 0
    for shape in shapes:
        part = x[at : at + prod(shape)]
        found.append(part.reshape(shape) if shape else float(part[0]))
        at += len(part)
    return found
