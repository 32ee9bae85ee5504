"""The integers, the constants and the tables that code with loops is given when it runs.

They stand at the start of its buffer and not in its text, so that programs which differ in them
alone have one text: those whose loops run more often or less often, for one. Each piece of a
program has a block of them, so that pieces which differ in them alone have one function.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, final

__all__ = ["FIRST_PLACE", "GivenBlock", "GivenNumbers", "GivenTables"]

FIRST_PLACE: Final = 0
"""The integer of a block that says how far from there the places of the buffer begin."""
_AS_INTEGER: Final = struct.Struct("q").pack
_AS_DOUBLE: Final = struct.Struct("d").pack
_ROUND: Final = 8
"""The places begin so many numbers from the start, or a multiple: a line of the cache."""


@final
class GivenTables:
    """The tables of a program, one after the other."""

    def __init__(self) -> None:
        self.size: int = 0
        self._begins: dict[bytes, int] = {}

    def begin(self, constants: Sequence[float]) -> int:
        """How far from the first table one begins that has these constants."""
        packed = struct.pack(f"{len(constants)}d", *constants)
        begin = self._begins.setdefault(packed, self.size)
        self.size = max(self.size, begin + len(constants))
        return begin

    def packed(self) -> bytes:
        """All tables."""
        return b"".join(self._begins)


@final
class GivenBlock:
    """The numbers that the code of one piece is given, by the indices in its text.

    Those at the indices ``doubles`` are constants, and all others integers.
    """

    def __init__(self, tables: GivenTables) -> None:
        self._numbers = [_AS_INTEGER(0)]
        self.doubles: list[int] = []
        self._begins: list[tuple[int, int]] = []
        self._tables = tables

    def __len__(self) -> int:
        return len(self._numbers)

    def integer(self, number: int) -> int:
        """The index of an integer."""
        self._numbers.append(_AS_INTEGER(number))
        return len(self._numbers) - 1

    def constant(self, number: float) -> int:
        """The index of a double."""
        self.doubles.append(len(self._numbers))
        self._numbers.append(_AS_DOUBLE(number))
        return len(self._numbers) - 1

    def table(self, constants: Sequence[float]) -> int:
        """The index of the integer that says how far from here a table begins."""
        begin = self._tables.begin(constants)
        self._begins.append((len(self._numbers), begin))
        return self.integer(begin)

    def packed(self, tables: int, places: int) -> bytes:
        """The block, from which the tables and the places are so far."""
        numbers = [*self._numbers]
        numbers[FIRST_PLACE] = _AS_INTEGER(places)
        for index, begin in self._begins:
            numbers[index] = _AS_INTEGER(tables + begin)
        return b"".join(numbers)


@final
class GivenNumbers:
    """The blocks of a program's pieces, in order, and then the tables of all."""

    def __init__(self) -> None:
        self._blocks: list[GivenBlock] = []
        self._tables = GivenTables()

    def block(self) -> GivenBlock:
        """The next block."""
        self._blocks.append(GivenBlock(self._tables))
        return self._blocks[-1]

    def begins(self) -> Sequence[int]:
        """How far from the start each block begins, and where the tables do."""
        return [*accumulate(map(len, self._blocks), initial=0)]

    def doubles(self, head: Sequence[int] = ()) -> Sequence[int] | None:
        """The indices of the constants; None where there are tables, which are as long as loops."""
        if self._tables.size:
            return None
        blocks = zip(self.begins(), self._blocks, strict=False)
        return [len(head) + begin + index for begin, block in blocks for index in block.doubles]

    def packed(self, head: Sequence[int] = ()) -> bytes:
        """All of them, as they stand before the places of the buffer; integers first."""
        *begins, tables = (len(head) + begin for begin in self.begins())
        size = -(-(tables + self._tables.size) // _ROUND) * _ROUND
        blocks = [
            block.packed(tables - begin, size - begin)
            for block, begin in zip(self._blocks, begins, strict=True)
        ]
        first = struct.pack(f"{len(head)}q", *head)
        return b"".join([first, *blocks, self._tables.packed()]).ljust(8 * size, b"\0")
