"""Functions made of functions, which are pickled where those can be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from types import MethodType
from typing import Generic, ParamSpec, TypeAlias, TypeVar

__all__ = ["FunctionWrapper", "Reduced", "reduced"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

Reduced: TypeAlias = str | tuple[Callable[..., object], tuple[object, ...]]
"""The result of ``__reduce__``."""


class FunctionWrapper(Generic[P, R_co]):
    """A function made of another one, whose name, parameters and description it has.

    ``make(f)`` makes it again, which is how it is pickled and copied. In a class it is a method, as
    functions are.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., object]

    def __init__(
        self,
        f: Callable[..., object],
        call: Callable[..., R_co],
        make: Callable[..., object],
    ) -> None:
        self.__name__ = self.__qualname__ = type(f).__qualname__
        update_wrapper(self, f, updated=())
        self._call = call
        self._make = make

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result of the function."""
        return self._call(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> object:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Reduced:
        return reduced(self, self._make, self.__wrapped__)

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


def reduced(made: object, make: Callable[..., object], f: Callable[..., object]) -> Reduced:
    """How ``make(f)``, which is ``made``, is pickled: by its name where it is found by that."""
    module, name = getattr(made, "__module__", ""), str(getattr(made, "__qualname__", ""))
    return name if _found(module, name) is made else (_made_again, (make, f))


def _made_again(make: Callable[..., object], f: Callable[..., object]) -> object:
    return make(f)


def _found(module: str, name: str) -> object:
    """The object that a module has under a qualified name, or None."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
