"""The recordings of a compiled function, found by the structure and static values of arguments.

``jit`` and ``vmap`` keep theirs here. They differ in the code of a path, for one call or for rows,
which is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import here, warn
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.paths import AnyTape, Path, starting_with, with_code
from tapegrad.compile.report import MANY_RECORDINGS, PathReport, Report, ShapeReport
from tapegrad.errors import GuardError
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import Keys, input_key_path
from tapegrad.pytree.matching import copy_statics, first_difference, same_static
from tapegrad.pytree.structure import (
    Branch,
    Role,
    Static,
    Structure,
    flatten,
    traced_leaves,
)
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

    ``codes`` stand in the lexicographic order of their guards' outcomes. A program runs the same
    way as long as its guards come out the same, so no path's outcomes begin with another's. The
    tuple is replaced when a path is added, so that whoever has read it may go on with it.
    """

    shape: Branch
    codes: tuple[CodeT, ...]

    def __init__(self, shape: Branch, code: Callable[[Path], CodeT]) -> None:
        self.shape = cast(Branch, copy_statics(shape))
        self.codes = ()
        self._code = code
        self.exclusive = Exclusive()

    def fits(self, shape: Branch) -> bool:
        """Whether calls of this shape can run what is recorded here."""
        return first_difference(self.shape, shape, statics=True) is None

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
    """The recordings of one function, those made last first."""

    recordings: tuple[RecordingT, ...]

    def __init__(self, f: Callable[..., object]) -> None:
        self._f = f
        self.recordings = ()
        self.exclusive = Exclusive()

    def get(self, shape: Branch, new: Callable[[Branch], RecordingT]) -> RecordingT:
        """The recording for calls of this shape; where there is none, a ``new`` one."""
        recording, is_new = self._known_or_new(shape, new)
        if is_new:
            self._warn_of_many()
        return recording

    @exclusive
    def _known_or_new(
        self, shape: Branch, new: Callable[[Branch], RecordingT]
    ) -> tuple[RecordingT, bool]:
        """The recording for calls of this shape, and whether it was made just now."""
        recording = self._known(shape)
        if recording is not None:
            return recording, False
        recording = new(shape)
        self.recordings = (recording, *self.recordings)
        return recording, True

    def _known(self, shape: Branch) -> RecordingT | None:
        """The recording for calls of this shape, if there is one.

        This is the only lookup: to find recordings by a key, keep a dict of them and ask it here.
        """
        return next((one for one in self.recordings if one.fits(shape)), None)

    @property
    def state(self) -> list[tuple[Branch, tuple[AnyTape, ...]]]:
        """The shapes and tapes in the order in which they were made, to be pickled."""
        return [(recording.shape, recording.tapes) for recording in reversed(self.recordings)]

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes, one for each path and each structure of arguments."""
        return tuple(tape for recording in self.recordings for tape in recording.tapes)

    def report(self, choice: Choice) -> Report:
        """Describes all recordings, and the backend that was chosen to run them."""
        shapes = tuple(recording.report() for recording in self.recordings)
        return Report(name_of(self._f), str(choice), shapes, self._varying())

    def _varying(self) -> str | None:
        """The key path of the one static value in which all recordings differ from the first."""
        shapes = [recording.shape for recording in self.recordings]
        found = [list(_differences(shapes[0], shape, ())) for shape in shapes[1:]]
        if not found or any(keys != found[0] or len(keys) != 1 for keys in found):
            return None
        _, argument, *keys = found[0][0]
        return argument_namer(self._f, cast("int | str", argument))(tuple(keys))

    def _warn_of_many(self) -> None:
        """Warns at the eighth recording where all differ in one static value."""
        if len(self.recordings) == MANY_RECORDINGS and (found := self._varying()) is not None:
            warn(
                f"{name_of(self._f)} ({here()}) has been recorded {MANY_RECORDINGS} times for "
                f"arguments that differ in {found}, which is static: pass a float, or containers "
                "of one shape, to record once"
            )


def _differences(one: Structure, other: Structure, keys: Keys) -> Iterator[Keys]:
    """The places where two structures differ, in a static value or altogether."""
    if isinstance(one, Static) and isinstance(other, Static):
        if not same_static(one.value, other.value):
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
) -> tuple[Branch, list[list[Operand]]]:
    """The structure of a call's arguments, by position and by name, and the numbers in each.

    Those at the positions ``mapped`` are one row of what was given. Of ``static`` ones the traced
    numbers are given, which no code can take.

    Raises:
        InputError: for what cannot be an argument; the message names the place.
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
            role = Role.PARAMETERS if key == 0 else Role.DATA
            role = Role.ROW if key in mapped else role
            structure, leaves = flatten(value, role, argument_namer(f, key))
        structures.append(structure)
        numbers.append(leaves)
    count = len(args)
    by_position = Branch(tuple, tuple(range(count)), tuple(structures[:count]))
    by_name = Branch(dict, tuple(kwargs), tuple(structures[count:]))
    return Branch(tuple, (0, 1), (by_position, by_name)), numbers


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
