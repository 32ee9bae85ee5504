"""The user's containers taken apart into numbers, and put together again.

A container is a dict, a list, a tuple, a named tuple, an attrs class or a dataclass; no
registration. Its numbers are the *leaves*, each with a key path such as ``layers.0.w``. In a class
instance the fields annotated ``Real`` hold numbers (or containers of them) and the others are
static: they come back as they are. Floats there are refused, so that no parameter comes back as its
own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from itertools import islice, product
from typing import Final, TypeAlias, final

import attrs

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.array_support import is_array, is_frame, serving
from tapegrad.ops.primitive import Operand, Shape, Traced, TracedArray, shape_of
from tapegrad.pytree.classes import Field
from tapegrad.pytree.containers import CONTAINERS, ContainerKind, ObjectArray, container_kind
from tapegrad.pytree.key_paths import Index, Keys, key_path, key_path_in
from tapegrad.pytree.numbers import RejectedError, real_number
from tapegrad.pytree.reachable import object_array_parts
from tapegrad.pytree.undeclared import holds_floats, holds_models, is_plain

__all__ = [
    "LEAF", "Branch", "Leaf", "Role", "Static", "Structure", "argument_paths", "build",
    "data_paths", "describe_structure", "flatten", "holds_arrays", "key_paths", "leaf_shapes",
    "named_error", "split_value", "taken_apart", "traced_leaves",
]  # fmt: skip


@final
@attrs.frozen
class Leaf:
    """The place of a number, or of an array of this shape."""

    shape: Shape = ()


@final
@attrs.frozen
class Static:
    """A value that is passed on as it is."""

    value: object


@final
@attrs.frozen
class Branch:
    """A container: its class, its keys or field names, and the structure of each part."""

    kind: type
    keys: tuple[object, ...]
    children: tuple[Structure, ...]

    @property
    def container(self) -> ContainerKind:
        """The entry of the class in the table of container kinds."""
        return container_kind(self.kind)  # type: ignore[return-value]  # a branch has one

    @property
    def is_flat(self) -> bool:
        """Whether its parts are numbers, and nothing else."""
        return self.children.count(LEAF) == len(self.children)

    def with_parts(self, parts: Sequence[object]) -> object:
        """The container that has these parts in the places of the children."""
        kind = CONTAINERS.get(self.kind) or self.container
        return kind.close(self.kind, self.keys, parts)


Structure: TypeAlias = Leaf | Static | Branch


LEAF: Final = Leaf()
_SHORT: Final[Mapping[type, Sequence[Branch]]] = {
    kind: [Branch(kind, tuple(range(count)), (LEAF,) * count) for count in range(32)]
    for kind in (list, tuple)
}
"""The structures of short sequences of numbers."""

_MAX_KEYS_SHOWN: Final = 20
_TOO_DEEP: Final = "is nested too deeply, or contains itself"


class Role(Enum):
    """The part that a value plays in a recording, which decides what in it is a number."""

    PARAMETERS = "differentiated: ints are promoted, anything but a number is an error"
    DATA = "floats are recorded, everything else is static"
    ARRAYS = "as data, and arrays of floats are recorded as well"
    BLOCK = "traced numbers are recorded, everything else is as it is"
    ROW = "a row of a mapped argument: as data, and fields hold numbers however annotated"
    RESULT = "numbers are recorded, everything else is static"
    AUX = "floats and traced numbers are recorded, everything else is static"

    @property
    def is_data(self) -> bool:
        """Whether the value is beside that which is differentiated."""
        return self is Role.DATA or self is Role.ARRAYS

    @property
    def is_returned(self) -> bool:
        """Whether the recorded function returns the value, rather than being called with it."""
        return self is Role.RESULT or self is Role.AUX


def flatten(
    value: object, role: Role, name: Callable[[Keys], str]
) -> tuple[Structure, list[Operand]]:
    """The structure of ``value`` and its leaves in order; ``name`` gives a leaf's key path.

    Raises:
        InputError: where ``role`` does not allow what is found; the message names the key path.
    """
    leaves: list[Operand] = []
    try:
        return split_value(value, role, leaves), leaves
    except RejectedError as rejected:
        raise named_error(rejected, name) from None


def named_error(rejected: RejectedError, name: Callable[[Keys], str]) -> InputError | OutputError:
    """The error for the user, which names the key path of what was rejected."""
    keys = tuple(reversed(rejected.keys))
    path = name(keys[:_MAX_KEYS_SHOWN]) + "..." * (len(keys) > _MAX_KEYS_SHOWN)
    return rejected.error(f"{path.rstrip()} {rejected.what} ({here()})")


def build(structure: Structure, leaves: Iterable[object]) -> object:
    """The inverse of ``flatten``, with other leaves."""
    if structure is LEAF:
        return next(iter(leaves))
    if type(structure) is Branch and type(leaves) is list:
        children = structure.children
        if len(leaves) == len(children) == children.count(LEAF):
            return structure.with_parts(leaves)
    return _built(structure, iter(leaves))


def _built(structure: Structure, leaves: Iterator[object]) -> object:
    if isinstance(structure, Leaf):
        return next(leaves)
    if isinstance(structure, Static):
        return structure.value
    children = structure.children
    if structure.is_flat:
        return structure.with_parts([*islice(leaves, len(children))])
    return structure.with_parts(
        [next(leaves) if type(child) is Leaf else _built(child, leaves) for child in children]
    )


def key_paths(structure: Structure) -> list[str]:
    """The key paths of the leaves in order; that of a lone leaf is empty."""
    return [key_path(keys) for keys in _leaf_keys(structure, ())]


def argument_paths(structure: Structure, name: str) -> list[str]:
    """The names of the leaves of an argument: key paths, ``w`` for a lone one, and ``w[0, 1]``."""
    is_array = isinstance(structure, Branch) and structure.kind is ObjectArray
    return [name + path if is_array else path or name for path in key_paths(structure)]


def _leaf_keys(structure: Structure, keys: Keys) -> Iterator[Keys]:
    if isinstance(structure, Leaf):
        yield keys
    elif isinstance(structure, Branch):
        for key, child in zip(structure.keys, structure.children, strict=True):
            yield from _leaf_keys(child, (*keys, key))


def leaf_shapes(structure: Structure) -> list[Shape]:
    """The shapes of the leaves in order."""
    if isinstance(structure, Branch):
        return [shape for child in structure.children for shape in leaf_shapes(child)]
    return [structure.shape] if isinstance(structure, Leaf) else []


def holds_arrays(structure: Structure) -> bool:
    """Whether some leaves are arrays."""
    if isinstance(structure, Branch):
        return not structure.is_flat and any(map(holds_arrays, structure.children))
    return isinstance(structure, Leaf) and bool(structure.shape)


def data_paths(structure: Structure, name: str) -> list[str]:
    """The names of the leaves of an argument after the first: ``xs:3``, and ``x[0, 1]``."""
    is_array = isinstance(structure, Branch) and structure.kind is ObjectArray
    return [name + path if is_array else key_path_in(name, path) for path in key_paths(structure)]


def taken_apart(structure: Structure) -> Structure:
    """A structure with a number for each element of an array."""
    if isinstance(structure, Branch):
        children = tuple(map(taken_apart, structure.children))
        return Branch(structure.kind, structure.keys, children)
    if isinstance(structure, Leaf) and structure.shape:
        keys = tuple(map(Index, product(*map(range, structure.shape))))
        return Branch(ObjectArray, keys, (LEAF,) * len(keys))
    return structure


def traced_leaves(value: object) -> Iterator[Traced]:
    """The traced numbers in a value, containers and arrays searched."""
    if isinstance(value, Traced):
        yield value
        return
    kind = container_kind(type(value))
    for part in object_array_parts(value) if kind is None else kind.open(value)[1]:
        yield from traced_leaves(part)


def split_value(value: object, role: Role, leaves: list[Operand]) -> Structure:
    """The structure of a value, whose numbers are added to ``leaves``."""
    if type(value) is float:
        leaves.append(value)
        return LEAF
    plain = CONTAINERS.get(type(value))
    if plain is not None:
        return _split_container(value, plain, role, leaves)
    if isinstance(value, Traced):
        leaves.append(value)
        return Leaf(value.shape) if isinstance(value, TracedArray) else LEAF
    kind = container_kind(type(value))
    if kind is None or (not kind.holds_numbers and (role.is_data or role is Role.BLOCK)):
        return _leaf_or_static(value, role, leaves)
    if not kind.holds_numbers and role is Role.PARAMETERS and not holds_models(value):
        raise RejectedError(
            InputError,
            f"is {describe(value)}, a class with no field annotated Real: annotate the fields "
            "to differentiate (`w: Real`, or `w: Arr` of tapegrad.numpy for an array)",
        )
    return _split_container(value, kind, role, leaves)


def _split_container(
    value: object,
    kind: ContainerKind,
    role: Role,
    leaves: list[Operand],
    *,
    unannotated: bool = False,
) -> Structure:
    """The structure of a container; one that may come without numbers, and does, is static."""
    keys, parts = kind.open(value)
    if kind.is_of_numbers and not unannotated and _are_floats(parts):
        leaves += parts  # type: ignore[arg-type]  # all of them are floats
        short = _SHORT.get(type(value), ())
        if len(keys) < len(short):
            return short[len(keys)]
        return Branch(type(value), keys, (LEAF,) * len(keys))
    fields, before = kind.fields, len(leaves)
    is_plain = fields is None and not unannotated
    children: list[Structure] = []
    for key, part in zip(keys, parts, strict=True):
        try:
            if is_plain:
                children.append(split_value(part, role, leaves))
            elif fields is None or unannotated:
                children.append(_split_unannotated(part, role, leaves, inside=True))
            else:
                children.append(_split_field(part, fields[key], role, leaves))
        except RejectedError as rejected:
            rejected.keys.append(key)
            raise
        except RecursionError:
            raise RejectedError(InputError, _TOO_DEEP) from None
    if len(leaves) == before and (unannotated or (fields is not None and role.is_returned)):
        return Static(value)
    return Branch(type(value), keys, tuple(children))


def _are_floats(parts: Iterable[object]) -> bool:
    """Whether there are parts, and all of them are floats."""
    part: object = None
    for part in parts:
        if type(part) is not float:
            return False
    return part is not None


@lru_cache
def _leaf(shape: Shape) -> Leaf:
    """The place of an array of a shape, or of a number."""
    return Leaf(shape)


def _leaf_or_static(value: object, role: Role, leaves: list[Operand]) -> Structure:
    if is_array(value) and _is_leaf(value, role):
        leaf = serving("pytree.array_leaves").array_leaf(value, copy=False)
        leaves.append(leaf)
        return _leaf(shape_of(leaf))
    number = real_number(value, ints=role is Role.PARAMETERS or role is Role.RESULT)
    if number is not None and role is not Role.BLOCK:
        leaves.append(number)
        return LEAF
    if role.is_returned and next(traced_leaves(value), None) is not None:
        return _split_object_array(value, role, leaves)
    if role is Role.PARAMETERS:
        raise RejectedError(InputError, f"is {describe(value)}, {_way_out(value)}")
    return Static(value)


def _is_leaf(array: object, role: Role) -> bool:
    """Whether an array is a leaf: any parameter is, or is refused; else those of floats are."""
    is_float = serving("pytree.array_leaves").is_float_array(array)
    if role is Role.PARAMETERS:
        return is_float or not any(isinstance(x, Traced) for x in object_array_parts(array))
    return is_float and (role is Role.ARRAYS or role is Role.RESULT)


def _way_out(value: object) -> str:
    """Why a value cannot be a parameter, and what to do."""
    base = next((base for base in CONTAINERS if isinstance(value, base)), None)
    if base is not None:
        return f"a subclass of {base.__name__}: pass a {base.__name__}"
    if is_frame(value):
        return "whose columns are not parameters: pass its to_numpy(), or a dict of arrays"
    if type(value).__module__ != "builtins" and getattr(value, "__dict__", None):
        return (
            "a class whose attributes are not declared: make it a frozen attrs class or a "
            "dataclass, with its numbers in fields annotated Real"
        )
    return (
        "not a number or a container of numbers: pass a float there, or pass it as data after "
        "the first argument"
    )


def _split_object_array(value: object, role: Role, leaves: list[Operand]) -> Structure:
    """The structure of an array of traced numbers, which are among floats, ints and the like."""
    if role is Role.RESULT:
        problem = "is an array of traced numbers, and takes a tuple or a list of them"
        if not getattr(value, "ndim", 1):
            problem = (
                "is an array of one traced number, as numpy.where gives: return its item(), or use "
                "tapegrad.where"
            )
        raise RejectedError(OutputError, problem)
    keys, parts = CONTAINERS[ObjectArray].open(value)
    return Branch(ObjectArray, keys, tuple(split_value(part, role, leaves) for part in parts))


def _split_field(value: object, field: Field, role: Role, leaves: list[Operand]) -> Structure:
    if role is Role.ROW:
        return split_value(value, role, leaves)
    if field is Field.REAL or (field is Field.OPTIONAL and value is not None):
        return split_value(value, Role.PARAMETERS if role.is_data else role, leaves)
    if role.is_returned:
        if is_plain(value):
            return Static(value)
        has_numbers = holds_models(value) or next(traced_leaves(value), None) is not None
        return split_value(value, role, leaves) if has_numbers else Static(value)
    return _split_unannotated(value, role, leaves, inside=False)


def _split_unannotated(
    value: object, role: Role, leaves: list[Operand], *, inside: bool
) -> Structure:
    """The structure of a value in a field not annotated ``Real``, or ``inside`` a container there.

    Models have numbers there as anywhere, and other floats are refused.
    """
    kind = container_kind(type(value))
    if is_plain(value):
        return Static(value)
    if kind is None:
        if holds_floats(value):
            raise RejectedError(InputError, _unannotated(value, inside=inside))
        return Static(value)
    if kind.fields is not None and kind.holds_numbers:
        return split_value(value, role, leaves)
    return _split_container(value, kind, role, leaves, unannotated=True)


def _unannotated(value: object, *, inside: bool) -> str:
    """The fault of floats in a field not annotated ``Real``, and what to do."""
    cure = "annotate it Real to differentiate it"
    if is_array(value):
        cure = "annotate it Arr, of tapegrad.numpy, to differentiate it"
    elif not isinstance(value, float | Traced):
        cure = "annotate the field with Real, and put the numbers into a list, to differentiate it"
    elif inside:
        cure = "annotate the field with Real (`list[Real]`) to differentiate it"
    return (
        f"is {describe(value)} in a field that is not annotated Real, beside fields that are: "
        f"{cure}, or move it into an argument of its own"
    )


def describe_structure(structure: Structure) -> str:
    """A value of this structure in words, for a message."""
    if isinstance(structure, Static):
        return describe(structure.value)
    if isinstance(structure, Leaf):
        return f"an array of shape {structure.shape}" if structure.shape else "a number"
    return f"a {structure.kind.__name__}"
