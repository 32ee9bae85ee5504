"""Static operands in words: ``axes 0, 1``, ``[1:3]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from tapegrad._support.text import visible
from tapegrad.ops.array_support import is_array
from tapegrad.ops.primitive import Primitive

__all__ = ["static_text"]


def static_text(row: Primitive, static: object) -> str:
    """The static operand of a row in words.

    >>> from tapegrad.ops.array_rows import getitem, reshape, sum_
    >>> static_text(getitem, (slice(1, 3), ...)), static_text(reshape, (2, 3))
    ('[1:3, ...]', '[2x3]')
    >>> static_text(sum_, ((0, 1), False)), static_text(sum_, ((0,), True))
    ('axes 0, 1', 'axis 0, kept')
    """
    kind = "" if row.array is None else row.array.static
    return _TEXTS[kind](static) if kind else _plain(static)


def _axes(static: object) -> str:
    """Axes, and whether they stay."""
    axes, *kept = cast("tuple[Any, ...]", static)
    return _axis(axes) + ", kept" * (bool(kept) and kept[0] is True)


def _axis(static: object) -> str:
    axes = static if isinstance(static, tuple) else (static,)
    return f"ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"


def _index(static: object) -> str:
    """An index, which may be the first of several parts."""
    parts = cast("tuple[object, ...]", static)
    index = parts[0] if parts and isinstance(parts[0], tuple) else parts
    return f"[{', '.join(map(_part, cast('tuple[object, ...]', index)))}]"


def _part(part: object) -> str:
    """One part of an index."""
    if part is ...:
        return "..."
    if not isinstance(part, slice):
        return _plain(part)
    ends = (part.start, part.stop) if part.step is None else (part.start, part.stop, part.step)
    return ":".join("" if end is None else str(end) for end in ends)


def _order(static: object) -> str:
    return f"to {_axis(static)}"


def _shape(static: object) -> str:
    return f"[{'x'.join(map(str, cast('tuple[int, ...]', static)))}]"


_MOST: Final = 6
"""The longest array that is written out."""


def _plain(static: object) -> str:
    if not is_array(static):
        return visible(str(static))
    array = cast(Any, static)
    if array.size <= _MOST and array.dtype != object:
        return str(array.tolist())
    return f"{array.dtype}{_shape(array.shape)}"


_TEXTS: Final[dict[str, Callable[[object], str]]] = {
    "axes": _axes, "axis": _axis, "index": _index, "order": _order, "shape": _shape,
}  # fmt: skip
