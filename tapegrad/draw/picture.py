"""Pictures as values, made of boxes, arrows and a caption, and written as DOT or as a text tree.

Kinds of boxes differ in shape, border or words as well as in colour (Okabe and Ito's, which
colour-blind readers can tell apart). Every box is filled and every line is a middle grey, so that a
picture can be read on a light and on a dark background. What comes from the user is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeAlias, TypedDict, final

import attrs

from tapegrad._support.text import number, visible

__all__ = [
    "Arrow", "Box", "BoxKind", "By", "Frames", "Picture", "Rankdir", "View", "counted", "short",
]  # fmt: skip

By: TypeAlias = Literal["auto", "node", "line", "scope"]
"""The unit that a box stands for: an entry, a source line or a function."""

Rankdir: TypeAlias = Literal["LR", "TB"]
"""The direction of arrows: to the right, or down."""

BoxKind: TypeAlias = Literal[
    "input", "constant", "value", "guard", "operation", "summary", "branches"
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
    """A box: its ``cells`` stand side by side, or below each other in a summary of many entries.

    ``name`` is its id in DOT and SVG and ``text`` the box on one line. ``source`` is a line of
    program text, under the first cell of a summary. ``is_broken`` marks a nan or an infinity.
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
    """Boxes and arrows in their order, and a caption that says what was left out."""

    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    caption: str
    rankdir: Rankdir = "LR"

    def dot(self, *, plain: bool = False) -> str:
        """The picture as DOT text; ``plain`` for a Graphviz that knows no HTML-like tables."""
        caption = f"label={_quoted(self.caption)}" if self.caption else ""
        head = f"digraph tape {{\n\tgraph [rankdir={self.rankdir} {_GRAPH} {caption}]"
        boxes = self._framed(_plain if plain else _label)
        defaults = (_DEFAULTS, _EVEN) if plain else (_DEFAULTS,)
        return "\n".join((head, *defaults, *boxes, *map(_arrow, self.arrows), "}\n"))

    def _framed(self, label: Callable[[Box], str]) -> Iterator[str]:
        """The boxes in their frames; DOT lets a frame be opened again and again."""
        framed: dict[Frames, list[Box]] = {}
        for box in self.boxes:
            framed.setdefault(box.frames[:_DEEPEST], []).append(box)
        numbers: dict[Frames, int] = {}
        for frames, boxes in framed.items():
            for depth, name in enumerate(frames, 1):
                number = numbers.setdefault(frames[:depth], len(numbers))
                yield f"\tsubgraph cluster_{number} {{ graph [{_FRAME} label={_quoted(name)}]"
            yield from (_box(box, label(box)) for box in boxes)
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
_EVEN: Final = "\tnode [fontname=Courier fontsize=10]"
"""Letters of one width, which a Graphviz that reads no fonts can measure."""
_FRAME: Final = f'style="dashed,rounded" color="{_GREY}" labelloc=t labeljust=l'
_LOOKS: Final[dict[BoxKind, str]] = {
    "input": 'shape=box style="rounded,filled" fillcolor="#cfe8f7" color="#0072b2"',
    "constant": 'shape=plaintext style=filled fillcolor="#ececec" fontsize=9 height=0.2',
    "value": f'shape=box style=filled fillcolor=white color="{_GREY}"',
    "guard": 'shape=diamond style=filled fillcolor="#fbe3b0" color="#e69f00"',
    "operation": f'shape=oval style=filled fillcolor=white color="{_GREY}"',
    "summary": f'shape=box style=filled fillcolor=white color="{_GREY}"',
    "branches": 'shape=octagon style=filled fillcolor="#fbe3b0" color="#e69f00"',
}
_STACKED: Final = frozenset(("summary", "branches"))
"""Kinds whose cells stand below each other."""
_OUTPUT: Final = 'shape=box style=filled fillcolor="#cdeee2" color="#009e73" peripheries=2'
_BROKEN: Final = 'color="#d55e00" penwidth=3'


def _box(box: Box, label: str) -> str:
    look = _OUTPUT if box.is_output else _LOOKS[box.kind]
    broken = f" {_BROKEN}" if box.is_broken else ""
    tooltip = f" tooltip={_quoted(*box.tooltip)}" if box.tooltip else ""
    return f'\t{box.name} [id="{box.name}" {look}{broken} label={label}{tooltip}]'


def _label(box: Box) -> str:
    """Cells side by side with lines between them; in a summary, a title above source and facts."""
    if len(box.cells) == 1:
        return _quoted(*box.cells)
    cells = [_escaped(cell) for cell in box.cells]
    if box.kind not in _STACKED:
        return _table("<TR>" + "<VR/>".join(map(_cell, cells)) + "</TR>")
    source = [f'<FONT FACE="monospace">{_escaped(box.source)}</FONT>'] if box.source else []
    rows = (f"<B>{cells[0]}</B>", *source, *cells[1:])
    return _table("".join(f"<TR>{_cell(row)}</TR>" for row in rows))


def _table(rows: str) -> str:
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0">{rows}</TABLE>>'


def _cell(text: str) -> str:
    return f'<TD ALIGN="LEFT">{text}</TD>'


def _plain(box: Box) -> str:
    """The same cells, one below the other."""
    if box.kind not in _STACKED:
        return _quoted(*box.cells)
    title, *facts = box.cells
    lines = filter(None, (title, box.source, *facts))
    return _quoted(*lines, end=r"\l")


def _arrow(arrow: Arrow) -> str:
    looks = []
    if arrow.label:
        looks.append(f"label={_quoted(arrow.label)}")
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
