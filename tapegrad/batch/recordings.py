"""Keeps the paths of rows of one structure, each with its code, and records new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.batch.execute import Code, Sweep
from tapegrad.batch.inputs import BatchInputs
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.cache import Recording
from tapegrad.compile.paths import AnyTape, record_path
from tapegrad.errors import OutputError
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import first_difference, in_order, numbers_as
from tapegrad.pytree.structure import Branch, Structure
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Learner", "RowRecording"]


@final
class RowRecording(Recording[Code]):
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
        super().__init__(shape, lambda path: Code(path, places, choice, fast=fast))
        self.f, self.places = f, places

    @property
    def tape(self) -> AnyTape:
        """The tape of one path; the others have the same structures."""
        return self.codes[0].path.tape

    @property
    def result(self) -> Structure:
        """The structure of what the function returns for a row."""
        return self.tape.result

    def likely(self) -> Sequence[Code]:
        """The codes, those first that most rows took."""
        return sorted(self.codes, key=lambda code: -code.rows)

    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        with self._lock:
            for code in self.codes:
                code.rows += taken[code.outcomes]


@final
class Learner:
    """Finds the paths of a function for one call, and records those that are missing."""

    recorded: RowRecording
    given: BatchInputs
    on_branch: str
    max_paths: int
    name: str

    def __init__(
        self, recorded: RowRecording, call: BatchInputs, on_branch: str, max_paths: int
    ) -> None:
        self.recorded, self.given = recorded, call
        self.on_branch, self.max_paths = on_branch, max_paths
        self.name = name_of(recorded.f)
        self.memo: dict[Code, Floats | None] = {}
        self._known: tuple[Code, ...] = ()
        self._sweep = Sweep(self._known, call.shared, self.memo)

    @property
    def outputs(self) -> int:
        """The number of outputs of a row."""
        return len(self.recorded.tape.outputs)

    @property
    def paths(self) -> int:
        """The number of paths that are recorded."""
        return len(self.recorded.codes)

    def codes(self) -> Sequence[Code]:
        """The codes of the paths recorded by now, those first that most rows took."""
        return self.recorded.likely()

    def knows(self, prefix: bytes) -> bool:
        """Whether rows of this call can run a path that begins with these outcomes."""
        codes = self.recorded.codes
        if codes is not self._known:
            self._sweep = Sweep(codes, self.given.shared, self.memo)
            self._known = codes
        return self._sweep.find(prefix) is not None

    def line(self, prefix: bytes) -> str:
        """The user's line at which the last of these outcomes was found."""
        before = prefix[:-1]
        code = next(code for code in self.recorded.codes if code.outcomes.startswith(before))
        return str(code.path.site(len(before)))

    def learn(self, args: tuple[object, ...], number: int) -> Sequence[float]:
        """Records a row's path, and gives its outputs.

        Raises:
            OutputError: where it returns another structure than the rows before.
        """
        f = self._in_first_order if self.paths else self.recorded.f
        with _at_row(number):
            data = data_of(args[1:], self.given.kwargs)
            path = record_path(f, args[0], data, approximate=True)
        if (
            self.paths
            and first_difference(self.recorded.result, path.tape.result, statics=True) is not None
        ):
            self._refuse(number)
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
        raise OutputError(
            f"row {number:,} of {self.name} ({here()}) returned another structure than the "
            "rows before it: return the same containers on every path"
        )

    def count(self, taken: Counter[bytes]) -> None:
        """Counts the rows that took each path."""
        self.recorded.count(taken)


@contextmanager
def _at_row(number: int) -> Iterator[None]:
    """Notes the row at an error of the user's function."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised at row {number:,} of the batch")
        raise
