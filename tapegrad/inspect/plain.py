"""The tape as plain data: dicts, lists, texts and numbers, as JSON has them.

The format is a promise: a later version may add keys, and keeps those that are here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias, cast

import attrs

from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.inspect.names import Names
from tapegrad.inspect.static_text import static_text
from tapegrad.ops.array_support import is_array
from tapegrad.sweep.gradient import known_cotangents

__all__ = ["plain", "plain_number", "to_json"]

Plain: TypeAlias = Mapping[str, object]

_VERSION: Final = 1


def to_json(entries: Entries, indent: int | None) -> str:
    """The plain data of a tape as JSON text."""
    return json.dumps(plain(entries), indent=indent, allow_nan=False)


def plain(entries: Entries) -> Plain:
    """A tape as data; ``Tape.to_json`` describes it."""
    names = Names(entries)
    return {
        "version": _VERSION,
        "function": entries.function,
        "inputs": list(names.written),
        "outputs": [{"slot": slot, "name": names.results[slot]} for slot in entries.outputs],
        "entries": list(_entries(entries.of_numbers(), names)),
    }


def _entries(entries: Entries, names: Names) -> Iterator[Plain]:
    bars, outputs = known_cotangents(entries), frozenset(entries.outputs)
    for slot, (node, bar) in enumerate(zip(entries, bars, strict=True)):
        site = entries.site(slot)
        yield {
            "slot": slot,
            **_operation(node),
            "name": names.given(slot) or None,
            "cotangent": None if bar is None or isinstance(node, Constant) else plain_number(bar),
            "output": slot in outputs,
            "scope": list(entries.scope(slot)),
            "site": None if site is None else attrs.asdict(site),
        }


def _operation(node: Node) -> Plain:
    """The kind of an entry, what it reads, and its value."""
    match node:
        case Apply():
            row = node.primitive
            return {
                "kind": "operation",
                "operation": row.name.rstrip("_"),
                "operands": list(node.operands),
                "static": [_static(static_text(row, x), x) for x in node.static],
                "value": plain_number(node.value),
            }
        case Guard():
            return {
                "kind": "guard",
                "operands": [node.operand],
                "value": plain_number(node.outcome),
            }
        case Input():
            return {"kind": "input", "operands": [], "value": plain_number(node.value)}
        case Constant():
            return {"kind": "constant", "operands": [], "value": plain_number(node.value)}


def _static(text: str, value: object) -> object:
    return plain_number(value) if isinstance(value, float | int) else text


def plain_number(value: Any) -> object:
    """A number or an array of them as JSON has them; "nan", "inf" and "-inf" are texts.

    >>> plain_number(2.0), plain_number(float("inf"))
    (2.0, 'inf')
    """
    if isinstance(value, list):
        return list(map(plain_number, value))
    if is_array(value):
        return plain_number(value.tolist())
    return str(value) if isinstance(value, float) and not isfinite(value) else cast(object, value)
