"""The tape as one HTML page: the forward and the reverse sweep, entry by entry, on one's own code.

The page is a file by itself. Nothing in it is fetched, its policy lets nothing be, and the one
script and the one style that may run are named by their hashes. Without scripts it still is the
program, the table and the picture; the script only hides what has not happened yet.
"""

from __future__ import annotations

import html
import json
import linecache
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any, Final, TypeAlias, final
from xml.etree import ElementTree

import attrs

from tapegrad.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.positions import Site
from tapegrad.primitive import Operand, primal
from tapegrad.steps import Share, Step, expression, reverse_steps, rule
from tapegrad.tape import Tape
from tapegrad.text import visible

__all__ = ["page"]

_MOST: Final = 2_000
"""Tapes of more entries are stepped through line by line: a browser tires, and so do readers."""

_OPERANDS: Final = 8
"""So many operands of an entry are written out in a formula."""

Json: TypeAlias = dict[str, object]


def page(
    tape: Tape[Any, ..., Any],
    svg: str | None,
    cotangents: Sequence[Operand | None],
    title: str = "A tape, step by step",
) -> str:
    """The page as HTML text; the same bytes for the same tape and the same source files.

    ``svg`` is the tape's picture, in which entry 17 is the node ``n17`` and its operation
    ``n17op``; what else it draws stands still. None leaves the picture out. ``cotangents`` are
    those of the tape's one output; where there is none, the page ends with the forward sweep.
    """
    bars = [None if bar is None else primal(bar) for bar in cotangents]
    listing = _listing(tape.sites)
    show = _by_line if len(tape) > _MOST else _by_entry
    lecture = show(tape, bars, listing)
    style, script = _resource("page.css"), _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=html.escape(visible(title)),
        about=html.escape(lecture.about),
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'",
        kind="drawn" if svg else "plain",
        code=_code(listing),
        table=_table(lecture.items),
        picture=_picture(svg) if svg else "",
        data=_data(lecture),
        last=len(lecture.steps) - 1,
        style=style,
        script=script,
    )
