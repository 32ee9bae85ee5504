"""Which entries share a box: those of one source line, or of one function in one scope.

There are as many groups as the program has lines or functions, however long the tape is.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from linecache import getline
from pathlib import Path
from typing import Final, TypeAlias

from tapegrad.draw.picture import Group
from tapegrad.entries.columns import Scope
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries, lines_of_sites

__all__ = ["by_line", "by_scope", "frames"]

Grouping: TypeAlias = tuple[list[Group], list[int]]
"""Groups in the order of their boxes, and for each entry the index of its own."""

Names: TypeAlias = tuple[str, ...]


def by_line(tape: Entries) -> Grouping:
    """One group for each line of the program, and some for the inputs."""
    groups, of_input = _inputs(tape, framed=False)
    numbers: dict[int, int] = {}
    for line in dict.fromkeys(lines_of_sites(tape.sites)):
        numbers[line] = len(groups)
        site = tape.sites[line]
        source = getline(site.file, site.line).strip()
        groups.append(Group(f"s{line}", f"{site} {_function(site.function)}", source))
    numbers[-1] = len(groups)
    groups.append(Group("s", "no line kept"))
    of = list(map(numbers.__getitem__, lines_of_entries(tape)))
    of[: len(of_input)] = of_input
    return groups, of


def by_scope(tape: Entries) -> Grouping:
    """One group for each function in each scope, framed by the scopes, and some for the inputs."""
    groups, of_input = _inputs(tape, framed=True)
    functions = [*((site.file, site.function) for site in tape.sites), ("", "no function kept")]
    numbers: dict[tuple[Names, tuple[str, str]], int] = {}
    of: list[int] = []
    sites = tape.site_indices
    for where, start, stop in _stretches(tape):
        part = sites[start:stop]
        keys = {site: (where, functions[site]) for site in dict.fromkeys(part)}
        ours = {
            site: numbers.setdefault(key, len(groups) + len(numbers)) for site, key in keys.items()
        }
        of += map(ours.__getitem__, part)
    of[: len(of_input)] = of_input
    texts = frames(tape)
    for (where, (file, function)), number in numbers.items():
        title = " ".join(filter(None, (_function(function), Path(file).name)))
        groups.append(Group(f"f{number}", title, where=texts[where]))
    return groups, of


def _function(name: str) -> str:
    """The name of a function inside others, on which Python hangs ``<locals>``."""
    return name.replace(".<locals>", "")


_DEEPEST: Final = 8
"""Scopes inside one another beyond this many are taken as one."""


def _stretches(tape: Entries) -> Iterator[tuple[Names, int, int]]:
    """The tape cut where scopes begin and end: the names of those around, from where, to where."""
    position, around = 0, list[tuple[Names, int]]()
    for where, start, stop in (*_named(tape.scopes), ((), len(tape), len(tape))):
        while around and around[-1][1] <= start:
            inside, end = around.pop()
            yield inside, position, end
            position = end
        yield around[-1][0] if around else (), position, start
        position = start
        around.append((where, stop))


def _named(scopes: Iterable[Scope]) -> Iterator[tuple[Names, int, int]]:
    """Each scope by the names of those around it and its own, with where it begins and ends."""
    names: list[Names] = []
    for scope in scopes:
        outer = () if scope.parent is None else names[scope.parent]
        names.append((*outer, scope.name)[:_DEEPEST])
        yield names[-1], scope.start, scope.stop


def frames(tape: Entries) -> dict[Names, Names]:
    """For the scopes around an entry what stands on their frames: a name, and how often it ran."""
    counts = Counter(where for where, _, _ in _named(tape.scopes))
    texts = {where: where[-1] + f" × {count:,}" * (count > 1) for where, count in counts.items()}
    return {
        where: tuple(texts[where[: end + 1]] for end in range(len(where))) for where in ((), *texts)
    }


_MOST_INPUTS: Final = 12
"""So many boxes of inputs at most; beyond, those whose paths begin alike share one."""

_KEY: Final = re.compile(
    r"""\[(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\]'"])*\]|[.:]?[^.:\[]+""", re.DOTALL
)
"""One key of a path, with the sign before it."""


def _inputs(tape: Entries, *, framed: bool) -> Grouping:
    """The groups of the inputs, which stand first on the tape."""
    places = _input_places(tape)
    parts = sorted(_parted(places).items(), key=lambda part: part[1][0])
    groups, of = [], [0] * len(places)
    for number, (place, slots) in enumerate(parts):
        name = f"{'n' if len(slots) == 1 else 'i'}{slots[0]}"
        groups.append(Group(name, place[-1], "", place[:-1] if framed else (), is_input=True))
        for slot in slots:
            of[slot] = number
    return groups, of


def _parted(places: Sequence[Names]) -> dict[Names, list[int]]:
    """The inputs by argument, and then container by container while the boxes are few."""
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
    places: Sequence[Names], slots: Iterable[int], length: int
) -> dict[Names, list[int]]:
    parts: dict[Names, list[int]] = {}
    for slot in slots:
        parts.setdefault(places[slot][:length], []).append(slot)
    return parts


def _input_places(tape: Entries) -> list[Names]:
    """For each input its argument and the paths of the containers that lead to it, then its own."""
    width, names = tape.width, tape.paths
    places = []
    for slot, path in enumerate(names):
        outer = tuple(accumulate(_KEY.findall(path)))[:-1]
        argument = (tape.names[0],) if slot < width and path != tape.names[0] else ()
        places.append((*argument, *outer, path))
    return places
