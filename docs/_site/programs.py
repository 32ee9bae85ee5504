"""The directive ``programs``: the lists of examples, with links to their files."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]


class Programs(SphinxDirective):
    """The sections of ``examples/README.md``."""

    def run(self) -> list[nodes.Node]:
        """Its sections with their tables; links lead from the page to the files."""
        listed = Path(self.env.srcdir).parent / "examples/README.md"
        self.env.note_dependency(str(listed))
        _, heading, text = listed.read_text("utf-8").partition("\n## ")
        linked = re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](/../examples/\1)", heading + text)
        return self.parse_text_to_nodes(linked, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("programs", Programs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
