"""``residuals``: a model as a function of one flat vector, with its derivatives, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    final,
    overload,
)

from tapegrad._support.argument_checks import name_of, require_callable
from tapegrad._support.cached import cached
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import OutputError
from tapegrad.optimize.unknowns import Limits, Unknowns, numbers_of
from tapegrad.optimize.vector_function import (
    InAxes,
    ModelData,
    TupleProgram,
    VectorFunction,
    data_axes,
    model_data,
    vector,
)
from tapegrad.pytree.structure import leaf_shapes
from tapegrad.sweep.sparse_matrix import Sparsity
from tapegrad.transforms.jacobian import jacobian
from tapegrad.transforms.sparse import sparse_jacobian
from tapegrad.transforms.static_arguments import ArgumentNames, static_arguments

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, FloatMatrix, SparseArray, Vector

__all__ = ["Residuals", "residuals"]

A = TypeVar("A")
P = ParamSpec("P")

_Places: TypeAlias = tuple[tuple[int, int], ...]
"""Rows and columns of entries."""


# One overload for each number of columns: what follows them goes by name, as the model takes it.
@overload
def residuals(
    model: Callable[Concatenate[A, P], object], start: A, /, *args: P.args, **named: P.kwargs
) -> Residuals[A]: ...
@overload
def residuals(
    model: Callable[Concatenate[A, Any, P], object], start: A, xs: object, /,
    *args: P.args, **named: P.kwargs,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, Any, Any, P], object], start: A, xs: object, ys: object, /,
    *args: P.args, **named: P.kwargs,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, Any, Any, Any, P], object], start: A, xs: object, ys: object,
    zs: object, /, *args: P.args, **named: P.kwargs,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, Any, Any, Any, Any, ...], object], start: A, ws: object,
    xs: object, ys: object, zs: object, /, *data: object, **named: object,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, ...], object], start: A, /, *data: object,
    in_axes: InAxes | None, static_argnames: ArgumentNames = ..., check_finite: bool = ...,
    **named: object,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, ...], object], start: A, /, *data: object,
    static_argnames: ArgumentNames, check_finite: bool = ..., **named: object,
) -> Residuals[A]: ...  # fmt: skip
@overload
def residuals(
    model: Callable[Concatenate[A, ...], object], start: A, /, *data: object,
    check_finite: bool, **named: object,
) -> Residuals[A]: ...  # fmt: skip
def residuals(  # type: ignore[misc]  # a parameter of the model that is called in_axes goes by position
    model: Callable[Concatenate[A, ...], object],
    start: A,
    /,
    *data: object,
    in_axes: InAxes | None = None,
    static_argnames: ArgumentNames = (),
    check_finite: bool = True,
    **named: object,
) -> Residuals[A]:
    """Turns ``model(unknowns, *row)`` into what ``scipy.optimize.least_squares`` takes.

    The model gives one row's residuals, a number or a container of them, and runs over all rows:
    arrays in ``data`` have the rows first; ``in_axes`` is as in ``vmap``, and maps all of the data
    where it is left out, but for what ``static_argnames`` names: that the model gets as it is.
    ``check_finite=False`` lets data be nan, for a model that knows what to do with missing numbers.
    Without data the model gives all residuals. It is recorded at the start and compiled; data are
    copied.

    Raises:
        BackendError: when numpy is not installed.
        InputError: when a number in the start or the data is nan, or the start has not the
            structure that the model uses.
        OutputError: when the model returns no number.

    >>> from tapegrad import Real, math
    >>> def decay(p: dict[str, Real], t: float, y: float) -> Real:
    ...     return p["height"] * math.exp(-p["rate"] * t) - y
    >>> r = residuals(decay, {"height": 2.0, "rate": 0.0}, [0.0, 1.0, 2.0], [2.0, 1.0, 0.5])
    >>> r.fun(r.x0).tolist(), r.jac(r.x0).tolist()
    ([0.0, 1.0, 1.5], [[1.0, -0.0], [1.0, -2.0], [1.0, -4.0]])
    >>> from scipy.optimize import least_squares
    >>> solved = least_squares(r.fun, r.x0, jac=r.jac)
    >>> r.unflatten(solved.x.round(6))
    {'height': 2.0, 'rate': 0.693147}
    """
    require_callable(model, "residuals")
    axes = data_axes(in_axes, len(data), static_arguments(model, static_argnames))
    given = model_data(model, data, named, axes, None, static_argnames, check_finite=check_finite)
    return Residuals(model, start, given)


@final
class Residuals(Unknowns[A]):
    """A model as ``scipy.optimize.least_squares`` takes it, a function of one flat vector.

    The residuals are those of the first row, then those of the next. The methods may be called
    from several threads. It may be pickled where the model can be, and is recorded again where it
    arrives.
    """

    def __init__(self, model: Callable[..., object], start: A, data: ModelData) -> None:
        super().__init__(model, start, data)
        self._values = self._compiled(_residuals(model), 1)

    def fun(self, x: Vector, /) -> FloatArray:
        """The residuals.

        Raises:
            InputError: when the vector has another length than the start, as do all methods.
        """
        return self._values(self._vector(x))

    def jac(self, x: Vector, /) -> FloatMatrix:
        """Their derivatives: a row for each residual, a column for each unknown."""
        return self._jacobian.dense(self._vector(x))

    def jac_sparse(self, x: Vector, /) -> SparseArray:
        """The same as a sparse array of SciPy's, with the entries that the recorded paths reach.

        A path that is recorded later may add entries.
        """
        return self._jacobian.sparse(self._vector(x))

    @property
    def jac_sparsity(self) -> SparseArray:
        """Ones where a derivative can be other than zero on the paths recorded so far."""
        return self._jacobian.sparse(self._x0, ones=True)

    def _called(self, transform: Callable[..., Any], x: FloatArray) -> object:
        """A transform of the model at a point."""
        data = self._data
        found: object = transform(self._f)(self._built(x), *data.args, **data.kwargs)
        return found

    def bounds(self, limits: Limits, /) -> tuple[FloatArray, FloatArray]:
        """The ``bounds`` of ``least_squares``: all lower limits, and all higher ones.

        Raises:
            InputError: when there is no such path, or a lower limit above the higher one.
        """
        pairs = self._bounds(limits)
        return vector([low for low, _ in pairs]), vector([high for _, high in pairs])

    @cached
    def _jacobian(self) -> _Jacobian | _ArrayJacobian:
        if self._is_of_arrays:
            return _ArrayJacobian(self._called, [*map(prod, leaf_shapes(self._structure))])
        return _Jacobian(
            self._f, self._values.sparsity(), lambda entries: self._compiled(entries, 1)
        )


def _residuals(model: Callable[..., object]) -> TupleProgram:
    def program(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        found = numbers_of(returned := model(x, *args, **kwargs))
        if found:
            return found
        raise OutputError(
            f"{name_of(model)} ({here()}) returned {describe(returned)}, and residuals are "
            "numbers: return one, or a container of them"
        )

    return program


@final
class _ArrayJacobian:
    """The derivatives of a model on arrays: its blocks, or the places of its pattern."""

    def __init__(
        self, call: Callable[[Callable[..., object], FloatArray], object], sizes: Sequence[int]
    ) -> None:
        self._call, self._sizes = call, sizes

    def dense(self, x: FloatArray) -> FloatMatrix:
        """The matrix with all entries."""
        blocks, matrix = self._call(jacobian, x), cast("FloatMatrix", None)
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.optimize.derivative_matrices import side_by_side

            matrix = side_by_side(blocks, self._sizes)
        return matrix

    def sparse(self, x: FloatArray, *, ones: bool = False) -> SparseArray:
        """The matrix of the entries that can be other than zero, or of ones in their places."""
        found, matrix = self._call(sparse_jacobian, x), cast("SparseArray", None)
        if not TYPE_CHECKING:
            from tapegrad.optimize.derivative_matrices import in_places

            matrix = in_places(found, ones=ones)
        return matrix


@final
class _Jacobian:
    """The derivatives of a model's numbers: those of the first row, then those of the next.

    For each row the entries are computed that can be other than zero on the paths recorded so far.
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
        self._entries = self._compiled_entries()

    def dense(self, x: FloatArray) -> FloatMatrix:
        """The matrix with all entries."""
        pattern, entries = self._at(x)
        matrix: FloatMatrix
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.optimize.derivative_matrices import dense

            matrix = dense(pattern, entries)
        return matrix

    def sparse(self, x: FloatArray, *, ones: bool = False) -> SparseArray:
        """The matrix of the entries that can be other than zero, or of ones in their places."""
        pattern, entries = self._at(x)
        matrix: SparseArray
        if not TYPE_CHECKING:
            from tapegrad.optimize.derivative_matrices import sparse

            matrix = sparse(pattern, vector([1.0] * len(entries)) if ones else entries)
        return matrix

    def _at(self, x: FloatArray) -> tuple[Sparsity, FloatArray]:
        """The pattern of one row, and the entries of all rows; 0.0 for each where it is empty.

        Where ``x`` leads to a path with places that are not in the pattern, the entries are
        compiled and computed again.
        """
        places, entries = self._entries
        found = entries(x)
        while len(places) < len(self._seen):
            places, entries = self._entries = self._compiled_entries()
            found = entries(x)
        rows, columns = zip(*places, strict=True) if places else ((), ())
        return Sparsity(rows, columns, self._shape), found

    def _compiled_entries(self) -> tuple[_Places, VectorFunction]:
        """The places seen so far and the entries there, compiled; recording adds those it sees."""
        places, model = tuple(sorted(self._seen)), self._model

        def entries(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
            matrix = sparse_jacobian(model)(x, *args, **kwargs)
            reached = list(zip(matrix.rows, matrix.columns, strict=True))
            self._seen.update(reached)
            values = dict(zip(reached, matrix.values, strict=True))
            return tuple(values.get(place, 0.0) for place in places) or (0.0,)

        return places, self._compiled(entries)
