"""Who runs the pieces of a batch: this thread, threads of this process, or others' workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from pickle import PicklingError
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias, final

import attrs
import numpy as np

from tapegrad.errors import BackendError, InputError
from tapegrad.fingerprints import Fingerprint, difference
from tapegrad.mapping import Pool
from tapegrad.positions import here
from tapegrad.rows import Array, is_dask, plain
from tapegrad.structure import describe
from tapegrad.sweeping import Code, Done, Sweep, Work
from tapegrad.working import Answer, Key, Order, Task, key_of, own_version, perform, travelling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Numbers: TypeAlias = range | NDArray[np.intp]

__all__ = ["Crew", "Here", "Piece", "Ticket", "Workers", "cores"]

_WAITING: Final = 2**28
"""Bytes of rows that wait for workers at most."""
_MOST: Final = 4096
"""Pieces that wait for workers at most."""
_BREAKS: Final = 3
"""Executors that may break one after the other without a piece done."""


@final
@attrs.frozen(eq=False)
class Piece:
    """Some rows: their arrays, the rows' numbers, what is wanted, and where outputs may go."""

    leaves: Sequence[Array]
    numbers: Numbers
    work: Work
    out: Floats | None = None

    @property
    def bytes(self) -> int:
        """How many bytes of rows are held here."""
        return sum(leaf.nbytes for leaf in self.leaves if isinstance(leaf, np.ndarray))


Codes: TypeAlias = Callable[[], Sequence[Code]]
"""The codes that are known by now, those first that most rows take."""


class Ticket(Protocol):
    """A piece under way."""

    def done(self) -> Done:
        """What became of it, waited for."""

    def cancel(self) -> object:
        """Do not begin it, if it has not begun."""


class Crew(Protocol):
    """Runs pieces; as many as ``waiting`` may be under way."""

    waiting: int

    def submit(self, piece: Piece) -> Ticket:
        """Have a piece done, now or later."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


@final
@attrs.frozen(eq=False)
class _Running:
    """A piece that a thread runs."""

    future: Future[Done]

    def done(self) -> Done:
        return self.future.result()

    def cancel(self) -> object:
        return self.future.cancel()


@final
@attrs.frozen(eq=False)
class _Ran:
    """A piece that is done."""

    found: Done

    def done(self) -> Done:
        return self.found

    def cancel(self) -> object:
        return False


@final
class Here:
    """Threads of this process, or the calling one where there is no pool of them."""

    codes: Codes
    inputs: Sequence[float]
    memo: dict[Code, Floats | None]
    pool: ThreadPoolExecutor | None
    waiting: int

    def __init__(
        self,
        codes: Codes,
        inputs: Sequence[float],
        memo: dict[Code, Floats | None],
        pool: ThreadPoolExecutor | None,
        threads: int,
    ) -> None:
        self.codes, self.inputs, self.memo, self.pool = codes, inputs, memo, pool
        self.waiting = 2 * threads if pool is not None else 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the threads to the next call."""

    def submit(self, piece: Piece) -> Ticket:
        """Have a piece done by a thread, or at once."""
        sweep = Sweep(self.codes(), self.inputs, self.memo)
        if self.pool is None:
            return _Ran(_swept(sweep, piece))
        return _Running(self.pool.submit(_swept, sweep, piece))


def _swept(sweep: Sweep, piece: Piece) -> Done:
    return sweep.piece([plain(leaf) for leaf in piece.leaves], piece.numbers, piece.work, piece.out)


