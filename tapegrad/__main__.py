"""The command line: ``tapegrad`` or ``python -m tapegrad``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tapegrad import __version__

if TYPE_CHECKING:
    from tapegrad.cli.commands import Answer

__all__ = ["main"]

_FILE: Final = """\
The file is run, as `python file.py` runs it but for `if __name__ == "__main__"`.

--at gives parameters by name: numbers (spot=100), fields of a model or parts of a dict
(market.spot=100), lists (xs=1,2,3), JSON, text, or a .toml file of all these.

Differentiated is the first parameter where it is a container or a model; else every
parameter that is given a number, but for those annotated int.
"""

_STATUS: Final = "Exit status: 0 fine, 1 a failed check, 2 something that cannot be used or run."

_POINT: Final[dict[str, Any]] = {
    "nargs": "+", "action": "extend", "default": [], "metavar": "name=value"
}  # fmt: skip

Add: TypeAlias = Callable[[str, str], argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a failed check, or 2 for unusable arguments."""
    options = _parser().parse_args(arguments)
    from tapegrad.cli.commands import COMMANDS
    from tapegrad.errors import TapegradError

    try:
        answer = COMMANDS[options.command](options)
    except TapegradError as error:
        sys.stderr.write(f"tapegrad: {error}\n")
        return 2
    try:
        _write(answer, as_json=options.json)
    except BrokenPipeError:
        # Whoever reads has read enough, as in `tapegrad show ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if answer.failed else 0


def _write(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        import json

        from tapegrad.cli.commands import plain

        print(json.dumps(plain(answer.data), indent=2, allow_nan=False))
    else:
        print(answer.shown)
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tapegrad", description="Gradients around an explicit tape.", epilog=_STATUS
    )
    parser.add_argument("--version", action="version", version=f"tapegrad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_STATUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    def add_of_function(name: str, text: str) -> argparse.ArgumentParser:
        command = add(name, text)
        command.description = f"{command.description}\n\n{_FILE}"
        command.add_argument("function", metavar="file.py:function")
        command.add_argument("--at", **_POINT, help="where: parameters by name, or a .toml file")
        return command

    _add_tables(add_of_function)
    _add_readings(add_of_function)
    demo = add("demo", "print a gradient and its tape, and draw the tape")
    demo.add_argument("--folder", type=Path, default=Path(), help="where the picture goes")
    return parser


def _add_tables(add: Add) -> None:
    add("grad", "the value and the gradient of a function")
    check = add("check", "compare the gradient with differences; 1 where they do not confirm it")
    check.add_argument("--order", type=int, choices=(1, 2), default=1, help="2 checks Hessians too")
    add("show", "the tape: what a call computed, entry by entry")
    add("stats", "the tape in figures")
    add("lines", "the source, with what each line put on the tape in its margin")
    add("nonfinite", "where the first nan or infinity arises; 1 where one does")


def _add_readings(add: Add) -> None:
    explain = add("explain", "what one derivative is made of: by line, by path, by label")
    explain.add_argument("--wrt", required=True, metavar="name", help="an input or a label")
    explain.add_argument("--of", metavar="name", help="an output or a label; else the result")
    explain.add_argument("--top", type=int, default=5, metavar="n", help="so many paths (5)")
    diff = add("diff", "where two calls part, in structure and in value; 1 where they do")
    diff.add_argument("--to", **_POINT, help="what is different in the second call")
    diff.add_argument("--against", metavar="file.py:function", help="another function")
    draw = add("draw", "the tape as a picture")
    draw.add_argument("-o", "--output", required=True, help=".svg, .png, .pdf, .dot or .html")
    draw.add_argument("--by", choices=("auto", "node", "line", "scope"), help="what a box is")
    draw.add_argument(
        "--around", metavar="name", help="only what is near this input, label or %%slot"
    )
    draw.add_argument("--depth", type=int, metavar="n", help="so many steps from it")
    draw.add_argument("--between", nargs=2, metavar=("from", "to"), help="only the paths between")
    draw.add_argument("--top", type=int, metavar="n", help="only so many entries, the weightiest")
    draw.add_argument("--rankdir", choices=("LR", "TB"), help="to the right, or down")
    draw.add_argument(
        "--no-gradient", dest="gradient", action="store_false", default=None, help="values only"
    )


if __name__ == "__main__":
    raise SystemExit(main())
