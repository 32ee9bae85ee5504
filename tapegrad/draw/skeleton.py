"""A picture as boxes of given sizes for Graphviz to place, and the places that it answers with.

Graphviz does not measure text here, so places do not depend on the fonts of the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from tapegrad.draw.measured import Measured
from tapegrad.draw.picture import Arrow, Frames, Rankdir
from tapegrad.draw.placed import FramePlace, Placed, Point, Route, label_width

__all__ = ["placed", "skeleton"]

_DEEPEST: Final = 12
"""The most frames inside one another: Graphviz descends recursively."""

_DOTS: Final = 72.0
"""Pixels of the picture to an inch of Graphviz's."""


def skeleton(boxes: Sequence[Measured], arrows: Sequence[Arrow], rankdir: Rankdir) -> str:
    """DOT text with a shape for each box and each label; arrow 17 is the edge, or two, ``e17``."""
    places = {each.box.name: (at, each.box.frames[:_DEEPEST]) for at, each in enumerate(boxes)}
    framed: dict[Frames, list[str]] = {}
    for each in boxes:
        framed.setdefault(places[each.box.name][1], []).append(_node(each))
    edges = []
    for number, arrow in enumerate(arrows):
        (tail, outer), (head, inner) = places[arrow.tail], places[arrow.head]
        if arrow.label and tail != head:
            label = f"l{number} [{_size(label_width(arrow.label), 14.0)}]"
            framed.setdefault(_common(outer, inner), []).append(label)
        edges += _edge(number, arrow, is_back=tail > head)
    return "\n".join(
        (
            f"digraph {{ graph [rankdir={rankdir} ordering=in nodesep=0.2 ranksep=0.24]",
            'node [label="" fixedsize=true shape=box] edge [arrowsize=0.7 fontname=Courier]',
            *_framed(framed),
            *edges,
            "}",
        )
    )


def _common(first: Frames, second: Frames) -> Frames:
    """The frames around two boxes."""
    pairs = zip(first, second, strict=False)
    return tuple(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _framed(framed: Mapping[Frames, Sequence[str]]) -> Iterator[str]:
    """The nodes in their frames; DOT lets a frame be opened again and again."""
    known = _numbered(framed)
    for frames, nodes in framed.items():
        for depth in range(1, len(frames) + 1):
            yield f'subgraph cluster_{known[frames[:depth]]} {{ graph [label="x" fontsize=14]'
        yield from nodes
        yield "}" * len(frames)


def _numbered(framed: Iterable[Frames]) -> dict[Frames, int]:
    """The numbers of frames, in the order in which they are opened."""
    found = (each[:depth] for each in framed for depth in range(1, 1 + len(each)))
    return {frames: number for number, frames in enumerate(dict.fromkeys(found))}


def _node(each: Measured) -> str:
    shape = {"operation": "ellipse", "guard": "diamond"}.get(each.box.kind, "box")
    return f"{each.box.name} [{_size(each.width, each.height)} shape={shape}]"


def _size(width: float, height: float) -> str:
    return f"width={width / _DOTS:.4f} height={height / _DOTS:.4f}"


def _edge(number: int, arrow: Arrow, *, is_back: bool) -> list[str]:
    """An arrow; one with a label leads to the label and on from there.

    Where it goes back, the edges go the other way, so that the label comes between the boxes.
    """
    name, tail, head = f"id=e{number}", arrow.tail, arrow.head
    if not arrow.label:
        return [f"{tail} -> {head} [{name}]"]
    if tail == head:
        text = "x" * len(arrow.label)
        return [f'{tail} -> {head} [{name} label=" {text} " fontsize=11]']
    if is_back:
        return [f"{head} -> l{number} [{name} dir=back]", f"l{number} -> {tail} [{name} dir=none]"]
    return [f"{tail} -> l{number} [{name} dir=none]", f"l{number} -> {head} [{name}]"]


def placed(answer: bytes, boxes: Sequence[Measured], arrows: Sequence[Arrow]) -> Placed:
    """The places in Graphviz's JSON, whose points are counted from the bottom."""
    found: dict[str, Any] = json.loads(answer)
    left, bottom, right, top = map(float, found["bb"].split(","))
    objects = found.get("objects", [])
    points = {each["name"]: _point(each["pos"], top) for each in objects if "pos" in each}
    edges: dict[str, list[dict[str, Any]]] = {}
    for edge in found.get("edges", []):
        edges.setdefault(edge["id"], []).append(edge)
    return Placed(
        right - left,
        top - bottom,
        {each.box.name: points[each.box.name] for each in boxes},
        tuple(
            _route(arrow, edges[f"e{number}"], points.get(f"l{number}"), top)
            for number, arrow in enumerate(arrows)
        ),
        tuple(_frames(boxes, objects, top)),
    )


def _point(text: str, top: float) -> Point:
    x, y = map(float, text.split(",")[-2:])
    return x, top - y


def _route(
    arrow: Arrow, edges: Sequence[Mapping[str, str]], label: Point | None, top: float
) -> Route:
    """The way of an arrow; of its two edges the one with the head comes last."""
    splines = sorted((edge["pos"].split() for edge in edges), key=lambda parts: parts[0][0] in "es")
    is_back = splines[-1][0][0] == "s"
    tip = _point(splines[-1][0], top)
    curves = []
    for parts in splines:
        points = [_point(part, top) for part in parts if part[0] not in "es"]
        curves.append(tuple(reversed(points) if is_back else points))
    if label is None and "lp" in edges[0]:
        label = _point(edges[0]["lp"], top)
    return Route(arrow, tuple(curves), tip, label)


def _frames(
    boxes: Sequence[Measured], objects: Iterable[Mapping[str, Any]], top: float
) -> Iterator[FramePlace]:
    found = [(each["name"], each["bb"]) for each in objects if "bb" in each]
    titles = [frames[-1] for frames in _numbered(each.box.frames[:_DEEPEST] for each in boxes)]
    for name, corners in found:
        x, y, right, upper = map(float, corners.split(","))
        title = titles[int(name.removeprefix("cluster_"))]
        yield FramePlace(title, x, top - upper, right - x, upper - y)
