"""The two sweeps as a lecture: what there is to see, and a sentence for each step.

A tape is told entry by entry; a long one line by line of the program, each line with the range of
its values and its largest cotangent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad._support.text import visible
from tapegrad.draw.picture import counted, short
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.entries.source_lines import lines_of_entries, lines_of_sites
from tapegrad.inspect.reverse_steps import Step, expression, reverse_steps, rule
from tapegrad.ops.primitive import Operand, primal

__all__ = ["Arrival", "Item", "Lecture", "Scene", "Shown", "lecture", "shown"]

_MOST: Final = 2_000
"""Tapes of more entries are told line by line: readers tire, and so do browsers."""

_WRITTEN: Final = 8
"""So many operands are written out in a formula."""

Cotangents: TypeAlias = Sequence[float | None]


@final
@attrs.frozen
class Shown:
    """A number twice: with four digits, and exactly."""

    short: str
    exact: str


@final
@attrs.frozen
class Item:
    """What a lecture is about: an entry, or a line of the program.

    ``operands`` and ``users`` are the items that it reads and that read it, ``boxes`` the names of
    what may stand for it in a picture.
    """

    name: str
    text: str
    value: Shown
    cotangent: Shown | None
    site: Site | None
    boxes: tuple[str, ...]
    label: str = ""
    doc: str = ""
    scope: str = ""
    operands: tuple[int, ...] = ()
    users: tuple[int, ...] = ()


@final
@attrs.frozen
class Arrival:
    """What a step leaves as the cotangent of item ``to``; where known, how it came about."""

    to: int
    after: Shown
    rule: str = ""
    partial: Shown | None = None
    share: Shown | None = None
    before: Shown | None = None


@final
@attrs.frozen
class Scene:
    """One step: the item it is at, a sentence, and the cotangents that it changes."""

    phase: Literal["start", "forward", "turn", "reverse", "end"]
    item: int | None
    text: str
    arrivals: tuple[Arrival, ...] = ()


@final
@attrs.frozen
class Lecture:
    """Items and scenes in order; ``about`` says what they are, ``headings`` what of them is shown.

    The headings are those of name, label, text, value, cotangent and site.
    """

    about: str
    headings: tuple[str, ...]
    items: tuple[Item, ...]
    scenes: tuple[Scene, ...]


def lecture(tape: Entries, cotangents: Cotangents) -> Lecture:
    """The lecture on a tape, given the cotangents of its one output, or None for each."""
    return (_by_line if len(tape) > _MOST else _by_entry)(tape, cotangents)


def shown(value: float) -> Shown:
    """A number as it is shown.

    >>> shown(0.1 + 0.2)
    Shown(short='0.3', exact='0.30000000000000004')
    """
    return Shown(short(value), repr(value))


def _known(bar: float | None) -> Shown | None:
    return None if bar is None else shown(bar)


_START: Final = Scene(
    "start", None, "Nothing is computed yet: step on with the right arrow, or play with space"
)


# Entry by entry.


def _by_entry(tape: Entries, cotangents: Cotangents) -> Lecture:
    nodes = tuple(tape)
    names, values = tuple(map(_name, nodes)), tuple(_value(node).short for node in nodes)
    forward = (
        Scene("forward", slot, _computed(node, nodes, names, values))
        for slot, node in enumerate(nodes)
    )
    reverse = _reverse(tape, nodes, names, cotangents)
    return Lecture(
        f"{len(tape):,} entries, {counted(len(tape.inputs), 'input')}",
        ("slot", "label", "operation", "value", "cotangent", "line"),
        tuple(_entries(tape, nodes, cotangents)),
        (_START, *forward, *reverse, _end(tape, names, cotangents)),
    )


def _entries(tape: Entries, nodes: Sequence[Node], cotangents: Cotangents) -> Iterator[Item]:
    slots = tuple(f"%{slot}" for slot in range(len(nodes)))
    operands = tuple(map(tape.columns.operands, range(len(nodes))))
    users = _turned(operands)
    lines = lines_of_entries(tape)
    for slot, node in enumerate(nodes):
        line = lines[slot]
        yield Item(
            slots[slot],
            _formula(node, slots),
            _value(node),
            _known(cotangents[slot]),
            tape.site(slot),
            (f"n{slot}", f"n{slot}op", *([f"s{line}"] if line >= 0 else [])),
            _label(node),
            node.primitive.doc if isinstance(node, Apply) else "",
            "/".join(map(visible, tape.scope(slot))),
            tuple(dict.fromkeys(operands[slot])),
            users[slot],
        )


def _turned(operands: Sequence[Iterable[int]]) -> list[tuple[int, ...]]:
    """For each item those that read it."""
    users: list[dict[int, None]] = [{} for _ in operands]
    for user, read in enumerate(operands):
        for operand in read:
            users[operand][user] = None
    return [tuple(readers) for readers in users]


def _label(node: Node) -> str:
    if isinstance(node, Guard):
        return ""
    return visible(node.label or (node.path if isinstance(node, Input) else ""))


def _name(node: Node) -> str:
    """What formulas call an entry."""
    return _label(node) or (_value(node).short if isinstance(node, Constant) else f"%{node.slot}")


def _value(node: Node) -> Shown:
    if isinstance(node, Guard):
        return Shown(str(node.outcome), str(node.outcome))
    return shown(primal(node.value))


def _formula(node: Node, names: Sequence[str]) -> str:
    """An entry as a formula over its operands' names."""
    if isinstance(node, Apply):
        return expression(node.primitive, _written(node, names))
    return (
        f"guard {names[node.operand]}" if isinstance(node, Guard) else type(node).__name__.lower()
    )


