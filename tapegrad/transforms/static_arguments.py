"""``static_argnames``: the arguments that a recorded function gets as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, TypeAlias, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError

__all__ = ["NONE_STATIC", "ArgumentNames", "StaticArguments", "static_arguments"]

ArgumentNames: TypeAlias = str | Sequence[str]
"""The name of a parameter, or several."""


@final
@attrs.frozen
class StaticArguments:
    """The arguments after the first that are static, by the keys that ``Data`` has for them.

    Those by position are ``positions``, and all from ``rest`` on.
    """

    names: frozenset[str] = frozenset()
    positions: frozenset[int] = frozenset()
    rest: float = inf

    def __contains__(self, key: int | str) -> bool:
        if isinstance(key, str):
            return key in self.names
        return key in self.positions or key >= self.rest


NONE_STATIC: Final = StaticArguments()


def static_arguments(f: Callable[..., object], names: ArgumentNames) -> StaticArguments:
    """The arguments of ``f`` that ``static_argnames`` names.

    Raises:
        InputError: for a name that ``f`` does not have, or that of its first argument.
    """
    given = (names,) if isinstance(names, str) else tuple(names)
    if not given:
        return NONE_STATIC
    parameters = _parameters(f)
    for name in given:
        _require_known(f, name, parameters)
    places = [(place - 1, p.kind) for place, p in enumerate(parameters) if p.name in given]
    return StaticArguments(
        frozenset(given),
        frozenset(place for place, kind in places if kind in _BY_POSITION),
        next((place for place, kind in places if kind is _REST), inf),
    )


_BY_POSITION: Final = {
    inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD,
}  # fmt: skip
_REST: Final = inspect.Parameter.VAR_POSITIONAL


def _parameters(f: Callable[..., object]) -> Sequence[inspect.Parameter]:
    """The parameters of ``f``."""
    try:
        return tuple(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        raise InputError(
            f"static_argnames ({here()}) names parameters, and those of {name_of(f)} are not "
            "known: wrap it in a function of your own"
        ) from None


def _require_known(
    f: Callable[..., object], name: object, parameters: Sequence[inspect.Parameter]
) -> None:
    """Refuses what is no parameter of ``f`` after its first argument."""
    names = [parameter.name for parameter in parameters]
    is_first_static = name in names[:1] and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY
    accepts_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if is_first_static:
        problem = f"has {name}, the first argument of {name_of(f)}, whose numbers are inputs"
    elif not isinstance(name, str):
        problem = f"has {describe(name)}, which is no name"
    elif name in names or accepts_any:
        return
    else:
        problem = f"has {name!r}, and {name_of(f)} has no such parameter"
    others = ", ".join(names[1:]) or "nothing, as there are none after the first"
    raise InputError(f"static_argnames ({here()}) {problem}: name one of {others}")
