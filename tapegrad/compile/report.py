"""What compiled functions tell of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here, warn
from tapegrad._support.text import number
from tapegrad.pytree.key_paths import Keys, named
from tapegrad.pytree.matching import same_static
from tapegrad.pytree.structure import Branch, Static, Structure

__all__ = ["PathReport", "Report", "ShapeReport", "varying", "warn_of_many"]

_SHOWN = 6
_MANY = 8
"""So many recordings that differ in one static value earn a warning."""


@final
@attrs.frozen
class PathReport:
    """One path: where it branches and how, what runs it, and what it took.

    ``constants`` are the plain numbers met while recording, with their lines; ``rows`` counts the
    rows of batches that took this path, ``recording`` and ``compiling`` are seconds.
    """

    guards: tuple[str, ...]
    outcomes: tuple[bool, ...]
    entries: int
    called_back: tuple[str, ...]
    constants: tuple[tuple[float, str], ...]
    runs_on: str
    recording: float
    compiling: float
    rows: int = 0

    def __str__(self) -> str:
        rows = f", {self.rows:,} rows" if self.rows else ""
        took = f"recorded in {self.recording:.3f} s, compiled in {self.compiling:.3f} s"
        title = f"{self.entries:,} entries on {self.runs_on}{rows}; {took}"
        return "\n".join([title, *self._details()])

    def _details(self) -> Iterator[str]:
        if self.guards:
            pairs = zip(self.guards, self.outcomes, strict=True)
            yield f"  guards: {_few([f'{guard} {outcome}' for guard, outcome in pairs])}"
        if self.called_back:
            yield f"  called back into Python: {', '.join(self.called_back)}"
        if self.constants:
            distinct = dict.fromkeys(f"{number(value)} ({line})" for value, line in self.constants)
            yield f"  constants: {_few(list(distinct))}"


def _few(parts: Sequence[str]) -> str:
    more = f", ... {len(parts) - _SHOWN:,} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more


@final
@attrs.frozen
class ShapeReport:
    """The paths recorded for arguments of one structure."""

    paths: tuple[PathReport, ...]

    def __str__(self) -> str:
        title = f"{len(self.paths)} path{'s' * (len(self.paths) != 1)}"
        body = "\n".join(map(str, self.paths))
        return f"{title}\n  " + body.replace("\n", "\n  ")


@final
@attrs.frozen
class Report:
    """What a compiled function is: the backend and why, and what was recorded.

    ``varying`` names the static argument in which alone its recordings differ, if one does.
    """

    name: str
    backend: str
    shapes: tuple[ShapeReport, ...]
    varying: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.name}: backend {self.backend}"]
        lines += [str(shape) for shape in self.shapes] or ["nothing recorded yet"]
        if self.varying and len(self.shapes) >= _MANY:
            lines.append(f"recorded anew for each {self.varying}: pass a float to record once")
        return "\n".join(lines)


def varying(f: Callable[..., object], shapes: Sequence[tuple[Branch, Branch]]) -> str | None:
    """The path of the one static value in which these calls differ from the first, if it is one."""
    found = [list(_differences(shapes[0], shape)) for shape in shapes[1:]]
    if not found or any(keys != found[0] or len(keys) != 1 for keys in found):
        return None
    return _name(f, found[0][0])


def warn_of_many(f: Callable[..., object], shapes: Sequence[tuple[Branch, Branch]]) -> None:
    """Warns at the user's line of the eighth recording where they differ in one static value."""
    if len(shapes) == _MANY and (found := varying(f, shapes)) is not None:
        warn(
            f"{name_of(f)} ({here()}) has been recorded {_MANY} times for arguments that differ in "
            f"{found}, which is static: pass a float, or containers of one shape, to record once"
        )


def _name(f: Callable[..., object], keys: Keys) -> str:
    """The path of a place in the arguments of a call."""
    by_name, argument, *rest = keys
    if by_name:
        return named(f, (argument,), tuple(rest))
    return named(f, (cast(int, argument) - 1,) if argument else (), tuple(rest))


def _differences(one: tuple[Branch, Branch], other: tuple[Branch, Branch]) -> Iterator[Keys]:
    for index, (left, right) in enumerate(zip(one, other, strict=True)):
        yield from _apart(left, right, (index,))


def _apart(one: Structure, other: Structure, keys: Keys) -> Iterator[Keys]:
    """Where two structures differ, in a static value or altogether."""
    if isinstance(one, Static) and isinstance(other, Static):
        if not same_static(one.value, other.value):
            yield keys
    elif isinstance(one, Branch) and isinstance(other, Branch) and one.keys == other.keys:
        for key, left, right in zip(one.keys, one.children, other.children, strict=True):
            yield from _apart(left, right, (*keys, key))
    elif one != other:
        yield keys
