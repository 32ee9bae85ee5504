"""A batch inside a recording: what its rows compute becomes entries of that recording, by column.

A row is recorded, and what it did is done again with columns in the places of its numbers. Rows
for which a comparison comes out differently are left to another row like them. So each operation
of a path is one entry, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast, final

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.batch.arrays import checked_array, common_rows, split_arrays
from tapegrad.batch.options import Options
from tapegrad.batch.results import Estimate, by_row
from tapegrad.batch.row_groups import has_static_column, row_groups
from tapegrad.compile.cache import argument_namer
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import GuardError, InputError, OutputError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import quiet
from tapegrad.ops.primitive import Operand, Traced, primal, shape_of
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.key_paths import parameter_names
from tapegrad.pytree.matching import first_difference
from tapegrad.pytree.structure import (
    Role,
    Structure,
    build,
    flatten,
    taken_apart,
)  # fmt: skip
from tapegrad.recording.array_var import ArrayCondition, ArrayVar
from tapegrad.recording.results import flat_result
from tapegrad.recording.trace import Trace, trace_kept
from tapegrad.transforms.traced_call import data_of, require_numbers

__all__ = ["traced_rows"]

Rows: TypeAlias = NDArray[np.int64]
Column: TypeAlias = Any
"""The numbers of some rows: an array of numpy's, or a traced one; or one number for all rows."""


def traced_rows(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    options: Options,
    positions: Sequence[int],
) -> object:
    """The answers of all rows, traced; the arguments at ``positions`` are mapped.

    Raises:
        GuardError: where rows may not leave the path of the first one, and do.
        InputError: where what is mapped cannot be, or ``callback`` is given.
        OutputError: where rows return other structures than the first.
    """
    if options.callback is not None:
        raise InputError(
            f"vmap({name_of(f)}) with a callback ({here()}) is called inside a recording, where "
            "all rows are one: leave it out"
        )
    given = [_with_arrays(x) if at in positions else x for at, x in enumerate(args)]
    parts = list(_parts(f, given, kwargs, options, positions))
    result = parts[0].result
    if any(first_difference(result, one.result, statics=True) is not None for one in parts):
        raise OutputError(
            f"rows of {name_of(f)} ({here()}) return another structure than the first: return the "
            "same containers for all rows"
        )
    require_numbers(f, result, "vmap")
    if options.reduce is None:
        columns = _in_order([one.shown() for one in parts])
        return by_row(result, parameter_names(f, 1)[0], columns, _joined)
    counted = [one for one in parts if not one.is_masked]
    count = sum(len(one.rows) for one in counted)
    return _reduced(result, _in_order(counted), count, options)


@final
@attrs.frozen
class _Part:
    """The rows on one path, the structure of their results, and the columns of these.

    Those that are ``masked`` have left the recorded path, and may not.
    """

    rows: Rows
    result: Structure
    columns: Sequence[Column]
    is_masked: bool = False

    def shown(self) -> _Part:
        """The same with nan for masked rows."""
        if not self.is_masked:
            return self
        nans = np.full(len(self.rows), np.nan)
        return attrs.evolve(self, columns=[nans] * len(self.columns))


def _parts(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    options: Options,
    positions: Sequence[int],
) -> Iterator[_Part]:
    """The rows by path; those with other static values are on paths of their own.

    Raises:
        GuardError: where rows may not leave the path of the first one, and do.
    """
    if not any(has_static_column(args[index]) for index in positions):
        mapped = _mapped_of(f, args, positions)
        yield from _allowed(f, options, _paths(_Batch.all_of(f, args, kwargs, mapped)))
        return
    for group in row_groups(f, args, positions):
        mapped = _mapped_of(f, group.args, group.mapped)
        batch = _Batch.all_of(f, group.args, kwargs, mapped)
        for part in _allowed(f, options, _paths(batch)):
            yield attrs.evolve(part, rows=np.asarray(group.rows)[part.rows])


def _allowed(f: Callable[..., object], options: Options, parts: Iterator[_Part]) -> Iterator[_Part]:
    """The rows by path, of which all but the first may be refused or masked."""
    yield next(parts)
    for part in parts:
        if options.on_branch == "raise":
            raise GuardError(
                f"row {part.rows[0]:,} of {name_of(f)} ({here()}) leaves the path of the first: "
                'leave on_branch at "rerecord", or spell the choice with where'
            )
        yield attrs.evolve(part, is_masked=options.on_branch == "mask")


def _mapped_of(
    f: Callable[..., object], args: Sequence[object], positions: Sequence[int]
) -> dict[int, _Mapped]:
    """The mapped arguments, which have equally many rows."""
    found = {at: _Mapped.split(args[at], argument_namer(f, at)) for at in positions}
    names = [argument_namer(f, at)(()) for at in found]
    common_rows([one.count for one in found.values()], names.__getitem__)
    return found


