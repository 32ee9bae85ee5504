"""The tables of equivalents: what they say to write here is Python that runs here."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad import numpy as tnp
from tapegrad.learn import losses, nn, optim, tree

FOLDER: Final = Path(__file__).parent.parent / "docs/coming-from"

LIBRARY: Final[Mapping[str, Any]] = {
    "tapegrad": tg, "tg": tg, "math": math, "tnp": tnp, "np": np, "losses": losses, "nn": nn,
    "optim": optim, "tree": tree,
}  # fmt: skip


def square(x: Any) -> Any:
    return x * x


def norm(xs: Any) -> Any:
    return math.sum([x * x for x in xs])


def neighbours(xs: Any) -> Any:
    return [x * y for x, y in pairwise(xs)]


def total(x: Any) -> Any:
    return tnp.sum(x * x)


def shifted(x: Any, a: Any) -> Any:
    return x * x - a


def summed(carry: Any, x: Any) -> Any:
    return carry + x, carry


NUMBER: Final[Mapping[str, Any]] = {"f": square, "x": 2.0, "v": 1.0, "y": 4.0, "y_bar": 1.0}
LIST: Final[Mapping[str, Any]] = {"f": norm, "x": [1.0, 2.0, 3.0], "v": [1.0, 0.0, 0.0]}
ARRAY: Final[Mapping[str, Any]] = {
    "f": total, "x": np.array([1.0, 2.0]), "v": np.array([1.0, 0.0]), "y": np.array([1.0, 2.0]),
    "i": 0, "c": np.array([True, False]),
}  # fmt: skip
POINTS: Final = [NUMBER, LIST, ARRAY]


def known() -> dict[str, Any]:
    """What the tables take to be there, beside a function and its argument."""
    net = {"w": [1.0, 2.0], "b": 3.0}
    opt = optim.adam(0.01)
    matrix = {"w.0": {"w.1": 2.0}}
    fast = tg.jit(tg.grad(norm)).compile([1.0, 2.0])
    return {
        **LIBRARY, "net": net, "slope": net, "p": net, "opt": opt, "state": opt.init(net),
        "c": True, "params": [1.0, 2.0], "x0": 1.0, "args": (2.0,), "matrix": matrix, "fast": fast,
        "tape": tg.record(neighbours)([1.0, 2.0, 3.0]), "Real": float,
        "pullback": tg.vjp(square, 2.0)[1],
    }  # fmt: skip


OTHERS: Final[Mapping[str, Mapping[str, Any]]] = {
    'tg.jacobian(f)(x)["value"]["x"]': {**ARRAY, "f": square},
    "tg.sparse_jacobian(f)(x)": {"f": neighbours, "x": [1.0, 2.0]},
    "tg.root(f, x0, *args)": {"f": shifted},
    "tg.vmap(tg.grad(f))(x)": {"f": square, "x": np.array([1.0, 2.0])},
    "tg.objective(f, params)": {"f": norm},
    "tg.scan(f, init, xs, length)": {"f": summed, "init": 1.0, "xs": [1.0, 2.0], "length": 2},
    "tnp.at_set(x, i, v)": {**ARRAY, "v": 3.0},
    "tape.hessian_sparsity()": {"tape": tg.record(norm)([1.0, 2.0])},
}
"""Where a line of a table is about a function of another kind."""

WORDS: Final = {
    "if",
    "while",
    "for",
    "rows",
    "columns",
    "values",
    "update",
    "tapegrad.learn",
    "Var",
    "ArrayVar",
}
"""Words of Python's, and of answers, that stand for themselves."""


def written(page: Path) -> list[str]:
    """The code in the last column of a page's table."""
    rows = re.findall(r"^\| .* \| (.*) \|$", page.read_text("utf-8"), re.MULTILINE)
    spans = [span for row in rows[1:] for span in re.findall(r"`([^`]+)`", row)]
    return [span for span in spans if "..." not in span and span not in WORDS]


def run(code: str, names: Mapping[str, Any]) -> bool:
    """Whether the code runs with a function and an argument of that kind."""
    if code.startswith("def "):
        code += ": ..."
    scope = {**known(), **names}
    try:
        exec(compile(ast.parse(code), "table", "exec"), scope)  # noqa: S102  # our own pages
    except (TypeError, ValueError, KeyError, AttributeError, NameError, IndexError):
        return False
    return True


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)
def test_what_the_table_says_to_write_runs(page: Path) -> None:
    """Each piece of code, with a function of a number, of a list or of an array."""
    codes = written(page)
    assert len(codes) > 8
    for code in codes:
        kinds = [OTHERS[code]] if code in OTHERS else POINTS
        assert any(run(code, names) for names in kinds), code


def test_the_test_of_tables_can_fail() -> None:
    """A name that is not there is seen, and so is a call that does not fit."""
    assert not any(run(code, names) for code in ("tg.gard(f)(x)", "tg.hvp(f)") for names in POINTS)
