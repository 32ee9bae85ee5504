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
    if signature is None:
        return None
    if inspect.isclass(obj):
        return "", None
    return re.sub(r"(?:, \*)?, \*\*options\b", "", signature).replace(", *)", ")"), returns


def escape(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Bars are sizes in our docstrings; what Python says of fields by itself is left out."""
    if lines and re.fullmatch(r"Alias for field number \d+", lines[0]):
        lines.clear()
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        lines[number] = "".join(p if p.startswith("``") else p.replace("|", "\\|") for p in parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects to autodoc."""
    app.connect("autodoc-process-signature", shown)
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
