"""Text for people: tables, numbers and values, and foreign text made safe to print."""

from collections.abc import Iterable, Sequence
from math import inf, nan
from typing import Any

__all__ = ["Printed", "aligned", "describe", "number", "visible"]


class Printed:
    """An object that is printed well: at the end of a notebook's cell it looks the same."""

    __slots__ = ()

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        wanted = {"text/plain"}.intersection(("text/plain",) if include is None else include)
        return {kind: str(self) for kind in wanted.difference(exclude or ())}


def aligned(rows: Sequence[Sequence[str]], right: int = 0) -> list[str]:
    """The lines of a table whose first row has the titles; empty columns are left out.

    The first ``right`` columns are aligned to the right, the others to the left.

    >>> aligned([("slot", "label", "value"), ("%0", "", "2.5")])
    ['slot  value', '%0    2.5']
    """
    cells = []
    for index, column in enumerate(zip(*rows, strict=True)):
        if any(column[1:]):
            width, pad = max(map(len, column)), str.rjust if index < right else str.ljust
            cells.append([pad(cell, width) for cell in column])
    return ["  ".join(line).rstrip() for line in zip(*cells, strict=True)]


def visible(text: str) -> str:
    r"""``text`` on one line: characters that do not print (newlines, control, bidi) are escaped.

    >>> visible("two\nlines")
    'two\\nlines'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def number(value: float, digits: str = ".6g") -> str:
    """A number with six significant digits, or others; of an array its shape and range.

    >>> number(0.1 + 0.2), number(1e300)
    ('0.3', '1e+300')
    """
    return format(value, digits) if isinstance(value, float | int) else _array(value, digits)


def _array(value: Any, digits: str = ".6g") -> str:
    """The shape of an array, and from where to where its numbers go, or how many of them hold.

    >>> import numpy as np
    >>> _array(np.array([[1.0, 2.5], [0.5, 2.0]])), _array(np.array([True, False, True]))
    ('[2x2] 0.5 .. 2.5', '[3] 2 hold')
    """
    shape = f"[{'x'.join(map(str, value.shape))}]"
    if value.dtype == bool:
        return f"{shape} {int(value.sum())} hold"
    if not value.size:
        return shape
    finite = value[abs(value) < inf]
    low, high = (finite.min(), finite.max()) if finite.size else (nan, nan)
    if finite.size == value.size:
        return f"{shape} {low:{digits}}" + f" .. {high:{digits}}" * bool(low != high)
    odd = f"{value.size - finite.size:,} not finite"
    return f"{shape} {low:{digits}} .. {high:{digits}}, {odd}" if finite.size else f"{shape} {odd}"


def describe(value: object) -> str:
    """The type of a value and, where it is short and says more than an address, the value."""
    name = type(value).__name__
    text = "" if value is None else _repr(value)
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    shown = f" ({text})" if 0 < len(text) <= 40 and " at 0x" not in text else ""
    return "None" if value is None else f"{article} {name}{shown}"


def _repr(value: object) -> str:
    try:
        return visible(repr(value))
    except Exception:  # noqa: BLE001  # a user's repr may raise anything, and a message must not
        return ""
