"""``vmap``: a function of one row, run over arrays of rows by vector code."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import nan
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, cast, final, overload

import attrs

from tapegrad.backends import Backend, Choice, chosen, require
from tapegrad.batches import BatchValueAndGrad, Columns
from tapegrad.calls import ValueAndGrad, gathered
from tapegrad.checks import name_of
from tapegrad.errors import GuardError, InputError, OutputError
from tapegrad.paths import AnyTape, Paths, record_path
from tapegrad.positions import here
from tapegrad.reports import Report, ShapeReport, varying
from tapegrad.structure import (
    Branch,
    Keys,
    Leaf,
    Role,
    Structure,
    build,
    flatten,
    join,
    misfit,
    named,
    paths,
)

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray
    from tapegrad.rows import Floats, Mapped
    from tapegrad.sweeping import Code, Sweep

__all__ = ["Batched", "vmap"]

A = TypeVar("A")
R = TypeVar("R")
B_co = TypeVar("B_co", covariant=True)

Axes: TypeAlias = "Literal[0] | Sequence[Literal[0] | None]"
OnBranch: TypeAlias = Literal["rerecord", "raise", "mask", "eager"]
Reduce: TypeAlias = Literal["mean", "sum"]


@attrs.frozen
class Options:
    """What ``vmap`` was asked for."""

    axes: Axes
    reduce: Reduce | None
    on_branch: OnBranch
    backend: Backend
    max_paths: int
    fast: bool
    threads: int | None


@overload
def vmap(
    f: Callable[..., ValueAndGrad[A]], /, *, in_axes: Axes = ..., reduce: None = None,
    on_branch: OnBranch = ..., backend: Backend = ..., max_paths: int = ..., fast: bool = ...,
    threads: int | None = ...,
) -> Batched[BatchValueAndGrad[A]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., float], /, *, in_axes: Axes = ..., reduce: None = None,
    on_branch: OnBranch = ..., backend: Backend = ..., max_paths: int = ..., fast: bool = ...,
    threads: int | None = ...,
) -> Batched[FloatArray]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., R], /, *, in_axes: Axes = ..., reduce: None = None,
    on_branch: OnBranch = ..., backend: Backend = ..., max_paths: int = ..., fast: bool = ...,
    threads: int | None = ...,
) -> Batched[Columns[R]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., R], /, *, in_axes: Axes = ..., reduce: Reduce,
    on_branch: OnBranch = ..., backend: Backend = ..., max_paths: int = ..., fast: bool = ...,
    threads: int | None = ...,
) -> Batched[R]: ...  # fmt: skip
def vmap(
    f: Callable[..., object],
    /,
    *,
    in_axes: Axes = 0,
    reduce: Reduce | None = None,
    on_branch: OnBranch = "rerecord",
    backend: Backend = "auto",
    max_paths: int = 1024,
    fast: bool = False,
    threads: int | None = None,
) -> Batched[object]:
    """``f``, a function of one row, as a function of arrays with the rows first.

    ``in_axes`` says for each argument by position whether it is mapped (0) or the same for all rows
    (None); arguments by name are not mapped. A row of a mapped array with two axes reaches ``f`` as
    a tuple of numbers. The answer holds arrays: for ``value_and_grad(f)`` a ``BatchValueAndGrad``,
    for a function that returns a number an array, for any other ``Columns`` of what it returns.
    With ``reduce`` the rows' answers are summed or averaged and have the types of ``f``.

    Rows that leave the recorded path at a comparison are run on the path that they take, which is
    recorded from one of them and kept (``on_branch="rerecord"``), raise a ``GuardError`` ("raise"),
    come back as nan and are left out of sums ("mask"), or are computed one by one ("eager"). Each
    operation is within 4 units in the last place; with ``fast`` a product and a sum may be rounded
    once. Sums have the same bits for any number of ``threads`` (None: one for each core).

    Raises:
        BackendError: when ``backend`` is not known or not installed; ``numpy`` is always needed.
        InputError: when arrays have different numbers of rows, or none.

    >>> import numpy
    >>> from tapegrad import Real, math, value_and_grad
    >>> def payoff(spot: Real, strike: float) -> Real:
    ...     return spot - strike if spot > strike else 0.0 * spot
    >>> book = vmap(value_and_grad(payoff), in_axes=(None, 0))
    >>> values, slopes = book(100.0, numpy.array([90.0, 95.0, 105.0]))
    >>> values.tolist(), slopes.column("spot").tolist()
    ([10.0, 5.0, 0.0], [1.0, 1.0, 0.0])
    """
    require("numpy")
    options = Options(in_axes, reduce, on_branch, backend, max_paths, fast, threads)
    return Batched(f, options)


@final
class Batched(Generic[B_co]):
    """What ``vmap`` makes of a function of one row."""

    def __init__(self, f: Callable[..., object], options: Options) -> None:
        self._f, self._options = f, options
        self._choice = chosen(options.backend, rows=True)
        self._recordings: list[_Recording] = []
        self._lock = Lock()
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: object, **kwargs: object) -> B_co:
        """The answers of all rows."""
        call = _Call.of(self._f, args, kwargs, self._options.axes)
        return cast(B_co, self._recording(call).run(call))

    def _recording(self, call: _Call) -> _Recording:
        with self._lock:
            for recording in self._recordings:
                if recording.fits(call.shape):
                    return recording
            recording = _Recording(self._f, self._options, self._choice, call)
            self._recordings.insert(0, recording)
            return recording

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return tuple(path.tape for recording in self._recordings for path in recording.paths)

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        shapes = tuple(recording.report() for recording in self._recordings)
        found = varying(self._f, [recording.call.shape for recording in self._recordings])
        return Report(name_of(self._f), str(self._choice), shapes, found)


@final
@attrs.frozen(eq=False)
class _Call:
    """The arguments of one call, mapped ones apart."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    mapped: Mapping[int, Mapped]
    shape: tuple[Branch, Branch]
    inputs: tuple[float, ...]
    places: tuple[int, ...]
    rows: int

    @classmethod
    def of(
        cls,
        f: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        axes: Axes,
    ) -> _Call:
        from tapegrad.rows import mapped

        found = {
            index: mapped(args[index], lambda keys, index=index: _named(f, index, keys))
            for index in _mapped_places(axes, len(args))
        }
        rows = _common(f, found)
        example = [found[i].row(0) if i in found else arg for i, arg in enumerate(args)]
        structures: list[Structure] = []
        inputs: list[float] = []
        places: list[int] = []
        place = 0
        named_args = [*enumerate(example), *kwargs.items()]
        for key, value in named_args:
            role = Role.DATA if key else Role.PARAMETERS
            structure, leaves = flatten(value, role, lambda keys, key=key: _named(f, key, keys))
            structures.append(structure)
            if key in found:
                places += range(place, place + len(leaves))
            else:
                inputs += cast("list[float]", leaves)
            place += len(leaves)
        count = len(args)
        shape = (
            Branch(tuple, tuple(range(count)), tuple(structures[:count])),
            Branch(dict, tuple(kwargs), tuple(structures[count:])),
        )
        return cls(args, kwargs, found, shape, tuple(inputs), tuple(places), rows)

    @property
    def leaves(self) -> list[Floats]:
        """The mapped arrays, in the order of the inputs."""
        return [array for index in sorted(self.mapped) for array in self.mapped[index].flat()]

    def row(self, index: int) -> tuple[object, ...]:
        """The arguments by position of one row."""
        return tuple(
            self.mapped[place].row(index) if place in self.mapped else arg
            for place, arg in enumerate(self.args)
        )


