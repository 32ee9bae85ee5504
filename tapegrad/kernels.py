"""The code of one path for one call at a time, made when the path is taken a second time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

from tapegrad.backends import Choice
from tapegrad.packing import Packer, packer
from tapegrad.paths import Path
from tapegrad.program import Program
from tapegrad.reports import PathReport

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Kernel", "Running"]

Kernel: TypeAlias = Callable[[Sequence[float]], "Sequence[float] | int"]
"""A program that runs: the outputs, or the index of the guard that came out differently."""

Flat: TypeAlias = Callable[[bytes], "Buffer | int"]
"""The same between doubles that stand side by side."""


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
        self.kernel: Kernel | None = None
        self.flat: Flat | None = None
        self.compiling = 0.0

    def make(self) -> tuple[Kernel, Flat]:
        """Make the code; two threads may both do so, and one of the two is kept."""
        started = perf_counter()
        if self.choice.name == "llvm":
            code = cast(_Native, import_module("tapegrad.native")).Call(self.path.program)
            self.kernel, self.flat = code, code.flat
        else:
            from tapegrad.interpret.python import compiled

            self.kernel = compiled(self.path.program)
            self.flat = partial(_by_list, self.kernel)
        self.compiling = perf_counter() - started
        return self.kernel, self.flat

    def report(self) -> PathReport:
        """What this path is, and what it took."""
        runs_on = self.choice.name if self.compiling else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling)


def _by_list(kernel: Kernel, inputs: bytes) -> bytes | int:
    found = kernel(memoryview(inputs).cast("d").tolist())
    return found if isinstance(found, int) else array("d", found).tobytes()


class _Code(Protocol):
    def __call__(self, floats: Sequence[float], /) -> Sequence[float] | int: ...
    def flat(self, inputs: bytes, /) -> Buffer | int: ...


class _Native(Protocol):
    """What is used of ``tapegrad.native``, by way of which a user's checker would read numpy."""

    def Call(self, program: Program, /) -> _Code: ...  # noqa: N802  # a class there
