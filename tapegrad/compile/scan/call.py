"""``scan``: a loop that is recorded as one entry, however many steps it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import index as whole
from typing import Any, Final, TypeVar, cast, overload

from tapegrad._support.argument_checks import (
    name_of,
    require_callable,
    require_number,
    require_positive,
)
from tapegrad._support.optional_packages import installed
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.array_support import is_array, is_frame, serving
from tapegrad.ops.primitive import Traced, TracedArray, shape_of
from tapegrad.pytree.reachable import reaches_traced
from tapegrad.pytree.structure import traced_leaves

C = TypeVar("C")
X = TypeVar("X")
Y = TypeVar("Y")

__all__ = ["no_pair", "scan"]


_PLAIN: Final = {float, int, type(None)}
"""Kinds of what cannot be traced."""


@overload
def scan(
    step: Callable[[C, None], tuple[C, Y]],
    carry: C,
    xs: None,
    /,
    length: int,
    *,
    memory: float | None = None,
) -> tuple[C, list[Y]]: ...
@overload
def scan(
    step: Callable[[C, X], tuple[C, Y]],
    carry: C,
    xs: Iterable[X],
    /,
    length: int | None = None,
    *,
    memory: float | None = None,
) -> tuple[C, list[Y]]: ...
@overload  # a carry that begins as floats, and becomes numbers that may be traced
def scan(
    step: Callable[[C, None], tuple[C, Y]],
    carry: object,
    xs: None,
    /,
    length: int,
    *,
    memory: float | None = None,
) -> tuple[C, list[Y]]: ...
@overload
def scan(
    step: Callable[[C, X], tuple[C, Y]],
    carry: object,
    xs: Iterable[X],
    /,
    length: int | None = None,
    *,
    memory: float | None = None,
) -> tuple[C, list[Y]]: ...
def scan(
    step: Callable[..., tuple[C, Y]],
    carry: C,
    xs: Iterable[object] | None,
    /,
    length: int | None = None,
    *,
    memory: float | None = None,
) -> tuple[C, list[Y]]:
    """The last carry of a loop, and what each step gives: ``carry, y = step(carry, x)`` for all x.

    On plain numbers it is that loop. Where numbers are traced, it is one entry, which holds a tape
    of the step: a tape of a million steps is as short as that of ten. The loop runs as compiled
    code, and so do its derivatives, of any order, which are loops as well. For each step the carry
    before it and y are kept; the rest is computed again by the reverse sweep.

    ``xs`` holds numbers, or containers of numbers, or is an array, whose rows are passed on; with
    None there are ``length`` steps, which get None. The carry keeps its structure. The step may
    read traced numbers from around it. It is called for each path that it takes, and a second time
    to see that it does the same: it must depend on its arguments and on numbers around it alone.

    Without numpy the steps are recorded one by one.

    Raises:
        InputError: when ``step`` is not a function, ``length`` is missing or not that of ``xs``,
            ``memory`` is no number or too little, or the carry or an x holds something else than
            numbers while numbers are traced.
        OutputError: when the step does not return a pair, or a carry of another structure.
        RecordingError: when the step does something else at its second call.
        GuardError: later, where a tape is replayed and a step takes a path that no step took.

    >>> from tapegrad import Real, grad, math
    >>> def balance(rate: Real) -> Real:
    ...     def year(wealth: Real, saved: float) -> tuple[Real, None]:
    ...         return wealth * math.exp(rate) + saved, None
    ...     return scan(year, 100.0, [10.0, 20.0, 30.0])[0]
    >>> grad(balance)(0.05)
    391.67911310751845
    """
    require_callable(step, "scan")
    if memory is not None:
        require_number("memory", memory, may_be_zero=True)
    items = _items(xs, length)
    if not len(items):
        return carry, []
    if not (_is_traced(carry, items) or reaches_traced(step)):
        plain = _plain(items)
        after, y = _called(step, carry, plain[0], 0)
        if next(traced_leaves((after, y)), None) is None:
            return _each(step, after, plain, [cast(Y, y)])
    if not installed("numpy"):
        return _each(step, carry, items, [])
    recorded = serving("compile.scan.recorded").recorded
    return cast("tuple[C, list[Y]]", recorded(step, carry, items, memory))


def _called(
    step: Callable[..., object], carry: object, x: object, index: int
) -> tuple[object, object]:
    """The pair that one step gives; an error names the step.

    Raises:
        OutputError: when it is no pair.
    """
    try:
        found = step(carry, x)
    except Exception as error:
        error.add_note(f"raised in step {index:,} of scan")
        raise
    if type(found) is not tuple or len(found) != 2:
        raise no_pair(step, describe(found))
    return found


def no_pair(step: Callable[..., object], what: str) -> OutputError:
    """The error for a step that returned something else than a pair."""
    return OutputError(
        f"{name_of(step)} ({here()}) returned {what} as a step of scan: return the pair "
        "(carry, y), where y may be None"
    )


def _each(
    step: Callable[..., object], carry: object, items: Sequence[object], ys: list[Y]
) -> tuple[C, list[Y]]:
    """The loop as it stands, from the step on of which there is no y yet."""
    for index in range(len(ys), len(items)):
        carry, y = _called(step, carry, items[index], index)
        ys.append(cast(Y, y))
    return cast(C, carry), ys


def _items(xs: Iterable[object] | None, length: int | None) -> Sequence[object]:
    """The x of each step: a list, or an array.

    Raises:
        InputError: when there is no length, or it is not that of ``xs``, or that has no items.
    """
    if length is not None:
        require_positive("the length of scan", length, 0)
        length = whole(length)
    if xs is None:
        if length is None:
            raise InputError(
                f"scan ({here()}) was given xs=None and length=None: give the number of steps"
            )
        return [None] * length
    items = _listed(xs, length)
    if length is not None and length != len(items):
        count = len(items) if len(items) < length else f"more than {length}"
        raise InputError(
            f"scan ({here()}) was given {count} xs and length={length}: give one of them"
        )
    return items


def _listed(xs: Iterable[object], length: int | None) -> Sequence[object]:
    """``xs`` with a length; of an iterator no more is read than it takes to see another one."""
    given = cast(Any, xs).to_numpy() if is_frame(xs) else xs
    is_numbers = is_array(given) or isinstance(given, Traced)
    if isinstance(given, list | tuple) or (is_numbers and shape_of(given)):
        return cast("Sequence[object]", given)
    if is_numbers or not isinstance(given, Iterable):
        raise InputError(
            f"scan ({here()}) was given {describe(xs)} as xs: give an x for each step, or None "
            "and the length"
        )
    return list(given if length is None else islice(given, length + 1))


def _plain(items: Sequence[object]) -> Sequence[object]:
    """The same, with Python's own numbers for those of a vector."""
    is_vector = is_array(items) and len(shape_of(items)) == 1
    return cast("Sequence[object]", cast(Any, items).tolist()) if is_vector else items


def _is_traced(carry: object, items: Sequence[object]) -> bool:
    """Whether there are traced numbers among the arguments."""
    if isinstance(items, TracedArray):
        return True
    parts = [] if is_array(items) or set(map(type, items)) <= _PLAIN else items
    return next(traced_leaves((carry, parts)), None) is not None
