"""The recordings of a compiled function, found by the structure and static values of arguments.

``jit`` and ``vmap`` keep theirs here. They differ in the code of a path, for one call or for rows,
which is passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, cast, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import here, warn
from tapegrad._support.text import describe
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.learning import Budget
from tapegrad.compile.outside import MOST_KEPT, Outside, OutsideState
from tapegrad.compile.paths import AnyTape, Path, starting_with, with_code
from tapegrad.compile.report import MANY_RECORDINGS, PathReport, Report, ShapeReport
from tapegrad.errors import GuardError, InputError
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import Keys, input_key_path
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import (
    Branch,
    Leaf,
    Role,
    Static,
    Structure,
    flatten,
    traced_leaves,
)
from tapegrad.pytree.value_keys import KeyMaker, same_value
from tapegrad.transforms.static_arguments import NONE_STATIC, StaticArguments

__all__ = [
    "PathCode", "Recording", "RecordingCache", "argument_namer", "flatten_arguments",
    "missing_function",
]  # fmt: skip


class PathCode(Protocol):
    """A recorded path with the code that runs it."""

    path: Path

    def report(self) -> PathReport:
        """Describes the path, and the time that recording and compiling it took."""


CodeT = TypeVar("CodeT", bound=PathCode)
RecordingT = TypeVar("RecordingT", bound="Recording[Any]")


class Recording(Generic[CodeT]):
    """The recorded paths of calls whose arguments have one structure, each with its code.

    All were recorded while what the function reads from outside was in the state ``outside``.

    ``codes`` stand in the lexicographic order of their guards' outcomes. A program runs the same
    way as long as its guards come out the same, so no path's outcomes begin with another's. The
    tuple is replaced when a path is added, so that whoever has read it may go on with it.
    """

    shape: Branch
    key: Hashable
    outside: OutsideState
    codes: tuple[CodeT, ...]

    def __init__(self, shape: Branch, outside: OutsideState, code: Callable[[Path], CodeT]) -> None:
        self.shape = cast(Branch, unshared_statics(shape))
        self.key = None
        self.outside = outside
        self.codes = ()
        self._code = code
        self.exclusive: Exclusive = Exclusive()

    @property
    def traced_data(self) -> Collection[int | str]:
        """The arguments after the first that are not static, as ``trace`` names them."""
        by_position, by_name = cast("tuple[Branch, Branch]", self.shape.children)
        parts: list[tuple[int | str, Structure]] = [*enumerate(by_position.children[1:])]
        parts += zip(map(str, by_name.keys), by_name.children, strict=True)
        return [key for key, part in parts if not isinstance(part, Static)]

    def find(self, prefix: bytes) -> CodeT | None:
        """The code of a path whose outcomes begin with ``prefix``."""
        return starting_with(self.codes, prefix)

    @exclusive
    def add(self, path: Path) -> CodeT:
        """The code of a path, or of the one with the same outcomes that is there already."""
        code = self.find(path.outcomes)
        if code is None:
            code = self._code(path)
            self.codes = with_code(self.codes, code)
        return code

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The tapes of all paths."""
        return tuple(code.path.tape for code in self.codes)

    def report(self) -> ShapeReport:
        """Describes what was recorded and compiled for arguments of this structure."""
        return ShapeReport(tuple(code.report() for code in self.codes))


