# `Source`: DOT text as it stands.

from collections.abc import Iterator
from os import PathLike
from typing import Self

from graphviz.jupyter_integration import JupyterIntegration
from graphviz.rendering import Render
from graphviz.unflattening import Unflatten

class Source(Render, JupyterIntegration, Unflatten):
    def __init__(
        self,
        source: str,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        format: str | None = None,
        engine: str | None = None,
        encoding: str | None = "utf-8",
        *,
        renderer: str | None = None,
        formatter: str | None = None,
        loaded_from_path: PathLike[str] | None = None,
    ) -> None: ...
    @classmethod
    def from_file(
        cls,
        filename: str | PathLike[str],
        directory: str | PathLike[str] | None = None,
        format: str | None = None,
        engine: str | None = None,
        encoding: str | None = "utf-8",
        renderer: str | None = None,
        formatter: str | None = None,
    ) -> Self: ...
    def __iter__(self) -> Iterator[str]: ...
    def save(
        self,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        *,
        skip_existing: bool | None = None,
    ) -> str: ...
