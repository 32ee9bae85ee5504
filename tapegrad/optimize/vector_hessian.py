"""The Hessian of a function of a vector, by its products with vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.sweep.sparse_matrix import Sparsity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapegrad._support.array_types import FloatArray
    from tapegrad.optimize.vector_function import VectorFunction

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["VectorHessian"]


@final
class VectorHessian:
    """Computes the Hessian whose product with a first vector, at a second, is ``product``.

    Columns that share no row have one colour, and one product gives them all. The pattern is that
    of all paths recorded so far.
    """

    def __init__(self, product: VectorFunction) -> None:
        self._product = product
        self._colouring: _Colouring | None = None

    def __call__(self, x: FloatArray) -> FloatArray:
        """Computes the matrix; where ``x`` leads to a new path, the products are computed again."""
        colouring = self._colouring
        while True:
            if colouring is None or colouring.paths != len(self._product.tapes):
                colouring = self._colouring = _coloured(self._product)
            seeds = cast("tuple[FloatArray, ...]", tuple(colouring.seeds))
            products = np.array([self._product(seed, x) for seed in seeds])
            if colouring.paths == len(self._product.tapes):
                return cast("FloatArray", colouring.matrix(products))


@final
@attrs.frozen(eq=False)
class _Colouring:
    """The pattern of a matrix on so many paths, the colours of its columns, and a seed for each.

    A seed is the sum of the unit vectors of one colour; there is one seed at least.
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
    from tapegrad.sweep.coloring import distance_one

    paths, pattern = len(product.tapes), product.sparsity()
    colours = np.array(distance_one(pattern.by_column(), pattern.shape[0]), dtype=np.intp)
    each = np.arange(max(1, 1 + colours.max(initial=-1)))
    seeds = np.equal(each[:, None], colours).astype(np.float64)
    return _Colouring(paths, pattern, colours, seeds)