@final
@attrs.frozen
class _Mapped:
    """A mapped argument: its structure with a leaf for each array, and the arrays."""

    structure: Structure
    arrays: tuple[Column, ...]

    @classmethod
    def split(cls, value: object, name: Callable[[Any], str]) -> _Mapped:
        """The argument split into its arrays."""
        structure, found = split_arrays(value, name)
        arrays = (
            array if isinstance(array, ArrayVar) else checked_array(array, name(keys))
            for keys, array in found.items()
        )
        return cls(structure, tuple(arrays))

    @property
    def count(self) -> int:
        """The number of rows."""
        counts = [shape_of(array)[0] for array in self.arrays]
        return common_rows(counts, lambda index: f"array {index}")

    def row(self, index: int) -> object:
        """The argument of one row, in plain numbers; a row of an array is a tuple."""
        parts = (np.asarray(primal(array), float)[index] for array in self.arrays)
        return build(self.structure, map(_nested, parts))

    def of(self, numbers: Sequence[object]) -> object:
        """The argument of one row, with these numbers."""
        given = iter(numbers)
        return build(self.structure, [_filled(shape_of(one)[1:], given) for one in self.arrays])

    def columns(self, which: Rows) -> Iterator[Column]:
        """The columns of some rows, one for each number of a row."""
        for array in self.arrays:
            chosen = array if len(which) == shape_of(array)[0] else array[which]
            if not isinstance(array, ArrayVar):
                chosen = np.asarray(chosen, np.float64)
            for index in np.ndindex(*shape_of(array)[1:]):
                yield chosen[(slice(None), *index)] if index else chosen


def _with_arrays(value: object) -> object:
    """A value with traced arrays for lists that have traced numbers among plain ones."""
    if type(value) in {list, tuple} and any(isinstance(x, Traced) for x in cast(Any, value)):
        parts = list(map(_with_arrays, cast("list[object]", value)))
        if all(shape_of(part) == () for part in parts):
            return rows.stack(*cast("list[Operand]", parts))
        wide = (rows.reshape(cast(Operand, x), (1, *shape_of(x))) for x in parts)
        return rows.concatenate(*wide, 0)
    kind = container_kind(type(value))
    if kind is None:
        return value
    keys, inside = kind.open(value)
    return kind.close(type(value), keys, list(map(_with_arrays, inside)))


def _filled(shape: Sequence[int], numbers: Iterator[object]) -> object:
    """A number, or nested tuples of numbers."""
    if not shape:
        return next(numbers)
    return tuple([_filled(shape[1:], numbers) for _ in range(shape[0])])


def _cells(leaf: Any) -> list[Any]:
    """The numbers of an array, or a number."""
    return [leaf[index] for index in np.ndindex(shape_of(leaf))] if shape_of(leaf) else [leaf]


def _nested(part: Any) -> object:
    """A number, or nested tuples of the numbers of an array."""
    return tuple(map(_nested, part)) if part.ndim else float(part)


@final
@attrs.frozen
class _Batch:
    """Rows that are left to be done."""

    f: Callable[..., object]
    args: Sequence[object]
    kwargs: Mapping[str, object]
    mapped: Mapping[int, _Mapped]
    left: Rows

    @classmethod
    def all_of(
        cls,
        f: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        mapped: Mapping[int, _Mapped],
    ) -> _Batch:
        """A batch of which no row is done."""
        count = next(iter(mapped.values())).count
        return cls(f, args, kwargs, mapped, np.arange(count))

    def recorded(self) -> Trace:
        """The recording of the first row."""
        args = [
            self.mapped[index].row(int(self.left[0])) if index in self.mapped else argument
            for index, argument in enumerate(self.args)
        ]
        data = [index - 1 for index in self.mapped if index]
        given = data_of(tuple(args[1:]), self.kwargs)
        return trace_kept(self.f, args[0], given, data, mapped=tuple(self.mapped))

    def one_by_one(self) -> Iterator[_Part]:
        """The rows, each by itself: they compute with arrays, which are no numbers of a column."""
        for index in self.left:
            args = list(self.args)
            for position, argument in self.mapped.items():
                numbers = [column[0] for column in argument.columns(np.array([index]))]
                args[position] = argument.of(numbers)
            result, leaves = flat_result(self.f(*args, **self.kwargs))
            cells = [number for leaf in leaves for number in _cells(leaf)]
            columns = [rows.stack(cell) for cell in cells]
            yield _Part(np.array([index]), taken_apart(result), columns)

    def inputs(self, which: Rows) -> list[Column]:
        """The inputs of a recording for some rows: columns, and the numbers that all share."""
        found: list[Column] = []
        if 0 not in self.mapped:
            found += flatten(self.args[0], Role.PARAMETERS, str)[1]
        for _, argument in sorted(self.mapped.items()):
            found += argument.columns(which)
        return found


