"""Checks calls when they are made, with the messages of a type checker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from math import inf, ulp
from types import FunctionType
from typing import NoReturn, TypeAlias, cast, get_origin, get_type_hints, is_typeddict
from weakref import WeakKeyDictionary

from tapegrad._support.source_position import here
from tapegrad._support.text import describe, visible
from tapegrad.errors import InputError

__all__ = [
    "bind", "name_of", "refuse_keywords", "refuse_options", "require_callable", "require_keys",
    "require_number", "require_positive", "require_signature",
]  # fmt: skip


def require_positive(name: str, number: int, least: int = 1) -> None:
    """Raises for a count below 1, or another ``least``, and for what is no whole number."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise InputError(
            f"{name} is {describe(number)} ({here()}): pass a whole number, {least} or more"
        )
    if number < least:
        raise InputError(f"{name} is {number} ({here()}): pass {least} or more")


def require_number(name: str, number: object, *, may_be_zero: bool = False) -> None:
    """Raises for anything but a finite number above 0, or from 0 on."""
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    low = 0.0 if may_be_zero else ulp(0.0)
    if is_number and low <= cast(float, number) < inf:
        return
    least = "0 or more" if may_be_zero else "above 0"
    raise InputError(f"{name} is {describe(number)} ({here()}): pass a finite number {least}")


def refuse_keywords(
    transform: str, kwargs: Mapping[str, object], *, differentiates: bool
) -> NoReturn:
    """Raises where the first argument is missing, or given by name."""
    given = f"only {', '.join(map(visible, kwargs))} by name" if kwargs else "nothing"
    takes, cure = "takes the first argument by position", "pass it first"
    if differentiates:
        takes = "differentiates the first argument, which goes by position"
        cure += ", or use partials for arguments by name"
    raise InputError(f"{transform} {takes}, and was given {given} ({here()}): {cure}")


def require_callable(f: object, transform: str) -> None:
    """Raises where a transform is given anything but a function."""
    if not callable(f):
        raise InputError(
            f"{transform} ({here()}) was given {describe(f)}, not a function: pass the function f "
            "itself, not its value f(x)"
        )


def refuse_options(transform: str, options: Mapping[str, object]) -> None:
    """Raises for options that a transform does not have.

    Raises:
        InputError: for those by which other libraries choose the arguments to differentiate.
        TypeError: for any other.
    """
    name = next(iter(options), None)
    if name in {"argnum", "argnums", "argnames", "wrt"}:
        raise InputError(
            f"{transform} ({here()}) takes no {name}, as it differentiates the first argument: put "
            "there what is to be differentiated, in a tuple or a dict if it is several numbers, "
            "or use partials"
        )
    if name is not None:
        raise TypeError(f"{transform}() got an unexpected keyword argument {name!r}")


def name_of(f: Callable[..., object]) -> str:
    """The name of a function in a message."""
    name = getattr(f, "__qualname__", type(f).__qualname__)
    return visible(str(name).rpartition("<locals>.")[2])


def bind(
    f: Callable[..., object],
    signature: inspect.Signature,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> inspect.BoundArguments:
    """The arguments by the names of the parameters of ``f``.

    Raises:
        InputError: when ``f`` does not take them: one is missing, too many, or of another name.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as misfit:
        cure = f"pass what {name_of(f)}{_names(signature)} takes"
        if next(iter(signature.parameters), "") == "self":
            cure = "give the transform a bound method, as in jit(model.step)"
        raise InputError(f"{name_of(f)} ({here()}): {misfit}: {cure}") from None


def require_signature(
    f: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> None:
    """Raises where ``f`` does not take the arguments, if its parameters can be known."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return
    bind(f, signature, args, kwargs)


def _names(signature: inspect.Signature) -> str:
    """The signature as text, without types and defaults."""
    bare = [
        parameter.replace(annotation=parameter.empty, default=parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


_Expected: TypeAlias = tuple[str, type] | None
"""The name of a parameter and the ``TypedDict`` it is annotated with."""

_EXPECTED: WeakKeyDictionary[Callable[..., object], _Expected] = WeakKeyDictionary()


def require_keys(f: Callable[..., object], x: Mapping[object, object]) -> None:
    """Checks the keys of a dict against the ``TypedDict`` that ``f`` is annotated with, if any.

    Raises:
        InputError: when a key is missing, or there is one too many.
    """
    expected = _expected(f)
    if expected is None:
        return
    parameter, kind = expected
    required = cast("frozenset[str]", kind.__required_keys__)  # type: ignore[attr-defined]  # a TypedDict
    optional = cast("frozenset[str]", kind.__optional_keys__)  # type: ignore[attr-defined]  # a TypedDict
    missing = sorted(required.difference(x))
    extra = [key for key in x if key not in required and key not in optional]
    if missing or extra:
        what, cure = ("Missing", "add it") if missing else ("Extra", "leave it out")
        raise InputError(
            f'{what} key "{[*missing, *extra][0]}" for TypedDict "{kind.__name__}" '
            f"in {parameter} ({here()}): {cure}"
        )


def _expected(f: Callable[..., object]) -> _Expected:
    """The first parameter of ``f`` and its ``TypedDict``, if its annotation is one."""
    function: object = f if type(f) is FunctionType else getattr(f, "__func__", f)
    if not isinstance(function, FunctionType):
        return None
    try:
        return _EXPECTED[function]
    except KeyError:
        _EXPECTED[function] = _first_typed_dict(f)
        return _EXPECTED[function]


def _first_typed_dict(f: Callable[..., object]) -> _Expected:
    try:
        name = next(iter(inspect.signature(f).parameters))
        annotation = cast(object, get_type_hints(f)[name])
    except (LookupError, NameError, StopIteration, TypeError, ValueError):
        return None
    kind = get_origin(annotation) or annotation
    return (name, cast(type, kind)) if is_typeddict(kind) else None
