"""Finds the fields of a class that hold numbers: those whose annotations mention ``Real``."""

from __future__ import annotations

import inspect
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import chain
from types import NoneType
from typing import Annotated, Final, ForwardRef, Literal, TypeVar, cast, get_args, get_origin

import attrs

from tapegrad.ops.primitive import Traced

__all__ = ["Field", "class_fields"]


_NO_NUMBERS: Final = (Callable, Literal)
"""Annotations that may mention ``Var``, and yet hold no number."""


class Field(Enum):
    """The kinds of values that the annotation of a field allows."""

    REAL = "numbers, or containers of them"
    OPTIONAL = "the same, or None"
    STATIC = "passed on as it is"


def class_fields(cls: type) -> Mapping[str, Field] | None:
    """The fields of a class and what they hold; None for a class that has no fields."""
    annotations = _annotations(cls)
    if annotations is None:
        return None
    return {name: _field_of(hint, cls) for name, hint in annotations.items()}


def _annotations(cls: type) -> Mapping[str, object] | None:
    """The annotations of the fields of an attrs class, a dataclass or a named tuple."""
    if attrs.has(cls):
        return {field.name: field.type for field in attrs.fields(cls)}
    if hasattr(cls, "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: field.type for field in fields(cls)}
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = ChainMap(*map(inspect.get_annotations, cls.__mro__))
        return {name: hints.get(name, Traced) for name in cls._fields}
    return None


def _field_of(annotation: object, cls: type) -> Field:
    if not _mentions_real(annotation, cls):
        return Field.STATIC
    if isinstance(annotation, str):
        return Field.OPTIONAL if re.search(r"\b(None|Optional)\b", annotation) else Field.REAL
    return Field.OPTIONAL if NoneType in get_args(annotation) else Field.REAL


def _mentions_real(annotation: object, cls: type) -> bool:
    """Whether an annotation mentions ``Real``: a type variable that can be a traced number.

    A function of ``Real`` is no number. Annotations that are text are not evaluated (names local
    to a function cannot be): the names in them are looked up among the type parameters and in the
    modules of the class.
    """
    if isinstance(annotation, str | ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        names = [] if "Callable" in text else re.findall(r"[A-Za-z_][\w.]*", text)
        return any(_mentions_real(_look_up(name, cls), cls) for name in names)
    if isinstance(annotation, TypeVar):
        return any(map(_is_traced_type, (*annotation.__constraints__, annotation.__bound__)))
    if _is_traced_type(annotation):
        return True
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in _NO_NUMBERS:
        return False
    return any(_mentions_real(part, cls) for part in parts[: 1 if origin is Annotated else None])


def _is_traced_type(annotation: object) -> bool:
    """Whether an annotation is ``Var``, or a union or a container with it."""
    if isinstance(annotation, type):
        return issubclass(annotation, Traced)
    if get_origin(annotation) in _NO_NUMBERS:
        return False
    return any(map(_is_traced_type, get_args(annotation)))


def _look_up(name: str, cls: type) -> object:
    """The object that a dotted name in an annotation of the class refers to, or None."""
    for base in cls.__mro__:
        generic = getattr(base, "__parameters__", ()), getattr(base, "__type_params__", ())
        for parameter in chain(*generic):
            if parameter.__name__ == name:
                return cast(object, parameter)
        found: object = sys.modules.get(base.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    return None
