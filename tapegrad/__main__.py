"""The command line, ``tapegrad`` or ``python -m tapegrad``: its options, and what it prints."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tapegrad import __version__
from tapegrad.cli.commands import COMMANDS, Answer, json_value
from tapegrad.errors import TapegradError

__all__ = ["main"]

_FILE: Final = """\
The file is run, as `python file.py` runs it but for `if __name__ == "__main__"`.

--at gives parameters by name: numbers (spot=100), fields of a model or parts of a dict
(market.spot=100), lists (xs=1,2,3), JSON, text, or a .toml file of all these.

The first parameter is differentiated where it is a container or a model; else every
parameter that is given a number, but for those annotated int.
"""

_STATUS: Final = "Exit status: 0 fine, 1 a failed check, 2 something that cannot be used or run."

_POINT: Final[dict[str, Any]] = {
    "nargs": "+", "action": "extend", "default": [], "metavar": "name=value"
}  # fmt: skip

_OPTIONS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "check": {
        "--order": {
            "type": int, "choices": (1, 2), "default": 1, "help": "2 checks Hessians too"
        },
    },
    "explain": {
        "--wrt": {"required": True, "metavar": "name", "help": "an input or a label"},
        "--of": {"metavar": "name", "help": "an output or a label; else the result"},
        "--top": {"type": int, "default": 5, "metavar": "n", "help": "the most paths shown (5)"},
    },
    "diff": {
        "--to": _POINT | {"help": "the parameters that differ in the second call"},
        "--against": {"metavar": "file.py:function", "help": "another function"},
    },
    "draw": {
        "-o --output": {"required": True, "help": ".svg, .png, .pdf, .dot or .html"},
        "--by": {"choices": ("auto", "node", "line", "scope"), "help": "what a box is"},
        "--around": {"metavar": "name", "help": "only what is near this input, label or %%slot"},
        "--depth": {"type": int, "metavar": "n", "help": "the most steps from it"},
        "--between": {"nargs": 2, "metavar": ("from", "to"), "help": "only the paths between"},
        "--top": {"type": int, "metavar": "n", "help": "only the n entries that matter most"},
        "--rankdir": {"choices": ("LR", "TB"), "help": "to the right, or down"},
        "--no-gradient": {
            "dest": "gradient", "action": "store_false", "default": None, "help": "values only"
        },
    },
    "demo": {"--folder": {"type": Path, "default": Path(), "help": "where the picture goes"}},
}  # fmt: skip
"""The options of each command, beside those that all have."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives 0, 1 for a failed check, or 2 for unusable arguments."""
    options = _parser().parse_args(arguments)
    try:
        answer = COMMANDS[options.command](options)
    except TapegradError as error:
        sys.stderr.write(f"tapegrad: {error}\n")
        return 2
    try:
        _write(answer, as_json=options.json)
    except BrokenPipeError:
        # The reader has stopped reading, as in `tapegrad show ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if answer.failed else 0


def _write(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(json_value(answer.data), indent=2, allow_nan=False))
    else:
        print(answer.text)
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    """The parser, with a command for each of ``COMMANDS``."""
    parser = argparse.ArgumentParser(
        "tapegrad", description="Gradients around an explicit tape.", epilog=_STATUS
    )
    parser.add_argument("--version", action="version", version=f"tapegrad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, run in COMMANDS.items():
        text = inspect.getdoc(run) or name
        takes_function = name != "demo"
        command = commands.add_parser(
            name,
            help=f"{text[0].lower()}{text[1:].removesuffix('.')}",
            description=f"{text}\n\n{_FILE}" if takes_function else text,
            epilog=_STATUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="print JSON")
        if takes_function:
            command.add_argument("function", metavar="file.py:function")
            command.add_argument(
                "--at", **_POINT, help="where: parameters by name, or a .toml file"
            )
        for option, settings in _OPTIONS.get(name, {}).items():
            command.add_argument(*option.split(), **settings)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
