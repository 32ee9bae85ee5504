"""The tape as one HTML page: the forward and the reverse sweep, step by step, on one's own code.

The page is a file by itself. Nothing in it is fetched, its policy lets nothing be, and the one
script and the one style that may run are named by their hashes. Without scripts it still is the
program, the table and the picture: the script hides what has not happened yet.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from linecache import getline
from pathlib import Path
from string import Template
from typing import Final, TypeAlias
from xml.etree import ElementTree

import attrs

from tapegrad._support.source_position import Site, function_line
from tapegrad._support.text import visible
from tapegrad.draw.walkthrough import Item, Lecture, Shown, lecture
from tapegrad.entries.entries import Entries
from tapegrad.ops.primitive import Operand, primal

__all__ = ["page"]

Line: TypeAlias = tuple[str, int]
"""A file and the number of a line."""


def page(
    tape: Entries,
    svg: str | None,
    cotangents: Sequence[Operand | None],
    title: str = "A tape, step by step",
) -> str:
    """The page as HTML text; the same bytes for the same tape and the same source files.

    ``svg`` is a picture of the tape with the ids that DOT text has here; None leaves it out.
    ``cotangents`` are those of the tape's one output; where all are None, the page ends with the
    forward sweep.
    """
    told = lecture(tape, [None if bar is None else primal(bar) for bar in cotangents])
    shown = _shown_lines(tape.sites)
    style, script = _resource("page.css"), _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=html.escape(visible(title)),
        about=html.escape(told.about),
        policy=_POLICY.format(_hash(style), _hash(script)),
        kind="drawn" if svg else "plain",
        code=_listing(shown),
        headings="".join(f"<th>{heading}</th>" for heading in told.headings),
        rows="\n".join(map(_row, told.items)),
        picture=_picture(svg) if svg else "",
        data=_data(told, {line: index for index, line in enumerate(shown) if line}),
        last=len(told.scenes) - 1,
        style=style,
        script=script,
    )


_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; "
    "base-uri 'none'; form-action 'none'"
)


def _resource(name: str) -> str:
    return files("tapegrad.draw.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _data(told: Lecture, places: Mapping[Line, int]) -> str:
    r"""What the script works on, as JSON in which no letter means anything to HTML."""
    items = [_item(item, places) for item in told.items]
    scenes = [attrs.asdict(scene) for scene in told.scenes]
    text = json.dumps({"items": items, "scenes": scenes}, separators=(",", ":"))
    return re.sub("[<>&]", lambda letter: f"\\u{ord(letter[0]):04x}", text)


def _item(item: Item, places: Mapping[Line, int]) -> dict[str, object]:
    site = item.site
    found = attrs.asdict(item, filter=lambda field, _: field.name != "site")
    where = visible(f"{site} in {site.function}") if site else ""
    return {**found, "line": places[site.file, site.line] if site else -1, "where": where}


def _row(item: Item) -> str:
    """An item as a row of the table."""
    name, where = visible(item.name), visible(str(item.site or ""))
    cells = (
        f"<td>{html.escape(item.label)}</td>",
        f"<td><code>{html.escape(item.text)}</code></td>",
        _number("value", item.value),
        _number("bar", item.cotangent or Shown("", "")),
        f"<td>{html.escape(where if where != name else '')}</td>",
    )
    name = html.escape(name)
    return f'<tr><th scope="row"><button type="button">{name}</button></th>{"".join(cells)}</tr>'


def _number(kind: str, number: Shown) -> str:
    return f'<td class="{kind}" title="{number.exact}">{number.short}</td>'


# The program.


def _shown_lines(sites: Iterable[Site]) -> list[Line | None]:
    """The lines to show, file by file; None stands for lines left out."""
    wanted: dict[str, set[int]] = {}
    for site in sites:
        wanted.setdefault(site.file, set()).update((site.line, function_line(site) or site.line))
    return [line for file, numbers in wanted.items() for line in _filled(file, sorted(numbers))]


def _filled(file: str, numbers: Sequence[int]) -> Iterator[Line | None]:
    """Those lines, and one or two between them rather than a mark that they are left out."""
    last = numbers[0]
    for number in numbers:
        if number - last > 3:
            yield None
        else:
            yield from ((file, between) for between in range(last + 1, number))
        yield file, number
        last = number


def _listing(shown: Sequence[Line | None]) -> str:
    if not shown:
        return "<p>No positions were kept.</p>"
    rows, last = [], ""
    for line in shown:
        if line is None:
            rows.append("<li><span></span><code>...</code></li>")
            continue
        file, number = line
        if file != last:
            rows.append(_heading(file, getline(file, number)))
        source = html.escape(visible(getline(file, number).rstrip().expandtabs()))
        rows.append(f"<li><span>{number}</span><code>{source}</code></li>")
        last = file
    return "\n".join(rows)


def _heading(file: str, source: str) -> str:
    missing = "" if source else " (its text is not at hand)"
    return f'<li class="file">{html.escape(visible(Path(file).name))}{missing}</li>'


# The picture.

_SHAPES: Final = frozenset(("svg", "g", "path", "polygon", "polyline", "ellipse", "text"))
_LOOKS: Final = frozenset(
    (
        "viewBox", "transform", "class", "d", "points", "cx", "cy", "rx", "ry", "x", "y",
        "fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "font-family",
        "font-size", "font-weight",
    )
)  # fmt: skip
"""What of Graphviz's SVG goes into the page: shapes and their looks; no links, no scripts."""

_NUMBER: Final = re.compile(r"(value|grad) (-?\d[\d.]*(e[+-]\d+)?|-?inf|nan)")


def _picture(svg: str) -> str:
    """The SVG as part of the page: ``data-box`` names nodes, ``data-ends`` those of edges.

    Numbers that arrive are of the class ``value`` or ``bar``.
    """
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        element.tag = "g" if tag == "a" else tag
        _name(element)
        for child in list(element):
            if child.tag.rpartition("}")[2] not in _SHAPES | {"a"}:
                element.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def _name(element: ElementTree.Element) -> None:
    """Leave an element its looks, and say what it stands for."""
    title = next((child.text or "" for child in element if child.tag.endswith("title")), "")
    kind, text = element.get("class"), element.text or ""
    kept = {name: value for name, value in element.attrib.items() if name in _LOOKS}
    if kind in {"node", "edge"}:
        kept["data-box" if kind == "node" else "data-ends"] = title
    if element.tag == "text" and (number := _NUMBER.fullmatch(text)):
        kept["class"] = "value" if number[1] == "value" else "bar"
    element.attrib.clear()
    element.attrib.update(kept)
