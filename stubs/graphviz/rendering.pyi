# `Render`: what Graph, Digraph and Source share on the way to a file.

from os import PathLike
from typing import Self

class Render:
    filename: str
    directory: str
    @property
    def filepath(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    @encoding.setter
    def encoding(self, encoding: str | None) -> None: ...
    @property
    def engine(self) -> str: ...
    @engine.setter
    def engine(self, engine: str) -> None: ...
    @property
    def format(self) -> str: ...
    @format.setter
    def format(self, format: str) -> None: ...
    @property
    def renderer(self) -> str | None: ...
    @renderer.setter
    def renderer(self, renderer: str | None) -> None: ...
    @property
    def formatter(self) -> str | None: ...
    @formatter.setter
    def formatter(self, formatter: str | None) -> None: ...
    @property
    def source(self) -> str: ...
    def copy(self) -> Self: ...
    def save(
        self,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        *,
        skip_existing: bool | None = False,
    ) -> str: ...
    def render(
        self,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        quiet_view: bool = False,
        *,
        outfile: str | PathLike[str] | None = None,
        engine: str | None = None,
        raise_if_result_exists: bool = False,
        overwrite_source: bool = False,
    ) -> str: ...
    def view(
        self,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        cleanup: bool = False,
        quiet: bool = False,
        quiet_view: bool = False,
    ) -> str: ...
