"""The type that ``vmap`` returns, a batched function, and the types of its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeAlias, TypeVar, cast, final

import attrs

from tapegrad._support.source_position import here
from tapegrad._support.text import visible
from tapegrad.errors import InputError
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import Branch, Leaf, Structure, argument_paths, build
from tapegrad.transforms.grad import ValueAndGrad

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, FloatMatrix, Matrix, Vector
    from tapegrad.compile.backends.registry import Language
    from tapegrad.compile.paths import AnyTape
    from tapegrad.compile.report import Report

__all__ = [
    "BatchValueAndGrad", "Batched", "BatchedModel", "Columns", "Estimate", "Progress", "by_row",
]  # fmt: skip

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
X_contra = TypeVar("X_contra", contravariant=True)


class Batched(ABC, Generic[A_co]):
    """A function of one row that runs over arrays of rows, made by ``vmap``.

    It may be pickled: then its tapes travel, and the code is made again where it arrives. The
    function itself, an executor and a callback stay behind, so that only paths recorded before can
    be taken there. Where nothing is recorded yet, the function travels, if it can be pickled.
    """

    # Without the rest of what runs rows: a checker follows the imports of this file, and is to
    # read numpy's types only where the user imports numpy.

    @abstractmethod
    def __call__(self, *args: object, **kwargs: object) -> A_co:
        """The answers of all rows."""

    @property
    @abstractmethod
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""

    @abstractmethod
    def report(self) -> Report:
        """Describes what was recorded and compiled, what runs it and why, and what that took."""

    @abstractmethod
    def source(self, language: Language) -> str:
        """The path that most rows took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Self:
        return self

    def __repr__(self) -> str:
        name = visible(getattr(self, "__name__", "a function"))
        return f"<vmap of {name}, {len(self.tapes)} recorded>"


Rows: TypeAlias = "Vector | Matrix | Iterator[object] | Mapping[str, object] | Sequence[object]"
"""The kinds of mapped arguments."""


class BatchedModel(Batched[A_co], Generic[A_co, X_contra]):
    """The same for a function whose first argument is an ``X``, which may be mapped or not."""

    @abstractmethod
    def __call__(  # type: ignore[override]  # to say `Batched[Answer]` is to say no more
        self, x: X_contra | Rows, /, *args: object, **kwargs: object
    ) -> A_co:
        """The answers of all rows."""


@final
@attrs.frozen(eq=False, repr=False)
class Columns(Generic[A_co]):
    """Results of many rows by column: one array for each number of an ``A``, named in ``paths``.

    >>> import numpy
    >>> from tapegrad import Real, grad, vmap
    >>> def f(x: tuple[Real, Real]) -> Real:
    ...     return x[0] * x[1]
    >>> columns = vmap(grad(f))(numpy.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    >>> columns.paths, columns.column("0").tolist(), columns.row(2), len(columns)
    (('0', '1'), [2.0, 4.0, 6.0], (6.0, 5.0), 3)
    """

    paths: tuple[str, ...]
    _structure: Structure
    _arrays: FloatArray

    def column(self, path: str) -> FloatArray:
        """The numbers of all rows under one key path.

        Raises:
            InputError: when there is no such key path.
        """
        if path not in self.paths:
            raise InputError(
                f"there is no column {path!r} ({here()}): choose among {', '.join(self.paths)}"
            )
        return cast("list[FloatArray]", self._arrays)[self.paths.index(path)]

    def array(self) -> FloatMatrix:
        """The numbers as a matrix with a column for each path; a view of them.

        >>> import numpy
        >>> from tapegrad import Real, grad, vmap
        >>> def f(x: tuple[Real, Real]) -> Real:
        ...     return x[0] * x[1]
        >>> vmap(grad(f))(numpy.array([[1.0, 2.0], [3.0, 4.0]])).array().tolist()
        [[2.0, 1.0], [4.0, 3.0]]
        """
        return cast("FloatMatrix", self._arrays).T

    def row(self, index: int) -> A_co:
        """One row in the shape that the function returned."""
        arrays = cast("list[list[float]]", self._arrays)
        numbers = [float(column[index]) for column in arrays]
        return cast(A_co, build(unshared_statics(self._structure), numbers))

    def __len__(self) -> int:
        return self._arrays.shape[1]

    def __repr__(self) -> str:
        return f"<Columns {', '.join(self.paths)} of {len(self):,} rows>"


class BatchValueAndGrad(NamedTuple, Generic[A]):
    """The values of many rows, and their gradients by column."""

    value: FloatArray
    grad: Columns[A]


def by_row(
    result: Structure,
    name: str,
    columns: Sequence[object],
    joined: Callable[[Sequence[object]], object],
) -> object:
    """The answer of a batch that is not reduced, given a column for each number of a row's result.

    ``joined`` makes a matrix of columns. A lone number goes by the ``name`` of the first argument.
    """
    if isinstance(result, Leaf):
        return columns[0]
    if isinstance(result, Branch) and result.kind is ValueAndGrad:
        slopes = _named(result.children[1], name, joined(columns[1:]))
        return BatchValueAndGrad(cast("FloatArray", columns[0]), slopes)
    return _named(result, name, joined(columns))


def _named(structure: Structure, name: str, arrays: object) -> Columns[object]:
    return Columns(tuple(argument_paths(structure, name)), structure, cast("FloatArray", arrays))


class Estimate(NamedTuple, Generic[A]):
    """The mean of many rows' answers, its standard errors in the same shape, and how many rows."""

    mean: A
    stderr: A
    rows: int


@final
@attrs.frozen
class Progress(Generic[A_co]):
    """The progress of a batch: the rows so far, their sum or mean, and its standard error."""

    rows: int
    value: A_co
    stderr: A_co | None
