"""Tells static operands apart, wherever entries are compared or shared.

A static operand is what an entry keeps beside its operands: the exponent of ``x ** 3``, the
equation of a ``root``. How it prints says nothing about what it does, so keys are by value or by
identity.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from functools import singledispatch
from types import MethodType
from typing import final

import attrs

__all__ = ["Itself", "static_key"]


@final
@attrs.frozen
class Itself:
    """A key that equals another for the same object only, and keeps that object alive."""

    value: object = attrs.field(eq=id)


@singledispatch
def static_key(static: object) -> Hashable:
    """Return a key that two static operands share if one may stand for the other.

    Numbers are compared by type and bits, bound methods by their object and function, and all else
    by identity. A class whose instances are values registers a function that says so.
    """
    return Itself(static)


@static_key.register
def _float_key(static: float) -> Hashable:
    return type(static), struct.pack("d", static)


@static_key.register
def _int_key(static: int) -> Hashable:
    return type(static), static


@static_key.register
def _method_key(static: MethodType) -> Hashable:
    return MethodType, Itself(static.__self__), static_key(static.__func__)
