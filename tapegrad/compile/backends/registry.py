"""The registry of backends, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, final, get_args

import attrs

from tapegrad._support.optional_packages import missing, require
from tapegrad._support.source_position import here
from tapegrad.compile.backends.c import C
from tapegrad.compile.backends.interface import (
    Backend,
    CompileRows,
    CompileScalar,
    RowOptions,
    ScalarCode,
)
from tapegrad.compile.backends.llvm import LLVM
from tapegrad.compile.backends.numpy import NUMPY
from tapegrad.compile.backends.python import PYTHON
from tapegrad.compile.program import Program
from tapegrad.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BACKENDS", "BackendName", "Choice", "Language", "chosen"]

BACKENDS: Final[Mapping[str, Backend]] = {
    backend.name: backend
    for backend in (
        PYTHON,
        NUMPY,
        LLVM,
        C,
    )
}
"""Every backend by its name; of two that can do the same, the quicker comes later."""

BackendName: TypeAlias = Literal["auto", "python", "numpy", "llvm"]
"""The backends that run programs; ``auto`` takes the quickest that is installed."""

Language: TypeAlias = Literal["python", "llvm", "c"]
"""The backends that write programs as source."""


@final
@attrs.frozen(eq=False)
class Choice:
    """The backend that runs, and why it is that one."""

    backend: Backend
    why: str

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    def scalar(self, program: Program) -> ScalarCode:
        """Compile a program for one call; the backend was chosen for that."""
        return cast(CompileScalar, self.backend.scalar)(program)

    def rows(self, program: Program, options: RowOptions) -> Callable[..., None]:
        """Compile a program for rows, as a ``RowCode``; the backend was chosen for that."""
        return cast(CompileRows, self.backend.rows)(program, options)

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def chosen(name: str, *, rows: bool) -> Choice:
    """Choose the backend for one call, or with ``rows`` for columns of numbers.

    Raises:
        BackendError: when it is not known, not installed, or cannot do this.
    """
    able = [b for b in BACKENDS.values() if (b.rows if rows else b.scalar) is not None]
    if name == "auto":
        return _quickest(able)
    if name not in get_args(BackendName):
        names = ", ".join(get_args(BackendName))
        raise BackendError(f"backend {name!r} is not known ({here()}): choose among {names}")
    backend = BACKENDS[name]
    if backend not in able:
        does, lacks = ("one call", "columns of numbers")[:: 1 if rows else -1]
        use, other = ("jit", "vmap")[:: 1 if rows else -1]
        names = " or ".join(f'"{backend.name}"' for backend in able)
        raise BackendError(
            f"the {name} backend runs {does}, not {lacks} ({here()}): use {use}, or {other} with "
            f"backend={names}"
        )
    require(*backend.needs)
    return Choice(backend, "as asked")


def _quickest(able: Sequence[Backend]) -> Choice:
    """Choose the quickest backend whose packages are installed."""
    lacking = [missing(backend.needs) for backend in able]
    ready = [backend for backend, package in zip(able, lacking, strict=True) if package is None]
    backend = (ready or able[:1])[-1]
    require(*backend.needs)
    if lacking[-1] is not None:
        return Choice(backend, f"{lacking[-1]} is not installed")
    return Choice(backend, f"{' and '.join(reversed(backend.needs))} are installed")
