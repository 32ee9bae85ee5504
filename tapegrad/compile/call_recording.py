"""The recorded paths of ``jit``: they run one call at a time, on arguments or on flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

import attrs

from tapegrad._support.cached import cached
from tapegrad._support.source_position import Site, here
from tapegrad._support.text import describe
from tapegrad.compile.backends import python
from tapegrad.compile.backends.interface import GivenLoops, RunFloats, ScalarCode
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.cache import Recording
from tapegrad.compile.learning import PLAN, Budget, Learning
from tapegrad.compile.loops import line_of
from tapegrad.compile.outside import OutsideState
from tapegrad.compile.paths import AnyTape, HasPath, Path, record_path, taking_arrays
from tapegrad.compile.report import PathReport, ShapeReport
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.codegen import Packer, Unpacker, packer, unpacker
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import numbers_as, unshared_statics
from tapegrad.pytree.plain import plain_copy
from tapegrad.pytree.structure import (
    Branch,
    Role,
    Structure,
    argument_paths,
    build,
    data_paths,
    flatten,
    holds_arrays,
    key_paths,
    leaf_shapes,
    taken_apart,
)  # fmt: skip
from tapegrad.recording.results import FlatResult, are_alike, flat_result
from tapegrad.recording.trace import Trace
from tapegrad.sweep.shapes import in_shapes
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tapegrad._support.array_types import FloatArray, Vector

__all__ = [
    "RAISED", "Arguments", "CallCode", "CallRecording", "Departure", "Flat", "Waiting",
    "called_straight", "leaves_loop",
]  # fmt: skip

_SHORT: Final = 512
"""The most entries of a path for which Python's code is worth making before the backend's."""
_TRIED: Final = 8
"""The paths that are recorded before any of them has to have come again."""
_FEW: Final = 8
"""The most paths that are run one after the other without a look at the clock."""
_ALIKE: Final = 8
"""The fewest guards that come out alike in a loop that is left."""
_QUICK_CALLS: Final = 1_000
"""The calls after each of which Python's code may give way to the backend's."""
_STARTING: Final = 2_000
"""The entries that take a backend as long as it takes to start, once in a process."""

Arguments: TypeAlias = tuple[tuple[object, ...], Mapping[str, object]]
"""The arguments of one call, by position and by name."""


@final
class CallCode:
    """A path, its code for one call, and the function that puts its results together.

    ``is_paid`` says that the code is made only once calls of the function itself have taken as
    long. Code that is made ``quickly`` is Python's, until it has saved enough. ``rows`` counts
    the rows of batches that took the path. It ``is_taken`` once code has run on it. What calls to
    come are ``expected`` to take, in seconds, may pay for the code. What was ``made`` is run by
    ``run``, which may take other inputs, or count the calls.
    """

    path: Path
    choice: Choice
    learning: Learning
    compiling: float
    is_paid: bool
    quickly: bool
    is_taken: bool
    rows: int
    expected: float
    run: RunFloats | None
    made: ScalarCode | None

    def __init__(self, choice: Choice, learning: Learning, path: Path) -> None:
        self.choice, self.learning, self.path = choice, learning, path
        self.run = self.made = None
        self.compiling, self.expected, self.rows = 0.0, 0.0, 0
        self.is_paid = self.quickly = self.is_taken = False
        self._runs_on = "recorded only"
        self._left = _QUICK_CALLS
        if path.code is not None:
            self._take(path.code, path.code.run, choice.name)

    @cached
    def pack(self) -> Packer:
        """Puts the results together."""
        return packer(self.path.tape.result)

    @property
    def compiler(self) -> str:
        """The name of the backend that compiles the path."""
        if self.path.program.forms:
            return PLAN
        return "python" if self.quickly else self.choice.name

    def compile(self) -> RunFloats:
        """Compiles the path; two threads may both do so, and one of the two codes is kept."""
        started = thread_time()
        if self.path.program.forms:
            plan, backend = serving("compile.arrays.plan"), self.choice.backend
            makers = backend.loop, backend.chain, backend.nest
            code = cast(ScalarCode, plan.scalar(self.path.program, *makers))
            run: RunFloats = code.run
        elif self.quickly:
            code = python.scalar(self.path.program)
            run = partial(self._counted, code.run)
        else:
            code = self.choice.scalar(self.path.program)
            run = code.run
        run = taking_arrays(self.path, run)
        self._take(code, run, self.compiler)
        self.compiling += thread_time() - started
        return run

    def _take(self, code: ScalarCode, run: RunFloats, runs_on: str) -> None:
        """Takes code to be run, by the backend that it ``runs_on``."""
        self.run, self.made, self._runs_on = run, code, runs_on

    @property
    def entry(self) -> object | None:
        """The entry by which the backend runs the code for many rows, where it does."""
        return None if self.made is None else self.made.entry

    @property
    def loops(self) -> GivenLoops | None:
        """The numbers that the loops of the code are given, where it tells them."""
        return None if self.made is None else self.made.loops

    def _counted(self, run: RunFloats, floats: Sequence[float]) -> Sequence[float] | int:
        """Runs quick code; where it has saved as much, it gives way to the backend's."""
        self._left -= 1
        if self._left >= 0:
            return run(floats)
        self._left = _QUICK_CALLS
        started = thread_time()
        found = run(floats)
        self.learning.save(_QUICK_CALLS, thread_time() - started)
        budget, before = self.learning.budget, self.compiling
        entries = len(self.path.program) + _STARTING
        if not budget.eager_first or budget.affords(self.choice.name, entries):
            self.quickly = False
            self.compile()
            self.learning.pay(self.compiling - before)
        return found

    def report(self) -> PathReport:
        """Describes the path, and the time that recording and compiling it took."""
        made = self.made
        steps, memory = (0, 0) if made is None else made.size()
        return self.path.report(
            runs_on=self._runs_on,
            compiling=self.compiling,
            is_cached=made is not None and made.is_cached,
            is_shared=made is not None and made.is_shared,
            rows=self.rows,
            steps=steps,
            memory=memory,
        )


