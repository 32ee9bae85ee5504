"""The two sweeps as a lecture: what there is to see, and a sentence for each step.

A tape is told entry by entry; a long one line by line of the program, each line with the range of
its values and its largest cotangent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Any, Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad.columns import Columns
from tapegrad.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.positions import Site
from tapegrad.primitive import primal
from tapegrad.steps import Step, expression, reverse_steps, rule
from tapegrad.tape import Tape
from tapegrad.text import visible

__all__ = ["Arrival", "Item", "Lecture", "Scene", "Shown", "lecture", "shown"]

_MOST: Final = 2_000
"""Tapes of more entries are told line by line: readers tire, and so do browsers."""

_WRITTEN: Final = 8
"""So many operands are written out in a formula."""

Recorded: TypeAlias = Tape[Any, ..., Any]
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

    ``operands`` and ``users`` are the items that it reads and that read it.
    """

    name: str
    text: str
    value: Shown
    cotangent: Shown | None
    site: Site | None
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
    """Items and scenes in order; ``about`` says in a sentence what they are."""

    about: str
    items: tuple[Item, ...]
    scenes: tuple[Scene, ...]


def lecture(tape: Recorded, cotangents: Cotangents) -> Lecture:
    """The lecture on a tape, given the cotangents of its one output, or None for each."""
    return (_by_line if len(tape) > _MOST else _by_entry)(tape, cotangents)


def shown(value: float) -> Shown:
    """A number as it is shown.

    >>> shown(0.1 + 0.2)
    Shown(short='0.3', exact='0.30000000000000004')
    """
    return Shown(f"{value:.4g}", repr(value))


def _known(bar: float | None) -> Shown | None:
    return None if bar is None else shown(bar)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


_START: Final = Scene("start", None, "Nothing is computed yet.")


# Entry by entry.


def _by_entry(tape: Recorded, cotangents: Cotangents) -> Lecture:
    nodes = tuple(tape)
    names = tuple(map(_name, nodes))
    entries = _count(len(tape), "entry", "entries")
    return Lecture(
        f"{entries}, {_count(len(tape.inputs), 'input', 'inputs')}.",
        tuple(_entries(tape, nodes, cotangents)),
        (
            _START,
            *(Scene("forward", node.slot, _computed(node, nodes, names)) for node in nodes),
            *_reverse(tape, nodes, names, cotangents),
            _end(tape, names, cotangents),
        ),
    )


def _entries(tape: Recorded, nodes: Sequence[Node], cotangents: Cotangents) -> Iterator[Item]:
    slots = tuple(f"%{slot}" for slot in range(len(nodes)))
    operands = tuple(map(tape.columns.operands, range(len(nodes))))
    users = _reversed(operands)
    for slot, node in enumerate(nodes):
        yield Item(
            slots[slot],
            _formula(node, slots),
            _value(node),
            _known(cotangents[slot]),
            tape.site(slot),
            _label(node),
            node.primitive.doc if isinstance(node, Apply) else "",
            "/".join(map(visible, tape.scope(slot))),
            tuple(dict.fromkeys(operands[slot])),
            users[slot],
        )


def _reversed(operands: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
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
    if isinstance(node, Constant):
        return _label(node) or _value(node).short
    return _label(node) or f"%{node.slot}"


def _value(node: Node) -> Shown:
    if isinstance(node, Guard):
        return Shown(str(node.outcome), str(node.outcome))
    return shown(primal(node.value))


def _formula(node: Node, names: Sequence[str]) -> str:
    """An entry as a formula over its operands' names."""
    if isinstance(node, Apply):
        return expression(node.primitive, _written(node, names))
    return f"guard {names[node.operand]}" if isinstance(node, Guard) else type(node).__name__.lower()


def _written(node: Apply, names: Sequence[str]) -> list[str]:
    """The operands by name, the middle of very many left out, and the static operand."""
    operands = [names[operand] for operand in node.operands]
    if len(operands) > _WRITTEN:
        operands[_WRITTEN // 2 : -1] = ["..."]
    return operands + list(map(_static, node.static))


def _static(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else visible(str(value))


def _computed(node: Node, nodes: Sequence[Node], names: Sequence[str]) -> str:
    """The forward sweep at an entry, in a sentence."""
    value = _value(node).short
    match node:
        case Input():
            return f"{names[node.slot]} is an input: {value}"
        case Constant():
            return f"%{node.slot} is a constant: {value}"
        case Guard():
            asked = _formula(nodes[node.operand], names)
            return f"Python asked whether {asked}, and went on with {value}"
        case Apply():
            numbers = [_value(operand).short for operand in nodes]
            terms = (names[node.slot], _formula(node, names), _formula(node, numbers), value)
            return " = ".join(dict.fromkeys(terms))


def _reverse(
    tape: Recorded, nodes: Sequence[Node], names: Sequence[str], cotangents: Cotangents
) -> Iterator[Scene]:
    if all(bar is None for bar in cotangents):
        return
    yield _turn(tape.outputs[0], names[tape.outputs[0]])
    for step in reverse_steps(tape.columns, cotangents):
        arrivals = _arrivals(cast(Apply, nodes[step.slot]), step, names)
        text = f"{names[step.slot]} has its cotangent, {shown(step.cotangent).short}, and hands "
        text += "it on times each partial" if step.shares else "nothing on: it is flat"
        yield Scene("reverse", step.slot, text, tuple(arrivals))


def _turn(output: int, name: str) -> Scene:
    text = f"The derivative of the output {name} in itself is 1; back from here"
    return Scene("turn", output, text, (Arrival(output, shown(1.0)),))


def _arrivals(node: Apply, step: Step, names: Sequence[str]) -> Iterator[Arrival]:
    operands = [*(names[operand] for operand in node.operands), *node.static]
    for share in step.shares:
        yield Arrival(
            share.operand,
            shown(share.after),
            rule(node.primitive, share.index, names[node.slot], operands),
            shown(share.partial),
            shown(share.share),
            _known(share.before),
        )


def _end(tape: Recorded, names: Sequence[str], cotangents: Cotangents) -> Scene:
    if all(bar is None for bar in cotangents):
        outputs = _count(len(tape.outputs), "output", "outputs")
        return Scene("end", None, f"This tape has {outputs}, and the reverse sweep needs one.")
    bars = (cotangents[slot] for slot in tape.inputs)
    gradient = (Arrival(slot, shown(bar or 0.0)) for slot, bar in enumerate(bars))
    output = names[tape.outputs[0]]
    return Scene("end", None, f"The derivatives of {output} in the inputs:", tuple(gradient))


# Line by line.


@attrs.define
class _Tally:
    """What a line of the program computed, while it is being counted."""

    entries: int = 0
    lowest: float = inf
    highest: float = -inf
    odd: int = 0
    largest: float | None = None

    def add(self, value: float, bar: float | None) -> None:
        self.entries += 1
        if not isfinite(value):
            self.odd += 1
        elif value < self.lowest:
            self.lowest = value
