"""Finds what a function reads beside its arguments: cells, globals, defaults, its own object."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import count
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad.pytree.attributes import is_library_class, may_change
from tapegrad.pytree.change_checks import ChangeChecks, executed
from tapegrad.pytree.outside_parts import has_parts, is_wrapper, parts_of
from tapegrad.pytree.value_keys import WHOLE, ByIdentity, KeyMaker, Place, Places

__all__ = ["MOST_KEPT", "Outside", "OutsideState", "Unchanged"]

MOST_KEPT: Final = 1024
"""The most states, or recordings, that are kept; the one used longest ago is forgotten."""

Contents: TypeAlias = Mapping[Place, tuple[object, Hashable]]
"""A short key for each place, with its object."""

Unchanged: TypeAlias = Callable[[], bool]
"""Tells whether all that a function reads is still what it was."""


@final
@attrs.frozen(eq=False)
class OutsideState:
    """The values that a function read from outside at one time: the name and key of each.

    Two states with one ``number`` are the same to the function. ``unchanged`` is None where nothing
    can change. ``has_traced`` says whether a traced number is among the values; ``contents`` has a
    short key for each place that was read, with its object.
    """

    number: int
    values: tuple[tuple[str, Hashable], ...]
    unchanged: Unchanged | None
    has_traced: bool
    contents: Contents

    def holds(self) -> bool:
        """Whether all is as it was then, and may be assumed to be."""
        return not self.has_traced and (self.unchanged is None or self.unchanged())


@final
class Outside:
    """The states of what a function reads from outside."""

    def __init__(self, f: Callable[..., object]) -> None:
        self._sources = _sources(f)
        self._numbers: OrderedDict[Hashable, int] = OrderedDict()
        self._next = count()
        self.exclusive: Exclusive = Exclusive()
        self._latest: OutsideState | None = None
        self._written: Places = {}

    def state(self) -> OutsideState:
        """The state now."""
        latest = self._latest
        if latest is None or not latest.holds():
            latest = self._latest = self._read(None)
        return latest

    def watched(self, f: Callable[..., object]) -> Callable[..., object]:
        """The function; what its calls change outside is its own, and not read from then on.

        Compiled code does not change it: a log, a counter or a cache is written only by the calls
        that are recorded.
        """

        @functools.wraps(f, updated=())
        def watched(*args: object, **kwargs: object) -> object:
            state = self.state()
            try:
                return f(*args, **kwargs)
            finally:
                if not state.holds():
                    self._leave_out_changes(state)

        watched.__qualname__ = name_of(f)
        return watched

    def _leave_out_changes(self, before: OutsideState) -> None:
        """Leaves out the places that have changed since; what is left is the same state."""
        maker = KeyMaker(self._written)
        list(_values(self._sources, maker))
        changed = dict(_changed(before.contents, maker.contents))
        if changed:
            self._written = {**self._written, **changed}
            self._latest = self._read(before.number)

    def _read(self, number: int | None) -> OutsideState:
        """The state now: one that has been met before, or else the one of this number, or new."""
        unchanged = _unchanged(self._sources, self._written)
        maker = KeyMaker(self._written)
        values = tuple(_values(self._sources, maker))
        number = self._number_of(values, number)
        return OutsideState(number, values, unchanged, maker.has_traced, maker.contents)

    @exclusive
    def _number_of(self, values: Hashable, number: int | None) -> int:
        """The number of the state with these values; where it is new, the given or the next one."""
        number = next(self._next) if number is None else number
        number = self._numbers.setdefault(values, number)
        self._numbers.move_to_end(values)
        if len(self._numbers) > MOST_KEPT:
            self._numbers.popitem(last=False)
        return number


def _sources(f: object) -> list[object]:
    """The user's functions that a call of ``f`` reaches, and their objects."""
    found: list[object] = []
    to_open, seen = [f], set[int]()
    while to_open:
        value = to_open.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if is_wrapper(value):
            to_open += [part.value for part in parts_of(value)]
        elif has_parts(value):
            found.append(value)
        elif not is_library_class(type(value)):
            found += [value, type(value).__call__]
    return found


def _values(sources: Sequence[object], maker: KeyMaker) -> Iterator[tuple[str, Hashable]]:
    """The names of what is read, with the keys that the maker gives them."""
    seen: set[int] = set()
    found: list[tuple[str, object]] = [("it", source) for source in reversed(sources)]
    while found:
        name, value = found.pop()
        if not has_parts(value):
            yield name, maker.key(value)
            continue
        yield name, ByIdentity(value)
        if id(value) in seen:
            continue
        seen.add(id(value))
        found += [
            (part.name, part.value)
            for part in reversed([*parts_of(value)])
            if part.access != "length" and maker.is_read(part.holder, part.key, part.value)
        ]


def _changed(before: Contents, after: Contents) -> Iterator[tuple[Place, object]]:
    """The places of objects that were there before, and are not as they were."""
    for place in {**before, **after}:
        holder, _ = before.get(place) or after[place]
        known = place in before or (place[0], WHOLE) in before
        gone = place not in after and (place[0], WHOLE) in after
        if known and (gone or place in after) and before.get(place) != after.get(place):
            yield place, holder


def _unchanged(sources: Sequence[object], written: Places) -> Unchanged | None:
    """A function that tells whether what these read is what it is now."""
    checks = ChangeChecks(written)
    for source in sources:
        if has_parts(source):
            checks.expect_parts(source)
        elif may_change(source):
            checks.expect(source, checks.bind(source))
    if not checks.conditions:
        return None
    lines = [
        "def unchanged():",
        "  try:",
        f"    return {' and '.join(checks.conditions)}",
        "  except (LookupError, AttributeError, TypeError, ValueError): return False",
    ]
    return cast(Unchanged, executed("\n".join(lines), checks.values, "unchanged"))
