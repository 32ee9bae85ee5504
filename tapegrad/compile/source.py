"""A program as source, in the languages that there are backends for."""

from __future__ import annotations

from tapegrad._support.source_position import here
from tapegrad.compile.backends.registry import BACKENDS, Language
from tapegrad.compile.program import Program
from tapegrad.errors import BackendError

__all__ = ["source"]


def source(program: Program | None, language: Language) -> str:
    """Write a program as text.

    Raises:
        BackendError: when there is none yet, or the language is not known or cannot say it.
    """
    if program is None:
        raise BackendError(f"nothing has been recorded yet ({here()}): call the function first")
    writers = {name: b.source for name, b in BACKENDS.items() if b.source is not None}
    if language not in writers:
        *others, last = writers
        raise BackendError(
            f"language {language!r} is not known ({here()}): choose among {', '.join(others)} and "
            f"{last}"
        )
    return writers[language](program)
