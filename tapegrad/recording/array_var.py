"""Traced arrays: what stands for an array of numpy's inside a recorded function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from types import EllipsisType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    NoReturn,
    Protocol,
    SupportsIndex,
    TypeAlias,
    cast,
    final,
    overload,
)

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Primitive, Shape, TracedArray, primal, shape_of
from tapegrad.recording import array_values
from tapegrad.recording.array_places import at_places, has_places, plain_part
from tapegrad.recording.in_place import written
from tapegrad.recording.recorder import (
    Condition,
    Recorder,
    TracedValue,
    Var,
    condition,
    innermost,
    promote,
)

__all__ = [
    "QUICK", "ArrayCondition", "ArrayVar", "Axes", "Data", "Floats", "Index", "Ints", "Layout",
    "Numbers", "Side", "Truths", "applied_to_arrays", "asked", "axes_of", "combined", "entry",
    "extreme", "index_of", "require_shapes", "shape_asked",
]  # fmt: skip

Floats: TypeAlias = NDArray[np.float64]


class Frame(Protocol):
    """A frame or a series of pandas or Polars."""

    def to_numpy(self) -> NDArray[np.generic]: ...


Data: TypeAlias = (
    NDArray[np.floating | np.integer | np.bool_]
    | Frame
    | Sequence[float]
    | Sequence[Sequence[float]]
)
"""An array that is not traced, or a list of numbers that is taken as one."""

QUICK: Final[dict[object, Callable[..., Any]]] = {}
"""The quick way to record a row, or a function of numpy's that is one: of ``array_operators``."""


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
        quick = QUICK.get(row)
        if quick is not None:
            return cast(Var, quick(*operands))
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
        order = tuple(range(self._value.ndim - 1, -1, -1))
        return cast(ArrayVar, QUICK[rows.transpose](self, order))

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
        def __radd__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __sub__(self, other: Numbers, /) -> ArrayVar: ...
        def __rsub__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __mul__(self, other: Numbers, /) -> ArrayVar: ...
        def __rmul__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __truediv__(self, other: Numbers, /) -> ArrayVar: ...
        def __rtruediv__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __floordiv__(self, other: Numbers, /) -> ArrayVar: ...
        def __rfloordiv__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __mod__(self, other: Numbers, /) -> ArrayVar: ...
        def __rmod__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __pow__(self, other: Numbers, /) -> ArrayVar: ...
        def __rpow__(self, other: Data | Var | float, /) -> ArrayVar: ...
        def __matmul__(self, other: ArrayVar | Data, /) -> ArrayVar: ...
        def __rmatmul__(self, other: Data, /) -> ArrayVar: ...
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
    def __getitem__(self, index: Parts, /) -> ArrayVar: ...
    def __getitem__(self, index: Any, /) -> Any:
        if type(index) is slice or type(index) is int:
            place: tuple[Any, ...] = (index,)
        elif type(index) is tuple and rows.is_basic(index):
            place = index
        else:
            place = index_of(index)
            if has_places(place):
                return at_places(self, place)
        return QUICK[rows.getitem](self, place)

    def reshape(
        self, *shape: SupportsIndex | Sequence[SupportsIndex], order: Layout = "C"
    ) -> ArrayVar:
        """The same numbers in another shape; one length may be -1."""
        wanted = shape_asked(shape, self._value.size)
        if order == "C":
            return cast(ArrayVar, QUICK[rows.reshape](self, wanted))
        return cast(ArrayVar, serving("numpy").reshape(self, wanted, order=order))

    def ravel(self, order: Layout = "C") -> ArrayVar:
        """The numbers along one axis."""
        return self if self.ndim == 1 else self.reshape(self.size, order=order)

    def flatten(self, order: Layout = "C") -> ArrayVar:
        """A copy of the numbers along one axis."""
        return self.copy() if self.ndim == 1 else self.reshape(self.size, order=order).copy()

    def transpose(self, *axes: int | Sequence[int] | None) -> ArrayVar:
        """The axes in another order, or in the opposite one where none is given."""
        given: Any = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        order = tuple(at % self.ndim for at in given or ()) or tuple(range(self.ndim))[::-1]
        return cast(ArrayVar, rows.transpose(self, order))

    @overload
    def sum(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def sum(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The sum of all numbers, or along axes."""
        if unused:
            _require_unused("sum", unused)
        return QUICK[rows.sum_](self, (axes_of(axis, self._value.ndim), keepdims))

    @overload
    def mean(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def mean(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The mean of all numbers, or along axes."""
        if unused:
            _require_unused("mean", unused)
        shape = self._value.shape
        axes = axes_of(axis, len(shape))
        return QUICK[rows.sum_](self, (axes, keepdims)) / float(prod([shape[at] for at in axes]))

    @overload
    def max(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def max(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def max(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The largest number, or the largest along axes."""
        _require_unused("max", unused)
        return extreme(rows.amax, self, axis, keepdims=keepdims)

    @overload
    def min(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def min(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def min(self, axis: Axes = None, *, keepdims: bool = False, **unused: object) -> Any:
        """The smallest number, or the smallest along axes."""
        _require_unused("min", unused)
        return extreme(rows.amin, self, axis, keepdims=keepdims)

    if TYPE_CHECKING:
        # These are functions of ``tapegrad.numpy`` with the array as the first argument.

        @overload
        def prod(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
        @overload
        def prod(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
        def prod(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
            """The product of all numbers, or along axes."""

        @overload
        def var(
            self, axis: None = None, *, ddof: float = 0.0, keepdims: Literal[False] = False
        ) -> Var: ...
        @overload
        def var(
            self, axis: Axes = None, *, ddof: float = 0.0, keepdims: bool = False
        ) -> ArrayVar: ...
        def var(self, axis: Axes = None, *, ddof: float = 0.0, keepdims: bool = False) -> Any:
            """The variance of all numbers, or along axes."""

        @overload
        def std(
            self, axis: None = None, *, ddof: float = 0.0, keepdims: Literal[False] = False
        ) -> Var: ...
        @overload
        def std(
            self, axis: Axes = None, *, ddof: float = 0.0, keepdims: bool = False
        ) -> ArrayVar: ...
        def std(self, axis: Axes = None, *, ddof: float = 0.0, keepdims: bool = False) -> Any:
            """The standard deviation of all numbers, or along axes."""

        @overload
        def argmax(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
        @overload
        def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> ArrayVar: ...
        def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
            """The place of the largest number, a whole number."""

        @overload
        def argmin(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
        @overload
        def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> ArrayVar: ...
        def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
            """The place of the smallest number, a whole number."""

        def argsort(self, axis: int = -1) -> ArrayVar:
            """The places of the numbers in rising order."""

        def clip(self, min: Numbers | None = None, max: Numbers | None = None) -> ArrayVar:
            """The numbers between bounds."""

        def cumprod(self, axis: int | None = None) -> ArrayVar:
            """The running product along an axis, or of all numbers in one row."""

        def diagonal(self, offset: int = 0) -> ArrayVar:
            """The diagonal of a matrix."""

        def repeat(self, repeats: Ints, axis: int | None = None) -> ArrayVar:
            """Each number so often."""

        def round(self, decimals: int = 0) -> ArrayVar:
            """The nearest integers, or so many decimals."""

        @overload
        def searchsorted(self, v: ArrayVar | Data, side: Side = "left") -> ArrayVar: ...
        @overload
        def searchsorted(self, v: Var | float, side: Side = "left") -> Var: ...
        def searchsorted(self, v: Numbers, side: Side = "left") -> Any:
            """Where numbers belong among these, which rise."""

        def squeeze(self, axis: Axes = None) -> ArrayVar:
            """Without axes of length 1."""

        def swapaxes(self, axis1: int, axis2: int) -> ArrayVar:
            """Two axes change places."""

        def take(self, indices: Ints | ArrayVar, axis: int | None = None) -> ArrayVar:
            """The parts at places along an axis."""

        def trace(self, offset: int = 0) -> Var:
            """The sum of the diagonal."""

        def nonzero(self) -> tuple[NDArray[np.intp], ...]:
            """The places of what is not 0, which guards record."""

        @overload
        def all(self, axis: None = None) -> Condition: ...
        @overload
        def all(self, axis: int | tuple[int, ...]) -> ArrayCondition: ...
        def all(self, axis: Axes = None) -> Any:
            """Whether all are not 0."""

        @overload
        def any(self, axis: None = None) -> Condition: ...
        @overload
        def any(self, axis: int | tuple[int, ...]) -> ArrayCondition: ...
        def any(self, axis: Axes = None) -> Any:
            """Whether any is not 0."""

    def __divmod__(self, other: Numbers, /) -> tuple[ArrayVar, ArrayVar]:
        return self // other, self % other

    def __rdivmod__(self, other: Data | Var | float, /) -> tuple[ArrayVar, ArrayVar]:
        return other // self, other % self

    def item(self, *place: SupportsIndex | tuple[SupportsIndex, ...]) -> Var:
        """The number at a place, or the only one.

        Raises:
            InputError: where there are several.
        """
        if not place and self.size != 1:
            raise InputError(f"item() at {here()} of {self.size} numbers: say which, item(0)")
        index = place[0] if len(place) == 1 and isinstance(place[0], tuple) else place or (0,)
        found = self if len(index) == self.ndim else self.ravel()
        return cast(Var, found[tuple(index)])

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> ArrayVar:
        """The array itself, whose numbers are float64.

        Raises:
            InputError: for any other type.
        """
        return cast(ArrayVar, serving("numpy").astype(self, dtype, copy=copy))

    def dot(self, other: ArrayVar | Data) -> ArrayVar:
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
        return self.copy()

    def copy(self) -> ArrayVar:
        """Another array with these numbers, to which in-place operators may write."""
        return cast(ArrayVar, ops.add(self, -0.0))

    def __deepcopy__(self, memo: Mapping[int, object], /) -> ArrayVar:
        return self.copy()

    if not TYPE_CHECKING:
        # Hidden from checkers, which would otherwise take it wherever an array will do.

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            quick = QUICK.get(ufunc)
            if quick is not None and method == "__call__" and not kwargs:
                return quick(*inputs)
            return serving("recording.array_functions").apply_ufunc(ufunc, method, inputs, kwargs)

        def __array_function__(self, function, types, args, kwargs):
            quick = QUICK.get(function)
            is_along = not kwargs or (kwargs.keys() <= _ALONG and None not in kwargs.values())
            if quick is not None and is_along and len(args) == 1 and args[0] is self:
                return quick(self, **kwargs)
            return serving("recording.array_functions").call(function, args, kwargs)

        def __array_namespace__(self, *, api_version=None):
            return serving("numpy")

        def __array__(self, dtype=None, copy=None):
            _refuse(
                self,
                "an array of x",
                "x itself, stack([x, y]) for array([x, y]), a function of tapegrad.numpy, or "
                "frame.to_numpy() for a frame beside it,",
            )

        def __bool__(self):  # noqa: PLE0304  # refuses
            _refuse(self, "bool(x) or `if x:` of an array", "`if (x > 0.0).all():`")

        def __float__(self):
            _refuse(self, "float(x) of an array", "x.sum(), or one of its numbers, x[0]")

        def __int__(self):
            _refuse(self, "int(x) of an array", "one of its numbers, int(x[0])")

        def __setitem__(self, index, value):
            instead = (
                "tapegrad.numpy.where(mask, value, x), at_set(x, index, value), or put parts "
                "together with concat"
            )
            _refuse_data(self, "writing to x", instead)
            raise TracedNumberError(
                f"a traced array is written to at {here()}, which cannot be: write {instead}"
            )

        def __reduce__(self):
            _refuse(self, "pickling x", "the value that the recorded function returns")

        def tolist(self):
            """Refuses."""
            _refuse(self, "x.tolist()", "list(x), whose numbers are traced,")

        def tobytes(self):
            """Refuses."""
            _refuse(self, "x.tobytes()", "x")

        def sort(self, axis=-1):
            """Refuses."""
            raise TracedNumberError(
                f"x.sort() at {here()} would write to a traced array: write x = "
                "tapegrad.numpy.sort(x)"
            )


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

    @overload
    def all(self, axis: None = None) -> Condition: ...
    @overload
    def all(self, axis: int | tuple[int, ...]) -> ArrayCondition: ...
    def all(self, axis: Axes = None) -> Any:
        """Whether it holds everywhere, or along axes."""
        return _over(rows.every, self, axis)

    @overload
    def any(self, axis: None = None) -> Condition: ...
    @overload
    def any(self, axis: int | tuple[int, ...]) -> ArrayCondition: ...
    def any(self, axis: Axes = None) -> Any:
        """Whether it holds anywhere, or along axes."""
        return _over(rows.some, self, axis)

    @overload
    def sum(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The number of places where it holds."""
        static = axes_of(axis, len(self.shape)), keepdims
        return rows.sum_(self.as_numbers(), static)

    @overload
    def mean(self, axis: None = None, *, keepdims: Literal[False] = False) -> Var: ...
    @overload
    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> ArrayVar: ...
    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The share of the places where it holds."""
        return cast(ArrayVar, self.as_numbers()).mean(axis, keepdims=keepdims)

    def as_numbers(self) -> Operand:
        """1.0 where it holds, else 0.0."""
        return ops.where(self.indicator, 1.0, 0.0)

    def astype(self, dtype: DTypeLike) -> ArrayVar:
        """1.0 where it holds, else 0.0.

        Raises:
            InputError: for another type than float64.
        """
        return cast(ArrayVar, serving("numpy").astype(self, dtype))

    @property
    def T(self) -> ArrayCondition:  # noqa: N802  # numpy's name
        """The axes in the opposite order."""
        return ArrayCondition.of(self.indicator.T)

    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> ArrayCondition:
        """The same truths in another shape; one length may be -1."""
        return ArrayCondition.of(self.indicator.reshape(*shape))

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: Parts, /) -> ArrayCondition: ...
    def __getitem__(self, index: Index, /) -> Any:
        found = self.as_numbers()
        return cast(Any, found)[index] != 0.0

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

    def __iand__(self, other: Truths, /) -> ArrayCondition:  # noqa: PYI034  # another object
        return self._written(self & other)

    def __ior__(self, other: Truths, /) -> ArrayCondition:  # noqa: PYI034  # another object
        return self._written(self | other)

    def __ixor__(self, other: Truths, /) -> ArrayCondition:  # noqa: PYI034  # another object
        return self._written(self ^ other)

    def _written(self, made: ArrayCondition) -> ArrayCondition:
        written(self.indicator, made.indicator)
        return made

    def __xor__(self, other: Truths, /) -> ArrayCondition:
        return combined(ops.ne, self, other)

    __rxor__ = __xor__

    def __eq__(self, other: object, /) -> ArrayCondition:  # type: ignore[override]  # as numpy does
        return cast(ArrayCondition, cast(ArrayVar, self.as_numbers()) == _as_number(other))

    def __ne__(self, other: object, /) -> ArrayCondition:  # type: ignore[override]  # as numpy does
        return cast(ArrayCondition, cast(ArrayVar, self.as_numbers()) != _as_number(other))

    def __add__(self, other: Any, /) -> Any:
        if _is_truth(other):
            return combined(ops.or_, self, other)
        return cast(ArrayVar, self.as_numbers()) + other

    __radd__ = __add__

    def __sub__(self, other: Numbers, /) -> ArrayVar:
        return cast(ArrayVar, self.as_numbers()) - other

    def __rsub__(self, other: Data | float, /) -> ArrayVar:
        return other - cast(ArrayVar, self.as_numbers())

    def __mul__(self, other: Numbers | ArrayCondition, /) -> ArrayVar:
        return cast(ArrayVar, self.as_numbers()) * cast(ArrayVar, _as_number(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any, /) -> Any:
        return cast(ArrayVar, self.as_numbers()) / other

    def __pow__(self, other: Any, /) -> Any:
        return cast(ArrayVar, self.as_numbers()) ** other

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def ravel(self) -> ArrayCondition:
        """The truths along one axis."""
        return ArrayCondition.of(self.indicator.ravel())

    def flatten(self) -> ArrayCondition:
        """A copy of the truths along one axis."""
        return self.ravel().copy()

    def copy(self) -> ArrayCondition:
        """Another condition with these truths, to which in-place operators may write."""
        return combined(ops.and_, self, True)

    def nonzero(self) -> tuple[NDArray[np.intp], ...]:
        """The places where it holds, which guards record."""
        return np.nonzero(asked(self))

    def __repr__(self) -> str:
        return f"<ArrayCondition %{self.indicator._slot} = {self.indicator._primal()!r}>"

    if not TYPE_CHECKING:

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return serving("recording.array_functions").apply_ufunc(ufunc, method, inputs, kwargs)

        def __array_function__(self, function, types, args, kwargs):
            return serving("recording.array_functions").call(function, args, kwargs)

        def __bool__(self):  # noqa: PLE0304  # refuses
            _refuse(
                self.indicator, "the truth of an array of conditions", "`.all()`, `.any()` or where"
            )


Numbers: TypeAlias = ArrayVar | Data | Var | float
"""An operand that an operator takes beside a traced array."""

Truths: TypeAlias = ArrayCondition | Condition | NDArray[np.bool_] | bool
Axes: TypeAlias = int | tuple[int, ...] | None
Side: TypeAlias = Literal["left", "right"]
Layout: TypeAlias = Literal["C", "F"]
"""Which of the axes comes first where an array is read number by number: the last or the first."""
Ints: TypeAlias = SupportsIndex | NDArray[np.integer] | Sequence[SupportsIndex]
Part: TypeAlias = (
    slice
    | EllipsisType
    | NDArray[np.integer | np.bool_]
    | Sequence[SupportsIndex]
    | ArrayVar
    | ArrayCondition
    | None
)
Parts: TypeAlias = Part | tuple[SupportsIndex | Part, ...]
Index: TypeAlias = SupportsIndex | Parts


def entry(recorder: Recorder, code: int, left: int, right: int, value: Any) -> Any:
    """A new entry of a recording where all is plain, and the number or the array it defines."""
    if recorder.marks is not None:
        recorder.mark()
    values = recorder.values
    made: Any = ArrayVar() if type(value) is np.ndarray else Var()
    made._recorder = recorder
    made._slot = len(values)
    made._value = value
    recorder.codes.append(code)
    recorder.left.append(left)
    recorder.right.append(right)
    # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
    values.append(value)
    return made


def _is_truth(value: object) -> bool:
    """Whether a value is what numpy takes for truths: two of them add up to one."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype == np.bool_
    return isinstance(value, ArrayCondition | Condition | bool)


def _as_number(value: object) -> Any:
    return value.as_numbers() if isinstance(value, ArrayCondition) else value


def _over(row: Primitive, of: ArrayCondition, axis: Axes) -> Any:
    """The condition that a row gives for all elements, or for those along axes."""
    static = cast(Operand, (axes_of(axis, len(of.shape)), False))
    return condition(row, of.indicator, static)


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
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    given = axis if isinstance(axis, tuple) else (axis,)
    if not all(-ndim <= at < ndim for at in given):
        raise InputError(f"axis {axis!r} at {here()} is none of an array with {ndim} axes")
    return tuple(sorted(at % ndim for at in given))


def extreme(row: Primitive, x: Operand, axis: Axes, *, keepdims: bool) -> Operand:
    """The largest or the smallest, of all numbers or along axes.

    Raises:
        InputError: where there are none.
    """
    shape = shape_of(x)
    axes = axes_of(axis, len(shape))
    if 0 in shape and not all(shape[at] for at in axes):
        raise InputError(f"{row.name} at {here()} of no numbers: test the size before")
    return row(x, cast(Operand, (axes, keepdims))) if shape else x


_ALONG: Final = {"axis", "keepdims"}
"""The options of numpy's functions along axes that methods have, too."""

_ALL: Final = [tuple(range(ndim)) for ndim in range(65)]


def shape_asked(given: tuple[Any, ...], size: int) -> Shape:
    """The shape that was asked for, with -1 replaced.

    Raises:
        InputError: for one of another size.
    """
    is_one = len(given) == 1 and type(given[0]) is not int
    wanted = given[0] if is_one and not hasattr(given[0], "__index__") else given
    shape = tuple(map(int, wanted))
    if shape.count(-1) == 1:
        known = -prod(shape)
        shape = tuple(size // known if known and n == -1 else max(n, 0) for n in shape)
    if prod(shape) != size or min(shape, default=0) < 0:
        raise InputError(
            f"reshape at {here()} of {size} numbers to {tuple(wanted)}: they do not fit"
        )
    return shape


def index_of(index: Any) -> tuple[Any, ...]:
    """An index as a tuple of its parts, with lists made arrays and numpy's ints made Python's.

    A traced condition is asked, and recorded as guards; traced places stay.
    """
    return tuple(map(_part, index)) if isinstance(index, tuple) else (_part(index),)


def _part(index: Any) -> Any:
    if type(index) is int or type(index) is ArrayVar:
        return index
    return asked(index) if isinstance(index, ArrayCondition) else plain_part(index)


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


def _refuse(x: ArrayVar, what: str, instead: str) -> NoReturn:
    _refuse_data(x, what, instead)
    raise TracedNumberError(
        f"{what} at {here()} would drop the derivative of a traced array: write {instead} instead"
    )


def _refuse_data(x: ArrayVar, what: str, instead: str) -> None:
    """Raises where an array is made of data that are recorded, which may be had as they are."""
    path = x._recorder.data_behind(x._slot)
    if path is not None:
        raise TracedNumberError(
            f"{what} at {here()} is asked of data that is recorded, {path}: pass "
            f'static_argnames=("{path.partition(":")[0]}",) to get it as it is, or write {instead}'
        )


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
    return promote(np.array(value) if isinstance(value, list | tuple) else value)


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
    if len({shape for shape in shapes if shape}) < 2:
        return
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


_METHODS: Final = (
    "all any argmax argmin argsort clip cumprod diagonal nonzero prod repeat round searchsorted "
    "squeeze std swapaxes take trace var"
)
"""The methods that are functions of ``tapegrad.numpy``."""


def _method(name: str) -> Any:
    """The method that is a function of ``tapegrad.numpy`` of an array."""

    def method(self: ArrayVar, *args: object, **options: object) -> Any:
        functions = serving("recording.array_functions")
        return functions.called_by_name(name, (self, *args), options)

    method.__name__, method.__qualname__ = name, f"ArrayVar.{name}"
    method.__doc__ = f"The function ``tapegrad.numpy.{name}`` of the array."
    return method


if not TYPE_CHECKING:
    for _name in _METHODS.split():
        setattr(ArrayVar, _name, _method(_name))