@final
class RecordingCache(Generic[RecordingT]):
    """The recordings of one function by the keys of its arguments and of what it reads elsewhere.

    At most ``MOST_KEPT`` are kept; the one found longest ago is forgotten. ``f`` is the function as
    the recordings call it.
    """

    f: Callable[..., object]

    def __init__(self, f: Callable[..., object]) -> None:
        self._f = f
        self._outside = Outside(f)
        self.f = self._outside.watched(f)
        self._by_key: OrderedDict[Hashable, RecordingT] = OrderedDict()
        self.exclusive: Exclusive = Exclusive()

    @property
    @exclusive
    def recordings(self) -> tuple[RecordingT, ...]:
        """The recordings, those found last first."""
        return tuple(reversed(self._by_key.values()))

    def get(
        self, shape: Branch, new: Callable[[Branch, OutsideState], RecordingT]
    ) -> RecordingT | None:
        """The recording for calls of this shape; where there is none, a ``new`` one.

        There can be none where the function reads a traced number that is not an argument.
        """
        outside, maker = self._outside.state(), KeyMaker()
        key = outside.number, maker.structure(shape)
        if outside.has_traced or maker.has_traced:
            return None
        recording, is_new = self._known_or_new(key, lambda: new(shape, outside))
        recording.outside = outside
        if is_new:
            self._warn_of_many()
        return recording

    @exclusive
    def _known_or_new(
        self, key: Hashable, new: Callable[[], RecordingT]
    ) -> tuple[RecordingT, bool]:
        """The recording under a key, and whether it was made just now."""
        recording = self._by_key.get(key)
        if recording is not None:
            self._by_key.move_to_end(key)
            return recording, False
        recording = new()
        recording.key = key
        self._by_key[key] = recording
        if len(self._by_key) > MOST_KEPT:
            self._by_key.popitem(last=False)
        return recording, True

    @exclusive
    def touch(self, recording: RecordingT) -> None:
        """Says that a recording was used."""
        if recording.key in self._by_key:
            self._by_key.move_to_end(recording.key)

    def current(self) -> list[RecordingT]:
        """The recordings that fit what the function reads from outside now, the oldest first."""
        number = self._outside.state().number
        return [one for one in reversed(self.recordings) if one.outside.number == number]

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes, one for each path and each structure of arguments."""
        return tuple(tape for recording in self.recordings for tape in recording.tapes)

    def report(self, choice: Choice, budget: Budget) -> Report:
        """Describes all recordings, the backend that was chosen to run them, and what they took."""
        recordings = self.recordings
        return Report(
            name_of(self._f),
            str(choice),
            tuple(recording.report() for recording in recordings),
            _listed(self._varying(recordings)),
            budget.spent,
            budget.measured,
            budget.straight,
        )

    def _varying(self, recordings: Sequence[RecordingT]) -> list[str]:
        """The names of the values in which all recordings differ from the first, if few do."""
        found = [list(self._different(recordings[0], other)) for other in recordings[1:]]
        if not found or any(names != found[0] or len(names) > _MOST_NAMED for names in found):
            return []
        return found[0]

    def _different(self, one: RecordingT, other: RecordingT) -> Iterator[str]:
        """The names of the values in which two recordings differ."""
        for _, argument, *keys in _differences(one.shape, other.shape, ()):
            yield argument_namer(self._f, cast("int | str", argument))(tuple(keys))
        if one.outside.number != other.outside.number:
            before = dict(one.outside.values)
            for name, key in dict(other.outside.values).items():
                if before.get(name) != key:
                    yield f"{name} outside"

    def _warn_of_many(self) -> None:
        """Warns at the eighth recording where all differ in the same few values."""
        if len(self._by_key) != MANY_RECORDINGS or not (names := self._varying(self.recordings)):
            return
        warn(
            f"{name_of(self._f)} ({here()}) has been recorded {MANY_RECORDINGS} times for "
            f"arguments that differ in {_listed(names)}, which {'are' if names[1:] else 'is'} "
            "static: pass a float, or containers of one shape (a list for an array), to record once"
        )


_MOST_NAMED: Final = 3
"""The most values that a warning of many recordings names."""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def _differences(one: Structure, other: Structure, keys: Keys) -> Iterator[Keys]:
    """The places where two structures differ, in a static value or altogether."""
    if isinstance(one, Static) and isinstance(other, Static):
        if not same_value(one.value, other.value):
            yield keys
    elif isinstance(one, Branch) and isinstance(other, Branch) and one.keys == other.keys:
        for key, left, right in zip(one.keys, one.children, other.children, strict=True):
            yield from _differences(left, right, (*keys, key))
    elif one != other:
        yield keys


def flatten_arguments(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    mapped: Collection[int] = (),
    static: StaticArguments = NONE_STATIC,
    *,
    arrays: bool = False,
) -> tuple[Branch, list[list[Operand]]]:
    """The structure of a call's arguments, by position and by name, and the numbers in each.

    Those at the positions ``mapped`` are one row of what was given. Of ``static`` ones the traced
    numbers are given, which no code can take. With ``arrays`` arrays of floats are among the
    numbers of all others.

    Raises:
        InputError: for what cannot be an argument, such as an iterator, which the first call would
            use up; the message names the place.
    """
    structures: list[Structure] = []
    numbers: list[list[Operand]] = []
    by_key: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    for key, value in by_key:
        structure: Structure
        leaves: list[Operand]
        if key != 0 and (key - 1 if isinstance(key, int) else key) in static:
            structure, leaves = Static(value), [*traced_leaves(value)]
        else:
            data_role = Role.ARRAYS if arrays else Role.DATA
            role = Role.PARAMETERS if key == 0 else data_role
            role = Role.ROW if key in mapped else role
            structure, leaves = flatten(value, role, argument_namer(f, key))
        _refuse_iterators(structure, argument_namer(f, key), ())
        structures.append(structure)
        numbers.append(leaves)
    count = len(args)
    by_position = Branch(tuple, tuple(range(count)), tuple(structures[:count]))
    by_name = Branch(dict, tuple(kwargs), tuple(structures[count:]))
    return Branch(tuple, (0, 1), (by_position, by_name)), numbers


def _refuse_iterators(structure: Structure, name: Callable[[Keys], str], keys: Keys) -> None:
    """Raises for an iterator among the static values of an argument."""
    if isinstance(structure, Branch):
        if structure.is_flat:
            return
        for key, child in zip(structure.keys, structure.children, strict=True):
            if not isinstance(child, Leaf):
                _refuse_iterators(child, name, (*keys, key))
    elif isinstance(structure, Static) and isinstance(structure.value, Iterator):
        raise InputError(
            f"{name(keys)} is {describe(structure.value)}, which can be read once, and what is "
            f"recorded is run again ({here()}): pass a list of what it yields"
        )


def argument_namer(f: Callable[..., object], argument: int | str) -> Callable[[Keys], str]:
    """A function that gives the key paths of places in one argument of a call."""
    if isinstance(argument, str):
        return lambda keys: input_key_path(f, (argument,), keys)
    return lambda keys: input_key_path(f, (argument - 1,) if argument else (), keys)


def missing_function(name: str) -> Callable[..., object]:
    """A function that raises, in the place of one that was compiled elsewhere."""

    def absent(*args: object, **kwargs: object) -> object:
        raise GuardError(
            f"{name} was compiled elsewhere and travelled without its function, and these "
            f"arguments ({here()}) lead to a path that was not recorded: call it there, and send "
            "it again"
        )

    absent.__name__ = absent.__qualname__ = name
    return absent