def _written(node: Apply, names: Sequence[str]) -> list[str]:
    """The operands by name, the middle of very many left out, and the static operand."""
    operands = [names[operand] for operand in node.operands]
    if len(operands) > _WRITTEN:
        operands[_WRITTEN // 2 : -1] = ["..."]
    return operands + list(map(_static, node.static))


def _static(value: object) -> str:
    return short(value) if isinstance(value, float) else visible(str(value))


def _computed(
    node: Node, nodes: Sequence[Node], names: Sequence[str], values: Sequence[str]
) -> str:
    """The forward sweep at an entry, in a sentence."""
    name, value = names[node.slot], values[node.slot]
    match node:
        case Input():
            return f"{name} is an input: {value}"
        case Constant():
            return f"%{node.slot} is a constant: {value}"
        case Guard():
            asked = _formula(nodes[node.operand], names)
            return f"Python asked whether {asked}, and went on with {value}"
        case Apply():
            return f"{name} = {_formula(node, names)} = {_formula(node, values)} = {value}"


def _reverse(
    tape: Entries, nodes: Sequence[Node], names: Sequence[str], cotangents: Cotangents
) -> Iterator[Scene]:
    if _is_bare(cotangents):
        return
    yield _turn(tape.outputs[0], names[tape.outputs[0]])
    for step in reverse_steps(tape.columns, cotangents):
        node, bar = nodes[step.slot], shown(step.cotangent).short
        what = "hands it on times each partial" if step.shares else "hands nothing on: it is flat"
        text = f"{names[step.slot]} has its cotangent, {bar}, and {what}"
        yield Scene("reverse", step.slot, text, tuple(_arrivals(cast(Apply, node), step, names)))


def _is_bare(cotangents: Cotangents) -> bool:
    return all(bar is None for bar in cotangents)


def _turn(output: int, name: str) -> Scene:
    text = f"The derivative of {name} in itself is 1: the way back begins"
    return Scene("turn", output, text, (Arrival(output, shown(1.0)),))


def _arrivals(node: Apply, step: Step, names: Sequence[str]) -> Iterator[Arrival]:
    static = cast("tuple[Operand, ...]", node.static)
    operands = [*(names[operand] for operand in node.operands), *static]
    for share in step.shares:
        yield Arrival(
            share.operand,
            shown(share.after),
            rule(node.primitive, share.index, names[node.slot], operands),
            shown(share.partial),
            shown(share.share),
            _known(share.before),
        )


def _end(tape: Entries, names: Sequence[str], cotangents: Cotangents) -> Scene:
    if _is_bare(cotangents):
        return _end_of_forward(tape)
    bars = (cotangents[slot] for slot in tape.inputs)
    gradient = (Arrival(slot, shown(bar or 0.0)) for slot, bar in enumerate(bars))
    text = f"The derivatives of {names[tape.outputs[0]]} in the inputs have arrived"
    return Scene("end", None, text, tuple(gradient))


def _end_of_forward(tape: Entries) -> Scene:
    outputs = counted(len(tape.outputs), "output")
    return Scene("end", None, f"The tape has {outputs}, and the reverse sweep starts from one")


# Line by line.


@attrs.define
class _Tally:
    """What a line computed, while it is being counted; ``odd`` values are not finite."""

    entries: int = 0
    lowest: float = inf
    highest: float = -inf
    odd: int = 0
    largest: float | None = None

    def add(self, value: float, bar: float | None) -> None:
        self.entries += 1
        if isfinite(value):
            self.lowest, self.highest = min(value, self.lowest), max(value, self.highest)
        else:
            self.odd += 1
        if bar is not None and (self.largest is None or abs(bar) > self.largest or bar != bar):
            self.largest = abs(bar)

    @property
    def values(self) -> Shown:
        ends = dict.fromkeys((self.lowest, self.highest)) if self.odd < self.entries else ()
        odd = [f"{self.odd:,} not finite"] if self.odd else []
        return Shown(
            ", ".join([" to ".join(map(short, ends)), *odd]).strip(", "),
            ", ".join([" to ".join(map(repr, ends)), *odd]).strip(", "),
        )


def _by_line(tape: Entries, cotangents: Cotangents) -> Lecture:
    of, lines = _lines(tape)
    tallies = [_Tally() for _ in lines]
    for line, value, bar in zip(of, tape.numbers, cotangents, strict=True):
        tallies[line].add(value, bar)
    items = tuple(_items(tape, of, lines, tallies))
    forward = (
        Scene("forward", line, f"{items[line].name}: {items[line].text}; {items[line].value.short}")
        for line in dict.fromkeys(of)
    )
    about = f"{len(tape):,} entries, shown as {counted(len(items), 'line')} of the program"
    reverse = _lines_reversed(tape, of, items, cotangents)
    end = _end_of_forward(tape) if _is_bare(cotangents) else _END
    headings = ("line", "", "entries", "values", "largest cotangent", "")
    return Lecture(about, headings, items, (_START, *forward, *reverse, end))


_END: Final = Scene("end", None, "Every cotangent has arrived")


def _lines(tape: Entries) -> tuple[list[int], list[int]]:
    """For each entry the number of its line, and the lines; -1 is that of entries without one."""
    found = lines_of_entries(tape)
    lines = [*dict.fromkeys(lines_of_sites(tape.sites)), *([-1] if -1 in found else [])]
    numbers = {line: number for number, line in enumerate(lines)}
    return [numbers[line] for line in found], lines


def _items(
    tape: Entries, of: Sequence[int], lines: Sequence[int], tallies: Sequence[_Tally]
) -> Iterator[Item]:
    operands = _read(tape, of, len(lines))
    users = _turned(operands)
    rows: list[Counter[str]] = [Counter() for _ in lines]
    for (line, code), count in Counter(zip(of, tape.codes, strict=True)).items():
        rows[line][tape.table.rows[code].name.rstrip("_")] += count
    for number, (line, tally) in enumerate(zip(lines, tallies, strict=True)):
        site = tape.sites[line] if line >= 0 else None
        yield Item(
            str(site) if site else "no line kept",
            ", ".join(f"{count:,} {name}" for name, count in rows[number].most_common(4)),
            tally.values,
            _known(tally.largest),
            site,
            (f"s{line}" if site else "s",),
            operands=tuple(sorted(operands[number])),
            users=users[number],
        )


def _read(tape: Entries, of: Sequence[int], count: int) -> list[set[int]]:
    """For each line those whose entries it reads."""
    columns, read = tape.columns, [set[int]() for _ in range(count)]
    for slot, line in enumerate(of):
        for operand in columns.operands(slot):
            read[line].add(of[operand])
    return read


def _lines_reversed(
    tape: Entries, of: Sequence[int], items: Sequence[Item], cotangents: Cotangents
) -> Iterator[Scene]:
    if _is_bare(cotangents):
        return
    reached = (of[slot] for slot in reversed(range(len(of))) if cotangents[slot] is not None)
    for line in dict.fromkeys(reached):
        largest = cast(Shown, items[line].cotangent)
        text = f"{items[line].name}: cotangents of magnitudes up to {largest.short}"
        yield Scene("reverse", line, text, (Arrival(line, largest),))
