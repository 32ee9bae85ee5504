"""A long tape as a small picture: a box for each group of entries, with what is known of them all.

The columns are tallied by counters and buckets, and no view of an entry is made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from math import isfinite, log10
from sys import byteorder
from typing import Final, TypeAlias

from tapegrad._support.text import visible
from tapegrad.draw.picture import Arrow, Box, Group, counted, short
from tapegrad.entries.entries import Entries
from tapegrad.entries.operand_columns import flags_of_codes, operand_columns, slots_of_codes
from tapegrad.inspect.names import sign
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["quotient"]

Cotangents: TypeAlias = Sequence[float | None]


def quotient(
    tape: Entries, cotangents: Cotangents, groups: Sequence[Group], of: Sequence[int]
) -> tuple[list[Box], list[Arrow]]:
    """A box for each group that has an entry, and arrows with the number of uses.

    ``of`` has the index of each entry's group; ``len(groups)`` leaves an entry out.
    """
    tally = [_Sums() for _ in range(len(groups) + 1)]
    uses = _count(tape, of, tally)
    _collect(tape, of, tally, cotangents)
    signs = list(map(sign, tape.table.rows))
    met = [(group, sums) for group, sums in zip(groups, tally, strict=False) if sums.entries]
    boxes = [_box(group, sums, signs) for group, sums in met]
    return boxes, list(_arrows(groups, tally, uses))


class _Sums:
    """What is known of one group."""

    __slots__ = ("cotangents", "entries", "guards", "labels", "operations", "outputs", "values")

    def __init__(self) -> None:
        self.entries = 0
        self.operations: Counter[int] = Counter()
        self.values: list[float] = []
        self.cotangents: list[float] = []
        self.guards: Counter[bool] = Counter()
        self.labels: dict[str, None] = {}
        self.outputs: list[float] = []


def _count(tape: Entries, of: Sequence[int], tally: Sequence[_Sums]) -> Counter[tuple[int, int]]:
    """Count entries and operations into the tally; how often which group reads which."""
    columns, joined, nowhere = tape.columns, operand_columns(tape.columns), len(tally) - 1
    given = [code for code, row in enumerate(tape.table.rows) if not row.is_operation]
    tails = [*of, nowhere]  # what reads nothing reads slot -1
    for slot in slots_of_codes(columns.codes, [tape.table.codes[ops.constant]]):
        tails[slot] = nowhere  # a constant is part of the line that it stands in
    left, right = (map(tails.__getitem__, side) for side in (joined.left, joined.right))
    uses: Counter[tuple[int, int]] = Counter()
    for (group, code, *read), number in _patterns(nowhere, of, columns.codes, left, right):
        tally[group].entries += number
        if code not in given:
            tally[group].operations[code] += number
        for tail in read:
            if tail != group or code not in given:  # a guard is no round of a loop
                uses[tail, group] += number
    for slot, operands in joined.pools.items():
        uses.update((tails[operand], of[slot]) for operand in operands)
    return uses


def _patterns(highest: int, *columns: Iterable[int]) -> Iterable[tuple[Sequence[int], int]]:
    """How often which numbers stand side by side in four columns.

    Numbers below 256 are counted as the bytes of one word, which takes half the time.
    """
    if highest > 255:
        return Counter(zip(*columns, strict=True)).items()
    sides = [bytes(column) for column in columns]
    words = bytearray(4 * len(sides[0]))
    for place, side in enumerate(sides):
        words[place::4] = side
    counts = Counter(memoryview(words).cast("I"))
    return [(tuple(word.to_bytes(4, byteorder)), number) for word, number in counts.items()]


def _collect(
    tape: Entries, of: Sequence[int], tally: Sequence[_Sums], cotangents: Cotangents
) -> None:
    """Take values, cotangents, outcomes of guards, labels and outputs into the tally.

    Plain numbers of the program and truth values are no part of a range.
    """
    columns = tape.columns
    values = tape.numbers
    met = {code: columns.table.rows[code] for code in sorted(set(columns.codes))}
    ranged = flags_of_codes(columns.codes, (code for code, row in met.items() if _is_ranged(row)))
    add_value = [sums.values.append for sums in tally]
    add_cotangent = [sums.cotangents.append for sums in tally]
    for group, value, bar in compress(zip(of, values, cotangents, strict=True), ranged):
        add_value[group](value)
        if bar is not None:
            add_cotangent[group](bar)
    for slot in slots_of_codes(
        columns.codes, [code for code, row in met.items() if row.kind == "guard"]
    ):
        tally[of[slot]].guards[values[slot] != 0.0] += 1
    for slot, label in tape.labels:
        tally[of[slot]].labels[label] = None
    for slot in tape.outputs:
        tally[of[slot]].outputs.append(values[slot])


def _is_ranged(row: Primitive) -> bool:
    return not row.is_truth and row.kind != "constant"


_WIDEST: Final = 72
"""Longer lines of source are cut."""
_MOST: Final = 4
"""So many operations, labels and outputs are named in a box."""


def _box(group: Group, sums: _Sums, signs: Sequence[str]) -> Box:
    facts = [*_facts(sums, signs), *_numbers(sums)]
    source = visible(group.source)
    source = source if len(source) <= _WIDEST else f"{source[: _WIDEST - 3]}..."
    if group.is_input and sums.entries > 1:
        facts.insert(0, f"{sums.entries:,} inputs")
    cells = (group.title, *facts)
    return Box(
        group.name,
        "input" if group.is_input else "branches" if sums.guards else "summary",
        cells,
        "  ".join(filter(None, (group.title, source, *facts))),
        source,
        tuple(filter(None, (group.title, group.source))),
        group.where,
        is_output=bool(sums.outputs),
        is_broken=_broken(sums.values) + _broken(sums.cotangents) > 0,
    )


def _facts(sums: _Sums, signs: Sequence[str]) -> Iterator[str]:
    """What was done: operations, outcomes of guards; what it is called, what it gave."""
    names: Counter[str] = Counter()
    for code, number in sums.operations.items():
        names[signs[code]] += number
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) == 1:
        name, number = ranked[0]
        yield f"{number:,} operations: {name}" if number > 1 else name
    elif names:
        each = [f"{number:,} {name}" for name, number in ranked]
        yield f"{counted(names.total(), 'operation')}: {_listed(each)}"
    if sums.guards:
        outcomes = sorted(sums.guards.items(), reverse=True)
        yield f"guard {', '.join(f'{outcome}{_times(number)}' for outcome, number in outcomes)}"
    if sums.labels:
        yield f"labels {_listed(list(sums.labels))}"
    if sums.outputs:
        yield f"output {_listed([short(value) for value in sums.outputs])}"


def _times(number: int) -> str:
    return f" × {number:,}" if number > 1 else ""


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MOST:,} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])


def _numbers(sums: _Sums) -> Iterator[str]:
    """The range of the values, the largest cotangent, and how many are not finite, if of many."""
    values, bars = sums.values, sums.cotangents
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
    """How many are nan or infinite; a sum tells whether to look for them at all."""
    return 0 if isfinite(sum(numbers)) else sum(not isfinite(number) for number in numbers)


_ONE_PASS: Final = re.compile(r"\*\*|//|[-+*/%]|[<>=!]=|[<>]|\w\(|\b(?:and|or|not)\b")
"""What makes an operation where a line of source runs once."""


def _arrows(
    groups: Sequence[Group], tally: Sequence[_Sums], uses: Counter[tuple[int, int]]
) -> Iterator[Arrow]:
    """Arrows as thick as their use; from a box to itself where its line ran again and again."""
    nowhere = len(groups)
    for (tail, head), number in sorted(uses.items()):
        if nowhere in {tail, head} or (
            tail == head and not _is_repeated(groups[head], tally[head])
        ):
            continue
        width = min(1.0 + log10(number) / 2.0, 4.0)
        yield Arrow(groups[tail].name, groups[head].name, _times(number).strip(), width)


def _is_repeated(group: Group, sums: _Sums) -> bool:
    return sums.operations.total() > len(_ONE_PASS.findall(group.source))
