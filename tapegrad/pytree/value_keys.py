"""Keys that tell static values apart: equal keys for values that a model cannot tell apart.

A key is by type and value and in order: numbers to the bit, arrays by dtype, shape and bytes,
objects by their attributes, functions by their code and by what it reads from outside. It is a
snapshot: an object that has changed since has another key.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import Enum
from struct import pack
from types import BuiltinFunctionType, CodeType, ModuleType, NoneType
from typing import Any, Final, TypeAlias, cast, final

from tapegrad.ops.primitive import Traced
from tapegrad.pytree.attributes import (
    attributes_of,
    bound_to,
    extends_library,
    is_library_class,
    may_change,
    shown_by,
)
from tapegrad.pytree.outside_parts import has_parts, is_its_parts, parts_of
from tapegrad.pytree.structure import Leaf, Static, Structure

__all__ = [
    "WHOLE",
    "ByIdentity",
    "KeyMaker",
    "Place",
    "Places",
    "same_value",
    "unshared",
    "value_key",
]

_MOST_PARTS: Final = 10_000
"""The most parts of a value that its key has; those beyond are compared by identity."""
_DEEPEST: Final = 100
"""The levels of a value that its key has; those beyond are compared by identity."""
_TEXT: Final = frozenset((int, bool, str, bytes, NoneType))
"""The types of which two values do the same where Python calls them equal."""
WHOLE: Final = "everything in it"
"""The name of the one place of a list, a set, an array, or what ``pickle`` takes apart."""
_THEMSELVES: Final = (Enum, ModuleType, CodeType, BuiltinFunctionType)
"""Kinds of values that are compared by identity."""


@final
class ByIdentity:
    """A key that equals another for the same object only, and keeps that object alive."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value: object = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def value_key(value: object) -> Hashable:
    """The key of a static value."""
    return KeyMaker().key(value)


def same_value(one: object, other: object) -> bool:
    """Whether a model cannot tell two static values apart."""
    return one is other or value_key(one) == value_key(other)


def unshared(value: object) -> object:
    """A copy that no change of the value reaches; the value itself where it cannot change.

    What keys compare by identity is not copied, nor is what refuses to be.
    """
    if not may_change(value):
        return value
    maker = KeyMaker()
    key = maker.key(value)
    try:
        copied = copy.deepcopy(value, {id(part): part for part in maker.identities})
    except Exception:  # noqa: BLE001  # the classes of others raise what they like
        return value
    return copied if value_key(copied) == key else value


Place: TypeAlias = tuple[int, Hashable]
"""The identity of an object, and the name or key of one of its parts."""
Places: TypeAlias = Mapping[Place, object]
"""Places, each with its object, which is kept alive."""


