"""What objectives leave to numpy, and to ``tapegrad.vectors``: the types that pass between them.

A checker that reads a user's program follows every import that it can see. So ``vectors`` is loaded
here by its name, and the arrays are the package's own ``FloatArray``: numpy's types are read only
where the user imports numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, final

import attrs

from tapegrad.optional_packages import require

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray, Vector
    from tapegrad.paths import AnyTape

__all__ = [
    "Data", "Engine", "Function", "Hessian", "Jacobian", "Program", "Reduce", "SparseArray",
    "Unflatten", "engine",
]  # fmt: skip

Reduce: TypeAlias = Literal["mean", "sum"]
Program: TypeAlias = Callable[..., "tuple[object, ...]"]
"""A function that returns its numbers in a tuple."""

Unflatten: TypeAlias = "Callable[[FloatArray], object]"
"""The value that a vector stands for."""

Hessian: TypeAlias = "Callable[[FloatArray], FloatArray]"
"""The matrix at a point."""


class SparseArray(Protocol):
    """A sparse array of SciPy's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""

    @property
    def nnz(self) -> int:
        """How many entries are held."""

    def toarray(self) -> FloatArray:
        """All entries, those that are not held as zeros."""


@final
@attrs.frozen(eq=False)
class Data:
    """The arguments after the first; those by position under ``axes`` 0 have the rows first."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    axes: tuple[Literal[0] | None, ...]
    reduce: Reduce | None

    @property
    def has_rows(self) -> bool:
        """Whether any is mapped."""
        return 0 in self.axes


class Function(Protocol):
    """A program that takes one value or more in the shape of the start, as a function of vectors.

    Its numbers come back in one vector; where there are rows that are not summed, those of the
    first row, then those of the next.
    """

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """What was recorded, path by path."""

    def __call__(self, *vectors: FloatArray) -> FloatArray:
        """The numbers that the program returns."""


class Jacobian(Protocol):
    """The derivatives of a model's numbers at a point: those of the first row, then the next's."""

    def dense(self, x: FloatArray, /) -> FloatArray:
        """All of them."""

    def sparse(self, x: FloatArray, /) -> SparseArray:
        """Those that can be other than zero on the paths met so far."""

    def places(self, x: FloatArray, /) -> SparseArray:
        """Ones in their places."""


class Engine(Protocol):
    """What ``tapegrad.vectors`` offers."""

    def held(self, f: Callable[..., object], given: Data, /) -> Data:
        """The arguments with arrays and containers of our own."""

    def vector(self, numbers: Vector, /) -> FloatArray:
        """The numbers as a flat array."""

    def function(
        self, program: Program, data: Data, unflatten: Unflatten, points: Sequence[FloatArray], /
    ) -> Function:
        """The program compiled, and recorded at these points."""

    def hessian(self, product: Function, /) -> Hessian:
        """The matrix whose product with a first vector, at a second, is ``product``."""

    def jacobian(
        self, model: Callable[..., object], data: Data, unflatten: Unflatten, values: Function, /
    ) -> Jacobian:
        """The derivatives of a model whose numbers are ``values``."""


def engine() -> Engine:
    """The module ``tapegrad.vectors``.

    Raises:
        BackendError: when numpy is not installed.
    """
    require("numpy")
    return cast(Engine, import_module("tapegrad.vectors"))
