"""Tells which fields of a class hold numbers: those whose annotation mentions ``Real``."""

from __future__ import annotations

import inspect
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import NoneType
from typing import (
    Annotated,
    ForwardRef,
    Literal,
    TypeVar,
    cast,
    final,
    get_args,
    get_origin,
)
from weakref import WeakKeyDictionary

import attrs

from tapegrad.ops.primitive import Traced

__all__ = ["Field", "Record", "class_fields", "new_instance", "of_numbers"]


class Field(Enum):
    """What the annotation of a field says about its value."""

    REAL = "numbers, or containers of them"
    OPTIONAL = "the same, or None"
    STATIC = "handed through"


@final
@attrs.frozen
class Record:
    """The fields of a class, and whether any is annotated ``Real``."""

    fields: Mapping[str, Field]
    is_model: bool


_KNOWN: WeakKeyDictionary[type, Record | None] = WeakKeyDictionary()


def class_fields(kind: type) -> Record | None:
    """What is known of a class with fields; None for any other class."""
    try:
        return _KNOWN[kind]
    except KeyError:
        annotations = _annotations(kind)
        if annotations is None:
            _KNOWN[kind] = None
        else:
            fields = {name: _field_of(hint, kind) for name, hint in annotations.items()}
            is_model = any(field is not Field.STATIC for field in fields.values())
            _KNOWN[kind] = Record(fields, is_model)
        return _KNOWN[kind]


def of_numbers(kind: type) -> None:
    """Let all fields of a named tuple hold numbers, or containers of them, however annotated."""
    fields = dict.fromkeys(cast("tuple[str, ...]", getattr(kind, "_fields", ())), Field.REAL)
    _KNOWN[kind] = Record(fields, is_model=True)


def _annotations(kind: type) -> Mapping[str, object] | None:
    if attrs.has(kind):
        return {field.name: field.type for field in attrs.fields(kind)}
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: field.type for field in fields(kind)}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = ChainMap(*map(inspect.get_annotations, kind.__mro__))
        return {name: hints.get(name, Traced) for name in kind._fields}
    return None


def _field_of(annotation: object, kind: type) -> Field:
    if not _mentions_real(annotation, kind):
        return Field.STATIC
    if isinstance(annotation, str):
        return Field.OPTIONAL if re.search(r"\b(None|Optional)\b", annotation) else Field.REAL
    return Field.OPTIONAL if NoneType in get_args(annotation) else Field.REAL


def _mentions_real(annotation: object, kind: type) -> bool:
    """Whether an annotation mentions ``Real``: a type variable that can be a traced number.

    A function of ``Real`` is no number. Annotations that are text are not evaluated (names local
    to a function cannot be): the names in them are looked up among the type parameters and in the
    modules of the class.
    """
    if isinstance(annotation, str | ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        names = [] if "Callable" in text else re.findall(r"[A-Za-z_][\w.]*", text)
        return any(_mentions_real(_look_up(name, kind), kind) for name in names)
    if isinstance(annotation, TypeVar):
        return any(map(_is_traced_type, (*annotation.__constraints__, annotation.__bound__)))
    if _is_traced_type(annotation):
        return True
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Callable or origin is Literal:
        return False
    return any(_mentions_real(part, kind) for part in parts[: 1 if origin is Annotated else None])


def _is_traced_type(annotation: object) -> bool:
    """Whether it is ``Var``, or a union with it."""
    if isinstance(annotation, type):
        return issubclass(annotation, Traced)
    return any(map(_is_traced_type, get_args(annotation)))


def _look_up(name: str, kind: type) -> object:
    for base in kind.__mro__:
        for parameter in (
            *getattr(base, "__parameters__", ()),
            *getattr(base, "__type_params__", ()),
        ):
            if parameter.__name__ == name:
                return cast(object, parameter)
        found: object = sys.modules.get(base.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    return None


def new_instance(kind: type, fields: Iterable[tuple[object, object]]) -> object:
    """An instance made past ``__init__``: converters and validators are for the user's numbers."""
    instance: object = object.__new__(kind)
    for name, value in fields:
        object.__setattr__(instance, str(name), value)
    if _CACHED_HASH in getattr(getattr(kind.__hash__, "__code__", None), "co_names", ()):
        object.__setattr__(instance, _CACHED_HASH, None)
    return instance


_CACHED_HASH = "_attrs_cached_hash"
"""Where attrs keeps the hash of a class made with ``cache_hash=True``."""
