"""The two sweeps step by step: the items of a page's table, and a sentence for each step.

The items are entries; of a long tape they are lines of the program, each with the range of its
values and its largest cotangent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from math import isfinite, isnan, nan
from typing import Final, Literal, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad._support.text import number, visible
from tapegrad.draw.groups import by_line, by_scope
from tapegrad.draw.picture import counted, short
from tapegrad.entries.entries import Entries
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.entries.source_lines import numbered_lines
from tapegrad.inspect.ends import ends
from tapegrad.inspect.names import Names
from tapegrad.inspect.reverse_steps import ReverseStep, expression, reverse_steps, rule
from tapegrad.inspect.static_text import static_text
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, shape_of
from tapegrad.sweep.gradient import Cotangents

__all__ = ["CotangentUpdate", "Item", "NumberText", "Step", "Walkthrough", "walkthrough"]

_MOST: Final = 2_000
"""The most entries that are items by themselves: readers tire, and so do browsers."""

_WRITTEN: Final = 8
"""The most operands that are written out in a formula."""


@final
@attrs.frozen
class NumberText:
    """A number as text: with four digits, and exactly."""

    short: str
    exact: str


@final
@attrs.frozen
class Item:
    """A row of the page's table: an entry, or a line of the program.

    ``operands`` and ``users`` are the items that it reads and that read it, ``boxes`` the names of
    the boxes that may stand for it in a picture.
    """

    name: str
    text: str
    value: NumberText
    cotangent: NumberText | None
    site: Site | None
    boxes: tuple[str, ...]
    label: str = ""
    doc: str = ""
    scope: str = ""
    operands: tuple[int, ...] = ()
    users: tuple[int, ...] = ()


@final
@attrs.frozen
class CotangentUpdate:
    """The cotangent of item ``to`` after a step; where known, the product that was added."""

    to: int
    after: NumberText
    rule: str = ""
    partial: NumberText | None = None
    share: NumberText | None = None
    before: NumberText | None = None


@final
@attrs.frozen
class Step:
    """One step: the item it is at, a sentence, and the cotangents that it changes."""

    phase: Literal["start", "forward", "turn", "reverse", "end"]
    item: int | None
    text: str
    updates: tuple[CotangentUpdate, ...] = ()


@final
@attrs.frozen
class Walkthrough:
    """Items and steps in order; ``about`` counts the items, ``headings`` are those of the table.

    The headings are those of name, label, text, value, cotangent and site.
    """

    about: str
    headings: tuple[str, ...]
    items: tuple[Item, ...]
    steps: tuple[Step, ...]


def walkthrough(entries: Entries, cotangents: Cotangents) -> Walkthrough:
    """The steps of a tape, given the cotangents of its one output, or None for each."""
    return (_by_line if len(entries) > _MOST else _by_entry)(entries.of_numbers(), cotangents)


def _number(value: float) -> NumberText:
    """A number as it is shown.

    >>> _number(0.1 + 0.2)
    NumberText(short='0.3', exact='0.30000000000000004')
    """
    if shape_of(value):  # three digits, as in the boxes of a picture
        return NumberText(number(value, ".3g"), number(value, ".17g"))
    return NumberText(short(value), repr(value))


def _number_if_known(bar: float | None) -> NumberText | None:
    return None if bar is None else _number(bar)


_START: Final = Step(
    "start", None, "Nothing is computed yet: step on with the right arrow, or play with space"
)


# Entry by entry.


def _by_entry(entries: Entries, cotangents: Cotangents) -> Walkthrough:
    nodes, given = tuple(entries), Names(entries)
    names = tuple(_name(node, given) for node in nodes)
    values = tuple(_value(node).short for node in nodes)
    forward = (
        Step("forward", slot, _forward_text(node, nodes, names, values))
        for slot, node in enumerate(nodes)
    )
    reverse = _reverse(entries, nodes, names, cotangents)
    return Walkthrough(
        f"{len(entries):,} entries, {counted(len(entries.inputs), 'input')}",
        ("slot", "label", "operation", "value", "cotangent", "line"),
        tuple(_entry_items(entries, nodes, given, cotangents)),
        (_START, *forward, *reverse, _end(entries, names, cotangents)),
    )


def _entry_items(
    entries: Entries, nodes: Sequence[Node], given: Names, cotangents: Cotangents
) -> Iterator[Item]:
    slots = tuple(f"%{slot}" for slot in range(len(nodes)))
    operands = [tuple(dict.fromkeys(entries.columns.operands(slot))) for slot in range(len(nodes))]
    users = _users(operands)
    grouped, plain = _group_names(entries), _not_differentiated(entries)
    for slot, node in enumerate(nodes):
        yield Item(
            slots[slot],
            _formula(node, slots),
            _value(node),
            _number_if_known(None if slot in plain else cotangents[slot]),
            entries.site(slot),
            (f"n{slot}", f"n{slot}op", *grouped[slot]),
            given.given(slot),
            node.primitive.doc if isinstance(node, Apply) else "",
            "/".join(map(visible, entries.scope(slot))),
            operands[slot],
            users[slot],
        )


def _group_names(entries: Entries) -> list[tuple[str, ...]]:
    """For each entry the boxes of its line and of its function in its scope, or of its inputs."""
    ways = [by_line(entries), by_scope(entries)]
    names = [[groups[at].name for at in of] for groups, of in ways]
    inputs, lone = len(entries.inputs), [f"n{slot}" for slot in range(len(entries.inputs))]
    found = [tuple(dict.fromkeys(each)) for each in zip(*names, strict=True)]
    return [
        tuple(name for name in each if slot >= inputs or name != lone[slot])
        for slot, each in enumerate(found)
    ]


def _users(operands: Sequence[Iterable[int]]) -> list[tuple[int, ...]]:
    """For each item those that read it, given those that it reads."""
    users: list[list[int]] = [[] for _ in operands]
    for user, read in enumerate(operands):
        for operand in read:
            users[operand].append(user)
    return list(map(tuple, users))


def _name(node: Node, given: Names) -> str:
    """The name of an entry in formulas: that given to it, the value of a constant, or the slot."""
    return given.given(node.slot) or (
        _value(node).short if isinstance(node, Constant) else f"%{node.slot}"
    )


def _value(node: Node) -> NumberText:
    if isinstance(node, Guard):
        return NumberText(str(node.outcome), str(node.outcome))
    return _number(node.value)


def _formula(node: Node, names: Sequence[str]) -> str:
    """An entry as a formula over its operands' names."""
    if isinstance(node, Apply):
        return expression(node.primitive, _operands(node, names))
    return (
        f"guard {names[node.operand]}" if isinstance(node, Guard) else type(node).__name__.lower()
    )


