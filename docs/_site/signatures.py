"""How the reference shows signatures: what a caller passes, without what no caller sees."""

from __future__ import annotations

import inspect
import re

from sphinx.application import Sphinx

__all__ = ["setup"]


def shown(  # noqa: PLR0913, PLR0917  # autodoc passes these
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """The signature without the catch-all of mistyped options; none for classes that we make."""
    if inspect.isclass(obj):
        return "", None
    if signature is None:
        return None
    return re.sub(r"(?:, \*)?, \*\*options\b", "", signature).replace(", *)", ")"), returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects to autodoc."""
    app.connect("autodoc-process-signature", shown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
