"""The attributes of objects, read without calling any of the user's code."""

from __future__ import annotations

import sys
from _thread import _local
from abc import ABC
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from enum import Enum
from functools import cache
from itertools import chain
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
)
from typing import Final, Generic, Protocol, cast
from weakref import ref

from tapegrad.ops.array_support import is_array

__all__ = [
    "METHODS", "attributes_of", "bound_to", "dict_of", "extends_library", "is_library",
    "is_library_class", "may_change", "shown_by",
]  # fmt: skip

_HEAP_TYPE: Final = 1 << 9
"""The flag of classes that are made by a ``class`` statement, or as if they were."""
_CACHED_HASH: Final = "_attrs_cached_hash"
"""Where attrs keeps the hash of an instance, which says nothing new."""
METHODS: Final = "_tapegrad_methods"
"""Where an object keeps its compiled methods."""
_FIXED: Final = (
    int, str, bytes, float, complex, NoneType, Enum, type, ModuleType, BuiltinFunctionType,
    CodeType,
)  # fmt: skip
"""Kinds of values of which no part that is compared by value can change."""
_HOLDERS: Final = (dict, list, set, bytearray, deque)
"""Kinds of values whose methods read what may change."""


def attributes_of(value: object) -> dict[str, object]:
    """The attributes of an instance, in its ``__dict__`` and in slots."""
    found = dict(dict_of(value))
    for base in type(value).__mro__[:-1]:
        for name, slot in vars(base).items():
            if type(slot) is MemberDescriptorType:
                try:
                    found[name] = slot.__get__(value)
                except AttributeError:
                    continue
    for name in (_CACHED_HASH, METHODS):
        found.pop(name, None)
    return found


def dict_of(value: object) -> Mapping[str, object]:
    """The ``__dict__`` of an object; an empty one that is not a dict where it has none."""
    for base in type(value).__mro__:
        found = vars(base).get("__dict__")
        if type(found) is GetSetDescriptorType:
            return cast("Mapping[str, object]", found.__get__(value))
    return MappingProxyType({})


def extends_library(kind: type) -> bool:
    """Whether a class has bases of others, whose instances may hold more than attributes."""
    bases = (base for base in kind.__mro__ if base not in _EMPTY_BASES)
    return any(map(is_library_class, bases))


_EMPTY_BASES: Final = frozenset((object, ABC, Generic, Protocol))


def is_library_class(kind: type) -> bool:
    """Whether a class is of Python's own or of an installed package."""
    return not kind.__flags__ & _HEAP_TYPE or is_library(vars(kind).get("__module__"))


@cache
def is_library(module: object) -> bool:
    """Whether a module of this name is of the standard library, or of an installed package."""
    top = str(module).partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return True
    file = str(getattr(sys.modules.get(top), "__file__", None))
    return "site-packages" in file or "dist-packages" in file


_VIEWS: Final = (
    MappingProxyType, memoryview, ContextVar, _local, ref, *map(type, ({}.keys(), {}.values())),
    type({}.items()),
)  # fmt: skip
"""Kinds of values that show others, and have nothing of their own."""
_UNSET: Final = object()
"""Stands for a context variable without a value."""


def bound_to(value: object) -> object:
    """The list, dict, set, deque or array whose method a value is; None for anything else."""
    if not isinstance(value, BuiltinFunctionType | MethodWrapperType):
        return None
    holder: object = value.__self__
    return holder if isinstance(holder, _HOLDERS) or is_array(holder) else None


def shown_by(value: object) -> tuple[object, ...] | None:
    """The values that a view shows now; None for what is no view.

    Views are those of dicts and of memory, context variables, what a thread has of its own, weak
    references, and methods of lists, dicts and the like.
    """
    if (holder := bound_to(value)) is not None:
        return value.__name__, holder  # type: ignore[attr-defined]  # a method
    if not isinstance(value, _VIEWS):
        return None
    if isinstance(value, memoryview):
        return value.format, str(value.shape), value.tobytes()
    if isinstance(value, ContextVar):
        return (value.get(_UNSET),)
    if isinstance(value, ref):
        return (value(),)
    if isinstance(value, _local):
        return *vars(value), *vars(value).values()
    if isinstance(value, MappingProxyType):
        return *value, *value.values()
    parts = list(cast("Iterable[object]", value))
    items = isinstance(value, type({}.items()))
    return tuple(chain.from_iterable(cast("list[tuple[object]]", parts))) if items else (*parts,)


def may_change(value: object) -> bool:
    """Whether a value, or a part of it, may change in place.

    Instances of frozen classes and of classes of others that have a hash by value do not, unless
    a part does. The user's functions and classes may: by what they read, and by their data; and
    so may methods, by the object that they are bound to.
    """
    kind = type(value)
    if isinstance(value, MethodType):
        return may_change(value.__self__) or may_change(value.__func__)
    if isinstance(value, _VIEWS) or bound_to(value) is not None:
        return True
    if isinstance(value, FunctionType):
        return not is_library(value.__globals__.get("__name__"))
    if isinstance(value, type):
        return not (is_library_class(value) or issubclass(value, Enum))
    if isinstance(value, tuple | frozenset):
        return _any_may_change(value) or bool(dict_of(value))
    if is_library_class(kind):
        return not isinstance(value, _FIXED) and kind.__hash__ in {None, object.__hash__}
    if isinstance(value, Enum):
        return False
    return not _is_frozen(kind) or _any_may_change(attributes_of(value).values())


def _any_may_change(parts: Iterable[object]) -> bool:
    try:
        return any(map(may_change, parts))
    except RecursionError:
        return True


def _is_frozen(kind: type) -> bool:
    """Whether a class is an attrs class or a dataclass that refuses to set attributes."""
    parameters = vars(kind).get("__dataclass_params__")
    return (parameters is not None and parameters.frozen) or (
        getattr(kind.__setattr__, "__name__", "") == "_frozen_setattrs"
    )
