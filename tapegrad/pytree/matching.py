"""Compares structures, and brings values into the order of a recorded structure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from operator import is_
from typing import cast

from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand, Traced, shape_of
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import Keys
from tapegrad.pytree.numbers import RejectedError, real_number
from tapegrad.pytree.reachable import object_array_parts
from tapegrad.pytree.structure import (
    Branch,
    Leaf,
    Role,
    Static,
    Structure,
    describe_structure,
    named_error,
    split_value,
)  # fmt: skip
from tapegrad.pytree.value_keys import same_value, unshared

__all__ = ["described_difference", "first_difference", "in_order", "numbers_as", "unshared_statics"]


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
        InputRangeError: for an int too large for a float; the message names the key path.
    """
    leaves: list[Operand] = []
    try:
        return leaves, _read(structure, value, leaves, statics)
    except RejectedError as rejected:
        raise named_error(rejected, name) from None


def _read(structure: Structure, value: object, leaves: list[Operand], statics: bool) -> Keys | None:
    if isinstance(structure, Static):
        return None if _stands_for(value, structure.value, statics) else ()
    if isinstance(structure, Leaf):
        number = _leaf(value)
        fits = number is not None and shape_of(number) == structure.shape
        leaves += [number] if fits and number is not None else []
        return None if fits else ()
    given = _parts_by_key(structure, value)
    if given is None:
        return ()
    if given.keys() != set(structure.keys):
        return _odd_key(structure, given)
    for key, child in zip(structure.keys, structure.children, strict=True):
        try:
            keys = _read(child, given[key], leaves, statics)
        except RejectedError as rejected:
            rejected.keys.append(key)
            raise
        if keys is not None:
            return (key, *keys)
    return None


def _leaf(value: object) -> Operand | None:
    """A number or an array, as it stands in a leaf; None for anything else."""
    if isinstance(value, Traced):
        return value
    if is_array(value) and not any(True for _ in object_array_parts(value)):
        return cast(Operand, serving("pytree.array_leaves").array_leaf(value, copy=True))
    return real_number(value, ints=True)


def _stands_for(value: object, recorded: object, statics: bool) -> bool:
    """Whether a value can stand where a static one was."""
    if statics:
        return same_value(recorded, value)
    return type(value) is type(recorded) or isinstance(split_value(value, Role.RESULT, []), Static)


def _odd_key(branch: Branch, given: Iterable[object]) -> Keys:
    """The first key that only one of two containers has, if their parts go by key; else none."""
    if branch.container.access != "key":
        return ()
    own, others = dict.fromkeys(branch.keys), dict.fromkeys(given)
    odd = (key for key in own | others if key not in own or key not in others)
    return tuple(islice(odd, 1))


def first_difference(
    expected: Structure, given: Structure, *, statics: bool = False
) -> Keys | None:
    """The keys of the first place where two structures differ, or None.

    Static values may differ unless ``statics`` are to be the same.
    """
    if isinstance(expected, Static) and isinstance(given, Static):
        return None if not statics or same_value(expected.value, given.value) else ()
    if not (isinstance(expected, Branch) and isinstance(given, Branch)):
        same = expected == given if isinstance(expected, Leaf) else type(expected) is type(given)
        return None if same else ()
    if expected.kind is not given.kind:
        return ()
    if expected.keys != given.keys:
        return _odd_key(expected, given.keys)
    for key, part, other in zip(expected.keys, expected.children, given.children, strict=True):
        if (keys := first_difference(part, other, statics=statics)) is not None:
            return (key, *keys)
    return None


def described_difference(expected: Structure, given: Structure) -> tuple[Keys, str, str] | None:
    """The keys of the first place where two structures differ, and what each has there; or None.

    The first of the two descriptions is that of what is given.
    """
    keys = first_difference(expected, given, statics=True)
    if keys is None:
        return None
    for depth, key in enumerate(keys):
        parts = _child(expected, key), _child(given, key)
        if None in parts:
            keys = keys[:depth]
            break
        expected, given = cast("tuple[Structure, Structure]", parts)
    if isinstance(expected, Branch) and isinstance(given, Branch) and expected.kind is given.kind:
        return keys, _with_keys(given), _with_keys(expected)
    return keys, describe_structure(given), describe_structure(expected)


def _child(structure: Structure, key: object) -> Structure | None:
    """The part of a container under a key, if it has one."""
    if not isinstance(structure, Branch) or key not in structure.keys:
        return None
    return structure.children[structure.keys.index(key)]


def _with_keys(branch: Branch) -> str:
    """A container in words, and how many parts it has, or its keys where it goes by key."""
    if branch.container.access == "key":
        return f"{describe_structure(branch)} with the keys {', '.join(map(repr, branch.keys))}"
    return f"{describe_structure(branch)} of {len(branch.keys)}"


def in_order(structure: Structure, value: object) -> object:
    """``value`` with its dicts in the order of those in ``structure``, where they have its keys.

    A container whose dicts are in that order is returned as it is.
    """
    if not isinstance(structure, Branch):
        return value
    if structure.kind is not dict and not any(isinstance(x, Branch) for x in structure.children):
        return value  # no dict inside: a long list of numbers is not taken apart
    given = _parts_by_key(structure, value)
    if given is None or given.keys() != set(structure.keys):
        return value
    parts = zip(structure.keys, structure.children, strict=True)
    ordered = {key: in_order(part, given[key]) for key, part in parts}
    if tuple(given) == structure.keys and all(ordered[key] is given[key] for key in given):
        return value
    return structure.with_parts(tuple(ordered.values()))


def _parts_by_key(structure: Structure, value: object) -> dict[object, object] | None:
    """The parts of a container by key, where it is of the kind that ``structure`` says."""
    if not isinstance(structure, Branch) or type(value) is not structure.kind:
        return None
    keys, parts = keys_and_parts(value) or ((), ())
    return dict(zip(keys, parts, strict=True))


def unshared_statics(structure: Structure) -> Structure:
    """The structure with copies of the static values that may change."""
    if isinstance(structure, Static):
        value = unshared(structure.value)
        return structure if value is structure.value else Static(value)
    if isinstance(structure, Leaf) or structure.is_flat:
        return structure
    children = tuple(map(unshared_statics, structure.children))
    if all(map(is_, children, structure.children)):
        return structure
    return Branch(structure.kind, structure.keys, children)
