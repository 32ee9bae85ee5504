"""Entries grouped for a box each: those of one source line, or of one function in one scope.

There are as many groups as the program has lines or functions, however long the tape is.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from linecache import getline
from typing import Final, Literal, TypeAlias, final

import attrs

from tapegrad._support.source_position import file_name
from tapegrad.draw.picture import Frames
from tapegrad.entries.columns import Scope
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import numbered_lines
from tapegrad.inspect.names import KEY, written_path

__all__ = ["Group", "by_line", "by_scope"]


@final
@attrs.frozen
class Group:
    """Entries that share one box: its id and title, its line of source, the frames around it.

    ``kind`` is that of inputs.
    """

    name: str
    title: str
    source: str = ""
    frames: Frames = ()
    kind: Literal["input", "data"] | None = None


Grouping: TypeAlias = tuple[list[Group], list[int]]
"""Groups in the order of their boxes, and for each entry the index of its group."""


def by_line(entries: Entries) -> Grouping:
    """One group for each line of the program, and some for the inputs."""
    groups, of_input = _inputs(entries, framed=False)
    lines, numbers = numbered_lines(entries)
    first = len(groups)
    of = [first + number for number in numbers]
    of[: len(of_input)] = of_input
    return groups + [_line(entries, line) for line in lines], of


def _line(entries: Entries, line: int) -> Group:
    if line < 0:
        return Group("s", "no line kept")
    site = entries.sites[line]
    source = getline(site.file, site.line).strip()
    return Group(f"s{line}", f"{site} {_function(site.function)}", source)


def by_scope(entries: Entries) -> Grouping:
    """One group for each function in each scope, framed by the scopes, and some for the inputs."""
    groups, of_input = _inputs(entries, framed=True)
    functions = [(site.file, _function(site.function)) for site in entries.sites]
    functions.append(("", "no function kept"))
    numbers: dict[tuple[Frames, tuple[str, str]], int] = {}
    of: list[int] = []
    sites = entries.site_indices
    for scopes, start, stop in _stretches(entries):
        part = sites[start:stop]
        keys = {site: (scopes, functions[site]) for site in dict.fromkeys(part)}
        ours = {
            site: numbers.setdefault(key, len(groups) + len(numbers)) for site, key in keys.items()
        }
        of += map(ours.__getitem__, part)
    of[: len(of_input)] = of_input
    titles = _frame_titles(entries)
    for (scopes, (file, function)), number in numbers.items():
        title = " ".join(filter(None, (function, file_name(file) if file else "")))
        groups.append(Group(f"f{number}", title, frames=titles[scopes]))
    return groups, of


def _function(name: str) -> str:
    """The name of a function inside others, on which Python hangs ``<locals>``.

    A comprehension is part of the function around it, as in newer versions of Python.
    """
    return _COMPREHENSION.sub("", name).replace(".<locals>", "")


_COMPREHENSION: Final = re.compile(r"\.<locals>\.<(list|dict|set)comp>$|\.<locals>\.<genexpr>$")


_DEEPEST: Final = 8
"""The most scopes inside one another; those further inside are taken as part of the last."""


def _stretches(entries: Entries) -> Iterator[tuple[Frames, int, int]]:
    """The tape cut where scopes begin and end: the scopes around a stretch, its start and stop."""
    position, around = 0, list[tuple[Frames, int]]()
    end = len(entries)
    for scopes, start, stop in (*_nested(entries.scopes), ((), end, end)):
        while around and around[-1][1] <= start:
            inside, inner_stop = around.pop()
            yield inside, position, inner_stop
            position = inner_stop
        yield around[-1][0] if around else (), position, start
        position = start
        around.append((scopes, stop))


def _nested(scopes: Iterable[Scope]) -> Iterator[tuple[Frames, int, int]]:
    """For each scope the names of those around it and its own, its start and its stop."""
    names: list[Frames] = []
    for scope in scopes:
        outer = () if scope.parent is None else names[scope.parent]
        names.append((*outer, scope.name)[:_DEEPEST])
        yield names[-1], scope.start, scope.stop


def _frame_titles(entries: Entries) -> dict[Frames, Frames]:
    """For nested scopes the titles of their frames: each name, and how often it ran."""
    counts = Counter(scopes for scopes, _, _ in _nested(entries.scopes))
    titles = {names: names[-1] + f" × {count:,}" * (count > 1) for names, count in counts.items()}
    return {
        names: tuple(titles[names[: end + 1]] for end in range(len(names)))
        for names in ((), *titles)
    }


_MOST_INPUTS: Final = 6
"""The most boxes of inputs; beyond, those whose key paths begin alike share one."""


def _inputs(entries: Entries, *, framed: bool) -> Grouping:
    """The groups of the inputs, which come first on the tape."""
    places = _input_places(entries)
    parts = sorted(_parted(places).items(), key=lambda part: part[1][0])
    groups, of = [], [0] * len(places)
    for number, (place, slots) in enumerate(parts):
        name = f"{'n' if len(slots) == 1 else 'i'}{slots[0]}"
        title = written_path(place[-1], entries.names[0])
        frames = place[:1] if framed and len(place) > 1 else ()
        kind: Literal["input", "data"] = "input" if slots[0] < entries.width else "data"
        groups.append(Group(name, title, frames=frames, kind=kind))
        for slot in slots:
            of[slot] = number
    return groups, of


def _parted(places: Sequence[Frames]) -> dict[Frames, list[int]]:
    """The inputs by argument, then split container by container as long as the boxes are few."""
    parts = _by_prefix(places, range(len(places)), 1)
    waiting = deque(parts)
    while waiting:
        place = waiting.popleft()
        finer = _by_prefix(places, parts[place], len(place) + 1)
        if place not in finer and len(parts) - 1 + len(finer) <= _MOST_INPUTS:
            del parts[place]
            parts |= finer
            waiting += finer
    return parts


def _by_prefix(
    places: Sequence[Frames], slots: Iterable[int], length: int
) -> dict[Frames, list[int]]:
    parts: dict[Frames, list[int]] = {}
    for slot in slots:
        parts.setdefault(places[slot][:length], []).append(slot)
    return parts


def _input_places(entries: Entries) -> list[Frames]:
    """For each input its argument, the key paths of the containers around it, and its own."""
    width, names = entries.width, entries.paths
    places = []
    for slot, path in enumerate(names):
        outer = tuple(accumulate(KEY.findall(path)))[:-1]
        argument = (entries.names[0],) if slot < width and path != entries.names[0] else ()
        places.append((*argument, *outer, path))
    return places
