"""The data of an objective: which arguments have a row for each call, and copies of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

import attrs

from tapegrad.backends import require
from tapegrad.errors import InputError
from tapegrad.positions import here

__all__ = ["InAxes", "ModelData", "SumOrMean", "copied_data", "data_axes"]

SumOrMean: TypeAlias = Literal["mean", "sum"]
InAxes: TypeAlias = "Sequence[Literal[0] | None]"
"""For the start and each of the data: 0 where an argument has the rows first, None elsewhere."""


@final
@attrs.frozen(eq=False)
class ModelData:
    """The arguments after the first; those by position under ``axes`` 0 have the rows first."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    axes: tuple[Literal[0] | None, ...]
    reduce: SumOrMean | None

    @property
    def has_rows(self) -> bool:
        """Whether any argument has the rows first."""
        return 0 in self.axes


def copied_data(f: Callable[..., object], data: ModelData) -> ModelData:
    """Copies the arguments of ``f``, so that no change outside reaches them.

    Raises:
        BackendError: when numpy is not installed.
        InputError: when a number is nan, or an argument with rows is an iterator.
    """
    require("numpy")
    if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
        from tapegrad.data_copies import copied

        data = copied(f, data)
    return data


def data_axes(in_axes: InAxes | None, count: int) -> tuple[Literal[0] | None, ...]:
    """Checks ``in_axes`` and takes the entry of the start off; without it all data have rows."""
    if in_axes is None:
        return cast("tuple[Literal[0], ...]", (0,) * count)
    if in_axes[0] is not None:
        problem = "maps the start, which is the same for all rows: begin with None"
    elif len(in_axes) != 1 + count:
        problem = f"has {len(in_axes)} entries for {1 + count} arguments: give one for each"
    else:
        return tuple(in_axes[1:])
    raise InputError(f"in_axes={in_axes!r} ({here()}) {problem}")
