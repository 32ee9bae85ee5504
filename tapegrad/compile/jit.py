"""``jit``: a function recorded once, and from then on replayed by compiled code."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import (
    TYPE_CHECKING,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    final,
)

from tapegrad._support.argument_checks import name_of, require_positive
from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.compile.backends.registry import BackendName, Choice, Language, chosen
from tapegrad.compile.path_code import Running
from tapegrad.compile.paths import AnyTape, Path, Paths, missing_function, path_of, record_path
from tapegrad.compile.report import Report, ShapeReport, varying, warn_of_many
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.primitive import Traced
from tapegrad.pytree.codegen import Unpacker, unpacker
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import input_key_path
from tapegrad.pytree.matching import copy_statics, first_difference
from tapegrad.pytree.structure import (
    Branch,
    Leaf,
    Role,
    Structure,
    build,
    flatten,
    key_paths,
)
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tapegrad._support.array_types import FloatArray, Vector

__all__ = ["Compiled", "Flat", "jit"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Call: TypeAlias = tuple[tuple[object, ...], Mapping[str, object]]
"""The arguments of one call, by position and by name."""

Shape: TypeAlias = tuple[Branch, Branch]
"""Their structures."""

_QUICK = 4
"""So many structures of arguments are tried before arguments are looked at one by one."""


def jit(
    f: Callable[P, R], /, *, backend: BackendName = "auto", max_paths: int = 1024
) -> Compiled[P, R]:
    """``f``, recorded at its first call and replayed by compiled code from then on.

    Takes what ``f`` takes and gives the same bits on every backend. A comparison that comes out
    differently than recorded is noticed: the path that it leads to is recorded, kept beside the
    others, and taken from then on. What ``f`` reads from outside its arguments stays as it was when
    it was recorded; ``report()`` lists such constants. Beyond ``max_paths`` paths ``f`` is called.

    Ints among the numbers of the first argument and of the result are floats here.

    Raises:
        BackendError: when ``backend`` is not known or not installed.
        InputError: when ``max_paths`` is below 1.

    >>> from tapegrad import Real, math, value_and_grad
    >>> def f(x: Real) -> Real:
    ...     return math.sin(x) if x > 0.0 else x * x
    >>> fast = jit(value_and_grad(f))
    >>> fast(3.0)
    ValueAndGrad(value=0.1411200080598672, grad=-0.9899924966004454)
    >>> fast(-3.0)
    ValueAndGrad(value=9.0, grad=-6.0)
    >>> len(fast.tapes)
    2
    """
    require_positive("max_paths", max_paths)
    return Compiled(f, backend, max_paths)


@final
class Compiled(Generic[P, R_co]):
    """What ``jit`` makes of a function: called like it, and gives the same bits.

    It may be pickled: then its tapes travel, and the code is made again where it arrives. The
    function itself stays behind, so that only paths recorded before can be taken there.
    """

    def __init__(self, f: Callable[P, R_co], backend: BackendName, max_paths: int) -> None:
        self._f = f
        self._backend: BackendName = backend
        self._choice = chosen(backend, rows=False)
        self._max_paths = max_paths
        self._recordings: list[_Recording] = []
        self._lock = Lock()
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """What the function returns."""
        for recording in self._recordings[:_QUICK]:
            floats = recording.unpack(args, kwargs)
            if floats is not None:
                return cast(R_co, recording.run(floats, (args, kwargs)))
        return self._slowly((args, kwargs))

    def _slowly(self, call: Call) -> R_co:
        """A call whose arguments must be looked at one by one."""
        shape, leaves = _taken_apart(self._f, call)
        if any(isinstance(leaf, Traced) for leaf in leaves):
            return cast(Callable[..., R_co], self._f)(*call[0], **call[1])
        return cast(R_co, self._recording(shape).run(cast("list[float]", leaves), call))

    def _recording(self, shape: Shape) -> _Recording:
        """What is known of arguments of this structure; the latest stand first."""
        with self._lock:
            for recording in self._recordings:
                if recording.fits(shape):
                    return recording
            recording = _Recording(self._f, self._choice, self._max_paths, shape)
            self._recordings.insert(0, recording)
        warn_of_many(self._f, [recording.shape for recording in self._recordings])
        return recording

    def _varying(self) -> str | None:
        return varying(self._f, [recording.shape for recording in self._recordings])

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        recorded = [
            (recording.shape, [path.tape for path in recording.paths])
            for recording in self._recordings
        ]
        return _arrived, (name_of(self._f), self._backend, recorded)

    def __copy__(self) -> Compiled[P, R_co]:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Compiled[P, R_co]:
        return self

    def __repr__(self) -> str:
        return f"<jit of {name_of(self._f)}, {len(self.tapes)} recorded>"

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes, one for each path and each structure of arguments."""
        return tuple(path.tape for recording in self._recordings for path in recording.paths)

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        shapes = tuple(recording.report() for recording in self._recordings)
        return Report(name_of(self._f), str(self._choice), shapes, self._varying())

    def source(self, language: Language) -> str:
        """The path that the latest call took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
        from tapegrad.compile.source import source

        recorded = [recording.latest for recording in self._recordings if recording.latest]
        return source(path_of(recorded[0].path.tape).program if recorded else None, language)

    def flat(self, *args: P.args, **kwargs: P.kwargs) -> Flat:
        """The function between flat float64 arrays: its numbers in order, and its results'.

        Recorded on these arguments, whose structure and static values it keeps. Needs numpy.
        """
        require("numpy")
        shape, leaves = _taken_apart(self._f, (args, kwargs))
        recording = self._recording(shape)
        recording.run(cast("list[float]", leaves), (args, kwargs))
        return Flat(recording)


@final
class Flat:
    """A compiled function between flat arrays: ``flat(inputs)`` gives the outputs.

    ``inputs`` and ``outputs`` name the numbers in order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, recording: _Recording) -> None:
        tape = cast(Running, recording.latest).path.tape
        self.inputs = tape.paths
        self.outputs = tuple(path or "value" for path in key_paths(tape.result))
        self._recording, self._tape = recording, tape
        self._size = 8 * len(self.inputs)
        self._numpy: _Numpy
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            import numpy

            self._numpy = numpy
        self._float64 = self._numpy.dtype("float64")

    def __call__(self, inputs: Vector) -> FloatArray:
        """The outputs at these inputs.

        Raises:
            InputError: when ``inputs`` is not a float64 array with a number for each input.
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
        found = self._recording.run_flat(given)
        tape = cast(Running, self._recording.latest).path.tape
        if tape is not self._tape:
            self._require_alike(tape)
        return self._numpy.frombuffer(found)

    def _require_alike(self, tape: AnyTape) -> None:
        """Let another path through that returns what the first one did."""
        if first_difference(self._tape.result, tape.result, statics=True) is not None:
            raise OutputError(
                f"a path at these inputs ({here()}) returns another structure than the first one: "
                "return the same containers on every path"
            )
        self._tape = tape


class _Numpy(Protocol):
    """What is used of numpy, whose types a user's checker is not made to read."""

    def dtype(self, name: str, /) -> object: ...
    def frombuffer(self, buffer: Buffer, /) -> FloatArray: ...


