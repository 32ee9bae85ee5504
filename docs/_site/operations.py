"""The directive ``functions``: a table of functions, from the table of operations and docstrings.

Its argument is ``math``, or ``numpy`` followed by a heading of the table in ``how-to/arrays.md``.
What an operation is like at a point is computed there; nothing is written down a second time.
"""

from __future__ import annotations

import inspect
import itertools
import math as library
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import tapegrad as tg
from tapegrad import math
from tapegrad import numpy as tnp
from tapegrad.ops.primitive import Primitive

__all__ = ["setup"]

COLUMNS = ("function", "gives", "domain", "slope at kinks, ties and ends", "value", "exceptions")
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"

CANDIDATES = {
    1: [(x,) for x in (-1.0, 0.0, 0.5, 1.0)],
    2: [(0.0, 0.0), (1.0, 1.0), (0.0, 0.5), (0.0, 2.0), (1.0, 0.0), (-1.0, 0.0)],
}
"""Points, by the number of operands, at which a kink or a tie is looked for."""

CALLS: list[tuple[Any, ...]] = [
    (None, 0.2, 0.8), (None,), (None, None), (None, 0.7), ([None, 0.7],), ([None, 0.7], [0.3, 0.4]),
    (None, 2), (2, None),
]  # fmt: skip
"""Arguments that a function may take, with None for the number that is traced."""

NEAR = 1e-9


class Functions(SphinxDirective):
    """The table of functions that the arguments name."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The table, read as Markdown."""
        library_name, _, heading = self.arguments[0].partition(" ")
        if library_name == "math":
            text = of_math(heading)
        else:
            text = of_numpy(heading, Path(self.env.srcdir) / "how-to/arrays.md")
        return self.parse_text_to_nodes(text)


def of_math(group: str) -> str:
    """The functions of ``math`` that have a derivative, or the names that have none."""
    with_rows: list[str] = []
    plain: list[str] = []
    for name in sorted(math.__all__):
        function = getattr(math, name)
        rows = rows_of(function) if callable(function) else []
        if rows:
            with_rows.append(line(name, function, rows))
        else:
            plain.append(f"`{name}`")
    return ", ".join(plain) if group == "plain" else "\n".join([HEAD, *with_rows])


def of_numpy(heading: str, page: Path) -> str:
    """The functions under one heading of the page on arrays."""
    if heading == "linalg":
        functions = {f"linalg.{name}": getattr(tnp.linalg, name) for name in tnp.linalg.__all__}
        functions = {name: f for name, f in functions.items() if not inspect.isclass(f)}
    else:
        (names,) = re.findall(rf"^\| {heading} \| (.*) \|$", page.read_text("utf-8"), re.MULTILINE)
        functions = {name: getattr(tnp, name) for name in re.findall(r"`(\w+)`", names)}
    if heading.startswith("Element"):
        lines = [line(name, f, rows_of(f)) for name, f in functions.items()]
        return "\n".join([HEAD, *lines])
    kinks = {name: at_kinks(f) for name, f in functions.items() if callable(f)}
    has_kinks = any(kinks.values())
    head = "| function | gives | slope at ties and zeros |" if has_kinks else "| function | gives |"
    lines = [head, "|---|---|---|" if has_kinks else "|---|---|"]
    for name, kink in kinks.items():
        cells = f"`{name}{parameters(functions[name])}`", described(functions[name]), kink
        lines.append(f"| {' | '.join(cells if has_kinks else cells[:2])} |")
    return "\n".join(lines)


def at_kinks(function: Callable[..., Any]) -> str:
    """The gradient of its sum at two ones, or at two zeros, where it is not smooth there."""
    found: dict[str, list[str]] = {}
    for where, at in (("a tie", [1.0, 1.0]), ("zeros", [0.0, 0.0])):
        try:
            slope = tg.grad(lambda x: tnp.sum(function(x)))(np.array(at)).tolist()
            kink = has_kink(lambda x: float(np.sum(function(x))), at)
        except Exception:  # noqa: BLE001  # whatever a call with arguments of another kind raises
            return ""
        if kink:
            found.setdefault(" and ".join(f"{one:g}" for one in slope), []).append(where)
    return "; ".join(f"{slope} at {' and '.join(at)}" for slope, at in found.items())


def has_kink(function: Callable[[Any], float], at: list[float]) -> bool:
    """Whether the slopes on both sides differ, in one of the numbers at least."""
    here = function(np.array(at))
    for index in range(len(at)):
        step = np.zeros(len(at))
        step[index] = 1e-6
        after, before = function(np.array(at) + step), function(np.array(at) - step)
        if abs((after - here) - (here - before)) > 1e-8:
            return True
    return False


def described(function: Callable[..., Any]) -> str:
    """Its docstring's first sentence; numpy's own functions are said to be that."""
    module = getattr(function, "__module__", "") or ""
    return first_sentence(function) if module.startswith("tapegrad") else "numpy's own"


def line(name: str, function: Callable[..., Any], rows: list[Primitive]) -> str:
    """One line of the table: facts of an operation, or the operations a function is made of."""
    if len(rows) == 1 and is_itself(function, rows[0]):
        (row,) = rows
        facts = domain(row), slopes(row), value(row), exceptions(row)
    else:
        made_of = ", ".join(f"`{row.name}`" for row in rows)
        facts = "", "", "", f"made of {made_of}" if rows else ""
    cells = signature_cell(f"{name}{parameters(function)}"), first_sentence(function), *facts
    return f"| {' | '.join(cells)} |"


