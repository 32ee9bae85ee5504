"""Models as SciPy takes them: functions of one flat vector, with derivatives, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import inf
from traceback import walk_tb
from typing import (
    TYPE_CHECKING,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    final,
    overload,
)

from tapegrad.checks import name_of
from tapegrad.engine import Data, Function, Hessian, Jacobian, Program, Reduce, SparseArray, engine
from tapegrad.errors import InputError, OutputError, TapegradError
from tapegrad.linear import hvp
from tapegrad.names import nearest
from tapegrad.positions import here
from tapegrad.recording import Var
from tapegrad.structure import Role, build, describe, flatten, in_order, join, misfit, named, paths
from tapegrad.transforms import value_and_grad

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray, Vector

__all__ = [
    "Limits",
    "Objective",
    "Residuals",
    "SparseArray",
    "Unknowns",
    "objective",
    "residuals",
]

A = TypeVar("A")
P = ParamSpec("P")

Axes: TypeAlias = "Sequence[Literal[0] | None]"

Limits: TypeAlias = Mapping[str, tuple[float | None, float | None]]
"""The lowest and the highest value by path; None for no limit.

A path that leads to a container stands for all numbers in it, but for those with limits of their
own.
"""


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
    reduce: Reduce, in_axes: Axes | None = ..., **named: object,
) -> Objective[A]: ...  # fmt: skip
def objective(  # type: ignore[misc]  # a parameter of the loss that is called reduce goes by position
    loss: Callable[Concatenate[A, ...], float | Var],
    start: A,
    /,
    *data: object,
    reduce: Reduce | None = None,
    in_axes: Axes | None = None,
    **named: object,
) -> Objective[A]:
    """``loss(unknowns, *data)`` as ``scipy.optimize.minimize`` takes it.

    The numbers of ``start`` are the unknowns. The loss is recorded there and compiled; data are
    copied. With ``reduce`` the loss is one row's: arrays in ``data`` have the rows first, and the
    rows' losses are summed or averaged; ``in_axes`` is as in ``vmap``, and maps all of the data
    where it is left out.

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
    if reduce not in {None, "mean", "sum"}:
        raise InputError(f'reduce={reduce!r} ({here()}) is unknown: use "mean" or "sum"')
    if reduce is None and in_axes is not None:
        raise InputError(
            f"in_axes={in_axes!r} ({here()}) maps rows, and an objective is one number: say how "
            'theirs become one, reduce="mean" or reduce="sum"'
        )
    axes = (None,) * len(data) if reduce is None else _axes(in_axes, len(data))
    if reduce is not None and 0 not in axes:
        raise InputError(
            f"reduce={reduce!r} ({here()}) and no data are mapped: pass arrays with the rows first"
        )
    return Objective(loss, start, _held(loss, data, named, axes, reduce))


