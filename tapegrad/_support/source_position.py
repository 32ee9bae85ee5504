"""Positions in the user's program."""

from __future__ import annotations

import functools
import linecache
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import CodeType, FrameType
from typing import Final, TypeAlias, TypeVar, final

import attrs

from tapegrad._support.text import visible

__all__ = [
    "Mark", "Site", "cell_number", "file_name", "function_line", "here", "is_called_by_solver",
    "is_called_from_outside", "mark", "on_behalf_of", "outer_frame", "raised_at",
    "refresh_sources", "resolve", "site", "solver_hint", "user_frame", "user_mark", "warn",
    "written",
]  # fmt: skip

T = TypeVar("T")

_REACH: Final = 200
"""The most lines above a line at which the ``def`` of its function is looked for."""

_CALLERS: Final = frozenset(("tapegrad.__main__", "tapegrad.cli.demo"))
"""The modules of the package that call it as a user does."""

_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  # pathlib is slow to import
"""The directory of the standard library."""

_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
"""Directories into which packages are installed."""

_SOLVERS: Final = ("scipy.optimize._zeros", "scipy.optimize._root", "scipy.optimize._minpack")
"""How the names of the modules begin that solve equations."""

_GENERATED: Final = ("<frozen ", "<__array_function__ internals>", "<attrs generated ")
"""How the file names of code begin that other packages generate."""

Mark: TypeAlias = tuple[CodeType, int]
"""A code object and an instruction offset, which recording keeps: lines are looked up later."""


@final
@attrs.frozen
class Site:
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        cell = cell_number(self.file)
        if cell is not None:
            return f"cell {cell}, line {self.line}"
        return f"{file_name(self.file)}:{self.line}"


def file_name(file: str) -> str:
    """The name of a file without its folder, or that of a notebook's cell."""
    cell = cell_number(file)
    name = os.path.basename(file)  # noqa: PTH119  # pathlib is slow to import
    return visible(name) if cell is None else f"cell {cell}"


def cell_number(file: str) -> int | None:
    """The number of the notebook's cell that a file stands for, as IPython counts its runs."""
    compiler = getattr(_shell(), "compile", None)
    numbers: Mapping[str, int] = getattr(compiler, "_filename_map", {})
    return numbers.get(file)


def _shell() -> object:
    """The running shell of IPython, which alone loads its module; None elsewhere."""
    module = sys.modules.get("IPython.core.interactiveshell")
    shell = getattr(module, "InteractiveShell", None)
    return getattr(shell, "_instance", None)


def user_frame(depth: int = 0) -> FrameType:
    """The innermost frame of the user's code.

    It is neither tapegrad's own nor in an installed package or the standard library, which may
    lie between the user and tapegrad: ``brentq`` calls back, and so does ``functools``. Where all
    code is installed, it is the innermost frame that is not tapegrad's own.
    The frames of the first ``depth`` calls above this one are tapegrad's own.
    """
    frame: FrameType | None = sys._getframe(depth + 1)
    while frame is not None and not _is_users(frame):
        frame = frame.f_back
    return frame or outer_frame(sys._getframe(1))


def outer_frame(frame: FrameType) -> FrameType:
    """The innermost frame of code that is not tapegrad's own, from this one on."""
    while _is_ours(frame.f_globals.get("__name__")) and frame.f_back is not None:
        frame = frame.f_back
    return frame


@functools.cache
def _is_ours(module: object) -> bool:
    return str(module).startswith("tapegrad.") and module not in _CALLERS


def _is_users(frame: FrameType) -> bool:
    return _is_of_user(frame.f_globals.get("__name__"), frame.f_code.co_filename)


@functools.cache
def _is_of_user(module: object, file: str) -> bool:
    """Whether a module is the user's: one of the library's callers, or of no installed package."""
    if str(module).startswith("tapegrad."):
        return module in _CALLERS
    is_installed = file.startswith((_LIBRARY, *_GENERATED)) or any(x in file for x in _INSTALLED)
    return not is_installed


def is_called_from_outside(depth: int) -> bool:
    """Whether the frame that many calls above this one is not of tapegrad's own."""
    return not _is_ours(sys._getframe(depth).f_globals.get("__name__"))


def mark(depth: int = 1) -> Mark:
    """The current instruction outside of tapegrad, in an installed package perhaps.

    It is cheap, and of the lines of a model that is installed it is the right one. The frames of
    the first ``depth`` calls above this one are tapegrad's own.
    """
    frame = outer_frame(sys._getframe(depth))
    return frame.f_code, frame.f_lasti


