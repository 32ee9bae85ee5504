"""Keeps the paths of rows of one structure, each with its code, and records new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from time import perf_counter
from typing import NoReturn, cast, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import exclusive
from tapegrad._support.source_position import here
from tapegrad.batch.arrays import Floats
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.row_runner import RowRunner, UnresolvedRows
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.cache import Recording
from tapegrad.compile.paths import AnyTape, Path, record_path
from tapegrad.errors import GuardError, OutputError
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import first_difference, in_order, numbers_as
from tapegrad.pytree.structure import Branch, Structure
from tapegrad.transforms.traced_call import data_of, require_numbers

__all__ = ["PathRecorder", "RowRecording"]


@final
class RowRecording(Recording[BatchCode]):
    """The recorded paths of rows of one structure, each with its code; calls share it."""

    f: Callable[..., object]
    places: tuple[int, ...]

    def __init__(
        self,
        f: Callable[..., object],
        choice: Choice,
        shape: Branch,
        places: tuple[int, ...],
        *,
        fast: bool,
    ) -> None:
        super().__init__(shape, lambda path: BatchCode(path, places, choice, fast=fast))
        self.f, self.places = f, places

    @property
    def tape(self) -> AnyTape:
        """The tape of one path; the others have the same structures."""
        return self.codes[0].path.tape

    @property
    def result(self) -> Structure:
        """The structure of what the function returns for a row."""
        return self.tape.result

    def likely(self) -> Sequence[BatchCode]:
        """The codes, those first that most rows took."""
        return sorted(self.codes, key=lambda code: -code.rows)

    @exclusive
    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        for code in self.codes:
            code.rows += taken[code.outcomes]


@final
class PathRecorder:
    """The paths of a function in one call: finds those recorded, and records those missing."""

    recorded: RowRecording
    inputs: BatchInputs
    on_branch: str
    name: str

    def __init__(
        self, recorded: RowRecording, inputs: BatchInputs, on_branch: str, max_paths: int
    ) -> None:
        self.recorded, self.inputs = recorded, inputs
        self.on_branch, self._max_paths = on_branch, max_paths
        self.name = name_of(recorded.f)
        self._memo: dict[BatchCode, Floats | None] = {}
        self._departures: Counter[str] = Counter()
        self._codes = recorded.codes
        self._runner = self.runner()

    @property
    def outputs(self) -> int:
        """The number of outputs of a row."""
        return len(self.recorded.tape.outputs)

    def codes(self) -> Sequence[BatchCode]:
        """The codes of the paths recorded by now, those first that most rows took."""
        return self.recorded.likely()

    def runner(self) -> RowRunner:
        """A runner of this call's rows on the paths recorded by now."""
        return RowRunner(self.codes(), self.inputs.shared, self._memo)

    def knows(self, prefix: bytes) -> bool:
        """Whether rows of this call can run a path that begins with these outcomes."""
        codes = self.recorded.codes
        if codes is not self._codes:
            self._codes, self._runner = codes, self.runner()
        return self._runner.find(prefix) is not None

    def note_departure(self, group: UnresolvedRows) -> None:
        """Counts rows by the line at which they left the recorded paths, for the error on paths."""
        if not self.knows(group.prefix):
            self._departures[self._line(group.prefix)] += group.rows.size

    def resolve(self, args: tuple[object, ...], prefix: bytes, number: int) -> Sequence[float]:
        """The outputs of a row for which no path is known, found as ``on_branch`` says.

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
            return self._call(args, number)
        if len(self.recorded.codes) < self._max_paths:
            return self.record(args, number)
        raise self._too_many_paths(args, number)

    def _too_many_paths(self, args: tuple[object, ...], number: int) -> GuardError:
        """The error where rows take more paths than are allowed."""
        started = perf_counter()
        self._call(args, number)
        seconds = perf_counter() - started
        line, rows = self._departures.most_common(1)[0]
        time = f"{seconds:.2g} s a row"
        if self.inputs.rows is not None:
            time = f"up to {seconds * self.inputs.rows:,.2g} s for all rows"
        return GuardError(
            f"the rows take more than max_paths={self._max_paths} paths; {rows:,} of them "
            f"part at {line}: spell that choice with where or maximum, or pass "
            f'on_branch="eager", which would take {time}'
        )

    def _line(self, prefix: bytes) -> str:
        """The user's line at which the last of these outcomes was found."""
        return str(self._left(prefix).site(len(prefix) - 1))

    def _left(self, prefix: bytes) -> Path:
        """A path that was left at the last of these outcomes."""
        codes, before = self.recorded.codes, prefix[:-1]
        return next(code.path for code in codes if code.outcomes.startswith(before))

    def record(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """Records a row's path, and returns its outputs.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        is_first = not self.recorded.codes
        f = self.recorded.f if is_first else self._in_first_order
        with _at_row(number):
            data = data_of(args[1:], self.inputs.kwargs)
            traced, mapped = self.recorded.traced_data, self.inputs.mapped
            path = record_path(f, args[0], data, traced, mapped, approximate=True)
            require_numbers(f, path.tape.result, "vmap")
        if (
            not is_first
            and first_difference(self.recorded.result, path.tape.result, statics=True) is not None
        ):
            self._refuse(number)
        self.recorded.add(path)
        values = path.tape.columns.values
        return [cast(float, values[slot]) for slot in path.tape.outputs]

    def _call(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """The outputs of a row by calling the function.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        with _at_row(number):
            returned = self.recorded.f(*args, **self.inputs.kwargs)
        leaves, path = numbers_as(self.recorded.result, returned, key_path, statics=True)
        if path is not None:
            self._refuse(number)
        return cast("list[float]", leaves)

    @property
    def _in_first_order(self) -> Callable[..., object]:
        """The function, whose dicts come in the order of those that it returned first."""
        f, result = self.recorded.f, self.recorded.result

        @wraps(f)
        def in_first_order(*args: object, **kwargs: object) -> object:
            return in_order(result, f(*args, **kwargs))

        return in_first_order

    def _refuse(self, number: int) -> NoReturn:
        """Raises for a row whose result has another structure than those before."""
        raise OutputError(
            f"row {number:,} of {self.name} ({here()}) returned another structure than the "
            "rows before it: return the same containers on every path"
        )

    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        self.recorded.count(taken)


@contextmanager
def _at_row(number: int) -> Iterator[None]:
    """Adds the number of the row to an error of the user's function."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised at row {number:,} of the batch")
        raise
