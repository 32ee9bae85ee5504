"""How entries are spelled as calls of numpy's functions that write where they are told.

What numpy computes depends in its last bits on how its operands stand in memory. Functions that
are rounded correctly do not, and may write anywhere; others write into a buffer where their
operands stand in order. Any other entry is computed as when the function itself is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from tapegrad.ops import array_rows as rows
from tapegrad.ops import matrix_rows as matrices
from tapegrad.ops.primitive import Primitive

__all__ = ["REDUCED", "VIEWS"]

REDUCED: Final[Mapping[Primitive, np.ufunc]] = {
    rows.sum_: np.add,
    rows.amax: np.maximum,
    rows.amin: np.minimum,
    rows.every: np.logical_and,
    rows.some: np.logical_or,
}
"""The functions of two operands that rows repeat along axes."""

VIEWS: Final[Mapping[Primitive, str]] = {
    rows.reshape: "{}.reshape({})",
    rows.transpose: "{}.transpose({})",
    rows.broadcast_to: "broadcast_to({}, {})",
    rows.getitem: "{}[{}]",
    matrices.windows: "windows({}, {})",
}
"""How views are made."""
