"""Methods that are compiled on their class: each object keeps what was recorded for it."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TypeVar, cast, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.pytree.attributes import METHODS, dict_of

__all__ = ["bound"]

T = TypeVar("T")


@final
class _Methods(dict[tuple[int, int], tuple[object, ...]]):
    """The compiled methods of an object; those of a copy are made anew."""

    def __reduce__(self) -> tuple[type[_Methods], tuple[()]]:
        return _Methods, ()


def bound(
    wrapper: object,
    function: Callable[..., object],
    instance: object,
    make: Callable[[Callable[..., object]], T],
) -> T:
    """The result of ``make`` for a wrapped function as an object's method; made once.

    Raises:
        InputError: where the object has no ``__dict__`` to keep it in.
    """
    space = dict_of(instance)
    if not isinstance(space, dict):
        raise InputError(
            f"{name_of(function)} was compiled as a method, and {describe(instance)} ({here()}) "
            "has slots and no __dict__ to keep what is recorded: compile the method of the object "
            "instead, as in tapegrad.jit(model.method)"
        )
    methods = cast(_Methods, space.setdefault(METHODS, _Methods()))
    place = id(wrapper), id(instance)  # the object itself, as copies may share this dict
    if place not in methods:
        methods[place] = wrapper, instance, make(MethodType(function, instance))
    return cast(T, methods[place][-1])
