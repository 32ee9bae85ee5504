"""The Jacobian of a model over all its rows, as a dense and as a sparse array."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from tapegrad.checks import name_of
from tapegrad.coordinates import Sparsity
from tapegrad.float_vectors import vector
from tapegrad.sparse import sparse_jacobian
from tapegrad.vector_function import TupleProgram, Unflatten, VectorFunction, vector_function

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray
    from tapegrad.model_data import ModelData

__all__ = ["SparseArray", "VectorJacobian"]


class SparseArray(Protocol):
    """A sparse array of SciPy's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""

    @property
    def nnz(self) -> int:
        """How many entries are stored."""

    def toarray(self) -> FloatArray:
        """All entries, with zeros for those that are not stored."""


_Places: TypeAlias = tuple[tuple[int, int], ...]


@final
class VectorJacobian:
    """Computes the derivatives of a model's numbers: those of the first row, then the next's.

    For each row the entries are computed that can be other than zero on the paths met so far.
    """

    def __init__(
        self,
        model: Callable[..., object],
        data: ModelData,
        unflatten: Unflatten,
        pattern: Sparsity,
    ) -> None:
        self._model, self._data, self._unflatten = model, data, unflatten
        self._shape = pattern.shape
        self._seen = set(zip(pattern.rows, pattern.columns, strict=True))
        self._compiled: tuple[_Places, VectorFunction] | None = None

    def dense(self, x: FloatArray) -> FloatArray:
        """Computes all entries."""
        pattern, entries = self._entries(x)
        matrix: FloatArray
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.matrix_layout import dense

            matrix = dense(pattern, entries)
        return matrix

    def sparse(self, x: FloatArray) -> SparseArray:
        """Computes the entries that can be other than zero."""
        return _sparse(*self._entries(x))

    def places(self, x: FloatArray) -> SparseArray:
        """Gives ones where an entry can be other than zero."""
        pattern, entries = self._entries(x)
        return _sparse(pattern, vector([1.0] * len(entries)))

    def _entries(self, x: FloatArray) -> tuple[Sparsity, FloatArray]:
        """The pattern of one row, and the entries of all rows; a zero for each if it has none.

        Where ``x`` leads to a path with places that are not in the pattern, all is asked again.
        """
        places, entries = self._compiled or self._compile(x)
        found = entries(x)
        while len(places) < len(self._seen):
            places, entries = self._compile(x)
            found = entries(x)
        rows, columns = zip(*places, strict=True) if places else ((), ())
        return Sparsity(rows, columns, self._shape), found

    def _compile(self, x: FloatArray) -> tuple[_Places, VectorFunction]:
        places = tuple(sorted(self._seen))
        entries = vector_function(self._program(places), self._data, self._unflatten, [x])
        self._compiled = places, entries
        return places, entries

    def _program(self, places: _Places) -> TupleProgram:
        """A program for the entries at these places, which notes what other places there are."""

        def entries(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
            matrix = sparse_jacobian(self._model)(x, *args, **kwargs)
            there = list(zip(matrix.rows, matrix.columns, strict=True))
            self._seen.update(there)
            found = dict(zip(there, matrix.values, strict=True))
            return tuple(found.get(place, 0.0) for place in places) or (0.0,)

        entries.__qualname__ = name_of(self._model)
        return entries


def _sparse(pattern: Sparsity, entries: FloatArray) -> SparseArray:
    matrix: SparseArray
    if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
        from tapegrad.matrix_layout import sparse

        matrix = sparse(pattern, entries)
    return matrix
