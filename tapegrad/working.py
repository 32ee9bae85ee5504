"""What travels to workers, and what they do: rows through tapes, never through the function.

A tape travels without the user's containers, names and lines, so that a worker needs tapegrad
alone (and the modules of custom rules). It goes by the hash of its bytes; a worker keeps the code
that it made of each.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

import attrs

from tapegrad.backends import chosen
from tapegrad.errors import BackendError
from tapegrad.fingerprints import Fingerprint, fingerprint
from tapegrad.paths import AnyTape, path_of
from tapegrad.primitive import primal
from tapegrad.rows import Array, plain
from tapegrad.structure import Branch, Leaf, Structure
from tapegrad.sweeping import Code, Done, Sweep, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = range | NDArray[np.intp]

__all__ = ["Answer", "Key", "Order", "Task", "key_of", "own_version", "perform", "travelling"]

Key: TypeAlias = bytes
"""The hash of a tape as it travels."""

_KEPT: Final = 4096
"""Codes that a worker keeps."""


def travelling(tape: AnyTape) -> bytes:
    """The bytes of a tape for a worker: the program, with no more numbers than it needs."""
    inputs, outputs = len(tape.inputs), len(tape.outputs)
    bare = attrs.evolve(
        tape,
        stored=_needed(tape),
        parameters=_flat(inputs),
        data=Branch(dict, (), ()),
        names=("x",),
        result=_flat(outputs),
        labels=(),
        scopes=(),
        sites=(),
        site_of=array("i", [-1] * len(tape)).tobytes(),
    )
    return zlib.compress(pickle.dumps(bare, protocol=5))


def _flat(count: int) -> Structure:
    return Branch(tuple, tuple(range(count)), (Leaf(),) * count)


def _needed(tape: AnyTape) -> bytes:
    """The values with 0.0 for those that a program computes by itself."""
    columns = tape.columns
    kept = {columns.table.codes[columns.table[name]] for name in ("constant", "guard")}
    pairs = zip(columns.codes, columns.values, strict=True)
    return array("d", [primal(value) if code in kept else 0.0 for code, value in pairs]).tobytes()


@final
@attrs.frozen(eq=False)
class Order:
    """What is the same for all pieces of a call."""

    backend: str
    fast: bool
    places: tuple[int, ...]
    inputs: tuple[float, ...]


@final
@attrs.frozen(eq=False)
class Answer:
    """What a worker gives back: its piece, or why it could not do it.

    ``lacks`` names tapes that were not sent along, ``unread`` a file that it does not see.
    """

    worker: str
    fingerprint: Fingerprint
    done: Done | None = None
    lacks: tuple[Key, ...] = ()
    unread: str = ""


def key_of(tape: bytes) -> Key:
    """What a tape goes by."""
    return hashlib.sha256(tape).digest()


@cache
def worker() -> str:
    """What tells this process from others."""
    return f"{socket.gethostname()}:{os.getpid()}"


@final
@attrs.frozen(eq=False)
class Task:
    """One piece for a worker: which tapes, those of them that it may lack, and which rows."""

    order: Order
    keys: Sequence[Key]
    tapes: Mapping[Key, bytes]
    numbers: Numbers
    work: Work

    def packed(self) -> bytes:
        """As it is sent."""
        return pickle.dumps(self, protocol=5)


def perform(version: str, packed: bytes, *leaves: Array) -> Answer:
    """Do one piece; called where an executor's workers are.

    Raises:
        BackendError: where this worker has another version of tapegrad, or lacks the backend.
    """
    if version != own_version():
        raise BackendError(
            f"worker {worker()} has tapegrad {own_version()} and was sent work by {version}: "
            "install one version"
        )
    task: Task = pickle.loads(packed)  # noqa: S301  # it comes from whoever started the worker
    chosen(task.order.backend, rows=True)
    answer = Answer(worker(), fingerprint(task.order.backend))
    taken = {key: _CODES.take(task, key) for key in task.keys}
    lacks = tuple(key for key, code in taken.items() if code is None)
    if lacks:
        return attrs.evolve(answer, lacks=lacks)
    try:
        rows = [plain(leaf) for leaf in leaves]
    except FileNotFoundError as error:
        return attrs.evolve(answer, unread=str(error))
    codes = [cast(Code, taken[key]) for key in task.keys]
    done = Sweep(codes, task.order.inputs, {}).piece(rows, task.numbers, task.work)
    return attrs.evolve(answer, done=done)


@cache
def own_version() -> str:
    """The version of tapegrad that is installed here."""
    from tapegrad import __version__

    return __version__


@final
class _Codes:
    """The codes that this process made for others, the latest used kept."""

    def __init__(self) -> None:
        self._codes: OrderedDict[object, Code] = OrderedDict()
        self._lock = Lock()

    def take(self, task: Task, key: Key) -> Code | None:
        """The code of a tape; None where the tape is not here."""
        order = task.order
        place = key, order.backend, order.fast, order.places
        with self._lock:
            if place not in self._codes and key in task.tapes:
                self._codes[place] = _code(task.tapes[key], order)
                while len(self._codes) > _KEPT:
                    self._codes.popitem(last=False)
            if place in self._codes:
                self._codes.move_to_end(place)
            return self._codes.get(place)


def _code(tape: bytes, order: Order) -> Code:
    arrived: AnyTape = pickle.loads(zlib.decompress(tape))  # noqa: S301  # as above
    choice = chosen(order.backend, rows=True)
    return Code(path_of(arrived, near=True), order.places, choice, fast=order.fast)


_CODES: Final = _Codes()
"""A memo: what is in it changes how long an answer takes, and nothing else."""
