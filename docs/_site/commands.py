"""The directive ``commands``: what each command of the command line says of itself."""

from __future__ import annotations

import contextlib
import io
import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tapegrad.__main__ import main
from tapegrad.cli.commands import COMMANDS

__all__ = ["setup"]


class Commands(SphinxDirective):
    """A section for each command, with its help."""

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of the program's own help."""
        names = ["", *COMMANDS]
        parts = (f"## {f'tapegrad {name}'.strip()}\n\n```text\n{said(name)}\n```" for name in names)
        return self.parse_text_to_nodes("\n\n".join(parts), allow_section_headings=True)


def said(name: str) -> str:
    """The help of a command, or of the program for no name, at one width everywhere."""
    os.environ["COLUMNS"] = "88"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*name.split(), "--help"])
    return printed.getvalue().rstrip()


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
