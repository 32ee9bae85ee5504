"""Names the places in arguments and results: ``layers.0.w``, ``xs:3``, ``['a b']``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import (
    TypeAlias,
)
from weakref import WeakKeyDictionary

__all__ = ["Keys", "join", "named", "parameter_names", "under"]


Keys: TypeAlias = tuple[object, ...]


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
