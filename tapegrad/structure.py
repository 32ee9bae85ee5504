"""The user's containers taken apart into numbers, and put together again.

A container is a dict, a list, a tuple, a named tuple, an attrs class or a dataclass; no
registration. Its numbers are the *leaves*, each with a path such as ``layers.0.w``. In a class
instance the fields annotated ``Real`` hold numbers (or containers of them) and the others are
static: they come back as they are.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TypeAlias, TypeVar, cast, final, get_args
from weakref import WeakKeyDictionary

import attrs

from tapegrad.errors import InputError, InputRangeError
from tapegrad.positions import here
from tapegrad.primitive import Operand, Traced

__all__ = [
    "Branch", "Keys", "Leaf", "Role", "Static", "Structure", "as_number", "build", "describe",
    "describe_structure", "flatten", "join", "named", "parameter_names", "paths",
    "traced_leaves", "under",
]  # fmt: skip


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
Keys: TypeAlias = tuple[object, ...]
_LEAF = Leaf()


class Role(Enum):
    """What a value is to a recording, which decides what in it is a number."""

    PARAMETERS = "differentiated: ints are promoted, anything but a number is an error"
    DATA = "floats are recorded, everything else is static"
    RESULT = "numbers are recorded, everything else is static"


class _RejectedError(Exception):
    """Collects the keys on the way out of the containers."""

    def __init__(self, error: type[InputError], what: str) -> None:
        self.error = error
        self.what = what
        self.keys: list[object] = []


def flatten(
    value: object, role: Role, name: Callable[[Keys], str]
) -> tuple[Structure, list[Operand]]:
    """The structure of ``value`` and its leaves in order; ``name`` gives a leaf's path.

    Raises:
        InputError: where ``role`` does not allow what is found; the message names the path.
    """
    leaves: list[Operand] = []
    try:
        return _split(value, role, leaves), leaves
    except _RejectedError as rejected:
        path = name(tuple(reversed(rejected.keys)))
        raise rejected.error(f"{path} {rejected.what} ({here()})") from None


def build(structure: Structure, leaves: Iterable[object]) -> object:
    """The inverse of ``flatten``, with other leaves."""
    return _join(structure, iter(leaves))


def paths(structure: Structure) -> list[str]:
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
    elif fields := _fields(kind):
        children = (getattr(value, name) for name, real in fields.items() if real)
    for child in children:
        yield from traced_leaves(child)


def _split(value: object, role: Role, leaves: list[Operand]) -> Structure:
    if type(value) is float or isinstance(value, Traced):
        leaves.append(value)
        return _LEAF
    kind = type(value)
    if kind is list or kind is tuple:
        return _branch(kind, range(len(value)), value, role, leaves)  # type: ignore[arg-type]  # a list or tuple
    if kind is dict:
        items = cast(dict[object, object], value)
        return _branch(kind, items, items.values(), role, leaves)
    fields = _fields(kind)
    if fields is not None and (role is Role.PARAMETERS or any(fields.values())):
        return _instance(value, fields, role, leaves)
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
            parts.append(_split(child, role, leaves))
        except _RejectedError as rejected:
            rejected.keys.append(key)
            raise
        except RecursionError:
            raise _RejectedError(InputError, "is nested too deeply, or contains itself") from None
    return Branch(kind, names, tuple(parts))


def _leaf_or_static(value: object, role: Role, leaves: list[Operand]) -> Structure:
    number = _number(value, ints=role is not Role.DATA)
    if number is not None:
        leaves.append(number)
        return _LEAF
    if role is Role.PARAMETERS:
        raise _RejectedError(
            InputError,
            f"is {describe(value)}, not a number or a container of numbers: pass a float there, "
            "or pass it as data after the first argument",
        )
    return Static(value)


def _instance(
    value: object, fields: dict[str, bool], role: Role, leaves: list[Operand]
) -> Structure:
    kind = type(value)
    if not any(fields.values()):
        raise _RejectedError(
            InputError,
            f"is {describe(value)}, a class with no field annotated Real: annotate the fields "
            "to differentiate (`w: Real`)",
        )
    parts: list[Structure] = []
    for name, real in fields.items():
        child = getattr(value, name)
        try:
            parts.append(_field(child, real=real, role=role, leaves=leaves))
        except _RejectedError as rejected:
            rejected.keys.append(name)
            raise
    return Branch(kind, tuple(fields), tuple(parts))


def _field(value: object, *, real: bool, role: Role, leaves: list[Operand]) -> Structure:
    if real and value is not None:
        return _split(value, Role.PARAMETERS if role is Role.DATA else role, leaves)
    if type(value) is float or isinstance(value, Traced):
        raise _RejectedError(
            InputError,
            f"is {describe(value)} in a field that is not annotated Real, beside fields that are: "
            "annotate it Real to differentiate it, or move it into an argument of its own",
        )
    return Static(value)


def describe(value: object) -> str:
    """The type of a value and, where it is short, the value."""
    name = type(value).__name__
    text = "" if value is None else repr(value)
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    shown = f" ({text})" if 0 < len(text) <= 40 else ""
    return "None" if value is None else f"{article} {name}{shown}"


def describe_structure(structure: Structure) -> str:
    """What a value of this structure is."""
    if isinstance(structure, Static):
        return describe(structure.value)
    return "a number" if isinstance(structure, Leaf) else f"a {structure.kind.__name__}"


def as_number(value: object) -> float | None:
    """``value`` as a float if it is a real number of Python or numpy, else None; no bool is one.

    Raises:
        InputRangeError: for an int too large for a float.
    """
    try:
        return _number(value, ints=True)
    except _RejectedError as rejected:
        raise rejected.error(f"an operand {rejected.what} ({here()})") from None


def _number(value: object, *, ints: bool) -> float | None:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _float(value) if ints else None
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.floating | numpy.integer):
        return None
    return float(value) if ints or isinstance(value, numpy.floating) else None


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        digits = value.bit_length()
        raise _RejectedError(
            InputRangeError, f"is an int of {digits} bits, too large for a float: pass a float"
        ) from None


_KNOWN_FIELDS: WeakKeyDictionary[type, dict[str, bool] | None] = WeakKeyDictionary()


def _fields(kind: type) -> dict[str, bool] | None:
    """The fields of a class of records, and whether each is annotated ``Real``; else None."""
    try:
        return _KNOWN_FIELDS[kind]
    except KeyError:
        fields = _KNOWN_FIELDS[kind] = _read_fields(kind)
        return fields


def _read_fields(kind: type) -> dict[str, bool] | None:
    if attrs.has(kind):
        return {field.name: _is_real(field.type, kind) for field in attrs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {field.name: _is_real(field.type, kind) for field in dataclasses.fields(kind)}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = getattr(kind, "__annotations__", {})
        return {name: not hints or _is_real(hints[name], kind) for name in kind._fields}
    return None


def _is_real(annotation: object, kind: type) -> bool:
    """Whether an annotation mentions ``Real``: a type variable that can be a traced number.

    Annotations that are text are not evaluated (names local to a function cannot be): the names
    in them are looked up among the type parameters and in the modules of the class.
    """
    if not isinstance(annotation, str):
        return _mentions_real(annotation)
    names = re.findall(r"[A-Za-z_][\w.]*", annotation)
    return any(_mentions_real(_look_up(name, kind)) for name in names)


def _mentions_real(annotation: object) -> bool:
    if isinstance(annotation, TypeVar):
        return any(_is_traced_type(constraint) for constraint in annotation.__constraints__)
    return _is_traced_type(annotation) or any(map(_mentions_real, get_args(annotation)))


def _is_traced_type(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Traced)


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


def _join(structure: Structure, leaves: Iterator[object]) -> object:
    if isinstance(structure, Leaf):
        return next(leaves)
    if isinstance(structure, Static):
        return structure.value
    children = [_join(child, leaves) for child in structure.children]
    kind = structure.kind
    if kind is list:
        return children
    if kind is dict:
        return dict(zip(structure.keys, children, strict=True))
    if issubclass(kind, tuple):
        return tuple.__new__(kind, children)
    return _new_instance(kind, zip(structure.keys, children, strict=True))


def _new_instance(kind: type, fields: Iterable[tuple[object, object]]) -> object:
    """An instance made past ``__init__``: converters and validators are for the user's numbers."""
    instance: object = object.__new__(kind)
    for name, value in fields:
        object.__setattr__(instance, str(name), value)
    return instance


