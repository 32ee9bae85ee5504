"""Programs as functions of flat arrays: vectors of a start's numbers in, what is returned out.

An ``Engine`` of ``tapegrad.engine``, and the one part of objectives that imports numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.calls import gathered
from tapegrad.checks import name_of
from tapegrad.compiling import jit
from tapegrad.coordinates import Sparsity
from tapegrad.engine import Data, Function, Hessian, Jacobian, Program, SparseArray, Unflatten
from tapegrad.errors import InputError
from tapegrad.mapping import vmap
from tapegrad.optional_packages import require
from tapegrad.paths import AnyTape
from tapegrad.positions import here
from tapegrad.results import Columns
from tapegrad.sparse import sparse_jacobian
from tapegrad.structure import (
    Branch,
    Leaf,
    Role,
    build,
    flatten,
    join,
    named,
    opened,
    paths,
    under,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapegrad.arrays import FloatArray, Vector

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["function", "held", "hessian", "jacobian", "vector"]


def vector(numbers: Vector) -> FloatArray:
    """The numbers as a flat array of float64."""
    return cast("FloatArray", np.asarray(numbers, dtype=np.float64).reshape(-1))


def held(f: Callable[..., object], given: Data) -> Data:
    """The arguments with arrays and containers of our own, so that no change outside reaches them.

    Mapped files and arrays of other libraries stay where they are, and are not searched for nan.

    Raises:
        InputError: when a number is nan (the message names its row, or its path), or a mapped
            argument is an iterator.
    """
    args = [
        _rows(named(f, (index,), ()), arg) if axis == 0 else _constant(f, index, arg)
        for index, (arg, axis) in enumerate(zip(given.args, given.axes, strict=True))
    ]
    kwargs = {key: _constant(f, key, value) for key, value in given.kwargs.items()}
    return attrs.evolve(given, args=tuple(args), kwargs=kwargs)


def _rows(name: str, value: object) -> object:
    if isinstance(value, Iterator):
        raise InputError(
            f"{name} is an iterator, which can be read once, and a solver reads the data again and "
            f"again ({here()}): pass an array"
        )
    if type(value) is np.ndarray or _is_numbers(value):
        return _array(name, value)
    parts = opened(value)
    if parts is None:
        return value
    keys, children = parts
    found = [
        _rows(under(name, join([key])), child) for key, child in zip(keys, children, strict=True)
    ]
    return build(Branch(type(value), keys, (Leaf(),) * len(keys)), found)


def _is_numbers(value: object) -> bool:
    """Whether it is a list of numbers, or of lists of them."""
    if not isinstance(value, list | tuple) or type(value) not in {list, tuple} or not value:
        return False
    return isinstance(value[0], int | float) or _is_numbers(value[0])


def _array(name: str, value: object) -> object:
    """A copy that compiled code can read; what is no array of real numbers is left to ``vmap``."""
    try:
        array = np.array(value)
    except ValueError:
        return value
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > _LONGEST:
        return value
    _require_numbers(name, array)
    return np.ascontiguousarray(array, dtype=np.float64)


_LONGEST: Final = 8
"""Bytes of a number; a longer one would lose digits."""


def _constant(f: Callable[..., object], key: int | str, value: object) -> object:
    name = named(f, (key,), ())
    if type(value) is np.ndarray:
        _require_numbers(name, value)
        return value.copy()
    structure, leaves = flatten(value, Role.DATA, lambda keys: named(f, (key,), keys))
    for path, leaf in zip(paths(structure), leaves, strict=True):
        if leaf != leaf:
            raise InputError(
                f"{under(name, path)} is nan ({here()}): leave it out, or put a number there"
            )
    return build(structure, leaves)


def _require_numbers(name: str, array: NDArray[np.generic]) -> None:
    """Refuse an array that holds nan."""
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return
    rows = np.isnan(array).reshape(len(array), -1).any(axis=1)
    count = int(rows.sum()) - 1
    more = f", and {count:,} more do" if count else ""
    raise InputError(
        f"row {int(rows.argmax()):,} of {name} holds nan{more} ({here()}): leave such rows out, or "
        "put numbers there"
    )


def function(
    program: Program, data: Data, unflatten: Unflatten, points: Sequence[FloatArray]
) -> Function:
    """The program compiled, and recorded at these points."""
    if data.has_rows:
        made = _OnRows(program, data, unflatten, len(points))
        made(*points)
        return made
    return _Whole(program, data, [unflatten(point) for point in points])


@final
class _Whole:
    """A program that is called once."""

    def __init__(self, program: Program, data: Data, points: Sequence[object]) -> None:
        self._compiled = jit(program)
        self._flat = self._compiled.flat(*points, *data.args, **data.kwargs)
        _, leaves = flatten(gathered(data.args, data.kwargs), Role.DATA, join)
        self._data = np.array(leaves, dtype=np.float64)

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        return self._compiled.tapes

    def __call__(self, *vectors: FloatArray) -> FloatArray:
        return self._flat(cast("FloatArray", np.concatenate([*vectors, self._data])))


@final
class _OnRows:
    """A program of one row, for all rows."""

    def __init__(self, program: Program, data: Data, unflatten: Unflatten, points: int) -> None:
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

    def __call__(self, *vectors: FloatArray) -> FloatArray:
        points = map(self._unflatten, vectors)
        found = self._batched(*points, *self._data.args, **self._data.kwargs)
        if isinstance(found, Columns):
            return vector(np.stack([found.column(path) for path in found.paths], axis=1))
        return vector(cast("tuple[float, ...]", found))


def hessian(product: Function) -> Hessian:
    """The matrix whose product with a first vector, at a second, is ``product``."""
    return _Hessian(product)


def jacobian(
    model: Callable[..., object], data: Data, unflatten: Unflatten, values: Function
) -> Jacobian:
    """The derivatives of a model whose numbers are ``values``."""
    return _Jacobian(model, data, unflatten, _sparsity(values.tapes))


def _sparsity(tapes: Sequence[AnyTape]) -> Sparsity:
    """The places that can be other than zero on one of these tapes, of one shape."""
    found = [tape.jacobian_sparsity() for tape in tapes]
    places = sorted({place for one in found for place in zip(one.rows, one.columns, strict=True)})
    rows, columns = zip(*places, strict=True) if places else ((), ())
    return Sparsity(rows, columns, found[0].shape)


@final
class _Hessian:
    """A matrix, by its products with vectors."""

    def __init__(self, product: Function) -> None:
        self._product = product
        self._plan = _Plan(0, Sparsity((), (), (0, 0)), np.array([], dtype=np.intp))

    def __call__(self, x: FloatArray) -> FloatArray:
        """The matrix at ``x``; columns that share no row are asked for together.

        The pattern is that of all paths seen. Where ``x`` leads to a new one, all is asked again.
        """
        plan = self._plan
        while True:
            if plan.paths != len(self._product.tapes):
                plan = self._plan = _plan(self._product.tapes)
            products = np.array([self._product(seed, x) for seed in plan.seeds])
            if plan.paths == len(self._product.tapes):
                rows, columns = list(plan.pattern.rows), list(plan.pattern.columns)
                matrix = np.zeros(plan.pattern.shape)
                matrix[rows, columns] = products[plan.colours[columns], rows]
                return cast("FloatArray", matrix)


@final
@attrs.frozen(eq=False)
class _Plan:
    """The pattern of a matrix on so many paths, and its columns' colours."""

    paths: int
    pattern: Sparsity
    colours: NDArray[np.intp]

    @property
    def seeds(self) -> list[FloatArray]:
        """For each colour the sum of its columns' unit vectors; one vector at least."""
        count = max(1, 1 + int(self.colours.max(initial=-1)))
        return [vector(np.equal(self.colours, colour)) for colour in range(count)]


