"""Searches values that stand where no numbers are declared: in fields not annotated ``Real``."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import Final, cast

from tapegrad.ops.primitive import Traced
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.reachable import object_array_parts

__all__ = ["holds_floats", "holds_models", "is_plain"]

_PLAIN: Final = frozenset((int, str, bool, bytes, NoneType))
_WITHOUT_FLOATS: Final = str | bytes | bytearray | range


def holds_floats(value: object) -> bool:
    """Whether a value is a float or an array of floats, or a collection of floats or models."""
    if isinstance(value, float | Traced):
        return True
    if type(value) in _PLAIN or isinstance(value, _WITHOUT_FLOATS):
        return False
    if isinstance(value, array):
        return value.typecode in "fd"
    if getattr(getattr(value, "dtype", None), "kind", "") == "f" or holds_models(value):
        return True
    parts = object_array_parts(value)
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, Sequence | AbstractSet):
        parts = value
    return any(map(holds_floats, parts))


def is_plain(value: object) -> bool:
    """Whether a value is text, an int or the like, or a list or a dict of them, in short time."""
    if type(value) in _PLAIN:
        return True
    if type(value) is dict:
        return _PLAIN.issuperset(map(type, value.values()))
    return type(value) in {list, tuple} and _PLAIN.issuperset(
        map(type, cast("list[object]", value))
    )


def holds_models(value: object) -> bool:
    """Whether a container holds an instance of a class with numbers, however deep inside."""
    kind = container_kind(type(value))
    if kind is None:
        return False
    if kind.fields is not None and kind.holds_numbers:
        return True
    return any(map(holds_models, kind.open(value)[1]))
