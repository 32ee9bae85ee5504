"""The interface of a backend: a name, the packages it needs, and the ways it compiles programs.

A user's type checker reads this file by way of ``jit``, so it names none of numpy's types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, final

import attrs

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.compile.program import Program
from tapegrad.errors import BackendError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Backend", "ChainCode", "CompileChain", "CompileLoop", "CompileNest", "CompileRows",
    "CompileScalar", "CompileSteps", "GivenLoops", "NestShape", "RowOptions", "RunBytes", "RunEach",
    "RunFloats", "RunLoop", "RunSteps", "ScalarCode", "StepShape", "wrong_inputs",
]  # fmt: skip

RunFloats: TypeAlias = Callable[[Sequence[float]], "Sequence[float] | int"]
"""Runs a program: gives the outputs, or the index of the guard that came out differently.

It is -1 where the recorded path cannot be run though no guard of its own says so."""

RunBytes: TypeAlias = Callable[[bytes], "Buffer | int"]
"""The same between doubles that stand side by side."""


@final
@attrs.frozen(eq=False)
class GivenLoops:
    """The numbers that code with loops is given when it runs: how often they do, for one.

    Codes that have one ``kernel`` differ in nothing else. They have ``places`` in their buffer, and
    what is ``given`` are numbers of 8 bytes: constants at the indices ``doubles``, and integers.
    ``again`` makes the code that has so many places, and is given something else.
    """

    kernel: object
    places: int
    given: bytes
    doubles: Sequence[int]
    again: Callable[[int, bytes], ScalarCode]


@final
@attrs.frozen(eq=False)
class ScalarCode:
    """A program compiled for one call at a time, or one that ``is_cached``: found compiled.

    It ``is_shared`` where it is the code of another program, whose loops run more or less often.
    The ``size`` of code on arrays are the steps that it has by now, and the bytes that it keeps for
    their results.
    Where it has an ``entry``, its backend runs it for many rows, each of which has its own code.
    Some code tells what its ``loops`` are given.
    """

    run: RunFloats
    run_bytes: RunBytes
    is_cached: bool = False
    is_shared: bool = False
    size: Callable[[], tuple[int, int]] = lambda: (0, 0)
    entry: object | None = None
    loops: GivenLoops | None = None


@final
@attrs.frozen
class RowOptions:
    """How to compile a program for rows, whose first ``shared`` inputs are the same for all.

    ``sums`` adds each output up over the rows; ``fast`` lets code round as it is quickest, where no
    guard depends on it; ``quick`` takes less time to compile, for code that runs slower.
    """

    shared: int
    sums: bool = False
    fast: bool = False
    quick: bool = False


CompileScalar: TypeAlias = Callable[[Program], ScalarCode]
CompileRows: TypeAlias = Callable[[Program, RowOptions], Callable[..., None]]
"""Gives a ``RowCode``, which is stated in numpy's types."""

RunEach: TypeAlias = Callable[[Sequence[Any], Sequence[int], Any], tuple[Any, Any]]
"""Runs rows of inputs by entries of code for one call: the first of ``counts[0]``, and so on.

Gives the outputs of each row, and -1, or another number for those that have none. It is stated in
numpy's types where it is made."""

RunLoop: TypeAlias = Callable[[Sequence[Any]], bool]
"""Runs a loop over arrays and numbers; False where it was not made for such."""

CompileLoop: TypeAlias = Callable[[str, int, int, int, int], RunLoop]
"""Compiles the text of a loop over arrays of a size: how many are read, how many are written to,
and how many numbers come after them."""


@final
@attrs.frozen
class NestShape:
    """How many ``rows`` a loop over rows has, and what it is given.

    Of these some are a ``whole`` number of what it takes together, so many of them ``at_once``. It
    is given arrays of these ``sizes``, of which those at some places are ``written``. The inner
    loops of numpy's that it may call are ``words``, each with what it is given.
    """

    rows: int
    whole: int
    at_once: int
    sizes: tuple[int, ...]
    written: tuple[int, ...]
    words: tuple[int, ...]


CompileNest: TypeAlias = Callable[[str, NestShape], RunLoop]
"""Compiles the text of a loop over rows, as ``llvm.array_nest`` writes it."""


@final
@attrs.frozen
class StepShape:
    """The counts of the numbers of a step of ``scan``, of its x those in each of several arrays.

    With ``keeps`` a loop writes the carry before each step down.
    """

    carry: int
    held: int
    xs: tuple[int, ...]
    y: int
    keeps: bool


RunSteps: TypeAlias = Callable[[range, int, Any, bytes, Sequence[Any]], int]
"""Runs steps of a loop, given the numbers of their rows and of all rows.

Then come an array that is written, with the carry, which becomes the last one, a row of the carry
before each step, and a row of y of each; what is held; and the arrays of x. It gives the number of
steps that were done: fewer where one goes a way that is not known."""

CompileSteps: TypeAlias = Callable[[Sequence[Program], StepShape], RunSteps]
"""Compiles a loop of steps that go one of several ways. Each takes the carry, what is held and x,
and gives the carry and y."""


@final
@attrs.frozen(eq=False)
class ChainCode:
    """Code that calls inner loops of numpy's one after the other, as ``llvm.array_chain`` does.

    ``run`` is given the address of records and how many there are, and ``loops`` has the addresses
    of the inner loops that the code has itself. What is ``kept`` is the code in memory.
    """

    run: Callable[[int, int], None]
    loops: Mapping[str, int]
    kept: object


CompileChain: TypeAlias = Callable[[], ChainCode]


@final
@attrs.frozen(eq=False)
class Backend:
    """Runs programs, or writes them in a language; each capability may be absent.

    ``needs`` names packages in the order in which they are asked for. ``source`` writes a program
    as text. ``fingerprint`` gives what the bits of code for rows depend on.
    """

    name: str
    needs: tuple[str, ...] = ()
    scalar: CompileScalar | None = None
    rows: CompileRows | None = None
    source: Callable[[Program], str] | None = None
    fingerprint: Callable[[], Mapping[str, str]] = dict
    calls_any_row: bool = False
    """Whether it calls any row cheaply, so that none is spelled in others."""
    adds_rows: bool = False
    """Whether its code for rows can add the outputs up."""
    rows_in_steps: CompileRows | None = None
    """Gives code for rows in less time, which runs slower and has the same bits."""
    each: RunEach | None = None
    """Runs rows, each of which has its own code for one call."""
    loop: CompileLoop | None = None
    """Compiles loops over arrays, as ``llvm.array_loop`` writes them."""
    nest: CompileNest | None = None
    """Compiles loops over the rows of arrays, as ``llvm.array_nest`` writes them."""
    steps: CompileSteps | None = None
    """Compiles loops of many steps."""
    chain: CompileChain | None = None
    """Gives what calls the inner loops of numpy's functions."""
    has_levels: bool = False
    """Whether code for rows that is made quickly differs from code that runs quickly."""


def wrong_inputs(given: object, count: int) -> BackendError:
    """The error for inputs other than those that code was made for."""
    what = f"{len(given)} of them" if isinstance(given, list | tuple) else describe(given)
    return BackendError(
        f"compiled code for {count} numbers was to run ({here()}) on {what}: this is a fault of "
        "tapegrad, please report it"
    )