def _operands(node: Apply, names: Sequence[str]) -> list[str]:
    """The operands by name, the middle of very many left out, and the static operand."""
    operands = [names[operand] for operand in node.operands]
    if len(operands) > _WRITTEN:
        operands[_WRITTEN // 2 : -1] = ["..."]
    return operands + [_static(node.primitive, value) for value in node.static]


def _static(row: Primitive, value: object) -> str:
    return short(value) if isinstance(value, float) else static_text(row, value)


def _forward_text(
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
    entries: Entries, nodes: Sequence[Node], names: Sequence[str], cotangents: Cotangents
) -> Iterator[Step]:
    if not _any_known(cotangents):
        return
    output = entries.outputs[0]
    text = f"The derivative of {names[output]} in itself is 1: the way back begins"
    yield Step("turn", output, text, (CotangentUpdate(output, _number(1.0)),))
    plain = _not_differentiated(entries)
    for step in reverse_steps(entries.columns, cotangents):
        node, bar = nodes[step.slot], short(step.cotangent)
        what = "hands it on times each partial" if step.shares else "hands nothing on: it is flat"
        if any(share.partial is None for share in step.shares):
            what = "hands on what its transposes make of it"
        text = f"{names[step.slot]} has its cotangent, {bar}, and {what}"
        yield Step(
            "reverse", step.slot, text, tuple(_updates(cast(Apply, node), step, names, plain))
        )


def _any_known(cotangents: Cotangents) -> bool:
    return any(bar is not None for bar in cotangents)


def _not_differentiated(entries: Entries) -> frozenset[int]:
    """Data and constants, whose cotangents are not shown."""
    data = range(entries.width, len(entries.inputs))
    return frozenset((*data, *entries.columns.slots_of(ops.constant)))


def _updates(
    node: Apply, step: ReverseStep, names: Sequence[str], plain: Container[int]
) -> Iterator[CotangentUpdate]:
    static = cast("tuple[Operand, ...]", node.static)
    operands = [*(names[operand] for operand in node.operands), *static]
    for share in (share for share in step.shares if share.operand not in plain):
        yield CotangentUpdate(
            share.operand,
            _number(share.after),
            rule(node.primitive, share.index, names[node.slot], operands),
            _number_if_known(share.partial),
            _number(share.share),
            _number_if_known(share.before),
        )


def _end(entries: Entries, names: Sequence[str], cotangents: Cotangents) -> Step:
    if not _any_known(cotangents):
        return _end_of_forward(entries)
    bars = ((at, cotangents[at]) for at in range(entries.width))
    gradient = (CotangentUpdate(at, _number(0.0 if bar is None else bar)) for at, bar in bars)
    text = f"The derivatives of {names[entries.outputs[0]]} in the parameters have arrived"
    return Step("end", None, text, tuple(gradient))


def _end_of_forward(entries: Entries) -> Step:
    outputs = counted(len(entries.outputs), "output")
    return Step("end", None, f"The tape has {outputs}, and the reverse sweep starts from one")


# Line by line.


def _by_line(entries: Entries, cotangents: Cotangents) -> Walkthrough:
    lines, of = numbered_lines(entries)
    items = tuple(_line_items(entries, cotangents, lines, of))
    forward = (
        Step("forward", line, f"{items[line].name}: {items[line].text}; {items[line].value.short}")
        for line in dict.fromkeys(of)
    )
    about = f"{len(entries):,} entries, shown as {counted(len(items), 'line')} of the program"
    reverse = _lines_reversed(of, items, cotangents)
    end = _END if _any_known(cotangents) else _end_of_forward(entries)
    headings = ("line", "", "entries", "values", "largest cotangent", "")
    return Walkthrough(about, headings, items, (_START, *forward, *reverse, end))


_END: Final = Step("end", None, "Every cotangent has arrived")


def _line_items(
    entries: Entries, cotangents: Cotangents, lines: Sequence[int], of: Sequence[int]
) -> Iterator[Item]:
    values: list[list[float]] = [[] for _ in lines]
    bars: list[list[float]] = [[] for _ in lines]
    for line, value, bar in zip(of, entries.numbers, cotangents, strict=True):
        values[line] += ends(value)
        if bar is not None:
            bars[line] += ends(bar)
    rows: list[Counter[str]] = [Counter() for _ in lines]
    for (line, code), count in Counter(zip(of, entries.codes, strict=True)).items():
        rows[line][entries.table.rows[code].name.rstrip("_")] += count
    operands: list[set[int]] = [set() for _ in lines]
    for slot, operand in entries.columns.reads():
        operands[of[slot]].add(of[operand])
    users = _users(operands)
    boxes: list[dict[str, None]] = [{} for _ in lines]
    for groups, group_of in (by_line(entries), by_scope(entries)):
        for at, group in dict.fromkeys(zip(of, group_of, strict=True)):
            boxes[at][groups[group].name] = None
    for at, line in enumerate(lines):
        site = entries.sites[line] if line >= 0 else None
        yield Item(
            str(site) if site else "no line kept",
            ", ".join(f"{count:,} {name}" for name, count in rows[at].most_common(4)),
            _range(values[at]),
            _largest(bars[at]),
            site,
            tuple(boxes[at]),
            operands=tuple(sorted(operands[at])),
            users=users[at],
        )


def _range(values: Sequence[float]) -> NumberText:
    """The smallest and the largest of the finite values, and the number of others."""
    finite = list(filter(isfinite, values))
    ends = dict.fromkeys((min(finite), max(finite))) if finite else ()
    rest = len(values) - len(finite)
    odd = [f"{rest:,} not finite"] if rest else []
    return NumberText(
        ", ".join([" to ".join(map(short, ends)), *odd]).strip(", "),
        ", ".join([" to ".join(map(repr, ends)), *odd]).strip(", "),
    )


def _largest(bars: Sequence[float]) -> NumberText | None:
    """The largest magnitude of some cotangents; a nan is larger than any number."""
    if not bars:
        return None
    return _number(nan if any(map(isnan, bars)) else max(map(abs, bars)))


def _lines_reversed(
    of: Sequence[int], items: Sequence[Item], cotangents: Cotangents
) -> Iterator[Step]:
    reached = (of[slot] for slot in reversed(range(len(of))) if cotangents[slot] is not None)
    for line in dict.fromkeys(reached):
        largest = cast(NumberText, items[line].cotangent)
        text = f"{items[line].name}: cotangents of magnitudes up to {largest.short}"
        yield Step("reverse", line, text, (CotangentUpdate(line, largest),))
