"""Sparse matrices: the places of their entries, and the entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import attrs

__all__ = ["Coordinates", "Sparsity", "transposed"]


@final
@attrs.frozen
class Sparsity:
    """The places of a matrix that can be other than zero: ``rows[i], columns[i]``, row by row.

    >>> from tapegrad import Real, record
    >>> def f(xs: list[Real]) -> list[Real]:
    ...     return [xs[0] * xs[1], xs[2]]
    >>> record(f)([1.0, 2.0, 3.0]).jacobian_sparsity()
    Sparsity(rows=(0, 0, 1), columns=(0, 1, 2), shape=(2, 3))
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def by_row(self) -> list[list[int]]:
        """For each row its columns, in order."""
        lines: list[list[int]] = [[] for _ in range(self.shape[0])]
        for row, column in zip(self.rows, self.columns, strict=True):
            lines[row].append(column)
        return lines

    def by_column(self) -> list[list[int]]:
        """For each column its rows, in order."""
        return transposed(self.by_row(), self.shape[1])


@final
@attrs.frozen
class Coordinates:
    """A sparse matrix: the entries that can be other than zero, row by row.

    Entry ``values[i]`` stands in row ``rows[i]`` and column ``columns[i]``, each place once:
    ``scipy.sparse.coo_array((m.values, (m.rows, m.columns)), m.shape)``.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    values: tuple[float, ...]
    shape: tuple[int, int]


def transposed(lines: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    """For each column its rows, in order."""
    turned: list[list[int]] = [[] for _ in range(width)]
    for row, line in enumerate(lines):
        for column in line:
            turned[column].append(row)
    return turned
