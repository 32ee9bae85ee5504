"""The table of container kinds: how each is taken apart and put together again.

A new kind of container (``OrderedDict``, say) is one entry of ``CONTAINERS``; whatever reads or
writes containers asks this table. Classes with fields get their entry from their annotations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast, final
from weakref import WeakKeyDictionary

import attrs

from tapegrad.pytree.classes import Field, class_fields
from tapegrad.pytree.key_paths import Index, Keys

__all__ = [
    "CONTAINERS", "ContainerKind", "ObjectArray", "container_kind", "declare_numbers",
    "keys_and_parts",
]  # fmt: skip

Open: TypeAlias = Callable[[Any], tuple[Keys, Iterable[object]]]
Close: TypeAlias = Callable[[Any, Keys, Sequence[object]], object]


@final
@attrs.frozen(eq=False)
class ContainerKind:
    """How containers of one kind are opened, closed, and handled by generated code.

    ``open`` gives the keys and the parts of a container, ``close`` makes a container of a class
    from keys and parts. Code reads a part by its index (``x[0]``), by its key (``x["w"]``) or as a
    field (``x.w``), as ``access`` says, and builds a container by ``literal``, a template of
    Python's expression for it, or else by ``close``. ``fields`` says which fields of a class hold
    numbers.
    """

    open: Open
    close: Close
    access: Literal["index", "key", "field"]
    literal: str = ""
    fields: Mapping[Any, Field] | None = None
    holds_numbers: bool = attrs.field(init=False)
    is_of_numbers: bool = attrs.field(init=False)

    @holds_numbers.default
    def _has_field_of_numbers(self) -> bool:
        """Whether its parts may be numbers; those of a class without ``Real`` are not."""
        return self.fields is None or any(
            field is not Field.STATIC for field in self.fields.values()
        )

    @is_of_numbers.default
    def _has_fields_of_numbers_alone(self) -> bool:
        """Whether all of its parts may be numbers."""
        return self.fields is None or all(field is Field.REAL for field in self.fields.values())

    def is_static_number(self, key: object, part: object) -> bool:
        """Whether a part is a number in a field of a class that is not annotated ``Real``."""
        is_static = self.fields is not None and self.fields[key] is Field.STATIC
        return is_static and isinstance(part, int | float)


_INDICES: Final = [tuple(range(count)) for count in range(32)]
"""The keys of short sequences."""


def _open_sequence(value: Sequence[object]) -> tuple[Keys, Iterable[object]]:
    count = len(value)
    return _INDICES[count] if count < len(_INDICES) else tuple(range(count)), value


def _close_sequence(
    cls: Callable[[Sequence[object]], object], keys: Keys, parts: Sequence[object]
) -> object:
    return cls(parts)


def _open_mapping(value: Mapping[object, object]) -> tuple[Keys, Iterable[object]]:
    return tuple(value), value.values()


def _close_mapping(cls: type, keys: Keys, parts: Sequence[object]) -> object:
    made, place = {}, 0
    for key in keys:
        made[key] = parts[place]
        place += 1  # noqa: SIM113  # for a few parts sooner than enumerate, or zip
    return made


@final
class ObjectArray:
    """Stands in the structure of a result for an array of objects of numpy's."""


def _open_object_array(value: Any) -> tuple[Keys, Iterable[object]]:
    return tuple(map(Index, sys.modules["numpy"].ndindex(value.shape))), value.flat


def _close_object_array(cls: type, keys: Keys, parts: Sequence[object]) -> object:
    """An array of floats, or again of objects where some of them are no plain numbers."""
    *_, last = cast("tuple[tuple[int, ...], ...]", keys)
    found = sys.modules["numpy"].empty([index + 1 for index in last], object)
    for key, part in zip(keys, parts, strict=True):
        found[key] = part
    is_plain = all(isinstance(part, float | int) for part in parts)
    return cast(object, found.astype(float) if is_plain else found)


CONTAINERS: Final[Mapping[type, ContainerKind]] = {
    dict: ContainerKind(_open_mapping, _close_mapping, "key", "{{{}}}"),
    list: ContainerKind(_open_sequence, _close_sequence, "index", "[{}]"),
    tuple: ContainerKind(_open_sequence, _close_sequence, "index", "({})"),
    ObjectArray: ContainerKind(_open_object_array, _close_object_array, "key"),
}
"""The kinds that are classes of Python's own; a subclass of one is no container.

Arrays are taken apart in results alone.
"""

_CLASSES: WeakKeyDictionary[type, ContainerKind | None] = WeakKeyDictionary()
"""The kinds of classes seen so far, None for those that are no containers."""


def container_kind(cls: type) -> ContainerKind | None:
    """How containers of a class are taken apart and put together; None where it is no container."""
    kind = CONTAINERS.get(cls)
    if kind is not None:
        return kind
    try:
        return _CLASSES[cls]
    except KeyError:
        fields = class_fields(cls)
        _CLASSES[cls] = None if fields is None else _class_kind(cls, fields)
        return _CLASSES[cls]


def declare_numbers(cls: type) -> None:
    """Lets all fields of a named tuple hold numbers, or containers of them, however annotated."""
    names: tuple[str, ...] = getattr(cls, "_fields", ())
    _CLASSES[cls] = _class_kind(cls, dict.fromkeys(names, Field.REAL))


def keys_and_parts(value: object) -> tuple[Keys, tuple[object, ...]] | None:
    """The keys and the parts of a container; None for anything else."""
    kind = container_kind(type(value))
    if kind is None:
        return None
    keys, parts = kind.open(value)
    return keys, tuple(parts)


def _class_kind(cls: type, fields: Mapping[str, Field]) -> ContainerKind:
    """The kind of a class with fields; no reference to the class, which the cache keeps weakly."""
    if issubclass(cls, tuple):
        close = _close_named_tuple
    elif _CACHED_HASH in getattr(getattr(cls.__hash__, "__code__", None), "co_names", ()):
        close = _close_hashed_instance
    else:
        close = _close_instance
    return ContainerKind(_open_fields(tuple(fields)), close, "field", fields=fields)


def _open_fields(names: tuple[str, ...]) -> Open:
    """Opens instances with these fields, of which some may not be set yet."""

    def open_instance(value: object) -> tuple[Keys, Iterable[object]]:
        try:
            return names, [getattr(value, name) for name in names]
        except AttributeError:
            present = tuple(name for name in names if hasattr(value, name))
            return present, [getattr(value, name) for name in present]

    return open_instance


def _close_named_tuple(cls: type[tuple[object]], keys: Keys, parts: Sequence[object]) -> object:
    """A named tuple made past ``__new__``, which may check or convert."""
    return tuple.__new__(cls, parts)


def _close_instance(cls: type, keys: Keys, parts: Sequence[object]) -> object:
    """An instance made past ``__init__``: converters and validators are for the user's numbers."""
    instance: object = object.__new__(cls)
    for name, part in zip(keys, parts, strict=True):
        object.__setattr__(instance, name, part)  # type: ignore[arg-type]  # names of fields
    return instance


def _close_hashed_instance(cls: type, keys: Keys, parts: Sequence[object]) -> object:
    """An instance of a class made with ``cache_hash=True``, whose hash is not computed yet."""
    return _close_instance(cls, (*keys, _CACHED_HASH), (*parts, None))


_CACHED_HASH: Final = "_attrs_cached_hash"
"""Where attrs keeps the hash of an instance."""
