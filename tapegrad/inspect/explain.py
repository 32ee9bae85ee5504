"""The parts that add up to one derivative: the chains of entries from an input to an output.

The derivative of ``of`` in ``wrt`` is the sum, over all chains of entries from one to the other, of
the products of the partials along them. (Where it is printed a chain is called a path.) There may
be exponentially many, so they are summed up in three ways that take the time of a few sweeps: by
the line that reads ``wrt``, which every chain does once; by the chains of the largest magnitude,
best first, with all others as one remainder; and by label on the way.

The best chain on from every entry is found in one sweep from the output, in logarithms, which
neither overflow nor lose anything. Another chain leaves the best one at some entry for the next
best reader (after D. Eppstein, "Finding the k shortest paths", 1998), so each costs no more than
its length.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush, nlargest
from itertools import chain, count, groupby
from math import inf, isfinite, isnan, log, prod
from textwrap import indent
from typing import Final, cast, final

import attrs

from tapegrad._support.source_position import Site, here, refresh_sources
from tapegrad._support.text import Printed, Table, aligned, number, visible
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.errors import InputError
from tapegrad.inspect.names import Names
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import shape_of
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate
from tapegrad.sweep.gradient import cotangents_from

__all__ = ["Chain", "ElementPart", "Explanation", "LabelPart", "LinePart", "explain"]

_SHOWN: Final = 10
"""The most labels that are printed, those with the largest parts."""


@final
@attrs.frozen
class LinePart:
    """The sum over the chains that begin on one line, where ``readers`` entries read ``wrt``."""

    site: Site | None
    source: str
    part: float
    readers: int


@final
@attrs.frozen
class Chain:
    """One chain: its slots from ``wrt`` to ``of``, and the partial of each in the one before it.

    An entry that reads a slot twice (``x * x``) has one partial in it, their sum.

    ``part`` is the product of the partials, and ``route`` is the chain in words: labels and
    operations, line by line.
    """

    part: float
    slots: tuple[int, ...]
    partials: tuple[float, ...]
    route: str


@final
@attrs.frozen
class LabelPart:
    """The sum over the chains through a labelled entry: ``cotangent * tangent``.

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
class ElementPart:
    """The part of one number of an array: its derivative times its value."""

    name: str
    part: float
    derivative: float
    value: float


@final
@attrs.frozen
class Explanation(Printed):
    """One derivative and its parts.

    That in an array is the sum of ``elements``, each a derivative times a value; ``lines`` add up
    to it as well, and there are no ``paths``. A tape with arrays is explained by its numbers, and
    slots are those of ``expanded()``.

    ``lines`` add up to ``derivative``, and so do ``paths`` and ``remainder``, the sum of the
    ``others``; both but for rounding. Parts of opposite sign cancel: they may be far larger than
    the derivative. ``labels`` do not add up, since a path may pass several or none. ``others`` is a
    float because there may be more than any int64 holds.
    """

    of: str
    wrt: str
    derivative: float
    lines: tuple[LinePart, ...]
    paths: tuple[Chain, ...]
    remainder: float
    others: float
    labels: tuple[LabelPart, ...]
    elements: tuple[ElementPart, ...] = ()

    def __str__(self) -> str:
        texts = (
            _lines_of(part)
            if isinstance(part, Table)
            else ["\n" * (at > 0 and not part.startswith("  ")) + part]
            for at, part in enumerate(self._shown())
        )
        return "\n".join(chain.from_iterable(texts))

    def _shown(self) -> Iterator[str | Table]:
        head = f"d {self.of} / d {self.wrt} = {number(self.derivative)}"
        if self.elements:
            head = f"the sum of d {self.of} / d {self.wrt} * {self.wrt} = {number(self.derivative)}"
        if not self.paths and not self.lines:
            yield f"{head}: {self.of} does not depend on {self.wrt}"
            return
        if not isfinite(self.derivative):
            head += ": ask first_nonfinite() where that begins"
        yield head
        for part in (self._lines(), self._elements(), self._paths(), self._labels()):
            yield from part

    def _elements(self) -> Iterator[str | Table]:
        """The numbers of an array with the largest parts."""
        if not self.elements:
            return
        yield "by number: derivative * value"
        most = sorted(self.elements, key=lambda element: _magnitude_key(element.part))[:_SHOWN]
        yield _table(
            (*self._cells(x.part), f"{number(x.derivative)} * {number(x.value)}", x.name)
            for x in most
        )
        if len(most) < len(self.elements):
            yield f"  ... {len(self.elements) - len(most):,} more"

    def _lines(self) -> Iterator[str | Table]:
        yield f"by the line that reads {self.wrt}"
        yield _table(
            (*self._cells(x.part), str(x.site or ""), visible(x.source.strip())) for x in self.lines
        )

    def _paths(self) -> Iterator[str | Table]:
        if not self.paths and not self.others:
            return
        yield "by path"
        rest = [(*self._cells(self.remainder), _others(self.others))]
        listed = [(*self._cells(path.part), path.route) for path in self.paths]
        yield _table(listed + rest * (self.others > 0))

    def _labels(self) -> Iterator[str | Table]:
        if not self.labels:
            return
        yield f"by label on the way: d {self.of} / d label * d label / d {self.wrt}"
        most = sorted(self.labels, key=lambda label: _magnitude_key(label.part))[:_SHOWN]
        yield _table(
            (*self._cells(x.part), f"{number(x.cotangent)} * {number(x.tangent)}", x.name)
            for x in most
        )
        if len(most) < len(self.labels):
            yield f"  ... {len(self.labels) - len(most):,} more"

    def _cells(self, part: float) -> tuple[str, str]:
        """A part, and its share of the derivative where that is finite and not 0."""
        share = part / self.derivative if self.derivative else inf
        return number(part), f"{share:.1%}" if isfinite(share) else ""


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    """Rows without titles, the first two columns aligned to the right, the others to the left."""
    table = list(rows)
    return Table((("",) * len(table[0]), *table), right=2)


