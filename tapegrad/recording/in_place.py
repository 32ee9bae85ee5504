"""In-place operators of traced arrays: what they make takes the name, and the old array is gone.

numpy writes into the memory of the array, which others may show: another name of it, a view, the
array of which it is a view. A traced array cannot be written to, so those would go on to read what
was there before. Whether anybody did is asked when the recording ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from tapegrad._support.source_position import Mark, here, site, user_mark
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import shape_of
from tapegrad.recording.recorder import TracedValue

__all__ = ["require_unread", "written"]


def written(array: TracedValue, made: Any) -> Any:
    """The array that takes the place of one that is written to.

    Raises:
        TracedNumberError: where numpy would not write it there: it has another shape, or is of a
            recording inside the array's.
    """
    if shape_of(made) != shape_of(array):
        raise TracedNumberError(
            f"an in-place operator at {here()} would write shape {shape_of(made)} into an array of "
            f"shape {shape_of(array)}: write x = x + y"
        )
    if made._recorder is not array._recorder:
        raise TracedNumberError(
            f"an in-place operator at {here()} would write traced numbers into an array of the "
            "function around: write x = x + y, and return x"
        )
    array._recorder.written.append((array._slot, made._slot, user_mark()))
    return made


def require_unread(
    columns: EntryColumns, outputs: Sequence[int], writes: Sequence[tuple[int, int, Mark]]
) -> None:
    """Lets a recording through that reads no array after it was written to, by whatever name.

    Raises:
        TracedNumberError: for any other, and where an argument is written to.
    """
    views = _views(columns)
    gone: dict[int, tuple[int, Mark]] = {}
    for slot, made, mark in writes:
        whole = slot
        while whole in views:
            whole = views[whole]
        if columns.row(whole) is ops.input:
            raise TracedNumberError(
                f"an in-place operator at {site(*mark)} writes to an argument, which the function "
                "itself would change for its caller: write x = x + y, or begin with x = x.copy()"
            )
        gone.setdefault(whole, (made, mark))
    for view, shown in views.items():
        if shown in gone and view < gone[shown][0]:
            gone.setdefault(view, gone[shown])
    reads = chain(columns.reads(), ((len(columns), slot) for slot in outputs))
    for reader, slot in reads:
        if slot in gone and gone[slot][0] < reader:
            raise TracedNumberError(
                f"an in-place operator at {site(*gone[slot][1])} writes to an array that is read "
                "after it by another name, or as a view: write x = x + y, or take a copy() before"
            )


def _views(columns: EntryColumns) -> dict[int, int]:
    """The entries that stand in the memory of another one, each with that, in order."""
    rules = {
        code: row.array.is_view
        for row, code in columns.table.codes.items()
        if row.array is not None and row.array.is_view is not None
    }
    detached = columns.table.codes[ops.detached]
    found: dict[int, int] = {}
    for slot, code in enumerate(columns.codes):
        if code == detached or (code in rules and rules[code](*columns.static(slot))):
            found[slot] = columns.left[slot]
    return found
