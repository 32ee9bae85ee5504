"""The command line: ``tapegrad`` or ``python -m tapegrad``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from tapegrad.cli.commands import COMMANDS, Answer, json_value
from tapegrad.cli.options import make_parser
from tapegrad.errors import TapegradError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives 0, 1 for a failed check, or 2 for unusable arguments."""
    options = make_parser().parse_args(arguments)
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


if __name__ == "__main__":
    raise SystemExit(main())
