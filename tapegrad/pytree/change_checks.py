"""Generates code that tells whether values are still what they were, the quickest way for each.

What cannot change in place is compared by identity first, a function or a class by the identity of
its parts, containers by that of all that is in them, and anything else by its key.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from operator import is_
from types import NoneType
from typing import Any, Final, TypeAlias, final

from tapegrad.pytree.attributes import may_change
from tapegrad.pytree.outside_parts import ABSENT, Part, has_parts, parts_of
from tapegrad.pytree.value_keys import KeyMaker, Places

__all__ = ["ChangeChecks", "executed"]

_TEXT: Final = frozenset((int, str, bytes))
"""The types of which two values do the same where Python calls them equal."""
_PLAIN: Final = frozenset((int, bool, float, complex, str, bytes, NoneType))
"""The types of values that have no parts and cannot change."""
_CONTAINERS: Final = frozenset((list, tuple, dict, set, frozenset))

Key: TypeAlias = Callable[[object], object]


def executed(source: str, values: Mapping[str, object], name: str) -> object:
    """The function that the source defines; it holds no text of the user's, only names of values.

    It is removed from its own globals, so that it is freed with its last reference.
    """
    namespace = dict(values)
    exec(compile(source, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # as it says
    return namespace.pop(name)


@final
class ChangeChecks:
    """The conditions under which values are what they were, as Python's expressions.

    ``values`` has what the expressions name. The places that are ``written`` by the model itself
    are not looked at.
    """

    conditions: list[str]
    values: dict[str, object]

    def __init__(self, written: Places | None = None) -> None:
        self.conditions = []
        self._written = written or {}
        self.values = {"key": self._key}
        self._names: dict[int, str] = {}
        self._opened: set[int] = set()

    def bind(self, value: object) -> str:
        """The name of a value in the expressions."""
        name = self._names.setdefault(id(value), f"c{len(self._names)}")
        self.values[name] = value
        return name

    def expect(self, value: object, expression: str) -> None:
        """Adds the conditions under which the expression gives a value that does the same."""
        name = self.bind(value)
        if has_parts(value):
            self.conditions.append(f"{expression} is {name}")
            self.expect_parts(value)
        elif type(value) in _TEXT:
            alike = f"type(v) is {self.bind(type(value))} and v == {name}"
            self.conditions.append(f"((v := {expression}) is {name} or ({alike}))")
        elif may_change(value):
            alike = f"key({expression}) == {self.bind(self._key(value))}"
            if type(value) in _CONTAINERS or _is_of_numbers(value):
                same = self.bind(_same_parts(value, self._key))
                alike = f"({same}({expression}) or {alike})"
            self.conditions.append(alike)
        else:
            alike = f"key(v) == {self.bind(self._key(value))}"
            self.conditions.append(f"((v := {expression}) is {name} or {alike})")

    def _key(self, value: object) -> object:
        return KeyMaker(self._written).key(value)

    def expect_parts(self, value: object) -> None:
        """Adds the conditions under which a function or class has the parts that it has."""
        if id(value) in self._opened:
            return
        self._opened.add(id(value))
        self.bind(value)
        for part in parts_of(value):
            if (id(part.holder), part.key) not in self._written:
                self._expect_part(part)

    def _expect_part(self, part: Part) -> None:
        holder = self.bind(part.holder)
        match part.access:
            case "length":
                self.conditions.append(f"len({holder}.__dict__) == {part.value}")
            case "item" if part.value is ABSENT:
                self.conditions.append(f"{self.bind(part.key)} not in {holder}")
            case "item":
                self.expect(part.value, f"{holder}[{self.bind(part.key)}]")
            case "own":
                self.expect(part.value, f"{holder}.__dict__[{self.bind(part.key)}]")
            case "cell":
                self.expect(part.value, f"{holder}.cell_contents")
            case "attribute":
                self.expect(part.value, f"{holder}.{part.key}")


def _same_parts(value: object, key: Key) -> Callable[[object], bool]:
    """A function that is true only of this container, and only while all in it is the same object.

    Or of this array of numbers. Such arrays in it are compared by their bytes, and other parts that
    may change and are no containers by their keys.
    """
    containers, arrays, others = _opened(value)
    holders = [*chain.from_iterable(map(_shown, containers))]
    sizes, parts = [*map(len, holders)], [*chain.from_iterable(holders)]
    contents, known = [*map(_content, arrays)], [*map(key, others)]

    def same_parts(now: object) -> bool:
        if now is not value or [*map(len, holders)] != sizes:
            return False
        try:
            is_same = all(map(is_, chain.from_iterable(holders), parts))
        except RuntimeError:  # another thread adds to a dict
            return False
        is_same = is_same and [*map(_content, arrays)] == contents
        return is_same and [*map(key, others)] == known

    return same_parts


def _opened(value: object) -> tuple[Collection[Any], Collection[Any], Collection[object]]:
    """The containers in a value, itself among them, arrays of numbers, and what else may change."""
    containers: dict[int, Any] = {}
    arrays: dict[int, Any] = {}
    others: dict[int, object] = {}
    to_open = [value]
    while to_open:
        one: Any = to_open.pop()
        at = id(one)
        if type(one) in _PLAIN or at in containers or at in arrays or at in others:
            continue
        if type(one) in _CONTAINERS:
            containers[at] = one
            to_open += chain.from_iterable(_shown(one))
        elif _is_of_numbers(one):
            arrays[at] = one
        elif may_change(one):
            others[at] = one
    return containers.values(), arrays.values(), others.values()


def _is_of_numbers(value: Any) -> bool:
    """Whether a value is an array of numpy's own class, and holds no objects."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject


def _content(array: Any) -> tuple[object, ...]:
    return array.shape, array.dtype, array.tobytes()


def _shown(container: Any) -> tuple[Collection[object], ...]:
    """A container, and the view of its values where it is a dict."""
    return (container, container.values()) if type(container) is dict else (container,)
