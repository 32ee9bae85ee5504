"""Generates code that tells whether values are still what they were, the quickest way for each.

What cannot change in place is compared by identity first, a function or a class by the identity of
its parts, and anything else by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from tapegrad.pytree.attributes import may_change
from tapegrad.pytree.outside_parts import ABSENT, Part, has_parts, parts_of
from tapegrad.pytree.value_keys import KeyMaker, Places

__all__ = ["ChangeChecks", "executed"]

_TEXT: Final = frozenset((int, str, bytes))
"""The types of which two values do the same where Python calls them equal."""


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
            self.conditions.append(f"key({expression}) == {self.bind(self._key(value))}")
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
