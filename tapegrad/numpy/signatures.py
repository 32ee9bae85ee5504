"""The types of the functions of this namespace.

A plain array makes a plain one, a traced array a traced one. A function is declared by the shape of
its signature, ``@product`` and the like; its options, which follow the arrays, stay its own.
"""

# To mypy, Arr is a union where overloads are compared, so that some seem never to match; to others
# they do. Of overloads that overlap the more precise come first.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeAlias, cast, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tapegrad.numpy.arrays import (
    Arr,
    Array,
    ArrayLike,
    Data,
    Element,
    Floats,
    Index,
    Ints,
    Number,
    Numbers,
    Traces,
    Truths,
)
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, Axes
from tapegrad.recording.recorder import Condition, Real, Var

__all__ = [
    "Agreement", "Binary", "Chosen", "Comparison", "Filled", "Inner", "Interpolation", "Joined",
    "Kept", "Matrix", "Place", "Placed", "Product", "Reduction", "Spread", "Taken", "Test", "Truth",
    "Unary", "Valued", "Written", "agreement", "binary", "chosen", "comparison", "filled",
    "inner_product", "interpolation", "joined", "kept", "matrix", "place", "placed", "product",
    "reduction", "taken", "test", "unary", "valued", "written",
]  # fmt: skip

P = ParamSpec("P")
Where: TypeAlias = NDArray[np.bool_] | ArrayCondition | Sequence[bool]


# Plain arrays first: of an overloaded argument mypy takes the first that fits, so that grad(norm)
# is a function of an array. mypy looks at a function of Arr once for each kind of array, and knows
# which number a sum is. ty and pyrefly do not; with a number of either kind they would refuse
# x / sum(x), so that there a sum is numpy's float, by an overload of its own. The last overloads
# of a function of two arrays are for ty, to which a result of an operator may be of either kind.


