"""The table of operations with the rows that take arrays as they are."""

from __future__ import annotations

from typing import Final

from tapegrad.ops.array_rows import ARRAY_ROWS
from tapegrad.ops.matrix_rows import MATRIX_ROWS
from tapegrad.ops.table import TABLE

__all__ = ["ARRAY_TABLE"]

ARRAY_TABLE: Final = TABLE.extend(*ARRAY_ROWS, *MATRIX_ROWS)
