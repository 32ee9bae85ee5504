"""What tests of error messages need: the text of a refusal, and the true line it must name."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest


def place(function: Callable[..., object], text: str) -> str:
    """`file:line` of the one line of a function's source that holds `text`."""
    lines, start = inspect.getsourcelines(function)
    (offset,) = (index for index, line in enumerate(lines) if text in line)
    return f"{Path(inspect.getsourcefile(function) or '').name}:{start + offset}"


def refusal(error: type[Exception], call: Callable[[], object]) -> str:
    """The message of the error that a call raises; its class is `error`, and no subclass of it."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


def warned_at(seen: pytest.WarningsRecorder) -> str:
    """`file:line` that the one warning names as its own."""
    (warning,) = seen
    return f"{Path(warning.filename).name}:{warning.lineno}"
