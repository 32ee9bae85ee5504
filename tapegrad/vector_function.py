"""Compiled programs whose points are given as flat vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast, final

from tapegrad.batches import Columns
from tapegrad.calls import gathered
from tapegrad.compiling import jit
from tapegrad.coordinates import Sparsity
from tapegrad.float_vectors import concatenated, interleaved, vector
from tapegrad.mapping import vmap
from tapegrad.structure import Role, flatten, join

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray
    from tapegrad.model_data import ModelData
    from tapegrad.paths import AnyTape

__all__ = ["TupleProgram", "Unflatten", "VectorFunction", "vector_function"]

TupleProgram: TypeAlias = Callable[..., "tuple[object, ...]"]
"""A function that returns its numbers in a tuple."""

Unflatten: TypeAlias = "Callable[[FloatArray], object]"
"""Builds the value that a vector stands for."""


class VectorFunction(ABC):
    """A compiled program that takes its points, the arguments before the data, as vectors.

    Its numbers come back in one vector; where there are rows that are not summed, those of the
    first row, then those of the next.
    """

    @property
    @abstractmethod
    def tapes(self) -> tuple[AnyTape, ...]:
        """The tapes recorded so far, one for each path."""

    @abstractmethod
    def __call__(self, *points: FloatArray) -> FloatArray:
        """Computes the numbers at these points."""

    def sparsity(self) -> Sparsity:
        """The places of the Jacobian that can be other than zero on a path recorded so far."""
        found = [tape.jacobian_sparsity() for tape in self.tapes]
        places = {place for one in found for place in zip(one.rows, one.columns, strict=True)}
        rows, columns = zip(*sorted(places), strict=True) if places else ((), ())
        return Sparsity(rows, columns, found[0].shape)


def vector_function(
    program: TupleProgram, data: ModelData, unflatten: Unflatten, points: Sequence[FloatArray]
) -> VectorFunction:
    """Compiles a program and records it at these points."""
    if not data.has_rows:
        return _CalledOnce(program, data, [unflatten(point) for point in points])
    function = _CalledForEachRow(program, data, unflatten, len(points))
    function(*points)
    return function


@final
class _CalledOnce(VectorFunction):
    def __init__(self, program: TupleProgram, data: ModelData, points: Sequence[object]) -> None:
        self._compiled = jit(program)
        self._flat = self._compiled.flat(*points, *data.args, **data.kwargs)
        _, leaves = flatten(gathered(data.args, data.kwargs), Role.DATA, join)
        self._data = vector(cast("list[float]", leaves))

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        return self._compiled.tapes

    def __call__(self, *points: FloatArray) -> FloatArray:
        return self._flat(concatenated([*points, self._data]))


@final
class _CalledForEachRow(VectorFunction):
    def __init__(
        self, program: TupleProgram, data: ModelData, unflatten: Unflatten, points: int
    ) -> None:
        self._data, self._unflatten = data, unflatten
        axes = (None,) * points + data.axes
        self._batched = (
            vmap(program, in_axes=axes)
            if data.reduce is None
            else vmap(program, in_axes=axes, reduce=data.reduce)
        )

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        return self._batched.tapes

    def __call__(self, *points: FloatArray) -> FloatArray:
        values = map(self._unflatten, points)
        found = self._batched(*values, *self._data.args, **self._data.kwargs)
        if isinstance(found, Columns):
            return interleaved([found.column(path) for path in found.paths])
        return vector(cast("tuple[float, ...]", found))
