"""One step of a loop as a function of numbers and arrays, by the paths that it takes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.cached import cached
from tapegrad.compile.backends.interface import RunSteps, ScalarCode, StepShape
from tapegrad.compile.backends.registry import chosen
from tapegrad.compile.paths import (
    AnyTape,
    Path,
    UnknownPathError,
    path_of,
    record_path,
    taking_arrays,
)
from tapegrad.compile.program import Program
from tapegrad.compile.scan.flat import cut, joined, parted
from tapegrad.entries.expand import is_expanded_exactly
from tapegrad.entries.replay import replay
from tapegrad.entries.static_keys import Keyed, static_key
from tapegrad.errors import GuardError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Primitive, Shape, primal, shape_of

__all__ = ["Apply", "Cells", "Rule", "Sizes", "Step", "StepPath"]


@final
@attrs.frozen(slots=False)
class Sizes:
    """The shapes of what a step takes and gives: ``held`` is the same in all steps."""

    carry: tuple[Shape, ...]
    x: tuple[Shape, ...]
    held: tuple[Shape, ...]
    y: tuple[Shape, ...]

    @cached
    def is_of_numbers(self) -> bool:
        """Whether there are no arrays."""
        return not any((*self.carry, *self.x, *self.held, *self.y))

    @cached
    def widths(self) -> tuple[int, int, int, int]:
        """The counts of the numbers in the carry, x, what is held, and y."""
        carry, x, held, y = map(self.width, (self.carry, self.x, self.held, self.y))
        return carry, x, held, y

    @staticmethod
    def width(shapes: Sequence[Shape]) -> int:
        """The count of the numbers in parts of these shapes."""
        return sum(map(prod, shapes))


_STARTING: Final = 1 << 18
_EACH: Final = 1 << 11
"""The entries that Python's code runs in the time that it takes to compile a step, and each of its
entries."""
_CALL: Final = 40
"""The entries that take as long as a call of Python's code."""
_OF_ARRAYS: Final = 20
"""The entries of numbers that take as long as one of arrays."""
_LONGEST: Final = 4_000
"""The most entries of steps that are compiled as one function."""
_MISSED: Final = 500
"""The steps run one by one that take as long as compiling the paths of a loop again."""

Cells: TypeAlias = Any
"""An array of operands."""

Apply: TypeAlias = Callable[[Primitive, Sequence[Cells], tuple[object, ...]], Cells]


class Rule(Protocol):
    """Records a step where it takes a path that is not known yet."""

    def __call__(self, operands: Sequence[Operand], /) -> StepPath:
        """The path that the step takes on plain operands: the carry, x, and what is held.

        Raises:
            UnknownPathError: when the step cannot be recorded any more.
        """


@final
class Made:
    """Holds what was made for a path: programs and code, and the steps of derivatives.

    The ``loops`` are of several paths of which it is the first. ``work`` counts the entries that
    were run, and ``missed`` the steps that no code of a loop was there for.
    """

    __slots__ = ("codes", "derived", "loops", "missed", "programs", "work")

    work: int
    missed: int

    def __init__(self) -> None:
        self.programs: dict[Sizes, Path] = {}
        self.codes: dict[tuple[Sizes, bool], ScalarCode] = {}
        self.loops: dict[tuple[StepShape | Made, ...], RunSteps | None] = {}
        self.derived: dict[object, Step] = {}
        self.work = self.missed = 0


@lru_cache(maxsize=64)
def _made(key: Hashable) -> Made:
    """Made once for paths that do the same, so that a loop which comes again compiles nothing."""
    return Made()


