"""Views of a tape's entries."""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from tapegrad.positions import Site
from tapegrad.primitive import Primitive

__all__ = ["Apply", "Constant", "Guard", "Input", "Node", "Scope"]


@final
@attrs.frozen
class Input:
    """An entry that the tape was opened with; ``path`` names it."""

    slot: int
    value: float
    path: str
    label: str | None = None


@final
@attrs.frozen
class Constant:
    """An entry that holds a plain number met while recording."""

    slot: int
    value: float
    label: str | None = None
    scope: tuple[str, ...] = ()
    site: Site | None = None


@final
@attrs.frozen
class Apply:
    """An entry that applies a row to earlier slots (and to a static operand, if it has one)."""

    slot: int
    primitive: Primitive
    operands: tuple[int, ...]
    static: tuple[object, ...]
    value: float
    label: str | None = None
    scope: tuple[str, ...] = ()
    site: Site | None = None


@final
@attrs.frozen
class Guard:
    """An entry that records a truth value Python asked for, and what it was."""

    slot: int
    operand: int
    outcome: bool
    scope: tuple[str, ...] = ()
    site: Site | None = None


Node: TypeAlias = Input | Constant | Apply | Guard
"""A view of one entry."""


@final
@attrs.frozen
class Scope:
    """The entries ``start <= slot < stop``, recorded inside a function named by ``@scope``."""

    name: str
    start: int
    stop: int
    parent: int | None
