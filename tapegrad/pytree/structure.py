"""The user's containers taken apart into numbers, and put together again.

A container is a dict, a list, a tuple, a named tuple, an attrs class or a dataclass; no
registration. Its numbers are the *leaves*, each with a path such as ``layers.0.w``. In a class
instance the fields annotated ``Real`` hold numbers (or containers of them) and the others are
static: they come back as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import (
    TypeAlias,
    cast,
    final,
)

import attrs

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.pytree.classes import Field, Record, class_fields, new_instance
from tapegrad.pytree.key_paths import Keys, join
from tapegrad.pytree.numbers import RejectedError, real_number

__all__ = [
    "Branch",
    "Leaf",
    "Role",
    "Static",
    "Structure",
    "build",
    "describe_structure",
    "flatten",
    "key_paths",
    "named_error",
    "opened",
    "put_together",
    "split_value",
    "traced_leaves",
]


@final
@attrs.frozen
class Leaf:
    """The place of a number."""


@final
@attrs.frozen
class Static:
    """A value that is handed through as it is."""

    value: object


@final
@attrs.frozen
class Branch:
    """A container: its class, the keys or field names, and what stands under each."""

    kind: type
    keys: tuple[object, ...]
    children: tuple[Structure, ...]


Structure: TypeAlias = Leaf | Static | Branch


_LEAF = Leaf()


_SHOWN = 20


_TOO_DEEP = "is nested too deeply, or contains itself"


class Role(Enum):
    """What a value is to a recording, which decides what in it is a number."""

    PARAMETERS = "differentiated: ints are promoted, anything but a number is an error"
    DATA = "floats are recorded, everything else is static"
    RESULT = "numbers are recorded, everything else is static"
    AUX = "floats and traced numbers are recorded, everything else is static"


def flatten(
    value: object, role: Role, name: Callable[[Keys], str]
) -> tuple[Structure, list[Operand]]:
    """The structure of ``value`` and its leaves in order; ``name`` gives a leaf's path.

    Raises:
        InputError: where ``role`` does not allow what is found; the message names the path.
    """
    leaves: list[Operand] = []
    try:
        return split_value(value, role, leaves), leaves
    except RejectedError as rejected:
        raise named_error(rejected, name) from None


def named_error(rejected: RejectedError, name: Callable[[Keys], str]) -> InputError | OutputError:
    """The user's error, which names the path of what was rejected."""
    keys = tuple(reversed(rejected.keys))
    path = name(keys[:_SHOWN]) + "..." * (len(keys) > _SHOWN)
    return rejected.error(f"{path.rstrip()} {rejected.what} ({here()})")


def build(structure: Structure, leaves: Iterable[object]) -> object:
    """The inverse of ``flatten``, with other leaves."""
    return _built(structure, iter(leaves))


def opened(value: object) -> tuple[tuple[object, ...], tuple[object, ...]] | None:
    """The keys and the parts of a container; None for anything else."""
    kind = type(value)
    if kind is list or kind is tuple:
        parts = tuple(cast("list[object]", value))
        return tuple(range(len(parts))), parts
    if kind is dict:
        items = cast("dict[object, object]", value)
        return tuple(items), tuple(items.values())
    record = class_fields(kind)
    if record is None:
        return None
    names = tuple(name for name in record.fields if hasattr(value, name))
    return names, tuple(getattr(value, name) for name in names)


def key_paths(structure: Structure) -> list[str]:
    """The paths of the leaves in order; a lone leaf has the empty path."""
    return [join(keys) for keys in _walk(structure, ())]


def traced_leaves(value: object) -> Iterator[Traced]:
    """The traced numbers in a value, containers searched as inputs are."""
    if isinstance(value, Traced):
        yield value
        return
    kind = type(value)
    children: Iterable[object] = ()
    if kind is list or kind is tuple:
        children = cast(Iterable[object], value)
    elif kind is dict:
        children = cast(dict[object, object], value).values()
    elif record := class_fields(kind):
        children = (getattr(value, name, None) for name in record.fields)
    for child in children:
        yield from traced_leaves(child)


def split_value(value: object, role: Role, leaves: list[Operand]) -> Structure:
    """Takes a value apart: its structure, and its numbers added to ``leaves``."""
    if type(value) is float or isinstance(value, Traced):
        leaves.append(value)
        return _LEAF
    kind = type(value)
    if kind is list or kind is tuple:
        return _branch(kind, range(len(value)), value, role, leaves)  # type: ignore[arg-type]  # a list or tuple
    if kind is dict:
        items = cast(dict[object, object], value)
        return _branch(kind, items, items.values(), role, leaves)
    record = class_fields(kind)
    if record is not None and (record.is_model or role is not Role.DATA):
        return _instance(value, record, role, leaves)
    return _leaf_or_static(value, role, leaves)