@final
class Workers:
    """The workers of an executor, which get tapes and rows."""

    codes: Codes
    order: Order
    waiting: int
    make: Callable[[], Executor] | None
    executor: Executor
    breaks: int
    first: str

    def __init__(self, pool: Pool, codes: Codes, order: Order) -> None:
        self.codes, self.order = codes, order
        self.waiting = _MOST
        self.make = None if isinstance(pool, Executor) else pool
        self.executor = pool if isinstance(pool, Executor) else self._made()
        self.breaks = 0
        self.seen: Fingerprint | None = None
        self.first = ""
        self.tapes: dict[Code, tuple[Key, bytes]] = {}
        self.holding: dict[str, set[Key]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.make is not None:
            self.executor.shutdown(cancel_futures=True)

    def _made(self) -> Executor:
        made: object = self.make() if callable(self.make) else self.make
        if not isinstance(made, Executor):
            raise InputError(
                f"executor ({here()}) is {describe(made)}: pass an executor of concurrent.futures, "
                "or a function that makes one"
            )
        return made

    def submit(self, piece: Piece) -> Ticket:
        """Have a piece done by a worker."""
        self.waiting = max(2, min(_MOST, _WAITING // max(piece.bytes, 1)))
        if type(self.executor).__module__.startswith("distributed"):
            from tapegrad.promises import promised, threads

            if any(is_dask(leaf) for leaf in piece.leaves):
                self.waiting = 2 * threads()
            piece = attrs.evolve(piece, leaves=[promised(leaf) for leaf in piece.leaves])
        return _Sent(self, piece)

    def send(self, piece: Piece, *, everything: bool = False) -> _Posted:
        """Hand a piece to the executor, with the tapes that some worker may lack."""
        tapes = dict(self._travelling(code) for code in self.codes())
        lacked = {
            key: tape
            for key, tape in tapes.items()
            if everything or not self.holding or any(key not in h for h in self.holding.values())
        }
        task = Task(self.order, tuple(tapes), lacked, piece.numbers, piece.work)
        return _Posted(self.executor, self._handed_over(task, piece.leaves), task.keys)

    def _handed_over(self, task: Task, leaves: Sequence[Array]) -> Future[Answer]:
        """What an executor promises; one that is broken already promises just that."""
        try:
            return self.executor.submit(perform, own_version(), task.packed(), *leaves)
        except BrokenExecutor as error:
            broken: Future[Answer] = Future()
            broken.set_exception(error)
            return broken
        except RuntimeError as error:
            raise BackendError(
                f"the executor ({here()}) takes no work ({error}): pass one that is running"
            ) from error

    def _travelling(self, code: Code) -> tuple[Key, bytes]:
        if code not in self.tapes:
            try:
                tape = travelling(code.path.tape)
            except PicklingError as error:
                raise BackendError(f"a rule cannot go to workers ({here()}): {error}") from error
            self.tapes[code] = key_of(tape), tape
        return self.tapes[code]

    def arrived(self, answer: Answer, keys: Sequence[Key]) -> None:
        """Note who answered, and require that all answers may go together."""
        if self.seen is None:
            self.seen, self.first = answer.fingerprint, answer.worker
        if (found := difference(self.seen, answer.fingerprint)) is not None:
            raise BackendError(
                f"workers {self.first} and {answer.worker} ({here()}) differ in {found}, so that "
                "sums would depend on who did which rows: use workers of one kind"
            )
        held = self.holding.setdefault(answer.worker, set())
        if answer.lacks:
            held.difference_update(answer.lacks)
        else:
            held.update(keys)

    def renew(self, broken: Executor) -> bool:
        """Put another executor in the place of a broken one, if there can be one."""
        if self.make is None or self.breaks >= _BREAKS:
            return False
        if broken is self.executor:
            self.breaks += 1
            self.executor = self._made()
        return True


@final
@attrs.frozen(eq=False)
class _Posted:
    """What was handed to an executor."""

    executor: Executor
    future: Future[Answer]
    keys: Sequence[Key]


@final
class _Sent:
    """A piece that a worker does; sent again where it needs to be."""

    def __init__(self, crew: Workers, piece: Piece) -> None:
        self.crew, self.piece = crew, piece
        self.posted = crew.send(piece)

    def cancel(self) -> object:
        return self.posted.future.cancel()

    def done(self) -> Done:
        while True:
            answer = self._answer()
            if answer is None:
                self.posted = self.crew.send(self.piece)
                continue
            self.crew.arrived(answer, self.posted.keys)
            if answer.done is not None:
                self.crew.breaks = 0
                return answer.done
            if answer.unread:
                leaves = [plain(leaf) for leaf in self.piece.leaves]
                self.piece = attrs.evolve(self.piece, leaves=leaves)
            self.posted = self.crew.send(self.piece, everything=True)

    def _answer(self) -> Answer | None:
        """What a worker answered; None where the executor broke and there is another."""
        try:
            return self.posted.future.result()
        except (BrokenExecutor, CancelledError):
            if not self.crew.renew(self.posted.executor):
                raise
            return None
        except ModuleNotFoundError as error:
            raise BackendError(
                f"a worker cannot import {error.name} ({here()}): install there what is installed "
                "here"
            ) from error


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
