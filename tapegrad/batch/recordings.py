"""Keeps the paths of rows of one structure, each with its code, and records new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from operator import attrgetter
from time import perf_counter
from typing import Final, NoReturn, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.cached import cached
from tapegrad._support.exclusive import exclusive
from tapegrad._support.source_position import Site, here
from tapegrad.batch.arrays import Floats
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.like_paths import LikePaths
from tapegrad.batch.rare_rows import RARE, RareRows
from tapegrad.batch.reduce import BLOCK
from tapegrad.batch.row_runner import KnownPaths, RowRunner, UnresolvedRows
from tapegrad.batch.warm_rows import WarmRows
from tapegrad.compile.backends.registry import Choice, chosen
from tapegrad.compile.cache import Recording
from tapegrad.compile.call_recording import CallRecording, Departure, Waiting, leaves_loop
from tapegrad.compile.learning import MANY_PATHS, Budget
from tapegrad.compile.outside import OutsideState
from tapegrad.compile.paths import AnyTape, Path, path_of, record_path, starting_with
from tapegrad.compile.rare import called_back
from tapegrad.compile.report import ShapeReport
from tapegrad.errors import GuardError, OutputError
from tapegrad.pytree.codegen import Packer, Unpacker, packer, unpacker
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import (
    first_difference,
    in_order,
    numbers_as,
    unshared_statics,
)
from tapegrad.pytree.structure import Branch, Structure, build
from tapegrad.transforms.static_arguments import NONE_STATIC, StaticArguments
from tapegrad.transforms.traced_call import data_of, require_numbers

__all__ = ["PathRecorder", "ReadsTracedError", "RowRecording"]


_MANY_CALLED: Final = MANY_PATHS // 4
"""The fewest rare paths on which the function was called that earn a warning of many paths."""


@final
class RowRecording(Recording[BatchCode]):
    """The recorded paths of rows of one structure, each with its code; calls share it.

    The arguments at the positions ``mapped`` are one row of what is given. Where ``max_paths`` is 0
    the function is missing.
    """

    f: Callable[..., object]
    places: tuple[int, ...]
    budget: Budget

    def __init__(  # noqa: PLR0913  # each says another thing about the rows
        self,
        f: Callable[..., object],
        choice: Choice,
        shape: Branch,
        outside: OutsideState,
        places: tuple[int, ...],
        *,
        fast: bool,
        max_paths: int,
        budget: Budget,
        mapped: Collection[int] = (),
        static: StaticArguments = NONE_STATIC,
    ) -> None:
        super().__init__(shape, outside, self._code_of)
        self.f, self.places, self._fast = f, places, fast
        self._choice, self._max_paths, self.budget = choice, max_paths, budget
        self._mapped, self._static = tuple(mapped), static
        self._calls: CallRecording | None = None
        self._warm: WarmRows | None = None
        self._has_built = False

    def _code_of(self, path: Path) -> BatchCode:
        """The code of a path: that of the first two is compiled at once."""
        in_steps = len(self.codes) > 1
        return BatchCode(path, self.places, self._choice, fast=self._fast, in_steps=in_steps)

    @property
    def tape(self) -> AnyTape:
        """The tape of one path; the others have the same structures."""
        return self.codes[0].path.tape

    @property
    def result(self) -> Structure:
        """The structure of what the function returns for a row."""
        return self.tape.result

    @cached
    def read_result(self) -> Unpacker:
        """Takes the floats out of what the function returns; None where it is built otherwise."""
        return unpacker([unshared_statics(self.result)], {})

    def built(self, numbers: Sequence[float]) -> object:
        """A result of the function that has these numbers; from the second on by generated code."""
        if self._has_built:
            return self._pack(numbers)
        self._has_built = True
        return build(unshared_statics(self.result), numbers)

    @cached
    def _pack(self) -> Packer:
        return packer(self.result)

    @property
    def in_first_order(self) -> Callable[..., object]:
        """The function, whose dicts come in the order of those that it returned first."""
        return _in_order_of(self.result, self.f) if self.codes else self.f

    @property
    def calls(self) -> CallRecording:
        """The paths of rare rows."""
        return self._calls or self._new_calls()

    @exclusive
    def _new_calls(self) -> CallRecording:
        """The same where there are none yet."""
        if self._calls is None:
            name = self._choice.name if self._choice.backend.scalar else "python"
            self._calls = CallRecording(
                self.in_first_order,
                chosen(name, rows=False),
                self._max_paths,
                self.shape,
                self.outside,
                quick=True,
                budget=self.budget,
                mapped=self._mapped,
                entries=len(self.tape),
            )
            self._calls.like = LikePaths().like
        return self._calls

    def warn_of_many(self, paths: int, lines: Counter[Site | None]) -> None:
        """Warns, once, of this number of paths, given the rows that part at each line."""
        if self._max_paths:
            self.budget.warn_of_many(self.f, paths, lines)

    def adopt(self, prefix: bytes) -> None:
        """Makes a path of rare rows one for rows, where one begins with these outcomes."""
        code = None if self._calls is None else self._calls.find(prefix)
        if code is not None:
            self.add(path_of(code.path.tape, approximate=True))

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The tapes of all paths, those last that only rare rows took."""
        tapes = super().tapes
        rare = () if self._calls is None else self._calls.tapes
        known = set(map(id, tapes))
        return tapes + tuple(tape for tape in rare if id(tape) not in known)

    @property
    def seconds(self) -> float:
        """The time that recording and compiling took for the paths that many rows have taken."""
        common = (code for code in self.codes if code.rows >= RARE)
        return sum(code.path.seconds + code.compiling for code in common)

    def likely(self) -> BatchCode:
        """The code of the path that most rows took."""
        return max(self.codes, key=attrgetter("rows"))

    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        for outcomes, rows in taken.items():
            code = self.find(outcomes)
            if code is not None:
                code.count(rows)

    def warm_for(self, inputs: BatchInputs, code: BatchCode) -> WarmRows:
        """Runs batches like this one, whose rows all took the path of this code."""
        if self._warm is None or not self._warm.serves(inputs):
            self._warm = WarmRows(self.shape, inputs, code)
        self._warm.code = code
        return self._warm

    def report(self) -> ShapeReport:
        """Describes what was recorded and compiled for rows of this structure."""
        paths = {id(code.path.tape): code.report() for code in self.codes}
        if self._calls is None:
            return ShapeReport(tuple(paths.values()))
        shape = self._calls.report()
        for tape, path in zip(self._calls.tapes, shape.paths, strict=True):
            known = paths.get(id(tape), path)
            more = 0 if known is path else path.rows
            paths[id(tape)] = attrs.evolve(known, rows=known.rows + more)
        return attrs.evolve(shape, paths=tuple(paths.values()))


