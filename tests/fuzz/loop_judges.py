"""Judges of programs with loops: in pieces they give the bits of the straight line."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Final
from unittest import mock

import numpy as np

import tapegrad as tg
from tapegrad.compile import lower as lowering
from tapegrad.compile.backends import c, python
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.llvm import machine_code as machine
from tapegrad.compile.loops import Line, Table, line_of
from tapegrad.compile.lower import lower
from tapegrad.compile.piece_buffer import Carried, Input, PieceBuffer, PlacedPiece, piece_buffer
from tapegrad.compile.program import Program
from tapegrad.entries import trips
from tapegrad.entries.static_keys import static_key
from tapegrad.errors import BackendError
from tests.fuzz.judges import compiled_c
from tests.fuzz.loop_programs import LoopCase
from tests.strategies import bits

__all__ = [
    "LOOP_JUDGES", "code_of", "frozen", "in_pieces", "lengths", "loops_always", "lowered_alike",
    "parts", "program_of", "straight",
]  # fmt: skip


def program_of(case: LoopCase) -> tuple[Program, list[list[float]]]:
    """The lowered program of a case at its first point, and its inputs at every point."""
    tape: Any = tg.record(case.function)(*case.points[0])
    inputs = [[*p, *xs, *ys] for p, xs, ys in case.points]
    return lower(tape.columns.as_lists(), tape.outputs), inputs


def frozen(answer: Sequence[float] | int) -> object:
    """An answer as something that equals another to the bit."""
    return answer if isinstance(answer, int) else tuple(map(bits, answer))


def _run(program: Program, values: list[float]) -> int:
    """Appends the values of a program's entries to those given; returns the guard that flips."""
    for slot in range(len(values), len(program)):
        if slot in program.constants:
            values.append(program.constants[slot])
            continue
        operands = [values[x] for x in program.operands[slot]]
        if slot in program.expected:
            if (operands[0] != 0.0) != program.expected[slot]:
                return program.guard_indices[slot]
            values.append(0.0)
        else:
            values.append(program.rows[slot].value(*operands, *program.static(slot)))
    return -1


def straight(program: Program, inputs: Sequence[float]) -> Sequence[float] | int:
    """The outputs of a program by its rows, one after the other, or the guard that flips."""
    values = list(inputs)
    flip = _run(program, values)
    return [values[x] for x in program.outputs] if flip < 0 else flip


def in_pieces(buffer: PieceBuffer, inputs: Sequence[float], count: int) -> Sequence[float] | int:
    """The same by the pieces, which find in the buffer what others leave there."""
    places = [float("nan")] * buffer.places
    outputs = [float("nan")] * count
    for placed in buffer.pieces:
        flip = _run_piece(placed, inputs, places, outputs)
        if flip >= 0:
            return flip
    return outputs


def _run_piece(
    placed: PlacedPiece, inputs: Sequence[float], places: list[float], outputs: list[float]
) -> int:
    piece = placed.piece
    for to, origin in placed.copies:
        places[to] = places[origin]
    carried = {what: places[place] for what, place in placed.starts.items()}
    for turn in range(piece.count):
        found = {slot: carried[what] for slot, what in placed.carried.items()}
        for slot, source in placed.sources.items():
            if isinstance(source, Table):
                found[slot] = source.constants[turn]
            else:
                column = inputs if isinstance(source, Input) else places
                found[slot] = column[source.first + source.step * turn]
        values = [found[slot] for slot in range(piece.body.inputs)]
        flip = _run(piece.body, values)
        if flip >= 0:
            return piece.guard + turn * len(piece.body.expected) + flip
        for stored in placed.stored:
            place = stored.place
            places[place.first + place.step * turn] = values[piece.start + stored.entry]
        for index, slot in enumerate(piece.body.outputs):
            outputs[piece.output + turn * len(piece.body.outputs) + index] = values[slot]
        carried = {
            what: values[piece.start + what.entry]
            if what.back == 1
            else carried[Carried(what.entry, what.back - 1)]
            for what in carried
        }
    return -1


def lowered_alike(case: LoopCase) -> tuple[Program, Program]:
    """A case's program, of which trips were moved on together, and the same lowered one by one."""
    with mock.patch.object(trips, "WORTH", 30):
        moved, _ = program_of(case)
    with mock.patch.object(lowering, "loops_of", return_value=()):
        return moved, program_of(case)[0]


def parts(program: Program) -> tuple[object, ...]:
    """What two programs share that are the same, entry by entry."""
    constants = {slot: bits(x) for slot, x in program.constants.items()}
    statics = {slot: static_key(x) for slot, x in program.statics.items()}
    guards = [*program.expected.items()], program.guards
    known = program.skip_where, program.inputs, program.outputs
    return program.rows, program.operands, constants, statics, guards, known


def lowered_by_trips(case: LoopCase) -> Iterator[str]:
    """What a program gives otherwise than the one that is lowered entry by entry.

    They are the same, except that equal entries of distant trips are not shared.
    """
    moved, plain = lowered_alike(case)
    _, points = program_of(case)
    for inputs in points if parts(moved) != parts(plain) else ():
        got, want = straight(moved, inputs), straight(plain, inputs)
        if frozen(got) != frozen(want):
            yield f"lowered by trips at {inputs}: {got}, not {want}"


