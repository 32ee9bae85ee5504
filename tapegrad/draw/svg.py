"""A placed picture as SVG text, which any browser and any viewer shows alike.

Text is in usual fonts, of which the widest has been given room. Every group has the id of its box,
and says for the page which box or arrow it is; values and cotangents are of classes of their own.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from math import hypot
from textwrap import wrap
from typing import Final

from tapegrad._support.text import visible
from tapegrad.draw.letters import FONT, MONO, text_width
from tapegrad.draw.measured import LINE, Measured, Row, cell_size
from tapegrad.draw.picture import Picture
from tapegrad.draw.placed import LABEL_SIZE, FramePlace, Placed, Point, Route

__all__ = ["written"]

_GREY: Final = "#808080"
_INK: Final = "#1a1a1a"
_MARGIN: Final = 6.0
_NARROWEST: Final = 460.0
"""The least width of a picture with words under it, which are wrapped to its width."""

_FILLS: Final = {
    "input": ("#cfe8f7", "#0072b2"),
    "data": ("#f2f2f2", _GREY),
    "constant": ("#ececec", "none"),
    "guard": ("#fbe3b0", "#e69f00"),
    "branches": ("#fbe3b0", "#e69f00"),
}
"""Fill and border by the kind of box; others are white."""
_OUTPUT: Final = ("#cdeee2", "#009e73")
_BROKEN: Final = "#d55e00"


def written(picture: Picture, boxes: Sequence[Measured], places: Placed) -> str:
    """The SVG text of a picture: the same bytes for the same picture and places."""
    words = list(_words(picture, places.width))
    width = max(places.width, _NARROWEST * bool(words)) + 2.0 * _MARGIN
    height = places.height + LINE * len(words) + 2.0 * _MARGIN + 6.0 * bool(words)
    size = f'width="{width:.0f}" height="{height:.0f}"'
    view = f'viewBox="{-_MARGIN:g} {-_MARGIN:g} {width:.0f} {height:.0f}"'
    text = f'font-family="{FONT}" font-size="12" fill="{_INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} {text}>',
        *map(_frame, places.frames),
        *map(_arrow, places.routes),
        *(_box(each, places.boxes[each.box.name]) for each in boxes),
        *(
            f'<text class="caption" x="0" y="{places.height + 6.0 + LINE * (line + 1):.1f}" '
            f'font-size="11" fill="{_GREY}">{_escaped(text)}</text>'
            for line, text in enumerate(words)
        ),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _words(picture: Picture, width: float) -> Iterator[str]:
    """Caption and legend, in lines as wide as the picture."""
    room = max(width, _NARROWEST)
    for text in map(visible, filter(None, (picture.caption, picture.legend))):
        letters = int(len(text) * room / text_width(text, 11.0)) - 2
        yield from wrap(text, max(letters, 20))


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _frame(frame: FramePlace) -> str:
    title = _escaped(frame.title)
    return (
        f'<g class="cluster"><rect x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.width:.1f}" '
        f'height="{frame.height:.1f}" rx="6" fill="none" stroke="{_GREY}" stroke-dasharray="5 3"/>'
        f'<text x="{frame.x + 8:.1f}" y="{frame.y + 15:.1f}" fill="{_GREY}">{title}</text></g>'
    )


# Boxes.


def _box(each: Measured, middle: Point) -> str:
    box = each.box
    x, y = middle
    tooltip = "\n".join(map(_escaped, box.tooltip))
    title = f"<title>{tooltip}</title>" if tooltip else ""
    body = "".join((*_shape(each, x, y), *_text(each, x, y)))
    return f'<g id="{box.name}" class="node" data-box="{box.name}">{title}{body}</g>'


def _shape(each: Measured, x: float, y: float) -> Iterator[str]:
    box, width, height = each.box, each.width, each.height
    fill, border = _FILLS.get(box.kind, ("#ffffff", _GREY))
    if box.is_output:
        fill, border = _OUTPUT
    look = f'fill="{fill}" stroke="{_BROKEN if box.is_broken else border}"'
    look += ' stroke-width="3"' if box.is_broken else ""
    look += ' stroke-dasharray="4 2"' if box.kind == "data" else ""
    match box.kind:
        case "operation":
            middle = f'cx="{x:.1f}" cy="{y:.1f}"'
            yield f'<ellipse {middle} rx="{width / 2:.1f}" ry="{height / 2:.1f}" {look}/>'
        case "guard":
            corners = (
                (x - width / 2, y),
                (x, y - height / 2),
                (x + width / 2, y),
                (x, y + height / 2),
            )
            yield f'<polygon points="{_points(corners)}" {look}/>'
        case "branches":
            yield f'<polygon points="{_points(_octagon(x, y, width, height))}" {look}/>'
        case _:
            round_ = {"input": 9, "data": 9, "constant": 3}.get(box.kind, 0)
            yield _rect(x, y, width, height, round_, look)
            if box.is_output:
                look = f'fill="none" stroke="{border}"'
                yield _rect(x, y, width - 6.0, height - 6.0, max(round_ - 3, 0), look)


def _rect(x: float, y: float, width: float, height: float, round_: float, look: str) -> str:
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{round_}" {look}/>'
    )


def _octagon(x: float, y: float, width: float, height: float) -> Iterator[Point]:
    """A box with its corners cut."""
    w, h, cut = width / 2.0, height / 2.0, 8.0
    for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        ends = [(x + a * w, y + b * (h - cut)), (x + a * (w - cut), y + b * h)]
        yield from ends if a == b else ends[::-1]


def _points(points: Iterator[Point] | Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(each: Measured, x: float, y: float) -> Iterator[str]:
    """The rows, from the left where there are several, and else in the middle."""
    box, top = each.box, y - sum(row.height for row in each.rows) / 2.0
    is_centred = len(each.rows) == 1 or box.kind == "guard"
    left = x - each.width / 2.0 + 8.0 + 3.0 * box.is_output
    for row in each.rows:
        if row.map:
            yield from _map(row, left, top + 2.0)
        elif is_centred:
            yield _line(row, x, top, ' text-anchor="middle"')
        else:
            yield _line(row, left, top, "")
        top += row.height


def _line(row: Row, x: float, top: float, anchor: str) -> str:
    looks = {"title": ' font-weight="bold"', "source": f' font-family="{MONO}" font-size="11"'}
    return (
        f'<text class="{row.look}" x="{x:.1f}" y="{top + 11.5:.1f}"{anchor}'
        f"{looks.get(row.look, '')}>{_escaped(row.text)}</text>"
    )


def _map(row: Row, left: float, top: float) -> Iterator[str]:
    """The cells of a heat map, and a line around them."""
    side = cell_size(row.map)
    yield f'<g class="map {row.text}" shape-rendering="crispEdges">'
    for line, colours in enumerate(row.map):
        for place, colour in enumerate(colours):
            yield (
                f'<rect x="{left + side * place:.1f}" y="{top + side * line:.1f}" '
                f'width="{side:g}" height="{side:g}" fill="{colour}"/>'
            )
    size = f'width="{side * len(row.map[0]):g}" height="{side * len(row.map):g}"'
    yield f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="none" stroke="{_GREY}"/></g>'


# Arrows.


def _arrow(route: Route) -> str:
    arrow = route.arrow
    dashes = ' stroke-dasharray="5 3"' if arrow.is_dashed else ""
    path = "".join(map(_curve, route.curves))
    head = _points(_head(route.curves[-1], route.tip, 3.0 + arrow.width / 2.0))
    ends = html.escape(f"{arrow.tail}->{arrow.head}")
    return (
        f'<g class="edge" data-ends="{ends}" stroke="{_GREY}">'
        f'<path d="{path}" fill="none" stroke-width="{arrow.width:.3g}"{dashes}/>'
        f'<polygon points="{head}" fill="{_GREY}"/>{_label(route)}</g>'
    )


def _curve(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    return f"M{x:.1f},{y:.1f}C{_points(rest)}"


def _head(curve: Sequence[Point], tip: Point, half: float) -> tuple[Point, ...]:
    """The corners of an arrow's head, which points from the end of the curve to the tip."""
    (x, y), (u, v) = curve[-1], tip
    length = hypot(u - x, v - y) or 1.0
    across = half * (y - v) / length, half * (u - x) / length
    return tip, (x + across[0], y + across[1]), (x - across[0], y - across[1])


def _label(route: Route) -> str:
    if route.label is None:
        return ""
    x, y = route.label
    return (
        f'<text class="partial" x="{x:.1f}" y="{y + 3.8:.1f}" text-anchor="middle" '
        f'font-size="{LABEL_SIZE:g}" fill="{_GREY}" stroke="none">'
        f"{_escaped(route.arrow.label)}</text>"
    )
