"""Generated code that takes arguments apart into floats and puts results together again.

A compiled function is called often with arguments of one structure, so that structure becomes a
few lines of straight Python; arguments that do not fit it exactly are left to ``structure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, cast

from tapegrad.pytree.classes import new_instance
from tapegrad.pytree.matching import same_static
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure, build

__all__ = ["Packer", "Unpacker", "packer", "unpacker"]

Unpacker: TypeAlias = Callable[
    [tuple[object, ...], Mapping[str, object]], "tuple[float, ...] | None"
]
Packer: TypeAlias = Callable[[Sequence[float]], object]

_FLOATS: Final = {float}


def unpacker(arguments: Sequence[Structure], named: Mapping[str, Structure]) -> Unpacker:
    """What gives the floats of arguments that have exactly these structures; None of any other."""
    work = _Unpacking()
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
    """What puts a result of this structure together from its floats."""
    values: dict[str, object] = {}
    places = _Counter()
    source = f"def pack(o):\n  return {_put(result, values, places)}"
    try:
        return cast(Packer, _executed(source, values, "pack"))
    except (SyntaxError, RecursionError, MemoryError):
        return partial(build, result)  # nested too deeply for Python's parser


def _executed(source: str, values: Mapping[str, object], name: str) -> object:
    """What the source defines by that name; it holds no text of the user's, only names of values.

    The function is taken out of its own names, so that it goes with its last reference.
    """
    namespace: dict[str, object] = {
        "FLOATS": _FLOATS, "new": new_instance, "same": same_static, **values,
    }  # fmt: skip
    exec(compile(source, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # as it says
    return namespace.pop(name)


class _Unpacking:
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
        opened = self.name("v")
        kind = self.value(branch.kind, f"t{opened}")
        size = f" or len({opened}) != {len(branch.keys)}" * (branch.kind in _SIZED)
        self.lines.append(f"{opened} = {expression}")
        self.lines.append(f"if type({opened}) is not {kind}{size}: return None")
        if branch.kind in {list, tuple} and all(isinstance(part, Leaf) for part in branch.children):
            self.parts.append(f"*{opened}")
            return
        for index, (key, child) in enumerate(zip(branch.keys, branch.children, strict=True)):
            self.take(child, f"{opened}{self.access(branch.kind, key, f'{opened}_{index}')}")

    def access(self, kind: type, key: object, name: str) -> str:
        if kind in {list, tuple}:
            return f"[{key}]"
        return f"[{self.value(key, name)}]" if kind is dict else f".{key}"


_SIZED: Final = {list, tuple, dict}


class _Counter:
    """Which float comes next."""

    def __init__(self) -> None:
        self.next = 0

    def take(self, count: int) -> tuple[int, int]:
        start, self.next = self.next, self.next + count
        return start, self.next


def _put(structure: Structure, values: dict[str, object], places: _Counter) -> str:
    """The expression that builds a structure from the floats ``o``."""
    if isinstance(structure, Leaf):
        return f"o[{places.take(1)[0]}]"
    name = f"x{len(values)}"
    if isinstance(structure, Static):
        values[name] = structure.value
        return name
    values[name] = structure.kind
    if structure.kind in {list, tuple} and all(isinstance(p, Leaf) for p in structure.children):
        start, stop = places.take(len(structure.children))
        return f"{name}(o[{start}:{stop}])"
    parts = [_put(child, values, places) for child in structure.children]
    return "".join(_together(structure, name, parts, values))


def _together(
    branch: Branch, name: str, parts: Sequence[str], values: dict[str, object]
) -> Iterator[str]:
    if branch.kind is list:
        yield f"[{', '.join(parts)}]"
    elif branch.kind is dict:
        yield "{"
        for index, (key, part) in enumerate(zip(branch.keys, parts, strict=True)):
            values[f"{name}_{index}"] = key
            yield f"{name}_{index}: {part}, "
        yield "}"
    elif issubclass(branch.kind, tuple):
        yield f"tuple.__new__({name}, ({''.join(f'{part}, ' for part in parts)}))"
    else:
        values[f"{name}_keys"] = branch.keys
        yield f"new({name}, zip({name}_keys, ({''.join(f'{part}, ' for part in parts)})))"
