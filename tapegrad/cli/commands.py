"""The commands of the command line: from a function at a point to an answer."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any, Final, TypeAlias, cast, final

import attrs

from tapegrad._support.progress_bar import waiting
from tapegrad._support.source_position import Site
from tapegrad._support.text import aligned, visible
from tapegrad.cli.arguments import Call, call, function, point, run_file
from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.errors import InputError
from tapegrad.pytree.structure import key_paths
from tapegrad.tape import Tape

__all__ = ["COMMANDS", "Answer", "plain"]

AnyTape: TypeAlias = Tape[Any, ..., Any]


@final
@attrs.frozen
class Answer:
    """What a command says: something to print, the same as data, and whether a check failed."""

    shown: object
    data: object
    failed: bool = False


def plain(value: object) -> object:
    """A value as JSON has them; numbers that are not finite are "nan", "inf" and "-inf"."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Site):
        return {"file": value.file, "line": value.line, "function": value.function}
    if isinstance(value, str | int | None):
        return value
    kind = type(value)
    if attrs.has(kind):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(kind)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return list(map(plain, value)) if isinstance(value, Iterable) else str(value)


def _grad(options: Namespace) -> Answer:
    named, tape = _recorded(options)
    with waiting("sweeping"):
        tape.gradient()
        bars = tape.cotangents()
    inputs = tape.paths[: len(key_paths(tape.parameters))]
    at = {path: cast(float, tape.columns.values[slot]) for slot, path in enumerate(inputs)}
    slopes = {path: 0.0 if bar is None else bar for path, bar in zip(inputs, bars, strict=False)}
    rows = [(visible(path), _digits(at[path]), _digits(slopes[path])) for path in inputs]
    table = aligned([("input", "at", "derivative"), *rows])
    text = "\n".join((f"{named.name} = {_digits(tape.value)}", "", *table))
    return Answer(text, {"value": tape.value, "at": at, "gradient": slopes})


def _digits(value: float) -> str:
    return f"{value:.12g}"


def _check(options: Namespace) -> Answer:
    from tapegrad.check.gradient import check_grad

    def checked(f: Callable[..., object]) -> Callable[..., Any]:
        return lambda x, *args, **kwargs: check_grad(f, x, *args, order=options.order, **kwargs)

    report = _named(options).through(checked)
    data = {"ok": report.ok, "findings": report.findings, "transpositions": report.transpositions}
    return Answer(report, data, failed=not report.ok)


def _show(options: Namespace) -> Answer:
    _, tape = _recorded(options)
    return Answer(tape, _entries(tape))


def _entries(tape: AnyTape) -> Iterator[Mapping[str, object]]:
    """The rows of the table, all of them."""
    bars = tape.cotangents() if len(tape.outputs) == 1 else (None,) * len(tape)
    outputs = frozenset(tape.outputs)
    for slot, (node, bar) in enumerate(zip(tape, bars, strict=True)):
        yield {
            "slot": slot,
            **_operation(node),
            "cotangent": bar,
            "output": slot in outputs,
            "scope": tape.scope(slot),
            "site": tape.site(slot),
        }


def _operation(node: Node) -> Mapping[str, object]:
    match node:
        case Input():
            return {"operation": "input", "name": node.label or node.path, "value": node.value}
        case Constant():
            return {"operation": "constant", "name": node.label, "value": node.value}
        case Guard():
            return {"operation": "guard", "operands": (node.operand,), "value": node.outcome}
        case Apply():
            return {
                "operation": node.primitive.name.rstrip("_"),
                "operands": (*node.operands, *map(str, node.static)),
                "name": node.label,
                "value": node.value,
            }


def _stats(options: Namespace) -> Answer:
    _, tape = _recorded(options)
    with waiting("counting"):
        stats = tape.stats()
    return Answer(stats, stats)


def _nonfinite(options: Namespace) -> Answer:
    _, tape = _recorded(options)
    with waiting("sweeping"):
        found = tape.first_nonfinite()
    return Answer(found or "everything is finite", found, failed=found is not None)


def _lines(options: Namespace) -> Answer:
    _, tape = _recorded(options)
    with waiting("sweeping"):
        listing = tape.lines()
    return Answer(listing, listing)


def _explain(options: Namespace) -> Answer:
    named, tape = _recorded(options)
    of = None if options.of is None else named.path(options.of)
    with waiting("sweeping"):
        wrt = named.path(options.wrt)
        found = named.at_home(lambda: tape.explain(of, wrt=wrt, top=options.top))
    return Answer(found, found)


def _draw(options: Namespace) -> Answer:
    named, tape = _recorded(options)
    view = {name: getattr(options, name) for name in _VIEW}
    view = {name: value for name, value in view.items() if value is not None}
    if "around" in view:
        view["around"] = named.path(view["around"])
    if "between" in view:
        view["between"] = tuple(map(named.path, view["between"]))
    with waiting("drawing"):
        path = named.at_home(lambda: tape.draw(options.output, **view))
    return Answer(f"wrote {path}", {"path": str(path)})


_VIEW: Final = ("by", "around", "depth", "between", "top", "rankdir", "gradient")


def _diff(options: Namespace) -> Answer:
    from tapegrad.transforms.record import record

    run_once = cache(run_file)  # a file run twice has every class twice, and those differ
    first = call(function(options.function, run_once), point(options.at))
    other = function(options.against or options.function, run_once)
    second = call(other, point([*options.at, *options.to]))
    tape, changed = first.through(record), second.through(record)
    with waiting("comparing"):
        found = tape.diff(changed)
    return Answer(found, found, failed=bool(found))


def _demo(options: Namespace) -> Answer:
    from tapegrad.cli import demo
    from tapegrad.transforms.grad import grad

    if not options.folder.is_dir():
        raise InputError(f"{options.folder} is not a folder: name one that exists")
    with redirect_stdout(StringIO()) as text:
        demo.demo(options.folder)
    gradient = grad(demo.neuron)(demo.POINT)
    data = {"point": demo.POINT, "gradient": gradient, "text": text.getvalue()}
    return Answer(text.getvalue().removesuffix("\n"), data)


def _named(options: Namespace) -> Call:
    return call(function(options.function), point(options.at))


def _recorded(options: Namespace) -> tuple[Call, AnyTape]:
    from tapegrad.transforms.record import record

    named = _named(options)
    return named, named.through(record)


COMMANDS: Final[Mapping[str, Callable[[Namespace], Answer]]] = {
    "grad": _grad,
    "check": _check,
    "show": _show,
    "lines": _lines,
    "stats": _stats,
    "explain": _explain,
    "nonfinite": _nonfinite,
    "diff": _diff,
    "draw": _draw,
    "demo": _demo,
}
"""What each command does."""
