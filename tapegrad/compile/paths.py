"""Records a path: one way through a function's branches, as a tape and the program to run."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Sequence
from functools import partial
from operator import attrgetter
from time import perf_counter
from typing import Any, Protocol, TypeVar, cast, final

from tapegrad._support.cached import cached
from tapegrad._support.source_position import Site
from tapegrad.compile.backends.interface import RunFloats, ScalarCode
from tapegrad.compile.loops import line_of
from tapegrad.compile.lower import lower
from tapegrad.compile.program import Program
from tapegrad.compile.rare import called_back, called_rarely
from tapegrad.compile.recorded_loops import RecordedLoop, entered_loops, recorded_loops
from tapegrad.compile.report import PathReport
from tapegrad.errors import GuardError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import primal, shape_of
from tapegrad.recording.results import FlatResult
from tapegrad.recording.trace import Trace, trace_kept
from tapegrad.transforms.record import AnyTape, tape_of
from tapegrad.transforms.traced_call import Data

__all__ = [
    "AnyTape", "HasPath", "Path", "UnknownPathError", "path_of", "record_path", "starting_with",
    "taking_arrays", "with_code",
]  # fmt: skip

_OUTCOMES = attrgetter("path.outcomes")
_LAST = b"\xff"
"""Stands after all outcomes."""


class UnknownPathError(GuardError):
    """A step of a loop takes a path that is not known, and cannot be recorded here."""


@final
class Path:
    """One path through a function: its tape, the program to run, and how its guards came out.

    ``seconds`` is the time that recording and lowering it took. Where code was found with it, as
    that of another path with other counts, it has ``code``, and tape and program are ``made`` when
    they are asked for. The tape has so many ``entries``.
    """

    outcomes: bytes
    seconds: float
    entries: int
    code: ScalarCode | None

    def __init__(
        self,
        made: Callable[[], tuple[AnyTape, Program]],
        outcomes: bytes,
        seconds: float,
        entries: int,
        code: ScalarCode | None = None,
        returned: FlatResult | None = None,
    ) -> None:
        self._make, self._returned = made, returned
        self.outcomes, self.seconds, self.entries, self.code = outcomes, seconds, entries, code

    @cached
    def _made(self) -> tuple[AnyTape, Program]:
        return self._make()

    @property
    def returned(self) -> FlatResult:
        """The structure and the numbers of what the function returned."""
        if self._returned is not None:
            return self._returned
        values = self.tape.values
        return self.tape.result, [values[slot] for slot in self.tape.outputs]

    @property
    def tape(self) -> AnyTape:
        """The recording."""
        return self._made[0]

    @property
    def program(self) -> Program:
        """The program of the tape."""
        return self._made[1]

    def site(self, guard: int) -> Site | None:
        """The user's line that asked for the truth of the condition."""
        return self.tape.site(self.program.guards[guard])

    def other_outcome(self, guard: int) -> str:
        """The outcome where a guard comes out differently, in words."""
        columns, slot = self.tape.columns, self.program.guards[guard]
        outcome = columns.outcome(slot)
        if columns.row(slot).is_truth:
            return f"its comparison is {not outcome}"
        return f"its whole number is not {outcome}"

    def flipped(self, guard: int, prefix: bytes = b"") -> bytes:
        """The outcomes up to a guard that comes out differently here.

        ``prefix`` has the outcomes that another path led here with.

        Raises:
            GuardError: where the guard is one of those, so that the two paths disagree on it.
        """
        if guard < len(prefix):
            line = self.site(guard) or f"guard {guard}"
            raise GuardError(
                f"two recorded paths disagree on the comparison at {line}: pass what it depends on "
                "as an argument, and let rules depend on their arguments alone"
            )
        return self.outcomes[:guard] + bytes((1 - self.outcomes[guard],))

    @property
    def _loops(self) -> tuple[RecordedLoop, ...]:
        """The loops that the recording holds, or that are found in it."""
        if self.tape.on_arrays:
            return entered_loops(self.tape)
        return recorded_loops(self.tape) if line_of(self.program).pays else ()

    def report(
        self, *, runs_on: str, compiling: float, is_cached: bool, is_shared: bool, **more: int
    ) -> PathReport:
        """Describes the path; the arguments say what runs it, and how long compiling it took."""
        columns, program, on_arrays = self.tape.columns, self.program, bool(self.program.forms)
        guards = tuple(dict.fromkeys(program.guards))
        code = columns.table.codes[ops.constant]
        constants = [
            (primal(columns.values[slot]), str(self.tape.site(slot)))
            for slot, entry in enumerate(columns.codes)
            if entry == code
        ]
        return PathReport(
            guards=tuple(str(self.tape.site(slot)) for slot in guards),
            outcomes=tuple(map(columns.outcome, guards)),
            entries=len(program),
            called_back=() if on_arrays else called_back(program),
            called_rarely=() if on_arrays else called_rarely(program),
            constants=tuple(each for each in constants if not shape_of(each[0])),
            arrays=tuple((shape_of(x), line) for x, line in constants if shape_of(x)),
            loops=self._loops,
            runs_on=runs_on,
            recording=self.seconds,
            compiling=compiling,
            is_cached=is_cached,
            is_shared=is_shared,
            **more,
        )


