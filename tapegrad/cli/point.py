"""The values that ``--at`` gives."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tapegrad.errors import InputError

__all__ = ["parse_point"]


def parse_point(items: Sequence[str]) -> dict[str, object]:
    """The values that ``--at`` gives: ``name=value`` each, or a TOML file of them.

    A dotted name stands for a part of a dict. A value is JSON, ``1,2,3``, a number, or text.

    Raises:
        InputError: when an item is neither, or a name gets both a value and parts.
    """
    values: dict[str, object] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if equals and name:
            _put(values, name, _value(name, text))
        elif item.endswith(".toml"):
            for name, value in _toml(Path(item)).items():
                _put(values, name, value)
        else:
            raise InputError(f"--at {item} gives no value: write name=value, or name a .toml file")
    return values


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--at {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"--at {path} is not TOML: {error}") from None


def _put(values: dict[str, object], name: str, value: object) -> None:
    """Sets the part that a dotted name stands for."""
    *outer, last = name.split(".")
    part = values
    for key in outer:
        inner = part.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"--at gives {key} the value {inner!r} and the part {name}: give one")
        part = inner
    part[last] = value


def _value(name: str, text: str) -> object:
    try:
        return cast(object, json.loads(text))
    except ValueError as error:
        if text.startswith(("[", "{", '"')):
            raise InputError(f"--at {name}={text} is not JSON: {error}") from None
    try:
        return float(text)
    except ValueError:
        parts = [part.strip() for part in text.split(",")]
    return [_value(name, part) for part in parts if part] if len(parts) > 1 else text
