"""Pictures of a tape, put together: what part of it, a box for what, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias, Unpack, final, get_args

import attrs

from tapegrad._support.source_position import here, refresh_sources
from tapegrad._support.text import visible
from tapegrad.draw.layout import laid_out, require_ending, save, svg
from tapegrad.draw.picture import Arrow, Box, By, Picture, Rankdir, View, counted
from tapegrad.entries.entries import Entries
from tapegrad.errors import DrawingError, InputError
from tapegrad.inspect.names import Names, nearest

__all__ = ["Drawing", "bundle", "draw", "picture"]

Cotangents: TypeAlias = Sequence[float | None]
Drawn: TypeAlias = tuple[list[Box], list[Arrow]]

_READABLE: Final = 150
"""More entries than this are drawn by line, unless asked for otherwise."""


def picture(  # noqa: PLR0913  # what `View` lists
    tape: Entries,
    cotangents: Cotangents,
    *,
    by: By = "auto",
    rankdir: Rankdir = "LR",
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
    refresh_sources(tape.sites)
    part = _Part(tape, cotangents)
    if around is not None:
        part.stay_around(around, depth)
    if between is not None:
        part.stay_between(*between)
    if top is not None:
        part.keep(top)
    shown = cotangents if gradient else (None,) * len(tape)
    boxes, arrows, grouped = _drawn(tape, shown, part, by)
    return Picture(boxes, arrows, part.caption(grouped), rankdir)


def _require(by: By, rankdir: Rankdir, depth: int, top: int | None) -> None:
    """Refuse what makes no sense on any tape."""
    if by not in get_args(By):
        raise DrawingError(f"by={by!r} is unknown: use {_either(get_args(By))}")
    if rankdir not in get_args(Rankdir):
        raise DrawingError(f"rankdir={rankdir!r} is unknown: use {_either(get_args(Rankdir))}")
    if depth < 0:
        raise DrawingError(f"depth={depth} is below 0: give a number of steps from the name")
    if top is not None and top < 1:
        raise DrawingError(f"top={top} is below 1: give the number of entries to keep")


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"


@final
class _Part:
    """What is drawn of a tape: flags for its entries (None for all), and that in words."""

    def __init__(self, tape: Entries, cotangents: Cotangents) -> None:
        self.tape = tape
        self.cotangents = cotangents
        self.flags: Sequence[int] | None = None
        self.words: list[str] = []

    def stay_around(self, name: str | int, depth: int) -> None:
        """Leave out what is more than ``depth`` steps from the entries of a name."""
        from tapegrad.draw.subgraph import around

        self._take(around(self.tape.columns, _called(self.tape, name), depth))
        self.words.append(f"within {counted(depth, 'step')} of {_told(name)}")

    def stay_between(self, first: str | int, second: str | int) -> None:
        """Leave out what is on no path between two names, whichever stands first on the tape."""
        from tapegrad.draw.subgraph import between

        ends = _called(self.tape, first), _called(self.tape, second)
        found = between(self.tape.columns, *ends)
        if not any(found):
            found = between(self.tape.columns, *reversed(ends))
        if not any(found):
            raise DrawingError(
                f"no path leads from {first!r} to {second!r} or back ({here()}): neither is "
                "computed from the other"
            )
        self._take(found)
        self.words.append(f"between {_told(first)} and {_told(second)}")

    def keep(self, count: int) -> None:
        """Leave out all but the entries with the largest products of cotangent and value."""
        from tapegrad.draw.subgraph import largest

        if all(cotangent is None for cotangent in self.cotangents):
            raise DrawingError(
                f"top={count} ranks entries by |cotangent * value|, and a tape with "
                f"{counted(len(self.tape.outputs), 'output')} has no cotangents: record a function "
                "that returns one number"
            )
        flags = self.flags or bytes([1]) * len(self.tape)
        self._take(largest(self.tape.columns, self.cotangents, flags, count))
        self.words.append(f"top {count:,} by |grad * value|")

    def _take(self, flags: Sequence[int]) -> None:
        old = self.flags
        self.flags = flags if old is None else bytes(map(int.__and__, old, flags))

    def slots(self) -> Sequence[int]:
        """The entries that are drawn."""
        everything = range(len(self.tape))
        return everything if self.flags is None else list(compress(everything, self.flags))

    def caption(self, grouped: str) -> str:
        """What was left out, and ``grouped``: what the rest was put together as."""
        table, codes = self.tape.table, self.tape.codes
        given = bytes(code for code, row in enumerate(table.rows) if not row.is_operation)
        total = len(codes.translate(None, given))
        if self.flags is None:
            return f"{counted(total, 'operation')} shown as {grouped}" if grouped else ""
        ours = len(bytes(compress(codes, self.flags)).translate(None, given))
        words = [f"{ours:,} of {counted(total, 'operation')}", *map(visible, self.words)]
        return ", ".join([*words, *([f"shown as {grouped}"] if grouped else [])])


def _told(name: str | int) -> str:
    return f"%{name}" if isinstance(name, int) else name


def _called(tape: Entries, name: str | int) -> list[int]:
    """The entries of a name: those it labels, else the input of that path; or the one slot."""
    if isinstance(name, int):
        return [Names(tape).slot(name, inputs_first=True)]
    found = [slot for slot, label in tape.labels if label == name]
    found = found or [slot for slot, path in enumerate(tape.paths) if path == name]
    if not found:
        known = dict.fromkeys((*dict(tape.labels).values(), *tape.paths))
        raise InputError(
            f"nothing on this tape is called {name!r} ({here()}): {nearest(name, known)}"
        )
    return found


def _drawn(
    tape: Entries, cotangents: Cotangents, part: _Part, by: By
) -> tuple[list[Box], list[Arrow], str]:
    """Boxes and arrows, and how many boxes of what stand for many entries each."""
    from tapegrad.draw.groups import by_line, by_scope

    slots = part.slots()
    is_small = len(slots) <= _READABLE
    if by == "auto":
        by = "node" if is_small else "line" if tape.site_of else "scope"
    if by == "node":
        return *_entries(tape, cotangents, slots, ()), ""
    made, of = (by_line if by == "line" else by_scope)(tape)
    if by == "scope" and is_small:
        frames = [group.where if group.is_input else (*group.where, group.title) for group in made]
        return *_entries(tape, cotangents, slots, [frames[index] for index in of]), ""
    if part.flags is not None:
        of = [index if flag else len(made) for index, flag in zip(of, part.flags, strict=True)]
    from tapegrad.draw.by_group import quotient

    boxes, arrows = quotient(tape, cotangents, made, of)
    count = sum(box.kind != "input" for box in boxes)
    return boxes, arrows, counted(count, "line" if by == "line" else "function")


def _entries(
    tape: Entries, cotangents: Cotangents, slots: Sequence[int], where: Sequence[tuple[str, ...]]
) -> Drawn:
    """Every entry by itself, and dashed arrows through what was left out."""
    from tapegrad.draw.by_entry import entries
    from tapegrad.draw.subgraph import passages

    boxes, arrows = entries(tape, cotangents, slots, where)
    if len(slots) == len(tape) or len(slots) > _READABLE:
        return boxes, arrows
    names = {box.name for box in boxes}
    for tail, head in passages(tape.columns, slots):
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
        makers = {"text/plain": self.__str__, "image/svg+xml": lambda: self.svg}
        return _bundle(makers, include, exclude)


def bundle(
    tape: Entries,
    cotangents: Callable[[], Cotangents],
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
) -> dict[str, str]:
    """What a notebook shows of a tape, and never an error: a table; of a small one its picture."""
    from tapegrad.inspect.table import table

    makers: dict[str, Callable[[], str]] = {"text/plain": lambda: table(tape, cotangents())}
    if len(tape) <= _READABLE:
        makers["image/svg+xml"] = lambda: svg(picture(tape, cotangents()))
    return _bundle(makers, include, exclude)


def _bundle(
    makers: Mapping[str, Callable[[], str]],
    include: Iterable[str] | None,
    exclude: Iterable[str] | None,
) -> dict[str, str]:
    wanted = set(makers if include is None else include).difference(exclude or ())
    made = {kind: _unless_it_fails(make) for kind, make in makers.items() if kind in wanted}
    return {kind: text for kind, text in made.items() if text is not None}


def _unless_it_fails(make: Callable[[], str]) -> str | None:
    try:
        return make()
    except Exception:  # noqa: BLE001  # a notebook shows what it can, and has asked for no error
        return None


def draw(
    tape: Entries,
    cotangents: Cotangents,
    path: str | PathLike[str] | None,
    **view: Unpack[View],
) -> Path | Drawing:
    """The picture in a file, in the format of its ending; without a path, as a ``Drawing``."""
    if path is None:
        return Drawing(picture(tape, cotangents, **view))
    file = Path(path)
    ending = require_ending(file)
    made = picture(tape, cotangents, **view)
    if ending in {"dot", "gv"}:
        return save(file, made.dot().encode())
    if ending != "html":
        return save(file, laid_out(made, ending, str(file)))
    from tapegrad.draw.page.html import page

    drawn = _unless_it_fails(lambda: svg(made))
    shown = cotangents if view.get("gradient", True) else (None,) * len(tape)
    return save(file, page(tape, drawn, shown).encode())