@final
@attrs.frozen(eq=False)
class Departure:
    """Numbers that no compiled path takes: the last one, and the outcomes that it was left with.

    With ``is_recorded`` there is a path for them, which is not compiled yet.
    """

    code: HasPath | None
    prefix: bytes
    is_recorded: bool

    @property
    def line(self) -> Site | None:
        """The user's line at which the last outcome was found."""
        return None if self.code is None else self.code.path.site(len(self.prefix) - 1)


@final
@attrs.frozen
class Waiting:
    """How many rows of a batch wait for a path: some that are known, of so many in all."""

    rows: int = 0
    batch: int = 0


NONE_WAITING: Final = Waiting()


def leaves_loop(prefix: bytes) -> bool:
    """Whether guards came out alike, trip after trip, until the last one did not.

    So there are as many paths as trips, whose code is that of one with other counts.
    """
    return bool(prefix) and prefix.endswith(bytes((1 - prefix[-1],)) * _ALIKE, 0, -1)


@final
class CallRecording(Recording[CallCode]):
    """The recorded paths of calls whose arguments have one structure; ``latest`` ran last.

    With ``quick`` Python's code, which is made in less time, serves short paths at first. What all
    recordings of a function may spend is one ``budget``. The arguments at the positions ``mapped``
    are one row of what a batch was given, and ``entries`` is the length of a path that is known.
    Paths that are ``like`` others may be found by what was recorded.
    """

    f: Callable[..., object]
    max_paths: int
    any_row: bool
    latest: CallCode | None
    learning: Learning
    like: Callable[[Sequence[CallCode], Callable[..., object], Trace], Path | None] | None

    def __init__(  # noqa: PLR0913  # each says one thing about the calls
        self,
        f: Callable[..., object],
        choice: Choice,
        max_paths: int,
        shape: Branch,
        outside: OutsideState,
        *,
        budget: Budget,
        quick: bool = False,
        mapped: Collection[int] = (),
        entries: int | None = None,
    ) -> None:
        self.learning = Learning(budget, on_arrays=holds_arrays(shape))
        super().__init__(shape, outside, partial(CallCode, choice, self.learning))
        self.f, self.max_paths, self.any_row = f, max_paths, choice.backend.calls_any_row
        self.latest = self.like = None
        self._quick, self._taken = quick, 0
        self._mapped, self._entries = mapped, entries

    @cached
    def unpack(self) -> Unpacker:
        """Takes the numbers out of arguments of this structure; generated where it is asked for."""
        by_position, by_name = cast("tuple[Branch, Branch]", self.shape.children)
        named = zip(map(str, by_name.keys), by_name.children, strict=True)
        return unpacker(by_position.children, dict(named))

    def run(
        self, floats: Sequence[float], arguments: Arguments, asked: float | None = None
    ) -> object:
        """The result of one call; it was ``asked`` for then, where its structure was not known.

        Raises:
            GuardError: where two recorded paths disagree on a comparison.
        """
        code, found = self.latest, None
        if code is not None and code.run is not None:
            found = code.run(floats)
            if not isinstance(found, int):
                if asked is not None:
                    self.learning.answer(perf_counter() - asked)
                return code.pack(found)
        budget = self.learning.budget
        if budget.decided > 0.0 and budget.is_overdrawn:
            result = called_straight(budget, self.f, arguments, asked or perf_counter())
            if result is not RAISED:
                return result
        if asked is None and len(self.codes) > _FEW:
            asked = perf_counter()
        settled = self.settle(floats, code, found)
        if isinstance(settled, Departure):
            return self.missed(settled, arguments, asked=asked or perf_counter())
        if asked is not None:
            self.learning.answer(perf_counter() - asked)
        code, outputs = settled
        return code.pack(outputs)

    def run_flat(self, inputs: bytes) -> tuple[Structure, Buffer]:
        """The outputs as doubles that stand side by side, given the inputs in the same way.

        Before them stands the structure of the result.
        """
        code = self.latest
        if code is not None and code.made is not None:
            found = code.made.run_bytes(inputs)
            if not isinstance(found, int):
                return code.path.tape.result, found
        floats = self._parted(inputs)
        settled = self.settle(floats, code)
        if not isinstance(settled, Departure):
            code, outputs = settled
            return code.path.tape.result, _side_by_side(outputs)
        arguments = build(unshared_statics(self.shape), floats)
        returned = self.missed(settled, cast(Arguments, arguments))
        structure, numbers = flatten(returned, Role.RESULT, key_path)
        return structure, _side_by_side(cast("list[float]", numbers))

    def _parted(self, inputs: bytes) -> list[float]:
        """The numbers that stand side by side, those of an array as one."""
        if not holds_arrays(self.shape):
            return cast("list[float]", memoryview(inputs).cast("d").tolist())
        parted = serving("pytree.array_leaves").parted
        return cast("list[float]", parted(inputs, leaf_shapes(self.shape)))

    def settle(
        self,
        floats: Sequence[float],
        code: CallCode | None,
        found: Sequence[float] | int | None = None,
        *,
        at_any_price: bool = False,
    ) -> tuple[CallCode, Sequence[float]] | Departure:
        """Runs the paths that numbers lead to: the one that they take, and their outputs on it.

        The first to be run is ``code``, on which they may have been ``found`` already.
        """
        prefix, left = b"", code
        while code is not None:
            if found is None:
                run = code.run or self._compiled(code, at_any_price=at_any_price)
                if run is None:
                    break
                found = run(floats)
            if not isinstance(found, int):
                self.latest = code
                self.note_taken(code)
                return code, found
            if found < 0:
                return Departure(code, prefix, is_recorded=True)
            prefix, left = code.path.flipped(found, prefix), code
            code, found = self.find(prefix), None
        return Departure(left, prefix, is_recorded=code is not None)

    def note_taken(self, code: CallCode) -> None:
        """Notes that numbers took a path, of which the first ones count."""
        if not code.is_taken:
            code.is_taken = True
            self._taken += 1

    def _compiled(self, code: CallCode, *, at_any_price: bool) -> RunFloats | None:
        """Compiles a path; None where that is not paid for yet."""
        budget, work, entries = self.learning.budget, code.compiler, len(code.path.program)
        is_paid = code.is_paid and not at_any_price
        if is_paid and not budget.affords(work, entries, expected=code.expected):
            return None
        before = code.compiling
        run = code.compile()
        budget.measure(work, entries, code.compiling - before)
        if is_paid:
            self.learning.pay(code.compiling - before)
        return run

    def compile(self, floats: Sequence[float], arguments: Arguments) -> None:
        """Records and compiles the path of these numbers, whatever that takes."""
        settled = self.settle(floats, self.latest, at_any_price=True)
        if isinstance(settled, Departure):
            self.record(arguments, keeps=len(self.codes) < self.max_paths)
            settled = self.settle(floats, self.latest, at_any_price=True)
        if not isinstance(settled, Departure):
            code, _ = settled
            if code.quickly:
                code.quickly = False
                code.compile()

    def missed(
        self,
        departure: Departure,
        arguments: Arguments,
        given: Arguments | None = None,
        *,
        asked: float | None = None,
        waiting: Waiting = NONE_WAITING,
    ) -> object:
        """The result of a call whose path cannot be run: it is recorded, or made as it stands.

        Numbers among the arguments are floats, as those of a recording. Where others are ``given``
        for a call of the function itself, its result comes as it returns it. Rows that are
        ``waiting`` for the path count as calls.

        It is recorded, too, where the function raises: it may do so on plain numbers alone, such as
        whole floats that are indices. The path is not kept where there are too many.
        """
        may_record = len(self.codes) < self.max_paths
        if not (may_record and self._is_worth_recording(departure, waiting)):
            try:
                return self._counted_call(given or arguments, asked, in_floats=given is None)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001, S110  # whatever the function raises, it raises again
                pass
        if asked is not None:
            self.learning.budget.decide(perf_counter() - asked)
        compares = self._entries is None and self.learning.budget.eager_first
        result = self.record(arguments, keeps=may_record, compares=compares)
        self.learning.forget(departure.prefix)
        code = self.find(departure.prefix) if waiting.rows else None
        if code is not None:
            code.expected = self._expected(departure, waiting, code.path.entries)
        return result

    def _counted_call(
        self, arguments: Arguments, asked: float | None, *, in_floats: bool
    ) -> object:
        """The result of a call of the function itself, or that ``in_floats`` as of a recording."""
        called = perf_counter()
        returned = self.learning.call(partial(self._call, arguments))
        if not in_floats:
            return returned
        ended = perf_counter()
        result = as_recorded(returned)
        if asked is not None:
            self.learning.budget.decide(perf_counter() - ended + called - asked)
        return result

    def _is_worth_recording(self, departure: Departure, waiting: Waiting) -> bool:
        """Whether there is no path for the numbers, and recording it is free or paid for."""
        learning, budget, code = self.learning, self.learning.budget, departure.code
        if departure.is_recorded or learning.is_apart or not budget.eager_first:
            return not (departure.is_recorded or learning.is_apart)
        entries = self._entries if code is None else code.path.entries
        if entries is not None and budget.is_free(entries):
            return True
        comes_again = learning.comes_again(departure.prefix, departure.line) or waiting.rows > 1
        if self._entries is None:
            learning.warn_of_many_calls(self.f, len(self.codes))
        length = learning.guessed_length() if entries is None else entries
        # The calls may have left the known paths alike and gone on on paths that never come again.
        doubt = max(1.0, len(self.codes) / (2 * self._taken + _TRIED))
        expected = self._expected(departure, waiting, length)
        is_paid = budget.is_free(length) or learning.affords_recording(length, doubt, expected)
        return comes_again and is_paid

    def _expected(self, departure: Departure, waiting: Waiting, length: float) -> float:
        """The seconds that calls for all rows would take, where these come to paths of one loop."""
        is_of_loop = waiting.rows > 0 and leaves_loop(departure.prefix)
        return self.learning.expected(waiting.batch, length) if is_of_loop else 0.0

    def record(self, arguments: Arguments, *, keeps: bool = True, compares: bool = False) -> object:
        """The result of a call that is recorded, unless it meets traced numbers from outside.

        Where it ``compares``, that is compared with the result of the function as it stands.
        """
        args, kwargs = arguments
        started = thread_time()
        if args:
            f, x, data = self.f, args[0], data_of(args[1:], kwargs)
        else:
            f, x, data = (lambda _, **given: self.f(**given)), (), data_of((), kwargs)
        path = record_path(
            f, x, data, self.traced_data, self._mapped,
            arrays=self._entries is None, any_row=self.any_row,
            like=None if self.like is None else partial(self.like, self.codes),
        )  # fmt: skip
        if path is None:
            return as_recorded(self._call(arguments))
        result, found = path.returned
        if compares:
            before = thread_time()
            plain = self._as_it_stands(arguments, (result, found))
            if plain is not None:
                return build(*plain)
            started += thread_time() - before  # a call of the function is no work on its path
        if keeps:
            self._keep(path, started)
        return build(unshared_statics(result), in_shapes(found, found))

    def _as_it_stands(self, arguments: Arguments, recorded: FlatResult) -> FlatResult | None:
        """The result of the function as it stands, with a warning; None where it was recorded so.

        It may ask whether an argument is a float, or draw random numbers. As its first calls are
        made as it stands, so are then all others.
        """
        try:
            plain = flat_result(as_recorded(self._call(arguments)))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # it may raise on plain numbers alone, as `missed` says
            return None
        if are_alike(recorded, plain):
            return None
        self.learning.is_apart = True
        self.learning.budget.warn_of_two_results(self.f)
        return plain

    def _keep(self, path: Path, started: float) -> None:
        """Keeps a path; all that was done for it since it ``started`` counts."""
        code = self.add(path)
        if self._entries is None:
            _ = self.unpack  # generated now
        else:
            code.rows += 1
        seconds = thread_time() - started
        self.learning.measure(path.entries, seconds)
        self._charge(code, seconds)
        if not self.learning.budget.eager_first:
            self._compiled(code, at_any_price=True)

    def adopt(self, path: Path) -> CallCode:
        """The code of a path that was recorded elsewhere, which is paid for where it has to be."""
        code = self.add(path)
        self._charge(code, path.seconds)
        return code

    def _charge(self, code: CallCode, seconds: float) -> None:
        path, budget = code.path, self.learning.budget
        entries = path.entries
        self.latest = self.latest or code
        if self._quick and entries <= _SHORT and path.code is None:
            # The paths of one loop that rows take have one code of the backend's.
            code.quickly = self._entries is None or not line_of(path.program).pays
        code.is_paid = budget.take(entries)
        if code.is_paid:
            self.learning.pay(seconds)

    def report(self) -> ShapeReport:
        """Describes what was recorded and compiled, and the calls of the function itself."""
        return ShapeReport(super().report().paths, self.learning.calls, self.learning.called)

    def _call(self, arguments: Arguments) -> object:
        """The result of a call of the function itself."""
        args, kwargs = arguments
        return self.f(*args, **kwargs)