def _plan(tapes: Sequence[AnyTape]) -> _Plan:
    from tapegrad.interpret.colouring import distance_one

    pattern = _sparsity(tapes)
    colours = distance_one(pattern.by_column(), pattern.shape[0])
    return _Plan(len(tapes), pattern, np.array(colours, dtype=np.intp))


Places: TypeAlias = tuple[tuple[int, int], ...]


@final
class _Jacobian:
    """The derivatives of what a model returns, for each row those that can be other than zero."""

    def __init__(
        self,
        model: Callable[..., object],
        data: Data,
        unflatten: Unflatten,
        pattern: Sparsity,
    ) -> None:
        self._model, self._data, self._unflatten = model, data, unflatten
        self._shape = pattern.shape
        self._seen = set(zip(pattern.rows, pattern.columns, strict=True))
        self._entries: tuple[Places, Function] | None = None

    def dense(self, x: FloatArray) -> FloatArray:
        return cast("FloatArray", _dense(*self._lines(x)))

    def sparse(self, x: FloatArray) -> SparseArray:
        return _sparse(*self._lines(x))

    def places(self, x: FloatArray) -> SparseArray:
        pattern, lines = self._lines(x)
        return _sparse(pattern, np.ones_like(lines))

    def _lines(self, x: FloatArray) -> tuple[Sparsity, Floats]:
        """The pattern of one row, and the derivatives: a line for each row.

        Where ``x`` leads to a path with places that are not in the pattern, all is asked again.
        """
        places, entries = self._entries or self._recorded(x)
        found = entries(x)
        while len(places) < len(self._seen):
            places, entries = self._recorded(x)
            found = entries(x)
        rows, columns = zip(*places, strict=True) if places else ((), ())
        lines = np.asarray(found).reshape(-1, max(1, len(places)))[:, : len(places)]
        return Sparsity(rows, columns, self._shape), lines

    def _recorded(self, x: FloatArray) -> tuple[Places, Function]:
        places = tuple(sorted(self._seen))
        entries = function(self._program(places), self._data, self._unflatten, [x])
        self._entries = places, entries
        return places, entries

    def _program(self, places: Places) -> Program:
        """The entries at these places; what else can be other than zero is taken down."""

        def entries(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
            matrix = sparse_jacobian(self._model)(x, *args, **kwargs)
            there = list(zip(matrix.rows, matrix.columns, strict=True))
            self._seen.update(there)
            found = dict(zip(there, matrix.values, strict=True))
            return tuple(found.get(place, 0.0) for place in places) or (0.0,)

        entries.__qualname__ = name_of(self._model)
        return entries


def _dense(pattern: Sparsity, lines: Floats) -> Floats:
    """A matrix whose rows, so many at a time, have that pattern and those entries."""
    height, width = pattern.shape
    matrix = np.zeros((len(lines), height, width))
    matrix[:, list(pattern.rows), list(pattern.columns)] = lines
    return matrix.reshape(-1, width)


def _sparse(pattern: Sparsity, lines: Floats) -> SparseArray:
    """The same as SciPy's ``csr_array``."""
    require("scipy")
    from scipy.sparse import csr_array

    height, width = pattern.shape
    counts = np.bincount(np.array(pattern.rows, dtype=np.intp), minlength=height)
    ends = np.concatenate([[0], np.tile(counts, len(lines)).cumsum()])
    columns = np.tile(np.array(pattern.columns, dtype=np.intp), len(lines))
    shape = height * len(lines), width
    return cast(SparseArray, csr_array((lines.ravel(), columns, ends), shape))
