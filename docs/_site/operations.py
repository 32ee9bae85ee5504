"""Tables of functions, made from the table of operations."""

from __future__ import annotations

from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
