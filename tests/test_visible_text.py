"""Whatever a function, a file or a key is called, the text about it shows every character."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad._support.source_position import Site

np = pytest.importorskip("numpy")

NAME = "ma\u202ene\x1b[31m\u2066\nqq"


def is_visible(text: str) -> bool:
    """Whether all characters print; a text of several lines has no line of the name's."""
    return "\nqq" not in text and all(char.isprintable() or char in "\n\t" for char in text)


def named(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function under a name that turns text around."""
    f.__name__ = f.__qualname__ = NAME
    return f


@named
def model(x: Any) -> Any:
    return math.sin(x) if x > 0.0 else x


@named
def pair(x: Any) -> Any:
    return x, x


@named
def keyed(p: Any) -> Any:
    return tg.label(p[NAME] * 2.0, NAME)


@tg.scope(NAME)
def scoped(x: Any) -> Any:
    return x * x


class Odd:
    def __repr__(self) -> str:
        return NAME


def texts() -> list[str]:
    """What is shown of a function, its tapes and its compiled code."""
    compiled: Any = tg.jit(model).compile(1.0)
    batched: Any = tg.vmap(model)
    batched(np.ones(2))
    columns: Any = tg.vmap(tg.grad(keyed))({NAME: np.ones(2)})
    tapes = [tg.record(keyed)({NAME: 1.0}), tg.record(scoped)(1.0), tg.record(model)(1.0)]
    found = [repr(compiled), str(compiled.report()), repr(batched), str(batched.report())]
    found += [repr(columns), str(tg.check_grad(model, 1.0)), str(Site(NAME, 1, NAME))]
    for tape in tapes:
        found += [str(tape), repr(tape), tape.to_dot(), str(tape.stats()), str(tape.lines())]
        found += [str(tape.explain(wrt=0)), str(tape.diff(tapes[0])), str(tape.draw())]
    return found + [compiled.source(language) for language in ("python", "c", "llvm")]


def test_what_is_printed_is_visible() -> None:
    """Reports, tables, pictures and sources."""
    assert [text for text in texts() if not is_visible(text)] == []


ANYTHING: Any = Odd()
ON_MODEL: Any = tg.grad(model)
CALLS: tuple[Callable[[], object], ...] = (
    lambda: tg.grad(pair)(1.0),
    lambda: ON_MODEL(**{NAME: 1.0}),
    lambda: tg.grad(keyed)({NAME: "x"}),
    lambda: tg.grad(model)(Odd()),
    lambda: tg.jit(pair, eager_first=False)(1.0, 2.0, 3.0),
    lambda: tg.vmap(keyed)({NAME: np.array([1j])}),
    lambda: tg.vmap(keyed)({NAME: 1.0}),
    lambda: tg.record(keyed)({NAME: 1.0}).explain(wrt=NAME + "y"),
    lambda: tg.record(keyed)({NAME: 1.0}).replay({"other": 1.0}),
    lambda: tg.record(model)(1.0).replay(-1.0),
    lambda: tg.jacobian(model)({NAME: ANYTHING}),
    lambda: attrs.evolve(tg.record(keyed)({NAME: 1.0}), names=(NAME, ANYTHING)),
    lambda: attrs.evolve(tg.record(keyed)({NAME: 1.0}), labels=((99, NAME),)),
)


@pytest.mark.parametrize("call", CALLS)
def test_what_is_said_of_a_mistake_is_visible(call: Callable[[], object]) -> None:
    """Messages of errors."""
    with pytest.raises(tg.errors.TapegradError) as caught:
        call()
    assert is_visible(str(caught.value)), ascii(str(caught.value))


def test_a_file_may_be_called_anything(tmp_path: Path) -> None:
    """In the line that a message names."""
    file = str(tmp_path / f"{NAME}.py")
    space: dict[str, Any] = {"tg": tg}
    exec(compile("def call():\n    tg.grad(lambda x: (x, x))(1.0)\n", file, "exec"), space)  # noqa: S102  # our own
    with pytest.raises(tg.errors.OutputError) as caught:
        space["call"]()
    assert is_visible(str(caught.value))
