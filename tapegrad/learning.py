"""The paths of rows of one structure: recorded as rows ask for them, and the code of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias, cast, final

from tapegrad.backends import Choice
from tapegrad.calls import gathered
from tapegrad.checks import name_of
from tapegrad.errors import OutputError
from tapegrad.inputs import BatchInputs
from tapegrad.paths import AnyTape, Path, Paths, record_path
from tapegrad.positions import here
from tapegrad.reports import ShapeReport
from tapegrad.structure import Branch, Role, Structure, flatten, join, kept, misfit
from tapegrad.sweeping import Code, Sweep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Learner", "Recorded"]


@final
class Recorded:
    """The recorded paths of rows of one structure, and the code of each; calls share it."""

    f: Callable[..., object]
    choice: Choice
    places: tuple[int, ...]
    shape: tuple[Branch, Branch]
    fast: bool
    paths: Paths

    def __init__(
        self,
        f: Callable[..., object],
        choice: Choice,
        shape: tuple[Branch, Branch],
        places: tuple[int, ...],
        *,
        fast: bool,
    ) -> None:
        self.f, self.choice, self.places = f, choice, places
        self.shape = cast("tuple[Branch, Branch]", tuple(map(kept, shape)))
        self.fast = fast
        self.paths = Paths()
        self.codes: list[Code] = []
        self._lock = Lock()

    def fits(self, shape: tuple[Branch, Branch]) -> bool:
        """Whether rows of these structures can run what is recorded here."""
        pairs = zip(self.shape, shape, strict=True)
        return all(misfit(own, other, statics=True) is None for own, other in pairs)

    @property
    def tape(self) -> AnyTape:
        """The path that was recorded first, whose structures all share."""
        return self.codes[0].path.tape

    @property
    def result(self) -> Structure:
        """The structure of what the function returns for a row."""
        return self.tape.result

    def likely(self) -> Sequence[Code]:
        """The codes, those first that most rows took."""
        return sorted(self.codes, key=lambda code: -code.rows)

    def add(self, path: Path) -> Path:
        """Keep a path, unless it is known; the one that is kept."""
        with self._lock:
            kept = self.paths.add(path)
            if kept is path:
                self.codes.append(Code(path, self.places, self.choice, fast=self.fast))
            return kept

    def count(self, taken: Counter[bytes]) -> None:
        """Note how many rows took each path."""
        with self._lock:
            for code in self.codes:
                code.rows += taken[code.path.outcomes]

    def report(self) -> ShapeReport:
        """What was recorded and compiled for rows of this structure."""
        return ShapeReport(tuple(code.report() for code in tuple(self.codes)))


@final
class Learner:
    """What one call knows of the function's paths, and how it learns more."""

    recorded: Recorded
    given: BatchInputs
    on_branch: str
    max_paths: int
    name: str

    def __init__(
        self, recorded: Recorded, call: BatchInputs, on_branch: str, max_paths: int
    ) -> None:
        self.recorded, self.given = recorded, call
        self.on_branch, self.max_paths = on_branch, max_paths
        self.name = name_of(recorded.f)
        self.memo: dict[Code, Floats | None] = {}
        self._sweep = Sweep((), call.shared, self.memo)

    @property
    def outputs(self) -> int:
        """How many numbers there are for a row."""
        return len(self.recorded.tape.outputs)

    @property
    def paths(self) -> int:
        """How many paths are known."""
        return len(self.recorded.codes)

    def codes(self) -> Sequence[Code]:
        """The codes that are known by now, those first that most rows take."""
        return self.recorded.likely()

    def knows(self, prefix: bytes) -> bool:
        """Whether rows of this call can run a path that begins with these outcomes."""
        if len(self._sweep.codes) != self.paths:
            self._sweep = Sweep(tuple(self.recorded.codes), self.given.shared, self.memo)
        return self._sweep.find(prefix) is not None

    def line(self, prefix: bytes) -> str:
        """The user's line at which the last of these outcomes was found."""
        path = self.recorded.paths.find(prefix[:-1])
        return str(path.site(len(prefix) - 1)) if path is not None else "an unknown line"

    def learn(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """Record a row's path, and give its outputs.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        with _at_row(number):
            data = gathered(args[1:], self.given.kwargs)
            path = record_path(self.recorded.f, args[0], data, near=True)
        if self.paths:
            self._require_alike(path.tape.result, number)
        self.recorded.add(path)
        values = path.tape.columns.values
        return [cast(float, values[slot]) for slot in path.tape.outputs]

    def call(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """A row's outputs by calling the function.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        with _at_row(number):
            returned = self.recorded.f(*args, **self.given.kwargs)
        result, leaves = flatten(returned, Role.RESULT, join)
        self._require_alike(result, number)
        return cast("list[float]", leaves)

    def _require_alike(self, result: Structure, number: int) -> None:
        if misfit(self.recorded.result, result, statics=True) is not None:
            raise OutputError(
                f"row {number:,} of {self.name} ({here()}) returned another structure than the "
                "rows before it: return the same containers on every path"
            )

    def count(self, taken: Counter[bytes]) -> None:
        """Note how many rows took each path."""
        self.recorded.count(taken)


@contextmanager
def _at_row(number: int) -> Iterator[None]:
    """Note the row at an error of the user's function."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised at row {number:,} of the batch")
        raise
