"""Two recordings side by side: where they part, in structure and in value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from math import isfinite
from operator import ne
from typing import Any, Final, TypeAlias, cast, final

import attrs

from tapegrad.columns import Columns
from tapegrad.positions import Site
from tapegrad.tape import Tape
from tapegrad.text import aligned, number, visible

__all__ = ["Difference", "Entry", "Pair", "diff"]

_SHOWN: Final = 10
"""So many lines with other numbers of entries are told."""


@final
@attrs.frozen
class Entry:
    """One entry in words: the row applied to slots, its value, and its line."""

    slot: int
    text: str
    value: float
    site: Site | None

    def __str__(self) -> str:
        return f"{self.text}{f', {self.site}' if self.site else ''}"


Pair: TypeAlias = tuple[Entry | None, Entry | None]
"""The entries of one slot on both tapes; None beyond a tape's end."""


@final
@attrs.frozen
class Difference:
    """Where two recordings part; as a truth value, whether they do.

    ``structure`` is the first slot where another row is applied, or to other slots or static
    operands; from there on slots are not compared. Of the ``shared`` slots before it ``values`` is
    the first with another value, bit by bit (nan equals itself), ``changed`` counts them all,
    ``largest`` is where the values are furthest apart beside their size, and ``guard`` the first
    guard that came out differently. ``lines`` has each line of the program that put another number
    of entries on the two tapes, and both numbers.
    """

    lengths: tuple[int, int]
    shared: int
    structure: Pair | None
    changed: int
    values: Pair | None
    largest: Pair | None
    guard: Pair | None
    lines: tuple[tuple[Site, int, int], ...]

    def __bool__(self) -> bool:
        return self.structure is not None or self.values is not None

    def __str__(self) -> str:
        if not self:
            return f"the same {self.shared:,} entries, with the same values"
        return "\n".join((*self._structure(), *self._values(), *self._lines()))
