"""Key paths: the names of the numbers in arguments and results (``layers.0.w``, ``xs:3``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeAlias, final
from weakref import WeakKeyDictionary

__all__ = ["Index", "Keys", "input_key_path", "key_path", "key_path_in", "parameter_names"]

Keys: TypeAlias = tuple[object, ...]
"""The keys, indices and field names that lead to a part of a container, from the outside in."""


@final
class Index(tuple[int, ...]):
    """The key of an element of an array, which is written ``[0, 1]``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ", ".join(map(str, self))


def key_path(keys: Iterable[object]) -> str:
    """Nested keys as text: ``layers.0.w``; a key that is no name is written ``['a b']``."""
    text = ""
    for key in keys:
        if (isinstance(key, str) and key.isidentifier()) or (type(key) is int and key >= 0):
            text += f".{key}" if text else str(key)
        else:
            text += f"[{key!r}]"
    return text


def input_key_path(f: Callable[..., object], argument: Keys, keys: Keys) -> str:
    """The key path of a number in the arguments of a call of ``f``.

    ``argument`` says where it was passed: () for the first argument, whose key paths stand for
    themselves; (0,), (1,), ... for those after it, and ("name",) for those by name.
    """
    path = key_path(keys)
    if not argument:
        return path or parameter_names(f, 1)[0]
    key = argument[0]
    name = parameter_names(f, key + 2)[key + 1] if isinstance(key, int) else str(key)
    return key_path_in(name, path)


def key_path_in(argument: str, path: str) -> str:
    """A key path in an argument: ``xs:3``, ``more:0.w``."""
    return f"{argument}{'.' if ':' in argument else ':'}{path}" if path else argument


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


_Parameters: TypeAlias = tuple[inspect.Parameter, ...]
_PARAMETERS: WeakKeyDictionary[Callable[..., object], _Parameters] = WeakKeyDictionary()


def _parameters(f: Callable[..., object]) -> _Parameters:
    """The parameters of ``f``, read once; none where they cannot be known."""
    try:
        return _PARAMETERS[f]
    except (KeyError, TypeError):
        found = _read_parameters(f)
    with suppress(TypeError):
        _PARAMETERS[f] = found
    return found


def _read_parameters(f: Callable[..., object]) -> _Parameters:
    try:
        return tuple(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return ()