def _named(f: Callable[..., object], key: int | str, keys: Keys) -> str:
    if isinstance(key, str):
        return named(f, (key,), keys)
    return named(f, (key - 1,) if key else (), keys)


def _mapped_places(axes: Axes, count: int) -> tuple[int, ...]:
    """Which arguments by position are mapped."""
    each = [0] * count if axes == 0 else list(cast("Sequence[int | None]", axes))
    wrong = next((axis for axis in each if axis not in {0, None}), None)
    places = tuple(index for index, axis in enumerate(each) if axis == 0)
    if wrong is not None:
        problem = f"maps axis {wrong}: rows come first, so use 0, or None for an argument as it is"
    elif len(each) != count:
        problem = f"has {len(each)} entries for {count} arguments by position: give one for each"
    elif not places:
        problem = "maps no argument: use 0 for those whose rows come first"
    else:
        return places
    raise InputError(f"in_axes={axes!r} ({here()}) {problem}")


def _common(f: Callable[..., object], found: Mapping[int, Mapped]) -> int:
    """The number of rows that all mapped arrays have."""
    counts = {
        _named(f, index, keys): len(array)
        for index, one in found.items()
        for keys, array in zip(one.keys, one.arrays, strict=True)
    }
    if not counts:
        raise InputError(f"the mapped arguments hold no array ({here()}): pass one with the rows")
    (first, rows), *others = counts.items()
    for other, count in others:
        if count != rows:
            raise InputError(
                f"{first} has {rows:,} rows and {other} has {count:,} ({here()}): pass arrays of "
                "equal length"
            )
    if not rows:
        raise InputError(f"{first} has no rows ({here()}): pass one at least")
    return rows


