"""The constants that leave the other operand of a row as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["NEUTRAL"]

NEUTRAL: Final[Mapping[tuple[str, int], float]] = {
    ("mul", 0): 1.0, ("mul", 1): 1.0, ("div", 1): 1.0, ("sub", 1): 0.0, ("add", 0): -0.0,
    ("add", 1): -0.0,
}  # fmt: skip
"""The constant at a side that leaves the other operand as it is, to the bit."""
