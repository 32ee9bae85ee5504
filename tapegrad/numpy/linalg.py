"""Products of matrices, and linear algebra."""

from __future__ import annotations

from typing import Any

from tapegrad.numpy.arrays import applied
from tapegrad.ops import array_rows as rows

__all__ = ["dot", "matmul", "solve"]


def matmul(x: Any, y: Any, /) -> Any:
    """The product of matrices."""
    return applied(rows.matmul, x, y)


dot = matmul


def solve(a: Any, b: Any, /) -> Any:
    """The solution x of a @ x == b."""
    return applied(rows.solve, a, b)
