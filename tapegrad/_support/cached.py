"""A property that is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

__all__ = ["cached"]

R = TypeVar("R")


@final
class cached(Generic[R]):  # noqa: N801  # a decorator
    """A property that is computed when it is first asked for, and kept in the instance.

    The standard library's, before Python 3.12, holds a lock of the class meanwhile, which a forked
    process would wait for without end. Two threads may both compute; one of the results is kept.
    """

    def __init__(self, compute: Callable[[Any], R]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> R:
        kept: dict[str, R] = instance.__dict__
        return kept.setdefault(self._name, self._compute(instance))
