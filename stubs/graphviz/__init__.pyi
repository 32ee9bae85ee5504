# The Python package `graphviz` 0.20 and 0.21, which ships no types.
#
# Written by hand and held true by `stubtest`, which compares only what has the same name on both
# sides: hence the bases below live in the modules, and go by the names, that they have there. A
# private base of our own would be passed over in silence.

import builtins
import subprocess
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

from graphviz.graphs import Digraph, Graph
from graphviz.sources import Source

__all__ = [
    "DOT_BINARY",
    "ENGINES",
    "FORMATS",
    "FORMATTERS",
    "RENDERERS",
    "SUPPORTED_JUPYTER_FORMATS",
    "UNFLATTEN_BINARY",
    "CalledProcessError",
    "Digraph",
    "DotSyntaxWarning",
    "ExecutableNotFound",
    "FileExistsError",
    "FormatSuffixMismatchWarning",
    "Graph",
    "RequiredArgumentError",
    "Source",
    "UnknownSuffixWarning",
    "escape",
    "nohtml",
    "pipe",
    "pipe_lines",
    "pipe_lines_string",
    "pipe_string",
    "render",
    "set_default_engine",
    "set_default_format",
    "set_jupyter_format",
    "unflatten",
    "version",
    "view",
]

__title__: str
__version__: str
__author__: str
__license__: str
__copyright__: str

ENGINES: set[str]
FORMATS: set[str]
RENDERERS: set[str]
FORMATTERS: set[str]
SUPPORTED_JUPYTER_FORMATS: set[str]
DOT_BINARY: Path
UNFLATTEN_BINARY: Path

# Quoting: both give a str that is written between double quotes whatever it looks like.

def escape(s: str) -> str: ...
def nohtml(s: str) -> str: ...

# What can go wrong.

class ExecutableNotFound(RuntimeError):
    def __init__(self, args: Sequence[str | PathLike[str]]) -> None: ...

class CalledProcessError(subprocess.CalledProcessError): ...
class RequiredArgumentError(TypeError): ...
class FileExistsError(builtins.FileExistsError): ...
class UnknownSuffixWarning(RuntimeWarning): ...
class FormatSuffixMismatchWarning(UserWarning): ...
class DotSyntaxWarning(RuntimeWarning): ...

# The programs `dot` and `unflatten` as functions.

def version() -> tuple[int, ...]: ...
def view(filepath: str | PathLike[str], quiet: bool = False) -> None: ...
def unflatten(
    source: str,
    stagger: int | None = None,
    fanout: bool = False,
    chain: int | None = None,
    encoding: str = "utf-8",
) -> str: ...
@overload
def render(
    engine: str,
    format: str,
    filepath: str | PathLike[str],
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
    *,
    outfile: None = None,
    raise_if_result_exists: bool = False,
    overwrite_filepath: bool = False,
) -> str: ...
@overload
def render(
    engine: str,
    format: str | None = None,
    filepath: str | PathLike[str] | None = None,
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
    *,
    outfile: str | PathLike[str],
    raise_if_result_exists: bool = False,
    overwrite_filepath: bool = False,
) -> str: ...
def pipe(
    engine: str,
    format: str,
    data: bytes,
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
) -> bytes: ...
def pipe_string(
    engine: str,
    format: str,
    input_string: str,
    *,
    encoding: str,
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
) -> str: ...
def pipe_lines(
    engine: str,
    format: str,
    input_lines: Iterator[str],
    *,
    input_encoding: str,
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
) -> bytes: ...
def pipe_lines_string(
    engine: str,
    format: str,
    input_lines: Iterator[str],
    *,
    encoding: str,
    renderer: str | None = None,
    formatter: str | None = None,
    neato_no_op: bool | int | None = None,
    quiet: bool = False,
) -> str: ...

# Process-wide defaults: each gives back the value it replaces.

def set_default_engine(engine: str) -> str: ...
def set_default_format(format: str) -> str: ...
def set_jupyter_format(jupyter_format: str) -> str: ...