@final
@attrs.frozen(slots=False)
class StepPath:
    """One way through a step: its tape, and the constants on it that stand for what is held.

    ``held`` has pairs of a slot and an index. What is held and not among them are inputs.
    """

    tape: AnyTape
    held: tuple[tuple[int, int], ...] = ()

    @property
    def has_guards(self) -> bool:
        """Whether there may be other ways."""
        return any(True for _ in self.tape.columns.guards())

    def __call__(self, operands: Sequence[Operand]) -> list[Operand]:
        """The new carry and y on operands of any kind.

        Raises:
            GuardError: where a guard comes out differently.
        """
        tape = self.tape
        columns, inputs = tape.columns, len(tape.inputs)
        if self.held:
            values = list(columns.values)
            for slot, index in self.held:
                values[slot] = operands[inputs + index]
            columns = attrs.evolve(columns, values=values)
        found = replay(columns, operands[:inputs], lambda slot: str(tape.site(slot)))
        return [found[slot] for slot in tape.outputs]

    def expanded(self, apply: Apply, operands: Sequence[Cells]) -> list[Cells]:
        """The new carry and y on arrays of operands, entry by entry.

        Raises:
            GuardError: where a guard comes out differently.
        """
        columns, inputs, held = self.tape.columns, len(self.tape.inputs), dict(self.held)
        cells = list(operands[:inputs])
        for slot in range(inputs, len(columns)):
            row = columns.row(slot)
            if slot in held:
                cells.append(operands[inputs + held[slot]])
            elif row.kind == "constant":
                cells.append(np.asarray(columns.values[slot], object))
            else:
                given = [cells[operand] for operand in columns.operands(slot)]
                cells.append(apply(row, given, columns.static(slot)))
                if row.kind == "guard" and primal(cells[slot][()]) != primal(columns.values[slot]):
                    raise GuardError(f"the guard at {self.tape.site(slot)} comes out differently")
        return [cells[slot] for slot in self.tape.outputs]

    def __reduce__(self) -> tuple[type[StepPath], tuple[AnyTape, tuple[tuple[int, int], ...]]]:
        return StepPath, (self.tape, self.held)

    @cached
    def key(self) -> Hashable:
        """The key that paths share which do the same."""
        tape = self.tape
        columns, held = tape.columns, dict(self.held)
        numbers = (
            columns.values[slot]
            for slot in (*columns.slots_of(ops.constant), *columns.guards())
            if slot not in held
        )
        shapes = (shape_of(columns.values[slot]) for slot in (*tape.inputs, *held))
        entries = tape.codes, tape.left, tape.right, tape.pool, tape.outputs
        statics = (*map(static_key, tape.statics), *map(static_key, numbers))
        return tape.table.rows, entries, statics, tuple(shapes), self.held

    @cached
    def made(self) -> Made:
        """The code and steps that were made for this path, or another one that does the same."""
        return _made(self.key)

    def recorded(self, sizes: Sizes) -> Path:
        """The same as a path from the carry, what is held, and x to the new carry and y.

        These are numbers one by one; where some are arrays, each is one vector.
        """
        path = self.made.programs.get(sizes)
        if path is None:
            path = self.made.programs[sizes] = self._recorded(sizes)
        return path

    def _recorded(self, sizes: Sizes) -> Path:
        start, fixed, x = self._first(sizes)
        carry, held = len(start), len(fixed)

        def step(numbers: tuple[Operand, ...]) -> tuple[Operand, ...]:
            state, given = numbers[:carry], numbers[carry : carry + held]
            return tuple(self((*state, *numbers[carry + held :], *given)))

        def on_vectors(vectors: tuple[Operand, ...]) -> tuple[Operand, ...]:
            shapes = sizes.carry, sizes.held, sizes.x
            parts = (parted(*each) for each in zip(vectors, shapes, strict=True))
            found = step(tuple(chain.from_iterable(parts)))
            return joined(found[:carry]), joined(found[carry:])

        if sizes.is_of_numbers:
            return cast(Path, record_path(step, (*start, *fixed, *x), {}, (), arrays=True))
        vectors = tuple(map(joined, (start, fixed, x)))
        return cast(Path, record_path(on_vectors, vectors, {}, (), arrays=True))

    def _first(self, sizes: Sizes) -> tuple[list[Operand], list[Operand], list[Operand]]:
        """The carry, what is held, and x of the step that was recorded."""
        carry = len(sizes.carry)
        values, inputs = self.tape.values, self.tape.inputs
        end = carry + len(sizes.x)
        known = {index: slot for slot, index in self.held} | dict(enumerate(inputs[end:]))
        start, x = ([values[slot] for slot in part] for part in (inputs[:carry], inputs[carry:end]))
        fixed = [
            values[known[index]] if index in known else _zeros(shape)
            for index, shape in enumerate(sizes.held)
        ]
        return start, fixed, x

    def of_numbers(self, sizes: Sizes) -> Program | None:
        """The program of numbers alone that has the bits of the path; None where there is none."""
        path = self.recorded(sizes)
        if not path.program.forms:
            return path.program
        columns = path.tape.columns
        moved = 0 if sizes.is_of_numbers else 4 * sum(sizes.widths)  # to parts, and from them
        is_small = sum(map(np.size, cast(Any, columns.values))) <= _LONGEST + moved
        if not (is_small and is_expanded_exactly(columns)):
            return None
        return path_of(path.tape.expanded()).program

    def code(self, sizes: Sizes, *, natively: bool) -> ScalarCode:
        """Code of one step, by the quickest backend or by Python's, compiled where it is asked for.

        It takes the carry, what is held, and x; it gives the carry and y, as ``recorded`` does.
        """
        code = self.made.codes.get((sizes, natively))
        if code is None:
            path = self.recorded(sizes)
            code = self.made.codes[sizes, natively] = _compiled(path, natively=natively)
        return code


