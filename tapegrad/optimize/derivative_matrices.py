"""Matrices of derivatives in numpy's and SciPy's arrays: their entries placed, and the Hessian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.optional_packages import require
from tapegrad.sweep.coloring import distance_one
from tapegrad.sweep.sparse_matrix import Coordinates, Sparsity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapegrad._support.array_types import FloatArray, FloatMatrix, SparseArray
    from tapegrad.optimize.vector_function import VectorFunction

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["VectorHessian", "dense", "in_places", "side_by_side", "sparse"]


def dense(pattern: Sparsity, entries: FloatArray) -> Floats:
    """Stacks matrices of one pattern, whose entries come one matrix after the other."""
    lines = _lines(pattern, entries)
    height, width = pattern.shape
    matrix = np.zeros((len(lines), height, width))
    matrix[:, list(pattern.rows), list(pattern.columns)] = lines
    return matrix.reshape(-1, width)


def sparse(pattern: Sparsity, entries: FloatArray) -> SparseArray:
    """The same as ``dense`` in SciPy's ``csr_array``.

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


def side_by_side(blocks: Mapping[str, Mapping[str, object]], sizes: Sequence[int]) -> Floats:
    """The matrix of a Jacobian by blocks, whose inputs have so many numbers."""
    rows = [
        np.hstack([
            np.reshape(cast("Floats", block), (-1, size))
            for block, size in zip(row.values(), sizes, strict=True)
            if size
        ])
        for row in blocks.values()
    ]  # fmt: skip
    return np.vstack(rows)


def in_places(coordinates: Coordinates, *, ones: bool) -> SparseArray:
    """A matrix given by its entries in SciPy's ``csr_array``.

    Raises:
        BackendError: when SciPy is not installed.
    """
    require("scipy")
    from scipy.sparse import csr_array

    values = np.ones(len(coordinates.rows)) if ones else np.array(coordinates.values)
    places = list(coordinates.rows), list(coordinates.columns)
    return cast("SparseArray", csr_array((values, places), coordinates.shape))


@final
class VectorHessian:
    """The Hessian of a function of a vector, from its products: ``product(v, x)`` is H(x) v.

    Columns that share no row have one colour, and one product gives them all. The pattern is that
    of all paths recorded so far. Of a program on arrays there is a product for each column.
    """

    def __init__(self, product: VectorFunction) -> None:
        self._product = product
        self._colouring: _Colouring | None = None

    def __call__(self, x: FloatArray) -> FloatMatrix:
        """Computes the matrix; where ``x`` leads to a new path, the products are computed again."""
        if not self._product.tapes:
            lines = [self._product(cast("FloatArray", seed), x) for seed in np.eye(len(x))]
            return cast("FloatMatrix", np.array(lines))
        colouring = self._colouring
        while True:
            if colouring is None or colouring.paths != len(self._product.tapes):
                colouring = self._colouring = _coloured(self._product)
            seeds = cast("tuple[FloatArray, ...]", tuple(colouring.seeds))
            products = np.array([self._product(seed, x) for seed in seeds])
            if colouring.paths == len(self._product.tapes):
                return cast("FloatMatrix", colouring.matrix(products))


@final
@attrs.frozen(eq=False)
class _Colouring:
    """The pattern of a matrix on the paths recorded so far, the colours of its columns, and seeds.

    ``paths`` is the number of those paths. A seed is the sum of the unit vectors of one colour;
    there is one seed at least.
    """

    paths: int
    pattern: Sparsity
    colours: NDArray[np.intp]
    seeds: Floats

    def matrix(self, products: Floats) -> Floats:
        """Reads each entry off the product of its column's colour."""
        rows, columns = list(self.pattern.rows), list(self.pattern.columns)
        matrix = np.zeros(self.pattern.shape)
        matrix[rows, columns] = products[self.colours[columns], rows]
        return matrix


def _coloured(product: VectorFunction) -> _Colouring:
    paths, pattern = len(product.tapes), product.sparsity()
    colours = np.array(distance_one(pattern.by_column(), pattern.shape[0]), dtype=np.intp)
    every = np.arange(max(1, 1 + colours.max(initial=-1)))
    seeds = np.equal(every[:, None], colours).astype(np.float64)
    return _Colouring(paths, pattern, colours, seeds)
