"""Entries put into the places of a matrix: numpy's dense and SciPy's sparse arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from tapegrad._support.optional_packages import require
from tapegrad.sweep.sparse_matrix import Sparsity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapegrad._support.array_types import FloatArray, SparseArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["dense", "sparse"]


def dense(pattern: Sparsity, entries: FloatArray) -> Floats:
    """Stacks matrices of one pattern, whose entries come one matrix after the other."""
    lines = _lines(pattern, entries)
    height, width = pattern.shape
    matrix = np.zeros((len(lines), height, width))
    matrix[:, list(pattern.rows), list(pattern.columns)] = lines
    return matrix.reshape(-1, width)


def sparse(pattern: Sparsity, entries: FloatArray) -> SparseArray:
    """Does the same as ``dense`` in SciPy's ``csr_array``.

    Raises:
        BackendError: when SciPy is not installed.
    """
    require("scipy")
    from scipy.sparse import csr_array

    lines = _lines(pattern, entries)
    height, width = pattern.shape
    counts = np.bincount(np.array(pattern.rows, dtype=np.intp), minlength=height)
    ends = np.concatenate([[0], np.tile(counts, len(lines)).cumsum()])
    columns = np.tile(np.array(pattern.columns, dtype=np.intp), len(lines))
    shape = height * len(lines), width
    return cast("SparseArray", csr_array((lines.ravel(), columns, ends), shape))


def _lines(pattern: Sparsity, entries: FloatArray) -> Floats:
    """A line for each matrix; a pattern without places has one entry, which is left out."""
    return np.asarray(entries).reshape(-1, max(1, len(pattern)))[:, : len(pattern)]
