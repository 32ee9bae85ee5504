"""A tape drawn entry by entry, after the drawing in Karpathy's micrograd lecture.

A box is a value, with its name, value and cotangent; an oval is an operation. On an arrow into an
oval stands the local partial, where it is not 1. A comparison that only Python's ``if`` asked for
is one diamond: "> 0" and its outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from linecache import getline
from typing import cast

from tapegrad._support.progress_bar import progress
from tapegrad._support.text import number, visible
from tapegrad.draw.heat import heat_map
from tapegrad.draw.picture import Arrow, Box, BoxKind, Frames, short
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.inspect.ends import is_finite
from tapegrad.inspect.names import Names, short_sign, sign
from tapegrad.inspect.reverse_steps import products
from tapegrad.inspect.static_text import static_text
from tapegrad.ops.primitive import Operand, Primitive, shape_of
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
        if slot not in maker.folded:
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
        self.data = range(entries.width, len(entries.inputs))
        self.values = entries.numbers
        self.site_indices = entries.site_indices
        self.lines = [
            (f"{site} in {site.function}", getline(site.file, site.line).strip())
            for site in entries.sites
        ]
        is_whole = len(slots) == len(entries)
        self.folded = _folded(entries, self.columns) if is_whole else frozenset()
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []

    def add(self, slot: int, frames: Frames) -> None:
        """Adds the box of an entry, its oval if it is an operation, and the arrows into them."""
        row, site = self.columns.row(slot), self.site_indices[slot]
        tooltip = tuple(filter(None, self.lines[site])) if site >= 0 else (f"%{slot}",)
        operation = self._operation(slot, row)
        self.boxes.append(self._box(slot, operation, tooltip, frames))
        if row.kind == "guard":
            self.arrows += self._arrows_into_guard(slot)
        elif operation:
            oval = f"n{slot}op"
            cut = not self.drawn.issuperset(self.columns.operands(slot))
            cells = (f"{operation} ..." if cut else operation,)
            self.boxes.append(Box(oval, "operation", cells, operation, "", tooltip, frames))
            self.arrows += [Arrow(oval, f"n{slot}"), *self._arrows_into(slot, row)]

    def _operation(self, slot: int, row: Primitive) -> str:
        """An operation with its static operands, as its oval says it; empty for other entries."""
        if not row.is_operation:
            return ""
        static = "".join(f" {static_text(row, value)}" for value in self.columns.static(slot))
        return (short_sign(row) + static).removeprefix("[] ")

    def _box(self, slot: int, operation: str, tooltip: tuple[str, ...], frames: Frames) -> Box:
        value, name, bar = self.values[slot], self.names.given(slot), self.cotangents[slot]
        kind = self._kind(slot)
        cells = self._cells(slot, kind)
        grids = [heat_map(value), () if bar is None else heat_map(bar)] if cells[1:] else []
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
            is_titled=kind not in {"guard", "constant"} and len(cells) > 1 and _is_title(cells),
            maps=tuple((at, grid) for at, grid in enumerate(grids, 1) if grid),
        )

    def _kind(self, slot: int) -> BoxKind:
        row = self.columns.row(slot)
        if slot in self.data:
            return "data"
        return "value" if row.is_operation else cast(BoxKind, row.kind)

    def _cells(self, slot: int, kind: BoxKind) -> tuple[str, ...]:
        """The name of an entry, with the shape of an array, its value and its cotangent."""
        value, name, bar = self.values[slot], self.names.given(slot), self.cotangents[slot]
        if kind == "guard":
            return (*self._comparison(slot), str(self.columns.outcome(slot)))
        if kind == "constant":
            return tuple(filter(None, (name, short(value))))
        result = self.names.results.get(slot, "")
        name = " = ".join(dict.fromkeys(filter(None, (name, visible(result)))))
        name = " ".join(filter(None, (name, _shape(value))))
        written = str(value != 0.0) if self.columns.row(slot).is_truth else _range(value)
        grad = "" if bar is None else f"grad {_range(bar)}"
        return tuple(filter(None, (name, f"value {written}", grad)))

    def _comparison(self, guard: int) -> tuple[str, ...]:
        """The comparison that a guard asked for, where it is drawn in the guard's box."""
        asked = self.columns.left[guard]
        if asked not in self.folded:
            return ()
        left, right = map(self._name_in_comparison, self.columns.operands(asked))
        return (f"{left} {sign(self.columns.row(asked))} {right or '...'}".strip(),)

    def _name_in_comparison(self, slot: int) -> str:
        if self.columns.row(slot).kind == "constant":
            return short(self.values[slot])
        return self.names.given(slot)

    def _arrows_into_guard(self, guard: int) -> Iterator[Arrow]:
        """The arrow from what was asked, or those from the numbers that were compared."""
        asked = self.columns.left[guard]
        found = self.columns.operands(asked) if asked in self.folded else (asked,)
        for slot in dict.fromkeys(found):
            is_constant = self.columns.row(slot).kind == "constant"
            if slot in self.drawn and not (asked in self.folded and is_constant):
                yield Arrow(f"n{slot}", f"n{guard}")

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
        """The partial in an operand as text; none for 1, for an array, and where none goes on."""
        is_constant = self.columns.row(operand).kind == "constant" or operand in self.data
        if partial is None or is_constant or shape_of(partial):
            return ""
        return "" if partial == 1.0 else short(partial)


def _folded(entries: Entries, columns: EntryColumns) -> frozenset[int]:
    """Comparisons that only guards ask for, and constants that only those comparisons read."""
    named = {*entries.outputs, *(slot for slot, label in entries.labels if label)}
    readers: dict[int, list[int]] = {}
    for slot, operand in columns.reads():
        readers.setdefault(operand, []).append(slot)
    guards = frozenset(columns.guards())
    asked = {columns.left[guard] for guard in guards} - named
    comparisons = {
        slot
        for slot in asked
        if columns.row(slot).is_truth
        and len(columns.operands(slot)) == 2
        and not any(columns.row(at).is_truth for at in columns.operands(slot))
        and guards.issuperset(readers[slot])
    }
    operands = {at for slot in comparisons for at in columns.operands(slot)} - named
    constants = {
        at
        for at in operands
        if columns.row(at).kind == "constant" and comparisons.issuperset(readers[at])
    }
    return frozenset(comparisons | constants)


def _is_title(cells: tuple[str, ...]) -> bool:
    return not cells[0].startswith("value ") or cells[1].startswith("value ")


def _shape(value: float) -> str:
    shape = shape_of(value)
    return f"[{'x'.join(map(str, shape))}]" if shape else ""


def _range(value: float) -> str:
    """A number with four digits; the ends of an array with three."""
    return number(value, ".3g").partition("] ")[2] if shape_of(value) else short(value)


def _text(slot: int, kind: BoxKind, operation: str, name: str, cells: tuple[str, ...]) -> str:
    """A box on one line of a text tree."""
    if kind == "constant":
        return " ".join(cells)
    facts = "  ".join(cells[1:] if name else cells)
    if kind == "guard":
        return f"%{slot} guard  {facts}"
    return f"{cells[0] if name else f'%{slot}'}{' = ' * bool(operation)}{operation}  {facts}"