class Unary(Protocol[P]):
    """A function that goes element by element."""

    @overload
    def __call__(self, x: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: float, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(self, x: Real, /, *args: P.args, **options: P.kwargs) -> Real: ...
    @overload
    def __call__(self, x: Data, /, *args: P.args, **options: P.kwargs) -> Floats: ...
    @overload
    def __call__(self, x: Sequence[Var], /, *args: P.args, **options: P.kwargs) -> ArrayVar: ...
    @overload
    def __call__(self, x: Sequence[Number], /, *args: P.args, **options: P.kwargs) -> Array: ...


class Kept(Protocol[P]):
    """A function that moves the numbers of an array, or leaves some out."""

    @overload
    def __call__(self, x: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(
        self, x: NDArray[Element], /, *args: P.args, **options: P.kwargs
    ) -> NDArray[Element]: ...
    @overload
    def __call__(self, x: Data | float, /, *args: P.args, **options: P.kwargs) -> Floats: ...
    @overload
    def __call__(
        self, x: Sequence[Var] | Var | ArrayCondition, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Sequence[Number] | Number, /, *args: P.args, **options: P.kwargs
    ) -> Array: ...


class Matrix(Protocol[P]):
    """A function of one array, of floats whatever it has."""

    @overload
    def __call__(self, x: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Data, /, *args: P.args, **options: P.kwargs) -> Floats: ...
    @overload
    def __call__(self, x: Sequence[Var], /, *args: P.args, **options: P.kwargs) -> ArrayVar: ...
    @overload
    def __call__(self, x: Sequence[Number], /, *args: P.args, **options: P.kwargs) -> Array: ...


class Valued(Protocol[P]):
    """A function that makes one number of an array."""

    @overload
    def __call__(self, x: Floats, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(self, x: Traces, /, *args: P.args, **options: P.kwargs) -> Var: ...
    @overload
    def __call__(self, x: Data, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(self, x: Arr, /, *args: P.args, **options: P.kwargs) -> np.float64: ...
    @overload
    def __call__(self, x: Sequence[Number], /, *args: P.args, **options: P.kwargs) -> Number: ...


class Binary(Protocol[P]):
    """A function of two arrays or numbers, element by element."""

    @overload
    def __call__(self, x: Arr, y: Data | float, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Data | float, y: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Arr, y: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: float, y: float, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(self, x: Real, y: Real | float, /, *args: P.args, **options: P.kwargs) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, /, *args: P.args, **options: P.kwargs) -> Real: ...
    @overload
    def __call__(
        self, x: ArrayVar | Data, y: Var, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Var, y: ArrayVar | Data, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Data, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> Floats: ...
    @overload
    def __call__(self, x: float, y: Data, /, *args: P.args, **options: P.kwargs) -> Floats: ...
    @overload
    def __call__(
        self, x: ArrayVar, y: Array, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Array, y: ArrayVar, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(self, x: Arr, y: Number, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Number, y: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...


class Product(Protocol[P]):
    """A function of two arrays that makes an array."""

    @overload
    def __call__(self, x: Arr, y: Data, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Data, y: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Arr, y: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Data, y: Data, /, *args: P.args, **options: P.kwargs) -> Floats: ...
    @overload
    def __call__(
        self, x: ArrayVar, y: Array, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Array, y: ArrayVar, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...


class Inner(Protocol[P]):
    """A function of two arrays that makes one number."""

    @overload
    def __call__(self, x: Floats, y: Data, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(
        self, x: Traces, y: Traces | Data, /, *args: P.args, **options: P.kwargs
    ) -> Var: ...
    @overload
    def __call__(self, x: Data, y: Traces, /, *args: P.args, **options: P.kwargs) -> Var: ...
    @overload
    def __call__(self, x: Data, y: Data, /, *args: P.args, **options: P.kwargs) -> float: ...
    @overload
    def __call__(self, x: Arr, y: Data, /, *args: P.args, **options: P.kwargs) -> np.float64: ...
    @overload
    def __call__(self, x: Data, y: Arr, /, *args: P.args, **options: P.kwargs) -> np.float64: ...
    @overload
    def __call__(self, x: Arr, y: Arr, /, *args: P.args, **options: P.kwargs) -> np.float64: ...
    @overload
    def __call__(self, x: ArrayVar, y: Array, /, *args: P.args, **options: P.kwargs) -> Var: ...
    @overload
    def __call__(self, x: Array, y: ArrayVar, /, *args: P.args, **options: P.kwargs) -> Var: ...


class Taken(Protocol[P]):
    """A function of an array and of places in it."""

    @overload
    def __call__(
        self, x: Data, places: ArrayVar, /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Arr, places: Ints | ArrayVar, /, *args: P.args, **options: P.kwargs
    ) -> Arr: ...
    @overload
    def __call__(
        self, x: NDArray[Element], places: Ints, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[Element]: ...


class Written(Protocol):
    """A function of an array, of an index, and of the numbers that go there."""

    @overload
    def __call__(self, x: Arr, index: Index, value: Data | float, /) -> Arr: ...
    @overload
    def __call__(self, x: Arr, index: Index, value: Arr, /) -> Arr: ...
    @overload
    def __call__(self, x: ArrayVar, index: Index, value: Var | Sequence[Var], /) -> ArrayVar: ...
    @overload
    def __call__(self, x: Data, index: Index, value: Var | Traces, /) -> ArrayVar: ...
    @overload
    def __call__(self, x: Data, index: Index, value: Data | float, /) -> Floats: ...


class Chosen(Protocol[P]):
    """A function of a condition and of an array, of which it leaves parts out."""

    @overload
    def __call__(self, condition: Where, x: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(
        self, condition: Where, x: NDArray[Element], /, *args: P.args, **options: P.kwargs
    ) -> NDArray[Element]: ...


class Joined(Protocol[P]):
    """A function that makes one array of several, or of numbers."""

    @overload
    def __call__(
        self, arrays: Sequence[Arr] | Arr, /, *args: P.args, **options: P.kwargs
    ) -> Arr: ...
    @overload
    def __call__(
        self, arrays: Sequence[NDArray[Element]], /, *args: P.args, **options: P.kwargs
    ) -> NDArray[Element]: ...
    @overload
    def __call__(
        self, arrays: Sequence[Data | float], /, *args: P.args, **options: P.kwargs
    ) -> Floats: ...
    @overload
    def __call__(
        self, arrays: Sequence[Var], /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, arrays: Sequence[ArrayVar | Data], /, *args: P.args, **options: P.kwargs
    ) -> ArrayVar: ...
    @overload
    def __call__(
        self, arrays: Sequence[Numbers | Number], /, *args: P.args, **options: P.kwargs
    ) -> Array: ...


class Filled(Protocol):
    """A function that makes an array of the shape of another one."""

    @overload
    def __call__(
        self,
        x: Floats | ArrayVar | ArrayCondition | Traces,
        /,
        *,
        dtype: None = None,
        device: str | None = None,
    ) -> Floats: ...
    @overload
    def __call__(
        self, x: NDArray[Element], /, *, dtype: None = None, device: str | None = None
    ) -> NDArray[Element]: ...
    @overload
    def __call__(
        self,
        x: Numbers | Number | ArrayCondition,
        /,
        *,
        dtype: type[Element] | np.dtype[Element],
        device: str | None = None,
    ) -> NDArray[Element]: ...
    @overload
    def __call__(
        self,
        x: Numbers | Number | ArrayCondition,
        /,
        *,
        dtype: DTypeLike | None = None,
        device: str | None = None,
    ) -> NDArray[np.generic]: ...


class Comparison(Protocol[P]):
    """A comparison, or a connective of conditions, element by element."""

    @overload
    def __call__(
        self, x: Data, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.bool_]: ...
    @overload
    def __call__(
        self, x: float, y: Data, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.bool_]: ...
    @overload
    def __call__(
        self, x: ArrayVar | ArrayCondition, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Data | float, y: ArrayVar | ArrayCondition, /, *args: P.args, **options: P.kwargs
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self,
        x: ArrayVar | ArrayCondition,
        y: ArrayVar | Var | Truths,
        /,
        *args: P.args,
        **options: P.kwargs,
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Var | Truths, y: ArrayVar | ArrayCondition, /, *args: P.args, **options: P.kwargs
    ) -> ArrayCondition: ...
    @overload
    def __call__(self, x: float, y: float, /, *args: P.args, **options: P.kwargs) -> bool: ...
    @overload
    def __call__(
        self, x: Var | Condition, y: Number | Condition, /, *args: P.args, **options: P.kwargs
    ) -> Condition: ...
    @overload
    def __call__(
        self, x: float | Condition, y: Var | Condition, /, *args: P.args, **options: P.kwargs
    ) -> Condition: ...
    @overload
    def __call__(
        self, x: Var | Condition, y: Data, /, *args: P.args, **options: P.kwargs
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Data, y: Var | Condition, /, *args: P.args, **options: P.kwargs
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Arr, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.bool_] | ArrayCondition: ...
    @overload
    def __call__(
        self, x: Data | float, y: Arr, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.bool_] | ArrayCondition: ...
    @overload
    def __call__(
        self, x: Arr, y: Arr, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.bool_] | ArrayCondition: ...


class Test(Protocol):
    """A question about each number."""

    @overload
    def __call__(self, x: Data, /) -> NDArray[np.bool_]: ...
    @overload
    def __call__(self, x: ArrayVar | ArrayCondition | Sequence[Var], /) -> ArrayCondition: ...
    @overload
    def __call__(self, x: float, /) -> bool: ...
    @overload
    def __call__(self, x: Var | Condition, /) -> Condition: ...
    @overload
    def __call__(self, x: Arr, /) -> NDArray[np.bool_] | ArrayCondition: ...


class Reduction(Protocol):
    """A function that takes all numbers together, or those along axes."""

    @overload
    def __call__(
        self, x: Floats, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> float: ...
    @overload
    def __call__(
        self, x: Traces, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> Var: ...
    @overload
    def __call__(
        self, x: Data, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> float: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> np.float64: ...
    @overload
    def __call__(
        self, x: Real, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> Real: ...
    @overload
    def __call__(
        self, x: Sequence[Number], /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> Number: ...
    @overload
    def __call__(self, x: Arr, /, axis: Axes, *, keepdims: bool = False) -> Arr: ...
    @overload
    def __call__(self, x: Arr, /, axis: None = None, *, keepdims: Literal[True]) -> Arr: ...
    @overload
    def __call__(self, x: Data, /, axis: Axes, *, keepdims: bool = False) -> Floats: ...
    @overload
    def __call__(self, x: Data, /, axis: None = None, *, keepdims: Literal[True]) -> Floats: ...


class Spread(Protocol):
    """A variance, or its root: the sum of squares is divided by the number less ``correction``."""

    @overload
    def __call__(
        self,
        x: Floats,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> float: ...
    @overload
    def __call__(
        self,
        x: Traces,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> Var: ...
    @overload
    def __call__(
        self,
        x: Data,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> float: ...
    @overload
    def __call__(
        self,
        x: Arr,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> np.float64: ...
    @overload
    def __call__(
        self,
        x: Real,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> Real: ...
    @overload
    def __call__(
        self,
        x: Sequence[Number],
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> Number: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: Axes, *, correction: float = 0.0, keepdims: bool = False
    ) -> Arr: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: None = None, *, correction: float = 0.0, keepdims: Literal[True]
    ) -> Arr: ...
    @overload
    def __call__(
        self, x: Data, /, axis: Axes, *, correction: float = 0.0, keepdims: bool = False
    ) -> Floats: ...
    @overload
    def __call__(
        self, x: Data, /, axis: None = None, *, correction: float = 0.0, keepdims: Literal[True]
    ) -> Floats: ...


class Truth(Protocol):
    """A question about all numbers, or about those along axes."""

    @overload
    def __call__(
        self, x: Data | bool, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> bool: ...
    @overload
    def __call__(
        self,
        x: ArrayVar | ArrayCondition | Condition,
        /,
        axis: None = None,
        *,
        keepdims: Literal[False] = False,
    ) -> Condition: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> bool | Condition: ...
    @overload
    def __call__(self, x: Data, /, axis: Axes, *, keepdims: bool = False) -> NDArray[np.bool_]: ...
    @overload
    def __call__(
        self, x: Data, /, axis: None = None, *, keepdims: Literal[True]
    ) -> NDArray[np.bool_]: ...
    @overload
    def __call__(
        self, x: ArrayVar | ArrayCondition, /, axis: Axes, *, keepdims: bool = False
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: ArrayVar | ArrayCondition, /, axis: None = None, *, keepdims: Literal[True]
    ) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: Axes = None, *, keepdims: bool = False
    ) -> NDArray[np.bool_] | ArrayCondition: ...


class Place(Protocol):
    """The place of a number among all, or the places along an axis."""

    @overload
    def __call__(
        self, x: Data, /, axis: None = None, keepdims: Literal[False] = False
    ) -> np.intp: ...
    @overload
    def __call__(
        self, x: ArrayVar, /, axis: None = None, keepdims: Literal[False] = False
    ) -> Var: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: None = None, keepdims: Literal[False] = False
    ) -> np.intp | Var: ...
    @overload
    def __call__(self, x: Data, /, axis: int, keepdims: bool = False) -> NDArray[np.intp]: ...
    @overload
    def __call__(self, x: ArrayVar, /, axis: int, keepdims: bool = False) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: int, keepdims: bool = False
    ) -> NDArray[np.intp] | ArrayVar: ...


class Placed(Protocol[P]):
    """A function that makes places of the numbers of an array."""

    @overload
    def __call__(self, x: Data, /, *args: P.args, **options: P.kwargs) -> NDArray[np.intp]: ...
    @overload
    def __call__(self, x: Traces, /, *args: P.args, **options: P.kwargs) -> ArrayVar: ...
    @overload
    def __call__(
        self, x: Arr, /, *args: P.args, **options: P.kwargs
    ) -> NDArray[np.intp] | ArrayVar: ...


class Interpolation(Protocol[P]):
    """A function of where, and of two arrays: of the kind of the first, if it is traced."""

    @overload
    def __call__(
        self, x: float, xp: Data, fp: Data, /, *args: P.args, **options: P.kwargs
    ) -> float: ...
    @overload
    def __call__(
        self, x: Arr, xp: Data, fp: Data, /, *args: P.args, **options: P.kwargs
    ) -> Arr: ...
    @overload
    def __call__(
        self, x: Data, xp: Data, fp: Arr, /, *args: P.args, **options: P.kwargs
    ) -> Arr: ...
    @overload
    def __call__(self, x: Arr, xp: Data, fp: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(self, x: Arr, xp: Arr, fp: Arr, /, *args: P.args, **options: P.kwargs) -> Arr: ...
    @overload
    def __call__(
        self, x: Real, xp: Data, fp: Data, /, *args: P.args, **options: P.kwargs
    ) -> Real: ...
    @overload
    def __call__(
        self, x: Number, xp: Numbers, fp: Numbers, /, *args: P.args, **options: P.kwargs
    ) -> Number: ...


class Agreement(Protocol[P]):
    """A question about two arrays together."""

    @overload
    def __call__(
        self, x: Data | float, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> bool: ...
    @overload
    def __call__(
        self, x: ArrayVar | Var, y: Numbers | Number, /, *args: P.args, **options: P.kwargs
    ) -> bool | Condition: ...
    @overload
    def __call__(
        self, x: Data | float, y: ArrayVar | Var, /, *args: P.args, **options: P.kwargs
    ) -> bool | Condition: ...
    @overload
    def __call__(
        self, x: Arr, y: Data | float, /, *args: P.args, **options: P.kwargs
    ) -> bool | Condition: ...
    @overload
    def __call__(
        self, x: Arr, y: Arr, /, *args: P.args, **options: P.kwargs
    ) -> bool | Condition: ...


# What declares a function.


def unary(function: Callable[Concatenate[ArrayLike, P], ArrayLike]) -> Unary[P]:
    """Declares a function that goes element by element."""
    return cast("Unary[P]", function)


def kept(function: Callable[Concatenate[ArrayLike, P], ArrayLike]) -> Kept[P]:
    """Declares a function that moves numbers, or leaves some out."""
    return cast("Kept[P]", function)


def matrix(function: Callable[Concatenate[ArrayLike, P], ArrayLike]) -> Matrix[P]:
    """Declares a function of one array."""
    return cast("Matrix[P]", function)


def valued(function: Callable[Concatenate[ArrayLike, P], ArrayLike]) -> Valued[P]:
    """Declares a function that makes one number of an array."""
    return cast("Valued[P]", function)


def binary(function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike]) -> Binary[P]:
    """Declares a function of two arrays or numbers."""
    return cast("Binary[P]", function)


def product(function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike]) -> Product[P]:
    """Declares a function of two arrays that makes an array."""
    return cast("Product[P]", function)


def inner_product(function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike]) -> Inner[P]:
    """Declares a function of two arrays that makes one number."""
    return cast("Inner[P]", function)


def comparison(
    function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike],
) -> Comparison[P]:
    """Declares a function of two arrays or numbers that makes truths."""
    return cast("Comparison[P]", function)


def test(function: Callable[[ArrayLike], ArrayLike]) -> Test:
    """Declares a question about each number."""
    return cast("Test", function)


def taken(function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike]) -> Taken[P]:
    """Declares a function of an array and of places in it."""
    return cast("Taken[P]", function)


def written(function: Callable[[ArrayLike, ArrayLike, ArrayLike], ArrayLike]) -> Written:
    """Declares a function of an array, of an index, and of numbers."""
    return cast("Written", function)


def chosen(function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike]) -> Chosen[P]:
    """Declares a function of a condition and of an array."""
    return cast("Chosen[P]", function)


def place(function: Callable[..., ArrayLike]) -> Place:
    """Declares a function that makes the place of a number."""
    return cast("Place", function)


def placed(function: Callable[Concatenate[ArrayLike, P], ArrayLike]) -> Placed[P]:
    """Declares a function that makes places of numbers."""
    return cast("Placed[P]", function)


def interpolation(
    function: Callable[Concatenate[ArrayLike, ArrayLike, ArrayLike, P], ArrayLike],
) -> Interpolation[P]:
    """Declares a function of where, and of two arrays."""
    return cast("Interpolation[P]", function)


def agreement(
    function: Callable[Concatenate[ArrayLike, ArrayLike, P], ArrayLike],
) -> Agreement[P]:
    """Declares a question about two arrays together."""
    return cast("Agreement[P]", function)


def filled(function: Callable[..., ArrayLike]) -> Filled:
    """Declares a function that makes an array of the shape of another one."""
    return cast("Filled", function)


def joined(function: Callable[Concatenate[Sequence[ArrayLike], P], ArrayLike]) -> Joined[P]:
    """Declares a function that makes one array of several."""
    return cast("Joined[P]", function)


def reduction(function: Callable[..., ArrayLike]) -> Reduction:
    """Declares a function of all numbers, or of those along axes."""
    return cast("Reduction", function)
