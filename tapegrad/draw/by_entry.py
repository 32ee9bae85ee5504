"""A tape drawn entry by entry, after the drawing in Karpathy's micrograd lecture.

A box is a value, with its name, value and cotangent; an oval is an operation. On an arrow into an
oval stands the local partial, where it is not 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from linecache import getline
from typing import cast

from tapegrad._support.progress_bar import progress
from tapegrad.draw.picture import Arrow, Box, BoxKind, Frames, short
from tapegrad.entries.entries import Entries
from tapegrad.inspect.ends import ends, is_finite
from tapegrad.inspect.names import Names, sign
from tapegrad.inspect.reverse_steps import products
from tapegrad.inspect.static_text import static_text
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.sweep.gradient import Cotangents

__all__ = ["entry_boxes"]


def entry_boxes(
    entries: Entries,
    cotangents: Cotangents,
    slots: Sequence[int],
    frames: Sequence[Frames] = (),
) -> tuple[list[Box], list[Arrow]]:
    """The boxes, ovals and arrows of some entries: entry 17 is ``n17``, its oval ``n17op``.

    ``frames`` has for each entry of the tape the frames around it, if there are any.
    """
    maker = _BoxMaker(entries, cotangents, slots)
    for slot in progress(slots, len(slots), "drawing"):
        maker.add(slot, frames[slot] if frames else ())
    return maker.boxes, maker.arrows


class _BoxMaker:
    """Makes boxes and arrows one entry after the other; holds what each needs of the tape."""

    def __init__(self, entries: Entries, cotangents: Cotangents, slots: Sequence[int]) -> None:
        self.columns = entries.of_numbers().columns
        self.cotangents = cotangents
        self.drawn = frozenset(slots)
        self.outputs = frozenset(entries.outputs)
        self.names = Names(entries)
        self.values = entries.numbers
        self.site_indices = entries.site_indices
        self.lines = [
            (f"{site} in {site.function}", getline(site.file, site.line).strip())
            for site in entries.sites
        ]
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []

    def add(self, slot: int, frames: Frames) -> None:
        """Adds the box of an entry, its oval if it is an operation, and the arrows into them."""
        row, site = self.columns.row(slot), self.site_indices[slot]
        kind = "value" if row.is_operation else cast(BoxKind, row.kind)
        tooltip = tuple(filter(None, self.lines[site])) if site >= 0 else (f"%{slot}",)
        static = "".join(f" {static_text(row, value)}" for value in self.columns.static(slot))
        operation = (sign(row) + static).removeprefix("[] ") if row.is_operation else ""
        self.boxes.append(self._box(slot, kind, operation, tooltip, frames))
        if operation:
            oval = f"n{slot}op"
            cut = not self.drawn.issuperset(self.columns.operands(slot))
            cells = (f"{operation} ..." if cut else operation,)
            self.boxes.append(Box(oval, "operation", cells, operation, "", tooltip, frames))
            self.arrows += [Arrow(oval, f"n{slot}"), *self._arrows_into(slot, row)]
        elif kind == "guard" and self.columns.left[slot] in self.drawn:
            self.arrows.append(Arrow(f"n{self.columns.left[slot]}", f"n{slot}"))

    def _box(
        self, slot: int, kind: BoxKind, operation: str, tooltip: tuple[str, ...], frames: Frames
    ) -> Box:
        value, name = self.values[slot], self.names.given(slot)
        bar = None if kind == "constant" else self.cotangents[slot]
        cells = (
            (str(self.columns.outcome(slot)),)
            if kind == "guard"
            else _cells(kind, name, value, bar)
        )
        return Box(
            f"n{slot}",
            kind,
            cells,
            _text(slot, kind, operation, name, cells),
            "",
            tooltip,
            frames,
            is_output=slot in self.outputs,
            is_broken=not is_finite(value) or (bar is not None and not is_finite(bar)),
        )

    def _arrows_into(self, slot: int, row: Primitive) -> Iterator[Arrow]:
        """The arrows into an oval, with the partials where a cotangent goes back through them."""
        operands = self.columns.operands(slot)
        partials: Iterable[Operand | None] = repeat(None)
        bar = self.cotangents[slot]
        if bar is not None and self.columns.on_arrays:
            found = {index: partial for index, _, partial, _ in products(self.columns, slot, bar)}
            partials = map(found.get, range(len(operands)))
        elif bar is not None:
            arguments = cast("tuple[float, ...]", self.columns.arguments(slot))
            partials = row.every_partial(self.values[slot], *arguments)
        for operand, partial in zip(operands, partials, strict=False):
            if operand in self.drawn:
                label = self._partial(operand, cast("float | None", partial))
                yield Arrow(f"n{operand}", f"n{slot}op", label)

    def _partial(self, operand: int, partial: float | None) -> str:
        """The partial in an operand as text; empty for 1, for none and for that in a constant."""
        if partial is None or self.columns.row(operand).kind == "constant":
            return ""
        if ends(partial) in ([1.0], [1.0, 1.0]):
            return ""
        return short(partial)


def _text(slot: int, kind: BoxKind, operation: str, name: str, cells: tuple[str, ...]) -> str:
    """A box on one line of a text tree."""
    if kind == "constant":
        return " ".join(cells)
    facts = "  ".join(cells[1:] if name else cells)
    if kind == "guard":
        return f"%{slot} guard  {facts}"
    return f"{name or f'%{slot}'}{' = ' * bool(operation)}{operation}  {facts}"


def _cells(kind: BoxKind, name: str, value: float, bar: float | None) -> tuple[str, ...]:
    if kind == "constant":
        return tuple(filter(None, (name, short(value))))
    grad = "" if bar is None else f"grad {short(bar)}"
    return tuple(filter(None, (name, f"value {short(value)}", grad)))
