"""``jit``: a function recorded once, and from then on replayed by compiled code."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    final,
    overload,
)

from tapegrad._support.argument_checks import name_of, require_callable, require_positive
from tapegrad._support.function_wrapper import Reduced, reduced
from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad.compile.backends.registry import BackendName, Language, chosen, source
from tapegrad.compile.cache import RecordingCache, flatten_arguments, missing_function
from tapegrad.compile.call_recording import RAISED, Arguments, CallRecording, Flat, called_straight
from tapegrad.compile.learning import Budget
from tapegrad.compile.methods import bound
from tapegrad.compile.outside import OutsideState, Unchanged
from tapegrad.compile.paths import AnyTape, path_of
from tapegrad.compile.report import Report
from tapegrad.compile.travelled import require_fit, require_whole
from tapegrad.errors import TracedNumberError
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.pytree.plain import plain_arguments
from tapegrad.pytree.structure import Branch, build
from tapegrad.recording.recorder import Real, Var
from tapegrad.transforms.static_arguments import (
    NONE_STATIC,
    ArgumentNames,
    StaticArguments,
    static_arguments,
)

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Untyped, UntypedResult

__all__ = ["Compiled", "Flat", "jit"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_FLOATS: Final = {float}
_UNPACKED = 4
"""The most recordings whose generated unpackers are tried before the arguments are flattened."""


@overload
def jit(
    f: Callable[Concatenate[Untyped, P], UntypedResult],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[Concatenate[Any, P], Any]: ...
@overload
def jit(
    f: Callable[P, float],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[P, float]: ...
@overload
def jit(
    f: Callable[P, Real],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[P, Real]: ...
@overload
def jit(
    f: Callable[P, float | Var],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[P, float]: ...
@overload
def jit(
    f: Callable[P, R],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[P, R]: ...
def jit(
    f: Callable[..., object],
    /,
    *,
    backend: BackendName = "auto",
    max_paths: int = 1024,
    eager_first: bool = True,
    static_argnames: ArgumentNames = (),
) -> Compiled[..., Any]:
    """``f``, recorded once it pays and replayed by compiled code from then on.

    Takes what ``f`` takes and gives the same bits on every backend. First ``f`` itself is called,
    until such calls have taken as long as it takes to record ``f``, and then to compile it; short
    functions need not pay for that, and are compiled at their third call. A comparison that comes
    out differently than recorded is noticed: ``f`` is called, until this path pays, too. To find
    that out has to pay as well, or calls go straight to ``f``. So any sequence of calls takes at
    most about twice as long as those of ``f``, beside some milliseconds in all and a few
    microseconds a call. With ``eager_first=False`` each path is recorded and compiled at its first
    call; the method ``compile`` does that for given arguments. Where a static value differs, or
    what ``f`` reads from outside its arguments, it is recorded anew. Beyond ``max_paths`` paths
    ``f`` is called.

    Ints among the numbers of the first argument and of the result are floats here. Other arguments
    that ``static_argnames`` names are passed on as they are, and recorded anew for each value.

    Raises:
        BackendError: when ``backend`` is not known or not installed.
        InputError: when ``max_paths`` is below 1, or ``static_argnames`` has a name that is
            unknown or the first argument's.

    >>> from tapegrad import Real, math, value_and_grad
    >>> def f(x: Real) -> Real:
    ...     return math.sin(x) if x > 0.0 else x * x
    >>> fast = jit(value_and_grad(f))
    >>> fast(3.0)
    ValueAndGrad(value=0.1411200080598672, grad=-0.9899924966004454)
    >>> fast(-3.0)
    ValueAndGrad(value=9.0, grad=-6.0)
    >>> len(fast.compile(3.0).compile(-3.0).tapes)
    2
    """
    require_callable(f, "jit")
    require_positive("max_paths", max_paths)
    static = static_arguments(f, static_argnames)
    return Compiled(f, backend, max_paths, static=static, eager_first=eager_first)


@final
class Compiled(Generic[P, R_co]):
    """A function compiled by ``jit``: called like the original, and gives the same bits.

    It may be pickled: then its tapes travel, and the code is made again where it arrives. The
    function itself stays behind, so that only paths recorded before can be taken there. Where
    nothing is recorded yet, the function travels, if it can be pickled.
    """

    def __init__(
        self,
        f: Callable[P, R_co],
        backend: BackendName,
        max_paths: int,
        *,
        static: StaticArguments = NONE_STATIC,
        eager_first: bool = True,
    ) -> None:
        self._f = f
        self._static = static
        self._budget = Budget(eager_first=eager_first)
        self._backend: BackendName = backend
        self._choice = chosen(backend, rows=False)
        self._max_paths = max_paths
        self._cache: RecordingCache[CallRecording] = RecordingCache(f)
        self._warm: tuple[Unchanged | None, tuple[CallRecording, ...]] = None, ()
        functools.update_wrapper(self, f, updated=())

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: Compiled[[Untyped], R], instance: object, owner: type | None = None, /
    ) -> Compiled[..., R]: ...
    @overload
    def __get__(
        self: Compiled[Concatenate[Any, Q], R], instance: object, owner: type | None = None, /
    ) -> Compiled[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Compiled[..., R_co]: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Compiled[..., object]:
        """The compiled method of an object, where a method was compiled on its class.

        The first argument after the object is the one that is differentiated; the object is
        compared at each call.
        """
        if instance is None:
            return self
        return bound(self, self._f, instance, self._of_method)

    def _of_method(self, method: Callable[..., object]) -> Compiled[..., object]:
        static = static_arguments(method, tuple(self._static.names))
        return self._like(method, static)

    def _like(self, f: Callable[Q, R], static: StaticArguments) -> Compiled[Q, R]:
        """Another function, compiled with the same options."""
        eager_first = self._budget.eager_first
        return Compiled(f, self._backend, self._max_paths, static=static, eager_first=eager_first)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result that the function gives."""
        unchanged, warm = self._warm
        if unchanged is None or unchanged():
            for recording in warm:
                floats = recording.unpack(args, kwargs)
                if floats is not None:
                    if recording is not warm[0]:
                        self._keep_warm(recording)
                        self._cache.touch(recording)
                    return cast(R_co, recording.run(floats, (args, kwargs)))
        return self._flattened_call((args, kwargs))

    def _flattened_call(self, arguments: Arguments) -> R_co:
        """A call whose arguments fit no unpacker, or one that meets traced numbers."""
        asked, budget, result = perf_counter(), self._budget, RAISED
        plain = plain_arguments(*arguments) if budget.is_overdrawn else None
        if plain is not None:
            result = called_straight(budget, self._f, plain, asked)
        if result is RAISED:
            result = self._looked_up_call(arguments, asked, was_called=plain is not None)
        return cast(R_co, result)

    def _looked_up_call(self, arguments: Arguments, asked: float, *, was_called: bool) -> object:
        """A call whose arguments are taken apart to look for their recording.

        It may have been made already, in vain.
        """
        f, (args, kwargs) = cast("Callable[..., object]", self._f), arguments
        shape, floats = self._flattened(arguments)
        if not {*map(type, floats)} <= _FLOATS and any(isinstance(x, Traced) for x in floats):
            return f(*args, **kwargs)
        of_floats = cast(Arguments, build(shape, floats))
        if self._budget.is_overdrawn and not was_called:
            result = called_straight(self._budget, f, of_floats, asked)
            if result is not RAISED:
                return result
        recording = self._cache.get(shape, self._new_recording)
        if recording is None:
            return f(*args, **kwargs)
        result = recording.run(cast("list[float]", floats), of_floats, asked)
        if recording.codes:
            self._keep_warm(recording)
        return result

    def _flattened(self, arguments: Arguments) -> tuple[Branch, list[Operand]]:
        """The structure of a call's arguments, and their numbers: floats, or traced ones."""
        shape, numbers = flatten_arguments(self._f, *arguments, static=self._static, arrays=True)
        return shape, [number for part in numbers for number in part]

    def _keep_warm(self, recording: CallRecording) -> None:
        """Tries the unpacker of this recording first from now on.

        The others that are tried were recorded in the same state of what is read from outside.
        """
        unchanged, outside = recording.outside.unchanged, recording.outside
        others = (one for one in self._warm[1] if one.outside is outside and one is not recording)
        self._warm = unchanged, (recording, *islice(others, _UNPACKED - 1))

    def _new_recording(self, shape: Branch, outside: OutsideState) -> CallRecording:
        return CallRecording(
            self._cache.f,
            self._choice,
            self._max_paths,
            shape,
            outside,
            budget=self._budget,
            quick=self._backend == "auto",
        )

    def __reduce__(self) -> Reduced:
        if not self.tapes:
            make = functools.partial(
                Compiled,
                backend=self._backend,
                max_paths=self._max_paths,
                static=self._static,
                eager_first=self._budget.eager_first,
            )
            return reduced(self, make, self._f)
        state = [(recording.shape, recording.tapes) for recording in self._cache.current()]
        return _unpickled, (name_of(self._f), self._backend, state, self._static)

    def __copy__(self) -> Compiled[P, R_co]:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Compiled[P, R_co]:
        return self

    def __repr__(self) -> str:
        return f"<jit of {name_of(self._f)}, {len(self.tapes)} recorded>"

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes, one for each path and each structure of arguments."""
        return self._cache.tapes

    def report(self) -> Report:
        """Describes what was recorded and compiled, what runs it and why, and the time it took."""
        return self._cache.report(self._choice, self._budget)

    def source(self, language: Language) -> str:
        """The path that the latest call took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
        _, warm = self._warm
        latest = warm[0].latest if warm else None
        return source(path_of(latest.path.tape).program if latest else None, language)

    def flat(self, *args: P.args, **kwargs: P.kwargs) -> Flat:
        """The function between flat float64 arrays: its numbers in order, and its results'.

        Recorded on these arguments, whose structure and static values it keeps. Needs numpy.
        """
        require("numpy")
        shape, _ = self._flattened((args, kwargs))
        recording = self._recorded(shape)
        if not recording.codes:
            recording.record((args, kwargs))
        return Flat(recording, lambda: self._recorded(recording.shape))

    def compile(self, *args: P.args, **kwargs: P.kwargs) -> Self:
        """This function, which has recorded and compiled the path of these arguments by now.

        >>> def f(x: float) -> float:
        ...     return x * x
        >>> len(jit(f).compile(2.0).tapes)
        1

        Raises:
            TracedNumberError: when a number of a recording around this call is among the arguments,
                or read by the function.
        """
        shape, floats = self._flattened((args, kwargs))
        if any(isinstance(number, Traced) for number in floats):
            raise TracedNumberError(
                f"{name_of(self._f)} was to be compiled ({here()}) for a traced number: pass plain "
                "numbers, or call it"
            )
        recording = self._recorded(shape)
        recording.compile(cast("list[float]", floats), (args, kwargs))
        self._keep_warm(recording)
        return self

    def _recorded(self, shape: Branch) -> CallRecording:
        """The recording of calls with arguments of this structure.

        Raises:
            TracedNumberError: when the function reads a traced number that is not an argument.
        """
        recording = self._cache.get(shape, self._new_recording)
        if recording is None:
            raise TracedNumberError(
                f"{name_of(self._f)} ({here()}) reads a traced number that is not an argument, and "
                "compiled code takes plain ones: pass it as an argument, or differentiate inside"
            )
        return recording


def _unpickled(
    name: str,
    backend: BackendName,
    state: Sequence[tuple[Branch, Sequence[AnyTape]]],
    static: StaticArguments = NONE_STATIC,
) -> Compiled[..., object]:
    """A compiled function without the function itself.

    Raises:
        TapeError: where the tapes do not fit the shapes.
    """
    require_whole(static, StaticArguments)
    compiled: Compiled[..., object] = Compiled(missing_function(name), backend, 0, static=static)
    for shape, tapes in state:
        require_fit(shape, tapes)
        recording = cast(CallRecording, compiled._cache.get(shape, compiled._new_recording))
        for tape in tapes:
            recording.latest = recording.add(path_of(tape, any_row=recording.any_row))
    return compiled
