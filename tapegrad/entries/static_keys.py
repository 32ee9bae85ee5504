"""Keys that tell static operands apart, wherever entries are compared or shared.

A static operand is what an entry keeps beside its operands: the exponent of ``x ** 3``, the
equation of a ``root``. How it prints says nothing about what it does, so keys are by value or by
identity.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from functools import partial, singledispatch
from types import MethodType
from typing import final

import attrs

from tapegrad.pytree.classes import class_fields

__all__ = ["ByIdentity", "static_key"]


@final
@attrs.frozen
class ByIdentity:
    """A key that equals another for the same object only, and keeps that object alive."""

    value: object = attrs.field(eq=id)


@singledispatch
def static_key(static: object) -> Hashable:
    """The key that two static operands share if one may stand for the other.

    Numbers and text are compared by type and value (floats by their bits), containers and
    callables that cannot change by what they are made of: tuples, instances of hashable attrs
    classes and dataclasses, bound methods, partial functions. All else is compared by identity.
    """
    kind = type(static)
    fields = None if kind.__hash__ in {None, object.__hash__} else class_fields(kind)
    if fields is None:
        return ByIdentity(static)
    return kind, *(static_key(getattr(static, name)) for name in fields.fields)


@static_key.register
def _float_key(static: float) -> Hashable:
    return type(static), struct.pack("d", static)


@static_key.register
def _value_key(static: int | str | bytes) -> Hashable:
    return type(static), static


@static_key.register
def _tuple_key(static: tuple) -> Hashable:  # type: ignore[type-arg]  # registered by its class
    return type(static), *map(static_key, static)


@static_key.register
def _method_key(static: MethodType) -> Hashable:
    return MethodType, static_key(static.__self__), static_key(static.__func__)


@static_key.register
def _partial_key(static: partial) -> Hashable:  # type: ignore[type-arg]  # registered by its class
    keywords = tuple(static.keywords.items())
    return partial, *map(static_key, (static.func, static.args, keywords))
