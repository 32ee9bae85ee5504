"""How Sphinx builds the site: ``python -m sphinx docs build/docs``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tapegrad import __version__  # noqa: E402  # of this checkout

project = "tapegrad"
author = "the tapegrad authors"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    # Docstrings have `Raises:` sections.
    "sphinx.ext.napoleon",
    # Pictures and tables that the build makes.
    "_site.commands",
    "_site.drawings",
    "_site.operations",
    "_site.programs",
    "_site.signatures",
]
exclude_patterns = ["_site", "_static"]
nitpicky = False
suppress_warnings = [
    # Pages are read on the repository's own site, too, where each has one title.
    "myst.header",
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_display_short_literal_types = True
add_module_names = False

html_theme = "furo"
html_title = "tapegrad"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_copy_source = False
# Excerpts would be fetched, which browsers refuse for files that are opened without a server.
html_show_search_summary = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
