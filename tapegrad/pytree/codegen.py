"""Generates code that takes arguments apart into floats and puts results together again.

A compiled function is called often with arguments of one structure, so that structure becomes a
few lines of straight Python; arguments that do not fit it exactly are left to ``structure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Final, TypeAlias, cast

from tapegrad.pytree.containers import ContainerKind
from tapegrad.pytree.matching import same_static
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure, build

__all__ = ["Packer", "Unpacker", "packer", "unpacker"]

Unpacker: TypeAlias = Callable[
    [tuple[object, ...], Mapping[str, object]], "tuple[float, ...] | None"
]
Packer: TypeAlias = Callable[[Sequence[float]], object]

_FLOATS: Final = {float}


def unpacker(arguments: Sequence[Structure], named: Mapping[str, Structure]) -> Unpacker:
    """A function that gives the floats of arguments of exactly these structures, else None."""
    work = _UnpackingCode()
    for index, structure in enumerate(arguments):
        work.take(structure, f"args[{index}]")
    for index, (name, structure) in enumerate(named.items()):
        work.take(structure, f"kwargs[{work.value(name, f'k{index}')}]")
    fits = "set(map(type, floats)) == FLOATS" if work.parts else "True"
    lines = [
        "def unpack(args, kwargs):",
        "  try:",
        f"    if len(args) != {len(arguments)} or len(kwargs) != {len(named)}: return None",
        *(f"    {line}" for line in work.lines),
        f"    floats = ({''.join(f'{part}, ' for part in work.parts)})",
        "  except (KeyError, AttributeError, TypeError): return None",
        f"  return floats if {fits} else None",
    ]
    return cast(Unpacker, _executed("\n".join(lines), work.values, "unpack"))


def packer(result: Structure) -> Packer:
    """A function that puts a result of this structure together from its floats."""
    values: dict[str, object] = {}
    source = f"def pack(o):\n  return {_expression(result, values, count())}"
    try:
        return cast(Packer, _executed(source, values, "pack"))
    except (SyntaxError, RecursionError, MemoryError):
        return partial(build, result)  # nested too deeply for Python's parser


def _executed(source: str, values: Mapping[str, object], name: str) -> object:
    """The function that the source defines; it holds no text of the user's, only names of values.

    It is removed from its own globals, so that it is freed with its last reference.
    """
    namespace: dict[str, object] = {"FLOATS": _FLOATS, "same": same_static, **values}
    exec(compile(source, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # as it says
    return namespace.pop(name)


class _UnpackingCode:
    """The lines that check and open containers, and the expressions of their floats."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parts: list[str] = []
        self.values: dict[str, object] = {}

    def value(self, value: object, name: str) -> str:
        self.values[name] = value
        return name

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.lines)}"

    def take(self, structure: Structure, expression: str) -> None:
        if isinstance(structure, Leaf):
            self.parts.append(expression)
        elif isinstance(structure, Static):
            recorded = self.value(structure.value, self.name("s"))
            self.lines.append(f"if not same({recorded}, {expression}): return None")
        else:
            self.open(structure, expression)

    def open(self, branch: Branch, expression: str) -> None:
        opened, container = self.name("v"), branch.container
        kind = self.value(branch.kind, f"t{opened}")
        size = "" if container.access == "field" else f" or len({opened}) != {len(branch.keys)}"
        self.lines.append(f"{opened} = {expression}")
        self.lines.append(f"if type({opened}) is not {kind}{size}: return None")
        if container.access == "index" and _holds_leaves_only(branch):
            self.parts.append(f"*{opened}")
            return
        for index, (key, child) in enumerate(zip(branch.keys, branch.children, strict=True)):
            self.take(child, f"{opened}{self.access(container, key, f'{opened}_{index}')}")

    def access(self, container: ContainerKind, key: object, name: str) -> str:
        if container.access == "field":
            return f".{key}"
        return f"[{key}]" if container.access == "index" else f"[{self.value(key, name)}]"


def _holds_leaves_only(branch: Branch) -> bool:
    return all(isinstance(child, Leaf) for child in branch.children)


def _expression(structure: Structure, values: dict[str, object], indices: Iterator[int]) -> str:
    """The expression that builds a structure from the floats ``o``."""
    if isinstance(structure, Leaf):
        return f"o[{next(indices)}]"
    name = f"x{len(values)}"
    if isinstance(structure, Static):
        values[name] = structure.value
        return name
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
