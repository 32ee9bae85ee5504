"""The recorded paths of ``jit``: they run one call at a time, on arguments or on flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias, cast, final

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.compile.backends.interface import RunBytes, RunFloats, ScalarCode
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.cache import Recording
from tapegrad.compile.paths import AnyTape, Path, record_path
from tapegrad.compile.report import PathReport
from tapegrad.errors import InputError, OutputError
from tapegrad.pytree.codegen import Packer, Unpacker, packer, unpacker
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import first_difference, numbers_as
from tapegrad.pytree.structure import Branch, build, key_paths
from tapegrad.transforms.traced_call import data_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tapegrad._support.array_types import FloatArray, Vector

__all__ = ["Arguments", "CallCode", "CallRecording", "Flat"]

Arguments: TypeAlias = tuple[tuple[object, ...], Mapping[str, object]]
"""The arguments of one call, by position and by name."""


@final
class CallCode:
    """A path, its code for one call, and the function that puts its results together.

    The code is compiled when the path is taken a second time.
    """

    path: Path
    pack: Packer
    choice: Choice
    compiling: float

    def __init__(self, choice: Choice, path: Path) -> None:
        self.choice, self.path = choice, path
        self.pack = packer(path.tape.result)
        self.run: RunFloats | None = None
        self.run_bytes: RunBytes | None = None
        self.compiling = 0.0

    def compile(self) -> ScalarCode:
        """Compiles the path; two threads may both do so, and one of the two codes is kept."""
        started = perf_counter()
        code = self.choice.scalar(self.path.program)
        self.run, self.run_bytes = code.run, code.run_bytes
        self.compiling = perf_counter() - started
        return code

    def report(self) -> PathReport:
        """Describes the path, and the time that recording and compiling it took."""
        runs_on = self.choice.name if self.compiling else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling)


@final
class CallRecording(Recording[CallCode]):
    """The recorded paths of calls whose arguments have one structure; ``latest`` ran last."""

    f: Callable[..., object]
    max_paths: int
    any_row: bool
    unpack: Unpacker
    latest: CallCode | None

    def __init__(
        self, f: Callable[..., object], choice: Choice, max_paths: int, shape: Branch
    ) -> None:
        super().__init__(shape, partial(CallCode, choice))
        self.f, self.max_paths, self.any_row = f, max_paths, choice.backend.calls_any_row
        by_position, by_name = cast("tuple[Branch, Branch]", self.shape.children)
        named = zip(map(str, by_name.keys), by_name.children, strict=True)
        self.unpack = unpacker(by_position.children, dict(named))
        self.latest = None

    def run(self, floats: Sequence[float], arguments: Arguments) -> object:
        """The result of one call.

        Raises:
            GuardError: where two recorded paths disagree on a comparison.
        """
        code = self.latest
        if code is None:
            return self.record(arguments)
        found, prefix = (code.run or code.compile().run)(floats), b""
        while isinstance(found, int):
            prefix = code.path.flipped(found, prefix)
            other = self.find(prefix)
            if other is None:
                return self.record(arguments)
            code = self.latest = other
            found = (code.run or code.compile().run)(floats)
        return code.pack(found)

    def run_flat(self, inputs: bytes) -> Buffer:
        """The outputs as doubles that stand side by side, given the inputs in the same way."""
        code = cast(CallCode, self.latest)
        found = (code.run_bytes or code.compile().run_bytes)(inputs)
        if not isinstance(found, int):
            return found
        floats = memoryview(inputs).cast("d").tolist()
        arguments = build(self.shape, floats)
        result = self.run(floats, cast(Arguments, arguments))
        outputs, _ = numbers_as(code.path.tape.result, result, key_path)
        return array("d", cast("list[float]", outputs)).tobytes()

    def record(self, arguments: Arguments) -> object:
        """The result of a call that is recorded; beyond ``max_paths`` it is only made."""
        args, kwargs = arguments
        if len(self.codes) >= self.max_paths:
            return self.f(*args, **kwargs)
        if args:
            f, x, data = self.f, args[0], data_of(args[1:], kwargs)
        else:
            f, x, data = (lambda _, **given: self.f(**given)), (), data_of((), kwargs)
        path = record_path(f, x, data, any_row=self.any_row)
        self.latest = self.add(path)
        return path.tape.value


@final
class Flat:
    """A compiled function between flat arrays: ``flat(inputs)`` gives the outputs.

    ``inputs`` and ``outputs`` name the numbers in order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, recording: CallRecording) -> None:
        tape = cast(CallCode, recording.latest).path.tape
        self.inputs = tape.paths
        self.outputs = tuple(path or "value" for path in key_paths(tape.result))
        self._recording, self._tape = recording, tape
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
        tape = cast(CallCode, self._recording.latest).path.tape
        if tape is not self._tape:
            self._require_alike(tape)
        return self._from_buffer(found)

    def _require_alike(self, tape: AnyTape) -> None:
        """Checks that another path returns the structure that the first one did."""
        if first_difference(self._tape.result, tape.result, statics=True) is not None:
            raise OutputError(
                f"a path at these inputs ({here()}) returns another structure than the first one: "
                "return the same containers on every path"
            )
        self._tape = tape
