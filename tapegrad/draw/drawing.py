"""Puts pictures of a tape together: the entries to draw, their boxes, and the file to write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import compress
from os import PathLike
from pathlib import Path
from typing import Final, Unpack, final, get_args

import attrs

from tapegrad._support.source_position import here, refresh_sources
from tapegrad._support.text import bundle_of, html_of, visible
from tapegrad.draw import subgraph
from tapegrad.draw.by_entry import entry_boxes
from tapegrad.draw.by_group import group_boxes
from tapegrad.draw.frames import without_nesting
from tapegrad.draw.groups import by_line, by_scope
from tapegrad.draw.layout import laid_out, require_ending, save, svg
from tapegrad.draw.page.html import page
from tapegrad.draw.picture import Arrow, Box, By, Frames, Picture, Rankdir, View, counted
from tapegrad.entries.entries import Entries
from tapegrad.errors import DrawingError
from tapegrad.inspect.names import Names
from tapegrad.inspect.table import notebook_table, table
from tapegrad.sweep.gradient import Cotangents, shown_cotangents

__all__ = ["Drawing", "bundle", "draw", "picture"]

_READABLE: Final = 150
"""More entries than this are drawn by line, unless asked for otherwise."""


def picture(  # noqa: PLR0913  # the options of `View`
    entries: Entries,
    *,
    by: By = "auto",
    rankdir: Rankdir | None = None,
    around: str | int | None = None,
    depth: int = 2,
    between: tuple[str | int, str | int] | None = None,
    top: int | None = None,
    gradient: bool = True,
) -> Picture:
    """The picture of a tape that ``Tape.draw`` describes.

    Raises:
        DrawingError: for an option that makes no sense, or makes none on this tape.
        InputError: for a name that is not on the tape.
    """
    _require(by, rankdir, depth, top)
    refresh_sources(entries.sites)
    cotangents = shown_cotangents(entries)
    selection = _Selection(entries)
    if around is not None:
        selection.keep_around(around, depth)
    if between is not None:
        selection.keep_between(*between)
    if top is not None:
        selection.keep_largest(top, cotangents)
    shown = cotangents if gradient else (None,) * len(entries)
    boxes, arrows, grouped = _drawn(entries, shown, selection, by)
    return Picture(
        boxes, arrows, selection.caption(grouped), rankdir or ("TB" if grouped else "LR")
    )


def _require(by: By, rankdir: Rankdir | None, depth: int, top: int | None) -> None:
    """Refuses options that make no sense on any tape."""
    if by not in get_args(By):
        raise DrawingError(f"by={by!r} is unknown: use {_either(get_args(By))}")
    if rankdir not in {None, *get_args(Rankdir)}:
        raise DrawingError(f"rankdir={rankdir!r} is unknown: use {_either(get_args(Rankdir))}")
    if depth < 0:
        raise DrawingError(f"depth={depth} is below 0: give a number of steps from the name")
    if top is not None and top < 1:
        raise DrawingError(f"top={top} is below 1: give the number of entries to keep")


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"


@final
class _Selection:
    """The entries to draw: a flag for each (None for all), and the selection in words."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.flags: Sequence[int] | None = None
        self.words: list[str] = []

    def keep_around(self, name: str | int, depth: int) -> None:
        """Leaves out entries more than ``depth`` steps from those of a name."""
        self._keep(subgraph.around(self.entries.columns, Names(self.entries).slots(name), depth))
        self.words.append(f"within {counted(depth, 'step')} of {_written(name)}")

    def keep_between(self, first: str | int, second: str | int) -> None:
        """Leaves out entries that no chain between two names passes, in either direction."""
        columns, names = self.entries.columns, Names(self.entries)
        ends = names.slots(first), names.slots(second)
        found = subgraph.between(columns, *ends)
        if not any(found):
            found = subgraph.between(columns, *reversed(ends))
        if not any(found):
            raise DrawingError(
                f"no path leads from {first!r} to {second!r} or back ({here()}): neither is "
                "computed from the other"
            )
        self._keep(found)
        self.words.append(f"between {_written(first)} and {_written(second)}")

    def keep_largest(self, count: int, cotangents: Cotangents) -> None:
        """Leaves out all but the entries with the largest products of cotangent and value."""
        if all(cotangent is None for cotangent in cotangents):
            raise DrawingError(
                f"top={count} ranks entries by |cotangent * value|, and a tape with "
                f"{counted(len(self.entries.outputs), 'output')} has no cotangents: record a "
                "function that returns one number"
            )
        flags = self.flags or bytes([1]) * len(self.entries)
        self._keep(subgraph.largest(self.entries, cotangents, flags, count))
        self.words.append(f"top {count:,} by |grad * value|")

    def _keep(self, flags: Sequence[int]) -> None:
        old = self.flags
        self.flags = flags if old is None else bytes(map(int.__and__, old, flags))

    def slots(self) -> Sequence[int]:
        """The entries that are drawn."""
        everything = range(len(self.entries))
        return everything if self.flags is None else list(compress(everything, self.flags))

    def caption(self, grouped: str) -> str:
        """The number of operations drawn and the selection in words, shown as ``grouped``."""
        table, codes = self.entries.table, self.entries.codes
        given = bytes(code for code, row in enumerate(table.rows) if not row.is_operation)
        total = counted(len(codes.translate(None, given)), "operation")
        if self.flags is None:
            return f"{total} shown as {grouped}" if grouped else ""
        ours = len(bytes(compress(codes, self.flags)).translate(None, given))
        words = [f"{ours:,} of {total}", *map(visible, self.words)]
        return ", ".join([*words, *([f"shown as {grouped}"] if grouped else [])])