@final
class _Recording:
    """The recorded paths of rows of one structure, and the code of each."""

    def __init__(
        self, f: Callable[..., object], options: Options, choice: Choice, call: _Call
    ) -> None:
        self.f, self.options, self.choice, self.call = f, options, choice, call
        self.paths = Paths()
        self.codes: list[Code] = []
        self.lock = Lock()

    def fits(self, shape: tuple[Branch, Branch]) -> bool:
        """Whether rows of these structures can run what is recorded here."""
        pairs = zip(self.call.shape, shape, strict=True)
        return all(misfit(own, other, statics=True) is None for own, other in pairs)

    def run(self, call: _Call) -> object:
        """The answer of one call."""
        from tapegrad.sweeping import Sweep

        unknown = _Unknown(self, call)
        sweep = unknown.sweep = Sweep(self.codes, call.inputs, call.leaves, unknown)
        if not self.codes:
            unknown(0, None, 0)
        if self.options.reduce is not None:
            sums = self._summed(sweep, call.rows)
            return build(self.result, sums.tolist())
        return _answer(self.codes[0].path.tape, self._all(sweep, call.rows))

    @property
    def result(self) -> Structure:
        """The structure of what the function returns for a row."""
        return self.codes[0].path.tape.result

    def learn(self, call: _Call, row: int) -> tuple[Code, Sequence[float]]:
        """The code of the path that a row takes, recorded if it is new; and the row's outputs."""
        from tapegrad.sweeping import Code

        args = call.row(row)
        data = gathered(args[1:], call.kwargs)
        recorded = record_path(self.f, args[0], data, near=True)
        values = recorded.tape.columns.values
        outputs = [cast(float, values[slot]) for slot in recorded.tape.outputs]
        path = self.paths.add(recorded)
        known = next((code for code in self.codes if code.path is path), None)
        if known is not None:
            return known, outputs
        if self.codes and misfit(self.result, path.tape.result, statics=True) is not None:
            raise OutputError(
                f"row {row} of {name_of(self.f)} ({here()}) returned another structure than the "
                "rows before it: return the same containers on every path"
            )
        self.codes.append(Code(path, call.places, self.choice, fast=self.options.fast))
        return self.codes[-1], outputs

    def _all(self, sweep: Sweep, rows: int) -> Floats:
        """The outputs of all rows, a column for each row."""
        import numpy as np

        from tapegrad.sweeping import padded

        out = np.empty((self.codes[0].outputs, padded(rows)))
        for _ in self._each(rows, lambda start, stop: sweep.rows(start, stop, out[:, start:])):
            pass
        return out[:, :rows]

    def _summed(self, sweep: Sweep, rows: int) -> Floats:
        """The sums of the outputs over all rows, or their mean."""
        from tapegrad.sums import Total

        total = Total()
        for block in self._each(rows, sweep.sums):
            total.add(block)
        found = total.value()
        return found / rows if self.options.reduce == "mean" else found

    def _each(
        self, rows: int, work: Callable[[int, int], Floats]
    ) -> Iterator[Floats]:
        """The work on one block after the other, on several at a time."""
        from tapegrad.sweeping import blocks

        with _workers(self.options.threads, rows) as each:
            yield from each(lambda block: work(*block), blocks(rows))

    def report(self) -> ShapeReport:
        """What was recorded and compiled for rows of this structure."""
        return ShapeReport(tuple(code.report() for code in self.codes))


