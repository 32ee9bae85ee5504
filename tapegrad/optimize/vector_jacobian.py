"""The Jacobian of a model over all its rows, as a dense and as a sparse array."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, final

from tapegrad.optimize.vector_function import TupleProgram, VectorFunction, vector
from tapegrad.sweep.sparse_matrix import Sparsity
from tapegrad.transforms.sparse import sparse_jacobian

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, SparseArray

__all__ = ["VectorJacobian"]

Places: TypeAlias = tuple[tuple[int, int], ...]


@final
class VectorJacobian:
    """Computes the derivatives of a model's numbers: those of the first row, then the next's.

    For each row the entries are computed that can be other than zero on the paths met so far.
    """

    def __init__(
        self,
        model: Callable[..., object],
        pattern: Sparsity,
        compiled: Callable[[TupleProgram], VectorFunction],
    ) -> None:
        self._model, self._compiled = model, compiled
        self._shape = pattern.shape
        self._seen = set(zip(pattern.rows, pattern.columns, strict=True))
        self._entries = self._of_seen()

    def dense(self, x: FloatArray) -> FloatArray:
        """Computes all entries."""
        pattern, entries = self._at(x)
        matrix: FloatArray
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.optimize.matrix_layout import dense

            matrix = dense(pattern, entries)
        return matrix

    def sparse(self, x: FloatArray, *, ones: bool = False) -> SparseArray:
        """Computes the entries that can be other than zero, or gives ones in their places."""
        pattern, entries = self._at(x)
        matrix: SparseArray
        if not TYPE_CHECKING:
            from tapegrad.optimize.matrix_layout import sparse

            matrix = sparse(pattern, vector([1.0] * len(entries)) if ones else entries)
        return matrix

    def _at(self, x: FloatArray) -> tuple[Sparsity, FloatArray]:
        """The pattern of one row, and the entries of all rows; a zero for each if it has none.

        Where ``x`` leads to a path with places that are not in the pattern, all is asked again.
        """
        places, entries = self._entries
        found = entries(x)
        while len(places) < len(self._seen):
            places, entries = self._entries = self._of_seen()
            found = entries(x)
        rows, columns = zip(*places, strict=True) if places else ((), ())
        return Sparsity(rows, columns, self._shape), found

    def _of_seen(self) -> tuple[Places, VectorFunction]:
        """Compiles the entries at the places seen, and from then on adds others that it meets."""
        places = tuple(sorted(self._seen))

        def entries(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
            matrix = sparse_jacobian(self._model)(x, *args, **kwargs)
            there = list(zip(matrix.rows, matrix.columns, strict=True))
            self._seen.update(there)
            found = dict(zip(there, matrix.values, strict=True))
            return tuple(found.get(place, 0.0) for place in places) or (0.0,)

        return places, self._compiled(entries)
