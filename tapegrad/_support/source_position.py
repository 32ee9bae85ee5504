"""Where in the user's program something happened."""

from __future__ import annotations

import linecache
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from types import CodeType, FrameType
from typing import Final, TypeAlias, final

import attrs

__all__ = [
    "Mark", "Site", "head", "here", "mark", "reread", "resolve", "site", "user_frame", "warn",
]  # fmt: skip

_REACH: Final = 200
"""So many lines above a line the head of its function is looked for."""

_ENTRANCES: Final = frozenset(("tapegrad.__main__", "tapegrad.cli.demo"))
"""The modules of the package that call it as a user does."""

Mark: TypeAlias = tuple[CodeType, int]
"""A code object and an instruction offset: all that is taken down while recording."""


@final
@attrs.frozen
class Site:
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"  # noqa: PTH119  # pathlib is slow to import


def user_frame() -> FrameType:
    """The innermost frame that is not tapegrad's own."""
    frame = sys._getframe(1)
    while _is_ours(str(frame.f_globals.get("__name__"))) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_ours(module: str) -> bool:
    return module.startswith("tapegrad.") and module not in _ENTRANCES


def mark() -> Mark:
    """The user's current instruction."""
    frame = user_frame()
    return frame.f_code, frame.f_lasti


def here() -> str:
    """The user's current line, for a message."""
    return str(site(*mark()))


def warn(message: str) -> None:
    """Warns of the user's current line, however many calls of tapegrad's lie above it."""
    frame = user_frame()
    warnings.warn_explicit(
        message,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def site(code: CodeType, offset: int) -> Site:
    """The line of one instruction."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return Site(code.co_filename, line, code.co_qualname)
    return Site(code.co_filename, code.co_firstlineno, code.co_qualname)


def resolve(marks: Iterable[Mark | None]) -> tuple[tuple[Site, ...], Sequence[int]]:
    """The distinct lines, and for each mark the index of its line (-1 for none).

    Code objects hash by content, which is slow, so they are told apart by identity here.
    """
    sites: dict[Site, int] = {}
    seen: dict[tuple[int, int], int] = {}
    indices = []
    for entry in marks:
        if entry is None:
            indices.append(-1)
            continue
        code, offset = entry
        key = (id(code), offset)
        if key not in seen:
            seen[key] = sites.setdefault(site(code, offset), len(sites))
        indices.append(seen[key])
    return tuple(sites), indices


def head(place: Site) -> int | None:
    """The line on which the function around a line begins, if it is near; of a lambda none.

    A lambda or comprehension inside a function has the head of that function.
    """
    names = [name for name in place.function.split(".") if name.isidentifier()]
    if not names:
        return None
    begins = re.compile(rf"\s*(async\s+)?def\s+{names[-1]}\b")
    above = range(place.line, max(place.line - _REACH, 0), -1)
    return next((at for at in above if begins.match(linecache.getline(place.file, at))), None)


def reread(places: Iterable[Site]) -> None:
    """Take the text of files that have changed from the files, and not from memory."""
    for file in {place.file for place in places}:
        linecache.checkcache(file)
