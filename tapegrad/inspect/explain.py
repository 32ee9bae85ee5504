"""What one derivative is made of: the ways from an input to an output, added up.

The derivative of ``of`` in ``wrt`` is the sum over all paths between them of the products of the
partials on the way. There may be exponentially many, so they are told in three ways that take the
time of a few sweeps: by the line that reads ``wrt``, which every path does once; by the paths of
the largest magnitude, best first, with all others as one remainder; and by label on the way.

The best way on from every entry is found in one sweep from the output, in logarithms, which neither
overflow nor lose anything. Another path leaves the best one at some entry for the next best reader
(after D. Eppstein, "Finding the k shortest paths", 1998), so each costs no more than its length.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush, nlargest
from itertools import count, groupby
from math import inf, isfinite, isnan, log
from textwrap import indent
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site, here, refresh_sources
from tapegrad._support.text import number, visible
from tapegrad.entries.columns import Columns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.errors import InputError
from tapegrad.inspect.names import Names
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, reads

__all__ = ["Explanation", "Passage", "Path", "Share", "explain"]

Bars: TypeAlias = Sequence[float | None]
Dots: TypeAlias = list[float | None]

_SHOWN: Final = 10
"""So many labels are told, those that most passes."""


@final
@attrs.frozen
class Share:
    """What the paths amount to that begin on one line, where ``readers`` entries read ``wrt``."""

    site: Site | None
    source: str
    part: float
    readers: int


@final
@attrs.frozen
class Path:
    """One path: its slots from ``wrt`` to ``of``, the partial of each in the one before it.

    An entry that reads a slot twice (``x * x``) has one partial in it, their sum.

    ``part`` is the product of the partials, and ``route`` tells the way in words: labels and
    operations, line by line.
    """

    part: float
    slots: tuple[int, ...]
    partials: tuple[float, ...]
    route: str


@final
@attrs.frozen
class Passage:
    """What the paths through a labelled entry amount to: ``cotangent * tangent``.

    The cotangent is the derivative of ``of`` in it, the tangent its own in ``wrt``.
    """

    slot: int
    name: str
    part: float
    cotangent: float
    tangent: float
    site: Site | None


@final
@attrs.frozen
class Explanation:
    """What one derivative is made of.

    ``lines`` add up to ``derivative``, and so do ``paths`` and ``remainder``, the sum of the
    ``others``; both but for rounding. Parts of opposite sign cancel: they may be far larger than
    the derivative. ``labels`` do not add up, since a path may pass several or none. ``others`` is a
    float because there may be more than any int64 holds.
    """

    of: str
    wrt: str
    derivative: float
    lines: tuple[Share, ...]
    paths: tuple[Path, ...]
    remainder: float
    others: float
    labels: tuple[Passage, ...]

    def __str__(self) -> str:
        head = f"d {self.of} / d {self.wrt} = {number(self.derivative)}"
        if not self.paths and not self.lines:
            return f"{head}: {self.of} does not depend on {self.wrt}"
        if not isfinite(self.derivative):
            head += ": ask first_nonfinite() where that begins"
        return "\n".join((head, *self._lines(), *self._paths(), *self._labels()))

    def _lines(self) -> Iterator[str]:
        yield f"\nby the line that reads {self.wrt}"
        yield from _table(
            (*self._cells(x.part), str(x.site or ""), visible(x.source.strip())) for x in self.lines
        )

    def _paths(self) -> Iterator[str]:
        if not self.paths and not self.others:
            return
        yield "\nby path"
        rest = [(*self._cells(self.remainder), _others(self.others))]
        told = [(*self._cells(path.part), path.route) for path in self.paths]
        yield from _table(told + rest * (self.others > 0))

    def _labels(self) -> Iterator[str]:
        if not self.labels:
            return
        yield f"\nby label on the way: d {self.of} / d label * d label / d {self.wrt}"
        most = sorted(self.labels, key=lambda passage: _size(passage.part))[:_SHOWN]
        yield from _table(
            (*self._cells(x.part), f"{number(x.cotangent)} * {number(x.tangent)}", x.name)
            for x in most
        )
        if len(most) < len(self.labels):
            yield f"  ... {len(self.labels) - len(most):,} more"

    def _cells(self, part: float) -> tuple[str, str]:
        """A part, and its share where the whole is a number to speak of."""
        share = part / self.derivative if self.derivative else inf
        return number(part), f"{share:.1%}" if isfinite(share) else ""


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The first two columns to the right, the others to the left."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in table)
    return [
        f"  {part.strip():>{widths[0]}}  {share.strip():>{widths[1]}}  {'  '.join(rest)}".rstrip()
        for part, share, *rest in padded
    ]


def _others(count: float) -> str:
    if count == inf:
        return "more other paths than a float holds"
    shown = f"{count:,.0f}" if count < 1e15 else f"about {count:.0e}"
    return f"{shown} other path{'s' * (count != 1.0)}"


def explain(
    tape: Entries,
    bars: Callable[[Iterable[int]], Bars],
    of: str | int | None,
    wrt: str | int,
    top: int,
) -> Explanation:
    """Take one derivative on a tape of plain numbers apart; ``bars`` sweeps from slots."""
    if isinstance(top, bool) or top < 0:
        raise InputError(f"top={top!r} ({here()}) is no number of paths: use 0 or more")
    refresh_sources(tape.sites)
    names = Names(tape)
    end, start = _output(names, of), names.slot(wrt, inputs_first=True)
    ways = _Ways(tape, bars((end,)), start, end)
    found = [] if ways.derivative is None else ways.paths(top)
    told = tuple(ways.told(path, names) for path in found)
    whole = 0.0 if ways.derivative is None else ways.derivative
    return Explanation(
        _title(tape, names, end, of),
        names[start],
        whole,
        tuple(ways.lines()),
        told,
        whole - sum(path.part for path in told),
        max(ways.count - len(told), 0.0),
        tuple(ways.labels(names)),
    )


def _output(names: Names, of: str | int | None) -> int:
    """The slot of ``of``.

    Raises:
        InputError: when it is not given, and there is not exactly one output.
    """
    outputs = names.tape.outputs
    if of is not None:
        return names.slot(of, inputs_first=False)
    if len(outputs) == 1:
        return outputs[0]
    raise InputError(
        f"this tape has {len(outputs)} outputs ({here()}): say which to explain, by path, label or "
        "slot"
    )


def _title(tape: Entries, names: Names, end: int, of: str | int | None) -> str:
    """What to call the output: as it was asked for, or by its label, or the result."""
    if isinstance(of, str):
        return visible(of)
    return "result" if of is None and tape.label(end) is None else names[end]


@final
class _Ways:
    """The partials between the entries that lie between ``start`` and ``end``, and what they say.

    Edge ``e`` leads from the slot ``tails[e]`` to its reader ``heads[e]``, however often that reads
    it; edges are in the order of their heads.
    """

    def __init__(self, tape: Entries, bars: Bars, start: int, end: int) -> None:
        self.tape, self.bars, self.start, self.end = tape, bars, start, end
        self.derivative = bars[start]
        self.dots: list[float | None] = [None] * len(tape)
        self.dots[start] = 1.0
        self.tails: list[int] = []
        self.heads: list[int] = []
        self.partials: list[float] = []
        between = [slot for slot in range(start + 1, end + 1) if bars[slot] is not None]
        columns = tape.columns.as_lists()
        _SWEEP(columns, between, self.dots, self.tails, self.heads, self.partials)
        self.best = [-inf] * (end + 1)
        self.ways = [0.0] * (end + 1)
        self.lead, self.first = [-1] * (end + 1), [-1] * (end + 1)
        self.after = [-1] * len(self.tails)
        self.scores = [-inf] * len(self.tails)
        self.logs = [log(abs(p)) if isfinite(p) and p else inf for p in self.partials]
        self.siblings: dict[int, int] = {}
        self._search()

    @property
    def count(self) -> float:
        """How many paths there are along partials that are not 0."""
        return self.ways[self.start] if self.start <= self.end else 0.0

    def _search(self) -> None:
        """From every entry the best way on, and how many there are."""
        best, ways, first, scores = self.best, self.ways, self.first, self.scores
        best[self.end], ways[self.end] = 0.0, 1.0
        for edge in range(len(self.tails) - 1, -1, -1):
            head, tail = self.heads[edge], self.tails[edge]
            if self.partials[edge] == 0.0 or best[head] == -inf:
                continue
            scores[edge] = score = best[head] + self.logs[edge]
            self.after[edge], first[tail] = first[tail], edge
            ways[tail] += ways[head]
            if score > best[tail]:
                best[tail], self.lead[tail] = score, edge

    def paths(self, top: int) -> list[list[int]]:
        """The edges of the ``top`` paths of the largest magnitude, best first."""
        found: list[list[int]] = []
        serial = count()
        heap: list[tuple[float, int, list[int], int, int]] = []
        if self.count:
            heap.append((0.0, next(serial), [], 0, -1))
        while heap and len(found) < top:
            _, _, edges, kept, edge = heappop(heap)
            path = self._along(edges[:kept], edge)
            found.append(path)
            for score, at, other in nlargest(top, self._departures(path, kept)):
                heappush(heap, (-score, next(serial), path, at, other))
        return found

    def _along(self, path: list[int], edge: int) -> list[int]:
        """The path that goes on over ``edge``, if there is one, and then the best way."""
        slot = self.start
        if edge >= 0:
            path.append(edge)
            slot = self.heads[edge]
        while slot != self.end:
            path.append(self.lead[slot])
            slot = self.heads[path[-1]]
        return path

    def _departures(self, path: list[int], kept: int) -> Iterator[tuple[float, int, int]]:
        """Where a path can be left for the next best edge, not before the edges it kept."""
        passed = 0.0
        for at, edge in enumerate(path):
            other = self._next_best(edge) if at >= kept else -1
            if other >= 0:
                yield passed + self.scores[other], at, other
            passed += self.logs[edge]

    def _next_best(self, edge: int) -> int:
        """Of the edges from the same slot the one that comes after this; -1 for none."""
        tail = self.tails[edge]
        if self.after[self.first[tail]] < 0:
            return -1
        if edge not in self.siblings:
            edges = sorted(self._edges_from(tail), key=lambda e: (-self.scores[e], -e))
            self.siblings.update(zip(edges, (*edges[1:], -1), strict=True))
        return self.siblings[edge]

    def _edges_from(self, slot: int) -> Iterator[int]:
        edge = self.first[slot]
        while edge >= 0:
            yield edge
            edge = self.after[edge]

    def told(self, path: Sequence[int], names: Names) -> Path:
        """A path in slots, numbers and words; its part is multiplied as the reverse sweep does."""
        part = 1.0
        for edge in reversed(path):
            part *= self.partials[edge]
        slots = (self.start, *(self.heads[edge] for edge in path))
        return Path(part, slots, tuple(self.partials[edge] for edge in path), _route(names, slots))

    def lines(self) -> Iterator[Share]:
        """What begins on each line, the largest first."""
        parts: dict[int, list[float]] = {}
        sites: dict[int, Site | None] = {}
        lines = lines_of_entries(self.tape)
        for edge in reversed(range(len(self.tails))):
            if self.tails[edge] == self.start:
                head = self.heads[edge]
                bar = cast(float, self.bars[head])
                parts.setdefault(lines[head], []).append(bar * self.partials[edge])
                sites.setdefault(lines[head], self.tape.site(head))
        if self.start == self.end:
            parts, sites = {-1: [1.0]}, {-1: None}
        for line, shares in sorted(parts.items(), key=lambda item: _size(sum(item[1]))):
            site = sites[line]
            source = linecache.getline(site.file, site.line).strip() if site else ""
            yield Share(site, source, sum(shares), len(shares))

    def labels(self, names: Names) -> Iterator[Passage]:
        """What passes each labelled entry between the two ends."""
        for slot in names.labels:
            bar, dot = self.bars[slot], self.dots[slot]
            if self.start < slot < self.end and bar is not None and dot is not None:
                site = self.tape.site(slot)
                yield Passage(slot, names[slot], bar * dot, bar, dot, site)


def _size(part: float) -> float:
    """A key that sorts by magnitude, the largest first and nan before it."""
    return -inf if isnan(part) else -abs(part)


def _route(names: Names, slots: Sequence[int]) -> str:
    """A path in words: line by line, what happens there; the middle of a long one is left out."""
    left_out = len(slots) - 1 - 2 * _ENDS
    if left_out <= 0:
        return " -> ".join((names[slots[0]], *_steps(names, slots[1:])))
    first, last = _steps(names, slots[1 : 1 + _ENDS]), _steps(names, slots[-_ENDS:])
    return " -> ".join((names[slots[0]], *first, f"... {left_out:,} more ...", *last))


_ENDS: Final = 8
"""So many entries are told from each end of a long path."""


def _steps(names: Names, slots: Sequence[int]) -> Iterator[str]:
    """For each line on the way its labels and operations, those in a row counted."""
    for place, group in groupby(slots, key=lambda slot: str(names.tape.site(slot) or "")):
        runs = ((word, len(list(run))) for word, run in groupby(_word(names, at) for at in group))
        words = (f"{word} x {times}" if times > 1 else word for word, times in runs)
        yield f"{place} {', '.join(words)}".strip()


def _word(names: Names, slot: int) -> str:
    """The label of an entry, or its operation."""
    row = names.tape.columns.row(slot)
    return visible(names.labels.get(slot, row.name.rstrip("_")))


_EDGE: Final = """\
i = {slot}
a = dots[i]
if a is not None:
{reads}    w = {partial}
    if heads and heads[-1] == k and tails[-1] == i:
        partials[-1] += w
    else:
        tails.append(i)
        heads.append(k)
        partials.append(w)
{add}"""


def _edge(operand: SymbolicOperand) -> str:
    """Source that adds the edge from an operand to its reader, and to the reader's tangent."""
    fetch, add = (
        indent(part, "    ") for part in (reads(operand.partial), accumulate("dots[k]", "a * w"))
    )
    return _EDGE.format(slot=operand.slot, reads=fetch, partial=operand.partial, add=add)


def _edges_into(
    columns: Columns,
    slot: int,
    dots: Dots,
    tails: list[int],
    heads: list[int],
    partials: list[float],
) -> None:
    """Add the edges into one entry, and its tangent."""
    sums: dict[int, float] = {}
    for operand, partial in columns.partials(slot, dots):
        sums[operand] = sums.get(operand, -0.0) + cast(float, partial)
    if sums:
        tails += sums
        heads += [slot] * len(sums)
        partials += sums.values()
        dots[slot] = sum(cast(float, dots[operand]) * partial for operand, partial in sums.items())


_SWEEP: Final = Sweep(state="dots, tails, heads, partials", operand=_edge, any_entry=_edges_into)
