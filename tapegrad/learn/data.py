"""Small data sets, made with a seed by the standard library, and columns of a file.

moons, circles, spirals, blobs    points in the plane and the number of the class of each
four_examples                     the four rows of three numbers of the lecture
read_csv                          columns of a file as lists of floats, ints or texts
matrix                            columns side by side as an array of numpy's
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar, overload

from tapegrad._support.argument_checks import require_number, require_positive
from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad._support.text import visible
from tapegrad.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tapegrad.numpy.arrays import Floats

__all__ = [
    "Labelled", "Point", "blobs", "circles", "four_examples", "matrix", "moons", "read_csv",
    "spirals",
]  # fmt: skip

T = TypeVar("T")

Point: TypeAlias = tuple[float, float]


class Labelled(NamedTuple):
    """Points in the plane, and the number of the class of each: ``points, labels = moons(100)``."""

    points: list[Point]
    labels: list[int]

    def signs(self) -> list[float]:
        """The labels of two classes as -1.0 and 1.0, as ``hinge`` takes them.

        Raises:
            InputError: when there are other labels than 0 and 1.

        >>> Labelled([(0.0, 1.0), (2.0, 3.0)], [0, 1]).signs()
        [-1.0, 1.0]
        """
        for label in self.labels:
            if label not in range(2):
                raise InputError(
                    f"signs ({here()}) met the label {label}: only the labels 0 and 1 have signs"
                )
        return [2.0 * label - 1.0 for label in self.labels]

    def arrays(self) -> tuple[Floats, NDArray[np.int64]]:
        """The points as an array with a row for each, and the labels as an array.

        Raises:
            BackendError: where numpy is not installed.
        """
        require("numpy")
        import numpy as np

        return np.array(self.points, np.float64).reshape(-1, 2), np.array(self.labels, np.int64)


def moons(count: int, *, noise: float = 0.1, seed: int = 0) -> Labelled:
    """Points on two interleaving half circles of radius 1, one class on each, by turns.

    ``noise`` is the deviation of the normal numbers that are added to both coordinates.

    Raises:
        InputError: for fewer than one point, or noise that is negative or not finite.

    >>> moons(3, noise=0.0).points
    [(1.0, 0.0), (0.0, 0.5), (-1.0, 1.2246467991473532e-16)]
    """
    upper, lower = _parts(count, 2)

    def place(label: int, at: int) -> Point:
        angle = pi * at / max((upper, lower)[label] - 1, 1)
        return (cos(angle), sin(angle)) if label == 0 else (1.0 - cos(angle), 0.5 - sin(angle))

    return _labelled(count, 2, place, noise, seed)


def circles(count: int, *, noise: float = 0.05, inner: float = 0.5, seed: int = 0) -> Labelled:
    """Points on a circle of radius 1 and on one inside it, of radius ``inner``, by turns.

    Raises:
        InputError: for fewer than one point, or noise or a radius that is negative or not finite.
    """
    require_number("inner", inner, may_be_zero=True)
    parts = _parts(count, 2)

    def place(label: int, at: int) -> Point:
        angle, radius = 2.0 * pi * at / parts[label], inner if label else 1.0
        return radius * cos(angle), radius * sin(angle)

    return _labelled(count, 2, place, noise, seed)


def spirals(
    count: int, *, classes: int = 2, turns: float = 1.0, noise: float = 0.02, seed: int = 0
) -> Labelled:
    """Points on spirals from the origin to radius 1, one for each class, by turns.

    Raises:
        InputError: for fewer than one point or class, or noise or turns that are negative or not
            finite.
    """
    require_positive("classes", classes)
    require_number("turns", turns, may_be_zero=True)
    parts = _parts(count, classes)

    def place(label: int, at: int) -> Point:
        radius = (at + 1.0) / parts[label]
        angle = 2.0 * pi * (label / classes + turns * radius)
        return radius * cos(angle), radius * sin(angle)

    return _labelled(count, classes, place, noise, seed)


def blobs(count: int, *, classes: int = 3, noise: float = 0.3, seed: int = 0) -> Labelled:
    """Points around as many centres as there are classes, which lie on a circle of radius 1.

    Raises:
        InputError: for fewer than one point or class, or noise that is negative or not finite.
    """
    require_positive("classes", classes)

    def place(label: int, at: int) -> Point:
        angle = 2.0 * pi * label / classes
        return cos(angle), sin(angle)

    return _labelled(count, classes, place, noise, seed)


def four_examples() -> tuple[list[tuple[float, float, float]], list[float]]:
    """The four rows of three numbers of the lecture, and the answer wanted for each.

    >>> xs, ys = four_examples()
    >>> xs[0], ys
    ((2.0, 3.0, -1.0), [1.0, -1.0, -1.0, 1.0])
    """
    rows = [(2.0, 3.0, -1.0), (3.0, -1.0, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, -1.0)]
    return rows, [1.0, -1.0, -1.0, 1.0]


def _labelled(
    count: int, classes: int, place: Callable[[int, int], Point], noise: float, seed: int
) -> Labelled:
    """Points of the classes by turns, each at ``place(class, number in it)`` and moved by noise."""
    require_positive("count", count)
    require_number("noise", noise, may_be_zero=True)
    source = Random(seed)
    labels = [index % classes for index in range(count)]
    points = []
    for index, label in enumerate(labels):
        x, y = place(label, index // classes)
        points.append((x + source.gauss(0.0, noise), y + source.gauss(0.0, noise)))
    return Labelled(points, labels)


def _parts(count: int, classes: int) -> list[int]:
    """The number of points of each class."""
    require_positive("count", count)
    return [(count - label + classes - 1) // classes for label in range(classes)]


@overload
def read_csv(
    path: str | Path, columns: Sequence[str], *, delimiter: str = ","
) -> dict[str, list[float]]: ...
@overload
def read_csv(
    path: str | Path, columns: Sequence[str], of: Callable[[str], T], *, delimiter: str = ","
) -> dict[str, list[T]]: ...
def read_csv(
    path: str | Path,
    columns: Sequence[str],
    of: Callable[[str], object] = float,
    *,
    delimiter: str = ",",
) -> object:
    """Columns of a file whose first line names them, as lists of what ``of`` makes of a cell.

    ``of`` is ``float``, ``int``, ``str``, or a function of your own that raises a ``ValueError``
    for a cell that it cannot take. The file is text in UTF-8, and lines without cells are skipped.

    Raises:
        InputError: for a column that is not there, a line with another number of cells than the
            first, or a cell that ``of`` cannot take.
    """
    if isinstance(columns, str):
        raise InputError(f"columns is the text {columns!r} ({here()}): pass a list of names")
    file = Path(path)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, delimiter=delimiter)
        names = next(lines, [])
        places = _places(file, names, columns)
        rows = list(_rows(file, len(names), ((lines.line_num, cells) for cells in lines)))
    return {name: _column(file, rows, name, at, of) for name, at in places.items()}


_Line: TypeAlias = tuple[int, list[str]]
"""The number of a line of a file, and its cells."""


def _places(file: Path, names: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    """The place of each column in a line."""
    for column in columns:
        if names.count(column) != 1:
            found = "more than once" if column in names else "not"
            raise InputError(
                f"{visible(file.name)} has the column {column!r} {found} ({here()}): "
                f"its first line names {', '.join(map(repr, names)) or 'nothing'}"
            )
    return {column: names.index(column) for column in columns}


def _rows(file: Path, width: int, lines: Iterable[_Line]) -> Iterator[_Line]:
    """The lines that have cells."""
    for number, cells in lines:
        if cells and len(cells) != width:
            raise InputError(
                f"line {number} of {visible(file.name)} has {len(cells)} cells, and the first has "
                f"{width} ({here()}): mend the line, or name the delimiter"
            )
        if cells:
            yield number, cells


def _column(
    file: Path, rows: Sequence[_Line], name: str, at: int, of: Callable[[str], T]
) -> list[T]:
    found = []
    for number, cells in rows:
        try:
            found.append(of(cells[at]))
        except ValueError:
            kind = getattr(of, "__name__", "value")
            raise InputError(
                f"line {number} of {visible(file.name)} has {cells[at]!r} in the column {name!r}, "
                f"which is no {kind} ({here()}): mend the cell, or pass a function that takes it"
            ) from None
    return found


def matrix(columns: Mapping[str, Sequence[float]]) -> Floats:
    """Columns side by side, as an array with a row for each of their lines.

    Raises:
        InputError: when they have different lengths, or there is none.
        BackendError: where numpy is not installed.
    """
    require("numpy")
    import numpy as np

    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(
            f"matrix ({here()}) was given columns of the lengths {lengths}: "
            "pass one column or more, of one length"
        )
    return np.column_stack([np.asarray(column, np.float64) for column in columns.values()])
