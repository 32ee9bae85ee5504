"""The Hessian of a function of a vector, by its products with vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from tapegrad.coordinates import Sparsity
from tapegrad.float_vectors import vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapegrad.arrays import FloatArray
    from tapegrad.vector_function import VectorFunction

__all__ = ["VectorHessian"]


@final
class VectorHessian:
    """Computes the Hessian whose product with a first vector, at a second, is ``product``.

    Columns that share no row have one colour, and one product gives them all. The pattern is that
    of all paths recorded so far.
    """

    def __init__(self, product: VectorFunction) -> None:
        self._product = product
        self._coloured: _Coloured | None = None

    def __call__(self, x: FloatArray) -> FloatArray:
        """Computes the matrix; where ``x`` leads to a new path, the products are computed again."""
        coloured = self._coloured
        while True:
            if coloured is None or coloured.paths != len(self._product.tapes):
                coloured = self._coloured = _coloured(self._product)
            products = [self._product(seed, x) for seed in coloured.seeds]
            if coloured.paths == len(self._product.tapes):
                return coloured.matrix(products)


@final
@attrs.frozen(eq=False)
class _Coloured:
    """The pattern of a matrix on so many paths, the colours of its columns, and a seed for each.

    A seed is the sum of the unit vectors of one colour; there is one seed at least.
    """

    paths: int
    pattern: Sparsity
    colours: Sequence[int]
    seeds: Sequence[FloatArray]

    def matrix(self, products: Sequence[FloatArray]) -> FloatArray:
        """Puts the entries of the products, one for each seed, into their places."""
        matrix: FloatArray
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.matrix_layout import from_products

            matrix = from_products(self.pattern, self.colours, products)
        return matrix


def _coloured(product: VectorFunction) -> _Coloured:
    from tapegrad.interpret.colouring import distance_one

    paths, pattern = len(product.tapes), product.sparsity()
    colours = distance_one(pattern.by_column(), pattern.shape[0])
    count = 1 + max([0, *colours])
    seeds = [vector([float(each == colour) for each in colours]) for colour in range(count)]
    return _Coloured(paths, pattern, colours, seeds)
