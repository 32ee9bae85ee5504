"""``objective``: a loss as a function of one flat vector, with its derivatives, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar, final, overload

from tapegrad._support.argument_checks import require_callable
from tapegrad._support.cached import cached
from tapegrad._support.source_position import here
from tapegrad.compile.outside import Outside
from tapegrad.errors import InputError
from tapegrad.optimize.unknowns import Limits, Unknowns, numbers_of
from tapegrad.optimize.vector_function import InAxes, ModelData, data_axes, model_data
from tapegrad.recording.recorder import Var
from tapegrad.transforms.grad import value_and_grad
from tapegrad.transforms.products import hvp
from tapegrad.transforms.static_arguments import (
    ArgumentNames,
    StaticArguments,
    static_arguments,
)

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, FloatMatrix, Vector
    from tapegrad.batch.options import Reduce
    from tapegrad.optimize.vector_function import TupleProgram, VectorFunction

__all__ = ["Objective", "objective"]

A = TypeVar("A")
P = ParamSpec("P")


@overload
def objective(
    loss: Callable[Concatenate[A, P], float], start: A, /, *data: P.args, **named: P.kwargs
) -> Objective[A]: ...
@overload
def objective(
    loss: Callable[Concatenate[A, P], float | Var], start: A, /, *data: P.args, **named: P.kwargs
) -> Objective[A]: ...
@overload
def objective(
    loss: Callable[Concatenate[A, ...], float | Var], start: A, /, *data: object,
    reduce: Reduce, in_axes: InAxes | None = ..., static_argnames: ArgumentNames = ...,
    check_finite: bool = ..., **named: object,
) -> Objective[A]: ...  # fmt: skip
@overload
def objective(
    loss: Callable[Concatenate[A, ...], float | Var], start: A, /, *data: object,
    reduce: None, static_argnames: ArgumentNames = ..., check_finite: bool = ..., **named: object,
) -> Objective[A]: ...  # fmt: skip
@overload
def objective(
    loss: Callable[Concatenate[A, ...], float | Var], start: A, /, *data: object,
    static_argnames: ArgumentNames, check_finite: bool = ..., **named: object,
) -> Objective[A]: ...  # fmt: skip
@overload
def objective(
    loss: Callable[Concatenate[A, ...], float | Var], start: A, /, *data: object,
    check_finite: bool, **named: object,
) -> Objective[A]: ...  # fmt: skip
def objective(  # type: ignore[misc]  # a parameter of the loss that is called reduce goes by position
    loss: Callable[Concatenate[A, ...], float | Var],
    start: A,
    /,
    *data: object,
    reduce: Reduce | None = None,
    in_axes: InAxes | None = None,
    static_argnames: ArgumentNames = (),
    check_finite: bool = True,
    **named: object,
) -> Objective[A]:
    """Turns ``loss(unknowns, *data)`` into what ``scipy.optimize.minimize`` takes.

    The numbers of ``start`` are the unknowns. The loss is recorded there and compiled; data are
    copied. With ``reduce`` the loss is one row's: arrays in ``data`` have the rows first, and the
    rows' losses are summed or averaged; ``in_axes`` is as in ``vmap``, and maps all of the data
    where it is left out, but for what ``static_argnames`` names: that the loss gets as it is.
    ``check_finite=False`` lets data be nan, for a loss that knows what to do with missing numbers.

    Raises:
        BackendError: when numpy is not installed.
        InputError: when a number in the start or the data is nan, or the start has not the
            structure that the loss uses.
        OutputError: when the loss returns anything but one number.

    >>> from tapegrad import Real
    >>> def loss(p: dict[str, Real], goal: float) -> Real:
    ...     return (p["a"] - goal) ** 2 + p["a"] * p["b"] + p["b"] ** 2
    >>> o = objective(loss, {"a": 1.0, "b": 2.0}, 3.0)
    >>> o.names, o.fun(o.x0), o.jac(o.x0).tolist(), o.unflatten(o.x0)
    (('a', 'b'), 10.0, [-2.0, 5.0], {'a': 1.0, 'b': 2.0})
    >>> from scipy.optimize import minimize
    >>> solved = minimize(o.fun, o.x0, jac=o.jac, bounds=o.bounds({"b": (0.0, None)}))
    >>> o.unflatten(solved.x.round(6))
    {'a': 3.0, 'b': 0.0}
    """
    require_callable(loss, "objective")
    static = static_arguments(loss, static_argnames)
    axes = _axes(reduce, in_axes, len(data), static)
    given = model_data(loss, data, named, axes, reduce, static_argnames, check_finite=check_finite)
    return Objective(loss, start, given)


def _axes(
    reduce: Reduce | None, in_axes: InAxes | None, count: int, static: StaticArguments
) -> tuple[Literal[0] | None, ...]:
    """Which of the data have rows; raises where the two options do not fit each other."""
    if reduce not in {None, "mean", "sum"}:
        raise InputError(f'reduce={reduce!r} ({here()}) is unknown: use "mean" or "sum"')
    if reduce is None and in_axes is not None:
        raise InputError(
            f"in_axes={in_axes!r} ({here()}) maps rows, and an objective is one number: say how "
            'theirs become one, reduce="mean" or reduce="sum"'
        )
    axes = (None,) * count if reduce is None else data_axes(in_axes, count, static)
    if reduce is not None and 0 not in axes:
        raise InputError(
            f"reduce={reduce!r} ({here()}) and no data are mapped: pass arrays with the rows first"
        )
    return axes


@final
class Objective(Unknowns[A]):
    """A loss as ``scipy.optimize.minimize`` takes it, a function of one flat vector.

    Value and gradient come from one run of compiled code, and those of the latest point are kept,
    as SciPy asks for the two apart. The methods may be called from several threads. It may be
    pickled where the loss can be, and is recorded again where it arrives.
    """

    def __init__(self, loss: Callable[..., float | Var], start: A, data: ModelData) -> None:
        super().__init__(loss, start, data)
        self._loss, self._outside = loss, Outside(loss)
        self._value_and_gradient = self._compiled(_value_and_gradient(loss), 1)
        self._latest: tuple[tuple[int, bytes], FloatArray] = ((-1, b""), self._x0)

    def fun(self, x: Vector, /) -> float:
        """The value.

        Raises:
            InputError: when the vector has another length than the start, as do all methods.
        """
        return float(self._at(x)[0])

    def jac(self, x: Vector, /) -> FloatArray:
        """The gradient."""
        return self._at(x)[1:].copy()

    def fun_and_jac(self, x: Vector, /) -> tuple[float, FloatArray]:
        """The value and the gradient, for ``jac=True``."""
        found = self._at(x)
        return float(found[0]), found[1:].copy()

    def hessp(self, x: Vector, v: Vector, /) -> FloatArray:
        """The Hessian times a vector, without the Hessian."""
        return self._product(self._vector(v), self._vector(x))

    def hess(self, x: Vector, /) -> FloatMatrix:
        """The Hessian, from as many products as its pattern has colours."""
        return self._hessian(self._vector(x))

    def bounds(self, limits: Limits, /) -> list[tuple[float, float]]:
        """The ``bounds`` of ``minimize``: a pair for each number, infinite where not given.

        Raises:
            InputError: when there is no such path, or a lower limit above the higher one.
        """
        return self._bounds(limits)

    def _at(self, x: Vector) -> FloatArray:
        """The value and the gradient, in one vector."""
        vector = self._vector(x)
        latest, found = self._latest
        point = self._outside.state().number, vector.tobytes()
        if latest != point:
            found = self._value_and_gradient(vector)
            self._latest = point, found
        return found

    @cached
    def _product(self) -> VectorFunction:
        return self._compiled(_hessian_product(self._loss), 2)

    @cached
    def _hessian(self) -> Callable[[FloatArray], FloatMatrix]:
        hessian: Callable[[FloatArray], FloatMatrix]
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from tapegrad.optimize.derivative_matrices import VectorHessian

            hessian = VectorHessian(self._product)
        return hessian


def _value_and_gradient(loss: Callable[..., float | Var]) -> TupleProgram:
    def program(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        value, gradient = value_and_grad(loss)(x, *args, **kwargs)
        return value, *numbers_of(gradient)

    return program


def _hessian_product(loss: Callable[..., float | Var]) -> TupleProgram:
    """The direction comes first: the pattern of a product's Jacobian in it is the Hessian's."""

    def program(v: object, x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        return numbers_of(hvp(loss, x, v, *args, **kwargs))

    return program
