"""Checks what holds of every tape, whoever made it: all readings and all backends rely on it.

A tape that is unpickled, evolved or put together by hand is checked as one that was recorded is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress, pairwise
from operator import attrgetter
from typing import Final, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad._support.text import describe, visible
from tapegrad.entries.columns import EntryColumns, Scope, StoredArrays
from tapegrad.errors import TapeError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand, Primitive, Shape, Table, Traced, primal, shape_of
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure

__all__ = [
    "leaf_count", "require_buffers", "require_entries", "require_frame", "require_marks",
    "require_shapes",
]  # fmt: skip

_NONE, _ONE, _TWO, _STATIC, _POOLED, _GUARD, _INPUT, _REFUSED = range(8)
"""Where the operands of a row stand: nowhere, in one column or both, beside the index of a static
one, in the pool; guards and inputs have rules of their own."""

_EMPTY: Final = (_NONE, _INPUT)
_TRUTHS: Final = {0.0, 1.0}


_as_known = attrgetter("arity", "kind", "has_static", "is_truth", "core")
_KNOWN: Final = {row.name: _as_known(row) for row in ops.TABLE.rows}
"""The facts on which backends rely in the rows that they know by name."""


@final
@attrs.frozen(eq=False)
class _Rows:
    """For each code of a table, where the operands stand, and whether the row gives truths."""

    places: bytes
    truths: bytes


@lru_cache(maxsize=32)
def _rows_of(table: Table) -> _Rows:
    """The facts about the rows of a table, computed once.

    Raises:
        TapeError: where a row that backends know by name is another than they know.
    """
    for row in (ops.input, ops.constant, ops.guard):
        if row not in table.codes:
            raise TapeError(f"the table of a tape has no row {row.name}")
    for row in table.rows:
        if (row.core or row.kind != "operation") and _KNOWN.get(row.name) != _as_known(row):
            raise TapeError(f"the row {row.name} of a tape is not that of tapegrad's table")
    spare = range(256 - len(table.rows))
    return _Rows(
        bytes([*map(_place, table.rows), *(_REFUSED for _ in spare)]),
        bytes([*(row.is_truth for row in table.rows), *(0 for _ in spare)]),
    )


def _place(row: Primitive) -> int:
    if row is ops.input:
        return _INPUT
    if row is ops.guard:
        return _GUARD
    if row.is_pooled:
        return _POOLED
    if row.has_static:
        return _STATIC if row.arity == 1 else _REFUSED
    return (_NONE, _ONE, _TWO)[row.arity or 0]


# Columns.


def require_buffers(  # noqa: PLR0913, PLR0917  # the columns of a tape
    table: object,
    codes: object,
    left: object,
    right: object,
    stored: object,
    pool: object,
    statics: object,
) -> None:
    """Lets columns through that can be read as numbers.

    Raises:
        TapeError: for any others.
    """
    if not isinstance(table, Table):
        raise TapeError(f"the table of a tape is {describe(table)}")
    if type(codes) is not bytes or type(statics) is not tuple:
        raise TapeError("the codes of a tape are bytes, and its static operands a tuple")
    if len(table.rows) > 256:
        raise TapeError(f"the table of a tape has {len(table.rows)} rows, and there are 256 codes")
    for name, column in (("left", left), ("right", right), ("pool", pool)):
        if type(column) is not bytes or len(column) % 4:
            raise TapeError(f"the column {name} of a tape is not bytes of whole numbers")
    if type(stored) is StoredArrays:
        serving("entries.stored_arrays").require_stored(stored, len(codes))
    elif type(stored) is not tuple and (type(stored) is not bytes or len(stored) % 8):
        raise TapeError("the values of a tape are neither bytes of floats nor a tuple")


def require_entries(columns: EntryColumns) -> None:
    """Lets entries through that apply known rows to what stands before them.

    Raises:
        TapeError: which names the first entry that does not.
    """
    count, rows = len(columns), _rows_of(columns.table)
    lengths = {len(column) for column in (columns.left, columns.right, columns.values)}
    if lengths != {count}:
        raise TapeError(f"the columns of a tape have different lengths: {lengths | {count}}")
    codes = bytes(columns.codes)
    if count and max(codes) >= len(columns.table.rows):
        known = len(columns.table.rows)
        raise TapeError(f"code {max(codes)} stands for no row; the table has {known}")
    places, truths = codes.translate(rows.places), codes.translate(rows.truths)
    for slot, what in _misplaced(columns, places, truths):
        raise TapeError(f"entry {slot} {what}")
    late = places.lstrip(bytes((_INPUT,))).find(_INPUT)
    if late >= 0:
        slot = late + count - len(places.lstrip(bytes((_INPUT,))))
        raise TapeError(f"entry {slot} is an input after other entries")
    _require_values(columns, truths)


def _misplaced(columns: EntryColumns, places: bytes, truths: bytes) -> Iterator[tuple[int, str]]:
    """Entries whose operands are not there, and what is wrong with each."""
    slot = -1
    for place, left, right in zip(places, columns.left, columns.right, strict=True):
        slot += 1
        if place == _TWO and 0 <= left < slot > right >= 0:
            continue
        if place == _ONE and 0 <= left < slot and right == -1:
            continue
        if place == _NONE and left == right == -1:
            continue
        if (what := _wrong(columns, slot, place, truths)) is not None:
            yield slot, what


def _wrong(columns: EntryColumns, slot: int, place: int, truths: bytes) -> str | None:
    """The fault of the operands of an entry; None where nothing is."""
    left, right = columns.left[slot], columns.right[slot]
    if place == _POOLED:
        return _wrong_in_pool(columns, slot, left, right)
    if place in _EMPTY:
        is_empty = left == right == -1
        return None if is_empty else f"reads slots {left} and {right}, and takes no operands"
    if place == _REFUSED:
        return f"applies {columns.row(slot).name}, whose operands do not fit a tape"
    if not 0 <= left < slot:
        return _not_below(left)
    if place == _TWO:
        return _not_below(right)
    if place == _STATIC:
        return _wrong_static(columns, slot, right)
    if right != -1:
        return f"reads slots {left} and {right}, and takes one operand"
    is_condition = place != _GUARD or truths[left]
    return None if is_condition else f"is a guard on entry {left}, which is no condition"


def _not_below(operand: int) -> str:
    return f"reads slot {operand}, which is not one below it"


def _wrong_in_pool(columns: EntryColumns, slot: int, start: int, count: int) -> str | None:
    """The fault of an entry whose operands stand in the pool; None where nothing is."""
    row = columns.row(slot)
    if not row.takes(count):
        return f"applies {row.name} to {count} operands"
    stop = start + count
    if start < 0 or stop + row.has_static > len(columns.pool):
        return f"reads places {start} to {stop - 1} of a pool of {len(columns.pool)}"
    operands = columns.pool[start:stop]
    if min(operands) < 0 or max(operands) >= slot:
        return _not_below(next(one for one in operands if not 0 <= one < slot))
    return _wrong_static(columns, slot, columns.pool[stop]) if row.has_static else None


def _wrong_static(columns: EntryColumns, slot: int, index: int) -> str | None:
    """The fault of the static operand of an entry; None where nothing is."""
    if not 0 <= index < len(columns.statics):
        return f"reads static operand {index} of {len(columns.statics)}"
    row, static = columns.row(slot), columns.statics[index]
    if not isinstance(static, row.static_type):
        return f"applies {row.name} with {describe(static)}, not with a {row.static_type.__name__}"
    return None


def _require_values(columns: EntryColumns, truths: bytes) -> None:
    """Checks that values are numbers, and those of conditions and guards 0 or 1."""
    values: Sequence[Operand] = columns.values
    if isinstance(values, tuple):
        for slot, value in enumerate(values):
            if not isinstance(value, float | Traced) and not is_array(value):
                raise TapeError(
                    f"the value of entry {slot} is {describe(value)}, which is no number"
                )
        values = tuple(map(primal, values))
    if 1 in truths and columns.on_arrays:
        values = [0.0 if shape_of(value) else value for value in values]
    if 1 in truths and not _TRUTHS.issuperset(compress(values, truths)):
        pairs = enumerate(zip(values, truths, strict=True))
        slot = next(slot for slot, (value, is_truth) in pairs if is_truth and value not in _TRUTHS)
        raise TapeError(f"entry {slot} is a condition, and its value {values[slot]!r}")


# Arguments, results and names.


def require_frame(  # noqa: PLR0913, PLR0917  # the arguments and the result of a tape
    count: int,
    inputs: int,
    parameters: Structure,
    data: Structure,
    names: tuple[str, ...],
    result: Structure,
    outputs: tuple[int, ...],
) -> None:
    """Lets structures through that have a place for each input and each output.

    Raises:
        TapeError: for any others.
    """
    if not isinstance(data, Branch):
        raise TapeError(f"the data of a tape are {describe(data)}, and not by name")
    if type(names) is not tuple or not names or not all(type(name) is str for name in names):
        raise TapeError(f"the names of a tape's arguments are {describe(names)}")
    expected = leaf_count(parameters) + leaf_count(data)
    if inputs != expected:
        raise TapeError(f"a tape of {inputs} inputs has {expected} numbers in its arguments")
    if type(outputs) is not tuple or leaf_count(result) != len(outputs):
        raise TapeError(
            f"a tape with {describe(outputs)} of outputs has {leaf_count(result)} in its result"
        )
    for output in outputs:
        if type(output) is not int or not 0 <= output < count:
            raise TapeError(
                f"output {visible(repr(output))} is not a slot of a tape of {count} entries"
            )


def leaf_count(structure: Structure) -> int:
    """The number of leaves of a structure.

    Raises:
        TapeError: where it is none, or stands for no container that can be made.
    """
    try:
        return _leaves(structure)
    except RecursionError:
        raise TapeError("a structure of a tape is nested too deeply, or contains itself") from None


def _leaves(structure: Structure) -> int:
    if isinstance(structure, Leaf) and _is_shape(getattr(structure, "shape", None)):
        return 1
    if isinstance(structure, Static) and hasattr(structure, "value"):
        return 0
    if not isinstance(structure, Branch) or not _is_container(structure):
        raise TapeError(f"{type(structure).__name__} stands for no container that can be made")
    return sum(1 if isinstance(child, Leaf) else _leaves(child) for child in structure.children)


def require_shapes(
    values: Sequence[Operand], structures: Sequence[Structure], slots: Sequence[int]
) -> None:
    """Lets leaves through that have the shapes of the values in these slots.

    Raises:
        TapeError: for any others.
    """
    leaves = (shape for structure in structures for shape in _shapes(structure))
    for slot, shape in zip(slots, leaves, strict=True):
        own = shape_of(values[slot])
        if own != shape:
            raise TapeError(f"entry {slot} of a tape has shape {own}, and its place {shape}")


def _shapes(structure: Structure) -> Iterator[Shape]:
    """The shapes of the leaves of a structure."""
    if isinstance(structure, Leaf):
        yield structure.shape
    elif isinstance(structure, Branch):
        for child in structure.children:
            yield from _shapes(child)


def _is_shape(shape: object) -> bool:
    """Whether it is a tuple of lengths."""
    return type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)


def _is_whole(value: object, kind: type) -> bool:
    """Whether it is an instance of one of our classes, with all its fields."""
    return isinstance(value, kind) and all(hasattr(value, one.name) for one in attrs.fields(kind))


def _is_container(structure: Branch) -> bool:
    """Whether a container of the class can have parts under these keys."""
    if not _is_whole(structure, Branch) or not isinstance(structure.kind, type):
        return False
    kind, keys, children = container_kind(structure.kind), structure.keys, structure.children
    if kind is None or type(keys) is not tuple or type(children) is not tuple:
        return False
    try:
        known = set(keys)
    except TypeError:
        return False
    if kind.fields is not None and not known <= kind.fields.keys():
        return False
    return len(known) == len(keys) == len(children)


# Labels, scopes and lines.


def require_marks(
    count: int,
    labels: tuple[tuple[int, str], ...],
    scopes: tuple[Scope, ...],
    sites: tuple[Site, ...],
    site_of: bytes,
    function: str,
) -> None:
    """Lets names, scopes and positions through that are about entries of the tape.

    Raises:
        TapeError: for any others.
    """
    if type(labels) is not tuple or not all(map(_is_label, labels)):
        raise TapeError("the labels of a tape are pairs of a slot and a name")
    slots = [-1, *(slot for slot, _ in labels), count]
    if not all(slot < after for slot, after in pairwise(slots)):
        raise TapeError(f"the labels of a tape of {count} entries are not in order of its slots")
    _require_scopes(count, scopes)
    if type(sites) is not tuple or not all(map(_is_site, sites)):
        raise TapeError("the lines of a tape are no lines of files")
    if type(site_of) is not bytes or len(site_of) not in {0, 4 * count}:
        raise TapeError(f"a tape of {count} entries has not as many line numbers")
    if type(function) is not str:
        raise TapeError("the name of a tape's function is no text")
    if site_of and count:
        indices = memoryview(site_of).cast("i")
        if min(indices) < -1 or max(indices) >= len(sites):
            raise TapeError(f"an entry stands at a line beyond the {len(sites)} of its tape")


def _is_label(label: object) -> bool:
    return (
        type(label) is tuple and len(label) == 2 and type(label[0]) is int and type(label[1]) is str
    )


def _is_site(site: object) -> bool:
    return (
        isinstance(site, Site)
        and _is_whole(site, Site)
        and type(site.file) is str
        and type(site.line) is int
        and type(site.function) is str
    )


def _require_scopes(count: int, scopes: tuple[Scope, ...]) -> None:
    """Checks that scopes stand in the order of their first entries, each inside the one around."""
    if type(scopes) is not tuple or not all(_is_whole(scope, Scope) for scope in scopes):
        raise TapeError("the scopes of a tape are no scopes")
    before = 0
    for index, scope in enumerate(scopes):
        numbers = (scope.start, scope.stop, -1 if scope.parent is None else scope.parent)
        if type(scope.name) is not str or not all(type(number) is int for number in numbers):
            raise TapeError(f"scope {index} of a tape is {describe(scope)}")
        start, stop, parent = numbers
        around = Scope("", 0, count, None) if parent < 0 else scopes[min(parent, index)]
        if scope.parent is not None and not 0 <= parent < index:
            raise TapeError(f"scope {scope.name!r} stands inside scope {parent}, which is later")
        if not (before <= start <= stop and around.start <= start and stop <= around.stop):
            raise TapeError(
                f"scope {scope.name!r} has entries {start} to {stop}, which are not inside those "
                "of the scope around it, or before another's"
            )
        before = start
