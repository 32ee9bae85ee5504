"""The code of one path for one call at a time, made when the path is taken a second time."""

from __future__ import annotations

from time import perf_counter
from typing import final

from tapegrad.compile.backends.interface import RunBytes, RunFloats
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.paths import Path
from tapegrad.compile.report import PathReport
from tapegrad.pytree.codegen import Packer, packer

__all__ = ["Running"]


@final
class Running:
    """A path, its code, and what puts its results together."""

    path: Path
    choice: Choice
    pack: Packer
    compiling: float

    def __init__(self, path: Path, choice: Choice) -> None:
        self.path, self.choice = path, choice
        self.pack = packer(path.tape.result)
        self.kernel: RunFloats | None = None
        self.flat: RunBytes | None = None
        self.compiling = 0.0

    def make(self) -> tuple[RunFloats, RunBytes]:
        """Make the code; two threads may both do so, and one of the two is kept."""
        started = perf_counter()
        code = self.choice.scalar(self.path.program)
        self.kernel, self.flat = code.run, code.run_bytes
        self.compiling = perf_counter() - started
        return self.kernel, self.flat

    def report(self) -> PathReport:
        """Tell what this path is, and what it took."""
        runs_on = self.choice.name if self.compiling else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling)
