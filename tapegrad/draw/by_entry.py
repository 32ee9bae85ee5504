"""A tape drawn entry by entry, after the drawing in Karpathy's micrograd lecture.

A box is a value, with its name, value and cotangent; an oval is an operation. On an arrow into an
oval stands the local partial, where it is not 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from linecache import getline
from math import isfinite
from typing import TypeAlias, cast

from tapegrad._support.progress_bar import progress
from tapegrad.draw.picture import Arrow, Box, Kind, short
from tapegrad.entries.entries import Entries
from tapegrad.inspect.names import sign
from tapegrad.ops.primitive import Operand, Primitive, primal

__all__ = ["entries"]

Cotangents: TypeAlias = Sequence[float | None]
Frames: TypeAlias = tuple[str, ...]


def entries(
    tape: Entries, cotangents: Cotangents, slots: Sequence[int], where: Sequence[Frames] = ()
) -> tuple[list[Box], list[Arrow]]:
    """The boxes, ovals and arrows of some entries: entry 17 is ``n17``, its oval ``n17op``.

    ``where`` has for each entry of the tape the frames around it, if there are any.
    """
    drawing = _Drawing(tape, cotangents, slots)
    for slot in progress(slots, len(slots), "drawing"):
        drawing.add(slot, where[slot] if where else ())
    return drawing.boxes, drawing.arrows


class _Drawing:
    """Boxes and arrows so far, and what each new one needs of the tape."""

    def __init__(self, tape: Entries, cotangents: Cotangents, slots: Sequence[int]) -> None:
        self.columns = tape.columns
        self.cotangents = cotangents
        self.shown = frozenset(slots)
        self.outputs = frozenset(tape.outputs)
        self.names = dict(enumerate(tape.paths))
        self.names |= {slot: label for slot, label in tape.labels if label}
        self.values = tape.numbers
        self.site_indices = tape.site_indices
        self.lines = [
            (f"{site} in {site.function}", getline(site.file, site.line).strip())
            for site in tape.sites
        ]
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []

    def add(self, slot: int, where: Frames) -> None:
        """Draw an entry: its box, its oval if it is an operation, and the arrows into them."""
        row, site = self.columns.row(slot), self.site_indices[slot]
        kind = _kind(row)
        lines = self.lines[site] if site >= 0 else (f"%{slot}",)
        tooltip = tuple(filter(None, lines))
        operation = self._operation(slot, row) if kind == "value" else ""
        self.boxes.append(self._box(slot, kind, operation, tooltip, where))
        if operation:
            oval = f"n{slot}op"
            cut = not self.shown.issuperset(self.columns.operands(slot))
            cells = (f"{operation} ..." if cut else operation,)
            self.boxes.append(Box(oval, "operation", cells, operation, "", tooltip, where))
            self.arrows += [Arrow(oval, f"n{slot}"), *self._into(slot, row)]
        elif kind == "guard" and self.columns.left[slot] in self.shown:
            self.arrows.append(Arrow(f"n{self.columns.left[slot]}", f"n{slot}"))

    def _operation(self, slot: int, row: Primitive) -> str:
        static = "".join(f" {value}" for value in self.columns.static(slot))
        return sign(row) + static

    def _box(
        self, slot: int, kind: Kind, operation: str, tooltip: tuple[str, ...], where: Frames
    ) -> Box:
        value, name = self.values[slot], self.names.get(slot, "")
        bar = None if kind == "constant" else self.cotangents[slot]
        cells = _cells(kind, name, value, bar)
        return Box(
            f"n{slot}",
            kind,
            cells,
            _text(slot, kind, operation, name, cells),
            "",
            tooltip,
            where,
            is_output=slot in self.outputs,
            is_broken=not isfinite(value) or (bar is not None and not isfinite(bar)),
        )

    def _into(self, slot: int, row: Primitive) -> Iterator[Arrow]:
        """The arrows into an oval, with the partials where a cotangent goes back through them."""
        operands = self.columns.operands(slot)
        partials: Iterable[Operand | None] = repeat(None)
        if self.cotangents[slot] is not None:
            arguments = map(primal, self.columns.arguments(slot))
            partials = row.every_partial(self.values[slot], *arguments)
        for operand, partial in zip(operands, partials, strict=False):
            if operand in self.shown:
                yield Arrow(f"n{operand}", f"n{slot}op", self._partial(operand, partial))

    def _partial(self, operand: int, partial: Operand | None) -> str:
        """The partial in an operand as text, where it says something: constants have none."""
        if partial is None or partial == 1.0 or self.columns.row(operand).kind == "constant":
            return ""
        return short(primal(partial))


def _kind(row: Primitive) -> Kind:
    return "value" if row.is_operation else cast(Kind, row.kind)


def _text(slot: int, kind: Kind, operation: str, name: str, cells: tuple[str, ...]) -> str:
    """A box on one line of a text tree."""
    if kind == "constant":
        return " ".join(cells)
    facts = "  ".join(cells[1:] if name else cells)
    if kind == "guard":
        return f"%{slot} guard  {facts}"
    return f"{name or f'%{slot}'}{' = ' * bool(operation)}{operation}  {facts}"


def _cells(kind: Kind, name: str, value: float, bar: float | None) -> tuple[str, ...]:
    if kind == "guard":
        return (str(value != 0.0),)
    if kind == "constant":
        return tuple(filter(None, (name, short(value))))
    grad = "" if bar is None else f"grad {short(bar)}"
    return tuple(filter(None, (name, f"value {short(value)}", grad)))