@final
class PathRecorder:
    """The paths of a function in one call: finds those recorded, and records those missing.

    Where the rows of a block take many paths, a path is ``rare`` that fewer rows than this take.
    With ``records_all`` none is.
    """

    recorded: RowRecording
    inputs: BatchInputs
    on_branch: str
    name: str
    rare: int

    def __init__(
        self,
        recorded: RowRecording,
        inputs: BatchInputs,
        on_branch: str,
        max_paths: int,
        *,
        records_all: bool,
    ) -> None:
        self.recorded, self.inputs = recorded, inputs
        self.on_branch, self._max_paths = on_branch, max_paths
        self.rare = RARE if on_branch == "rerecord" and not records_all else 0
        self.name = name_of(recorded.f)
        self._departures: Counter[bytes] = Counter()
        self._taken: Counter[bytes] = Counter()
        self._is_first = not recorded.codes
        self._rare_prefixes: set[bytes] = set()
        self._called_prefixes: set[bytes] = set()
        self._known = KnownPaths(inputs.shared)
        self._seen: tuple[BatchCode, ...] = ()
        self._see()

    @property
    def outputs(self) -> int:
        """The number of outputs of a row."""
        return len(self.recorded.tape.outputs)

    def codes(self) -> Sequence[BatchCode]:
        """The codes of the paths recorded by now."""
        return self.recorded.codes

    def runner(self) -> RowRunner:
        """A runner of this call's rows on the paths recorded by now."""
        self._see()
        return self._known.runner()

    def knows(self, prefix: bytes) -> bool:
        """Whether rows of this call can run a path that begins with these outcomes."""
        return self._find(prefix) is not None

    def _find(self, prefix: bytes) -> BatchCode | None:
        """A path that begins with these outcomes and that rows of this call can take."""
        self._see()
        return starting_with(self._known.codes, prefix)

    def _see(self) -> None:
        """Adds the paths that were recorded since, by this call or another."""
        codes, seen = self.recorded.codes, self._seen
        if codes is not seen:
            old = set(seen)
            for code in codes:
                if code not in old:
                    self._known.add(code)
            self._seen = codes

    def arguments(
        self, leaves: Sequence[Floats], place: int, *, as_given: bool = False
    ) -> tuple[object, ...]:
        """The arguments by position of one of some rows, which are floats or ``as_given``."""
        return self.inputs.row([leaf[place] for leaf in leaves], as_given=as_given)

    def note_departure(self, group: UnresolvedRows) -> None:
        """Counts rows by how they left the recorded paths, for the error on paths."""
        if not group.is_known:
            self._departures[group.prefix] += len(group.rows)

    def rare_outputs(self, groups: Sequence[UnresolvedRows], start: int) -> Floats:
        """The outputs of rows on rare paths, a column for each; the block starts at ``start``.

        Raises:
            GuardError: where there are too many paths.
        """
        recorded = self.recorded
        for group in groups:
            if group.is_known:
                recorded.count(Counter({group.prefix: -len(group.rows)}))
        self._require_few_paths(groups, start)
        return self._rare_rows.run(groups, partial(self._answer, start))

    def _require_few_paths(self, groups: Sequence[UnresolvedRows], start: int) -> None:
        """Lets rows on rare paths through, unless there are too many of these.

        Raises:
            GuardError: where there are.
        """
        recorded, known = self.recorded, self._rare_prefixes
        for group in groups:
            if group.prefix not in known and self._find(group.prefix) is None:
                known.add(group.prefix)
                if len(recorded.codes) + len(known) > self._max_paths:
                    raise self._too_many_paths(group.leaves, 0, start + int(group.rows[0]))

    def _answer(
        self, start: int, group: UnresolvedRows, departure: Departure, place: int
    ) -> Sequence[float]:
        """The outputs of a rare row for which there is no code, in the block from ``start``."""
        recorded, kwargs = self.recorded, self.inputs.kwargs
        number = start + int(group.rows[place])
        arguments = given = self.arguments(group.leaves, place), kwargs
        if self.inputs.has_ints:
            given = self.arguments(group.leaves, place, as_given=True), kwargs
        try:
            waiting = Waiting(len(group.rows) - place, self.inputs.rows or BLOCK)
            returned = recorded.calls.missed(departure, arguments, given, waiting=waiting)
        except Exception as error:
            _note_row(error, number)
            raise
        if recorded.calls.find(departure.prefix) is None:
            self._note_call(group.prefix)
        return self._numbers(returned, number)

    def _note_call(self, prefix: bytes) -> None:
        """Notes that rows on a path are calls of the function, and warns of many such."""
        called, recorded = self._called_prefixes, self.recorded
        if not leaves_loop(prefix):  # such come again, and are recorded then
            called.add(prefix)
        paths = len(recorded.codes) + len(self._rare_prefixes)
        has_many = paths >= MANY_PATHS and len(called) >= _MANY_CALLED
        if has_many and not recorded.budget.has_warned:
            recorded.warn_of_many(MANY_PATHS, self._lines())

    @cached
    def _rare_rows(self) -> RareRows:
        """Runs the rare rows of this call; learning their paths may take as long as others took."""
        recorded, inputs = self.recorded, self.inputs
        recorded.budget.credit = max(recorded.budget.credit, recorded.seconds)
        return RareRows(
            recorded.calls,
            known=self._find,
            left=recorded.find,
            places=recorded.places,
            shared=inputs.shared,
            outputs=self.outputs,
        )

    def resolve(
        self, leaves: Sequence[Floats], place: int, prefix: bytes, number: int
    ) -> Sequence[float]:
        """The outputs of a row for which no path is known, found as ``on_branch`` says.

        Its numbers stand at this place in ``leaves``.

        Raises:
            GuardError: where the row may not leave the recorded paths, or there are too many.
        """
        if self.on_branch == "raise":
            path, guard = self._left(prefix), len(prefix) - 1
            raise GuardError(
                f"row {number:,} leaves the recorded path at {path.site(guard)}, where "
                f'{path.other_outcome(guard)}: leave on_branch at "rerecord", or spell the choice '
                "with where"
            )
        if self.on_branch == "eager":
            return self._call(leaves, place, number)
        if len(self.recorded.codes) < self._max_paths:
            return self.record(self.arguments(leaves, place), number)
        raise self._too_many_paths(leaves, place, number)

    def _too_many_paths(self, leaves: Sequence[Floats], place: int, number: int) -> GuardError:
        """The error where rows take more paths than are allowed."""
        started = perf_counter()
        self._call(leaves, place, number)
        seconds = perf_counter() - started
        line, rows = self._lines().most_common(1)[0]
        time = f"{seconds:.2g} s a row"
        if self.inputs.rows is not None:
            time = f"up to {seconds * self.inputs.rows:,.2g} s for all rows"
        return GuardError(
            f"the rows take more than max_paths={self._max_paths} paths; {rows:,} of them "
            f"part at {line}: spell that choice with where or maximum, or pass "
            f'on_branch="eager", which would take {time}'
        )

    def _lines(self) -> Counter[Site | None]:
        """The rows that left the recorded paths, by the user's line at which they did."""
        found: Counter[Site | None] = Counter()
        for prefix, rows in self._departures.items():
            found[self._left(prefix).site(len(prefix) - 1)] += rows
        return found

    def _left(self, prefix: bytes) -> Path:
        """A path that was left at the last of these outcomes."""
        return cast(BatchCode, self.recorded.find(prefix[:-1])).path

    def record(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """Records a row's path, and returns its outputs.

        Raises:
            OutputError: where it returns another structure than the rows before.
            ReadsTracedError: where it reads a number of a recording around this call.
        """
        is_first = not self.recorded.codes
        with _at_row(number):
            path = self._path(args)
            require_numbers(
                self.recorded.in_first_order, path.tape.result, "vmap", may_be_empty=False
            )
        if (
            not is_first
            and first_difference(self.recorded.result, path.tape.result, statics=True) is not None
        ):
            self._refuse(number)
        self.recorded.add(path)
        values = path.tape.columns.values
        return [cast(float, values[slot]) for slot in path.tape.outputs]

    def _path(self, args: tuple[object, ...]) -> Path:
        """The path that a row takes.

        Raises:
            ReadsTracedError: where it reads a number of a recording around this call.
        """
        f, data = self.recorded.in_first_order, data_of(args[1:], self.inputs.kwargs)
        traced, mapped = self.recorded.traced_data, self.inputs.mapped
        path = record_path(f, args[0], data, traced, mapped, expanded=True, approximate=True)
        if path is None:
            raise ReadsTracedError
        return path

    def _call(self, leaves: Sequence[Floats], place: int, number: int) -> Sequence[float]:
        """The outputs of a row by calling the function.

        Where that raises, the row is recorded: it may raise on plain numbers alone, such as whole
        floats that are indices.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        args = self.arguments(leaves, place, as_given=True)
        with _at_row(number):
            try:
                returned = self.recorded.f(*args, **self.inputs.kwargs)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # whatever the function raises, it raises again
                returned = self._path(self.arguments(leaves, place)).tape.value
        return self._numbers(returned, number)

    def _numbers(self, returned: object, number: int) -> Sequence[float]:
        """The numbers of what the function returned for a row.

        Raises:
            OutputError: where it has another structure than for the rows before.
        """
        plain = self.recorded.read_result((returned,), {})
        if plain is not None:
            return plain
        leaves, path = numbers_as(self.recorded.result, returned, key_path, statics=True)
        if path is not None:
            self._refuse(number)
        return cast("list[float]", leaves)

    def _refuse(self, number: int) -> NoReturn:
        """Raises for a row whose result has another structure than those before."""
        raise OutputError(
            f"row {number:,} of {self.name} ({here()}) returned another structure than the "
            "rows before it: return the same containers on every path"
        )

    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        self._taken += taken
        self.recorded.count(taken)

    def warm(self) -> WarmRows | None:
        """Runs batches like this one, if that is another than the first of up to 4,096 rows.

        None unless all its rows took one path, whose code does not call back into Python.
        """
        if self._is_first or (self.inputs.rows or BLOCK + 1) > BLOCK or len(self._taken) != 1:
            return None
        ((outcomes, rows),) = self._taken.items()
        code = self.recorded.find(outcomes)
        if code is None or rows != self.inputs.rows or called_back(code.path.program):
            return None
        return self.recorded.warm_for(self.inputs, code)


def _in_order_of(result: Structure, f: Callable[..., object]) -> Callable[..., object]:
    """A function whose dicts come in the order of those in ``result``."""

    @wraps(f)
    def in_first_order(*args: object, **kwargs: object) -> object:
        return in_order(result, f(*args, **kwargs))

    return in_first_order


class ReadsTracedError(Exception):
    """A function of rows reads a traced number of a recording around, which code cannot run."""


@contextmanager
def _at_row(number: int) -> Iterator[None]:
    """Adds the number of the row to an error of the user's function."""
    try:
        yield
    except Exception as error:
        _note_row(error, number)
        raise


def _note_row(error: Exception, number: int) -> None:
    error.add_note(f"raised at row {number:,} of the batch")
    if isinstance(error, TypeError | AttributeError) and "'tuple'" in str(error):
        error.add_note(
            "a row of an array with more than one axis is a tuple: tapegrad.numpy.asarray(row) "
            "makes an array of it"
        )
