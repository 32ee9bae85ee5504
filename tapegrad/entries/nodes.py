"""Nodes: views of the entries of a tape, each made when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.primitive import Primitive

__all__ = ["Apply", "Constant", "Guard", "Input", "Node", "view"]


@final
@attrs.frozen
class Input:
    """An entry that the tape was opened with; ``path`` names it."""

    slot: int
    value: float
    path: str
    label: str | None = None


@final
@attrs.frozen
class Constant:
    """An entry that holds a plain number met while recording."""

    slot: int
    value: float
    label: str | None = None
    scope: tuple[str, ...] = ()
    site: Site | None = None


@final
@attrs.frozen
class Apply:
    """An entry that applies a row to earlier slots (and to a static operand, if it has one)."""

    slot: int
    primitive: Primitive
    operands: tuple[int, ...]
    static: tuple[object, ...]
    value: float
    label: str | None = None
    scope: tuple[str, ...] = ()
    site: Site | None = None


@final
@attrs.frozen
class Guard:
    """An entry that records the truth, or the whole number, that Python asked for.

    ``outcome`` is a bool or an int; nan, or an infinity, where the number is no int.
    """

    slot: int
    operand: int
    outcome: float
    scope: tuple[str, ...] = ()
    site: Site | None = None


Node: TypeAlias = Input | Constant | Apply | Guard
"""A view of one entry."""


def view(
    columns: EntryColumns,
    slot: int,
    names: Sequence[str],
    label: str | None,
    scope: tuple[str, ...],
    site: Site | None,
) -> Node:
    """The view of one entry; ``names`` are the paths of the inputs."""
    row, value = columns.row(slot), cast(float, columns.values[slot])
    if row.kind == "input":
        return Input(slot, value, names[slot], label)
    if row.kind == "constant":
        return Constant(slot, value, label, scope, site)
    if row.kind == "guard":
        return Guard(slot, columns.left[slot], columns.outcome(slot), scope, site)
    operands, static = columns.operands(slot), columns.static(slot)
    return Apply(slot, row, operands, static, value, label, scope, site)
