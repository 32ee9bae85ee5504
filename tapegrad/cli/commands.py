"""The commands: from a function at a point to an answer. Their docstrings are the help."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any, Final, cast, final

import attrs

from tapegrad._support.progress_bar import waiting
from tapegrad._support.text import aligned, visible
from tapegrad.check.gradient import check_grad
from tapegrad.cli import demo
from tapegrad.cli.arguments import BoundCall, bind_call
from tapegrad.cli.point import parse_point
from tapegrad.cli.user_file import find_function, run_file
from tapegrad.errors import InputError
from tapegrad.inspect.plain import plain
from tapegrad.pytree.structure import key_paths
from tapegrad.transforms.grad import grad
from tapegrad.transforms.record import AnyTape, record

__all__ = ["COMMANDS", "Answer", "json_value"]


@final
@attrs.frozen
class Answer:
    """The answer of a command: what to print, the same as data, and whether a check failed."""

    text: object
    data: object
    failed: bool = False


def json_value(value: object) -> object:
    """A value as JSON has them; numbers that are not finite are "nan", "inf" and "-inf"."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str | int | None):
        return value
    kind = type(value)
    if attrs.has(kind):
        return {field.name: json_value(getattr(value, field.name)) for field in attrs.fields(kind)}
    if isinstance(value, Mapping):
        return {str(key): json_value(part) for key, part in value.items()}
    return list(map(json_value, value)) if isinstance(value, Iterable) else str(value)


def _grad(options: Namespace) -> Answer:
    """The value and the gradient of a function."""
    call, tape = _recorded(options)
    with waiting("sweeping"):
        tape.gradient()
        bars = tape.cotangents()
    inputs = tape.paths[: len(key_paths(tape.parameters))]
    at = {path: cast(float, tape.columns.values[slot]) for slot, path in enumerate(inputs)}
    slopes = {path: 0.0 if bar is None else bar for path, bar in zip(inputs, bars, strict=False)}
    rows = [(visible(path), _digits(at[path]), _digits(slopes[path])) for path in inputs]
    table = aligned([("input", "at", "derivative"), *rows])
    text = "\n".join((f"{call.name} = {_digits(tape.value)}", "", *table))
    return Answer(text, {"value": tape.value, "at": at, "gradient": slopes})


def _digits(value: float) -> str:
    return f"{value:.12g}"


def _check(options: Namespace) -> Answer:
    """The gradient compared with differences; 1 where they do not confirm it."""

    def checked(f: Callable[..., object]) -> Callable[..., Any]:
        return lambda x, *args, **kwargs: check_grad(f, x, *args, order=options.order, **kwargs)

    report = _call(options).run(checked)
    data = {"ok": report.ok, "findings": report.findings, "transpositions": report.transpositions}
    return Answer(report, data, failed=not report.ok)


def _show(options: Namespace) -> Answer:
    """The tape: what a call computed, entry by entry."""
    _, tape = _recorded(options)
    return Answer(tape, plain(tape))


def _stats(options: Namespace) -> Answer:
    """The tape in figures."""
    return _reading(options, AnyTape.stats)


def _lines(options: Namespace) -> Answer:
    """The source, with what each line put on the tape in its margin."""
    return _reading(options, AnyTape.lines)


def _reading(options: Namespace, read: Callable[[AnyTape], object]) -> Answer:
    _, tape = _recorded(options)
    with waiting("reading the tape"):
        found = read(tape)
    return Answer(found, found)


def _nonfinite(options: Namespace) -> Answer:
    """The first nan or infinity, and where it arises; 1 where there is one."""
    _, tape = _recorded(options)
    with waiting("sweeping"):
        found = tape.first_nonfinite()
    return Answer(found or "everything is finite", found, failed=found is not None)


def _explain(options: Namespace) -> Answer:
    """The parts that make up one derivative: by line, by path, by label."""
    call, tape = _recorded(options)
    of = None if options.of is None else call.key_path(options.of)
    wrt = call.key_path(options.wrt)
    with waiting("sweeping"):
        found = call.as_user_code(lambda: tape.explain(of, wrt=wrt, top=options.top))
    return Answer(found, found)


def _diff(options: Namespace) -> Answer:
    """The differences between two calls, in structure and in value; 1 where there are any."""
    run_once = cache(run_file)  # a file run twice has every class twice, and those differ
    first = bind_call(find_function(options.function, run_once), parse_point(options.at))
    other = find_function(options.against or options.function, run_once)
    second = bind_call(other, parse_point([*options.at, *options.to]))
    tape, changed = first.run(record), second.run(record)
    with waiting("comparing"):
        found = tape.diff(changed)
    return Answer(found, found, failed=bool(found))


def _draw(options: Namespace) -> Answer:
    """The tape as a picture."""
    call, tape = _recorded(options)
    view = {name: getattr(options, name) for name in _VIEW}
    view = {name: value for name, value in view.items() if value is not None}
    if "around" in view:
        view["around"] = call.key_path(view["around"])
    if "between" in view:
        view["between"] = tuple(map(call.key_path, view["between"]))
    with waiting("drawing"):
        path = call.as_user_code(lambda: tape.draw(options.output, **view))
    return Answer(f"wrote {path}", {"path": str(path)})


_VIEW: Final = ("by", "around", "depth", "between", "top", "rankdir", "gradient")


def _demo(options: Namespace) -> Answer:
    """A gradient and its tape, printed, and the tape drawn."""
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} is not a folder: name one that exists")
    with redirect_stdout(StringIO()) as text:
        demo.demo(options.folder)
    gradient = grad(demo.neuron)(demo.POINT)
    data = {"point": demo.POINT, "gradient": gradient, "text": text.getvalue()}
    return Answer(text.getvalue().removesuffix("\n"), data)


def _call(options: Namespace) -> BoundCall:
    return bind_call(find_function(options.function), parse_point(options.at))


def _recorded(options: Namespace) -> tuple[BoundCall, AnyTape]:
    call = _call(options)
    return call, call.run(record)


COMMANDS: Final[Mapping[str, Callable[[Namespace], Answer]]] = {
    "grad": _grad,
    "check": _check,
    "show": _show,
    "stats": _stats,
    "lines": _lines,
    "nonfinite": _nonfinite,
    "explain": _explain,
    "diff": _diff,
    "draw": _draw,
    "demo": _demo,
}
"""The commands by name."""