def _paths(batch: _Batch) -> Iterator[_Part]:
    """The rows on each path."""
    while batch.left.size:
        traced = batch.recorded()
        if traced.columns.on_arrays:
            yield from batch.one_by_one()
            return
        run = _Run(traced.columns)
        with quiet(on_arrays=True):
            stays = run.stays([primal(x) for x in batch.inputs(batch.left)], len(batch.left))
            which = batch.left[stays]
            values = run.again(batch.inputs(which), len(which))
        columns = [_column(values[slot], len(which)) for slot in traced.outputs]
        yield _Part(which, traced.result, columns)
        batch = attrs.evolve(batch, left=batch.left[~stays])


@final
class _Run:
    """The entries of a recorded row, applied to columns."""

    def __init__(self, columns: EntryColumns) -> None:
        self.columns = columns

    def stays(self, inputs: Sequence[Column], count: int) -> NDArray[np.bool_]:
        """The rows for which all guards come out as recorded, by plain numbers."""
        found = np.ones(count, bool)

        def check(slot: int, operand: Column) -> None:
            row, recorded = self.columns.row(slot), primal(self.columns.values[slot])
            now = np.asarray(row(operand))
            found[:] &= (now == recorded) | ((now != now) & (recorded != recorded))

        self._values(inputs, primal, check)
        return found

    def again(self, inputs: Sequence[Column], count: int) -> list[Column]:
        """The values of all entries; the guards of columns are recorded around."""

        def ask(slot: int, operand: Column) -> None:
            if isinstance(operand, Traced):
                self._ask(slot, operand)

        return self._values(inputs, lambda value: value, ask)

    def _ask(self, slot: int, operand: Traced) -> None:
        """Records that a guard comes out as it did, for all rows."""
        row, recorded = self.columns.row(slot), primal(self.columns.values[slot])
        if not isinstance(operand, ArrayVar):
            row(operand)
        elif row.is_truth:
            condition = ArrayCondition.of(operand)
            bool((condition if recorded else ~condition).all())
        else:
            bool((operand == recorded).all())

    def _values(
        self,
        inputs: Sequence[Column],
        constant: Callable[[Operand], Column],
        guard: Callable[[int, Column], None],
    ) -> list[Column]:
        columns, values = self.columns, list(inputs)
        now = attrs.evolve(columns, values=values)
        for slot in range(len(inputs), len(columns)):
            row = columns.row(slot)
            if row.kind == "constant":
                values.append(constant(columns.values[slot]))
            elif row.kind == "guard":
                guard(slot, values[columns.left[slot]])
                values.append(primal(columns.values[slot]))
            else:
                values.append(row(*now.arguments(slot)))
        return values


def _column(value: Column, count: int) -> Column:
    """A value as a column, also where it is the same for all rows."""
    return value if shape_of(value) else rows.broadcast_to(_as_array(value), (count,))


def _as_array(value: Operand) -> Operand:
    """A number that may be repeated."""
    return value if isinstance(value, Traced) else cast(Operand, np.asarray([value]))


def _in_order(parts: Sequence[_Part]) -> Sequence[Column]:
    """The columns of all rows in their order, from those of the rows on each path."""
    if len(parts) == 1:
        return parts[0].columns
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    outputs = zip(*(part.columns for part in parts), strict=True)
    return [rows.getitem(rows.concatenate(*pieces, 0), (order,)) for pieces in outputs]


def _joined(columns: Sequence[Column]) -> Column:
    """Columns as the rows of a matrix."""
    wide = (rows.reshape(column, (1, *shape_of(column))) for column in columns)
    return rows.concatenate(*wide, 0)


def _reduced(result: Structure, columns: Sequence[Column], count: int, options: Options) -> object:
    """The sums or means of the answers, in the types of the function's."""
    along = (0,), False
    totals = [rows.sum_(column, along) for column in columns]
    if options.reduce == "sum":
        return build(result, totals)
    means = [ops.div(total, float(count)) for total in totals]
    if not options.stderr:
        return build(result, means)
    pairs = zip(columns, means, strict=True)
    apart = [ops.sub(column, mean) for column, mean in pairs]
    squares = [rows.sum_(ops.mul(one, one), along) for one in apart]
    scale = float(max(count - 1, 0) * count)
    errors = [ops.sqrt(ops.div(square, scale)) for square in squares]
    return Estimate(build(result, means), build(result, errors), count)
