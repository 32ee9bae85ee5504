"""The arguments of one call as structures and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import Keys, named
from tapegrad.pytree.structure import Branch, Role, Structure, flatten

__all__ = ["Shape", "argument_namer", "flatten_arguments"]

Shape: TypeAlias = tuple[Branch, Branch]
"""The structures of a call's arguments, by position and by name, with their static values."""


def flatten_arguments(
    f: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[Shape, list[list[Operand]]]:
    """The structures of a call's arguments, and the numbers in each argument.

    Raises:
        InputError: for what cannot be an argument; the message names the place.
    """
    structures: list[Structure] = []
    numbers: list[list[Operand]] = []
    by_key: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    for key, value in by_key:
        role = Role.PARAMETERS if key == 0 else Role.DATA
        structure, leaves = flatten(value, role, argument_namer(f, key))
        structures.append(structure)
        numbers.append(leaves)
    count = len(args)
    by_position = Branch(tuple, tuple(range(count)), tuple(structures[:count]))
    by_name = Branch(dict, tuple(kwargs), tuple(structures[count:]))
    return (by_position, by_name), numbers


def argument_namer(f: Callable[..., object], argument: int | str) -> Callable[[Keys], str]:
    """A function that gives the key paths of places in one argument of a call."""
    if isinstance(argument, str):
        return lambda keys: named(f, (argument,), keys)
    return lambda keys: named(f, (argument - 1,) if argument else (), keys)
