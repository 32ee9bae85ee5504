"""The directive ``drawing``: a picture made by the build, from what the blocks of its page define.

Its content is one expression. The page's blocks of Python that stand above it are run, as the tests
run them, and the expression gives an object with an attribute ``svg``, or a figure of matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]

FENCE = re.compile(r"^```(?:python|py)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The blocks that ``tests/test_house.py`` runs, but for those that are typed at a prompt."""

FOLDER = "_drawn"


class Drawing(SphinxDirective):
    """Shows the picture that an expression gives, with the option ``alt`` as its description."""

    has_content = True
    option_spec = {"alt": str, "width": str}  # noqa: RUF012  # docutils' own way

    def run(self) -> list[nodes.Node]:
        """The image of the file that it writes beside the pages."""
        page = Path(self.env.doc2path(self.env.docname))
        (line,) = (text for text in self.content if text.strip())
        name = f"{self.env.docname.replace('/', '-')}-{self.lineno}.svg"
        target = Path(self.env.srcdir) / FOLDER / name
        target.parent.mkdir(exist_ok=True)
        above = "\n".join(page.read_text("utf-8").splitlines()[: self.lineno - 1])
        found = drawn(above, line)
        is_plot = not hasattr(found, "svg")
        target.write_text(figure(found) if is_plot else found.svg, "utf-8")
        image = nodes.image(uri=f"/{FOLDER}/{name}", alt=self.options.get("alt", ""))
        image["classes"] = ["drawing", "plot"] if is_plot else ["drawing"]
        if "width" in self.options:
            image["width"] = self.options["width"]
        return [image]


def drawn(page: str, expression: str) -> Any:
    """What the expression gives, below the blocks of the page."""
    namespace: dict[str, Any] = {"__name__": "page"}
    code = (block for block in FENCE.findall(page) if ">>>" not in block)
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in code:
            exec(block, namespace)  # noqa: S102  # our own pages
        return eval(expression, namespace)  # noqa: S307  # our own pages


def figure(found: Any) -> str:
    """A figure of matplotlib as SVG, the same bytes each time."""
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "tapegrad"}):
        found.savefig(file, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return file.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