def _walk(structure: Structure, keys: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    if isinstance(structure, Leaf):
        yield keys
    elif isinstance(structure, Branch):
        for key, child in zip(structure.keys, structure.children, strict=True):
            yield from _walk(child, (*keys, key))


def join(keys: Iterable[object]) -> str:
    """The path of nested keys: ``layers.0.w``; a key that is no name is written ``['a b']``."""
    text = ""
    for key in keys:
        if (isinstance(key, str) and key.isidentifier()) or (type(key) is int and key >= 0):
            text += f".{key}" if text else str(key)
        else:
            text += f"[{key!r}]"
    return text


def named(f: Callable[..., object], argument: Keys, keys: Keys) -> str:
    """The path of a leaf of a call of ``f``.

    ``argument`` says where it was passed: () for the first argument, whose paths stand for
    themselves; (0,), (1,), ... for those after it, and ("name",) for those by name.
    """
    path = join(keys)
    if not argument:
        return path or parameter_names(f, 1)[0]
    key = argument[0]
    name = parameter_names(f, key + 2)[key + 1] if isinstance(key, int) else str(key)
    return under(name, path)


def under(name: str, path: str) -> str:
    """A path in the argument called ``name``."""
    return f"{name}{'.' if ':' in name else ':'}{path}" if path else name


def parameter_names(f: Callable[..., object], count: int) -> tuple[str, ...]:
    """The names of the first ``count`` positional parameters; those of ``*xs`` are ``xs:0`` on."""
    names: list[str] = []
    for parameter in _parameters(f):
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}:{index}" for index in range(count - len(names))]
        elif parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            names.append(parameter.name)
    names += [f"x{index}" for index in range(len(names), count)]
    return tuple(names[:count])


def _parameters(f: Callable[..., object]) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return ()
