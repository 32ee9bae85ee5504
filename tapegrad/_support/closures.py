"""Functions kept to be called again later: what they read is held as it is now, or compared.

A function that a loop defines reads the loop's variable when it is called. Called again after the
loop, it would be another function, in silence.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Final, TypeAlias, cast, final

import attrs

__all__ = [
    "Closure", "GlobalNumbers", "Seen", "Snapshot", "Witness", "captured", "captured_again",
    "changed_global", "global_numbers", "opened",
]  # fmt: skip

_DEEPEST: Final = 4
"""The most functions that read each other and are held."""

GlobalNumbers: TypeAlias = tuple[tuple[str, object], ...]
"""The names and the values of global variables that a function reads."""


@final
@attrs.frozen
class Closure:
    """A function, and what its cells hold now; None in place of a cell that is left to itself."""

    f: object
    contents: tuple[tuple[object] | None, ...]

    def opened(self) -> FunctionType:
        """The function on cells of its own, which nobody writes to."""
        f = cast(FunctionType, self.f)
        pairs = zip(f.__closure__ or (), self.contents, strict=True)
        cells = tuple(cell if held is None else CellType(opened(held[0])) for cell, held in pairs)
        made = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, cells)
        made.__kwdefaults__ = f.__kwdefaults__
        return cast(FunctionType, functools.update_wrapper(made, f))


def captured(f: object, depth: int = 0) -> object:
    """A function with what its cells hold; anything that has no cells as it is.

    Cells that the function writes to are left to themselves.
    """
    if type(f) is not FunctionType or not f.__closure__ or depth > _DEEPEST:
        return f
    written = _written(f.__code__)
    names = zip(f.__code__.co_freevars, f.__closure__, strict=True)
    return Closure(f, tuple(None if x in written else _held(cell, depth) for x, cell in names))


def captured_again(f: object, before: object) -> object:
    """Captures a function; gives ``before`` if that is the same, which saves memory."""
    now = captured(f)
    return before if _are_one(now, before) else now


def _are_one(one: object, other: object) -> bool:
    """Whether two functions that were captured are one, on the same objects."""
    if not (isinstance(one, Closure) and isinstance(other, Closure)):
        return one is other
    pairs = zip(one.contents, other.contents, strict=False)
    return one.f is other.f and all(
        x is y is None or (x is not None and y is not None and _are_one(x[0], y[0]))
        for x, y in pairs
    )


def _held(cell: CellType, depth: int) -> tuple[object] | None:
    try:
        return (captured(cell.cell_contents, depth + 1),)
    except ValueError:  # the cell is empty: its variable is not bound yet
        return None


def opened(f: object) -> object:
    """The function of a ``Closure``; anything else as it is."""
    return f.opened() if isinstance(f, Closure) else f


def global_numbers(f: object) -> GlobalNumbers:
    """The global variables that the code of a function reads, where they are numbers or text."""
    plain = f.f if isinstance(f, Closure) else f
    if type(plain) is not FunctionType:
        return ()
    scope = plain.__globals__
    read = ((name, scope.get(name)) for name in _read_globals(plain.__code__))
    return tuple(pair for pair in read if type(pair[1]) in {int, float, bool, str})


def changed_global(f: object, then: GlobalNumbers) -> str:
    """Says which of these global variables has another value now; "" if none has."""
    plain = f.f if isinstance(f, Closure) else f
    scope = cast("dict[str, object]", getattr(plain, "__globals__", {}))
    for name, value in then:
        now = scope.get(name)
        if repr(now) != repr(value):
            return f"the global {name}, which was {value!r} and is {now!r} now"
    return ""


@final
@attrs.frozen(eq=False)
class Snapshot:
    """The variables in enclosing functions, and the global numbers, that some functions read."""

    held: tuple[object, ...]
    reads: tuple[GlobalNumbers, ...]

    @classmethod
    def of(cls, functions: Iterable[object]) -> Snapshot:
        """The values that the functions read now."""
        held = tuple(map(captured, functions))
        return cls(held, tuple(map(global_numbers, held)))

    def is_current(self) -> bool:
        """Whether they read the same objects still."""
        return all(map(_still_holds, self.held)) and not self.changed()

    def changed(self) -> str:
        """Says which global variable has another value now; "" if none has."""
        pairs = zip(self.held, self.reads, strict=True)
        return next(filter(None, (changed_global(f, then) for f, then in pairs if then)), "")


def _still_holds(held: object) -> bool:
    """Whether the cells of a closure hold what they held."""
    if not isinstance(held, Closure):
        return True
    pairs = zip(getattr(held.f, "__closure__", None) or (), held.contents, strict=True)
    return all(then is None or _is_same(cell, then[0]) for cell, then in pairs)


def _is_same(cell: CellType, then: object) -> bool:
    try:
        now: object = cell.cell_contents
    except ValueError:
        return False
    if isinstance(then, Closure):
        return then.f is now and _still_holds(then)
    return then is now


Seen: TypeAlias = tuple[tuple[tuple[float, ...], float], ...]
"""Numbers that a function was called with, and what it gave."""


@final
class Witness:
    """Values that a function once gave; one that gives others is another function.

    They are written once, by the first call, and stand for nothing else.
    """

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: Seen = ()

    def see(self, seen: Seen) -> None:
        """Keeps what it is shown first."""
        self.seen = self.seen or seen


@functools.lru_cache(1024)
def _written(code: CodeType) -> frozenset[str]:
    """The variables of enclosing functions that the code, or code inside it, writes to."""
    return frozenset(_names(code, lambda name: name in {"STORE_DEREF", "DELETE_DEREF"}))


@functools.lru_cache(1024)
def _read_globals(code: CodeType) -> tuple[str, ...]:
    """The global variables that the code, or code inside it, reads."""
    return tuple(dict.fromkeys(_names(code, lambda name: name == "LOAD_GLOBAL")))


def _names(code: CodeType, concerns: Callable[[str], bool]) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if concerns(instruction.opname):
            yield str(instruction.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner, concerns)
