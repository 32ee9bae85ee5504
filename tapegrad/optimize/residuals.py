"""``residuals``: a model as a function of one flat vector, with its derivatives, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Concatenate, TypeVar, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import OutputError
from tapegrad.optimize.model_data import InAxes, ModelData, data_axes
from tapegrad.optimize.unknowns import Limits, Unknowns, copied_data, numbers_of
from tapegrad.optimize.vector_function import TupleProgram, vector
from tapegrad.optimize.vector_jacobian import VectorJacobian

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, SparseArray, Vector

__all__ = ["Residuals", "residuals"]

A = TypeVar("A")


def residuals(
    model: Callable[Concatenate[A, ...], object],
    start: A,
    /,
    *data: object,
    in_axes: InAxes | None = None,
    **named: object,
) -> Residuals[A]:
    """Turns ``model(unknowns, *row)`` into what ``scipy.optimize.least_squares`` takes.

    The model gives one row's residuals, a number or a container of them, and runs over all rows:
    arrays in ``data`` have the rows first; ``in_axes`` is as in ``vmap``, and maps all of the data
    where it is left out. Without data the model gives all residuals. It is recorded at the start
    and compiled; data are copied.

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
    given = ModelData(data, named, data_axes(in_axes, len(data)), None)
    return Residuals(model, start, copied_data(model, given))


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
        """Computes the residuals.

        Raises:
            InputError: when the vector has another length than the start, as do all methods.
        """
        return self._values(self._vector(x))

    def jac(self, x: Vector, /) -> FloatArray:
        """Computes their derivatives: a row for each residual, a column for each unknown."""
        return self._jacobian.dense(self._vector(x))

    def jac_sparse(self, x: Vector, /) -> SparseArray:
        """Computes the same as a sparse array of SciPy's, with the entries that the paths reach.

        A path that is met later may bring more entries.
        """
        return self._jacobian.sparse(self._vector(x))

    @property
    def jac_sparsity(self) -> SparseArray:
        """Ones where a derivative can be other than zero on the paths met so far."""
        return self._jacobian.sparse(self._x0, ones=True)

    def bounds(self, limits: Limits, /) -> tuple[FloatArray, FloatArray]:
        """Gives the ``bounds`` of ``least_squares``: all lower limits, and all higher ones.

        Raises:
            InputError: when there is no such path, or a lower limit above the higher one.
        """
        pairs = self._bounds(limits)
        return vector([low for low, _ in pairs]), vector([high for _, high in pairs])

    @cached_property
    def _jacobian(self) -> VectorJacobian:
        return VectorJacobian(
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
