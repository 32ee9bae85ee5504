"""The static type of an object of the ``graphviz`` package, which has no types of its own."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Protocol, Self, overload

__all__ = ["GraphvizSource"]


class GraphvizSource(Protocol):
    """DOT text with the ways that ``graphviz`` has to lay it out: a ``graphviz.Source``."""

    filename: str
    directory: str
    format: str
    engine: str

    @property
    def source(self) -> str:
        """The DOT text."""

    @property
    def filepath(self) -> str:
        """The path that the text is saved under."""

    @property
    def encoding(self) -> str:
        """The encoding of the file."""

    def __iter__(self) -> Iterator[str]:
        """The lines of the text."""

    def copy(self) -> Self:
        """The same text in an object of its own."""

    def save(
        self,
        filename: str | PathLike[str] | None = None,
        *,
        directory: str | PathLike[str] | None = None,
    ) -> str:
        """Writes the text to a file, and returns its path."""

    def render(  # noqa: PLR0913  # the parameters that graphviz has
        self,
        filename: str | PathLike[str] | None = None,
        *,
        directory: str | PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        outfile: str | PathLike[str] | None = None,
        engine: str | None = None,
    ) -> str:
        """Writes the text and the picture, and returns the path of the picture."""

    def view(
        self,
        filename: str | PathLike[str] | None = None,
        *,
        directory: str | PathLike[str] | None = None,
        cleanup: bool = False,
    ) -> str:
        """Writes both and opens the picture."""

    @overload
    def pipe(
        self, format: str | None = None, *, engine: str | None = None, encoding: None = None
    ) -> bytes: ...
    @overload
    def pipe(
        self, format: str | None = None, *, engine: str | None = None, encoding: str
    ) -> str: ...
    def pipe(
        self, format: str | None = None, *, engine: str | None = None, encoding: str | None = None
    ) -> bytes | str:
        """The picture, as text where an encoding is given."""

    def unflatten(
        self, *, stagger: int | None = None, fanout: bool = False, chain: int | None = None
    ) -> GraphvizSource:
        """The text of a narrower picture."""