class HasPath(Protocol):
    """Code of a path."""

    path: Path


CodeT = TypeVar("CodeT", bound=HasPath)


def starting_with(codes: Sequence[CodeT], prefix: bytes) -> CodeT | None:
    """The code of a path whose outcomes begin with ``prefix``, of codes in the order of these.

    Of several it is the middle one: where each path is left for the next, as those of a loop that
    ends later and later are, the path that is taken is found in few steps all the same.
    """
    first = bisect_left(codes, prefix, key=_OUTCOMES)
    end = bisect_left(codes, prefix + _LAST, first, key=_OUTCOMES)
    return codes[(first + end) // 2] if first < end else None


def with_code(codes: Sequence[CodeT], code: CodeT) -> tuple[CodeT, ...]:
    """The codes with another one, in the order of their outcomes."""
    more = [*codes]
    insort(more, code, key=_OUTCOMES)
    return tuple(more)


def record_path(  # noqa: PLR0913  # each option changes another part of the recording
    f: Callable[..., object],
    x: object,
    data: Data,
    traced_data: Collection[int | str],
    mapped: Collection[int] = (),
    *,
    arrays: bool = False,
    expanded: bool = False,
    like: Callable[[Callable[..., object], Trace], Path | None] | None = None,
    **options: bool,
) -> Path | None:
    """The path that ``f`` takes on these arguments; the options are those of ``lower``.

    The arguments at the positions ``mapped`` are one row of what a batch was given. None where
    ``f`` meets a number of a recording around this one, whose derivative compiled code would drop.
    It is the one that ``like`` knows for what was recorded, if it does.
    With ``arrays`` those among the data are inputs. A path with arrays is ``expanded`` into
    numbers, or kept with ``arrays``; else there is none.
    """
    started = perf_counter()
    traced = trace_kept(f, x, data, traced_data, mapped=mapped, positions=True, arrays=arrays)
    if traced.recorder.outers:
        return None
    if traced.columns.on_arrays and not (expanded or arrays):
        return None
    path = None if like is None else like(f, traced)
    if path is None:
        tape = tape_of(f, traced)
        path = path_of(tape.expanded() if expanded else tape, **options)
    path.seconds = perf_counter() - started
    return path


def path_of(tape: AnyTape, **options: bool) -> Path:
    """The path that a tape recorded; the options are those of ``lower``."""
    started = perf_counter()
    columns = tape.columns.as_lists()
    returned: FlatResult | None = None
    if not tape.on_arrays:
        program = lower(columns, tape.outputs, **options)
    else:
        lowered = serving("compile.arrays.lowering").program_of
        program = cast(Program, lowered(tape, columns, **options))
        returned = tape.result, [columns.values[slot] for slot in tape.outputs]
    made = tape, program
    seconds = perf_counter() - started
    return Path(lambda: made, program.outcomes, seconds, len(tape), returned=returned)


def taking_arrays(path: Path, run: RunFloats) -> RunFloats:
    """``run`` on what the path takes: code of numbers gets those of arrays one by one."""
    is_of_numbers = path.tape.on_arrays and not path.program.forms
    return partial(_one_by_one, run) if is_of_numbers else run


def _one_by_one(run: RunFloats, inputs: Sequence[float]) -> Sequence[float] | int:
    """Runs code of numbers, given arrays among these."""
    numbers: list[float] = []
    for one in inputs:
        if type(one) is float:
            numbers.append(one)
        else:
            numbers += cast(Any, one).ravel().tolist()
    return run(numbers)
