"""Static types for the arrays in results.

The arrays are numpy's own, and SciPy's. The types are stated here so that checking a program that
uses none does not read numpy's; for what is not listed here, ``numpy.asarray`` gives numpy's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeAlias, overload

__all__ = ["FloatArray", "FloatMatrix", "Matrix", "SparseArray", "TruthArray", "Vector"]


class FloatArray(Protocol):
    """An array of float64, as numpy makes it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def dtype(self) -> object:
        """The type of the elements, float64."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[float]: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> float: ...
    @overload
    def __getitem__(self, key: slice | TruthArray, /) -> FloatArray: ...
    def __add__(self, other: Vector | float, /) -> FloatArray: ...
    def __radd__(self, other: Vector | float, /) -> FloatArray: ...
    def __sub__(self, other: Vector | float, /) -> FloatArray: ...
    def __rsub__(self, other: Vector | float, /) -> FloatArray: ...
    def __mul__(self, other: Vector | float, /) -> FloatArray: ...
    def __rmul__(self, other: Vector | float, /) -> FloatArray: ...
    def __truediv__(self, other: Vector | float, /) -> FloatArray: ...
    def __rtruediv__(self, other: Vector | float, /) -> FloatArray: ...
    def __pow__(self, other: Vector | float, /) -> FloatArray: ...
    def __matmul__(self, other: Vector, /) -> float: ...
    def __lt__(self, other: Vector | float, /) -> TruthArray: ...
    def __le__(self, other: Vector | float, /) -> TruthArray: ...
    def __gt__(self, other: Vector | float, /) -> TruthArray: ...
    def __ge__(self, other: Vector | float, /) -> TruthArray: ...
    def __neg__(self) -> FloatArray: ...
    def __abs__(self) -> FloatArray: ...
    def mean(self) -> float:
        """The arithmetic mean."""

    def sum(self) -> float:
        """The sum."""

    def std(self) -> float:
        """The standard deviation."""

    def min(self) -> float:
        """The smallest number."""

    def max(self) -> float:
        """The largest number."""

    def tolist(self) -> list[float]:
        """The numbers as a list of Python floats."""

    def tobytes(self) -> bytes:
        """The numbers as bytes, one after the other."""

    def round(self, decimals: int = ..., /) -> FloatArray:
        """The numbers rounded."""

    def copy(self) -> FloatArray:
        """The same numbers in an array of their own."""

    if TYPE_CHECKING:
        # For numpy's functions, which take a buffer or what has `__array__`; not looked for in
        # isinstance. The type of numpy's arrays would have to be imported here.
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __array__(self) -> Any: ...


class FloatMatrix(Protocol):
    """An array of float64 with two axes, rows first, as numpy makes it."""

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""

    @property
    def ndim(self) -> int:
        """The number of axes, 2."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def dtype(self) -> object:
        """The type of the elements, float64."""

    @property
    def T(self) -> FloatMatrix:  # noqa: N802  # numpy's name
        """The columns as rows."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[FloatArray]: ...
    @overload
    def __getitem__(self, key: tuple[SupportsIndex, SupportsIndex], /) -> float: ...
    @overload
    def __getitem__(
        self,
        key: SupportsIndex | tuple[SupportsIndex, slice] | tuple[_Many, SupportsIndex],
        /,
    ) -> FloatArray: ...
    @overload
    def __getitem__(self, key: _Many | tuple[_Many, slice], /) -> FloatMatrix: ...
    def __add__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __radd__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __sub__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __rsub__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __mul__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __rmul__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __truediv__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    def __rtruediv__(self, other: Matrix | Vector | float, /) -> FloatMatrix: ...
    @overload
    def __matmul__(self, other: FloatMatrix, /) -> FloatMatrix: ...
    @overload
    def __matmul__(self, other: Vector, /) -> FloatArray: ...
    def __neg__(self) -> FloatMatrix: ...
    def __abs__(self) -> FloatMatrix: ...
    def mean(self) -> float:
        """The arithmetic mean."""

    def sum(self) -> float:
        """The sum."""

    def min(self) -> float:
        """The smallest number."""

    def max(self) -> float:
        """The largest number."""

    def tolist(self) -> list[list[float]]:
        """The rows as lists of Python floats."""

    def round(self, decimals: int = ..., /) -> FloatMatrix:
        """The numbers rounded."""

    def copy(self) -> FloatMatrix:
        """The same numbers in an array of their own."""

    if TYPE_CHECKING:
        # As for FloatArray.
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __array__(self) -> Any: ...


class SparseArray(Protocol):
    """A sparse array of SciPy's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""

    @property
    def nnz(self) -> int:
        """The number of stored entries."""

    def toarray(self) -> FloatMatrix:
        """The dense array, with zeros for entries that are not stored."""

    if TYPE_CHECKING:
        # What SciPy's stubs ask of a matrix that is not declared to be one of SciPy's.
        def __len__(self) -> int: ...
        def __array__(self) -> Any: ...


class TruthArray(Protocol):
    """The outcomes of comparing arrays, element by element."""

    if TYPE_CHECKING:
        # As for FloatArray.
        def __array__(self) -> Any: ...

    def __len__(self) -> int: ...
    def __and__(self, other: TruthArray, /) -> TruthArray: ...
    def __or__(self, other: TruthArray, /) -> TruthArray: ...
    def __invert__(self) -> TruthArray: ...
    def any(self) -> bool:
        """Whether any is true."""

    def all(self) -> bool:
        """Whether all are true."""

    def sum(self) -> int:
        """The number of those that are true."""


class Vector(Protocol):
    """A sequence of numbers: an array, or a list."""

    # Less than a FloatArray, which mypy finds numpy's arrays to be from Python 3.12 on.
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[float]: ...


class Matrix(Protocol):
    """A sequence of rows: an array with two axes, or a list of lists."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Vector]: ...


_Many: TypeAlias = slice | TruthArray
"""An index that picks any number of rows."""