def by_rows(case: LoopCase) -> Iterator[str]:
    """What the pieces give otherwise than the straight line, where rows compute one by one."""
    program, points = program_of(case)
    size, split = 7 if case.seed % 2 else 500, case.seed % 3 * program.inputs // 2
    for again in (False, True):
        buffer = piece_buffer(line_of(program), size, split, again=again)
        for inputs in points:
            got, want = in_pieces(buffer, inputs, len(program.outputs)), straight(program, inputs)
            if frozen(got) != frozen(want):
                yield f"in pieces of {size} at {inputs}, {again=}: {got}, not {want}"


def loops_always() -> AbstractContextManager[object]:
    """The time in which code has loops wherever there are any, however short."""
    return mock.patch.object(Line, "pays", property(lambda line: bool(line.loops)))


def in_python(case: LoopCase) -> Iterator[str]:
    """What Python's code with loops gives otherwise than the rows."""
    program, points = program_of(case)
    with loops_always():
        run = python.compiled(program)
    for inputs in points:
        got, want = run(inputs), straight(program, inputs)
        if frozen(got) != frozen(want):
            yield f"Python at {inputs}: {got}, not {want}"


def in_c(case: LoopCase) -> Iterator[str]:
    """What C's code with loops, compiled by gcc, gives otherwise than the rows."""
    program, points = program_of(case)
    try:
        with loops_always():
            text = c.source(program)
    except BackendError:
        return  # a row that C has not
    run = compiled_c(text)
    for inputs in points:
        out = (ctypes.c_double * len(program.outputs))()
        flip = run((ctypes.c_double * len(inputs))(*inputs), out)
        got, want = (out[:] if flip == -1 else flip), straight(program, inputs)
        if flip != OUT_OF_RANGE and frozen(got) != frozen(want):
            yield f"C at {inputs}: {got}, not {want}"


OUT_OF_RANGE: Final = -2
"""What C's code returns where it has not the bits of Python's."""


def machine_code(case: LoopCase) -> Iterator[str]:
    """What LLVM's code with loops gives otherwise than its straight code, and than the rows."""
    program, points = program_of(case)
    with mock.patch.object(Line, "pays", new=False):
        plain = [code_of(program, points, case.seed)]
    with loops_always():
        rolled = [code_of(program, points, case.seed)]
    if plain != rolled:
        yield "code with loops gives other bits"
    if plain[0][0] != [frozen(straight(program, inputs)) for inputs in points]:
        yield "straight code gives other bits"


def code_of(program: Program, points: Sequence[Sequence[float]], seed: int) -> list[list[object]]:
    """What code gives for one call, for rows, and for their sums."""
    draw = Random(seed)
    run = machine.ScalarFunction(program)
    shared, quick = draw.choice((0, 0, 3, 5)), draw.random() < 0.5
    rows = [*points, *([x * draw.uniform(0.99, 1.01) for x in points[0]] for _ in range(16))]
    leaf = np.array(rows)
    leaf[:, :shared] = leaf[0, :shared]
    found: list[list[object]] = [[frozen(run(point)) for point in points]]
    for sums in (False, True):
        out = np.zeros((len(program.outputs), 8 if sums else 32))
        flips = np.empty(32, dtype=np.int32)
        code = machine.rows(program, RowOptions(shared, sums=sums, quick=quick))
        columns = [np.ascontiguousarray(leaf[:, shared:])]
        code(leaf[0, :shared].copy(), columns, range(len(rows)), out, flips)
        marks = flips[: len(rows)].tolist()
        if not sums:
            out[:, : len(rows)][:, flips[: len(rows)] >= 0] = 0.0
        found.append([marks, [frozen(column) for column in out[:, : len(rows)].tolist()]])
    return found


def lengths(case: LoopCase, *more: int) -> Iterator[tuple[Program, list[float]]]:
    """The programs of a case on so many numbers more, and numbers to run each on."""
    draw = Random(case.seed)
    for count in more:
        p, xs, ys = case.points[0]
        xs = [*xs, *(round(draw.uniform(-1.0, 1.0), 3) for _ in range(count))]
        longer = LoopCase(case.seed, case.source, case.is_gradient, ((p, xs, ys),))
        program, (inputs,) = program_of(longer)
        yield program, inputs


def other_lengths(case: LoopCase) -> Iterator[str]:
    """What LLVM's code gives otherwise on more data, where it may be that of less."""
    draw = Random(case.seed)
    for program, inputs in lengths(case, 0, draw.randint(1, 9), draw.randint(10, 60)):
        with loops_always():
            (got,), *_ = code_of(program, [inputs], case.seed)
        if got != frozen(straight(program, inputs)):
            yield f"machine code for {len(inputs)} numbers: {got}"


LOOP_JUDGES: Final[Mapping[str, tuple[int, Callable[[LoopCase], Iterator[str]]]]] = {
    "loops by trips": (1, lowered_by_trips),
    "loops by rows": (1, by_rows),
    "loops in Python": (1, in_python),
    "loops in machine code": (5, machine_code),
    "loops of other lengths": (10, other_lengths),
    "loops in C": (25, in_c),
}
"""Each judge, and every which program it sees in the long run."""