def _lines_of(table: Table) -> list[str]:
    """The rows of a table as indented lines."""
    return [f"  {line}" for line in aligned(table.rows, table.right)[1:]]


def _others(count: float) -> str:
    if count == inf:
        return "more other paths than a float holds"
    shown = f"{count:,.0f}" if count < 1e15 else f"about {count:.0e}"
    return f"{shown} other path{'s' * (count != 1.0)}"


def explain(entries: Entries, of: str | int | None, wrt: str | int, top: int) -> Explanation:
    """Takes one derivative on a tape apart, and lists at most ``top`` chains.

    Raises:
        InputError: when a name is unknown or stands for several entries, or ``top`` is negative.
    """
    if isinstance(top, bool) or top < 0:
        raise InputError(f"top={top!r} ({here()}) is no number of paths: use 0 or more")
    entries = entries.of_numbers()
    if entries.on_arrays:
        array = _array_named(entries, wrt)
        entries = cast(Entries, serving("entries.expand").expand(entries))
        if array is not None:
            return _explained_array(entries, of, str(wrt), array)
    refresh_sources(entries.sites)
    names = Names(entries)
    end, start = _output(names, of), names.slot(wrt, inputs_first=True)
    graph = _Graph(entries, start, end)
    bar = graph.bars[start]
    derivative = 0.0 if bar is None else bar
    chains = tuple(graph.chain(edges, names) for edges in graph.largest(top))
    return Explanation(
        _title(names, end, of),
        names[start],
        derivative,
        tuple(graph.lines()),
        chains,
        derivative - sum(chain.part for chain in chains),
        max(graph.count - len(chains), 0.0),
        tuple(graph.labels(names)),
    )


def _array_named(entries: Entries, wrt: str | int) -> range | None:
    """The inputs of the expanded tape that are the numbers of an array; None for anything else."""
    if wrt not in entries.paths:
        return None
    slot = entries.paths.index(str(wrt))
    sizes = [prod(shape_of(entries.values[at])) for at in range(slot + 1)]
    return range(sum(sizes[:-1]), sum(sizes)) if shape_of(entries.values[slot]) else None


def _explained_array(
    entries: Entries, of: str | int | None, wrt: str, inputs: range
) -> Explanation:
    """The derivatives in the numbers of an array, each times its value."""
    refresh_sources(entries.sites)
    names, values, columns = Names(entries), entries.numbers, entries.columns.as_lists()
    end = _output(names, of)
    bars = cotangents_from(entries, (end,))
    elements = tuple(
        ElementPart(names[at], (bars[at] or 0.0) * values[at], bars[at] or 0.0, values[at])
        for at in inputs
    )
    lines, parts = lines_of_entries(entries), dict[int, list[tuple[int, float]]]()
    readers = dict.fromkeys(slot for slot, operand in columns.reads() if operand in inputs)
    for slot in readers:
        bar = bars[slot]
        for operand, partial in columns.partials(slot) if bar is not None else ():
            if operand in inputs:
                share = cast(float, bar) * cast(float, partial) * values[operand]
                parts.setdefault(lines[slot], []).append((slot, share))
    total = sum(element.part for element in elements)
    found = sorted(map(_line_part(entries), parts.values()), key=lambda x: _magnitude_key(x.part))
    return Explanation(_title(names, end, of), wrt, total, tuple(found), (), 0.0, 0.0, (), elements)


def _line_part(entries: Entries) -> Callable[[list[tuple[int, float]]], LinePart]:
    """Makes the part of a line from its entries and their shares."""

    def made(found: list[tuple[int, float]]) -> LinePart:
        site = entries.site(found[0][0])
        source = linecache.getline(site.file, site.line).strip() if site else ""
        readers = len({slot for slot, _ in found})
        return LinePart(site, source, sum(share for _, share in found), readers)

    return made


