"""Text for people: tables, numbers and values, and foreign text made safe to print."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, nan
from typing import Any, final

import attrs

__all__ = [
    "Printed", "Table", "aligned", "bundle_of", "describe", "html_of", "number", "visible",
]  # fmt: skip


@final
@attrs.frozen
class Table:
    """Rows for a notebook, the first of which has the titles.

    The first ``right`` columns are aligned to the right, the others to the left.
    """

    rows: tuple[tuple[str, ...], ...]
    right: int = 0


class Printed:
    """An object that is printed well: in a notebook it is text and tables."""

    __slots__ = ()

    def _shown(self) -> Iterable[str | Table]:
        """The texts and tables that a notebook shows."""
        return (str(self),)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        makers = {"text/plain": self.__str__, "text/html": lambda: html_of(self._shown())}
        return bundle_of(makers, include, exclude)


def bundle_of(
    makers: Mapping[str, Callable[[], str]],
    include: Iterable[str] | None,
    exclude: Iterable[str] | None,
) -> dict[str, str]:
    """The texts that a notebook asks for: of all kinds, of some, or of all but some."""
    wanted = set(makers if include is None else include).difference(exclude or ())
    return {kind: make() for kind, make in makers.items() if kind in wanted}


def html_of(parts: Iterable[str | Table]) -> str:
    """Texts and tables as HTML, in the font and the colours of the notebook."""
    return "\n".join(_html_table(x) if isinstance(x, Table) else _html_text(x) for x in parts)


_EVEN = "font-family:monospace;white-space:pre"


def _html_text(text: str) -> str:
    from html import escape

    lines = "\n".join(escape(visible(line)) for line in text.split("\n"))
    return f'<div style="{_EVEN}">{lines}</div>'


def _html_table(table: Table) -> str:
    """The rows, without columns that have nothing in them."""
    from html import escape

    columns = [
        (column, "right" if index < table.right else "left")
        for index, column in enumerate(zip(*table.rows, strict=True))
        if any(column[1:])
    ]
    lines = []
    for row in range(len(table.rows)):
        tag = "th" if row == 0 else "td"
        cells = ((escape(visible(column[row])), side) for column, side in columns)
        line = "".join(f'<{tag} style="text-align:{side}">{x}</{tag}>' for x, side in cells)
        lines.append(f"<tr>{line}</tr>" if row or any(table.rows[0]) else "")
    return f'<table style="{_EVEN}">{"".join(lines)}</table>'


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
