"""How the numbers of a tree stand in it: taken out in order, and put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar, cast, final

from tapegrad._support.cached import cached
from tapegrad._support.function_wrapper import Reduced
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.ops.primitive import Operand, Shape
from tapegrad.pytree.codegen import Packer, Unpacker, packer, unpacker
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import Keys, key_path
from tapegrad.pytree.matching import numbers_as
from tapegrad.pytree.structure import (
    Branch,
    Role,
    Structure,
    describe_structure,
    flatten,
    key_paths,
    leaf_shapes,
)  # fmt: skip

__all__ = ["Layout", "leaves_as", "taken_apart"]

A = TypeVar("A")

_MISSING: Final = object()


@final
class Layout(Generic[A]):
    """The structure of trees of one kind, with generated code that opens and closes them."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure

    def __reduce__(self) -> Reduced:
        return Layout, (self.structure,)

    @cached
    def paths(self) -> tuple[str, ...]:
        """The key paths of the numbers and arrays."""
        return tuple(key_paths(self.structure))

    @cached
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the numbers and arrays, () for a number."""
        return tuple(leaf_shapes(self.structure))

    @cached
    def _unpack(self) -> Unpacker:
        return unpacker([self.structure], {})

    @cached
    def _pack(self) -> Packer:
        return packer(self.structure)

    def plain_leaves(self, value: A) -> tuple[float, ...] | None:
        """The numbers and arrays of a tree built just so; None where some are traced, or it is not.

        Arrays are the caller's own.
        """
        return self._unpack((value,), {})

    def leaves(self, value: A, what: str, other: str) -> Sequence[Operand]:
        """The numbers and arrays of a tree.

        Raises:
            InputError: when it is built otherwise; the message names ``what``, and the key path.
        """
        return leaves_as(self.structure, value, what, other)

    def build(self, leaves: Sequence[Operand]) -> A:
        """The tree that has these numbers and arrays."""
        return cast(A, self._pack(cast("Sequence[float]", leaves)))


def taken_apart(value: object) -> tuple[Structure, list[Operand]]:
    """The structure of a tree, and its numbers and arrays.

    Raises:
        InputError: when it holds anything that ``grad`` does not take; the message names the place.
    """
    return flatten(value, Role.PARAMETERS, lambda keys: key_path(keys) or "the tree")


def leaves_as(structure: Structure, value: object, what: str, other: str) -> list[Operand]:
    """The numbers and arrays of a tree in the order of ``structure``; dicts are matched by key.

    Raises:
        InputError: when it is built otherwise than the ``other``.
    """
    leaves, misfit = numbers_as(structure, value, lambda keys: key_path(keys) or what)
    if misfit is None:
        return leaves
    expected, given = _at(structure, value, misfit)
    raise InputError(
        f"{what} has {given} at {key_path(misfit) or 'its root'} ({here()}), and {other} "
        f"{expected}: pass trees of one structure"
    )


def _at(structure: Structure, value: object, keys: Keys) -> tuple[str, str]:
    """The two things at the first place where a tree differs from a structure, in words."""
    part: Structure | None = structure
    for key in keys:
        inside = (
            dict(zip(part.keys, part.children, strict=True)) if isinstance(part, Branch) else {}
        )
        part = inside.get(key)
        opened = keys_and_parts(value) or ((), ())
        value = dict(zip(*opened, strict=True)).get(key, _MISSING)
    sized = isinstance(part, Branch) and type(value) is part.kind
    expected = "nothing" if part is None else describe_structure(part)
    given = "nothing" if value is _MISSING else _described(value)
    if sized and isinstance(part, Branch):
        expected += f" of {len(part.keys)}"
        given = f"one of {len((keys_and_parts(value) or ((), ()))[0])}"
    return expected, given


def _described(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {shape}" if isinstance(shape, tuple) and shape else describe(value)