def residuals(
    model: Callable[Concatenate[A, ...], object],
    start: A,
    /,
    *data: object,
    in_axes: Axes | None = None,
    **named: object,
) -> Residuals[A]:
    """``model(unknowns, *row)`` as ``scipy.optimize.least_squares`` takes it.

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
    return Residuals(model, start, _held(model, data, named, _axes(in_axes, len(data)), None))


def _held(
    f: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    axes: tuple[Literal[0] | None, ...],
    reduce: Reduce | None,
) -> Data:
    return engine().held(f, Data(args, kwargs, axes, reduce))


def _axes(in_axes: Axes | None, count: int) -> tuple[Literal[0] | None, ...]:
    """Which of the data are mapped."""
    if in_axes is None:
        return cast("tuple[Literal[0], ...]", (0,) * count)
    if in_axes[0] is not None:
        problem = "maps the start, which is the same for all rows: begin with None"
    elif len(in_axes) != 1 + count:
        problem = f"has {len(in_axes)} entries for {1 + count} arguments: give one for each"
    else:
        return tuple(in_axes[1:])
    raise InputError(f"in_axes={in_axes!r} ({here()}) {problem}")


class Unknowns(Generic[A]):
    """The numbers of a start as one flat vector, and back."""

    names: tuple[str, ...]
    """Their paths, in order."""

    def __init__(self, f: Callable[..., object], start: A) -> None:
        self._f = f
        self._structure, leaves = flatten(start, Role.PARAMETERS, lambda keys: named(f, (), keys))
        self.names = tuple(path or named(f, (), ()) for path in paths(self._structure))
        if not leaves:
            raise InputError(f"the start holds no number ({here()}): put one there to be found")
        for name, leaf in zip(self.names, leaves, strict=True):
            if leaf != leaf:
                raise InputError(f"the start is nan at {name} ({here()}): put a number there")
        self._engine = engine()
        self._x0 = self._engine.vector(cast("list[float]", leaves))

    @property
    def x0(self) -> FloatArray:
        """The start."""
        return self._x0.copy()

    def flatten(self, value: A) -> FloatArray:
        """The vector of a value that has the structure of the start.

        Raises:
            InputError: when it has another; the message names the first path that differs.
        """
        value = cast(A, in_order(self._structure, value))
        found, leaves = flatten(value, Role.PARAMETERS, join)
        if (path := misfit(self._structure, found)) is not None:
            raise InputError(
                f"{join(path) or 'the value'} is not built as in the start ({here()}): give "
                f"a number for each of {_listed(self.names)}"
            )
        return self._engine.vector(cast("list[float]", leaves))

    def unflatten(self, x: Vector, /) -> A:
        """The value that a vector stands for, in the class of the start.

        Raises:
            InputError: when the vector has another length.
        """
        return self._built(self._vector(x))

    def _built(self, x: FloatArray) -> A:
        return cast(A, build(self._structure, x.tolist()))

    def _vector(self, x: Vector) -> FloatArray:
        vector = self._engine.vector(x)
        if len(vector) == len(self.names):
            return vector
        raise InputError(
            f"a vector of {len(vector):,} numbers was given ({here()}) for {len(self.names):,} "
            f"unknowns: pass one number for each of {_listed(self.names)}"
        )

    def _function(self, program: Program, data: Data, points: int) -> Function:
        """The program compiled; the first time at the start."""
        program.__qualname__ = name_of(self._f)
        try:
            return self._engine.function(program, data, self._built, [self._x0] * points)
        except TapegradError:
            raise
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            if not _of_structure(error):
                raise
            raise InputError(
                f"{name_of(self._f)} raised {type(error).__name__}: {error} for a start that holds "
                f"{_listed(self.names)} ({here()}): give the start the structure that is used there"
            ) from error

    def _limits(self, limits: Limits) -> list[tuple[float, float]]:
        """The limits of each number."""
        found = dict.fromkeys(self.names, (-inf, inf))
        for path in sorted(limits, key=len):
            low, high = limits[path]
            pair = -inf if low is None else low, inf if high is None else high
            _require_ordered(path, *pair)
            names = [name for name in self.names if _within(name, path)]
            if not names:
                known = dict.fromkeys(self.names)
                raise InputError(
                    f"there is no {path!r} to give bounds ({here()}): {nearest(path, known)}"
                )
            found.update(dict.fromkeys(names, pair))
        return list(found.values())


def _listed(names: Sequence[str]) -> str:
    """The names, the first few where there are many."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


_SHOWN = 6


def _of_structure(error: Exception) -> bool:
    """Whether the program says that a value has another structure than it uses."""
    last = list(walk_tb(error.__traceback__))[-1][0]
    if str(last.f_globals.get("__name__")).startswith("tapegrad."):
        return False
    words = ("unpack", "subscriptable", "indices must be")
    return isinstance(error, LookupError | AttributeError) or any(x in str(error) for x in words)


def _within(name: str, path: str) -> bool:
    """Whether a number's path is that path, or one inside it."""
    return name == path or name.startswith((f"{path}.", f"{path}["))


def _require_ordered(path: str, low: float, high: float) -> None:
    if not low <= high:
        raise InputError(
            f"the bounds of {path} are ({low!r}, {high!r}) ({here()}): give the lower one first"
        )


