"""The cotangents and the gradient of the one output of a recorded program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

from tapegrad.entries.entries import Entries
from tapegrad.errors import OutputError
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import spread
from tapegrad.ops.primitive import shape_of
from tapegrad.pytree.structure import Leaf, build, describe_structure
from tapegrad.sweep.reverse import cotangents
from tapegrad.sweep.shapes import in_shapes

__all__ = [
    "Cotangents", "cotangents_from", "gradient", "known_cotangents", "only_output",
    "output_cotangents", "shown_cotangents",
]  # fmt: skip

Cotangents: TypeAlias = Sequence[float | None]
"""The cotangent of every slot; None where none arrives."""


def cotangents_from(entries: Entries, slots: Iterable[int]) -> Cotangents:
    """The cotangent of every slot, swept from some of them at once; None where none arrives."""
    columns = entries.columns.as_lists()
    bars = cotangents(columns, dict.fromkeys(slots, 1.0))
    if columns.on_arrays:
        pairs = zip(bars, columns.values, strict=True)
        bars = [None if bar is None else spread(bar, shape_of(value)) for bar, value in pairs]
    return cast("list[float | None]", bars)


def output_cotangents(entries: Entries) -> Cotangents:
    """The derivative of the one output in every slot; None where none arrives.

    Raises:
        OutputError: when there is not exactly one output.
    """
    return cotangents_from(entries, (only_output(entries, "cotangents need"),))


def known_cotangents(entries: Entries) -> Cotangents:
    """The cotangents where there is one output, else None for every slot.

    Those of traced values are computed on the numbers they stand for: looking records nothing.
    """
    if len(entries.outputs) != 1:
        return (None,) * len(entries)
    return output_cotangents(entries.of_numbers())


def shown_cotangents(entries: Entries) -> Cotangents:
    """Those that are known, but for data and constants, which are not differentiated."""
    bars = list(known_cotangents(entries))
    width, inputs = entries.width, len(entries.inputs)
    bars[width:inputs] = [None] * (inputs - width)
    codes, constant = entries.codes, entries.table.codes[ops.constant]
    slot = codes.find(constant)
    while slot >= 0:
        bars[slot] = None
        slot = codes.find(constant, slot + 1)
    return bars


def gradient(entries: Entries) -> object:
    """The gradient of the one output, in the structure of the first argument.

    Raises:
        OutputError: when the recorded function returned anything but one number.
    """
    if not isinstance(entries.result, Leaf) or entries.result.shape:
        raise OutputError(
            f"this tape returned {describe_structure(entries.result)}, and a gradient needs one "
            "number: record a function that returns one, or use jacobian for one of several"
        )
    bars = output_cotangents(entries)[: entries.width]
    return build(entries.parameters, in_shapes(bars, entries.values[: entries.width]))


def only_output(entries: Entries, needs: str) -> int:
    """The slot of the one output, which a result ``needs``: "a Hessian needs".

    Raises:
        OutputError: when there is not exactly one output.
    """
    if len(entries.outputs) != 1:
        raise OutputError(
            f"this tape has {len(entries.outputs)} outputs, and {needs} one: record a function "
            "that returns one number"
        )
    return entries.outputs[0]
