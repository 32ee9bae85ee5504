"""The arguments of a function made from the values of ``--at``, as its annotations ask."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import wraps
from types import CodeType, FunctionType, NoneType, SimpleNamespace, UnionType
from typing import TypeVar, Union, cast, final, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from tapegrad._support.progress_bar import waiting
from tapegrad.cli.user_file import errors_in_one_sentence
from tapegrad.errors import InputError
from tapegrad.inspect.names import nearest

__all__ = ["BoundCall", "bind_call"]

T = TypeVar("T")
Hints = Mapping[str, object]


@final
@attrs.frozen
class BoundCall:
    """A function and the arguments to call it with, the first of which is differentiated.

    ``code`` is that of the user's function. ``prefix`` is what ``--at`` writes before the key paths
    of the first argument.
    """

    name: str
    function: Callable[..., object]
    arguments: tuple[object, ...]
    data: Mapping[str, object]
    code: CodeType | None
    prefix: str

    def run(self, transform: Callable[..., Callable[..., T]]) -> T:
        """The result of the transformed function; what the program prints goes to stderr.

        Raises:
            InputError: when the function raises, in one sentence.
        """
        transformed = transform(self.function)
        with errors_in_one_sentence(self.name), waiting(f"running {self.name}"):
            return self.as_user_code(lambda: transformed(*self.arguments, **self.data))

    def key_path(self, name: str) -> str | int:
        """The key path of an input that is named as for ``--at``; for ``%3`` the slot 3."""
        if name.startswith("%") and name[1:].isdecimal():
            return int(name[1:])
        return name.removeprefix(self.prefix)

    def as_user_code(self, run: Callable[[], T]) -> T:
        """``run()``, called so that messages and positions name the user's function, not us."""
        if self.code is None:
            return run()
        caller = (lambda run: run()).__code__.replace(
            co_filename=self.code.co_filename,
            co_firstlineno=self.code.co_firstlineno,
            co_name=self.code.co_name,
            co_qualname=self.code.co_qualname,
        )
        return cast(T, FunctionType(caller, {"__name__": "__call__"})(run))


def bind_call(f: Callable[..., object], values: Mapping[str, object]) -> BoundCall:
    """The call of ``f`` at a point.

    Its first argument is that of ``f``, where that is a container or a model; else it is all
    arguments that are numbers, but for those annotated ``int``, as in ``partials``.

    Raises:
        InputError: when a parameter is unknown or missing, or there is nothing to differentiate.
    """
    name = getattr(f, "__name__", type(f).__name__)
    signature, hints = _signature(f, name), _hints(inspect.unwrap(f))
    given = {key: _fitted(key, values[key], hints.get(key)) for key in values}
    bound = _bound(name, signature, given)
    code = getattr(inspect.unwrap(f), "__code__", None)
    variadic = {key for key, x in signature.parameters.items() if x.kind is x.VAR_POSITIONAL}
    first, value = next(iter(bound.arguments.items()), ("", None))
    if bound.args and first not in variadic and not isinstance(value, _PLAIN):
        return BoundCall(name, f, bound.args, bound.kwargs, code, f"{first}.")
    numbers = {
        key: x
        for key, x in bound.arguments.items()
        if key in variadic or (_is_number(x) and hints.get(key) is not int)
    }
    if not numbers:
        raise InputError(f"{name} is given no number to differentiate in: give one, --at x=1.0")
    data = {key: value for key, value in bound.arguments.items() if key not in numbers}
    return BoundCall(name, _by_name(f, bound), (numbers,), data, code, "")


def _by_name(f: Callable[..., object], bound: inspect.BoundArguments) -> Callable[..., object]:
    """``f`` as a function of a dict of arguments, and of the others by name."""

    @wraps(f)
    def of_numbers(numbers: Mapping[str, object], /, **data: object) -> object:
        arguments = {**numbers, **data}
        ordered = {key: arguments[key] for key in bound.arguments}
        whole = inspect.BoundArguments(bound.signature, ordered)
        return f(*whole.args, **whole.kwargs)

    return of_numbers