@final
class Objective(Unknowns[A]):
    """A loss as ``scipy.optimize.minimize`` takes it: a function of one flat vector.

    Value and gradient come from one run of compiled code, and those of the latest point are kept,
    as SciPy asks for the two apart. The methods may be called from several threads. It may be
    pickled where the loss can be, and is recorded again where it arrives.
    """

    def __init__(self, loss: Callable[..., float | Var], start: A, data: Data) -> None:
        super().__init__(loss, start)
        self._loss, self._data = loss, data
        self._both = self._function(_value_and_gradient(loss), data, 1)
        self._latest: tuple[bytes, FloatArray] = (b"", self._x0)

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

    def hess(self, x: Vector, /) -> FloatArray:
        """The Hessian: as many products as its pattern has colours."""
        return self._hessian(self._vector(x))

    def bounds(self, limits: Limits, /) -> list[tuple[float, float]]:
        """What ``minimize`` takes as ``bounds``: a pair for each number, infinite where not given.

        Raises:
            InputError: when there is no such path, or a lower limit above the higher one.
        """
        return self._limits(limits)

    def _at(self, x: Vector) -> FloatArray:
        """The value and the gradient."""
        vector = self._vector(x)
        point, found = self._latest
        if point != vector.tobytes():
            found = self._both(vector)
            self._latest = vector.tobytes(), found
        return found

    @cached_property
    def _product(self) -> Function:
        return self._function(_hessian_product(self._loss), self._data, 2)

    @cached_property
    def _hessian(self) -> Hessian:
        return self._engine.hessian(self._product)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Objective, (self._loss, self._built(self._x0), self._data)


def _value_and_gradient(loss: Callable[..., float | Var]) -> Program:
    def program(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        value, gradient = value_and_grad(loss)(x, *args, **kwargs)
        return value, *_numbers(gradient)

    return program


def _hessian_product(loss: Callable[..., float | Var]) -> Program:
    """The direction comes first: the pattern of a product's Jacobian in it is the Hessian's."""

    def program(v: object, x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        return _numbers(hvp(loss, x, v, *args, **kwargs))

    return program


def _numbers(value: object) -> tuple[object, ...]:
    return tuple(flatten(value, Role.RESULT, join)[1])


@final
class Residuals(Unknowns[A]):
    """A model as ``scipy.optimize.least_squares`` takes it: a function of one flat vector.

    The residuals are those of the first row, then those of the next. The methods may be called
    from several threads. It may be pickled where the model can be, and is recorded again where it
    arrives.
    """

    def __init__(self, model: Callable[..., object], start: A, data: Data) -> None:
        super().__init__(model, start)
        self._model, self._data = model, data
        self._values = self._function(_residuals(model), data, 1)

    def fun(self, x: Vector, /) -> FloatArray:
        """The residuals.

        Raises:
            InputError: when the vector has another length than the start, as do all methods.
        """
        return self._values(self._vector(x))

    def jac(self, x: Vector, /) -> FloatArray:
        """Their derivatives: a row for each residual, a column for each unknown."""
        return self._jacobian.dense(self._vector(x))

    def jac_sparse(self, x: Vector, /) -> SparseArray:
        """The same as a sparse array of SciPy's, with what the model can reach on its paths.

        A path that is met later may bring more entries.
        """
        return self._jacobian.sparse(self._vector(x))

    @property
    def jac_sparsity(self) -> SparseArray:
        """Ones where a derivative can be other than zero on the paths met so far."""
        return self._jacobian.places(self._x0)

    def bounds(self, limits: Limits, /) -> tuple[FloatArray, FloatArray]:
        """What ``least_squares`` takes as ``bounds``: all lower limits, and all higher ones.

        Raises:
            InputError: when there is no such path, or a lower limit above the higher one.
        """
        pairs, vector = self._limits(limits), self._engine.vector
        return vector([low for low, _ in pairs]), vector([high for _, high in pairs])

    @cached_property
    def _jacobian(self) -> Jacobian:
        return self._engine.jacobian(self._model, self._data, self._built, self._values)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Residuals, (self._model, self._built(self._x0), self._data)


def _residuals(model: Callable[..., object]) -> Program:
    def program(x: object, *args: object, **kwargs: object) -> tuple[object, ...]:
        found = _numbers(returned := model(x, *args, **kwargs))
        if found:
            return found
        raise OutputError(
            f"{name_of(model)} ({here()}) returned {describe(returned)}, and residuals are "
            "numbers: return one, or a container of them"
        )

    return program
