"""The types of the functions in ``tapegrad.math``, for type checkers alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, overload

from tapegrad.recording.recorder import Condition, Real, Var

__all__ = ["Binary", "Fold", "Products", "Rounding", "Test", "Unary"]


class Unary(Protocol):
    """A function of one number."""

    # Floats first: of an overloaded argument mypy takes the first that fits, so that grad(sin)
    # is a function of a float.
    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: Var, /) -> Var: ...


class Rounding(Protocol):
    """A function to the integers: an int for a float, a traced number for a traced one."""

    @overload
    def __call__(self, x: float, /) -> int: ...
    @overload
    def __call__(self, x: Var, /) -> Var: ...


class Binary(Protocol):
    """A function of two numbers, either of which may be traced."""

    @overload
    def __call__(self, x: float, y: float, /) -> float: ...
    @overload
    def __call__(self, x: Var, y: Var | float, /) -> Var: ...
    @overload
    def __call__(self, x: float, y: Var, /) -> Var: ...


class Fold(Protocol):
    """A function of any number of numbers."""

    # Generic, and not one overload per type: pyright follows a list of Real only so.
    @overload
    def __call__(self, xs: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, xs: Iterable[float | Var], /) -> float | Var: ...  # type: ignore[overload-cannot-match]  # to mypy, Real is a union here


class Products(Protocol):
    """A function of two sequences of the same length."""

    @overload
    def __call__(self, p: Iterable[Real], q: Iterable[float], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[float], q: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[Real], q: Iterable[Real], /) -> Real: ...
    @overload
    def __call__(self, p: Iterable[float | Var], q: Iterable[float | Var], /) -> float | Var: ...  # type: ignore[overload-cannot-match]  # to mypy, Real is a union here


class Test(Protocol):
    """A question about a number."""

    @overload
    def __call__(self, x: float, /) -> bool: ...
    @overload
    def __call__(self, x: Var, /) -> Condition: ...
