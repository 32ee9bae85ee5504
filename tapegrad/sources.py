"""A program as source, in the languages that there are backends for."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tapegrad.errors import BackendError
from tapegrad.positions import here
from tapegrad.program import Program

__all__ = ["Language", "source"]

Language: TypeAlias = Literal["python", "llvm", "c"]


def source(program: Program | None, language: Language) -> str:
    """The program's text.

    Raises:
        BackendError: when there is none yet, or the language is not known or cannot say it.
    """
    if program is None:
        raise BackendError(f"nothing has been recorded yet ({here()}): call the function first")
    if language == "python":
        from tapegrad.interpret.python import source as python

        return python(program)
    if language == "llvm":
        from tapegrad.interpret.llvm import module

        return module(program).text
    if language == "c":
        from tapegrad.interpret.c import source as c

        return c(program)
    raise BackendError(
        f"language {language!r} is not known ({here()}): choose among python, llvm and c"
    )
