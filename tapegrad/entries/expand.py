"""Rewrites a tape with arrays in entries that are numbers, one for each element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.entries.builder import EvaluatingBuilder, place_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.rewriting import rewritten_as
from tapegrad.errors import TapeError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_expansions import elementwise
from tapegrad.ops.array_passes import has_bits_of_numbers
from tapegrad.ops.matrix_expansions import EXPANSIONS
from tapegrad.ops.primitive import Operand, Primitive, Table, Traced, shape_of
from tapegrad.pytree.key_paths import Index
from tapegrad.pytree.structure import taken_apart

__all__ = ["expand", "is_expanded_exactly"]

E = TypeVar("E", bound=Entries)

Cells: TypeAlias = NDArray[np.object_]
"""The operands that stand for the elements of an entry."""


def expand(tape: E) -> E:
    """The same program on numbers alone; the inputs of an array are named as ``w[0, 1]``.

    Raises:
        TapeError: where a row has no expansion.
    """
    writing = _Writing(tape.columns.as_lists())
    for slot in range(len(tape)):
        writing.write_again(slot)
    cells = writing.cells
    names = {
        writing.slot_of(cell): name + _suffix(index)
        for slot, name in tape.labels
        for index, cell in np.ndenumerate(cells[slot])
    }
    outputs = [cell for slot in tape.outputs for cell in cells[slot].flat]
    return rewritten_as(
        tape,
        writing,
        inputs=sum(cells[slot].size for slot in tape.inputs),
        guards=writing.guards,
        outputs=[writing.slot_of(cell) for cell in outputs],
        labels=names,
        traced=False,
        on_arrays=False,
        structures={
            "parameters": taken_apart(tape.parameters),
            "data": taken_apart(tape.data),
            "result": taken_apart(tape.result),
        },
    )


def _suffix(index: tuple[int, ...]) -> str:
    return f"[{Index(index)!r}]" if index else ""


def is_expanded_exactly(columns: EntryColumns) -> bool:
    """Whether the numbers have the bits of the arrays, in which numpy may add in another order."""
    return all(_keeps_bits(columns, slot) for slot in range(len(columns)))


def _keeps_bits(columns: EntryColumns, slot: int) -> bool:
    row, slots = columns.row(slot), (slot, *columns.operands(slot))
    if row.array is None:
        is_of_numbers = not any(shape_of(columns.values[at]) for at in slots)
        return is_of_numbers or not row.is_operation or has_bits_of_numbers(row)
    if row in {rows.scatter, rows.add_at}:
        *_, is_basic = cast("tuple[object, ...]", columns.static(slot)[0])
        return bool(is_basic)
    return row in _MOVED


_MOVED: Final = {
    rows.reshape, rows.transpose, rows.broadcast_to, rows.getitem, rows.concatenate, rows.stack,
}  # fmt: skip
"""The rows that move numbers and compute none."""


@final
class _Writing(EvaluatingBuilder):
    """Writes the entries of a tape number by number; ``cells`` has what became of each."""

    def __init__(self, tape: EntryColumns) -> None:
        super().__init__(_table_of_numbers(tape.table))
        self.tape = tape
        self.cells: list[Cells] = []
        self.guards: list[int] = []

    def slot_of(self, operand: object) -> int:
        """The slot of an operand; a number gets a constant entry."""
        return self.slot(place_of(cast(Operand, operand)))

    def write_again(self, slot: int) -> None:
        """Writes the entries for one entry of the tape."""
        self.origin = slot
        row, value = self.tape.row(slot), self.tape.values[slot]
        if row.kind == "input":
            self.cells.append(_array(self.inputs(value), np.shape(cast(Any, value))))
        elif row.kind == "constant":
            self.cells.append(
                _array(np.ravel(cast(Any, value)).tolist(), np.shape(cast(Any, value)))
            )
        else:
            operands = [self.cells[operand] for operand in self.tape.operands(slot)]
            self.cells.append(self.applied(row, operands, self.tape.static(slot)))

    def inputs(self, value: Operand) -> Iterator[Operand]:
        """New inputs with the numbers of a value."""
        for number in _numbers(value):
            yield self.operand(self.write(ops.input, (), value=number))

    def applied(
        self, row: Primitive, operands: Sequence[Cells], static: tuple[object, ...]
    ) -> Cells:
        """A row on the operands' elements."""
        if row.kind == "guard":
            asked = cast(Operand, operands[0][()])
            if not isinstance(asked, Traced):
                return _array([row(asked)], ())  # it comes out the same for all inputs
            self.guards.append(self.write(row, (self.slot_of(asked),)))
            return _array([self.operand(self.guards[-1])], ())
        if row.array is None:
            return elementwise(row, *operands, static=static)
        if row.array.expand is not None:
            return cast(Cells, row.array.expand(self.applied, *operands, *static))
        if row not in EXPANSIONS:
            raise TapeError(
                f"{row.name} ({here()}) has no expansion into numbers, which rows of vmap and "
                "expanded() need: call the function row by row, or leave it out"
            )
        return EXPANSIONS[row](*operands, *static)


def _numbers(value: Operand) -> list[float]:
    """The elements of an array, or a number."""
    return cast("list[float]", np.ravel(cast(Any, value)).tolist())


def _array(operands: Sequence[object] | Iterator[object], shape: tuple[int, ...]) -> Cells:
    """Operands in the places of an array's elements."""
    found = np.empty(shape, object)
    for index, operand in zip(np.ndindex(shape), operands, strict=True):
        found[index] = operand
    return found


def _table_of_numbers(table: Table) -> Table:
    """The table without the rows that take arrays as they are."""
    own = [row for row in table.rows if row not in ops.TABLE.codes and row.array is None]
    return ops.TABLE.extend(*own) if own else ops.TABLE
