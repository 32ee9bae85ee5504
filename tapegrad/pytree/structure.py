"""The user's containers taken apart into numbers, and put together again.

A container is a dict, a list, a tuple, a named tuple, an attrs class or a dataclass; no
registration. Its numbers are the *leaves*, each with a path such as ``layers.0.w``. In a class
instance the fields annotated ``Real`` hold numbers (or containers of them) and the others are
static: they come back as they are.
"""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from types import NoneType
from typing import (
    Annotated,
    ForwardRef,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    final,
    get_args,
    get_origin,
)
from weakref import WeakKeyDictionary

import attrs

from tapegrad._support.source_position import here
from tapegrad.errors import InputError, InputRangeError, OutputError
from tapegrad.ops.primitive import Operand, Traced

__all__ = [
    "Branch", "Keys", "Leaf", "Role", "Static", "Structure", "as_number", "build", "describe",
    "describe_structure", "flatten", "in_order", "join", "kept", "misfit", "named", "new_instance",
    "numbers_as", "of_numbers", "opened", "parameter_names", "paths", "same_static",
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
_SHOWN = 20
_TOO_DEEP = "is nested too deeply, or contains itself"


class Role(Enum):
    """What a value is to a recording, which decides what in it is a number."""

    PARAMETERS = "differentiated: ints are promoted, anything but a number is an error"
    DATA = "floats are recorded, everything else is static"
    RESULT = "numbers are recorded, everything else is static"
    AUX = "floats and traced numbers are recorded, everything else is static"


class _RejectedError(Exception):
    """Collects the keys on the way out of the containers."""

    def __init__(self, error: type[InputError | OutputError], what: str) -> None:
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
        raise _named_error(rejected, name) from None


def _named_error(rejected: _RejectedError, name: Callable[[Keys], str]) -> InputError | OutputError:
    """The user's error, which names the path of what was rejected."""
    keys = tuple(reversed(rejected.keys))
    path = name(keys[:_SHOWN]) + "..." * (len(keys) > _SHOWN)
    return rejected.error(f"{path.rstrip()} {rejected.what} ({here()})")


def numbers_as(
    structure: Structure,
    value: object,
    name: Callable[[Keys], str],
    *,
    statics: bool = False,
) -> tuple[list[Operand], Keys | None]:
    """The numbers of a value in the places of those of ``structure``, found by key.

    Fields that hold numbers there hold numbers here, however they are annotated. Beside the numbers
    stand the keys of the first place where the value is built otherwise, or None. Static values may
    differ unless ``statics`` are to be the same.

    Raises:
        InputRangeError: for an int too large for a float; the message names the path.
    """
    leaves: list[Operand] = []
    try:
        return leaves, _read(structure, value, leaves, statics)
    except _RejectedError as rejected:
        raise _named_error(rejected, name) from None


def _read(structure: Structure, value: object, leaves: list[Operand], statics: bool) -> Keys | None:
    if isinstance(structure, Static):
        return None if _stands_for(value, structure.value, statics) else ()
    if isinstance(structure, Leaf):
        number = value if isinstance(value, Traced) else _number(value, ints=True)
        leaves += [] if number is None else [number]
        return () if number is None else None
    given = _opened_as(structure, value)
    if given is None:
        return ()
    if odd := [*_without(structure.keys, given), *_without(given, dict.fromkeys(structure.keys))]:
        return (odd[0],) if structure.kind is dict else ()
    for key, child in zip(structure.keys, structure.children, strict=True):
        try:
            path = _read(child, given[key], leaves, statics)
        except _RejectedError as rejected:
            rejected.keys.append(key)
            raise
        if path is not None:
            return (key, *path)
    return None


def _stands_for(value: object, recorded: object, statics: bool) -> bool:
    """Whether a value can stand where a static one was."""
    if statics:
        return same_static(recorded, value)
    return type(value) is type(recorded) or isinstance(_split(value, Role.RESULT, []), Static)


def _without(keys: Iterable[object], others: Container[object]) -> Iterator[object]:
    return (key for key in keys if key not in others)


def build(structure: Structure, leaves: Iterable[object]) -> object:
    """The inverse of ``flatten``, with other leaves."""
    return _join(structure, iter(leaves))


def opened(value: object) -> tuple[tuple[object, ...], tuple[object, ...]] | None:
    """The keys and the parts of a container; None for anything else."""
    kind = type(value)
    if kind is list or kind is tuple:
        parts = tuple(cast("list[object]", value))
        return tuple(range(len(parts))), parts
    if kind is dict:
        items = cast("dict[object, object]", value)
        return tuple(items), tuple(items.values())
    record = _record(kind)
    if record is None:
        return None
    names = tuple(name for name in record.fields if hasattr(value, name))
    return names, tuple(getattr(value, name) for name in names)


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
    elif record := _record(kind):
        children = (getattr(value, name, None) for name in record.fields)
    for child in children:
        yield from traced_leaves(child)


def misfit(expected: Structure, given: Structure, *, statics: bool = False) -> Keys | None:
    """The keys of the first place where two structures differ, or None.

    Static values may differ unless ``statics`` are to be the same.
    """
    if not (isinstance(expected, Branch) and isinstance(given, Branch)):
        same = type(expected) is type(given) and not (statics and _differ(expected, given))
        return None if same else ()
    if (expected.kind, expected.keys) != (given.kind, given.keys):
        odd = [*_without(expected.keys, given.keys), *_without(given.keys, expected.keys)]
        return (odd[0],) if odd and expected.kind is given.kind is dict else ()
    for key, part, other in zip(expected.keys, expected.children, given.children, strict=True):
        if (path := misfit(part, other, statics=statics)) is not None:
            return (key, *path)
    return None


def in_order(structure: Structure, value: object) -> object:
    """``value`` with its dicts in the order of those in ``structure``, where they have its keys.

    A container whose dicts are in that order is handed through as it is.
    """
    given = _opened_as(structure, value)
    if given is None or not isinstance(structure, Branch) or given.keys() != set(structure.keys):
        return value
    parts = zip(structure.keys, structure.children, strict=True)
    ordered = {key: in_order(part, given[key]) for key, part in parts}
    if tuple(given) == structure.keys and all(ordered[key] is given[key] for key in given):
        return value
    return _put_together(structure, tuple(ordered.values()))


def _opened_as(structure: Structure, value: object) -> dict[object, object] | None:
    """The parts of a container by key, where it is of the kind that ``structure`` says."""
    if not isinstance(structure, Branch) or type(value) is not structure.kind:
        return None
    keys, parts = opened(value) or ((), ())
    return dict(zip(keys, parts, strict=True))


def _differ(expected: Structure, given: Structure) -> bool:
    """Whether static values differ; those that cannot tell (arrays) do, unless they are one."""
    if not (isinstance(expected, Static) and isinstance(given, Static)):
        return False
    return not same_static(expected.value, given.value)


def kept(structure: Structure) -> Structure:
    """The structure with copies of the static values that may change: those that have no hash."""
    if isinstance(structure, Branch):
        return Branch(structure.kind, structure.keys, tuple(map(kept, structure.children)))
    if isinstance(structure, Static):
        try:
            hash(structure.value)
        except TypeError:
            return Static(copy.deepcopy(structure.value))
    return structure


def same_static(recorded: object, given: object) -> bool:
    """Whether two static values are of one type and equal; arrays to the bit.

    True is not 1 here, and 2 is not 2.0: a program may do another thing with each.
    """
    if recorded is given:
        return True
    try:
        return type(recorded) is type(given) and bool(recorded == given)
    except ValueError:
        return _outside(recorded) == _outside(given)


def _outside(array: object) -> tuple[object, ...]:
    """What two arrays have in common that are equal."""
    names = ("dtype", "shape")
    return (
        *(getattr(array, name, array) for name in names),
        getattr(array, "tobytes", lambda: id(array))(),
    )


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
    record = _record(kind)
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
            parts.append(_split(child, role, leaves))
        except _RejectedError as rejected:
            rejected.keys.append(key)
            raise
        except RecursionError:
            raise _RejectedError(InputError, _TOO_DEEP) from None
    return Branch(kind, names, tuple(parts))


def _leaf_or_static(value: object, role: Role, leaves: list[Operand]) -> Structure:
    number = _number(value, ints=role in {Role.PARAMETERS, Role.RESULT})
    if number is not None:
        leaves.append(number)
        return _LEAF
    if role is Role.RESULT and _holds_traced(value):
        raise _RejectedError(
            OutputError, "is an array of traced numbers, and takes a tuple or a list of them"
        )
    if role is not Role.PARAMETERS:
        return Static(value)
    base = next((base for base in (dict, list, tuple) if isinstance(value, base)), None)
    if base is not None:
        raise _RejectedError(
            InputError,
            f"is {describe(value)}, a subclass of {base.__name__}: pass a {base.__name__}",
        )
    raise _RejectedError(
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
        raise _RejectedError(
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
        except _RejectedError as rejected:
            rejected.keys.append(name)
            raise
        except RecursionError:
            raise _RejectedError(InputError, _TOO_DEEP) from None
    if role in {Role.RESULT, Role.AUX} and len(leaves) == before:
        return Static(value)
    return Branch(type(value), tuple(names), tuple(parts))


def _field(value: object, field: Field, role: Role, leaves: list[Operand]) -> Structure:
    if field is Field.REAL or (field is Field.OPTIONAL and value is not None):
        return _split(value, Role.PARAMETERS if role is Role.DATA else role, leaves)
    if role in {Role.RESULT, Role.AUX}:
        traced = next(traced_leaves(value), None) is not None
        return _split(value, role, leaves) if traced else Static(value)
    if isinstance(value, float | Traced):
        raise _RejectedError(
            InputError,
            f"is {describe(value)} in a field that is not annotated Real, beside fields that are: "
            "annotate it Real to differentiate it, or move it into an argument of its own",
        )
    record = _record(type(value))
    return _split(value, role, leaves) if record and record.is_model else Static(value)


def describe(value: object) -> str:
    """The type of a value and, where it is short, the value."""
    name = type(value).__name__
    text = "" if value is None else _repr(value)
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    shown = f" ({text})" if 0 < len(text) <= 40 else ""
    return "None" if value is None else f"{article} {name}{shown}"


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # a user's repr may raise anything, and a message must not
        return ""


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


def _record(kind: type) -> Record | None:
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


def _join(structure: Structure, leaves: Iterator[object]) -> object:
    if isinstance(structure, Leaf):
        return next(leaves)
    if isinstance(structure, Static):
        return structure.value
    return _put_together(structure, [_join(child, leaves) for child in structure.children])


def _put_together(branch: Branch, children: Sequence[object]) -> object:
    """The container with these parts."""
    kind = branch.kind
    if kind is list:
        return list(children)
    if kind is dict:
        return dict(zip(branch.keys, children, strict=True))
    if issubclass(kind, tuple):
        return tuple.__new__(kind, children)
    return new_instance(kind, zip(branch.keys, children, strict=True))


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
    """The names of the positional parameters, ``count`` at least; ``*xs`` are ``xs:0`` and on."""
    names: list[str] = []
    for parameter in _parameters(f):
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}:{index}" for index in range(count - len(names))]
        elif parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            names.append(parameter.name)
    names += [f"x{index}" for index in range(len(names), count)]
    return tuple(names)


_PARAMETERS: WeakKeyDictionary[Callable[..., object], tuple[inspect.Parameter, ...]] = (
    WeakKeyDictionary()
)


def _parameters(f: Callable[..., object]) -> Iterable[inspect.Parameter]:
    try:
        return _PARAMETERS[f]
    except (KeyError, TypeError):
        found = _read_parameters(f)
    with suppress(TypeError):
        _PARAMETERS[f] = found
    return found


def _read_parameters(f: Callable[..., object]) -> tuple[inspect.Parameter, ...]:
    try:
        return tuple(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return ()
