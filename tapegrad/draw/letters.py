"""The room that text takes, whichever usual font it is shown in.

Nobody knows which font a reader has. Each width here is that of DejaVu Sans, the widest of those
that programs take for Helvetica, so text that has this room is not clipped in another.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FONT", "MONO", "text_width"]

FONT: Final = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
MONO: Final = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"

_WIDTHS: Final = {
    letter: width / 1000.0
    for width, letters in {
        280: "'ijl", 320: " ,.IJ\xa0·", 360: "/:;\\f|", 400: "()-[]t", 440: "!r", 480: '"',
        520: "*_`", 560: "?Lcsz", 600: "Fkvxy", 640: "$0123456789EPSTYabdeghnopqu{}", 680: "K",
        720: "ABCRVXZ", 760: "HNU", 800: "&DGOQ", 840: "#+<=>^w~×", 880: "M", 960: "%",
    }.items()
    for letter in letters
}  # fmt: skip
"""Widths of letters by size; those of all others are at most 1."""

_MONO: Final = 0.61
_BOLD: Final = 1.2


def text_width(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """The most room that text of this size takes.

    >>> round(text_width("grad 24", 10.0), 1), round(text_width("grad 24", 10.0, mono=True), 1)
    (39.6, 42.7)
    """
    if mono:
        return size * _MONO * sum(1 if letter.isascii() else 2 for letter in text)
    width = sum(_WIDTHS.get(letter, 1.0) for letter in text)
    return size * width * (_BOLD if bold else 1.0)
