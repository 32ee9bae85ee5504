"""Which entries share a box: those of one source line, or of one function in one scope.

There are as many groups as the program has lines or functions, however long the tape is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from linecache import getline
from os.path import basename
from typing import Any, Final, TypeAlias

from tapegrad.columns import Scope
from tapegrad.pictures import Group
from tapegrad.structure import paths
from tapegrad.tape import Tape

__all__ = ["by_line", "by_scope", "frames"]

AnyTape: TypeAlias = Tape[Any, ..., Any]
Grouping: TypeAlias = tuple[list[Group], list[int]]
"""Groups in the order of their boxes, and for each entry the index of its own."""

Names: TypeAlias = tuple[str, ...]


def by_line(tape: AnyTape) -> Grouping:
    """One group for each line of the program, and some for the inputs."""
    groups: dict[tuple[str, int], Group] = {}
    for index, site in enumerate(tape.sites):
        source = getline(site.file, site.line).strip()
        group = Group(f"s{index}", f"{site} {site.function}", source)
        groups.setdefault((site.file, site.line), group)
    numbers = {place: number for number, place in enumerate(groups)}
    of_site = [*(numbers[site.file, site.line] for site in tape.sites), len(groups)]
    lines = [*groups.values(), Group("s", "no line kept")]
    return _with_inputs(tape, lines, list(map(of_site.__getitem__, _site_of(tape))), framed=False)


def by_scope(tape: AnyTape) -> Grouping:
    """One group for each function in each scope, framed by the scopes, and some for the inputs."""
    functions = [*((site.file, site.function) for site in tape.sites), ("", "no function kept")]
    numbers: dict[tuple[Names, tuple[str, str]], int] = {}
    of: list[int] = []
    sites = _site_of(tape)
    for where, start, stop in _stretches(tape):
        part = sites[start:stop]
        ours = {
            site: numbers.setdefault((where, functions[site]), len(numbers))
            for site in dict.fromkeys(part)
        }
        of += map(ours.__getitem__, part)
    texts = frames(tape)
    groups = [
        Group(f"f{number}", " ".join(filter(None, (function, basename(file)))), where=texts[where])
        for (where, (file, function)), number in numbers.items()
    ]
    return _with_inputs(tape, groups, of, framed=True)


def _site_of(tape: AnyTape) -> Sequence[int]:
    """For each entry the index of its line, -1 for none."""
    return memoryview(tape.site_of).cast("i") if tape.site_of else [-1] * len(tape)


_DEEPEST: Final = 8
"""Scopes inside one another beyond this many are taken as one."""


def _stretches(tape: AnyTape) -> Iterator[tuple[Names, int, int]]:
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


def frames(tape: AnyTape) -> dict[Names, Names]:
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


def _with_inputs(
    tape: AnyTape, groups: Sequence[Group], of: list[int], *, framed: bool
) -> Grouping:
    """The groups after those of the inputs, which stand first on the tape."""
    places = _input_places(tape)
    depth = max(map(len, places), default=1)
    while depth > 1 and len({place[:depth] for place in places}) > _MOST_INPUTS:
        depth -= 1
    counts = Counter(place[:depth] for place in places)
    numbers = {place: number for number, place in enumerate(counts)}
    slots = dict(reversed([(place[:depth], slot) for slot, place in enumerate(places)]))
    inputs = [
        Group(
            f"{'n' if count == 1 else 'i'}{slots[place]}",
            place[-1],
            where=place[:-1] if framed else (),
            is_input=True,
        )
        for place, count in counts.items()
    ]
    ours = [numbers[place[:depth]] for place in places]
    return [*inputs, *groups], ours + [len(inputs) + number for number in of[len(places) :]]


def _input_places(tape: AnyTape) -> list[Names]:
    """For each input its argument and the paths of the containers that lead to it, then its own."""
    width, names = len(paths(tape.parameters)), tape.paths
    places = []
    for slot, path in enumerate(names):
        outer = tuple(accumulate(_KEY.findall(path)))[:-1]
        argument = (tape.names[0],) if slot < width and path != tape.names[0] else ()
        places.append((*argument, *outer, path))
    return places
