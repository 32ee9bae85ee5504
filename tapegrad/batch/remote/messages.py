"""The messages between a caller and its workers, and tapes as they are sent.

A tape is sent without the user's containers, names and lines, so that a worker needs tapegrad
alone, and the modules of custom rules. Later messages name it by the hash of its bytes.
"""

from __future__ import annotations

import hashlib
import pickle
import zlib
from array import array
from collections.abc import Mapping
from typing import TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad.batch.arrays import RowNumbers
from tapegrad.batch.remote.fingerprint import Fingerprint
from tapegrad.batch.row_runner import ChunkOptions, ChunkResult
from tapegrad.compile.paths import AnyTape
from tapegrad.ops.primitive import primal
from tapegrad.pytree.structure import Branch, Leaf, Structure

__all__ = ["Job", "Key", "Reply", "Task", "deserialised", "key_of", "serialised"]

Key: TypeAlias = bytes
"""The hash of a serialised tape."""


def serialised(tape: AnyTape) -> bytes:
    """Serialises a tape for a worker: its program, with no more numbers than that needs."""
    inputs, outputs = len(tape.inputs), len(tape.outputs)
    bare = attrs.evolve(
        tape,
        stored=_needed_values(tape),
        parameters=_flat(inputs),
        data=Branch(dict, (), ()),
        names=("x",),
        result=_flat(outputs),
        labels=(),
        scopes=(),
        sites=(),
        site_of=array("i", [-1] * len(tape)).tobytes(),
        function="",
    )
    return zlib.compress(pickle.dumps(bare, protocol=5))


def deserialised(tape: bytes) -> AnyTape:
    """The tape of these bytes, which come from whoever started the worker."""
    return cast(AnyTape, pickle.loads(zlib.decompress(tape)))  # noqa: S301  # see above


def key_of(tape: bytes) -> Key:
    """SHA-256 of a serialised tape."""
    return hashlib.sha256(tape).digest()


def _flat(count: int) -> Structure:
    return Branch(tuple, tuple(range(count)), (Leaf(),) * count)


def _needed_values(tape: AnyTape) -> bytes:
    """The values, with 0.0 for those that a program computes by itself."""
    columns = tape.columns
    rows = enumerate(columns.table.rows)
    kept = {code for code, row in rows if row.kind in {"constant", "guard"}}
    pairs = zip(columns.codes, columns.values, strict=True)
    return array("d", [primal(value) if code in kept else 0.0 for code, value in pairs]).tobytes()


@final
@attrs.frozen(eq=False)
class Job:
    """The part of a task that all chunks of a call share: how to compile, and shared inputs.

    ``places`` says which inputs of the program the mapped arrays are, and ``line`` is that of the
    user's who asked for the batch.
    """

    backend: str
    fast: bool
    places: tuple[int, ...]
    inputs: tuple[float, ...]
    line: Site


@final
@attrs.frozen(eq=False)
class Task:
    """A chunk for a worker: the keys of its tapes, the tapes that it may lack, and its rows."""

    job: Job
    keys: tuple[Key, ...]
    tapes: Mapping[Key, bytes]
    numbers: RowNumbers
    options: ChunkOptions

    def packed(self) -> bytes:
        """The task as bytes, which a worker of another version does not open."""
        return pickle.dumps(self, protocol=5)


@final
@attrs.frozen(eq=False)
class Reply:
    """A worker's reply: the result of the chunk, or what the worker lacks to run it."""

    worker: str
    fingerprint: Fingerprint
    result: ChunkResult | None = None
    lacks_tapes: tuple[Key, ...] = ()
    lacks_file: bool = False