def _written(name: str | int) -> str:
    return f"%{name}" if isinstance(name, int) else name


def _drawn(
    entries: Entries, cotangents: Cotangents, selection: _Selection, by: By
) -> tuple[list[Box], list[Arrow], str]:
    """Boxes and arrows, and the number of lines or functions that stand for many entries each."""
    slots = selection.slots()
    is_small = len(slots) <= _READABLE
    if by == "auto":
        by = "node" if is_small else "line" if entries.site_of else "scope"
    if by == "node":
        return *_by_entry(entries, cotangents, slots, ()), ""
    groups, of = (by_line if by == "line" else by_scope)(entries)
    if by == "scope" and is_small:
        frames = [group.frames + (group.title,) * (not group.kind) for group in groups]
        boxes, arrows = _by_entry(entries, cotangents, slots, [frames[index] for index in of])
        return without_nesting(boxes), arrows, ""
    if selection.flags is not None:
        of = [at if flag else len(groups) for at, flag in zip(of, selection.flags, strict=True)]
    boxes, arrows = group_boxes(entries, cotangents, groups, of)
    count = sum(box.kind not in {"input", "data"} for box in boxes)
    words = counted(count, "line" if by == "line" else "function")
    return without_nesting(boxes), arrows, words


def _by_entry(
    entries: Entries, cotangents: Cotangents, slots: Sequence[int], frames: Sequence[Frames]
) -> tuple[list[Box], list[Arrow]]:
    """A box for every entry, and dashed arrows through entries left out."""
    boxes, arrows = entry_boxes(entries, cotangents, slots, frames)
    if len(slots) == len(entries) or len(slots) > _READABLE:
        return boxes, arrows
    names = {box.name for box in boxes}
    for tail, head in subgraph.indirect_arrows(entries.columns, slots):
        oval = f"n{head}op"
        arrows.append(Arrow(f"n{tail}", oval if oval in names else f"n{head}", is_dashed=True))
    return boxes, arrows


@final
@attrs.frozen(repr=False)
class Drawing:
    """A picture of a tape: it shows itself in a notebook, and as a tree of text elsewhere."""

    picture: Picture

    @property
    def dot(self) -> str:
        """The picture as DOT text."""
        return self.picture.dot()

    @property
    def svg(self) -> str:
        """The picture as SVG text.

        Raises:
            DrawingError: without a layout program.
        """
        return svg(self.picture)

    def __str__(self) -> str:
        return self.picture.tree()

    __repr__ = __str__

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        makers = {
            "text/plain": self.__str__,
            "image/svg+xml": lambda: _unless_it_fails(lambda: self.svg) or "",
        }
        made = bundle_of(makers, include, exclude)
        return {kind: text for kind, text in made.items() if text}


def bundle(
    entries: Entries, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
) -> dict[str, str]:
    """The table of a tape, and of a small one the picture below it, for a notebook."""
    drawn = cache(lambda: _small_svg(entries) or "")
    makers: dict[str, Callable[[], str]] = {
        "text/plain": lambda: table(entries),
        "text/html": lambda: html_of([notebook_table(entries)]) + drawn(),
        "image/svg+xml": drawn,
    }
    made = bundle_of(makers, include, exclude)
    return {kind: text for kind, text in made.items() if text}


def _small_svg(entries: Entries) -> str | None:
    """The picture of a tape that is readable as a whole; a notebook shows no error instead."""
    is_small = len(entries) <= _READABLE
    return _unless_it_fails(lambda: svg(picture(entries))) if is_small else None


def _unless_it_fails(make: Callable[[], str]) -> str | None:
    try:
        return make()
    except Exception:  # noqa: BLE001  # a notebook shows as much as it can, and no error
        return None


def draw(
    entries: Entries, path: str | PathLike[str] | None, **view: Unpack[View]
) -> Path | Drawing:
    """The picture in a file, in the format of its ending; without a path, as a ``Drawing``."""
    if path is None:
        return Drawing(picture(entries, **view))
    file = Path(path)
    ending = require_ending(file)
    made = picture(entries, **view)
    if ending in {"dot", "gv"}:
        return save(file, made.dot().encode())
    if ending != "html":
        return save(file, laid_out(made, ending, str(file)))
    drawn = _unless_it_fails(lambda: svg(made))
    is_bare = not view.get("gradient", True)
    cotangents = (None,) * len(entries) if is_bare else shown_cotangents(entries)
    return save(file, page(entries, drawn, cotangents).encode())
