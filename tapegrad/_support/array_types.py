"""Static types for the arrays in results.

The arrays are numpy's own, and SciPy's. The types are stated here so that checking a program that
uses none does not read numpy's; for what is not listed here, ``numpy.asarray`` gives numpy's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, SupportsIndex, overload

__all__ = ["FloatArray", "SparseArray", "TruthArray", "Vector"]


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
    def __radd__(self, other: float, /) -> FloatArray: ...
    def __sub__(self, other: Vector | float, /) -> FloatArray: ...
    def __rsub__(self, other: float, /) -> FloatArray: ...
    def __mul__(self, other: Vector | float, /) -> FloatArray: ...
    def __rmul__(self, other: float, /) -> FloatArray: ...
    def __truediv__(self, other: Vector | float, /) -> FloatArray: ...
    def __rtruediv__(self, other: float, /) -> FloatArray: ...
    def __pow__(self, other: Vector | float, /) -> FloatArray: ...
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

    def copy(self) -> FloatArray:
        """The same numbers in an array of their own."""

    if TYPE_CHECKING:
        # For numpy's functions that take a buffer; not looked for in isinstance.
        def __buffer__(self, flags: int, /) -> memoryview: ...


class SparseArray(Protocol):
    """A sparse array of SciPy's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""

    @property
    def nnz(self) -> int:
        """The number of stored entries."""

    def toarray(self) -> FloatArray:
        """The dense array, with zeros for entries that are not stored."""


class TruthArray(Protocol):
    """The outcomes of comparing arrays, element by element."""

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
