"""The registry of backends, the choice among them, and programs as source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, final, get_args

import attrs

from tapegrad._support.optional_packages import missing, require
from tapegrad._support.source_position import here
from tapegrad.compile.backends import c, python
from tapegrad.compile.backends.interface import (
    Backend,
    CompileRows,
    CompileScalar,
    RowOptions,
    RunLoop,
    RunSteps,
    ScalarCode,
)
from tapegrad.compile.program import Program
from tapegrad.errors import BackendError
from tapegrad.ops.array_support import serving

__all__ = ["BACKENDS", "BackendName", "Choice", "Language", "chosen", "source"]

if TYPE_CHECKING:
    # A user's type checker reads this file by way of `jit` and follows the imports that it sees;
    # below they lead to numpy, whose types take it longer than all of ours.
    def _numpy() -> Any: ...
    def _llvm() -> Any: ...
    def _llvm_in_steps() -> Any: ...
else:

    def _numpy():
        from tapegrad.compile.backends import numpy

        return numpy

    def _llvm():
        from tapegrad.compile.backends.llvm import machine_code

        return machine_code

    def _llvm_in_steps():
        from tapegrad.compile.backends.llvm import in_steps

        return in_steps


def _llvm_text(program: Program) -> str:
    from tapegrad.compile.backends.llvm.module import module

    return module(program).text


BACKENDS: Final[Mapping[str, Backend]] = {
    backend.name: backend
    for backend in (
        Backend("python", scalar=python.scalar, source=python.source, calls_any_row=True),
        Backend(
            "numpy",
            needs=("numpy",),
            rows=lambda program, options: _numpy().rows(program, options),
            fingerprint=lambda: _numpy().fingerprint(),
        ),
        Backend(
            "llvm",
            needs=("llvmlite", "numpy"),
            scalar=lambda program: _llvm().scalar(program),
            rows=lambda program, options: _llvm().rows(program, options),
            rows_in_steps=lambda program, options: _llvm_in_steps().rows_in_steps(program, options),
            each=lambda *given: cast("tuple[Any, Any]", _llvm().each()(*given)),
            loop=lambda *given: cast(RunLoop, _llvm().loop(*given)),
            nest=lambda *given: cast(RunLoop, _llvm().nest(*given)),
            steps=lambda *given: cast(RunSteps, _llvm().steps(*given)),
            chain=lambda: _llvm().chain(),
            source=_llvm_text,
            fingerprint=lambda: _llvm().fingerprint(),
            adds_rows=True,
            has_levels=True,
        ),
        Backend("c", source=c.source),
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
    """The chosen backend, and why it was chosen."""

    backend: Backend
    why: str

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    def scalar(self, program: Program) -> ScalarCode:
        """Compiles a program for one call; the backend was chosen for that."""
        return cast(CompileScalar, self.backend.scalar)(program)

    def rows(self, program: Program, options: RowOptions) -> Callable[..., None]:
        """Compiles a program for rows, as a ``RowCode``; the backend was chosen for that."""
        return cast(CompileRows, self.backend.rows)(program, options)

    def rows_in_steps(self, program: Program, options: RowOptions) -> Callable[..., None] | None:
        """Code for rows that is made in less time, if the backend has such."""
        make = self.backend.rows_in_steps
        return None if make is None else make(program, options)

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def chosen(name: str, *, rows: bool) -> Choice:
    """Chooses the backend for one call, or with ``rows`` for columns of numbers.

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
    """Chooses the quickest backend whose packages are installed."""
    lacking = [missing(backend.needs) for backend in able]
    ready = [backend for backend, package in zip(able, lacking, strict=True) if package is None]
    backend = (ready or able[:1])[-1]
    require(*backend.needs)
    if lacking[-1] is not None:
        return Choice(backend, f"{lacking[-1]} is not installed")
    return Choice(backend, f"{' and '.join(reversed(backend.needs))} are installed")


def source(program: Program | None, language: Language) -> str:
    """A program as text.

    Raises:
        BackendError: when there is none yet, or the language is not known or cannot say it.
    """
    if program is None:
        raise BackendError(
            f"nothing has been recorded yet ({here()}): compile the function first, or call it more"
        )
    writers = {name: b.source for name, b in BACKENDS.items() if b.source is not None}
    if language not in writers:
        *others, last = writers
        raise BackendError(
            f"language {language!r} is not known ({here()}): choose among {', '.join(others)} and "
            f"{last}"
        )
    if program.forms:
        if language != "python":
            raise BackendError(
                f"a path with arrays has no source in {language} ({here()}): ask for its source in "
                "python, which calls numpy"
            )
        return cast(str, serving("compile.arrays.plan").source(program))
    return writers[language](program)