RAISED: Final[object] = object()
"""Stands for the result of a function that raises."""


def called_straight(
    budget: Budget, f: Callable[..., object], arguments: Arguments, asked: float
) -> object:
    """The result of a call of the function itself, about which nothing is decided.

    Where it raises, there is none: it may do so on plain numbers alone, as `missed` says.
    """
    try:
        return budget.call_straight(f, *arguments, as_recorded, asked)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # whatever the function raises, it raises again
        return RAISED


def as_recorded(returned: object) -> object:
    """The result of a function as a recording of it gives it: with floats, and shared by nobody."""
    copied = plain_copy(returned)
    if copied is not None:
        return copied
    structure, numbers = flatten(returned, Role.RESULT, key_path)
    return build(unshared_statics(structure), map(_copied, numbers))


def _copied(found: Operand) -> Operand:
    """A number, or a copy of an array, which may be one of the arguments."""
    return cast(Any, found).copy() if is_array(found) else found


def _side_by_side(found: Sequence[float]) -> bytes:
    """The doubles of numbers, some of which may be arrays."""
    try:
        return array("d", found).tobytes()
    except TypeError:
        return cast(bytes, serving("pytree.array_leaves").side_by_side(found))


@final
class Flat:
    """A compiled function between flat arrays: ``flat(inputs)`` gives the outputs.

    ``inputs`` and ``outputs`` name the numbers in order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, recording: CallRecording, again: Callable[[], CallRecording]) -> None:
        tape = cast(CallCode, recording.latest).path.tape
        self.inputs = tuple(_input_names(tape))
        self._result = taken_apart(tape.result)
        self.outputs = tuple(path or "value" for path in key_paths(self._result))
        self._recording, self._again = recording, again
        self._order: tuple[Structure, list[int] | None] = (tape.result, None)
        self._size = 8 * len(self.inputs)
        self._float64: object
        self._from_buffer: Callable[[Buffer], FloatArray]
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            from numpy import dtype, frombuffer

            self._float64, self._from_buffer = dtype("float64"), frombuffer

    def __call__(self, inputs: Vector) -> FloatArray:
        """The outputs at these inputs.

        Raises:
            InputError: when ``inputs`` is not a float64 array with a number for each input.
            OutputError: when a path returns another structure than the first one.
        """
        array = cast("FloatArray", inputs)
        is_array = hasattr(inputs, "dtype") and array.dtype == self._float64
        given = array.tobytes() if is_array else b""
        if len(given) != self._size:
            what = f"an array of shape {array.shape}" if is_array else describe(inputs)
            raise InputError(
                f"{what} was given ({here()}) for {len(self.inputs)} inputs: pass one float64 "
                "array of that length"
            )
        if not self._recording.outside.holds():
            self._recording = self._again()
        result, found = self._recording.run_flat(given)
        outputs, order = self._from_buffer(found), self._order_of(result)
        return outputs if order is None else cast("FloatArray", cast(Any, outputs)[order])

    def _order_of(self, result: Structure) -> list[int] | None:
        """The places of a path's outputs in the order of the names; None where they are in it."""
        latest, order = self._order
        if latest is not result:
            order = self._places_in(result)
            self._order = result, order
        return order

    def _places_in(self, result: Structure) -> list[int] | None:
        """The place of each named number in a result whose dicts may come in another order."""
        in_order = [float(place) for place in range(len(self.outputs))]
        places, misfit = numbers_as(
            self._result, build(taken_apart(result), in_order), key_path, statics=True
        )
        if misfit is not None:
            raise OutputError(
                f"a path at these inputs ({here()}) returns another structure than the first one: "
                "return the same containers on every path"
            )
        return None if places == in_order else [int(cast(float, place)) for place in places]


def _input_names(tape: AnyTape) -> Iterator[str]:
    """The names of the numbers in the arguments, those of an array one by one."""
    yield from argument_paths(taken_apart(tape.parameters), tape.names[0])
    for name, part in tape.data_by_name():
        yield from data_paths(taken_apart(part), name)
