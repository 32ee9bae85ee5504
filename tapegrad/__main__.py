"""The command line: ``tapegrad`` or ``python -m tapegrad``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 2 for unusable arguments."""
    parser = argparse.ArgumentParser("tapegrad", description="Gradients around an explicit tape.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("demo", help="print a gradient and its tape, and draw the tape")
    show.add_argument("--folder", type=Path, default=Path(), help="where the picture goes")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder: name one that exists")
    from tapegrad.demo import demo

    demo(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
