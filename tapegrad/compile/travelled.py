"""Checks the recordings that come with a compiled function from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import attrs

from tapegrad._support.text import describe
from tapegrad.compile.paths import AnyTape
from tapegrad.entries.invariants import leaf_count
from tapegrad.errors import TapeError
from tapegrad.pytree.matching import first_difference
from tapegrad.pytree.structure import Branch, Structure
from tapegrad.tape import Tape
from tapegrad.transforms.static_arguments import StaticArguments

__all__ = ["require_fit", "require_whole"]


def require_fit(
    shape: object, tapes: Sequence[object], places: Sequence[int] | None = None
) -> None:
    """Lets tapes through that were recorded from arguments of this shape.

    ``places`` are the inputs that differ between the rows of a batch, whose tapes all give the same
    structure.

    Raises:
        TapeError: for any others.
    """
    arguments = _arguments(shape)
    count = sum(map(leaf_count, arguments))
    if places is not None and (
        not all(type(place) is int for place in places)
        or list(places) != sorted({place for place in places if 0 <= place < count})
    ):
        raise TapeError(f"the mapped inputs {describe(places)} are not among {count} in order")
    for index, tape in enumerate(tapes):
        if not isinstance(tape, Tape) or not _fits(tape, arguments):
            raise TapeError(f"tape {index} was not recorded from the arguments that it came with")
        if places is not None and not _alike(tape.result, cast(AnyTape, tapes[0]).result):
            raise TapeError(f"tape {index} gives another structure than tape 0")


def require_whole(value: object, kind: type) -> None:
    """Lets an instance of one of our classes through that has all its fields.

    Raises:
        TapeError: for anything else.
    """
    fields = attrs.fields(kind)
    if not isinstance(value, kind) or not all(hasattr(value, field.name) for field in fields):
        raise TapeError(f"a compiled function came without its {kind.__name__}")
    if isinstance(value, StaticArguments):
        kinds = type(value.names), type(value.positions), isinstance(value.rest, int | float)
        if kinds != (frozenset, frozenset, True):
            raise TapeError("a compiled function came with static arguments that have no names")


def _arguments(shape: object) -> Sequence[Structure]:
    """The structures of the arguments, those by position first."""
    parts = shape.children if isinstance(shape, Branch) else ()
    if len(parts) != 2 or not all(isinstance(part, Branch) for part in parts):
        raise TapeError("a compiled function came with a shape that is not one of arguments")
    by_position, by_name = cast("tuple[Branch, Branch]", parts)
    if by_position.kind is not tuple or by_name.kind is not dict:
        raise TapeError("a compiled function came with a shape that is not one of arguments")
    if not all(type(key) is str for key in by_name.keys):
        raise TapeError("a compiled function came with arguments by names that are no names")
    leaf_count(cast(Branch, shape))
    return (*by_position.children, *by_name.children)


def _fits(tape: AnyTape, arguments: Sequence[Structure]) -> bool:
    """Whether a tape's arguments are built like these.

    Of a call without any by position, the first on the tape is an empty tuple.
    """
    data = cast(Branch, tape.data).children
    own = (tape.parameters, *data) if len(arguments) > len(data) else data
    return len(own) == len(arguments) and all(map(_alike, own, arguments))


def _alike(one: Structure, other: Structure) -> bool:
    return first_difference(one, other) is None
