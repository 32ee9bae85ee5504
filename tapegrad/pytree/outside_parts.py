"""Takes functions and classes apart: cells, globals, defaults, the data of a class.

A function is what its code, its cells, its defaults and the globals that its code reads make of it.
Functions and classes of installed packages and of the standard library are themselves only.
"""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Final, Literal, NamedTuple, TypeAlias, cast
from weakref import WeakKeyDictionary

from tapegrad.pytree.attributes import is_library, is_library_class

__all__ = ["ABSENT", "Part", "has_parts", "is_its_parts", "is_wrapper", "parts_of"]

ABSENT: Final = object()
"""The value of a name that is not defined yet."""


class Part(NamedTuple):
    """A part of a function or class: the place that has it, and its value there now.

    ``name`` is what the user's code calls it. The holder has it as the content of a cell, under a
    key, as an attribute, in its own ``__dict__``, or as the length of that.
    """

    name: str
    holder: object
    access: Literal["cell", "item", "attribute", "own", "length"]
    key: str
    value: object


_Chain: TypeAlias = tuple[bool, tuple[str, ...]]
"""A name that code reads, with the attributes that follow; true for a name in a cell."""

_CHAINS: WeakKeyDictionary[CodeType, tuple[_Chain, ...]] = WeakKeyDictionary()
"""The names that the code objects seen so far read."""

_GLOBAL: Final = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_CELL: Final = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_ATTRIBUTE: Final = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_BETWEEN: Final = frozenset(("EXTENDED_ARG", "CACHE"))
_OURS: Final = f"{__name__.partition('.')[0]}."
_METHODS: Final = (MethodType, staticmethod, classmethod)


def has_parts(value: object) -> bool:
    """Whether a value is a function, a class, or a wrapper around a function."""
    return isinstance(value, (FunctionType, type, partial, *_METHODS)) or is_wrapper(value)


def is_its_parts(value: object) -> bool:
    """Whether a function is no more than its parts, so that another with the same does the same."""
    return isinstance(value, (partial, *_METHODS)) or (
        isinstance(value, FunctionType) and not _is_foreign(value)
    )


def parts_of(value: object) -> Iterator[Part]:
    """The parts of a function, a class, or a wrapper around a function."""
    if isinstance(value, FunctionType) and not _is_foreign(value):
        return iter({(id(part.holder), part.key): part for part in _of_function(value)}.values())
    if isinstance(value, type):
        return _of_class(value)
    if isinstance(value, MethodType):
        return _attributes(value, "__func__", "__self__")
    if isinstance(value, staticmethod | classmethod):
        return _attributes(value, "__func__")
    if isinstance(value, partial):
        return _attributes(value, "func", "args", "keywords")
    return _of_wrapper(value)


def is_wrapper(value: object) -> bool:
    """Whether a value is a library's function, or its object that stands for a function."""
    if isinstance(value, FunctionType):
        return _is_foreign(value)
    return is_library_class(type(value)) and hasattr(value, "__wrapped__")


def _of_wrapper(value: object) -> Iterator[Part]:
    """The function inside a wrapper, and the functions that a transform of ours closes over."""
    if hasattr(value, "__wrapped__"):
        yield from _attributes(value, "__wrapped__")
    if isinstance(value, FunctionType) and value.__globals__["__name__"].startswith(_OURS):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            part = _in_cell({name: cell}, name)
            if part is not None and callable(part.value):
                yield part


def _is_foreign(function: FunctionType) -> bool:
    return is_library(function.__globals__.get("__name__"))


def _attributes(value: object, *names: str) -> Iterator[Part]:
    for name in names:
        yield Part(name.strip("_"), value, "attribute", name, getattr(value, name))


def _of_function(function: FunctionType) -> Iterator[Part]:
    yield from _attributes(function, "__code__", "__defaults__", "__kwdefaults__")
    own, code = function.__dict__, function.__code__
    for key, value in own.items():
        yield Part(f"{function.__name__}.{key}", own, "item", key, value)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    for in_cell, (name, *attributes) in _chains(code):
        found = _in_cell(cells, name) if in_cell else _global(function.__globals__, name)
        if found is not None:
            yield found
            yield from _followed(found, attributes)


def _in_cell(cells: Mapping[str, CellType], name: str) -> Part | None:
    """The cell of a name; None for a name of the function's own."""
    if name not in cells:
        return None
    try:
        value = cells[name].cell_contents
    except ValueError:
        value = ABSENT
    return Part(name, cells[name], "cell", "", value)


def _global(space: Mapping[str, object], name: str) -> Part | None:
    """The global of a name; None for one of Python's own."""
    if name not in space and hasattr(builtins, name):
        return None
    return Part(name, space, "item", name, space.get(name, ABSENT))


def _followed(part: Part, attributes: Iterable[str]) -> Iterator[Part]:
    """The values of attributes of a module or class that code reads by name."""
    name, value = part.name, part.value
    for key in attributes:
        holder = next((one for one in _holders(value) if key in vars(one)), None)
        if holder is None:
            return
        name, value = f"{name}.{key}", vars(holder)[key]
        yield Part(name, holder, "own", key, value)


def _holders(value: object) -> Sequence[object]:
    """A module of the user's itself, or a class and its bases, then those of its metaclass."""
    if isinstance(value, ModuleType):
        return () if is_library(value.__name__) else (value,)
    if isinstance(value, type):
        bases = inspect.getmro(value) + inspect.getmro(type(value))
        return [base for base in bases if not is_library_class(base)]
    return ()


def _of_class(kind: type) -> Iterator[Part]:
    """The data of a class and its bases: what is neither a method nor a descriptor."""
    bases = () if issubclass(kind, Enum) else kind.__mro__
    for base in bases:
        if is_library_class(base):
            continue
        yield Part("", base, "length", "", len(vars(base)))
        for key, value in vars(base).items():
            if not key.startswith("__") and not hasattr(type(value), "__get__"):
                yield Part(f"{base.__name__}.{key}", base, "own", key, value)


def _chains(code: CodeType) -> tuple[_Chain, ...]:
    """The names that code and the functions inside it read from outside themselves."""
    found = _CHAINS.get(code)
    if found is None:
        found = _CHAINS[code] = tuple(dict.fromkeys(_read_chains(code)))
    return found


def _read_chains(code: CodeType) -> Iterator[_Chain]:
    names: tuple[str, ...] = ()
    in_cell = False
    for step in dis.get_instructions(code):
        if step.opname in _BETWEEN:
            continue
        if names and step.opname in _ATTRIBUTE:
            names = (*names, cast(str, step.argval))
            continue
        if names:
            yield in_cell, names
        in_cell = step.opname in _CELL
        names = (cast(str, step.argval),) if in_cell or step.opname in _GLOBAL else ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _read_chains(constant)
