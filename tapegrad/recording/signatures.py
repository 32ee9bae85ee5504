"""The types of functions of numbers, as in ``tapegrad.math``, for type checkers alone."""

# To mypy, Real is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, final, overload

from tapegrad.recording.recorder import Condition, Real, Var

__all__ = [
    "Binary", "Fold", "Norm", "OfUntyped", "Products", "Rounding", "Slope", "Ternary", "Test",
    "Unary", "Untyped", "UntypedResult",
]  # fmt: skip

P = ParamSpec("P")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Unary(Protocol):
    """A function of one number."""

    # Floats first: of an overloaded argument mypy takes the first that fits, so that grad(sin)
    # is a function of a float. Then Real, as ty and pyrefly read the body of a model once.
    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: Real, /) -> Real: ...
    @overload
    def __call__(self, x: float | Var, /) -> float | Var: ...


class Rounding(Protocol):
    """A function to the integers: an int for a float, a traced number for a traced one."""

    @overload
    def __call__(self, x: float, /) -> int: ...
    @overload
    def __call__(self, x: Real, /) -> Real: ...
    @overload
    def __call__(self, x: float | Var, /) -> int | Var: ...


class Binary(Protocol):
    """A function of two numbers, either of which may be traced."""

    @overload
    def __call__(self, x: float, y: float, /) -> float: ...
    @overload
    def __call__(self, x: Real, y: Real, /) -> Real: ...
    @overload
    def __call__(self, x: Real, y: float, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, /) -> Real: ...
    @overload
    def __call__(self, x: Var, y: float | Var, /) -> Var: ...
    @overload
    def __call__(self, x: float | Var, y: Var, /) -> Var: ...
    @overload
    def __call__(self, x: float | Var, y: float | Var, /) -> float | Var: ...


class Ternary(Protocol):
    """A function of three numbers, each of which may be traced."""

    @overload
    def __call__(self, x: float, y: float, z: float, /) -> float: ...
    @overload
    def __call__(self, x: Real, y: Real, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: Real, y: Real, z: float, /) -> Real: ...
    @overload
    def __call__(self, x: Real, y: float, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: Real, y: float, z: float, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, z: float, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: float, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: Var, y: float | Var, z: float | Var, /) -> Var: ...
    @overload
    def __call__(self, x: float | Var, y: Var, z: float | Var, /) -> Var: ...
    @overload
    def __call__(self, x: float | Var, y: float | Var, z: Var, /) -> Var: ...
    @overload
    def __call__(self, x: float | Var, y: float | Var, z: float | Var, /) -> float | Var: ...


class Fold(Protocol):
    """A function of any number of numbers."""

    # Generic, and not one overload per type: pyright follows a list of Real only so.
    @overload
    def __call__(self, xs: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, xs: Iterable[float | Var], /) -> float | Var: ...


class Norm(Protocol):
    """A function of coordinates."""

    @overload
    def __call__(self, x: Real, /, *others: float) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, /, *others: float) -> Real: ...
    @overload
    def __call__(self, x: Real, y: Real, /, *others: float) -> Real: ...
    @overload
    def __call__(self, x: Real, y: float, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: Real, z: Real, /) -> Real: ...
    @overload
    def __call__(self, x: float, y: float, z: Real, /) -> Real: ...
    @overload
    def __call__(self, *coordinates: Real) -> Real: ...
    @overload
    def __call__(self, *coordinates: Var | float) -> Var | float: ...


class Products(Protocol):
    """A function of two sequences of the same length."""

    @overload
    def __call__(self, p: Iterable[Real], q: Iterable[float], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[float], q: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[Real], q: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[float | Var], q: Iterable[float | Var], /) -> float | Var: ...


class Test(Protocol):
    """A question about a number."""

    @overload
    def __call__(self, x: float, /) -> bool: ...
    @overload
    def __call__(self, x: Var, /) -> Condition: ...
    @overload
    def __call__(self, x: float | Var, /) -> bool | Condition: ...


class Slope(ABC, Generic[P]):
    """The derivative of a function from ``Scalar`` to ``Scalar``."""

    # A class, and no protocol, which other functions would be taken to follow.
    @overload
    @abstractmethod
    def __call__(self, x: float, /, *args: P.args, **kwargs: P.kwargs) -> float: ...
    @overload
    @abstractmethod
    def __call__(self, x: float | Var, /, *args: P.args, **kwargs: P.kwargs) -> float | Var: ...


@final
class Untyped:
    """An argument that only functions without types take, besides those that take any object.

    To a checker, such a function takes and returns everything. An overload that takes an
    ``Untyped`` and returns an ``UntypedResult`` stands before others, so that it is not taken for
    one that returns a float.
    """

    # For the bodies of lambdas, to which it is the type of the argument.
    def __getattr__(self, name: str, /) -> Any: ...
    def __add__(self, other: object, /) -> Any: ...
    def __radd__(self, other: object, /) -> Any: ...
    def __sub__(self, other: object, /) -> Any: ...
    def __rsub__(self, other: object, /) -> Any: ...
    def __mul__(self, other: object, /) -> Any: ...
    def __rmul__(self, other: object, /) -> Any: ...
    def __truediv__(self, other: object, /) -> Any: ...
    def __rtruediv__(self, other: object, /) -> Any: ...
    def __pow__(self, other: object, /) -> Any: ...
    def __rpow__(self, other: object, /) -> Any: ...
    def __lt__(self, other: object, /) -> Any: ...
    def __le__(self, other: object, /) -> Any: ...
    def __gt__(self, other: object, /) -> Any: ...
    def __ge__(self, other: object, /) -> Any: ...
    def __getitem__(self, other: object, /) -> Any: ...


@final
class UntypedResult:
    """A result that only functions without types have."""


class OfUntyped(Protocol[A_contra, P, R_co]):
    """A function made of one without types.

    Other overloads return a Callable beside it: where an argument has no type, mypy's answer is
    then Any, and of functions alone it is an untyped one, which --strict does not let be called.
    """

    def __call__(self, x: A_contra, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Takes what that one takes."""
