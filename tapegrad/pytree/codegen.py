"""Generates code that takes arguments apart into floats and puts results together again.

A compiled function is called often with arguments of one structure, so that structure becomes a
few lines of straight Python; arguments that do not fit it exactly are left to ``structure``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, TypeAlias, cast

from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Shape
from tapegrad.pytree.attributes import may_change
from tapegrad.pytree.change_checks import ChangeChecks, executed
from tapegrad.pytree.containers import ContainerKind
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure, build, holds_arrays
from tapegrad.pytree.value_keys import unshared

__all__ = ["Packer", "RowsUnpacker", "Unpacker", "packer", "rows_unpacker", "unpacker"]

Unpacker: TypeAlias = Callable[
    [tuple[object, ...], Mapping[str, object]], "tuple[float, ...] | None"
]
RowsUnpacker: TypeAlias = Callable[
    [tuple[object, ...], Mapping[str, object]],
    "tuple[tuple[float, ...], tuple[Any, ...]] | None",
]
Packer: TypeAlias = Callable[[Sequence[float]], object]

_FLOATS: Final = {float}
_FEW: Final = 16
"""The most floats, or keys of a dict, that are looked at one by one."""


def unpacker(arguments: Sequence[Structure], named: Mapping[str, Structure]) -> Unpacker:
    """A function that gives the floats of arguments of exactly these structures, else None."""
    structures = [*arguments, *named.values()]
    on_arrays = any(map(holds_arrays, structures))
    work = _UnpackingCode(one_by_one=on_arrays or sum(map(_count, structures)) <= _FEW)
    for index, structure in enumerate(arguments):
        work.take(structure, f"args[{index}]")
    work.expect_keys([*named], "kwargs")
    for name, structure in named.items():
        work.take(structure, f"kwargs[{work.checks.bind(name)}]")
    lines = [
        "def unpack(args, kwargs):",
        "  try:",
        f"    if len(args) != {len(arguments)} or len(kwargs) != {len(named)}: return None",
        *(f"    {line}" for line in work.lines),
        "  except (KeyError, AttributeError, TypeError, ValueError): return None",
        *(f"  {line}" for line in work.result()),
    ]
    values = {"FLOAT": float, "FLOATS": _FLOATS, **work.checks.values}
    if on_arrays:
        leaves = serving("pytree.array_leaves")
        values |= {"ARRAY": leaves.ARRAY, "OF_FLOATS": leaves.FLOATS}
    return cast(Unpacker, executed("\n".join(lines), values, "unpack"))


def rows_unpacker(
    arguments: Sequence[Structure],
    named: Mapping[str, Structure],
    mapped: Collection[int],
    array: type,
) -> RowsUnpacker:
    """A function that gives the floats of arguments of exactly these structures, and the arrays.

    The arguments at the positions ``mapped`` hold an ``array`` in the place of each float. The
    numbers of arrays in the others are among the floats.
    """
    floats = _UnpackingCode(one_by_one=True)
    arrays = _UnpackingCode(one_by_one=True, checks=floats.checks, prefix="a")
    for index, structure in enumerate(arguments):
        (arrays if index in mapped else floats).take(structure, f"args[{index}]")
    floats.expect_keys([*named], "kwargs")
    for name, structure in named.items():
        floats.take(structure, f"kwargs[{floats.checks.bind(name)}]")
    lines = [
        "def unpack(args, kwargs):",
        "  try:",
        f"    if len(args) != {len(arguments)} or len(kwargs) != {len(named)}: return None",
        *(f"    {line}" for line in (*floats.lines, *arrays.lines)),
        "  except (KeyError, AttributeError, TypeError, ValueError): return None",
        *(f"  {floats.refusal('FLOAT')}", f"  {arrays.refusal('ARRAY')}"),
        f"  return {floats.numbers()}, {arrays.tuple()}",
    ]
    values = {"FLOAT": float, "ARRAY": array, **floats.checks.values}
    if floats.arrays:
        values["OF_FLOATS"] = serving("pytree.array_leaves").FLOATS
    return cast(RowsUnpacker, executed("\n".join(lines), values, "unpack"))


def packer(result: Structure) -> Packer:
    """A function that puts a result of this structure together from its floats."""
    values: dict[str, object] = {}
    source = f"def pack(o):\n  return {_expression(result, values, count())}"
    try:
        return cast(Packer, executed(source, {"unshared": unshared, **values}, "pack"))
    except (SyntaxError, RecursionError, MemoryError):
        return partial(_built, result)  # nested too deeply for Python's parser


def _built(result: Structure, leaves: Sequence[float]) -> object:
    return build(unshared_statics(result), leaves)


class _UnpackingCode:
    """The lines that check and open containers, and the expressions of their floats.

    A few floats are named ``one_by_one``, which is quicker than to collect them. Their names begin
    with the ``prefix``.
    """

    def __init__(
        self, *, one_by_one: bool, checks: ChangeChecks | None = None, prefix: str = "f"
    ) -> None:
        self.lines: list[str] = []
        self.parts: list[str] = []
        self.arrays: set[str] = set()
        self.checks = checks or ChangeChecks()
        self._one_by_one, self._prefix = one_by_one, prefix

    def take(self, structure: Structure, expression: str) -> None:
        """Adds the lines and parts of an argument, or a part of one, that the expression gives."""
        if isinstance(structure, Leaf) and structure.shape:
            self._add_array(structure.shape, expression)
        elif isinstance(structure, Leaf):
            self._add_floats(f"{expression},", 1)
        elif isinstance(structure, Static):
            self.checks.expect(structure.value, expression)
            self.lines += [f"if not {each}: return None" for each in self.checks.conditions]
            self.checks.conditions.clear()
        else:
            self._open(structure, expression)

    def result(self) -> list[str]:
        """The lines that give the floats, if that is what they are."""
        if not self.parts:
            return ["return ()"]
        if self._one_by_one:
            return [self.refusal("FLOAT"), f"return {self.tuple()}"]
        return [
            f"floats = {self.tuple()}",
            "return floats if set(map(type, floats)) == FLOATS else None",
        ]

    def tuple(self) -> str:
        """The expression of all parts."""
        return f"({''.join(f'{part}, ' for part in self.parts)})"

    def numbers(self) -> str:
        """The expression of all numbers, those of arrays one by one."""
        parts = (
            f"*{part}.ravel().tolist()" if part in self.arrays else part for part in self.parts
        )
        return f"({''.join(f'{part}, ' for part in parts)})"

    def refusal(self, kind: str) -> str:
        """The line that returns where a part, each of which has a name, is not of this kind."""
        others = (f"type({part}) is not {kind}" for part in self.parts if part not in self.arrays)
        return f"if {' or '.join(others) or False}: return None"

    def _add_floats(self, expressions: str, count: int) -> None:
        """Adds the floats of a tuple, or of another iterable."""
        if not self._one_by_one:
            self.parts.append(f"*({expressions})")
        elif count:
            names = [f"{self._prefix}{len(self.parts) + place}" for place in range(count)]
            self.lines.append(f"{', '.join(names)}, = {expressions}")
            self.parts += names

    def _add_array(self, shape: Shape, expression: str) -> None:
        """Adds an array that is taken as it is: of floats, in C order, of this shape."""
        name = f"{self._prefix}{len(self.parts)}"
        fits = f"type({name}) is ARRAY and {name}.shape == {shape!r} and {name}.dtype == OF_FLOATS"
        self.lines.append(f"{name} = {expression}")
        self.lines.append(f"if not ({fits} and {name}.flags.c_contiguous): return None")
        self.parts.append(name)
        self.arrays.add(name)

    def expect_keys(self, keys: list[object], given: str) -> None:
        """Adds the lines that check the keys of a dict, their types and their order."""
        if not keys:
            return
        same, kinds = self.checks.bind(keys), self.checks.bind(list(map(type, keys)))
        differ = f"[*{given}] != {same} or [*map(type, {given})] != {kinds}"
        if len(keys) <= _FEW:
            names = [f"k{place}" for place in range(len(keys))]
            pairs = zip(names, map(self.checks.bind, keys), strict=True)
            others = " or ".join(f"{name} is not {key}" for name, key in pairs)
            self.lines.append(f"{', '.join(names)}, = {given}")
            differ = f"({others}) and ({differ})"
        self.lines.append(f"if {differ}: return None")

    def _open(self, branch: Branch, expression: str) -> None:
        opened, container = f"v{len(self.lines)}", branch.container
        kind = self.checks.bind(branch.kind)
        size = "" if container.access == "field" else f" or len({opened}) != {len(branch.keys)}"
        self.lines.append(f"{opened} = {expression}")
        self.lines.append(f"if type({opened}) is not {kind}{size}: return None")
        if container.access == "key":
            self.expect_keys([*branch.keys], opened)
        if container.access == "index" and _holds_leaves_only(branch):
            self._add_floats(opened, len(branch.keys))
        elif container.access == "key" and _holds_leaves_only(branch):
            self._add_floats(f"{opened}.values()", len(branch.keys))
        else:
            for key, child in zip(branch.keys, branch.children, strict=True):
                self.take(child, f"{opened}{self._access(container, key)}")

    def _access(self, container: ContainerKind, key: object) -> str:
        if container.access == "field":
            return f".{key}"
        return f"[{key}]" if container.access == "index" else f"[{self.checks.bind(key)}]"


def _count(structure: Structure) -> int:
    """The number of floats in a structure."""
    if isinstance(structure, Branch):
        return sum(map(_count, structure.children))
    return int(isinstance(structure, Leaf))


def _holds_leaves_only(branch: Branch) -> bool:
    return all(isinstance(child, Leaf) and not child.shape for child in branch.children)


def _expression(structure: Structure, values: dict[str, object], indices: Iterator[int]) -> str:
    """The expression that builds a structure from the floats ``o``."""
    if isinstance(structure, Leaf):
        return f"o[{next(indices)}]"
    name = f"x{len(values)}"
    if isinstance(structure, Static):
        values[name] = structure.value
        return f"unshared({name})" if may_change(structure.value) else name
    values[name] = structure.kind
    if structure.container.access == "index" and structure.keys and _holds_leaves_only(structure):
        taken = [next(indices) for _ in structure.keys]
        return f"{name}(o[{taken[0]}:{taken[-1] + 1}])"
    parts = [_expression(child, values, indices) for child in structure.children]
    return _closed(structure, name, parts, values)


def _closed(branch: Branch, name: str, parts: Sequence[str], values: dict[str, object]) -> str:
    """The expression of a container with these parts; ``name`` is its class."""
    container = branch.container
    if not container.literal:
        values |= {f"{name}_close": container.close, f"{name}_keys": branch.keys}
        return f"{name}_close({name}, {name}_keys, ({''.join(f'{part}, ' for part in parts)}))"
    if container.access == "key":
        keys = {f"{name}_{index}": key for index, key in enumerate(branch.keys)}
        values |= keys
        parts = [f"{key}: {part}" for key, part in zip(keys, parts, strict=True)]
    return container.literal.format("".join(f"{part}, " for part in parts))
