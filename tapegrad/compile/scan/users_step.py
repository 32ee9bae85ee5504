"""The user's step of a loop: it is recorded apart from the recordings around it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from types import FunctionType
from typing import Any, NoReturn, TypeAlias, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.closures import Closure, Snapshot, opened
from tapegrad._support.source_position import here
from tapegrad.compile.paths import AnyTape, UnknownPathError
from tapegrad.compile.scan.call import no_pair
from tapegrad.compile.scan.step import Rule, StepPath
from tapegrad.entries.static_keys import Keyed, static_key
from tapegrad.errors import GuardError, OutputError, RecordingError
from tapegrad.ops.primitive import Operand, Shape, primal, shape_of
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import described_difference
from tapegrad.pytree.structure import (
    Branch,
    Leaf,
    Static,
    Structure,
    build,
    describe_structure,
    leaf_shapes,
)
from tapegrad.recording.recorder import TracedValue
from tapegrad.recording.results import are_alike
from tapegrad.recording.trace import Trace, trace_apart
from tapegrad.transforms.record import tape_of

__all__ = ["MoreHeldError", "UsersStep"]

Held: TypeAlias = tuple[tuple[int, int], ...]
"""Slots of constants that stand for numbers which are held, each with its index among them."""


def _key_of(part: object) -> Hashable:
    """The key of a function, or of what a function reads; of traced numbers that of their slots."""
    if isinstance(part, TracedValue):
        return TracedValue, part._slot
    f = part.f if isinstance(part, Closure) else part
    if not isinstance(f, FunctionType):
        return static_key(f)
    contents = part.contents if isinstance(part, Closure) else ()
    cells = (held if held is None else _key_of(held[0]) for held in contents)
    named = tuple((f.__kwdefaults__ or {}).items())
    return f.__code__, static_key((f.__defaults__, named)), *cells


class MoreHeldError(Exception):
    """A step reads a number from around it that it has not read before."""


@final
class UsersStep(Keyed):
    """Records the user's step; ``held`` are the numbers of recordings around it that it reads.

    It keeps the variables of the functions around the step as they are now. Where it travels, the
    step stays behind.
    """

    def __init__(self, f: Callable[..., object], carry: Structure, x: Structure) -> None:
        self._snapshot = Snapshot.of((f,))
        self.f: Callable[..., object] = cast(
            "Callable[..., object]", opened(self._snapshot.held[0])
        )
        self.carry: Structure = carry
        self.x: Structure = x
        self.y: Structure = Static(None)
        self.given: tuple[Shape, ...] = ()
        self.held: list[TracedValue] = []
        self.paths: list[StepPath] = []
        self._places: dict[tuple[int, int], int] = {}

    @property
    def static_key(self) -> Hashable:
        """The key that it shares with a step of the same code on the same variables."""
        return _key_of(self._snapshot.held[0])

    def begin(self, first: Sequence[Operand], columns: Sequence[Operand]) -> None:
        """Records the first step."""
        found = self._noted(0, [*map(primal, first), *_x(columns, 0)])
        self.paths.append(self._path_of(*found))

    def look_again(self, columns: Sequence[Operand]) -> None:
        """Records the second step, and sees that it does what the first one did, if on its path.

        Raises:
            RecordingError: when it gives something else than the tape of the first.
        """
        first, known = self.paths[0], len(self.held)
        carry = _results(first.tape)[: len(leaf_shapes(self.carry))]
        operands = [*carry, *_x(columns, 1), *map(primal, self.held)]
        again = self._noted(1, operands)
        try:
            expected = first(operands)
        except GuardError:
            self.paths.append(self._path_of(*again))
            return
        self._forget_from(known)
        if not _are_alike(expected, _results(again[0])):
            raise RecordingError(
                f"{name_of(self.f)} ({here()}) does something else at its second call than the "
                "first step of scan did, as if it counted its calls or changed what it reads: make "
                "that a part of the carry or of xs"
            )

    def _noted(self, number: int, operands: Sequence[Operand]) -> tuple[Trace, Held]:
        """The trace of a step; an error says the step's number."""
        try:
            return self._traced(operands)
        except Exception as error:
            error.add_note(f"raised in step {number} of scan")
            raise

    def __call__(self, operands: Sequence[Operand], /) -> StepPath:
        """The path of another step.

        Raises:
            UnknownPathError: when the step reads a number of a recording that has ended, or a
                global number that has changed.
            MoreHeldError: when it reads another number than before of one that has not.
        """
        known = len(self.held)
        if reason := self._snapshot.changed():
            raise UnknownPathError(
                f"a step of {name_of(self.f)} under scan ({here()}) takes a new path, and reads "
                f"{reason}: make it a part of the carry or of xs"
            )
        try:
            path = self._path_of(*self._traced(operands))
            self._require_unchanged(operands, len(self.held))
        except RecordingError as error:
            raise UnknownPathError(str(error)) from error
        self.paths.append(path)
        if len(self.held) > known:
            raise MoreHeldError
        return path

    def _require_unchanged(self, operands: Sequence[Operand], known: int) -> None:
        """Records the first step again, and sees that it does what it did.

        ``operands`` are those of another step, and ``known`` numbers are held.

        Raises:
            UnknownPathError: when it does something else.
        """
        first = self.paths[0]
        tape, count = first.tape, len(first.tape.inputs)
        given = [tape.values[slot] for slot in tape.inputs] + [*operands[count:]]
        for slot, index in first.held:
            given[count + index] = tape.values[slot]
        again, _ = self._traced(given)
        self._forget_from(known)
        if not _are_alike(_results(first.tape), _results(again)):
            raise UnknownPathError(
                f"a step of {name_of(self.f)} under scan ({here()}) takes a new path, and does "
                "something else than when it was recorded, as it reads what has changed since: "
                "record again, or make that a part of the carry or of xs"
            )

    def _forget_from(self, known: int) -> None:
        """Keeps the first numbers that are held."""
        del self.held[known:]
        self._places = {key: place for key, place in self._places.items() if place < known}

    def _traced(self, operands: Sequence[Operand]) -> tuple[Trace, Held]:
        """The trace of the step on plain numbers: the carry's, those of x, those held.

        Raises:
            RecordingError: when the step reads a number of a recording that has ended, and has not
                read it before.
        """
        carry, x = len(leaf_shapes(self.carry)), len(leaf_shapes(self.x))
        given, values = tuple(operands[: carry + x]), operands[carry + x :]
        places: list[tuple[int, int]] = []

        def step(numbers: tuple[Operand, ...]) -> object:
            return self.f(build(self.carry, numbers[:carry]), build(self.x, numbers[carry:]))

        def held(var: TracedValue, slot: int) -> Operand:
            index = self._index(var)
            places.append((slot, index))
            return values[index] if index < len(values) else primal(var)

        traced = trace_apart(step, given, held)
        self._check(traced.result)
        parameters = Branch(dict, ("carry", "x"), (self.carry, self.x))
        return attrs.evolve(traced, parameters=parameters), tuple(places)

    def _path_of(self, traced: Trace, held: Held) -> StepPath:
        """The path of a trace."""
        return StepPath(tape_of(self.f, traced), held)

    def _index(self, var: TracedValue) -> int:
        """The place of a number among those that are held."""
        key = id(var._recorder), var._slot
        if key not in self._places:
            var._recorder.require_open()
            self._places[key] = len(self.held)
            self.held.append(var)
        return self._places[key]

    def _check(self, result: Structure) -> None:
        """Raises where a step gives something else than a carry of the same structure and y."""
        if not isinstance(result, Branch) or result.kind is not tuple or len(result.keys) != 2:
            raise no_pair(self.f, describe_structure(result))
        carry, y = result.children
        self._check_part("carry", carry, self.carry, "it began as")
        if not self.paths:
            self.y, self.given = y, tuple(leaf_shapes(y))
        self._check_part("y", y, self.y, "other steps have")

    def _check_part(self, name: str, given: Structure, expected: Structure, others: str) -> None:
        """Raises where one of the pair that a step gives is built otherwise than expected."""
        if difference := described_difference(expected, given):
            keys, found, right = difference
            place = f"{name} at {key_path(keys)}" if keys else name
            raise OutputError(
                f"{name_of(self.f)} ({here()}) returned {found} as the {place} of scan, and "
                f"{others} {right}: return the same structure in each step"
            )

    def __reduce__(self) -> tuple[Callable[[], Rule], tuple[()]]:
        return _left_behind, ()


def _x(columns: Sequence[Operand], index: int) -> list[Operand]:
    """The plain numbers and arrays of the x of one step."""
    parts = [cast(Any, primal(column))[index] for column in columns]
    return [part if shape_of(part) else float(part) for part in parts]


def _results(recorded: Trace | AnyTape) -> list[Operand]:
    """The numbers that a step gave when it was recorded."""
    values = recorded.columns.values
    return [values[slot] for slot in recorded.outputs]


def _are_alike(expected: Sequence[Operand], found: Sequence[Operand]) -> bool:
    """Whether numbers and arrays of the same shapes are the same, but for rounding."""
    parts = Branch(list, tuple(range(len(expected))), (Leaf(),) * len(expected))
    return are_alike((parts, [*expected]), (parts, [*found]))


def _left_behind() -> Rule:
    return _elsewhere


def _elsewhere(operands: Sequence[Operand], /) -> NoReturn:
    """Takes the place of a step that did not travel.

    Raises:
        UnknownPathError: always.
    """
    raise UnknownPathError(
        f"a step of scan ({here()}) takes a path that is not on the tape, and its function did not "
        "travel: record again at these inputs"
    )
