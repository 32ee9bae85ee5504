"""Copies values of floats and nothing else at one look, which need not be taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tapegrad.pytree.containers import container_kind

__all__ = ["plain_arguments", "plain_copy"]

_FLOATS: Final = {float}
_STATIC: Final = frozenset((int, bool, str))
"""Types of data that hold no number to be recorded, and nothing else."""


def plain_arguments(
    args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], Mapping[str, object]] | None:
    """Copies of the arguments, if to take them apart would change nothing and refuse nothing.

    The first one is what is differentiated, in which an int would become a float.
    """
    try:
        copies = [plain_copy(value) for value in args[:1]]
        copies += map(_data_copy, args[1:])
        by_name = {name: _data_copy(value) for name, value in kwargs.items()}
    except RecursionError:
        return None
    if None in copies or None in by_name.values():
        return None
    return tuple(copies), by_name


def plain_copy(value: object) -> object | None:
    """A float, or a copy of a container of floats and of such containers; None for all else."""
    if type(value) is float:
        return value
    kind = container_kind(type(value))
    if kind is None or not kind.is_of_numbers:
        return None
    keys, parts = kind.open(value)
    copies = [*parts]
    if {*map(type, copies)} != _FLOATS:
        copies = [plain_copy(part) for part in copies]
        if None in copies:
            return None
    return kind.close(type(value), keys, copies)


def _data_copy(value: object) -> object | None:
    """The same for data, among which may be texts, ints and bools."""
    return value if type(value) in _STATIC else plain_copy(value)