def _output(names: Names, of: str | int | None) -> int:
    """The slot of ``of``.

    Raises:
        InputError: when it is not given, and there is not exactly one output.
    """
    outputs = names.entries.outputs
    if of is not None:
        return names.slot(of, inputs_first=False)
    if len(outputs) == 1:
        return outputs[0]
    raise InputError(
        f"this tape has {len(outputs)} outputs ({here()}): say which to explain, by path, label or "
        "slot"
    )


def _title(names: Names, end: int, of: str | int | None) -> str:
    """The name of the output: as it was asked for, or its label, or "result"."""
    if isinstance(of, str):
        return visible(of)
    return "result" if of is None and end not in names.labels else names[end]


@final
class _Graph:
    """The entries between ``start`` and ``end``, with the partials between them as edges.

    Edge ``e`` leads from the slot ``tails[e]`` to its reader ``heads[e]``, however often that reads
    it; edges are in the order of their heads. For each slot ``scores`` has the logarithm of the
    largest product of partials from there to ``end``, ``best`` the edge with which that chain goes
    on, and ``counts`` the number of chains to ``end``, along partials that are not 0.
    """

    def __init__(self, entries: Entries, start: int, end: int) -> None:
        self.entries, self.start, self.end = entries, start, end
        self.bars = cotangents_from(entries, (end,))
        self.dots: list[float | None] = [None] * len(entries)
        self.dots[start] = 1.0
        self.tails: list[int] = []
        self.heads: list[int] = []
        self.partials: list[float] = []
        between = [slot for slot in range(start + 1, end + 1) if self.bars[slot] is not None]
        columns = entries.columns.as_lists()
        _SWEEP(columns, between, self.dots, self.tails, self.heads, self.partials)
        self.logs = [log(abs(p)) if isfinite(p) and p else inf for p in self.partials]
        self.scores = [-inf] * (end + 1)
        self.counts = [0.0] * (end + 1)
        self.best = [-1] * (end + 1)
        self.first, self.next = [-1] * (end + 1), [-1] * len(self.tails)  # lists of a slot's edges
        self.siblings: dict[int, int] = {}
        self._search()
        self.count = self.counts[start] if start <= end else 0.0

    def _search(self) -> None:
        """Finds the best chain from every entry to the end, and counts all of them."""
        scores, counts = self.scores, self.counts
        scores[self.end], counts[self.end] = 0.0, 1.0
        for edge in range(len(self.tails) - 1, -1, -1):
            head, tail = self.heads[edge], self.tails[edge]
            if self.partials[edge] == 0.0 or scores[head] == -inf:
                continue
            self.next[edge], self.first[tail] = self.first[tail], edge
            counts[tail] += counts[head]
            score = scores[head] + self.logs[edge]
            if score > scores[tail]:
                scores[tail], self.best[tail] = score, edge

    def _score(self, edge: int) -> float:
        """The logarithm of the largest product of partials over an edge to the end."""
        return self.scores[self.heads[edge]] + self.logs[edge]

    def largest(self, top: int) -> list[list[int]]:
        """The edges of the ``top`` chains of the largest magnitude, best first."""
        found: list[list[int]] = []
        serial = count()
        heap: list[tuple[float, int, list[int], int, int]] = []
        if self.count and self.bars[self.start] is not None:
            heap.append((0.0, next(serial), [], 0, -1))
        while heap and len(found) < top:
            _, _, edges, kept, edge = heappop(heap)
            chain = self._completed(edges[:kept], edge)
            found.append(chain)
            for score, at, other in nlargest(top, self._departures(chain, kept)):
                heappush(heap, (-score, next(serial), chain, at, other))
        return found

    def _completed(self, chain: list[int], edge: int) -> list[int]:
        """The chain that goes on over ``edge``, if there is one, and then the best way."""
        slot = self.start
        if edge >= 0:
            chain.append(edge)
            slot = self.heads[edge]
        while slot != self.end:
            chain.append(self.best[slot])
            slot = self.heads[chain[-1]]
        return chain

    def _departures(self, chain: list[int], kept: int) -> Iterator[tuple[float, int, int]]:
        """The places where a chain can be left for the next best edge, after the edges it kept."""
        passed = 0.0
        for at, edge in enumerate(chain):
            other = self._next_best(edge) if at >= kept else -1
            if other >= 0:
                yield passed + self._score(other), at, other
            passed += self.logs[edge]

    def _next_best(self, edge: int) -> int:
        """Of the edges from the same slot the one that comes after this; -1 for none."""
        tail = self.tails[edge]
        if self.next[self.first[tail]] < 0:
            return -1
        if edge not in self.siblings:
            edges = sorted(self._edges_from(tail), key=lambda e: (-self._score(e), -e))
            self.siblings.update(zip(edges, (*edges[1:], -1), strict=True))
        return self.siblings[edge]

    def _edges_from(self, slot: int) -> Iterator[int]:
        edge = self.first[slot]
        while edge >= 0:
            yield edge
            edge = self.next[edge]

    def chain(self, edges: Sequence[int], names: Names) -> Chain:
        """A chain in slots, numbers and words; its part is multiplied as the reverse sweep does."""
        part = 1.0
        for edge in reversed(edges):
            part *= self.partials[edge]
        slots = (self.start, *(self.heads[edge] for edge in edges))
        partials = tuple(self.partials[edge] for edge in edges)
        return Chain(part, slots, partials, _route(names, slots))

    def lines(self) -> Iterator[LinePart]:
        """The parts by the line that reads ``start``, the largest first."""
        parts: dict[int, list[float]] = {}
        sites: dict[int, Site | None] = {}
        lines = lines_of_entries(self.entries)
        for edge in reversed(range(len(self.tails))):
            if self.tails[edge] == self.start:
                head = self.heads[edge]
                bar = cast(float, self.bars[head])
                parts.setdefault(lines[head], []).append(bar * self.partials[edge])
                sites.setdefault(lines[head], self.entries.site(head))
        if self.start == self.end:
            parts, sites = {-1: [1.0]}, {-1: None}
        for line, found in sorted(parts.items(), key=lambda item: _magnitude_key(sum(item[1]))):
            site = sites[line]
            source = linecache.getline(site.file, site.line).strip() if site else ""
            yield LinePart(site, source, sum(found), len(found))

    def labels(self, names: Names) -> Iterator[LabelPart]:
        """The parts by labelled entry between the two ends."""
        for slot in names.labels:
            bar, dot = self.bars[slot], self.dots[slot]
            if self.start < slot < self.end and bar is not None and dot is not None:
                site = self.entries.site(slot)
                yield LabelPart(slot, names[slot], bar * dot, bar, dot, site)


