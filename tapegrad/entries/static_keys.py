"""Keys that tell static operands apart, wherever entries are compared or shared.

A static operand is what an entry keeps beside its operands: the exponent of ``x ** 3``, the
equation of a ``root``. How it prints says nothing about what it does, so keys are by value or by
identity.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from functools import partial
from types import EllipsisType, MethodType, NoneType
from typing import Any, cast

from tapegrad._support.closures import Witness
from tapegrad._support.source_position import Site
from tapegrad.ops.array_support import is_array
from tapegrad.pytree.attributes import may_change
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.value_keys import ByIdentity

__all__ = ["Keyed", "static_key"]


class Keyed:
    """An object that says by which key it is told apart as a static operand, or in one."""

    __slots__ = ()

    @property
    def static_key(self) -> Hashable:
        """The key that it shares with those that may stand for it."""
        raise NotImplementedError


def static_key(static: object) -> Hashable:
    """The key that two static operands share if one may stand for the other.

    Numbers and text are compared by type and value (floats by their bits), arrays by their bytes,
    containers and callables that cannot change by what they are made of: tuples, slices, instances
    of frozen attrs classes and dataclasses, bound methods, partial functions. Positions in the
    source, and values that were seen, tell nothing apart. All else is compared by identity.
    """
    kind = type(static)
    match static:
        case float():
            return kind, struct.pack("d", static)
        case int() | str() | bytes():
            return kind, static
        case Site() | Witness() | NoneType() | EllipsisType():
            return (kind,)
        case tuple():
            parts = static
        case slice():
            parts = static.start, static.stop, static.step
        case MethodType():
            parts = static.__self__, static.__func__
        case partial():
            parts = static.func, static.args, *static.keywords.items()
        case _:
            return _object_key(static)
    return kind, *map(static_key, parts)


def _object_key(static: object) -> Hashable:
    if is_array(static):
        return _array_key(static)
    if isinstance(static, Keyed):
        return type(static), static.static_key
    opened = None if may_change(static) else keys_and_parts(static)
    return ByIdentity(static) if opened is None else (type(static), *map(static_key, opened[1]))


def _array_key(array: object) -> Hashable:
    """The key of an array; one of objects is compared by identity."""
    found = cast(Any, array)
    if found.dtype.hasobject:
        return ByIdentity(array)
    return type(array), found.dtype.str, found.shape, found.tobytes()
