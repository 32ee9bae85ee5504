"""The rows of a box, and the room that they take: what a layout places, and SVG shows."""

from __future__ import annotations

from math import sqrt
from textwrap import wrap
from typing import Final, Literal, TypeAlias, final

import attrs

from tapegrad._support.text import visible
from tapegrad.draw.heat import HeatMap
from tapegrad.draw.letters import text_width
from tapegrad.draw.picture import Box

__all__ = ["LINE", "Measured", "Row", "cell_size", "measured", "rows"]

Look: TypeAlias = Literal["title", "source", "value", "bar", "text", "map"]
"""How a row is shown; values and cotangents are told from the rest for the page."""

LINE: Final = 15.0
"""The height of a row of text, in pixels."""

_SIZES: Final[dict[Look, float]] = {
    "title": 12.0, "source": 11.0, "value": 12.0, "bar": 12.0, "text": 12.0
}  # fmt: skip
_WIDEST: Final = 40
"""The most letters in a row of source text, or of facts."""
_MOST: Final = 3
"""The most rows of a source line."""
_BESIDE: Final = 16.0
"""The room beside the text of a box, both sides together."""


@final
@attrs.frozen
class Row:
    """A row of text; or a heat map, whose text is the look of the numbers that it shows."""

    text: str
    look: Look
    map: HeatMap = ()

    @property
    def size(self) -> float:
        """The size of the letters."""
        return _SIZES[self.look]

    @property
    def height(self) -> float:
        """The height in pixels."""
        return len(self.map) * cell_size(self.map) + 4.0 if self.map else LINE

    @property
    def width(self) -> float:
        """The width in pixels, for the widest of usual fonts."""
        if self.map:
            return len(self.map[0]) * cell_size(self.map)
        is_bold, is_mono = self.look == "title", self.look == "source"
        return text_width(self.text, self.size, bold=is_bold, mono=is_mono)


def cell_size(grid: HeatMap) -> float:
    """The side of a cell of a heat map: larger where there are few."""
    return 8.0 if max(len(grid), len(grid[0])) <= 8 else 5.0


@final
@attrs.frozen
class Measured:
    """A box with its rows, its width and its height."""

    box: Box
    rows: tuple[Row, ...]
    width: float
    height: float


def measured(box: Box) -> Measured:
    """The size of a box, in which its text has room in every usual font."""
    found = rows(box)
    width, height = max(row.width for row in found), sum(row.height for row in found)
    match box.kind:
        case "operation":
            return Measured(box, found, max(width / sqrt(0.5) + 4.0, 36.0), 28.0)
        case "guard":
            return Measured(box, found, 2.0 * width + 12.0, 2.0 * height + 8.0)
        case "constant":
            return Measured(box, found, width + 10.0, height + 3.0)
        case _:
            more = 6.0 * box.is_output
            return Measured(box, found, width + _BESIDE + more, height + 8.0 + more)


def rows(box: Box) -> tuple[Row, ...]:
    """The rows of a box: its title, its source text, and its facts, each with its heat map."""
    found: list[Row] = []
    maps = dict(box.maps)
    for index, cell in enumerate(map(visible, box.cells)):
        if index == 0 and box.is_titled:
            found.append(Row(cell, "title"))
            found += [Row(line, "source") for line in _wrapped(visible(box.source))]
        else:
            look = _look(cell)
            found += [Row(line, look) for line in wrap(cell, _WIDEST) or [cell]]
        if index in maps:
            found.append(Row(_look(cell), "map", maps[index]))
    return tuple(found)


def _wrapped(source: str) -> list[str]:
    """Source text in rows, the end of a very long line left out."""
    lines = wrap(source, _WIDEST, subsequent_indent="  ", break_long_words=True)
    return lines if len(lines) <= _MOST else [*lines[: _MOST - 1], f"{lines[_MOST - 1][:-3]}..."]


def _look(cell: str) -> Look:
    """How a fact is shown, by the word it begins with, which is one of ours."""
    if cell.startswith("labels "):
        return "text"
    if cell.startswith(("grad", "|grad|")) or "cotangent" in cell:
        return "bar"
    is_value = cell.startswith(("value", "output ", "guard ", "True", "False")) or " value" in cell
    return "value" if is_value else "text"