def user_mark(depth: int = 0) -> Mark:
    """The user's current instruction; ``depth`` as of ``user_frame``."""
    frame = sys._getframe(depth + 1)
    if not _is_users(frame):
        frame = user_frame(depth + 1)
    return frame.f_code, frame.f_lasti


def here() -> str:
    """The user's current line, as text for a message."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame):
        if frame.f_code is on_behalf_of.__code__:
            return str(frame.f_locals["place"])
        frame = frame.f_back
    return str(site(*user_mark()))


def on_behalf_of(place: Site, run: Callable[..., T], *args: object) -> T:
    """``run(*args)`` in another thread or process, for the line of the user's that asked for it.

    No frame of the user's lies there, and ``here`` finds the line in this one.
    """
    return run(*args)


def solver_hint() -> str:
    """The advice for a message where a solver of SciPy's lies in between; else ""."""
    frame, user = outer_frame(sys._getframe(1)), user_frame()
    while frame is not user and frame.f_back is not None:
        if str(frame.f_globals.get("__name__")).startswith(_SOLVERS):
            return "; to differentiate the solution of an equation, write tapegrad.root"
        frame = frame.f_back
    return ""


def is_called_by_solver() -> bool:
    """Whether a solver of SciPy's makes this call itself."""
    return str(outer_frame(sys._getframe(1)).f_globals.get("__name__")).startswith(_SOLVERS)


def warn(message: str) -> None:
    """Warns of the user's current line, however many calls of tapegrad's lie above it."""
    frame = user_frame()
    warnings.warn_explicit(
        message,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def raised_at(error: BaseException) -> tuple[str, str]:
    """The user's line from which an error was raised, and the name of the instruction there.

    The name is "" where the error was raised in code that the user's line calls.
    """
    line, instruction, trace = "", "", error.__traceback__
    while trace is not None:
        code, offset = trace.tb_frame.f_code, trace.tb_lasti
        instruction = ""
        if _is_users(trace.tb_frame):
            line, instruction = str(site(code, offset)), _instruction(code, offset)
        trace = trace.tb_next
    return line, instruction


def written() -> tuple[str, str]:
    """The name and the text of the user's current instruction, "" where they cannot be known."""
    frame = user_frame()
    code, offset = frame.f_code, frame.f_lasti
    line, end, start, stop = next(islice(code.co_positions(), offset // 2, None))
    text = linecache.getline(code.co_filename, line or 0) if line == end else ""
    return _instruction(code, offset), text.encode()[start:stop].decode(errors="ignore")


def _instruction(code: CodeType, offset: int) -> str:
    import opcode

    return opcode.opname[code.co_code[offset]]


def site(code: CodeType, offset: int) -> Site:
    """The line of one instruction."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return Site(code.co_filename, line, code.co_qualname)
    return Site(code.co_filename, code.co_firstlineno, code.co_qualname)


def resolve(marks: Iterable[Mark | None]) -> tuple[tuple[Site, ...], Sequence[int]]:
    """The distinct lines, and for each mark the index of its line (-1 for none).

    Marks are compared by the identity of the code object, which hashes by content, slowly.
    """
    sites: dict[Site, int] = {}
    seen: dict[int, dict[int, int]] = {}
    last, known = None, dict[int, int]()
    indices = []
    for entry in marks:
        if entry is None:
            indices.append(-1)
            continue
        code, offset = entry
        if code is not last:
            last, known = code, seen.setdefault(id(code), {})
        index = known.get(offset)
        if index is None:
            index = known[offset] = sites.setdefault(site(code, offset), len(sites))
        indices.append(index)
    return tuple(sites), indices


def function_line(place: Site) -> int | None:
    """The line of the ``def`` around a line, if it is near; None for a lambda outside functions."""
    names = [name for name in place.function.split(".") if name.isidentifier()]
    if not names:
        return None
    begins = re.compile(rf"\s*(async\s+)?def\s+{names[-1]}\b")
    above = range(place.line, max(place.line - _REACH, 0), -1)
    return next((at for at in above if begins.match(linecache.getline(place.file, at))), None)


def refresh_sources(places: Iterable[Site]) -> None:
    """Drops the cached text of files that have changed, so that it is read again."""
    for file in {place.file for place in places}:
        linecache.checkcache(file)
