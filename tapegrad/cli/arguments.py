"""What a command line names: a function in a file, and the point to call it at."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, NoneType, SimpleNamespace, UnionType
from typing import TypeVar, Union, cast, final, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from tapegrad._support.progress_bar import waiting
from tapegrad._support.text import visible
from tapegrad.errors import InputError, TapegradError
from tapegrad.inspect.names import nearest

__all__ = ["Call", "call", "function", "point", "run_file"]

T = TypeVar("T")
Hints = Mapping[str, object]


@final
@attrs.frozen
class Call:
    """A function and the arguments to call it with, the first of which is differentiated."""

    name: str
    function: Callable[..., object]
    arguments: tuple[object, ...]
    data: Mapping[str, object]
    code: CodeType | None
    prefix: str

    def through(self, transform: Callable[..., Callable[..., T]]) -> T:
        """What a transform of the function gives; what the program prints goes to stderr.

        Raises:
            InputError: when the function raises, in one sentence.
        """
        transformed = transform(self.function)
        with _told(self.name), waiting(f"running {self.name}"):
            return self.at_home(lambda: transformed(*self.arguments, **self.data))

    def path(self, name: str) -> str | int:
        """An input as ``--at`` names it, in the words of a tape: a path, or a slot after ``%``."""
        if name.startswith("%") and name[1:].isdecimal():
            return int(name[1:])
        return name.removeprefix(self.prefix)

    def at_home(self, run: Callable[[], T]) -> T:
        """``run()``, so that messages and positions name the function's line and none of ours."""
        if self.code is None:
            return run()
        caller = (lambda run: run()).__code__.replace(
            co_filename=self.code.co_filename,
            co_firstlineno=self.code.co_firstlineno,
            co_name=self.code.co_name,
            co_qualname=self.code.co_qualname,
        )
        return cast(T, FunctionType(caller, {"__name__": "__call__"})(run))


@contextmanager
def _told(what: str) -> Iterator[None]:
    """An exception of the user's program, in one sentence."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except TapegradError:
        raise
    except (Exception, SystemExit) as error:  # the user's program may raise anything
        frames = [x for x in traceback.extract_tb(error.__traceback__) if _is_users(x.filename)]
        at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
        text = visible(f"{type(error).__name__}: {error}".removesuffix(": "))
        raise InputError(f"{what} raised {text}{at}") from error


def _is_users(file: str) -> bool:
    """Whether a file is neither ours nor the standard library's."""
    others = {Path(__file__).parent, Path(traceback.__file__).parent}
    return not file.startswith("<") and others.isdisjoint(Path(file).parents)


def run_file(path: Path) -> ModuleType:
    """The file as a module, run under its own name and beside the files next to it.

    Raises:
        InputError: when it is no file of Python, or raises.
    """
    name = path.stem if path.stem not in sys.modules else f"{path.stem} of the command line"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no file of Python: name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    with _told(str(path)):
        spec.loader.exec_module(module)
    return module


def function(target: str, run: Callable[[Path], ModuleType] = run_file) -> Callable[..., object]:
    """The function that ``file.py:name`` names; ``run`` runs the file.

    Raises:
        InputError: when there is no such file or function, or the file raises.
    """
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise InputError(f"{target} names no function: write file.py:function")
    if not Path(file).is_file():
        raise InputError(f"there is no file {file}: name a file of Python")
    module = run(Path(file))
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            members = getattr(found, "__dict__", {})
            own = {key: x for key, x in members.items() if _is_own(key, x, module)}
            raise InputError(f"{file} has no function {name}: {nearest(part, own)}")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{name} in {file} is a {type(found).__name__}: name a function")
    return found


def _is_own(name: str, value: object, module: ModuleType) -> bool:
    """Whether a name stands for a function of this very file."""
    own = getattr(value, "__module__", None) == module.__name__
    return own and callable(value) and not isinstance(value, type) and not name.startswith("_")