@contextmanager
def _workers(
    threads: int | None, rows: int
) -> Iterator[Callable[..., Iterator[Floats]]]:
    """``map``, on so many threads where there is more than one block."""
    from tapegrad.sums import BLOCK

    count = min(threads or len(os.sched_getaffinity(0)), -(-rows // BLOCK))
    if count < 2:
        yield map
        return
    with ThreadPoolExecutor(count) as pool:
        yield pool.map


@final
class _Unknown:
    """Deals with the rows of one call whose path is not recorded, as ``on_branch`` says."""

    def __init__(self, recording: _Recording, call: _Call) -> None:
        self.recording, self.call = recording, call
        self.left_at: Counter[str] = Counter()
        self.sweep: Sweep | None = None

    def __call__(self, row: int, code: Code | None, guard: int, /) -> Code | Floats:
        with self.recording.lock:
            if code is None:
                return self.recording.learn(self.call, row)[0]
            found = cast("Sweep", self.sweep).find(code.flipped(guard))
            return found or self.deal(row, code, guard)

    def deal(self, row: int, code: Code, guard: int) -> Code | Floats:
        """A row that leaves its path where no other path is known."""
        options, line = self.recording.options, str(code.site(guard))
        if options.on_branch == "raise":
            outcome = bool(code.flipped(guard)[-1])
            raise GuardError(
                f"row {row:,} leaves the recorded path at {line}, where its comparison is "
                f'{outcome}: leave on_branch at "rerecord", or spell the choice with where'
            )
        if options.on_branch == "mask":
            return self.outputs([nan] * code.outputs)
        self.left_at[line] += 1
        if options.on_branch == "eager" or len(self.recording.codes) >= options.max_paths:
            return self.eagerly(row)
        other, outputs = self.recording.learn(self.call, row)
        if other.path.outcomes.startswith(code.flipped(guard)):
            return other
        return self.outputs(outputs)

    def eagerly(self, row: int) -> Floats:
        """A row's outputs by calling the function.

        Raises:
            GuardError: beyond ``max_paths``, unless ``on_branch`` says to go on like this.
        """
        recording, options = self.recording, self.recording.options
        started = perf_counter()
        args = self.call.row(row)
        returned = recording.f(*args, **self.call.kwargs)
        if options.on_branch != "eager":
            line, parted = self.left_at.most_common(1)[0]
            seconds = (perf_counter() - started) * self.call.rows
            raise GuardError(
                f"the rows take more than max_paths={options.max_paths} paths; {parted:,} of them "
                f"part at {line}: spell that choice with where or maximum, or pass "
                f'on_branch="eager", which would take up to {seconds:,.0f} s for all rows'
            )
        _, leaves = flatten(returned, Role.RESULT, join)
        return self.outputs(cast("list[float]", leaves))

    def outputs(self, numbers: Sequence[float]) -> Floats:
        import numpy as np

        return np.array(numbers, dtype=np.float64)


def _answer(tape: AnyTape, arrays: Floats) -> object:
    """Columns of outputs as the user gets them."""
    result = tape.result
    if isinstance(result, Leaf):
        return arrays[0]
    if isinstance(result, Branch) and result.kind is ValueAndGrad:
        value = cast("FloatArray", arrays[0])
        return BatchValueAndGrad(value, _columns(tape, result.children[1], arrays[1:]))
    return _columns(tape, result, arrays)


def _columns(tape: AnyTape, structure: Structure, arrays: Floats) -> Columns[object]:
    names = tuple(path or tape.names[0] for path in paths(structure))
    return Columns(names, structure, cast("FloatArray", arrays))
