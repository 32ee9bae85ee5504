"""A long tape as a small picture: a box for each group of entries, with counts and ranges.

The columns are counted as a whole, and no view of an entry is made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from math import isfinite, log10
from sys import byteorder
from typing import Final

import attrs

from tapegrad._support.text import visible
from tapegrad.draw.groups import Group
from tapegrad.draw.picture import Arrow, Box, counted, short
from tapegrad.entries.entries import Entries
from tapegrad.inspect.ends import ends
from tapegrad.inspect.names import short_sign
from tapegrad.ops import table as ops
from tapegrad.sweep.gradient import Cotangents

__all__ = ["group_boxes"]


def group_boxes(
    entries: Entries,
    cotangents: Cotangents,
    groups: Sequence[Group],
    of: Sequence[int],
) -> tuple[list[Box], list[Arrow]]:
    """A box for each group that has an entry, and arrows with the number of uses.

    ``of`` has the index of each entry's group; ``len(groups)`` leaves an entry out.
    """
    totals = [_Totals() for _ in range(len(groups) + 1)]
    uses = _count(entries, of, totals)
    _collect(entries, of, totals, cotangents)
    signs = list(map(short_sign, entries.table.rows))
    pairs = zip(groups, totals, strict=False)
    boxes = [_box(group, total, signs) for group, total in pairs if total.entries]
    return boxes, list(_arrows(groups, totals, uses))


@attrs.define
class _Totals:
    """Counts and numbers of one group."""

    entries: int = 0
    operations: Counter[int] = attrs.Factory(Counter)
    values: list[float] = attrs.Factory(list)
    cotangents: list[float] = attrs.Factory(list)
    guards: Counter[str] = attrs.Factory(Counter)
    labels: dict[str, None] = attrs.Factory(dict)
    outputs: list[float] = attrs.Factory(list)


def _count(
    entries: Entries, of: Sequence[int], totals: Sequence[_Totals]
) -> Counter[tuple[int, int]]:
    """Counts entries and operations into the totals, and how often each group reads each other."""
    columns, rows, nowhere = entries.columns, entries.table.rows, len(totals) - 1
    left, right = list(columns.left), list(columns.right)
    pooled = list(columns.slots_of(*(row for row in rows if row.is_pooled)))
    for slot in columns.slots_of(*(row for row in rows if row.has_static)):
        right[slot] = -1
    for slot in pooled:
        left[slot] = right[slot] = -1
    tails = [*of, nowhere]  # an entry without an operand reads slot -1
    for slot in columns.slots_of(ops.constant):
        tails[slot] = nowhere  # a constant is part of the line that reads it
    uses: Counter[tuple[int, int]] = Counter()
    read = (list(map(tails.__getitem__, side)) for side in (left, right))
    for (group, code, *operands), number in _counted(
        max(nowhere, len(rows)), of, columns.codes, *read
    ):
        totals[group].entries += number
        if rows[code].is_operation:
            totals[group].operations[code] += number
        for tail in operands:
            if tail != group or rows[code].is_operation:  # a guard is no round of a loop
                uses[tail, group] += number
    for slot in pooled:
        uses.update((tails[operand], of[slot]) for operand in columns.operands(slot))
    return uses


def _counted(highest: int, *columns: Sequence[int]) -> Iterable[tuple[Sequence[int], int]]:
    """How often each four numbers up to ``highest`` stand side by side in four columns.

    Numbers below 256 are counted as the bytes of one word, which takes half the time.
    """
    if highest > 255:
        return Counter(zip(*columns, strict=True)).items()
    words = bytearray(4 * len(columns[0]))
    for place, column in enumerate(columns):
        words[place::4] = bytes(column)
    counts = Counter(memoryview(words).cast("I"))
    return [(tuple(word.to_bytes(4, byteorder)), number) for word, number in counts.items()]


def _collect(
    entries: Entries,
    of: Sequence[int],
    totals: Sequence[_Totals],
    cotangents: Cotangents,
) -> None:
    """Adds values, cotangents, outcomes of guards, labels and outputs to the totals.

    Constants, guards and truth values are not part of a range.
    """
    columns, values = entries.columns, entries.numbers
    has_range = [not row.is_truth and row.kind not in _NO_NUMBERS for row in columns.table.rows]
    add = _adding_ends if columns.on_arrays else _adding
    add_value = [add(total.values) for total in totals]
    add_cotangent = [add(total.cotangents) for total in totals]
    ranged = map(has_range.__getitem__, columns.codes)
    for group, value, bar in compress(zip(of, values, cotangents, strict=True), ranged):
        add_value[group](value)
        if bar is not None:
            add_cotangent[group](bar)
    for slot in columns.guards():
        totals[of[slot]].guards[str(columns.outcome(slot))] += 1
    for slot, label in entries.labels:
        totals[of[slot]].labels[label] = None
    for slot in entries.outputs:
        totals[of[slot]].outputs.append(values[slot])


def _adding(numbers: list[float]) -> Callable[[float], None]:
    return numbers.append


def _adding_ends(numbers: list[float]) -> Callable[[float], None]:
    """Adds a number, or what an array goes from and to."""
    return lambda value: numbers.extend(ends(value))


_NO_NUMBERS: Final = {"constant", "guard"}
_WIDEST: Final = 72
"""The most letters of a source line in a box; longer ones are cut."""
_MOST: Final = 4
"""The most operations, labels or outputs that are named in a box."""


def _box(group: Group, total: _Totals, signs: Sequence[str]) -> Box:
    facts = [*_facts(total, signs), *_numbers(total)]
    source = visible(group.source)
    source = source if len(source) <= _WIDEST else f"{source[: _WIDEST - 3]}..."
    if group.kind and total.entries > 1:
        facts.insert(0, f"{total.entries:,} inputs")
    cells = (group.title, *facts)
    return Box(
        group.name,
        group.kind or ("branches" if total.guards else "summary"),
        cells,
        "  ".join(filter(None, (group.title, source, *facts))),
        source,
        tuple(filter(None, (group.title, group.source))),
        group.frames,
        is_output=bool(total.outputs),
        is_broken=_broken(total.values) + _broken(total.cotangents) > 0,
        is_titled=True,
    )


def _facts(total: _Totals, signs: Sequence[str]) -> Iterator[str]:
    """Operations, outcomes of guards, labels and outputs, in words."""
    names: Counter[str] = Counter()
    for code, number in total.operations.items():
        names[signs[code]] += number
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) == 1:
        name, number = ranked[0]
        yield f"{number:,} {name}" if number > 1 else name
    elif names:
        yield _listed([f"{number:,} {name}" for name, number in ranked])
    if total.guards:
        outcomes = sorted(total.guards.items(), reverse=True)
        yield f"guard {', '.join(f'{outcome}{_times(number)}' for outcome, number in outcomes)}"
    if total.labels:
        yield f"labels {_listed(list(total.labels))}"
    if total.outputs:
        yield f"output {_listed([short(value) for value in total.outputs])}"


def _times(number: int) -> str:
    return f" × {number:,}" if number > 1 else ""


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MOST:,} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])


def _numbers(total: _Totals) -> Iterator[str]:
    """The range of the values, the largest cotangent, and the counts of nan and infinity."""
    values, bars = total.values, total.cotangents
    broken = [_broken(numbers) if len(numbers) > 1 else 0 for numbers in (values, bars)]
    finite = [value for value in values if isfinite(value)] if broken[0] else values
    if finite:
        ends = short(min(finite)), short(max(finite))
        yield f"value {ends[0]}" if ends[0] == ends[1] else f"values {' to '.join(ends)}"
    if broken[0]:
        yield f"{counted(broken[0], 'value')} nan or inf"
    finite = [bar for bar in bars if isfinite(bar)] if broken[1] else bars
    if finite:
        low, high = min(finite), max(finite)
        is_one = len(bars) == 1 or low == high
        yield f"grad {short(low)}" if is_one else f"|grad| up to {short(max(-low, high))}"
    if broken[1]:
        yield f"{counted(broken[1], 'cotangent')} nan or inf"


def _broken(numbers: Sequence[float]) -> int:
    """The number of nan and infinite ones; where the sum is finite there are none."""
    return 0 if isfinite(sum(numbers)) else sum(not isfinite(number) for number in numbers)


_ONE_PASS: Final = re.compile(r"\*\*|//|[-+*/%]|[<>=!]=|[<>]|\w\(|\b(?:and|or|not)\b")
"""The signs and calls in a line of source that make one operation each when it runs once."""


def _arrows(
    groups: Sequence[Group], totals: Sequence[_Totals], uses: Counter[tuple[int, int]]
) -> Iterator[Arrow]:
    """Arrows as thick as their use; one from a box to itself where its line ran repeatedly."""
    nowhere = len(groups)
    for (tail, head), number in sorted(uses.items()):
        if nowhere in {tail, head} or (
            tail == head and not _is_repeated(groups[head], totals[head])
        ):
            continue
        width = min(1.0 + log10(number) / 2.0, 4.0)
        yield Arrow(groups[tail].name, groups[head].name, _times(number).strip(), width)


def _is_repeated(group: Group, total: _Totals) -> bool:
    return total.operations.total() > len(_ONE_PASS.findall(group.source))