def _magnitude_key(part: float) -> float:
    """A key that sorts by magnitude, the largest first and nan before it."""
    return -inf if isnan(part) else -abs(part)


def _route(names: Names, slots: Sequence[int]) -> str:
    """A chain in words, line by line; the middle of a long one is left out."""
    left_out = len(slots) - 1 - 2 * _ENDS
    if left_out <= 0:
        return " -> ".join((names[slots[0]], *_steps(names, slots[1:])))
    first, last = _steps(names, slots[1 : 1 + _ENDS]), _steps(names, slots[-_ENDS:])
    return " -> ".join((names[slots[0]], *first, f"... {left_out:,} more ...", *last))


_ENDS: Final = 8
"""The entries that are printed from each end of a long chain."""


def _steps(names: Names, slots: Sequence[int]) -> Iterator[str]:
    """For each line on the way its labels and operations, repeated ones counted."""
    for place, group in groupby(slots, key=lambda slot: str(names.entries.site(slot) or "")):
        runs = ((word, len(list(run))) for word, run in groupby(_word(names, at) for at in group))
        words = (f"{word} x {times}" if times > 1 else word for word, times in runs)
        yield f"{place} {', '.join(words)}".strip()


def _word(names: Names, slot: int) -> str:
    """The label of an entry, or its operation."""
    row = names.entries.columns.row(slot)
    return visible(names.labels.get(slot, row.name.rstrip("_")))


_EDGE: Final = """\
a = dots[{slot}]
if a is not None:
    w = {partial}
    if heads and heads[-1] == k and tails[-1] == {slot}:
        partials[-1] += w
    else:
        tails.append({slot})
        heads.append(k)
        partials.append(w)
{add}"""


def _edge(operand: SymbolicOperand) -> str:
    """Source that adds the edge from an operand to its reader, and to the reader's tangent."""
    add = indent(accumulate("dots[k]", "a * w"), "    ")
    return _EDGE.format(slot=operand.slot, partial=operand.partial, add=add)


def _edges_into(
    columns: EntryColumns,
    slot: int,
    dots: list[float | None],
    tails: list[int],
    heads: list[int],
    partials: list[float],
) -> None:
    """Adds the edges into one entry, and its tangent."""
    sums: dict[int, float] = {}
    for operand, partial in columns.partials(slot, dots):
        sums[operand] = sums.get(operand, -0.0) + cast(float, partial)
    if sums:
        tails += sums
        heads += [slot] * len(sums)
        partials += sums.values()
        dots[slot] = sum(cast(float, dots[operand]) * partial for operand, partial in sums.items())


_SWEEP: Final = Sweep(state="dots, tails, heads, partials", operand=_edge, any_entry=_edges_into)
