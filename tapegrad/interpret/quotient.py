"""A long tape as a small picture: one box for each source line, or for each function in a scope.

Such a picture is bounded by the length of the program, not of the tape. The columns are tallied by
counters and buckets, and no view of an entry is made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, repeat
from linecache import getline
from math import isfinite, log10
from os.path import basename
from typing import Any, Final, TypeAlias, final

import attrs

from tapegrad.columns import Columns
from tapegrad.pictures import Arrow, Box, counted, short
from tapegrad.positions import Site
from tapegrad.primitive import Operand, primal
from tapegrad.structure import paths
from tapegrad.tape import Tape
from tapegrad.wires import Wires, chosen, wires

__all__ = ["Group", "Grouping", "by_line", "by_scope", "quotient"]

AnyTape: TypeAlias = Tape[Any, ..., Any]


@final
@attrs.frozen
class Group:
    """Entries that become one box: its id and title, its line of source, where it stands."""

    name: str
    title: str
    source: str = ""
    where: tuple[str, ...] = ()
    is_input: bool = False


@final
@attrs.frozen
class Grouping:
    """Groups in the order of their boxes, and for each entry the index of its own."""

    groups: Sequence[Group]
    of: list[int]


def by_line(tape: AnyTape) -> Grouping:
    """One group for each line of the program, and some for the inputs."""
    groups: dict[tuple[str, int], Group] = {}
    for index, site in enumerate(tape.sites):
        source = getline(site.file, site.line).strip()
        group = Group(f"s{index}", f"{site} {site.function}", source)
        groups.setdefault((site.file, site.line), group)
    numbers = dict(zip(groups, range(len(groups))))
    of_site = [*(numbers[site.file, site.line] for site in tape.sites), len(groups)]
    lines = [*groups.values(), Group("s", "no line kept")]
    return _with_inputs(tape, lines, list(map(of_site.__getitem__, _site_of(tape))), framed=False)


def by_scope(tape: AnyTape) -> Grouping:
    """One group for each function in each scope, framed by the scopes, and some for the inputs."""
    functions = [*((site.file, site.function) for site in tape.sites), ("", "no function kept")]
    groups: dict[tuple[tuple[str, ...], tuple[str, str]], int] = {}
    of: list[int] = []
    sites = _site_of(tape)
    for where, start, stop in _stretches(tape):
        ours = [groups.setdefault((where, function), len(groups)) for function in functions]
        ...
    return _with_inputs(tape, [], of, framed=True)


def _site_of(tape: AnyTape) -> Sequence[int]:
    """For each entry the index of its line, -1 for none."""
    return memoryview(tape.site_of).cast("i") if tape.site_of else [-1] * len(tape)
