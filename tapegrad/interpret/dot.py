"""The tape as a picture: DOT text, after the drawing in Karpathy's micrograd lecture.

A box is a value, with its name, value and cotangent; an oval is an operation. Inputs, outputs,
constants and guards differ in shape and in colour (Okabe and Ito's, which colour-blind readers can
tell apart). Everything that comes from the user is escaped, in HTML-like tables.
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tapegrad.errors import DrawingError
from tapegrad.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.primitive import Operand, primal
from tapegrad.tape import Tape
from tapegrad.text import number, visible

if TYPE_CHECKING:
    import graphviz

__all__ = ["dot", "render", "source"]

_INPUT = {"shape": "box", "style": "rounded,filled", "fillcolor": "#cfe8f7", "color": "#0072b2"}
_OUTPUT = {"shape": "box", "style": "filled", "fillcolor": "#cdeee2", "color": "#009e73"}
_OUTPUT |= {"peripheries": "2"}
_VALUE = {"shape": "box", "color": "#333333"}
_CONSTANT = {"shape": "plaintext", "fontcolor": "#666666"}
_GUARD = {"shape": "diamond", "style": "filled", "fillcolor": "#fbe3b0", "color": "#e69f00"}
_OPERATION = {"shape": "oval", "color": "#333333"}


_INSTALL = {"darwin": "brew install graphviz", "win32": "winget install graphviz"}
"""The command that brings the dot program, where it is not Debian's."""


def dot(
    tape: Tape[Any, ..., Any],
    cotangents: Sequence[Operand | None],
    rankdir: Literal["LR", "TB"] = "LR",
) -> str:
    """The picture as DOT text. Entry 17 has the id ``n17``, its operation ``n17op``.

    Raises:
        DrawingError: for another ``rankdir`` than LR and TB.
    """
    import graphviz

    if rankdir not in {"LR", "TB"}:
        raise DrawingError(f"rankdir={rankdir!r} is unknown: use 'LR' or 'TB'")
    graph = graphviz.Digraph(
        "tape",
        graph_attr={"rankdir": rankdir, "ordering": "in"},
        node_attr={"fontname": "Helvetica", "fontsize": "11", "margin": "0.06,0.03"},
        edge_attr={"color": "#555555", "arrowsize": "0.6"},
    )
    outputs = frozenset(tape.outputs)
    for slot, (node, cotangent) in enumerate(zip(tape, cotangents, strict=True)):
        site = tape.site(slot)
        tooltip = graphviz.escape(visible(f"{site} in {site.function}" if site else f"%{slot}"))
        style = _style(node, is_output=slot in outputs)
        graph.node(f"n{slot}", _label(node, cotangent), _attributes={"tooltip": tooltip, **style})
        for operand in _draw_operation(graph, node, tooltip):
            head = f"n{slot}op" if isinstance(node, Apply) else f"n{slot}"
            graph.edge(f"n{operand}", head)
    return graph.source


def _draw_operation(graph: graphviz.Digraph, node: Node, tooltip: str) -> tuple[int, ...]:
    """The oval of an operation, if there is one; what the entry reads."""
    if isinstance(node, Guard):
        return (node.operand,)
    if not isinstance(node, Apply):
        return ()
    name = node.primitive.symbol or node.primitive.name
    static = "".join(f" {value}" for value in node.static)
    oval = f"n{node.slot}op"
    graph.node(
        oval,
        f"<{_escaped(name + static)}>",
        _attributes={"tooltip": tooltip, **_OPERATION},
    )
    graph.edge(oval, f"n{node.slot}")
    return node.operands


def _style(node: Node, *, is_output: bool) -> dict[str, str]:
    if is_output:
        return _OUTPUT
    if isinstance(node, Input):
        return _INPUT
    if isinstance(node, Constant):
        return _CONSTANT
    return _GUARD if isinstance(node, Guard) else _VALUE


def _label(node: Node, cotangent: Operand | None) -> str:
    """The cells of a box: name, value, cotangent."""
    if isinstance(node, Guard):
        return f"<{node.outcome}>"
    if isinstance(node, Constant):
        return f"<{_shown(node.value)}>"
    path = node.path if isinstance(node, Input) else ""
    name = _escaped(node.label or path)
    bar = "" if cotangent is None else f"grad {_shown(cotangent)}"
    cells = [cell for cell in (name, f"value {_shown(node.value)}", bar) if cell]
    inner = "<VR/>".join(f"<TD>{cell}</TD>" for cell in cells)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0"><TR>{inner}</TR></TABLE>>'


def _escaped(text: str) -> str:
    r"""Text for an HTML-like label, in which dot would put the entry's id for ``\N``."""
    return html.escape(visible(text)).replace("\\", r"\\")


def _shown(value: Operand) -> str:
    return number(primal(value))


def source(text: str) -> graphviz.Source:
    """DOT text as an object of the ``graphviz`` package."""
    import graphviz

    return graphviz.Source(text)


def render(text: str, file: str | os.PathLike[str]) -> Path:
    """Lay the picture out with the ``dot`` program and write it, in the format of the ending.

    Raises:
        DrawingError: without a ``dot`` program, or for an ending it does not know.
    """
    import graphviz

    path = Path(file)
    ending = path.suffix.removeprefix(".").lower()
    if ending in {"dot", "gv"}:
        path.write_text(text, encoding="utf-8")
        return path
    try:
        path.write_bytes(graphviz.Source(text).pipe(format=ending))
    except graphviz.ExecutableNotFound:
        raise DrawingError(
            f"{path} needs the dot program, which is not installed: run "
            f"`{_INSTALL.get(sys.platform, 'apt-get install graphviz')}`, or write tape.to_dot() "
            "to a file"
        ) from None
    except graphviz.CalledProcessError as failure:
        raise DrawingError(
            f"{path}: dot failed on {len(text):,} letters of DOT text (exit {failure.returncode}): "
            "draw a smaller tape, or write tape.to_dot() to a file"
        ) from None
    except ValueError:
        raise DrawingError(
            f"{path} has an ending that dot does not know: use .svg, .png, .pdf or .dot"
        ) from None
    return path
