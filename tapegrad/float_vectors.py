"""Flat arrays of float64, made by numpy.

numpy is hidden here from type checkers: they follow imports, and would read its types in each
program that uses tapegrad. Call ``require("numpy")`` before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray, Vector

__all__ = ["concatenated", "interleaved", "vector"]


def vector(numbers: Vector) -> FloatArray:
    """Gives the numbers as a flat array."""
    array: FloatArray
    if not TYPE_CHECKING:
        import numpy as np

        array = np.asarray(numbers, dtype=np.float64).reshape(-1)
    return array


def concatenated(parts: Sequence[FloatArray]) -> FloatArray:
    """Joins the parts, one after the other."""
    array: FloatArray
    if not TYPE_CHECKING:
        import numpy as np

        array = np.concatenate(parts)
    return array


def interleaved(columns: Sequence[FloatArray]) -> FloatArray:
    """Joins the first numbers of all columns, then the second ones, and so on."""
    array: FloatArray
    if not TYPE_CHECKING:
        import numpy as np

        array = np.stack(columns, axis=1).reshape(-1)
    return array
