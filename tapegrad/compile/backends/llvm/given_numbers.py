"""The integers, the constants and the tables that code with loops is given when it runs.

They stand at the start of its buffer and not in its text, so that programs which differ in them
alone have one text: those whose loops run more often or less often, for one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, final

__all__ = ["FIRST_PLACE", "GivenNumbers"]

FIRST_PLACE: Final = 0
"""The integer that says how far from the start of the buffer its places begin."""
_AS_INTEGER: Final = struct.Struct("q").pack
_AS_DOUBLE: Final = struct.Struct("d").pack
_ROUND: Final = 8
"""The places begin so many numbers from the start, or a multiple: a line of the cache."""


@final
class GivenNumbers:
    """Numbers of a program, by the indices that are in the text, and then its tables."""

    def __init__(self) -> None:
        self._numbers = [_AS_INTEGER(0)]
        self._tables: dict[bytes, int] = {}
        self._begins: list[tuple[int, int]] = []
        self._size = 0

    def integer(self, number: int) -> int:
        """The index of an integer."""
        self._numbers.append(_AS_INTEGER(number))
        return len(self._numbers) - 1

    def constant(self, number: float) -> int:
        """The index of a double."""
        self._numbers.append(_AS_DOUBLE(number))
        return len(self._numbers) - 1

    def table(self, constants: Sequence[float]) -> int:
        """The index of the integer that says how far from the start a table begins."""
        packed = struct.pack(f"{len(constants)}d", *constants)
        begin = self._tables.get(packed)
        if begin is None:
            begin = self._tables[packed] = self._size
            self._size += len(constants)
        self._begins.append((len(self._numbers), begin))
        return self.integer(begin)

    def packed(self) -> bytes:
        """All of them, as they stand before the places of the buffer."""
        numbers = [*self._numbers]
        count = len(numbers)
        size = -(-(count + self._size) // _ROUND) * _ROUND
        numbers[FIRST_PLACE] = _AS_INTEGER(size)
        for index, begin in self._begins:
            numbers[index] = _AS_INTEGER(count + begin)
        return b"".join([*numbers, *self._tables]).ljust(8 * size, b"\0")
