"""Traced arrays: what stands for an array of numpy's inside a recorded function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from threading import get_ident
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    NoReturn,
    SupportsIndex,
    TypeAlias,
    cast,
    final,
    overload,
)

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Primitive, Shape, TracedArray, primal, shape_of
from tapegrad.recording import array_values
from tapegrad.recording.recorder import (
    Condition,
    TracedValue,
    Var,
    innermost,
    promote,
)

__all__ = [
    "ArrayCondition", "ArrayVar", "Axes", "Floats", "Numbers", "applied_to_arrays", "asked",
    "axes_of", "combined", "require_shapes",
]  # fmt: skip

Floats: TypeAlias = NDArray[np.float64]


@final
class ArrayVar(TracedValue, TracedArray):
    """A traced array: it stands for an array of float64 inside a recorded function.

    It is used as numpy's arrays are: operators, indices, methods, numpy's own functions and those
    of ``tapegrad.numpy``. A part or a sum that is one number is a ``Var``. It cannot be written to.
    """

    __slots__ = ()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # == goes element by element

    _value: Any

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Var:
        return innermost(operands).apply(row, operands)

    def _primal(self) -> Any:
        return primal(self._value)

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return cast(Shape, self._value.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._value.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self._value.shape)

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """The type of the elements, float64."""
        return np.dtype(np.float64)

    @property
    def T(self) -> ArrayVar:  # noqa: N802  # numpy's name
        """The axes in the opposite order."""
        return self.transpose()

    @property
    def mT(self) -> ArrayVar:  # noqa: N802  # the name of the array API standard
        """Each matrix transposed: the last two axes change places."""
        return cast(ArrayVar, rows.swapped(self))

    @property
    def flat(self) -> Iterator[Var]:
        """The numbers one by one."""
        return iter(cast("Iterator[Var]", self.ravel()))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    if TYPE_CHECKING:

        def __add__(self, other: Numbers, /) -> ArrayVar: ...
        def __radd__(self, other: Floats | float, /) -> ArrayVar: ...
        def __sub__(self, other: Numbers, /) -> ArrayVar: ...
        def __rsub__(self, other: Floats | float, /) -> ArrayVar: ...
        def __mul__(self, other: Numbers, /) -> ArrayVar: ...
        def __rmul__(self, other: Floats | float, /) -> ArrayVar: ...
        def __truediv__(self, other: Numbers, /) -> ArrayVar: ...
        def __rtruediv__(self, other: Floats | float, /) -> ArrayVar: ...
        def __floordiv__(self, other: Numbers, /) -> ArrayVar: ...
        def __rfloordiv__(self, other: Floats | float, /) -> ArrayVar: ...
        def __mod__(self, other: Numbers, /) -> ArrayVar: ...
        def __rmod__(self, other: Floats | float, /) -> ArrayVar: ...
        def __pow__(self, other: Numbers, /) -> ArrayVar: ...
        def __rpow__(self, other: Floats | float, /) -> ArrayVar: ...
        def __matmul__(self, other: ArrayVar | Floats, /) -> ArrayVar: ...
        def __rmatmul__(self, other: Floats, /) -> ArrayVar: ...
        def __neg__(self) -> ArrayVar: ...
        def __abs__(self) -> ArrayVar: ...
        def __lt__(self, other: Numbers, /) -> ArrayCondition: ...
        def __le__(self, other: Numbers, /) -> ArrayCondition: ...
        def __gt__(self, other: Numbers, /) -> ArrayCondition: ...
        def __ge__(self, other: Numbers, /) -> ArrayCondition: ...
        def __eq__(self, other: object, /) -> ArrayCondition: ...  # type: ignore[override]  # as numpy does
        def __ne__(self, other: object, /) -> ArrayCondition: ...  # type: ignore[override]  # as numpy does

    def __pos__(self) -> ArrayVar:
        return self

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: Index, /) -> ArrayVar: ...
    def __getitem__(self, index: Any, /) -> Any:
        place = _index(index)
        recorder = self._recorder
        if recorder.thread != get_ident() or recorder.inside is not None:
            return rows.getitem(self, place)
        found = self._value[place]
        recorder.statics.append(place)
        value = found if found.ndim else float(found)
        code = recorder.table.codes[rows.getitem]
        return recorder.append(code, self._slot, len(recorder.statics) - 1, value)

    def reshape(self, *shape: Any) -> ArrayVar:
        """The same numbers in another shape; one length may be -1."""
        return cast(ArrayVar, rows.reshape(self, _shape(shape, self.size)))

    def ravel(self) -> ArrayVar:
        """The numbers along one axis."""
        return self if self.ndim == 1 else self.reshape(self.size)

    flatten = ravel

    def transpose(self, *axes: Any) -> ArrayVar:
        """The axes in another order, or in the opposite one where none is given."""
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        order = tuple(at % self.ndim for at in given or ()) or tuple(range(self.ndim))[::-1]
        return cast(ArrayVar, rows.transpose(self, order))

    @overload
    def sum(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def sum(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The sum of all numbers, or along axes."""
        _require_unused("sum", unused)
        return rows.sum_(self, (axes_of(axis, self.ndim), keepdims))

    @overload
    def mean(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def mean(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The mean of all numbers, or along axes."""
        _require_unused("mean", unused)
        axes = axes_of(axis, self.ndim)
        total = rows.sum_(self, (axes, keepdims))
        return ops.div(total, float(prod(self.shape[at] for at in axes)))

    @overload
    def max(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def max(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def max(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The largest number, or the largest along axes."""
        _require_unused("max", unused)
        return rows.amax(self, (axes_of(axis, self.ndim), keepdims))

    @overload
    def min(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def min(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def min(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The smallest number, or the smallest along axes."""
        _require_unused("min", unused)
        return rows.amin(self, (axes_of(axis, self.ndim), keepdims))

    def dot(self, other: ArrayVar | Floats) -> Any:
        """The product of matrices."""
        return self @ other

    def cumsum(self, axis: int | None = None) -> ArrayVar:
        """The running sum along an axis, or of all numbers in one row."""
        if axis is None:
            return cast(ArrayVar, rows.cumsum(self.ravel(), 0))
        return cast(ArrayVar, rows.cumsum(self, axis % self.ndim))

    def __repr__(self) -> str:
        return f"<ArrayVar %{self._slot} = {self._primal()!r}>"

    def __copy__(self) -> ArrayVar:
        return self

    def copy(self) -> ArrayVar:
        """The array itself, which cannot be written to."""
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> ArrayVar:
        return self

    if not TYPE_CHECKING:
        # Hidden from checkers, which would otherwise take it wherever an array will do.

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return serving("recording.array_functions").apply_ufunc(ufunc, method, inputs, kwargs)

        def __array_function__(self, function, types, args, kwargs):
            return serving("recording.array_functions").call(function, args, kwargs)

        def __array_namespace__(self, *, api_version=None):
            return serving("numpy")

        def __array__(self, dtype=None, copy=None):
            _refuse("an array of x", "x itself, or a function of tapegrad.numpy")

        def __bool__(self):  # noqa: PLE0304  # refuses
            _refuse("bool(x) or `if x:` of an array", "`if (x > 0.0).all():`")

        def __float__(self):
            _refuse("float(x) of an array", "x.sum(), or one of its numbers, x[0]")

        def __int__(self):
            _refuse("int(x) of an array", "one of its numbers, int(x[0])")

        def __setitem__(self, index, value):
            raise TracedNumberError(
                f"a traced array is written to at {here()}, which cannot be: write "
                "tapegrad.numpy.where(mask, value, x), at_set(x, index, value), or put parts "
                "together with concat"
            )

        def __reduce__(self):
            _refuse("pickling x", "the value that the recorded function returns")


@final
class ArrayCondition:
    """The outcome of a comparison of traced arrays, element by element.

    ``all()`` and ``any()`` give a condition that Python may ask, for which a guard is recorded;
    ``&``, ``|`` and ``~`` combine conditions without one, for ``where``.
    """

    __slots__ = ("indicator",)
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # == goes element by element

    indicator: ArrayVar

    @classmethod
    def of(cls, indicator: ArrayVar) -> ArrayCondition:
        """The condition that holds where the indicator is true."""
        made = cls()
        made.indicator = indicator
        return made

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return self.indicator.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        """The type of the elements, bool."""
        return np.dtype(np.bool_)

    def all(self) -> Condition:
        """Whether it holds everywhere."""
        return _over(rows.every, self)

    def any(self) -> Condition:
        """Whether it holds anywhere."""
        return _over(rows.some, self)

    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The number of places where it holds."""
        static = axes_of(axis, len(self.shape)), keepdims
        return rows.sum_(self.as_numbers(), static)

    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The share of the places where it holds."""
        return cast(ArrayVar, self.as_numbers()).mean(axis, keepdims=keepdims)

    def as_numbers(self) -> Operand:
        """1.0 where it holds, else 0.0."""
        return ops.where(self.indicator, 1.0, 0.0)

    def __getitem__(self, index: Any, /) -> Any:
        found = self.as_numbers()
        return cast(ArrayVar, found)[index] != 0.0

    def __and__(self, other: Truths, /) -> ArrayCondition:
        return combined(ops.and_, self, other)

    def __rand__(self, other: Truths, /) -> ArrayCondition:
        return combined(ops.and_, other, self)

    def __or__(self, other: Truths, /) -> ArrayCondition:
        return combined(ops.or_, self, other)

    def __ror__(self, other: Truths, /) -> ArrayCondition:
        return combined(ops.or_, other, self)

    def __invert__(self) -> ArrayCondition:
        return combined(ops.not_, self)

    def __mul__(self, other: Any, /) -> Any:
        return cast(ArrayVar, self.as_numbers()) * other

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"<ArrayCondition %{self.indicator._slot} = {self.indicator._primal()!r}>"

    if not TYPE_CHECKING:

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return serving("recording.array_functions").apply_ufunc(ufunc, method, inputs, kwargs)

        def __array_function__(self, function, types, args, kwargs):
            return serving("recording.array_functions").call(function, args, kwargs)

        def __bool__(self):  # noqa: PLE0304  # refuses
            _refuse("the truth of an array of conditions", "`.all()`, `.any()` or where")


Numbers: TypeAlias = ArrayVar | Floats | Var | float
"""An operand that an operator takes beside a traced array."""

Truths: TypeAlias = ArrayCondition | Condition | NDArray[np.bool_] | bool
Axes: TypeAlias = int | tuple[int, ...] | None
Index: TypeAlias = slice | tuple[Any, ...] | NDArray[Any] | list[Any] | ArrayCondition | None


def _over(row: Primitive, of: ArrayCondition) -> Condition:
    """The condition that a row gives for all elements."""
    indicator = row(of.indicator, (tuple(range(len(of.shape))), False))
    found = Condition()
    var = cast(Var, indicator)
    found._recorder, found._slot, found._value = var._recorder, var._slot, var._value
    return found


def combined(row: Primitive, *given: Truths) -> ArrayCondition:
    """The condition that a connective makes of others."""
    operands = [
        x.indicator if isinstance(x, ArrayCondition | Condition) else array_values.truths(x)
        for x in given
    ]
    return ArrayCondition.of(cast(ArrayVar, row(*operands)))


def axes_of(axis: Axes, ndim: int) -> Shape:
    """The axes that are taken together, in order.

    Raises:
        InputError: for an axis that the array does not have.
    """
    if axis is None:
        return _ALL[ndim]
    given = axis if isinstance(axis, tuple) else (axis,)
    if not all(-ndim <= at < ndim for at in given):
        raise InputError(f"axis {axis!r} at {here()} is none of an array with {ndim} axes")
    return tuple(sorted(at % ndim for at in given))


_ALL: Final = [tuple(range(ndim)) for ndim in range(65)]


def _shape(given: tuple[Any, ...], size: int) -> Shape:
    """The shape that was asked for, with -1 replaced."""
    wanted = given[0] if len(given) == 1 and not isinstance(given[0], SupportsIndex) else given
    shape = tuple(int(length) for length in wanted)
    if -1 not in shape:
        return shape
    known = -prod(shape)
    return tuple(size // known if known and n == -1 else max(n, 0) for n in shape)


def _index(index: Any) -> tuple[Any, ...]:
    """An index as a tuple of its parts, with lists made arrays and numpy's ints made Python's.

    A traced condition is asked, and recorded as guards.
    """
    return tuple(map(_part, index)) if isinstance(index, tuple) else (_part(index),)


def _part(index: Any) -> Any:
    if type(index) is int:
        return index
    if isinstance(index, list | np.ndarray):
        return np.array(index)
    if isinstance(index, ArrayCondition):
        return asked(index)
    if isinstance(index, ArrayVar):
        _refuse("an index that is a traced array", "take with an array of ints")
    if isinstance(index, bool | slice) or index is None or index is ...:
        return index
    return index.__index__()


def asked(condition: ArrayCondition) -> NDArray[np.bool_]:
    """The truth values of a condition, each of which is recorded as a guard."""
    values: NDArray[np.bool_] = np.array(primal(condition.indicator), np.bool_)
    bool(((condition & values) | (~condition & ~values)).all())
    return values


def _require_unused(name: str, unused: Mapping[str, object]) -> None:
    """Raises for an option of numpy's that has no meaning here; dtype, out and where are such."""
    given = [key for key, value in unused.items() if value is not None and key != "dtype"]
    if given:
        raise TracedNumberError(
            f"{name} at {here()} of a traced array takes no {given[0]}: leave it out"
        )


def _refuse(what: str, instead: str) -> NoReturn:
    raise TracedNumberError(
        f"{what} at {here()} would drop the derivative of a traced array: write {instead} instead"
    )


# Operators.


def applied_to_arrays(row: Primitive, *given: Any) -> Any:
    """A row on operands of whatever kind, of which one at least is traced."""
    operands = tuple(map(_number, given))
    if any(x is None for x in operands):
        return NotImplemented
    if len(operands) > 1:
        require_shapes(row, operands)
    return innermost(operands).apply(row, operands)


def _number(value: object) -> Any:
    """A value as an operand; None for what is no number."""
    if isinstance(value, ArrayCondition):
        return value.as_numbers()
    return promote(value)


def _operators(row: Primitive) -> tuple[Any, Any]:
    """The operator of a row, and the one from the right."""

    def forward(self: ArrayVar, other: Any, /) -> Any:
        return applied_to_arrays(row, self, other)

    def backward(self: ArrayVar, other: Any, /) -> Any:
        return applied_to_arrays(row, other, self)

    return forward, backward


def _comparison(row: Primitive) -> Any:
    def compare(self: ArrayVar, other: Any, /) -> Any:
        indicator = applied_to_arrays(row, self, other)
        return indicator if indicator is NotImplemented else ArrayCondition.of(indicator)

    return compare


def _power(self: ArrayVar, other: Any, /) -> Any:
    if type(other) is int or type(other) is float:
        return innermost((self,)).apply(ops.powc, (self, float(other)))
    return applied_to_arrays(ops.pow, self, other)


def require_shapes(row: Primitive, operands: tuple[Operand, ...]) -> None:
    """Lets operands through that can be broadcast together.

    Raises:
        InputError: for others, with both shapes and how the operands are called.
    """
    if row.array is not None:
        if row is rows.matmul:
            _require_product(*map(shape_of, operands))
        return
    shapes = [shape_of(operand) for operand in operands]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise _mismatch(row, shapes, "they go together along no axis from the last on") from None


def _require_product(x: Shape, y: Shape) -> None:
    if not x or not y:
        raise _mismatch(rows.matmul, [x, y], "@ takes arrays: write * for a number")
    if x[-1] != y[-2 if len(y) > 1 else 0]:
        raise _mismatch(rows.matmul, [x, y], "the last axis of the first meets another length")


def _mismatch(row: Primitive, shapes: list[Shape], why: str) -> InputError:
    shown = " and ".join(map(str, shapes))
    return InputError(f"{row.symbol} at {here()} is given shapes {shown}: {why}")


if not TYPE_CHECKING:
    _OPERATORS = {
        "__add__": ops.add, "__floordiv__": ops.floordiv, "__matmul__": rows.matmul,
        "__mod__": ops.mod, "__mul__": ops.mul, "__pow__": ops.pow, "__sub__": ops.sub,
        "__truediv__": ops.div,
    }  # fmt: skip
    for _name, _row in _OPERATORS.items():
        _forward, _backward = _operators(_row)
        setattr(ArrayVar, _name, _forward)
        setattr(ArrayVar, _name.replace("__", "__r", 1), _backward)
    for _row in (ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne):
        setattr(ArrayVar, f"__{_row.name}__", _comparison(_row))
    ArrayVar.__pow__ = _power
    ArrayVar.__neg__ = lambda self: innermost((self,)).apply(ops.neg, (self,))
    ArrayVar.__abs__ = lambda self: innermost((self,)).apply(ops.abs, (self,))
