"""Pictures as values, made of boxes, arrows and a caption, and written as DOT or as a text tree.

Kinds of boxes differ in shape, border or words as well as in colour (Okabe and Ito's, which
colour-blind readers can tell apart). Every box is filled and every line is a middle grey, so that a
picture can be read on a light and on a dark background. What comes from the user is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias, TypedDict, final

import attrs

from tapegrad._support.text import number, visible
from tapegrad.draw.heat import HeatMap

__all__ = [
    "Arrow", "Box", "BoxKind", "By", "Frames", "Picture", "Rankdir", "View", "counted", "short",
]  # fmt: skip

By: TypeAlias = Literal["auto", "node", "line", "scope"]
"""The unit that a box stands for: an entry, a source line or a function."""

Rankdir: TypeAlias = Literal["LR", "TB"]
"""The direction of arrows: to the right, or down."""

BoxKind: TypeAlias = Literal[
    "input", "data", "constant", "value", "guard", "operation", "summary", "branches"
]

Frames: TypeAlias = tuple[str, ...]
"""The titles of the frames around a box, outermost first."""


class View(TypedDict, total=False):
    """Options of a picture; ``Tape.draw`` explains them."""

    by: By
    rankdir: Rankdir
    around: str | int | None
    depth: int
    between: tuple[str | int, str | int] | None
    top: int | None
    gradient: bool


@final
@attrs.frozen
class Box:
    """A box: its ``cells`` stand below each other, the first as a title if it ``is_titled``.

    ``name`` is its id in DOT and SVG and ``text`` the box on one line. ``source`` is a line of
    program text, under the title. ``is_broken`` marks a nan or an infinity. ``maps`` are the heat
    maps of arrays, each under the cell of that index.
    """

    name: str
    kind: BoxKind
    cells: tuple[str, ...]
    text: str
    source: str = ""
    tooltip: tuple[str, ...] = ()
    frames: Frames = ()
    is_output: bool = False
    is_broken: bool = False
    is_titled: bool = False
    maps: tuple[tuple[int, HeatMap], ...] = ()


@final
@attrs.frozen
class Arrow:
    """An arrow between the boxes of two names; a dashed one leads through what is not shown."""

    tail: str
    head: str
    label: str = ""
    width: float = 1.0
    is_dashed: bool = False


@final
@attrs.frozen
class Picture:
    """Boxes and arrows in their order, and a caption that says what was left out.

    The ``legend`` explains the colours and shapes that occur, in one line.
    """

    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    caption: str
    rankdir: Rankdir = "LR"

    @property
    def legend(self) -> str:
        """The meaning of the colours and shapes, of those that occur."""
        kinds: dict[str, object] = dict.fromkeys(box.kind for box in self.boxes)
        kinds |= dict.fromkeys(word for box in self.boxes for word, occurs in _marks(box) if occurs)
        labels = [arrow.label for arrow in self.arrows if arrow.label]
        kinds |= dict.fromkeys("uses" if label[0] == "×" else "partial" for label in labels)
        return " · ".join(text for kind, text in _LEGEND.items() if kind in kinds)

    def dot(self) -> str:
        """The picture as DOT text."""
        words = filter(None, (self.caption, self.legend))
        label = f"label={_quoted(*words, end=_LEFT)}"
        head = f"digraph tape {{\n\tgraph [rankdir={self.rankdir} {_GRAPH} {label}]"
        return "\n".join((head, _DEFAULTS, *self._framed(), *map(_arrow, self.arrows), "}\n"))

    def _framed(self) -> Iterator[str]:
        """The boxes in their frames; DOT lets a frame be opened again and again."""
        framed: dict[Frames, list[Box]] = {}
        for box in self.boxes:
            framed.setdefault(box.frames[:_DEEPEST], []).append(box)
        numbers: dict[Frames, int] = {}
        for frames, boxes in framed.items():
            for depth, name in enumerate(frames, 1):
                number = numbers.setdefault(frames[:depth], len(numbers))
                yield f"\tsubgraph cluster_{number} {{ graph [{_FRAME} label={_quoted(name)}]"
            yield from map(_box, boxes)
            if frames:
                yield "\t" + "}" * len(frames)

    def tree(self) -> str:
        """The picture as indented text, results first; the operands of a box are shown once."""
        reads = self._reads()
        texts = {box.name: box.text for box in self.boxes if box.kind != "operation"}
        seen: set[str] = set()
        lines = []
        for root in (*self._roots(), *reversed(texts)):
            stack = [] if root in seen else [(root, 0)]
            while stack:
                name, depth = stack.pop()
                again = name in seen and name in reads
                lines.append(f"{_indent(depth)}{visible(texts[name])}{' (above)' * again}")
                if name not in seen:
                    stack += [(tail, depth + 1) for tail in reversed(reads.get(name, ()))]
                seen.add(name)
        return "\n".join(filter(None, (*lines, self.caption)))

    def _reads(self) -> dict[str, list[str]]:
        """For each box those it reads; instead of an oval, those that the oval reads."""
        ovals = {box.name for box in self.boxes if box.kind == "operation"}
        reads: dict[str, list[str]] = {}
        for arrow in self.arrows:
            if arrow.tail != arrow.head:
                reads.setdefault(arrow.head, []).append(arrow.tail)
        for head in reads.keys() - ovals:
            found = (reads.get(tail, []) if tail in ovals else [tail] for tail in reads[head])
            reads[head] = [tail for tails in found for tail in tails]
        return reads

    def _roots(self) -> list[str]:
        """The boxes that hold an output, and those that no other one reads."""
        read = {arrow.tail for arrow in self.arrows if arrow.tail != arrow.head}
        shown = [box for box in reversed(self.boxes) if box.kind != "operation"]
        shown = [box for box in shown if box.is_output or box.name not in read]
        return [box.name for box in sorted(shown, key=lambda box: not box.is_output)]


_DEEPEST: Final = 12
"""The most frames inside one another that are drawn: Graphviz descends recursively."""

_GREY: Final = "#808080"
_GRAPH: Final = (
    f'ordering=in bgcolor=transparent fontname=Helvetica fontsize=11 fontcolor="{_GREY}" '
    "labelloc=b labeljust=l"
)
_DEFAULTS: Final = (
    '\tnode [fontname=Helvetica fontsize=11 fontcolor="#1a1a1a" margin="0.06,0.03"]\n'
    f'\tedge [fontname=Helvetica fontsize=9 fontcolor="{_GREY}" color="{_GREY}" arrowsize=0.6]'
)
_LEFT: Final = r"\l"
"""The end of a line of DOT that begins on the left."""
_FRAME: Final = f'style="dashed,rounded" color="{_GREY}" labelloc=t labeljust=l'
_LOOKS: Final[dict[BoxKind, str]] = {
    "input": 'shape=box style="rounded,filled" fillcolor="#cfe8f7" color="#0072b2"',
    "data": f'shape=box style="rounded,filled,dashed" fillcolor="#f2f2f2" color="{_GREY}"',
    "constant": 'shape=plaintext style=filled fillcolor="#ececec" fontsize=9 height=0.2',
    "value": f'shape=box style=filled fillcolor=white color="{_GREY}"',
    "guard": 'shape=diamond style=filled fillcolor="#fbe3b0" color="#e69f00"',
    "operation": f'shape=oval style=filled fillcolor=white color="{_GREY}"',
    "summary": f'shape=box style=filled fillcolor=white color="{_GREY}"',
    "branches": 'shape=octagon style=filled fillcolor="#fbe3b0" color="#e69f00"',
}
_OUTPUT: Final = 'shape=box style=filled fillcolor="#cdeee2" color="#009e73" peripheries=2'
_BROKEN: Final = 'color="#d55e00" penwidth=3'


_LEGEND: Final = {
    "input": "blue: parameter",
    "data": "grey: data",
    "output": "green: result",
    "guard": "diamond: comparison that chose a branch",
    "branches": "octagon: line that chose branches",
    "map": "colours of an array: blue above 0, orange below",
    "broken": "thick border: nan or infinity",
    "partial": "number on an arrow: partial derivative",
    "uses": "× 3: used three times",
}
"""The words of the legend, by kinds of boxes and by marks."""


def _marks(box: Box) -> Iterator[tuple[str, bool]]:
    """The marks that a box may have, and whether it has them."""
    yield "output", box.is_output
    yield "broken", box.is_broken
    yield "map", bool(box.maps)


def _box(box: Box) -> str:
    look = _OUTPUT if box.is_output else _LOOKS[box.kind]
    broken = f" {_BROKEN}" if box.is_broken else ""
    tooltip = f" tooltip={_quoted(*box.tooltip)}" if box.tooltip else ""
    return f'\t{box.name} [id="{box.name}" {look}{broken} label={_label(box)}{tooltip}]'


def _label(box: Box) -> str:
    """The rows below each other: a title, the source text, facts, and heat maps."""
    if len(box.cells) == 1 and not box.maps:
        return _quoted(*box.cells)
    maps = dict(box.maps)
    rows = []
    for index, cell in enumerate(map(_escaped, box.cells)):
        is_title = index == 0 and box.is_titled
        rows.append(f"<B>{cell}</B>" if is_title else cell)
        if is_title and box.source:
            rows.append(f'<FONT FACE="monospace">{_escaped(box.source)}</FONT>')
        if index in maps:
            rows.append(_map(maps[index]))
    return _table("".join(f"<TR>{_cell(row)}</TR>" for row in rows))


def _table(rows: str) -> str:
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0">{rows}</TABLE>>'


def _cell(text: str) -> str:
    return f'<TD ALIGN="LEFT">{text}</TD>'


def _map(grid: HeatMap) -> str:
    """A heat map as a table in a table."""
    cells = ("".join(map(_MAP_CELL.format, row)) for row in grid)
    rows = "".join(f"<TR>{row}</TR>" for row in cells)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{rows}</TABLE>'


_MAP_CELL: Final = '<TD FIXEDSIZE="TRUE" WIDTH="5" HEIGHT="5" BGCOLOR="{}"></TD>'


def _arrow(arrow: Arrow) -> str:
    looks = []
    if arrow.label:
        looks.append(f'label=" {_escaped(arrow.label)} "')  # blanks keep it off the line
    if arrow.width != 1.0:
        looks.append(f"penwidth={arrow.width:.2f}")
    if arrow.is_dashed:
        looks.append("style=dashed")
    look = f" [{' '.join(looks)}]" if looks else ""
    return f"\t{arrow.tail} -> {arrow.head}{look}"


def _quoted(*lines: str, end: str = "") -> str:
    r"""Lines as a string of DOT, centred, or with ``\l`` at the end of each to the left."""
    texts = map(_escaped, lines)
    return '"' + ("".join(text + end for text in texts) if end else r"\n".join(texts)) + '"'


def _escaped(text: str) -> str:
    r"""Text in which dot finds neither markup, nor an entity, nor the entry's id for ``\N``."""
    return html.escape(visible(text)).replace("\\", r"\\")


_STEEPEST: Final = 40
"""The most steps by which a line of a tree is indented, or a long chain would be mostly blanks."""


def _indent(depth: int) -> str:
    """The indentation of a line of a tree; far from the result the depth in figures, too."""
    return "  " * min(depth, _STEEPEST) + f"({depth:,}) " * (depth > _STEEPEST)


def short(value: float) -> str:
    """Four significant digits.

    >>> short(2 / 3), short(1e300), short(-0.0)
    ('0.6667', '1e+300', '-0')
    """
    return number(value, ".4g")


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "line"), counted(252_000, "operation")
    ('1 line', '252,000 operations')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
