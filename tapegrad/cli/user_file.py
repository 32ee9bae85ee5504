"""Runs a file of the user's and finds the function that ``file.py:function`` names."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from tapegrad._support.text import visible
from tapegrad.errors import InputError, TapegradError
from tapegrad.inspect.names import nearest

__all__ = ["errors_in_one_sentence", "find_function", "run_file"]


def run_file(path: Path) -> ModuleType:
    """The module that a file makes, run so that it can import the files beside it.

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
    with errors_in_one_sentence(str(path)):
        spec.loader.exec_module(module)
    return module


def find_function(
    target: str, run: Callable[[Path], ModuleType] = run_file
) -> Callable[..., object]:
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


@contextmanager
def errors_in_one_sentence(what: str) -> Iterator[None]:
    """Turns exceptions of the user's program into one sentence, and prints to stderr.

    Raises:
        InputError: in place of any exception but our own.
    """
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
    others = {Path(__file__).parent.parent, Path(traceback.__file__).parent}
    return not file.startswith("<") and others.isdisjoint(Path(file).parents)
