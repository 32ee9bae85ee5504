"""The packages that some features need, and the commands that install them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Final

from tapegrad._support.source_position import here
from tapegrad.errors import BackendError

__all__ = ["installed", "missing", "require"]

_EXTRAS: Final = {
    "llvmlite": "native",
    "matplotlib": "plot",
    "numpy": "numpy",
    "scipy": "scipy",
}


@cache
def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def missing(packages: Sequence[str]) -> str | None:
    """The first of these packages that is not installed."""
    return next((package for package in packages if not installed(package)), None)


def require(*packages: str) -> None:
    """Raises a ``BackendError`` for the first package that is not installed; it says what to do."""
    package = missing(packages)
    if package is not None:
        raise BackendError(
            f"this needs {package}, which is not installed ({here()}): run "
            f"pip install 'tapegrad[{_EXTRAS[package]}]'"
        )
