"""Compiled functions of flat vectors, and the data that they are compiled with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.optional_packages import installed, require
from tapegrad._support.source_position import here
from tapegrad.batch.results import Columns
from tapegrad.batch.vmap import vmap
from tapegrad.compile.jit import Compiled, jit
from tapegrad.errors import InputError
from tapegrad.ops.primitive import Operand, Shape, shape_of
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Role, flatten
from tapegrad.sweep.sparse_matrix import Sparsity
from tapegrad.transforms.static_arguments import (
    ArgumentNames,
    StaticArguments,
    static_arguments,
)
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, Vector
    from tapegrad.batch.options import Reduce
    from tapegrad.compile.paths import AnyTape
elif installed("numpy"):  # a checker follows imports, and would read numpy's types
    import numpy as np

__all__ = [
    "InAxes", "ModelData", "TupleProgram", "VectorFunction", "compiled", "compiled_for_rows",
    "compiled_on_arrays", "data_axes", "joined", "model_data", "parted", "vector",
]  # fmt: skip

_MAX_PATHS: Final = 1024
"""The most paths that are recorded."""

TupleProgram: TypeAlias = Callable[..., "tuple[object, ...]"]
"""A function that returns its numbers in a tuple."""

InAxes: TypeAlias = "Sequence[Literal[0] | None]"
"""For the start and each of the data: 0 where an argument has the rows first, None elsewhere."""


@final
@attrs.frozen(eq=False)
class ModelData:
    """The arguments after the first; those by position under ``axes`` 0 have the rows first."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    axes: tuple[Literal[0] | None, ...]
    reduce: Reduce | None
    static_argnames: ArgumentNames


def model_data(  # noqa: PLR0913  # each says one thing about the data
    f: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    axes: tuple[Literal[0] | None, ...],
    reduce: Reduce | None,
    static_argnames: ArgumentNames,
    *,
    check_finite: bool,
) -> ModelData:
    """Copies the arguments of ``f`` after the first, so that no later change outside reaches them.

    Raises:
        BackendError: when numpy is not installed.
        InputError: when a number is nan, an argument with rows is an iterator, or ``vmap`` would
            refuse it.
    """
    require("numpy")
    if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
        from tapegrad.optimize.data_copies import copied

        static = static_arguments(f, static_argnames)
        args, kwargs = copied(f, args, kwargs, axes, static, check_finite=check_finite)
    return ModelData(args, kwargs, axes, reduce, static_argnames)


def data_axes(
    in_axes: InAxes | None, count: int, static: StaticArguments
) -> tuple[Literal[0] | None, ...]:
    """The entries of ``in_axes`` for the data.

    Where it is left out, all of the data have rows but for what is static.
    """
    if in_axes is None:
        return tuple(None if index in static else 0 for index in range(count))
    if in_axes[0] is not None:
        problem = "maps the start, which is the same for all rows: begin with None"
    elif len(in_axes) != 1 + count:
        problem = f"has {len(in_axes)} entries for {1 + count} arguments: give one for each"
    else:
        return tuple(in_axes[1:])
    raise InputError(f"in_axes={in_axes!r} ({here()}) {problem}")


@final
@attrs.frozen(eq=False)
class VectorFunction:
    """A compiled program whose arguments before the data are vectors, and whose result is one.

    Where there are rows that are not summed, the numbers of the first row come first, then those
    of the next. Without rows a program on arrays has no tapes.
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
        patterns = [tape.jacobian_sparsity() for tape in self.tapes]
        places = {place for one in patterns for place in zip(one.rows, one.columns, strict=True)}
        rows, columns = zip(*sorted(places), strict=True) if places else ((), ())
        return Sparsity(rows, columns, patterns[0].shape)


def compiled(
    program: TupleProgram, data: ModelData, starts: Sequence[object], *, records_all: bool
) -> VectorFunction:
    """Compiles a program that is called once, and records it at these starts.

    With ``records_all`` the tapes are those of all paths that calls took.
    """
    static = static_arguments(program, data.static_argnames)
    function = Compiled(program, "auto", _MAX_PATHS, static=static, eager_first=not records_all)
    flat = function.flat(*starts, *data.args, **data.kwargs)
    by_key = data_of((*starts[1:], *data.args), data.kwargs).items()
    inputs = [value for key, value in by_key if key not in static][len(starts) - 1 :]
    _, leaves = flatten(inputs, Role.ARRAYS, key_path)
    constants = joined(leaves)

    def run(*points: FloatArray) -> FloatArray:
        inputs: FloatArray
        if not TYPE_CHECKING:
            inputs = np.concatenate((*points, constants))
        return flat(inputs)

    return VectorFunction(lambda: function.tapes, run)


def compiled_on_arrays(
    program: TupleProgram, data: ModelData, unflatten: Callable[[FloatArray], object]
) -> VectorFunction:
    """Compiles a program that is called once, on arrays, and gives arrays or numbers."""
    function = jit(program, static_argnames=data.static_argnames)

    def run(*points: FloatArray) -> FloatArray:
        found = function(*map(unflatten, points), *data.args, **data.kwargs)
        return joined(cast("tuple[Operand, ...]", found))

    return VectorFunction(tuple, run)


def compiled_for_rows(
    program: TupleProgram,
    data: ModelData,
    unflatten: Callable[[FloatArray], object],
    points: int,
    *,
    records_all: bool,
) -> VectorFunction:
    """Compiles a program of one row and this number of points, to be called for all rows.

    With ``records_all`` the tapes are those of all paths that rows took.
    """
    axes, static = (None,) * points + data.axes, data.static_argnames
    batched = (
        vmap(program, in_axes=axes, static_argnames=static)
        if data.reduce is None
        else vmap(program, in_axes=axes, static_argnames=static, reduce=data.reduce)
    )
    if records_all and not TYPE_CHECKING:  # a checker would read numpy's types
        batched = batched.recording_all()

    def run(*points: FloatArray) -> FloatArray:
        found = batched(*map(unflatten, points), *data.args, **data.kwargs)
        if not TYPE_CHECKING and isinstance(found, Columns):
            found = np.stack([found.column(path) for path in found.paths], axis=1)
        return joined(cast("tuple[Operand, ...]", found))

    return VectorFunction(lambda: batched.tapes, run)


def joined(leaves: Sequence[Operand]) -> FloatArray:
    """Numbers and those of arrays one after the other, as a flat array; needs numpy."""
    array: FloatArray
    if not TYPE_CHECKING:
        if not any(map(shape_of, leaves)):
            return vector(leaves)
        array = np.concatenate([np.ravel(leaf) for leaf in leaves])
    return array


def parted(x: FloatArray, shapes: Sequence[Shape]) -> list[object]:
    """The numbers of a flat array as numbers and arrays of these shapes."""
    if not any(shapes):
        return list(x.tolist())
    found: list[object] = []
    if not TYPE_CHECKING:
        start = 0
        for shape in shapes:
            part = x[start : start + prod(shape)]
            found.append(part.reshape(shape).copy() if shape else float(part[0]))
            start += prod(shape)
    return found


def vector(numbers: Vector) -> FloatArray:
    """The numbers as a flat array of float64; needs numpy."""
    array: FloatArray
    if not TYPE_CHECKING:
        array = np.asarray(numbers, dtype=np.float64).reshape(-1)
    return array