def _branch(
    kind: type,
    keys: Iterable[object],
    children: Iterable[object],
    role: Role,
    leaves: list[Operand],
) -> Branch:
    parts: list[Structure] = []
    names = tuple(keys)
    for key, child in zip(names, children, strict=True):
        try:
            parts.append(split_value(child, role, leaves))
        except RejectedError as rejected:
            rejected.keys.append(key)
            raise
        except RecursionError:
            raise RejectedError(InputError, _TOO_DEEP) from None
    return Branch(kind, names, tuple(parts))


def _leaf_or_static(value: object, role: Role, leaves: list[Operand]) -> Structure:
    number = real_number(value, ints=role in {Role.PARAMETERS, Role.RESULT})
    if number is not None:
        leaves.append(number)
        return _LEAF
    if role is Role.RESULT and _holds_traced(value):
        raise RejectedError(
            OutputError, "is an array of traced numbers, and takes a tuple or a list of them"
        )
    if role is not Role.PARAMETERS:
        return Static(value)
    base = next((base for base in (dict, list, tuple) if isinstance(value, base)), None)
    if base is not None:
        raise RejectedError(
            InputError,
            f"is {describe(value)}, a subclass of {base.__name__}: pass a {base.__name__}",
        )
    raise RejectedError(
        InputError,
        f"is {describe(value)}, not a number or a container of numbers: pass a float there, "
        "or pass it as data after the first argument",
    )


def _holds_traced(value: object) -> bool:
    """Whether it is an array of numpy's with traced numbers in it."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or value.dtype != object:
        return False
    return any(isinstance(part, Traced) for part in value.flat)


def _instance(value: object, record: Record, role: Role, leaves: list[Operand]) -> Structure:
    if role is Role.PARAMETERS and not record.is_model:
        raise RejectedError(
            InputError,
            f"is {describe(value)}, a class with no field annotated Real: annotate the fields "
            "to differentiate (`w: Real`)",
        )
    names = [name for name in record.fields if hasattr(value, name)]
    before = len(leaves)
    parts: list[Structure] = []
    for name in names:
        try:
            parts.append(_field(getattr(value, name), record.fields[name], role, leaves))
        except RejectedError as rejected:
            rejected.keys.append(name)
            raise
        except RecursionError:
            raise RejectedError(InputError, _TOO_DEEP) from None
    if role in {Role.RESULT, Role.AUX} and len(leaves) == before:
        return Static(value)
    return Branch(type(value), tuple(names), tuple(parts))


def _field(value: object, field: Field, role: Role, leaves: list[Operand]) -> Structure:
    if field is Field.REAL or (field is Field.OPTIONAL and value is not None):
        return split_value(value, Role.PARAMETERS if role is Role.DATA else role, leaves)
    if role in {Role.RESULT, Role.AUX}:
        traced = next(traced_leaves(value), None) is not None
        return split_value(value, role, leaves) if traced else Static(value)
    if isinstance(value, float | Traced):
        raise RejectedError(
            InputError,
            f"is {describe(value)} in a field that is not annotated Real, beside fields that are: "
            "annotate it Real to differentiate it, or move it into an argument of its own",
        )
    record = class_fields(type(value))
    return split_value(value, role, leaves) if record and record.is_model else Static(value)


def describe_structure(structure: Structure) -> str:
    """What a value of this structure is."""
    if isinstance(structure, Static):
        return describe(structure.value)
    return "a number" if isinstance(structure, Leaf) else f"a {structure.kind.__name__}"


def _built(structure: Structure, leaves: Iterator[object]) -> object:
    if isinstance(structure, Leaf):
        return next(leaves)
    if isinstance(structure, Static):
        return structure.value
    return put_together(structure, [_built(child, leaves) for child in structure.children])


def put_together(branch: Branch, children: Sequence[object]) -> object:
    """The container with these parts."""
    kind = branch.kind
    if kind is list:
        return list(children)
    if kind is dict:
        return dict(zip(branch.keys, children, strict=True))
    if issubclass(kind, tuple):
        return tuple.__new__(kind, children)
    return new_instance(kind, zip(branch.keys, children, strict=True))


def _walk(structure: Structure, keys: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    if isinstance(structure, Leaf):
        yield keys
    elif isinstance(structure, Branch):
        for key, child in zip(structure.keys, structure.children, strict=True):
            yield from _walk(child, (*keys, key))
