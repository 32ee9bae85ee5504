"""``partials``: the derivatives in every argument, by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec, cast, overload

from tapegrad._support.argument_checks import bind, name_of
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Branch, Leaf, Role, describe_structure, flatten
from tapegrad.recording.recorder import Var
from tapegrad.transforms.traced_call import differentiate

__all__ = ["partials"]

P = ParamSpec("P")


@overload
def partials(f: Callable[P, float], /) -> Callable[P, dict[str, float]]: ...
@overload
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]: ...
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]:
    """The partial derivatives of ``f`` in every argument, by the parameter's name.

    Each argument must be a number, given by position or by name; parameters left to their
    defaults are not differentiated.

    Raises:
        InputError: when an argument is anything but a number.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, partials
    >>> def f(a: Real, b: Real) -> Real:
    ...     return a * b + (a if a > b else b)
    >>> partials(f)(a=-4.0, b=2.0)
    {'a': 2.0, 'b': -3.0}
    """
    signature = inspect.signature(f)

    @functools.wraps(f)
    def derivatives(*args: P.args, **kwargs: P.kwargs) -> dict[str, float]:
        bound = bind(f, signature, args, kwargs)
        _require_numbers(bound.arguments)

        def of_arguments(arguments: dict[str, object]) -> object:
            call = inspect.BoundArguments(signature, arguments)
            return f(*call.args, **call.kwargs)

        of_arguments.__qualname__ = name_of(f)
        _, found = differentiate(of_arguments, dict(bound.arguments), {})
        return cast(dict[str, float], found)

    return derivatives


def _require_numbers(arguments: Mapping[str, object]) -> None:
    structure, _ = flatten(dict(arguments), Role.PARAMETERS, key_path)
    for name, part in zip(arguments, cast(Branch, structure).children, strict=True):
        if not isinstance(part, Leaf):
            raise InputError(
                f"{name} is {describe_structure(part)}, and partials takes numbers ({here()}): "
                "use grad, which takes containers of them"
            )
