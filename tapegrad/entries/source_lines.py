"""Entries grouped by the line of the program that recorded them.

A line may have several sites, one for each function on it: a comprehension has a site of its own.
The index of the first of them in ``sites`` stands for the line, and -1 for none.
"""

from __future__ import annotations

from collections.abc import Sequence

from tapegrad._support.source_position import Site
from tapegrad.entries.entries import Entries

__all__ = ["lines_of_entries", "numbered_lines"]


def lines_of_entries(entries: Entries) -> list[int]:
    """For each entry the index of the first site on its line; -1 where no line was kept."""
    lines = [*_lines_of_sites(entries.sites), -1]  # an entry without a line has the index -1
    return list(map(lines.__getitem__, entries.site_indices))


def numbered_lines(entries: Entries) -> tuple[list[int], list[int]]:
    """The lines in the order of their sites, -1 for none last; for each entry its line's index."""
    found = lines_of_entries(entries)
    lines = list(dict.fromkeys((*_lines_of_sites(entries.sites), *found)))
    index = {line: number for number, line in enumerate(lines)}
    return lines, list(map(index.__getitem__, found))


def _lines_of_sites(sites: Sequence[Site]) -> list[int]:
    """For each site the index of the first one on the same line."""
    first: dict[tuple[str, int], int] = {}
    return [first.setdefault((site.file, site.line), at) for at, site in enumerate(sites)]
