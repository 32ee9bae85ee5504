"""Names in a recording: a label for one entry, a scope for all that a function records."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, final

from tapegrad._support.function_wrapper import FunctionWrapper
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.recording.recorder import Recorder, TracedValue, recorder_among

__all__ = ["label", "scope"]

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def label(x: T, name: str, /) -> T:
    """Names the entry that defines ``x`` and returns ``x``; the later of two names wins.

    Inside a derivative that is itself recorded, the entry of the outer recording that computes the
    same number gets the name, too, if it has none. On a plain number it does nothing.

    Raises:
        InputError: when the name is no text.

    >>> from tapegrad import Real, label, record
    >>> def f(x: Real) -> Real:
    ...     return label(x * x, "square") + 1.0
    >>> record(f)(3.0)[1].label
    'square'
    """
    if not isinstance(name, str):
        raise InputError(
            f"label ({here()}) was given {describe(name)} for a name: write label(x, 'name')"
        )
    if isinstance(x, TracedValue):
        x._recorder.require_open()
        x._recorder.labels[x._slot] = name
        _label_outer(x._recorder, x._slot, name)
    return x


def _label_outer(recorder: Recorder, slot: int, name: str) -> None:
    """Names the entries of outer recordings that compute the same number, if they have no name."""
    if recorder.around is not None:
        recorder.hand_over()
        place = recorder.places[slot]
        if isinstance(place, int):
            recorder.around.labels.setdefault(place, name)
        return
    value = recorder.values[slot]
    if isinstance(value, TracedValue):
        value._recorder.labels.setdefault(value._slot, name)
        _label_outer(value._recorder, value._slot, name)


def scope(name: str, /) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that names the scope of all that a function records; scopes nest.

    The scope is entered in the innermost recording found among the arguments, containers included.
    Called on plain numbers the function just runs.

    >>> from tapegrad import Real, record, scope
    >>> @scope("square")
    ... def square(x: Real) -> Real:
    ...     return x * x
    >>> record(square)(3.0)[1].scope
    ('square',)
    """
    return partial(_scoped, name)  # and no closure, so that what it makes may be pickled


def _scoped(name: str, f: Callable[P, R]) -> Callable[P, R]:
    """The function in a scope of this name."""
    scoped: _Scoped[P, R] = _Scoped(f, f, partial(_scoped, name))
    scoped.scope = name
    return scoped


@final
class _Scoped(FunctionWrapper[P, R]):
    """A function whose calls record in a scope."""

    scope: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function."""
        recorder = recorder_among((args, kwargs))
        if recorder is None:
            return self._call(*args, **kwargs)
        recorder.require_open()
        return recorder.scoped(self.scope, self._call, args, kwargs)
