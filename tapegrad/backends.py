"""Which backend runs a compiled function, and why."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, TypeAlias, final, get_args

import attrs

from tapegrad.errors import BackendError
from tapegrad.positions import here

__all__ = ["Backend", "Choice", "chosen", "installed", "require"]

Backend: TypeAlias = Literal["auto", "python", "numpy", "llvm"]
"""``auto`` takes the quickest that is installed."""


@final
@attrs.frozen
class Choice:
    """The backend that runs, and why it is that one."""

    name: Literal["python", "numpy", "llvm"]
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@cache
def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def chosen(backend: Backend, *, rows: bool) -> Choice:
    """The backend for one call, or with ``rows`` for columns of numbers.

    Raises:
        BackendError: when it is not known, not installed, or cannot do this.
    """
    if backend == "auto":
        return _quickest(rows=rows)
    if backend not in get_args(Backend):
        names = ", ".join(get_args(Backend))
        raise BackendError(f"backend {backend!r} is not known ({here()}): choose among {names}")
    if backend == "numpy" and not rows:
        raise BackendError(
            f"the numpy backend runs columns of numbers, not one call ({here()}): use vmap, or "
            'jit with backend="python" or "llvm"'
        )
    if backend == "python" and rows:
        raise BackendError(
            f"the python backend runs one call, not columns of numbers ({here()}): use jit, or "
            'vmap with backend="numpy" or "llvm"'
        )
    require(backend)
    return Choice(backend, "as asked")


def _quickest(*, rows: bool) -> Choice:
    if installed("llvmlite") and installed("numpy"):
        return Choice("llvm", "numpy and llvmlite are installed")
    if rows:
        require("numpy")
        return Choice("numpy", "llvmlite is not installed")
    return Choice("python", "llvmlite is not installed")


_NEEDS = {"numpy": ("numpy", "numpy"), "llvm": ("llvmlite", "native"), "python": ("attrs", "")}


def require(backend: str) -> None:
    """Let a backend through that is installed."""
    package, extra = _NEEDS[backend]
    if not installed(package):
        raise BackendError(
            f"the {backend} backend needs {package}, which is not installed ({here()}): run "
            f"pip install 'tapegrad[{extra}]'"
        )
