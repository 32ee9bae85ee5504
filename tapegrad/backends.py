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
    require(*_NEEDS[backend])
    return Choice(backend, "as asked")


def _quickest(*, rows: bool) -> Choice:
    if installed("llvmlite") and installed("numpy"):
        return Choice("llvm", "numpy and llvmlite are installed")
    if rows:
        require("numpy")
        return Choice("numpy", "llvmlite is not installed")
    lacked = "numpy" if installed("llvmlite") else "llvmlite"
    return Choice("python", f"{lacked} is not installed")


_EXTRAS = {"numpy": "numpy", "llvmlite": "native", "scipy": "scipy"}
_NEEDS = {"numpy": ("numpy",), "llvm": ("llvmlite", "numpy"), "python": ()}


def require(*packages: str) -> None:
    """Let through what needs packages that are installed.

    Raises:
        BackendError: for the first that is not; it names the command that installs it.
    """
    for package in packages:
        if not installed(package):
            raise BackendError(
                f"this needs {package}, which is not installed ({here()}): run "
                f"pip install 'tapegrad[{_EXTRAS[package]}]'"
            )
