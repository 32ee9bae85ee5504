"""Checks the arguments of one call of a batched function, and sets the mapped ones apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.batch.mapped_argument import (
    Array,
    MappedArgument,
    Namer,
    common_rows,
    mapped_argument,
)
from tapegrad.batch.options import Axes
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.ops.primitive import Traced
from tapegrad.pytree.key_paths import Keys, input_key_path
from tapegrad.pytree.structure import Branch, Role, Structure, flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["BatchInputs", "batch_inputs"]


@final
@attrs.frozen(eq=False)
class BatchInputs:
    """The arguments of one call.

    ``shape`` has the structures of one row's arguments, ``shared`` the numbers that are the same
    for all rows, and ``places`` says which inputs of the program the mapped arrays are. ``rows`` is
    None where their number is known only at the end.
    """

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    mapped: Mapping[int, MappedArgument]
    shape: tuple[Branch, Branch]
    shared: tuple[float, ...]
    places: tuple[int, ...]
    rows: int | None

    @property
    def width(self) -> int:
        """The count of numbers in a row."""
        return sum(one.width for one in self.mapped.values())

    @property
    def chunk(self) -> int:
        """The rows that a Dask array computes together, or 0."""
        return max(one.chunk for one in self.mapped.values())

    @property
    def sent(self) -> bool:
        """Whether rows are sent to workers, and not only the place of a file."""
        return any(one.sent for one in self.mapped.values())

    def read(self, start: int, stop: int) -> Sequence[Array]:
        """The mapped arrays from one row to another, or to the last."""
        parts = [one.read(start, stop) for one in self.mapped.values()]
        if self.rows is None:
            _require_together([part[0].shape[0] for part in parts], start)
        return [array for part in parts for array in part]

    def row(self, numbers: Sequence[Floats]) -> tuple[object, ...]:
        """The arguments by position of one row, given its numbers."""
        args, rest = list(self.args), list(numbers)
        for place, one in self.mapped.items():
            args[place] = one.row(rest[: len(one.tails)])
            del rest[: len(one.tails)]
        return tuple(args)


def batch_inputs(
    f: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object], axes: Axes
) -> BatchInputs:
    """The arguments of a call of ``f``, checked.

    Raises:
        InputError: where what is mapped cannot be, or ``axes`` do not fit.
        TracedNumberError: where an argument holds a number of a recording around this call.
    """
    found = {
        index: mapped_argument(args[index], _namer(f, index))
        for index in _mapped_places(axes, len(args))
    }
    known = [(index, one.rows) for index, one in found.items() if one.rows is not None]
    rows = _common_rows(f, known) if known else None
    example = list(args)
    for index, one in found.items():
        example[index] = one.row([np.zeros(tail) for tail in one.tails])
    apart = _taken_apart(f, example, kwargs, found)
    return BatchInputs(args, kwargs, found, *apart, rows if len(known) == len(found) else None)


def _common_rows(f: Callable[..., object], known: Sequence[tuple[int, int]]) -> int:
    """The number of rows of all arguments of known length, given by position."""
    return common_rows([rows for _, rows in known], lambda index: _namer(f, known[index][0])(()))


def _taken_apart(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    found: Mapping[int, MappedArgument],
) -> tuple[tuple[Branch, Branch], tuple[float, ...], tuple[int, ...]]:
    """The structures of a row's arguments, the numbers that are not mapped, and where others go."""
    structures: list[Structure] = []
    inputs: list[float] = []
    places: list[int] = []
    count = 0
    named_args: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    for key, value in named_args:
        role = Role.DATA if key else Role.PARAMETERS
        structure, leaves = flatten(value, role, _namer(f, key))
        structures.append(structure)
        if key in found:
            places += range(count, count + len(leaves))
        else:
            inputs += [_number(f, leaf) for leaf in leaves]
        count += len(leaves)
    by_position = Branch(tuple, tuple(range(len(args))), tuple(structures[: len(args)]))
    by_name = Branch(dict, tuple(kwargs), tuple(structures[len(args) :]))
    return (by_position, by_name), tuple(inputs), tuple(places)


def _number(f: Callable[..., object], leaf: object) -> float:
    if isinstance(leaf, Traced):
        raise TracedNumberError(
            f"an argument of vmap({name_of(f)}) ({here()}) is a traced number, and compiled rows "
            "take plain ones: differentiate inside, as in vmap(value_and_grad(f))"
        )
    return cast(float, leaf)


def _namer(f: Callable[..., object], key: int | str) -> Namer:
    """A function that names the places in an argument."""
    argument: Keys = (key,) if isinstance(key, str) else (key - 1,) if key else ()
    return lambda keys: input_key_path(f, argument, keys)


def _mapped_places(axes: Axes, count: int) -> tuple[int, ...]:
    """The positions of the mapped arguments."""
    each = [0] * count if axes == 0 else _listed(axes)
    wrong = next((axis for axis in each if axis is not None and axis != 0), None)
    places = tuple(index for index, axis in enumerate(each) if axis == 0)
    if wrong is not None:
        problem = (
            f"maps axis {wrong!r}: rows come first, so use 0, or None for an argument as it is"
        )
    elif len(each) != count:
        problem = f"has {len(each)} entries for {count} arguments by position: give one for each"
    elif not places:
        problem = "maps no argument: use 0 for those whose rows come first"
    else:
        return places
    raise InputError(f"in_axes={axes!r} ({here()}) {problem}")


def _listed(axes: object) -> list[object]:
    return list(axes) if isinstance(axes, list | tuple) else [axes]


def _require_together(counts: Sequence[int], start: int) -> None:
    if len(set(counts)) > 1:
        rows = " and ".join(f"{start + count:,}" for count in counts)
        raise InputError(
            f"the mapped arguments have {rows} rows ({here()}): pass as many of one as of the "
            "others"
        )