@final
class _Recording:
    """The recorded paths of calls whose arguments have one structure, and the code of each."""

    f: Callable[..., object]
    choice: Choice
    max_paths: int
    shape: Shape
    unpack: Unpacker
    whole: bool
    paths: Paths

    def __init__(
        self, f: Callable[..., object], choice: Choice, max_paths: int, shape: Shape
    ) -> None:
        self.f, self.choice, self.max_paths = f, choice, max_paths
        self.shape = shape = cast(Shape, tuple(map(copy_statics, shape)))
        names = map(str, shape[1].keys)
        self.unpack = unpacker(shape[0].children, dict(zip(names, shape[1].children, strict=True)))
        self.whole = choice.backend.calls_any_row
        self.paths = Paths()
        self.latest: Running | None = None
        self._running: dict[Path, Running] = {}

    def fits(self, shape: Shape) -> bool:
        """Whether calls of these structures can run what is recorded here."""
        pairs = zip(self.shape, shape, strict=True)
        return all(first_difference(own, other, statics=True) is None for own, other in pairs)

    def run(self, floats: Sequence[float], call: Call) -> object:
        """The result of one call."""
        running = self.latest
        if running is None:
            return self.record(call)
        found = (running.kernel or running.make()[0])(floats)
        while isinstance(found, int):
            path = self.paths.find(running.path.flipped(found))
            if path is None:
                return self.record(call)
            running = self.latest = self.runner(path)
            found = (running.kernel or running.make()[0])(floats)
        return running.pack(found)

    def run_flat(self, inputs: bytes) -> Buffer:
        """The outputs as doubles that stand side by side, given the inputs in the same way."""
        running = cast(Running, self.latest)
        found = (running.flat or running.make()[1])(inputs)
        if not isinstance(found, int):
            return found
        floats = memoryview(inputs).cast("d").tolist()
        parts = build(Branch(tuple, (0, 1), self.shape), floats)
        result = self.run(floats, cast(Call, parts))
        return array("d", _numbers(running.path.tape.result, result)).tobytes()

    def record(self, call: Call) -> object:
        """The result of a call that is recorded; beyond ``max_paths`` it is only made."""
        args, kwargs = call
        if len(self.paths) >= self.max_paths:
            return self.f(*args, **kwargs)
        if args:
            f, x, data = self.f, args[0], data_of(args[1:], kwargs)
        else:
            f, x, data = (lambda _, **given: self.f(**given)), (), data_of((), kwargs)
        path = record_path(f, x, data, whole=self.whole)
        self.latest = self.runner(self.paths.add(path))
        return path.tape.value

    def runner(self, path: Path) -> Running:
        """The code of a path."""
        return self._running.setdefault(path, Running(path, self.choice))

    def report(self) -> ShapeReport:
        """What was recorded and compiled for calls of this structure."""
        return ShapeReport(tuple(self.runner(path).report() for path in self.paths))


