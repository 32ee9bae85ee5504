"""The arguments of a replay, matched with those that the entries were recorded with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from tapegrad._support.source_position import here
from tapegrad.entries.columns import freeze_values
from tapegrad.entries.entries import Entries
from tapegrad.entries.replay import replay
from tapegrad.errors import InputError
from tapegrad.ops.array_support import quiet
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import Keys, key_path, key_path_in
from tapegrad.pytree.matching import first_difference, in_order
from tapegrad.pytree.structure import (
    Role,
    Static,
    Structure,
    flatten,
    holds_arrays,
    key_paths,
    taken_apart,
)  # fmt: skip
from tapegrad.pytree.value_keys import same_value

__all__ = ["replay_at"]

E = TypeVar("E", bound=Entries)


def replay_at(recorded: E, x: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> E:
    """The same entries with the values that other arguments give them.

    Raises:
        GuardError: when a recorded comparison comes out differently.
        InputError: when the arguments' structure is not the recorded one.
    """
    inputs = _inputs(recorded, x, args, kwargs)
    columns = recorded.columns
    with quiet(on_arrays=columns.on_arrays):
        values = replay(columns, inputs, lambda slot: str(recorded.site(slot) or f"%{slot}"))
    frozen = freeze_values(attrs.evolve(columns, values=values), recorded.computing)
    return attrs.evolve(recorded, stored=frozen)


def _inputs(
    recorded: Entries, x: object, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> list[Operand]:
    """The values of the inputs for a replay; those of data not given are as recorded."""
    leaves = _leaves(recorded.parameters, x, Role.PARAMETERS, recorded.names[0])
    given = _given(recorded, args, kwargs)
    old = list(recorded.values[len(leaves) : len(recorded.inputs)])
    for name, structure in recorded.data_by_name():
        count = len(key_paths(structure))
        if name in given:
            role = Role.ARRAYS if holds_arrays(structure) else Role.DATA
            leaves += _leaves(structure, given[name], role, name)
        else:
            leaves += old[:count]
        old = old[count:]
    return leaves


def _leaves(structure: Structure, value: object, role: Role, name: str) -> list[Operand]:
    """The numbers in an argument that was recorded with this structure."""
    if isinstance(structure, Static) and same_value(structure.value, value):
        return []
    now, leaves = flatten(value, role, _named(name))
    if holds_arrays(now) and not holds_arrays(structure):
        now, leaves = taken_apart(now), [number for leaf in leaves for number in _numbers(leaf)]
    if (keys := first_difference(structure, now, statics=True)) is None:
        return leaves
    place, ordered = key_path_in(name, key_path(keys)), in_order(structure, value)
    ordered_now, _ = flatten(ordered, role, _named(name))
    if ordered is not value and first_difference(structure, ordered_now, statics=True) is None:
        raise InputError(
            f"{place} has its keys in another order than this tape was recorded with, and what was "
            f"recorded may depend on it ({here()}): pass them in that order, or record again"
        )
    raise InputError(
        f"{place} has another structure than this tape was recorded with, or another static value "
        f"({here()}): record again"
    )


def _numbers(leaf: Any) -> list[float]:
    """The elements of an array, or a number."""
    return [leaf] if isinstance(leaf, float) else leaf.ravel().tolist()


def _named(name: str) -> Callable[[Keys], str]:
    return lambda keys: key_path_in(name, key_path(keys))


def _given(
    recorded: Entries, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """The data of a replay by the names it was recorded under."""
    given = dict(zip(recorded.names[1:], args, strict=False))
    known = {name for name, _ in recorded.data_by_name()}
    wrong = [name for name in (*given, *kwargs) if name not in known]
    if twice := given.keys() & kwargs.keys():
        problem = f"{', '.join(sorted(twice))} is given by position and by name"
    elif len(args) >= len(recorded.names):
        problem = f"{len(args)} arguments after the first are too many"
    elif wrong:
        problem = f"{', '.join(wrong)} was not given when this tape was recorded"
    else:
        return given | dict(kwargs)
    raise InputError(f"{problem} ({here()}): pass the arguments it was recorded with")
