"""Laws of gathering: code for rows reads every number of the rows that it runs, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapegrad as tg


@pytest.mark.parametrize("columns", [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 26])
@pytest.mark.parametrize("rows", [1, 37])
def test_each_number_of_a_row_is_read_from_its_place(rows: int, columns: int) -> None:
    """In arrays with gaps, of any width, one after the other, and where rows are picked by path."""

    def turned(row: Any, shift: Any) -> list[Any]:
        numbers = [x + shift for x in row]
        return numbers if row[0] > 0.0 else [-x for x in numbers]

    draw = np.random.default_rng(rows + columns)
    wide = draw.standard_normal((rows, columns + 3))
    row, shift = wide[:, 1 : columns + 1], draw.standard_normal(rows)
    for given in (row, np.abs(row)):
        want = (given + shift[:, None]) * np.where(given[:, :1] > 0.0, 1.0, -1.0)
        found = tg.vmap(turned, threads=1, backend="llvm", on_branch="rerecord")(given, shift)
        assert np.array_equal(found.array(), want)