@final
class KeyMaker:
    """Makes the keys of values that are read together.

    The parts at places that are ``written`` by the model itself are left out. ``has_traced`` says
    whether a number of an open recording was among the parts; ``identities`` are the parts that are
    compared by identity; ``contents`` has a short key for each place, with its object.
    """

    has_traced: bool
    identities: list[object]
    contents: dict[Place, tuple[object, Hashable]]

    def __init__(self, written: Places | None = None) -> None:
        self.has_traced = False
        self.identities = []
        self.contents = {}
        self._written = written or {}
        self._seen: dict[int, tuple[int, object]] = {}
        self._parts = 0
        self._depth = 0

    def key(self, value: object) -> Hashable:
        """The key of a value; one met before is said to be that one."""
        kind = type(value)
        if kind in _TEXT:
            return kind, value
        if kind is float or kind is complex:
            number = cast(complex, value)
            return kind, pack("2d", number.real, number.imag)
        self._parts += 1
        if self._parts > _MOST_PARTS or self._depth > _DEEPEST:
            return self._itself(value)
        if kind is not tuple:
            if id(value) in self._seen:
                return "seen", self._seen[id(value)][0]
            self._seen[id(value)] = len(self._seen), value
        self._depth += 1
        try:
            return self._inside(value, kind)
        except RecursionError:
            return self._itself(value)
        finally:
            self._depth -= 1

    def structure(self, structure: Structure) -> Hashable:
        """The key of a structure: its classes and keys in order, and its static values."""
        if isinstance(structure, Leaf):
            return structure.shape or None
        if isinstance(structure, Static):
            return self.key(structure.value)
        children, access = structure.children, structure.container.access
        keys: Hashable = structure.keys
        if access == "index":
            keys = len(children)
            if structure.is_flat:
                return structure.kind, keys
        elif access == "key":
            keys = self.sequence(tuple, structure.keys)
        return structure.kind, keys, *map(self.structure, children)

    def is_read(self, holder: object, name: Hashable, part: object) -> bool:
        """Notes what is at a place; false for one that the model itself writes."""
        place = id(holder), name
        self.contents[place] = holder, _outline(part)
        return place not in self._written

    def _whole(self, value: object, key: Hashable, outline: Hashable) -> Hashable:
        """The key of a value all of whose parts are at one place."""
        place = id(value), WHOLE
        self.contents[place] = value, outline
        return self._itself(value) if place in self._written else key

    def _itself(self, value: object) -> Hashable:
        self.identities.append(value)
        return ByIdentity(value)

    def _inside(self, value: object, kind: type) -> Hashable:
        """The key of a value with parts."""
        if kind is tuple:
            return self.sequence(kind, cast("Sequence[object]", value))
        if kind is list:
            parts = cast("Sequence[object]", value)
            return self._whole(value, self.sequence(kind, parts), tuple(map(_outline, parts)))
        if kind is dict:
            return kind, *self._pairs(value, cast("Mapping[Hashable, object]", value))
        if kind is set or kind is frozenset:
            members = cast("Iterable[object]", value)
            keys = frozenset(map(self.key, members))
            return self._whole(value, (kind, keys), frozenset(map(_outline, members)))
        if isinstance(value, Traced):
            self.has_traced |= value.is_open
            return self._itself(value)
        if isinstance(value, _THEMSELVES) and bound_to(value) is None:
            return self._itself(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
            return self._of_array(value, kind)
        shown = shown_by(value)
        if shown is not None:
            key = kind, *map(self.key, shown)
            return self._whole(value, key, tuple(map(_outline, shown)))
        if has_parts(value):
            return self._of_parts(value, kind)
        return self._reduced(value) if is_library_class(kind) else self._of_instance(value, kind)

    def sequence(self, kind: type, values: Sequence[object]) -> Hashable:
        """The key of a list or tuple; numbers or texts of one type are not taken one by one."""
        kinds = set(map(type, values))
        if kinds == {float}:
            return kind, float, pack(f"{len(values)}d", *values)
        if len(kinds) == 1 and kinds <= _TEXT:
            return kind, *kinds, tuple(values)
        return kind, *map(self.key, values)

    def _pairs(self, value: object, parts: Mapping[Any, object]) -> tuple[Hashable, Hashable]:
        """The keys of the names, and of the parts, of a dict or of an object's attributes."""
        self.contents[id(value), WHOLE] = value, None
        read = {name: part for name, part in parts.items() if self.is_read(value, name, part)}
        return self.sequence(tuple, [*read]), self.sequence(tuple, [*read.values()])

    def _of_parts(self, value: object, kind: type) -> Hashable:
        """The key of a function or class."""
        parts = [
            (part.key, self.key(part.value))
            for part in parts_of(value)
            if part.access != "length" and self.is_read(part.holder, part.key, part.value)
        ]
        return kind if is_its_parts(value) else self._itself(value), *parts

    def _of_array(self, array: Any, kind: type) -> Hashable:
        """The key of an array or scalar of numpy's; one of objects goes by its elements."""
        parts = array.reshape(-1).tolist() if array.dtype.hasobject else [array.tobytes()]
        own = kind, array.dtype, array.shape
        attributes = attributes_of(array).values()
        key = *own, *map(self.key, parts), *map(self.key, attributes)
        return self._whole(array, key, (*own, *map(_outline, parts)))

    def _of_instance(self, value: object, kind: type) -> Hashable:
        """The key of an instance of a user's class: its attributes, and the data of the class."""
        content = self._reduced(value) if extends_library(kind) else None
        return self.key(kind), *self._pairs(value, attributes_of(value)), content

    def _reduced(self, value: object) -> Hashable:
        """The key of what pickle knows of an object; without that it is itself only."""
        inside = KeyMaker(self._written)
        inside._depth, inside._parts = self._depth, self._parts
        inside.identities, inside.contents = self.identities, self.contents
        try:
            reduced = value.__reduce_ex__(4)
            if isinstance(reduced, str):
                return self._itself(value)
            parts = [list(cast("Iterable[object]", part or ())) for part in reduced[3:5]]
            key = inside.key(type(value)), *map(inside.key, (*reduced[:3], *parts))
        except Exception:  # noqa: BLE001  # the classes of others raise what they like
            return self._itself(value)
        self.has_traced |= inside.has_traced
        self._parts = inside._parts
        return self._whole(value, key, key)


def _outline(value: object) -> Hashable:
    """A key that takes nothing apart: numbers and text by value, all else by identity."""
    kind = type(value)
    if kind in _TEXT:
        return kind, value
    return (kind, pack("d", value)) if kind is float else ByIdentity(value)