def _zeros(shape: Shape) -> Operand:
    return cast(Operand, np.zeros(shape)) if shape else 0.0


def _compiled(path: Path, *, natively: bool) -> ScalarCode:
    choice = chosen("auto" if natively else "python", rows=False)
    if path.program.forms:
        plan = serving("compile.arrays.plan")
        return cast(ScalarCode, plan.scalar(path.program, None, choice.backend.chain))
    code = choice.scalar(path.program)
    return attrs.evolve(code, run=taking_arrays(path, code.run))


@final
class Step(Keyed):
    """One step: (the carry, x, what is held) -> (the new carry, y).

    ``paths`` are the ways through it that are known, which ``rule`` adds to.
    """

    __slots__ = ("_derived", "_loops", "paths", "rule", "sizes")

    sizes: Sizes
    rule: Rule

    def __init__(self, sizes: Sizes, rule: Rule, paths: Sequence[StepPath] = ()) -> None:
        self.sizes, self.rule = sizes, rule
        self.paths: tuple[StepPath, ...] = tuple(paths)
        self._derived: dict[object, Step] = {}
        self._loops: dict[tuple[int, bool, tuple[int, ...]], RunSteps] = {}

    def __call__(self, operands: Sequence[Operand]) -> list[Operand]:
        """The new carry and y on operands of any kind, on a path that is recorded where needed.

        Raises:
            UnknownPathError: when the step takes no known path, and cannot be recorded.
        """
        for path in self.paths:
            with suppress(GuardError):
                return path(operands)
        return self.learned([primal(operand) for operand in operands])(operands)

    def expanded(self, apply: Apply, operands: Sequence[Cells]) -> list[Cells]:
        """The new carry and y on arrays of operands: ``apply`` does what a row does on them.

        Raises:
            UnknownPathError: when the step takes no known path, and cannot be recorded.
        """
        for path in self.paths:
            with suppress(GuardError):
                return path.expanded(apply, operands)
        return self.learned([_plain(part) for part in operands]).expanded(apply, operands)

    def learned(self, operands: Sequence[Operand]) -> StepPath:
        """The path that the step takes on plain operands, recorded now.

        Raises:
            UnknownPathError: when the step cannot be recorded any more.
        """
        path = self.rule(operands)
        self.paths = (*self.paths, path)
        return path

    @property
    def only_path(self) -> StepPath | None:
        """The one way through the step, where there cannot be others."""
        only = self.paths[0] if len(self.paths) == 1 else None
        return None if only is None or only.has_guards else only

    @property
    def length(self) -> int:
        """The entries of one step, or 1 where it has none."""
        return len(self.paths[0].tape) or 1

    def operands(self, carry: Cells, x: Cells, held: Cells) -> list[Operand]:
        """The numbers and arrays in the order of a rule, where those of each kind are a vector."""
        parts = (carry, self.sizes.carry), (x, self.sizes.x), (held, self.sizes.held)
        found = chain.from_iterable(cut(*each) for each in parts)
        return [part if part.ndim else float(part) for part in found]

    def count(self, steps: int) -> None:
        """Counts steps that are run."""
        each = 1 if self.sizes.is_of_numbers else _OF_ARRAYS
        self.paths[0].made.work += steps * (self.length * each + _CALL)

    @property
    def pays(self) -> bool:
        """Whether what was counted pays for compiling a step."""
        return self.paths[0].made.work >= _STARTING + _EACH * self.length

    def loop(self, xs: tuple[int, ...], *, keeps: bool) -> RunSteps | None:
        """Code for loops whose arrays of x have these widths; None where there is none.

        It knows the paths that are known by now, or the first of them: where others are new, it
        serves until it was left often enough.
        """
        found = self._loops.get((len(self.paths), keeps, xs))
        if found is None and self.pays:
            carry, _, held, y = self.sizes.widths
            found = self._loop_of(StepShape(carry, held, xs, y, keeps))
        return found

    def _loop_of(self, shape: StepShape) -> RunSteps | None:
        made = tuple(path.made for path in self.paths)
        loops = made[0].loops
        if (shape, *made) not in loops:
            made[0].missed += 1
            known = (loops.get((shape, *made[:size])) for size in range(len(made) - 1, 0, -1))
            found = next((code for code in known if code is not None), None)
            if found is not None and made[0].missed < _MISSED:
                return found
            made[0].missed = 0
            loops[shape, *made] = self._compiled(shape) or found
        found = loops[shape, *made]
        if found is not None:
            self._loops[len(made), shape.keeps, shape.xs] = found
        return found

    def _compiled(self, shape: StepShape) -> RunSteps | None:
        """Code for many steps; None where they are too long, or cannot be compiled so."""
        compile_steps = chosen("auto", rows=False).backend.steps
        if compile_steps is None or sum(len(path.tape) for path in self.paths) > _LONGEST:
            return None
        found = [path.of_numbers(self.sizes) for path in self.paths]
        programs = [program for program in found if program is not None]
        return compile_steps(programs, shape) if len(programs) == len(found) else None

    def derived(self, key: object, make: Callable[[Step], Step]) -> Step:
        """The step of a derivative, which is made once for all steps that do the same."""
        only = self.only_path
        known, own = (self._derived, self) if only is None else (
            only.made.derived, Step(self.sizes, _no_other_path, [only])
        )  # fmt: skip
        place = self.sizes, key
        found = known.get(place)
        if found is None:
            found = known[place] = make(own)
        return found

    @property
    def static_key(self) -> Hashable:
        """The key of what it does; where there may be other paths, of what records them, too."""
        rule = None if self.only_path else static_key(self.rule)
        return self.sizes, tuple(path.key for path in self.paths), rule

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.static_key == other.static_key

    def __hash__(self) -> int:
        return hash(self.sizes)

    def __reduce__(self) -> tuple[type[Step], tuple[Sizes, Rule, tuple[StepPath, ...]]]:
        return Step, (self.sizes, self.rule, self.paths)


def _no_other_path(operands: Sequence[Operand], /) -> NoReturn:
    raise UnknownPathError("a step without guards has one path: this is a fault of tapegrad")


def _plain(part: Cells) -> Operand:
    """The plain numbers of an array of operands, a float where it has no axes."""
    found = np.vectorize(primal, otypes=[float])(part)
    return cast(Operand, found if found.ndim else float(found))
