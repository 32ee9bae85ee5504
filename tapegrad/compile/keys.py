"""The keys of the entries of a program, where those of trips that are moved on are not written."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias, final

from tapegrad.entries.along import alike_up_to

__all__ = ["Keys", "Seen"]

Seen: TypeAlias = tuple[Hashable, int, bool]
"""The key of an entry, its slot, and whether it was written then."""

_IN_VAIN: Final = 2_000
"""After so many keys that were looked for in vain in those of trips, all of these are written."""
_CODES: Final = 256
"""The codes of rows, with which the keys end that are numbers."""


@final
class Keys(dict[Hashable, int]):
    """The slots of entries by their keys: those ``known``, and in steps those of trips.

    Two ranges say the keys that an entry of the trips has, and its slots. Where there is a list of
    those ``seen``, it gets the keys that are found or written.
    """

    def __init__(self, known: dict[Hashable, int]) -> None:
        super().__init__()
        self.known = known
        self.seen: list[Seen] | None = None
        self._moved: dict[int, list[tuple[range, Sequence[int]]]] = {}
        self._missed = 0

    def get(self, key: Hashable, default: object = None) -> int | None:  # type: ignore[override]  # nothing else is asked for
        """The slot of the entry with this key, if there is one."""
        slot = self.known.get(key)
        if slot is None and isinstance(key, int):
            slot = self._of_trips(key)
        if slot is not None and self.seen is not None:
            self.seen.append((key, slot, False))
        return slot

    def __setitem__(self, key: Hashable, slot: int) -> None:
        self.known[key] = slot
        if self.seen is not None:
            self.seen.append((key, slot, True))

    def _of_trips(self, key: int) -> int | None:
        """The slot of the entry of trips with this key, the latest one."""
        moved = self._moved.get(key % _CODES, ())
        for keys, slots in reversed(moved):
            if key in keys:
                return slots[keys.index(key)]
        self._missed += bool(moved)
        if self._missed >= _IN_VAIN:
            self._write_moved()
        return None

    def _write_moved(self) -> None:
        """Writes the keys of trips."""
        for moved in self._moved.values():
            for keys, slots in moved:
                self.known.update(zip(keys, slots, strict=True))
        self._moved.clear()
        self._missed = 0

    def move(self, keys: Sequence[Hashable], slots: Sequence[int]) -> None:
        """Notes the keys that an entry of some trips has."""
        if isinstance(keys, range) and keys.step % _CODES == 0:
            self._moved.setdefault(keys[0] % _CODES, []).append((keys, slots))
        else:
            self.known.update(zip(keys, slots, strict=True))

    def found(self, keys: Sequence[Hashable], slots: Sequence[int]) -> int:
        """How many of these keys, from the first on, are those of the slots."""
        if isinstance(keys, range):
            for own, of_own in self._moved.get(keys[0] % _CODES, ()):
                if keys[0] in own and keys.step % own.step == 0:
                    first, step = own.index(keys[0]), keys.step // own.step
                    reached = of_own[first::step][: len(keys)]
                    return alike_up_to([*slots[: len(reached)]], [*reached])
        return alike_up_to([*map(self.known.get, keys)], [*slots])