def _numbers(structure: Structure, value: object) -> Iterator[float]:
    """The numbers of a value that has this structure."""
    if isinstance(structure, Leaf):
        yield cast(float, value)
    elif isinstance(structure, Branch):
        _, parts = cast("tuple[object, tuple[object, ...]]", keys_and_parts(value))
        for part, child in zip(structure.children, parts, strict=True):
            yield from _numbers(part, child)


def _taken_apart(f: Callable[..., object], call: Call) -> tuple[Shape, list[object]]:
    """The structures of a call's arguments, by position and by name, and their numbers."""
    args, kwargs = call
    first: tuple[Structure, ...] = ()
    leaves: list[object] = []
    if args:
        structure, found = flatten(
            args[0], Role.PARAMETERS, lambda keys: input_key_path(f, (), keys)
        )
        first, leaves = (structure,), [*found]
    rest, found = flatten(
        data_of(args[1:], kwargs), Role.DATA, lambda keys: input_key_path(f, keys[:1], keys[1:])
    )
    data = cast(Branch, rest)
    positional = len(args[1:])
    children = (*first, *data.children[:positional])
    names = data.keys[positional:]
    shape = (
        Branch(tuple, tuple(range(len(children))), children),
        Branch(dict, names, data.children[positional:]),
    )
    return shape, [*leaves, *found]


def _arrived(
    name: str, backend: BackendName, recorded: Sequence[tuple[Shape, Sequence[AnyTape]]]
) -> Compiled[..., object]:
    """A compiled function that travelled without the function."""
    compiled: Compiled[..., object] = Compiled(missing_function(name), backend, 0)
    for shape, tapes in recorded:
        recording = compiled._recording(shape)
        for tape in tapes:
            recording.latest = recording.runner(
                recording.paths.add(path_of(tape, whole=recording.whole))
            )
    return compiled
