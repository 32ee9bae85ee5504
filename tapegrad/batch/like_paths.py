"""Paths that differ in how often their loops run, found by few that were recorded and compiled.

A row that leaves a loop at another step takes another path, and what is recorded of it differs
from what was recorded of others in a regular way: each slot, and each integer that the compiled
code is given, grows by the same amount with each trip more. Where that was seen of some paths,
others with a number of trips between theirs are neither lowered nor compiled. What was recorded of
them has to be, entry by entry, what follows from the number of its trips; then the code of the
others is given the integers that follow from it, and has to give the bits that were recorded.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import Mark
from tapegrad.compile.backends.interface import GivenLoops, ScalarCode
from tapegrad.compile.call_recording import CallCode
from tapegrad.compile.paths import AnyTape, Path, path_of
from tapegrad.compile.program import Program
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.static_keys import static_key
from tapegrad.entries.trips import loops_of
from tapegrad.ops import table as ops
from tapegrad.recording.trace import Trace
from tapegrad.transforms.record import tape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[np.int64]
    Bits: TypeAlias = NDArray[np.int64]

__all__ = ["LikePaths"]

_SEEN: Final = 4
"""The fewest paths of which two tell how all grows, and the others whether it does."""
_WORTH: Final = 32
"""The fewest entries of loops, but for a few trips, for which paths are compared."""
_PLAIN: Final = frozenset(
    (ops.add, ops.sub, ops.mul, ops.neg, ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne)
)
"""Rows that are written alike whatever constant they read."""


@final
class LikePaths:
    """The paths of one recording of calls that are like others."""

    def __init__(self) -> None:
        self._seen: set[CallCode] = set()
        self._samples: dict[object, list[_Sample]] = {}
        self._families: dict[object, _Family] = {}
        self.exclusive: Exclusive = Exclusive()  # as calls in several threads ask it

    @exclusive
    def like(
        self, codes: Sequence[CallCode], f: Callable[..., object], traced: Trace
    ) -> Path | None:
        """The path of what was recorded of ``f``, if it is between some of these."""
        self._see(codes)
        columns = traced.columns
        if columns.on_arrays or len(columns.pool) or not self._families:
            return None
        recorded = _Recorded(columns, traced.outputs)
        for family in self._families.values():
            code = family.code(recorded)
            if code is not None:
                returned = traced.result, [columns.values[slot] for slot in traced.outputs]
                made = _Later(f, traced)
                return Path(made, recorded.outcomes(), 0.0, recorded.size, code, returned)
        return None

    def _see(self, codes: Sequence[CallCode]) -> None:
        """Looks at the paths that were compiled since."""
        for code in codes:
            if code in self._seen or code.run is None:
                continue
            self._seen.add(code)
            if code.path.code is None and code.loops is not None:
                self._add(code.loops, code)

    def _add(self, loops: GivenLoops, code: CallCode) -> None:
        """Adds a path to those that have its code."""
        tape, samples = code.path.tape, self._samples.setdefault(loops.kernel, [])
        if len(tape.columns.pool):
            return
        samples.append(_Sample(loops, tape, code.path.outcomes))
        samples.sort(key=lambda sample: sample.size)
        family = _family(samples) if len(samples) >= _SEEN else None
        if family is not None:
            self._families[loops.kernel] = family


@final
class _Later:
    """Makes the tape and the program of a path when they are asked for, from compact columns."""

    def __init__(self, f: Callable[..., object], traced: Trace) -> None:
        columns, recorder = traced.columns, traced.recorder
        traced.columns = attrs.evolve(
            columns,
            codes=bytes(columns.codes),
            left=array("i", columns.left),
            right=array("i", columns.right),
            values=array("d", cast("Sequence[float]", columns.values)),
        )
        marks = [mark or (None, -1) for mark in recorder.marks or ()]
        self._lines = [code for code, _ in marks], array("i", [place for _, place in marks])
        recorder.marks = None
        self._f, self._traced = f, traced

    def __call__(self) -> tuple[AnyTape, Program]:
        """The tape, and its program."""
        pairs = zip(*self._lines, strict=True)
        marks: list[Mark | None] = [None if code is None else (code, at) for code, at in pairs]
        self._traced.recorder.marks = marks
        tape = tape_of(self._f, self._traced)
        return tape, path_of(tape).program


@final
class _Recorded:
    """The entries that were recorded of a path, as arrays."""

    def __init__(self, columns: EntryColumns, outputs: Sequence[int]) -> None:
        self.columns = columns
        self.codes: NDArray[np.uint8] = np.frombuffer(bytes(columns.codes), np.uint8)
        self.slots: Integers = np.array([columns.left, columns.right], np.int64)
        self.values: NDArray[np.float64] = np.array(columns.values, np.float64)
        self.outputs: Integers = np.array(outputs, np.int64)
        self.statics: Sequence[object] = [*map(static_key, columns.statics)]
        self.constants: Integers = self.slots_of("constant")

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.codes)

    def bits(self) -> Bits:
        """The bits of the values."""
        return self.values.view(np.int64)

    def slots_of(self, name: str) -> Integers:
        """The slots of entries of a row."""
        return np.flatnonzero(self.codes == self.columns.table.codes[getattr(ops, name)])

    def outcomes(self) -> bytes:
        """How the guards came out."""
        return bytes((self.values[self.slots_of("guard")] != 0.0).tolist())


@final
class _Sample:
    """A path that was compiled, and what its code is given."""

    def __init__(self, loops: GivenLoops, tape: AnyTape, outcomes: bytes) -> None:
        self.loops = loops
        self.recorded = _Recorded(tape.columns, tape.outputs)
        self.given: Bits = np.frombuffer(loops.given, np.int64)
        self.outcomes = outcomes

    @property
    def size(self) -> int:
        """The number of entries that were recorded."""
        return self.recorded.size


@final
@attrs.frozen(eq=False)
class _Stretch:
    """A stretch of entries: trips of a loop, or one that is straight.

    In trip *t* of a path with *n* trips more than the longest has, the slots that its entries read
    are ``first + step * t + slope * n``.
    """

    codes: NDArray[np.uint8]
    guards: Bits
    first: Integers
    step: Integers
    slope: Integers
    count: int
    grows: bool

    def slots(self, more: int) -> Integers:
        """The slots that all trips read."""
        trips = np.arange(self.trips(more)).reshape(-1, 1, 1)
        found = (self.first + self.slope * more) + self.step * trips
        return found.transpose(1, 0, 2).reshape(2, -1)

    def trips(self, more: int) -> int:
        """The number of trips."""
        return self.count + more * self.grows


@final
@attrs.frozen(eq=False)
class _Family:
    """Paths of one code that differ in the number of their trips, between the ``least`` and 0.

    Numbers of trips are those beyond the trips of the ``longest`` path, and each is ``length``
    entries. The constant ``varying[i]``, times ``signs[i]``, is what is given at ``doubles[i]``.
    """

    longest: _Sample
    stretches: Sequence[_Stretch]
    length: int
    least: int
    output_slope: Integers
    given_slope: Integers
    places_slope: int
    constants: Bits
    varying: Integers
    signs: NDArray[np.float64]
    doubles: Integers

    def more(self, recorded: _Recorded) -> int | None:
        """The number of trips of a recording, if it is one of these paths."""
        more, rest = divmod(recorded.size - self.longest.size, self.length)
        if rest or not self.least <= more <= 0 or not self._is_alike(recorded, more):
            return None
        return more

    def _is_alike(self, recorded: _Recorded, more: int) -> bool:
        """Whether a recording is, entry by entry, what follows from the number of its trips."""
        stretches, longest = self.stretches, self.longest.recorded
        codes = np.concatenate([np.tile(x.codes, x.trips(more)) for x in stretches])
        if recorded.columns.table is not longest.columns.table or (codes != recorded.codes).any():
            return False
        slots = np.concatenate([x.slots(more) for x in stretches], axis=1)
        guards = np.concatenate([np.tile(x.guards, x.trips(more)) for x in stretches])
        is_guard = guards >= 0
        outputs = longest.outputs + self.output_slope * more
        return bool(
            (slots == recorded.slots).all()
            and recorded.statics == longest.statics
            and (guards[is_guard] == (recorded.values[is_guard] != 0.0)).all()
            and outputs.tolist() == recorded.outputs.tolist()
        )

    def code(self, recorded: _Recorded) -> ScalarCode | None:
        """The code of a recording, if its path is one of these."""
        more = self.more(recorded)
        if more is None:
            return None
        slots = recorded.constants
        constants = recorded.bits()[slots]
        given = self.longest.given + self.given_slope * more
        given[self.doubles] = (recorded.values[slots[self.varying]] * self.signs).view(np.int64)
        constants[self.varying] = self.constants[self.varying]
        if (constants != self.constants).any():
            return None
        loops = self.longest.loops
        code = loops.again(loops.places + self.places_slope * more, given.tobytes())
        return code if _gives(code, recorded) else None


def _gives(code: ScalarCode, recorded: _Recorded) -> bool:
    """Whether code gives the outputs that were recorded, bit by bit."""
    inputs = recorded.slots_of("input").size
    found = code.run(recorded.values[:inputs].tolist())
    if isinstance(found, int):
        return False
    return np.array(found).tobytes() == recorded.values[recorded.outputs].tobytes()


def _family(samples: Sequence[_Sample]) -> _Family | None:
    """The family of some paths, from the shortest to the longest; None where they are none."""
    *others, longest = samples
    stretches = _stretches(longest.recorded)
    length = sum(len(one.codes) for one in stretches if one.grows)
    if not length or any(sample.outcomes != sample.recorded.outcomes() for sample in samples):
        return None
    trips = [divmod(sample.size - longest.size, length) for sample in others]
    if any(rest for _, rest in trips) or not trips[0][0] < trips[-1][0] < 0:
        return None
    more = [count for count, _ in trips]
    found = _grown(longest, stretches, length, others[0], more[0])
    if found is None:
        return None
    for sample, count in zip(others, more, strict=True):
        if found.more(sample.recorded) != count or not _follows(found, sample):
            return None
    return found


def _follows(family: _Family, sample: _Sample) -> bool:
    """Whether a path that was compiled is given what follows from the number of its trips."""
    code, loops = family.code(sample.recorded), sample.loops
    found = None if code is None else code.loops
    return found is not None and (found.given, found.places) == (loops.given, loops.places)


def _stretches(recorded: _Recorded) -> Sequence[_Stretch]:
    """The stretches of the longest path, whose slopes are not known yet."""
    found: list[_Stretch] = []
    loops = loops_of(recorded.columns.as_lists(), _WORTH)
    most = max((loop.count for loop in loops), default=0)
    at = 0
    for loop in loops:
        if 2 * loop.count < most:
            continue
        found += [_stretch(recorded, at, loop.first - at, 1)] * (loop.first > at)
        found.append(_stretch(recorded, loop.first, loop.length, loop.count))
        at = loop.stop
    if at < recorded.size:
        found.append(_stretch(recorded, at, recorded.size - at, 1))
    return found


def _stretch(recorded: _Recorded, first: int, length: int, count: int) -> _Stretch:
    """A stretch whose slopes are not known yet."""
    own, after = slice(first, first + length), slice(first + length, first + 2 * length)
    codes, slots = recorded.codes[own], recorded.slots
    step = slots[:, after] - slots[:, own] if count > 1 else np.zeros_like(slots[:, own])
    is_guard = codes == recorded.columns.table.codes[ops.guard]
    guards = np.where(is_guard, recorded.values[own] != 0.0, -1)
    return _Stretch(codes, guards, slots[:, own], step, step, count, count > 1)


def _grown(
    longest: _Sample, stretches: Sequence[_Stretch], length: int, other: _Sample, more: int
) -> _Family | None:
    """The family of two paths, of which the other has fewer trips; None where it is none."""
    sizes = [len(one.codes) * one.trips(more) for one in stretches]
    if min(one.trips(more) for one in stretches) < 2 - (not all(x.grows for x in stretches)):
        return None
    slopes: list[Integers | None] = []
    for one, start in zip(stretches, accumulate(sizes, initial=0), strict=False):
        slots = other.recorded.slots[:, start : start + len(one.codes)]
        slopes.append(_slope(one.first, slots, more))
    outputs = _slope(longest.recorded.outputs, other.recorded.outputs, more)
    matched = _matched(longest, other)
    grown = [
        attrs.evolve(one, slope=slope)
        for one, slope in zip(stretches, slopes, strict=True)
        if slope is not None
    ]
    if matched is None or outputs is None or len(grown) < len(stretches):
        return None
    varying, signs, doubles = matched
    given, before = longest.given.copy(), other.given.copy()
    given[doubles] = before[doubles] = 0
    given_slope = _slope(given, before, more)
    places = _slope(np.array(longest.loops.places), np.array(other.loops.places), more)
    if given_slope is None or places is None:
        return None
    return _Family(
        longest,
        grown,
        length,
        more,
        outputs,
        given_slope,
        int(places),
        longest.recorded.bits()[longest.recorded.constants],
        varying,
        signs,
        doubles,
    )


def _slope(longest: Integers, other: Integers, more: int) -> Integers | None:
    """By how much integers grow with each trip; None where they do not grow evenly."""
    if longest.shape != other.shape:
        return None
    slope, rest = np.divmod(other - longest, more)
    return None if rest.any() else slope


def _matched(
    longest: _Sample, other: _Sample
) -> tuple[Integers, NDArray[np.float64], Integers] | None:
    """The recorded constants that vary, and the constants that are given for them.

    None where one that is given is neither a recorded one nor its negative, or a recorded one may
    have been looked at.
    """
    first, second = longest.recorded, other.recorded
    slots, of_second = first.constants, second.constants
    if slots.size != of_second.size or longest.given.size != other.given.size:
        return None
    now, then = first.bits()[slots], second.bits()[of_second]
    varying = np.flatnonzero(now != then)
    readers = np.isin(first.slots, slots[varying]).any(axis=0)
    rows = {first.columns.table.rows[code] for code in {*first.codes[readers].tolist()}}
    found: list[tuple[int, float, int]] = []
    for double in longest.loops.doubles:
        pair = longest.given[double], other.given[double]
        if pair[0] == pair[1]:
            continue
        values = [first.values[slots], second.values[of_second]]
        signed = next(
            (
                (index, sign, double)
                for index in varying.tolist()
                for sign in (1.0, -1.0)
                if all(
                    (sign * x[index]).view(np.int64) == y for x, y in zip(values, pair, strict=True)
                )
            ),
            None,
        )
        if signed is None:
            return None
        found.append(signed)
    if not rows <= _PLAIN:
        return None
    indices, signs, doubles = zip(*found, strict=True) if found else ((), (), ())
    return np.array(indices, np.int64), np.array(signs), np.array(doubles, np.int64)
