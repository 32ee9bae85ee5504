"""The arguments of one call of a batched function: checks them, and splits them into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad.batch.arrays import Array, Floats, common_rows
from tapegrad.batch.mapped_argument import MappedArgument, mapped_argument
from tapegrad.batch.options import Axes, Options
from tapegrad.compile.cache import argument_namer, flatten_arguments
from tapegrad.errors import InputError
from tapegrad.pytree.structure import Branch
from tapegrad.transforms.static_arguments import StaticArguments

if TYPE_CHECKING:
    pass


__all__ = ["BatchInputs", "batch_inputs", "mapped_positions"]


@final
@attrs.frozen(eq=False)
class BatchInputs:
    """The arguments of one call of a batched function.

    ``shape`` is the structure of one row's arguments, ``shared`` the numbers that are the same
    for all rows, and ``places`` says which inputs of the program the mapped arrays are. ``rows`` is
    None where their number is known only at the end.
    """

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    mapped: Mapping[int, MappedArgument]
    shape: Branch
    shared: tuple[float, ...]
    places: tuple[int, ...]
    rows: int | None

    @property
    def width(self) -> int:
        """The count of numbers in a row."""
        return sum(argument.width for argument in self.mapped.values())

    @property
    def dask_chunk(self) -> int:
        """The number of rows that a Dask array computes together, or 0."""
        return max(argument.dask_chunk for argument in self.mapped.values())

    @property
    def sent(self) -> bool:
        """Whether rows are sent to workers, and not only the place of a file."""
        return any(argument.sent for argument in self.mapped.values())

    @property
    def has_ints(self) -> bool:
        """Whether a row has ints where it is passed on as it was given."""
        return any(kind in "iu" for argument in self.mapped.values() for kind in argument.kinds)

    def read(self, start: int, stop: int) -> Sequence[Array]:
        """The mapped arrays from one row to another, or to the last."""
        parts = [argument.read(start, stop) for argument in self.mapped.values()]
        if self.rows is None:
            _require_equal([part[0].shape[0] for part in parts], start)
        return [array for part in parts for array in part]

    def row(self, numbers: Sequence[Floats], *, as_given: bool = False) -> tuple[object, ...]:
        """The arguments by position of one row, given its numbers.

        What is ``as_given`` has ints where the mapped arrays have.
        """
        args, rest = list(self.args), list(numbers)
        for position, argument in self.mapped.items():
            count = len(argument.row_shapes)
            args[position] = argument.row(rest[:count], as_given=as_given)
            del rest[:count]
        return tuple(args)


def batch_inputs(
    f: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    options: Options,
    positions: Sequence[int],
) -> BatchInputs:
    """The arguments of a call of ``f``, checked; those at ``positions`` are mapped.

    Raises:
        InputError: where what is mapped cannot be, or ``in_axes`` do not fit.
    """
    mapped = {index: mapped_argument(args[index], argument_namer(f, index)) for index in positions}
    counts = {index: one.rows for index, one in mapped.items() if one.rows is not None}
    names = [argument_namer(f, index)(()) for index in counts]
    rows = common_rows(list(counts.values()), names.__getitem__) if counts else None
    example = list(args)
    for index, one in mapped.items():
        example[index] = one.row([np.zeros(shape) for shape in one.row_shapes])
    split = _split_arguments(f, example, kwargs, mapped, options.static)
    return BatchInputs(args, kwargs, mapped, *split, rows if len(counts) == len(mapped) else None)


def _split_arguments(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    mapped: Mapping[int, MappedArgument],
    static: StaticArguments,
) -> tuple[Branch, tuple[float, ...], tuple[int, ...]]:
    """The structure of a row's arguments, the numbers not mapped, and the places of the mapped."""
    shape, numbers = flatten_arguments(f, args, kwargs, mapped, static)
    inputs: list[float] = []
    places: list[int] = []
    count = 0
    for index, leaves in enumerate(numbers):
        if index in mapped:
            places += range(count, count + len(leaves))
            count += len(leaves)
        else:
            plain = [number for leaf in leaves for number in np.ravel(cast(Any, leaf)).tolist()]
            inputs += plain
            count += len(plain)
    return shape, tuple(inputs), tuple(places)


def mapped_positions(axes: Axes, count: int, static: StaticArguments) -> tuple[int, ...]:
    """The positions of the mapped arguments."""
    each: list[object] = list(axes) if isinstance(axes, list | tuple) else [axes]
    fixed = [index for index in range(1, count) if index - 1 in static]
    if axes == 0:
        each = [None if index in fixed else 0 for index in range(count)]
    wrong = next((axis for axis in each if axis is not None and axis != 0), None)
    positions = tuple(index for index, axis in enumerate(each) if axis == 0)
    if wrong is not None:
        problem = (
            f"maps axis {wrong!r}: rows come first, so use 0, or None for an argument as it is"
        )
    elif len(each) != count:
        problem = f"has {len(each)} entries for {count} arguments by position: give one for each"
    elif not set(positions).isdisjoint(fixed):
        problem = "maps an argument that static_argnames names: give None for it"
    elif not positions:
        problem = "maps no argument: use 0 for those by position whose rows come first"
    else:
        return positions
    raise InputError(f"in_axes={axes!r} ({here()}) {problem}")


def _require_equal(counts: Sequence[int], start: int) -> None:
    """Refuses mapped arguments of which one has no more rows and another has."""
    if len(set(counts)) > 1:
        rows = " and ".join(f"{start + count:,}" for count in counts)
        raise InputError(
            f"the mapped arguments have {rows} rows ({here()}): pass as many of one as of the "
            "others"
        )
