"""``partials``: the derivatives in every argument, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Number
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast, overload

from tapegrad._support.argument_checks import bind, name_of, require_callable
from tapegrad._support.function_wrapper import FunctionWrapper
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops.primitive import Traced
from tapegrad.pytree.containers import CONTAINERS, container_kind
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Branch, Leaf, Role, describe_structure, flatten
from tapegrad.recording.recorder import Var
from tapegrad.transforms.traced_call import differentiate

__all__ = ["partials"]

P = ParamSpec("P")
N = TypeVar("N")


if TYPE_CHECKING:

    class ByName(dict[str, float], Generic[N]):
        """The derivatives by name, as the plugin for mypy knows them: ``N`` has the names."""


@overload
def partials(f: Callable[P, float], /) -> Callable[P, dict[str, float]]: ...
@overload
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]: ...
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]:
    """The partial derivatives of ``f`` in each argument that is a number, by parameter.

    Arguments go by position or by name. Defaults are not differentiated, nor are arguments without
    numbers, such as a text, a bool or a date.

    Raises:
        InputError: when an argument is a container of numbers, or none is a number.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, partials
    >>> def f(a: Real, b: Real) -> Real:
    ...     return a * b + (a if a > b else b)
    >>> partials(f)(a=-4.0, b=2.0)
    {'a': 2.0, 'b': -3.0}
    """
    require_callable(f, "partials")
    signature = inspect.signature(f)

    def derivatives(*args: P.args, **kwargs: P.kwargs) -> dict[str, float]:
        given = bind(f, signature, args, kwargs).arguments
        numbers = {name: value for name, value in given.items() if not _is_static(value)}
        _require_numbers(f, numbers)

        def of_numbers(traced: dict[str, object]) -> object:
            call = inspect.BoundArguments(signature, given | traced)
            return f(*call.args, **call.kwargs)

        of_numbers.__qualname__ = name_of(f)
        _, found = differentiate(of_numbers, numbers, {})
        return cast("dict[str, float]", found)

    wrapper: FunctionWrapper[P, dict[str, float]] = FunctionWrapper(f, derivatives, partials)
    return wrapper


def _is_static(value: object) -> bool:
    """Whether an argument is neither a number nor something that holds some."""
    if isinstance(value, bool):
        return True
    is_container = isinstance(value, tuple(CONTAINERS)) or container_kind(type(value)) is not None
    is_number = isinstance(value, Number | Traced)
    return not (is_container or is_number or hasattr(value, "__array__"))


def _require_numbers(f: Callable[..., object], arguments: Mapping[str, object]) -> None:
    if not arguments:
        raise InputError(f"partials({name_of(f)}) ({here()}) was given no number: pass one")
    structure, _ = flatten(dict(arguments), Role.PARAMETERS, key_path)
    for name, part in zip(arguments, cast(Branch, structure).children, strict=True):
        if not isinstance(part, Leaf):
            raise InputError(
                f"{name} is {describe_structure(part)}, and partials takes numbers ({here()}): "
                "use grad, which takes containers of them"
            )
