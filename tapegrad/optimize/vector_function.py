"""Compiled functions of flat vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast, final

import attrs

from tapegrad._support.optional_packages import installed
from tapegrad.batch.results import Columns
from tapegrad.batch.vmap import vmap
from tapegrad.compile.jit import jit
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Role, flatten
from tapegrad.sweep.sparse_matrix import Sparsity
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, Vector
    from tapegrad.compile.paths import AnyTape
    from tapegrad.optimize.model_data import ModelData
elif installed("numpy"):  # a checker follows imports, and would read numpy's types
    import numpy as np

__all__ = ["TupleProgram", "VectorFunction", "compiled", "compiled_for_rows", "vector"]

TupleProgram: TypeAlias = Callable[..., "tuple[object, ...]"]
"""A function that returns its numbers in a tuple."""


@final
@attrs.frozen(eq=False)
class VectorFunction:
    """Computes the numbers that a program returns, given the arguments before the data as vectors.

    They come in one vector; where there are rows that are not summed, those of the first row come
    first, then those of the next.
    """

    _tapes: Callable[[], tuple[AnyTape, ...]]
    _run: Callable[..., FloatArray]

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The tapes recorded so far, one for each path."""
        return self._tapes()

    def __call__(self, *points: FloatArray) -> FloatArray:
        """Computes the numbers at these points."""
        return self._run(*points)

    def sparsity(self) -> Sparsity:
        """The places of the Jacobian that can be other than zero on a path recorded so far."""
        found = [tape.jacobian_sparsity() for tape in self.tapes]
        places = {place for one in found for place in zip(one.rows, one.columns, strict=True)}
        rows, columns = zip(*sorted(places), strict=True) if places else ((), ())
        return Sparsity(rows, columns, found[0].shape)


def compiled(program: TupleProgram, data: ModelData, starts: Sequence[object]) -> VectorFunction:
    """Compiles a program that is called once, and records it at these starts."""
    function = jit(program)
    flat = function.flat(*starts, *data.args, **data.kwargs)
    _, leaves = flatten(data_of(data.args, data.kwargs), Role.DATA, key_path)
    constants = vector(cast("list[float]", leaves))

    def run(*points: FloatArray) -> FloatArray:
        inputs: FloatArray
        if not TYPE_CHECKING:
            inputs = np.concatenate((*points, constants))
        return flat(inputs)

    return VectorFunction(lambda: function.tapes, run)


def compiled_for_rows(
    program: TupleProgram, data: ModelData, unflatten: Callable[[FloatArray], object], points: int
) -> VectorFunction:
    """Compiles a program of one row and so many points, to be called for all rows."""
    axes = (None,) * points + data.axes
    batched = (
        vmap(program, in_axes=axes)
        if data.reduce is None
        else vmap(program, in_axes=axes, reduce=data.reduce)
    )

    def run(*points: FloatArray) -> FloatArray:
        found = batched(*map(unflatten, points), *data.args, **data.kwargs)
        if not TYPE_CHECKING and isinstance(found, Columns):
            found = np.stack([found.column(path) for path in found.paths], axis=1)
        return vector(cast("tuple[float, ...]", found))

    return VectorFunction(lambda: batched.tapes, run)


def vector(numbers: Vector) -> FloatArray:
    """Gives the numbers as a flat array of float64; needs numpy."""
    array: FloatArray
    if not TYPE_CHECKING:
        array = np.asarray(numbers, dtype=np.float64).reshape(-1)
    return array
