"""The data of an objective: its arguments after the first, and which of them have rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import here
from tapegrad.errors import InputError

if TYPE_CHECKING:
    from tapegrad.batch.options import Reduce

__all__ = ["InAxes", "ModelData", "data_axes"]

InAxes: TypeAlias = "Sequence[Literal[0] | None]"
"""For the start and each of the data: 0 where an argument has the rows first, None elsewhere."""


@final
@attrs.frozen(eq=False)
class ModelData:
    """The arguments after the first; those by position under ``axes`` 0 have the rows first."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    axes: tuple[Literal[0] | None, ...]
    reduce: Reduce | None


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