def is_itself(function: Callable[..., Any], row: Primitive) -> bool:
    """Whether a function applies the operation to its own arguments, once."""
    if row.name == function.__name__ or row.arity is None:
        return True
    given = [
        one for one in inspect.signature(function).parameters.values() if one.default is one.empty
    ]
    return len(given) == row.arity + row.has_static


def signature_cell(signature: str) -> str:
    return f"`{signature.replace('|', chr(92) + '|')}`"


def first_sentence(function: object) -> str:
    """What its docstring says first."""
    text = (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
    parts = re.split(r"(``.*?``)", text.replace("|", "\\|"))
    return "".join(
        one.replace("``", "`") if one.startswith("``") else one.replace("*", "\\*") for one in parts
    )


def parameters(function: Callable[..., Any]) -> str:
    """Its parameters without their types."""
    name = function.__name__
    theirs = getattr(library, name, None) if function is getattr(math, name, None) else None
    try:
        found = inspect.signature(theirs or function)
    except ValueError:  # of a few of C's functions
        found = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in found.parameters.values()]
    shown = str(found.replace(parameters=bare, return_annotation=found.empty))
    return shown.replace(", /", "")


def rows_of(function: Callable[..., Any]) -> list[Primitive]:
    """The operations that a function records; only its own where there is one of its name."""
    for given in CALLS:
        found = list({row.name: row for row in recorded(function, given)}.values())
        if found:
            return [row for row in found if row.name == function.__name__] or found
    return []


def recorded(function: Callable[..., Any], given: tuple[Any, ...]) -> list[Primitive]:
    """The operations of numbers that a call records; none where the arguments do not fit."""

    def call(x: Any) -> Any:
        return function(*(filled(one, x) for one in given))

    try:
        tape = tg.record(call)(0.6)
    except Exception:  # noqa: BLE001  # whatever a call with arguments of another kind raises
        return []
    return [node.primitive for node in tape.nodes if isinstance(node, tg.Apply)]


def filled(one: Any, x: Any) -> Any:
    """The argument, with the traced number in place of None."""
    if isinstance(one, list):
        return [filled(part, x) for part in one]
    return x if one is None else one


def domain(row: Primitive) -> str:
    """The intervals in which the operands belong to it."""
    if all(interval == (-library.inf, library.inf) for interval in row.domain):
        return "all"
    return ", ".join(interval(*one) for one in row.domain[: row.arity])


def interval(low: float, high: float) -> str:
    if (low, high) == (-library.inf, library.inf):
        return "all"
    return f"{low:g} to {high:g}" if high < library.inf else f"from {low:g}"


def slopes(row: Primitive) -> str:
    """Its partials where a derivative could be defended in another way."""
    if row.pieces is not None and row.pieces.border == "jump":
        flat = not list(row.differentiated_operands(row.arity or 1))
        return "0 everywhere, jumps" if flat else "jumps where the quotient does"
    if row.has_static or row.arity not in CANDIDATES:
        return variadic(row) if row.arity is None else ""
    found: dict[str, list[str]] = {}
    for point in (*CANDIDATES[row.arity], *ends(row)):
        if point in ends(row) or is_border(row, point):
            found.setdefault(partials(row, point), []).append(shown(point))
    return "; ".join(f"{slope} at {', '.join(dict.fromkeys(at))}" for slope, at in found.items())


def variadic(row: Primitive) -> str:
    """The same for two operands at the origin."""
    border = row.pieces is not None and is_border(row, (0.0, 0.0))
    return f"{partials(row, (0.0, 0.0))} at {shown((0.0, 0.0))}" if border else ""


def ends(row: Primitive) -> list[tuple[float, ...]]:
    """The finite ends of the domain of an operation on one number."""
    if row.arity != 1:
        return []
    return [(end,) for end in row.domain[0] if library.isfinite(end)]


def is_border(row: Primitive, point: tuple[float, ...]) -> bool:
    """Whether points beside it are on other smooth pieces."""
    if row.pieces is None:
        return False
    beside = [
        tuple(x + step for x, step in zip(point, steps, strict=True))
        for steps in itertools.product((-NEAR, 0.0, NEAR), repeat=len(point))
    ]
    inside = [at for at in beside if not library.isnan(row.value(*at))]
    return len({row.pieces.of(row.value(*at), *at) for at in inside}) > 1


def partials(row: Primitive, point: tuple[float, ...]) -> str:
    """All partials at a point."""
    y = row.value(*point)
    each = (row.partial(index, y, *point) for index in range(len(point)))
    return " and ".join("0" if one is None else f"{one:g}" for one in each)


def shown(point: tuple[float, ...]) -> str:
    return f"{point[0]:g}" if len(point) == 1 else f"({', '.join(f'{x:g}' for x in point)})"


def value(row: Primitive) -> str:
    """How accurate the value is; the standard library's own are not judged."""
    if row.is_truth or (row.pieces is not None and row.pieces.border == "jump"):
        return "exact"
    return "library's" if hasattr(library, row.name) else "4 ulps"


def exceptions(row: Primitive) -> str:
    """What the table excuses, and why."""
    return "; ".join(f"{one.of}: {one.why}" for one in row.slack)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("functions", Functions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
