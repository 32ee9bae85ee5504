"""The types of the functions of this namespace, for type checkers alone."""

# To mypy, Arr is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from tapegrad.numpy.arrays import Arr, Floats
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, Axes
from tapegrad.recording.recorder import Condition, Real, Var

__all__ = ["Binary", "Comparison", "Reduction", "Spread", "Test", "Truth", "Unary"]

Number: TypeAlias = float | Var


# Plain arrays first: of an overloaded argument mypy takes the first that fits, so that grad(norm)
# is a function of an array.


class Unary(Protocol):
    """A function that goes element by element."""

    @overload
    def __call__(self, x: Arr, /) -> Arr: ...
    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: Real, /) -> Real: ...


class Binary(Protocol):
    """A function of two arrays or numbers, element by element."""

    @overload
    def __call__(self, x: Arr, y: Arr | float, /) -> Arr: ...
    @overload
    def __call__(self, x: float, y: Arr, /) -> Arr: ...
    @overload
    def __call__(self, x: ArrayVar, y: ArrayVar | Floats | Number, /) -> ArrayVar: ...
    @overload
    def __call__(self, x: Floats | Number, y: ArrayVar, /) -> ArrayVar: ...
    @overload
    def __call__(self, x: Floats, y: Var, /) -> ArrayVar: ...
    @overload
    def __call__(self, x: Var, y: Floats, /) -> ArrayVar: ...
    @overload
    def __call__(self, x: float, y: float, /) -> float: ...
    @overload
    def __call__(self, x: Real, y: Real | float, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, /) -> Real: ...


class Comparison(Protocol):
    """A comparison, or a connective of conditions, element by element."""

    @overload
    def __call__(self, x: ArrayVar | ArrayCondition, y: object, /) -> ArrayCondition: ...
    @overload
    def __call__(self, x: object, y: ArrayVar | ArrayCondition, /) -> ArrayCondition: ...
    @overload
    def __call__(
        self, x: Floats | NDArray[np.bool_], y: Floats | NDArray[np.bool_] | float, /
    ) -> NDArray[np.bool_]: ...
    @overload
    def __call__(self, x: float, y: Floats | NDArray[np.bool_], /) -> NDArray[np.bool_]: ...
    @overload
    def __call__(self, x: Var | Condition, y: Number | Condition, /) -> Condition: ...
    @overload
    def __call__(self, x: float | Condition, y: Var | Condition, /) -> Condition: ...
    @overload
    def __call__(self, x: float, y: float, /) -> bool: ...


class Test(Protocol):
    """A question about each number."""

    @overload
    def __call__(self, x: Floats | NDArray[np.bool_], /) -> NDArray[np.bool_]: ...
    @overload
    def __call__(self, x: ArrayVar | ArrayCondition, /) -> ArrayCondition: ...
    @overload
    def __call__(self, x: Var | Condition, /) -> Condition: ...
    @overload
    def __call__(self, x: float, /) -> bool: ...


class Reduction(Protocol):
    """A function that takes all numbers together, or those along axes."""

    @overload
    def __call__(
        self, x: Floats, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> float: ...
    @overload
    def __call__(
        self, x: ArrayVar, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> Var: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: None = None, *, keepdims: Literal[False] = False
    ) -> Number: ...
    @overload
    def __call__(self, x: Arr, /, axis: Axes = None, *, keepdims: bool = False) -> Arr: ...


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
        x: ArrayVar,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> Var: ...
    @overload
    def __call__(
        self,
        x: Arr,
        /,
        axis: None = None,
        *,
        correction: float = 0.0,
        keepdims: Literal[False] = False,
    ) -> Number: ...
    @overload
    def __call__(
        self, x: Arr, /, axis: Axes = None, *, correction: float = 0.0, keepdims: bool = False
    ) -> Arr: ...


class Truth(Protocol):
    """A question about all numbers, or about those along axes."""

    @overload
    def __call__(
        self,
        x: Floats | NDArray[np.bool_],
        /,
        axis: None = None,
        *,
        keepdims: Literal[False] = False,
    ) -> bool: ...
    @overload
    def __call__(
        self,
        x: ArrayVar | ArrayCondition,
        /,
        axis: None = None,
        *,
        keepdims: Literal[False] = False,
    ) -> Condition: ...
    @overload
    def __call__(
        self, x: Floats | NDArray[np.bool_], /, axis: Axes = None, *, keepdims: bool = False
    ) -> NDArray[np.bool_]: ...
    @overload
    def __call__(
        self, x: ArrayVar | ArrayCondition, /, axis: Axes = None, *, keepdims: bool = False
    ) -> ArrayCondition: ...
