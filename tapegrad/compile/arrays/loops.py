"""Runs of steps on large arrays as one loop of machine code, where that pays.

At first a run goes block by block, in numpy's functions. Once it has done as much work as it takes
to compile a loop, it is compiled, if the backend can. The bits are the same: all steps are rounded
correctly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, final

from tapegrad.compile.backends.interface import CompileLoop, RunLoop
from tapegrad.compile.backends.llvm.array_loop import FUNCTIONS, LoopStep, array_loop
from tapegrad.errors import BackendError

__all__ = ["PAYS", "Loop", "LoopStep", "can_loop"]

PAYS: Final = 1 << 27
"""The numbers that the steps of a run compute in the time that LLVM takes to compile it."""

Run: TypeAlias = Callable[..., None]


def can_loop(functions: Collection[str]) -> bool:
    """Whether a run of these functions of numpy's can become a loop."""
    return FUNCTIONS.keys() >= {*functions}


@final
class Loop:
    """A run of steps on arrays of one ``size``, as ``array_loop`` describes it.

    It is given the arrays that are ``read`` alone, those that are ``written`` to, and ``numbers``.
    """

    def __init__(  # all that a loop is made of
        self,
        make: CompileLoop,
        steps: Sequence[LoopStep],
        read: Sequence[str],
        written: Sequence[str],
        numbers: Sequence[str],
        size: int,
    ) -> None:
        text = array_loop(steps, (*read, *written), numbers, written)
        self._make = partial(make, text, size, len(read), len(written), len(numbers))
        self._work, self._done = len(steps) * size, 0
        self._native: RunLoop | None = None

    def around(self, in_blocks: Run) -> Run:
        """The run, given a function that does it in blocks, and is given arrays and numbers."""

        def run(*given: Any) -> None:
            if self._native is None:
                self._done += self._work
                if self._done > PAYS:
                    self._native = self._made()
            if self._native is None or not self._native(given):
                in_blocks(*given)

        return run

    def _made(self) -> RunLoop:
        """The compiled loop; where there is no memory to compile it, one that takes nothing."""
        try:
            return self._make()
        except BackendError:
            return _takes_nothing


def _takes_nothing(given: Sequence[Any]) -> bool:
    """No loop, which was made for no arrays."""
    return False
