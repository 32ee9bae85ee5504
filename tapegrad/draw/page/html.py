"""The tape as one HTML page: the forward and the reverse sweep, step by step, on the user's code.

The page is one self-contained file. It fetches nothing, its content security policy forbids it, and
the policy names the one script and the one style by their hashes. Without scripts it shows the
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
from string import Template
from typing import Final, TypeAlias

import attrs

from tapegrad._support.source_position import Site, file_name, function_line
from tapegrad._support.text import visible
from tapegrad.draw.walkthrough import Item, NumberText, Walkthrough, walkthrough
from tapegrad.entries.entries import Entries
from tapegrad.sweep.gradient import Cotangents

__all__ = ["page"]

Place: TypeAlias = tuple[str, int]
"""A file and the number of a line."""


def page(
    entries: Entries,
    svg: str | None,
    cotangents: Cotangents,
) -> str:
    """The page as HTML text; the same bytes for the same tape and the same source files.

    ``svg`` is a picture of the tape as it is written here; None leaves it out.
    ``cotangents`` are those of the tape's one output; where all are None, the page ends with the
    forward sweep.
    """
    made = walkthrough(entries, cotangents)
    title = f"{entries.function or 'A tape'}, step by step"
    shown = _shown_lines(entries.sites)
    style, script = _resource("page.css"), _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=html.escape(visible(title)),
        about=html.escape(made.about),
        policy=_POLICY.format(_hash(style), _hash(script)),
        kind="drawn" if svg else "plain",
        code=_listing(shown),
        headings="".join(f"<th>{heading}</th>" for heading in made.headings),
        rows="\n".join(map(_row, made.items)),
        picture=_picture(svg or ""),
        data=_data(made, {line: index for index, line in enumerate(shown) if line}),
        last=len(made.steps) - 1,
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


def _data(made: Walkthrough, places: Mapping[Place, int]) -> str:
    r"""The input of the script, as JSON without letters that HTML would interpret."""
    items = [_item(item, places) for item in made.items]
    steps = [attrs.asdict(step) for step in made.steps]
    text = json.dumps({"items": items, "steps": steps}, separators=(",", ":"))
    return re.sub("[<>&]", lambda letter: f"\\u{ord(letter[0]):04x}", text)


def _item(item: Item, places: Mapping[Place, int]) -> dict[str, object]:
    site = item.site
    found = attrs.asdict(item, filter=lambda field, _: field.name != "site")
    where = visible(f"{site} in {site.function}") if site else ""
    return {**found, "line": places[site.file, site.line] if site else -1, "where": where}


def _row(item: Item) -> str:
    """A row of the page's table."""
    name, where = visible(item.name), visible(str(item.site or ""))
    cells = (
        f"<td>{html.escape(item.label)}</td>",
        f"<td><code>{html.escape(item.text)}</code></td>",
        _number("value", item.value),
        _number("bar", item.cotangent or NumberText("", "")),
        f"<td>{html.escape(where if where != name else '')}</td>",
    )
    name = html.escape(name)
    return f'<tr><th scope="row"><button type="button">{name}</button></th>{"".join(cells)}</tr>'


def _number(kind: str, number: NumberText) -> str:
    return f'<td class="{kind}" title="{number.exact}">{number.short}</td>'


def _picture(svg: str) -> str:
    """The picture as part of the page, which has tooltips of its own."""
    return re.sub(r'<title>.*?</title>| xmlns="[^"]*"', "", svg, flags=re.DOTALL)


# The program.


def _shown_lines(sites: Iterable[Site]) -> list[Place | None]:
    """The lines to show, file by file; None stands for lines left out."""
    wanted: dict[str, set[int]] = {}
    for site in sites:
        wanted.setdefault(site.file, set()).update((site.line, function_line(site) or site.line))
    return [line for file, numbers in wanted.items() for line in _filled(file, sorted(numbers))]


def _filled(file: str, numbers: Sequence[int]) -> Iterator[Place | None]:
    """Those lines with gaps of one or two lines filled, and None for each longer gap."""
    last = numbers[0]
    for number in numbers:
        if number - last > 3:
            yield None
        else:
            yield from ((file, between) for between in range(last + 1, number))
        yield file, number
        last = number


def _listing(shown: Sequence[Place | None]) -> str:
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
    return f'<li class="file">{html.escape(file_name(file))}{missing}</li>'