_PLAIN = (int, float, str, NoneType)
"""Types of values that are no containers."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signature(f: Callable[..., object], name: str) -> inspect.Signature:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):
        raise InputError(f"the parameters of {name} cannot be known: name a function") from None


def _hints(f: Callable[..., object]) -> Hints:
    """The annotations of the parameters; those that cannot be evaluated are left out."""
    names = getattr(f, "__globals__", {})
    found: dict[str, object] = {}
    for name, hint in getattr(f, "__annotations__", {}).items():
        with suppress(Exception):  # an annotation may be any expression
            found |= get_type_hints(SimpleNamespace(__annotations__={name: hint}), names)
    return found


def _bound(
    name: str, signature: inspect.Signature, given: Mapping[str, object]
) -> inspect.BoundArguments:
    """The arguments in the order of the parameters."""
    parameters = signature.parameters
    for key in given:
        if key not in parameters:
            raise InputError(f"{name} has no parameter {key}: {nearest(key, parameters)}")
    _require_all(name, "", parameters, given)
    ordered = {key: given[key] for key in parameters if key in given}
    return inspect.BoundArguments(signature, ordered)


def _require_all(
    what: str, prefix: str, parameters: Mapping[str, inspect.Parameter], given: Iterable[str]
) -> None:
    """Raises an InputError when a parameter without a default is not given."""
    variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    missing = [
        f"{prefix}{key}=..."
        for key, parameter in parameters.items()
        if key not in given
        and parameter.default is parameter.empty
        and parameter.kind not in variadic
    ]
    if missing:
        raise InputError(f"{what} needs more: give --at {' '.join(missing)}")


def _fitted(path: str, value: object, hint: object) -> object:
    """A value made into what its annotation asks for: a tuple, a float, an instance of a class."""
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin is Union or origin is UnionType:
        return _fitted(path, value, next((x for x in parts if x is not NoneType), None))
    if isinstance(value, dict):
        if _has_fields(origin):
            return _instance(path, value, cast(type, origin))
        inner = parts[1] if len(parts) == 2 else None
        typed = get_type_hints(origin) if is_typeddict(origin) else {}
        return {key: _fitted(f"{path}.{key}", x, typed.get(key, inner)) for key, x in value.items()}
    if isinstance(value, list):
        each = parts[:1] * len(value) if origin is not tuple or Ellipsis in parts else parts
        hints = (*each, *[None] * len(value))
        fitted = [_fitted(f"{path}.{at}", x, hints[at]) for at, x in enumerate(value)]
        return tuple(fitted) if origin is tuple else fitted
    if type(value) is int and (hint is float or isinstance(hint, TypeVar)):
        return float(value)
    return value


def _has_fields(kind: object) -> bool:
    if not inspect.isclass(kind):
        return False
    return attrs.has(kind) or hasattr(kind, "__dataclass_fields__") or hasattr(kind, "_fields")


def _instance(path: str, value: Mapping[str, object], kind: type) -> object:
    """An instance of a class with fields, made from a dict of them."""
    parameters = inspect.signature(kind).parameters
    hints: Hints = {}
    with suppress(Exception):  # an annotation may be any expression
        hints = get_type_hints(kind)
    for key in value:
        if key not in parameters:
            raise InputError(
                f"{path} has no field {key}, it is a {kind.__name__}: {nearest(key, parameters)}"
            )
    _require_all(f"{path} is a {kind.__name__} and", f"{path}.", parameters, value)
    fields = {
        key: _fitted(f"{path}.{key}", x, hints.get(key, hints.get(f"_{key}")))
        for key, x in value.items()
    }
    with errors_in_one_sentence(f"{kind.__name__} for {path}"):
        return cast(object, kind(**fields))