def point(items: Sequence[str]) -> dict[str, object]:
    """The values that ``--at`` gives: ``name=value`` each, or a TOML file of them.

    A dotted name stands for a part of a dict. A value is JSON, ``1,2,3``, a number, or text.

    Raises:
        InputError: when an item is neither, or gives a name both a value and parts.
    """
    values: dict[str, object] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if equals and name:
            _put(values, name, _value(name, text))
        elif item.endswith(".toml"):
            for name, value in _toml(Path(item)).items():
                _put(values, name, value)
        else:
            raise InputError(f"--at {item} gives no value: write name=value, or name a .toml file")
    return values


def _toml(path: Path) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--at {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"--at {path} is not TOML: {error}") from None


def _put(values: dict[str, object], name: str, value: object) -> None:
    """Set the part that a dotted name stands for."""
    *outer, last = name.split(".")
    part = values
    for key in outer:
        inner = part.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"--at gives {key} the value {inner!r} and the part {name}: give one")
        part = inner
    part[last] = value


def _value(name: str, text: str) -> object:
    try:
        return cast(object, json.loads(text))
    except ValueError as error:
        if text.startswith(("[", "{", '"')):
            raise InputError(f"--at {name}={text} is not JSON: {error}") from None
    try:
        return float(text)
    except ValueError:
        parts = [part.strip() for part in text.split(",")]
    return [_value(name, part) for part in parts if part] if len(parts) > 1 else text


def call(f: Callable[..., object], values: Mapping[str, object]) -> Call:
    """What to differentiate of ``f`` at a point.

    The first argument, where it is a container or a model; else all arguments that are numbers, but
    for those annotated ``int``, together as ``partials`` does.

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
        return Call(name, f, bound.args, bound.kwargs, code, f"{first}.")
    numbers = {
        key: x
        for key, x in bound.arguments.items()
        if key in variadic or (_is_number(x) and hints.get(key) is not int)
    }
    if not numbers:
        raise InputError(f"{name} is given no number to differentiate in: give one, --at x=1.0")
    rest = {key: value for key, value in bound.arguments.items() if key not in numbers}

    @wraps(f)
    def of_numbers(numbers: Mapping[str, object], /, **data: object) -> object:
        arguments = {**numbers, **data}
        ordered = {key: arguments[key] for key in bound.arguments}
        whole = inspect.BoundArguments(signature, ordered)
        return f(*whole.args, **whole.kwargs)

    return Call(name, of_numbers, (numbers,), rest, code, "")


_PLAIN = (int, float, str, NoneType)
"""What is no container."""


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
        try:
            one = get_type_hints(SimpleNamespace(__annotations__={name: hint}), names)
        except Exception:  # noqa: BLE001  # an annotation may be any expression
            one = {}
        found |= one
    return found


def _bound(
    name: str, signature: inspect.Signature, given: Mapping[str, object]
) -> inspect.BoundArguments:
    """The arguments in the order of the parameters."""
    parameters = signature.parameters
    for key in given:
        if key not in parameters:
            raise InputError(f"{name} has no parameter {key}: {nearest(key, parameters)}")
    if missing := _missing(parameters, given):
        wanted = " ".join(f"{key}=..." for key in missing)
        raise InputError(f"{name} needs more: give --at {wanted}")
    ordered = {key: given[key] for key in parameters if key in given}
    return inspect.BoundArguments(signature, ordered)


def _missing(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, object]) -> list[str]:
    """The parameters that have to be given, and are not."""
    return [
        key
        for key, parameter in parameters.items()
        if key not in given
        and parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]


def _fitted(path: str, value: object, hint: object) -> object:
    """A value as its annotation asks for it: an instance of a class, a tuple, a float."""
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
    try:
        hints: Hints = get_type_hints(kind)
    except Exception:  # noqa: BLE001  # an annotation may be any expression
        hints = {}
    for key in value:
        if key not in parameters:
            raise InputError(
                f"{path} has no field {key}, it is a {kind.__name__}: {nearest(key, parameters)}"
            )
    if missing := _missing(parameters, value):
        wanted = " ".join(f"{path}.{key}=..." for key in missing)
        raise InputError(f"{path} is a {kind.__name__} and needs more: give --at {wanted}")
    fields = {
        key: _fitted(f"{path}.{key}", x, hints.get(key, hints.get(f"_{key}")))
        for key, x in value.items()
    }
    with _told(f"{kind.__name__} for {path}"):
        return cast(object, kind(**fields))
