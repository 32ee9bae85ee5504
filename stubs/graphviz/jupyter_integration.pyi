# `JupyterIntegration`: the rendered picture in memory. Everything here raises ExecutableNotFound
# where the program `dot` is missing, the notebook display included.

from collections.abc import Iterable
from typing import overload

class JupyterIntegration:
    @overload
    def pipe(
        self,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: None = None,
    ) -> bytes: ...
    @overload
    def pipe(
        self,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: str,
    ) -> str: ...
    def _repr_mimebundle_(
        self,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        **_: object,
    ) -> dict[str, bytes | str]: ...
    def _repr_image_jpeg(self) -> bytes: ...
    def _repr_image_png(self) -> bytes: ...
    def _repr_image_svg_xml(self) -> str: ...
