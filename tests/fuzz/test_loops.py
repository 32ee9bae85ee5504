"""Random programs with loops: code with loops gives the bits of the straight line."""

from __future__ import annotations

import pytest

from tapegrad.compile import piece_buffer as buffers
from tapegrad.compile.loops import Piece, Read, line_of
from tapegrad.compile.piece_buffer import Carried, piece_buffer
from tests.fuzz import nest_programs
from tests.fuzz.__main__ import judge
from tests.fuzz.loop_judges import LOOP_JUDGES, by_rows, program_of
from tests.fuzz.loop_programs import LoopCase, make

COUNTS = {
    "loops by trips": 40,
    "loops by rows": 50,
    "loops in Python": 25,
    "loops in machine code": 3,
    "loops of other lengths": 1,
    "loops in C": 2,
}
"""How many programs each judge sees here."""


@pytest.mark.parametrize("name", LOOP_JUDGES)
def test_loops_keep_the_bits_of_the_straight_line(name: str) -> None:
    """Random programs in pieces: one call, rows, sums, and the guards that flip."""
    _, run = LOOP_JUDGES[name]
    for seed in range(COUNTS[name]):
        case = make(seed)
        assert list(run(case)) == [], case.source


def test_c_in_parts_is_without_warnings() -> None:
    """Compilers do not see that what a part leaves unwritten on return is not read after it."""
    _, in_c = LOOP_JUDGES["loops in C"]
    assert list(in_c(make(3_002_500))) == []


def test_loops_inside_loops_keep_them_too() -> None:
    """Random rows that are computed from the ones before, and their gradients."""
    for seed in range(12):
        assert list(by_rows(nest_programs.make(seed))) == []


def test_the_programs_are_worth_their_time() -> None:
    """Loops save much of them, and nearly all are spelled; many have guards."""
    entries = saved = spelled = loops = guarded = 0
    for seed in range(30):
        program, _ = program_of(make(seed))
        line = line_of(program)
        pieces = [placed.piece for placed in piece_buffer(line, 500).pieces]
        entries, saved = entries + len(line.slots), saved + line.saves
        loops, spelled = loops + len(line.loops), spelled + sum(x.count > 1 for x in pieces)
        guarded += bool(program.expected)
    assert saved > 0.4 * entries
    assert spelled > 0.9 * loops
    assert guarded > 5


def test_the_judge_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds that another entry is carried along."""
    find = buffers._Planner.carried

    def carried(self: buffers._Planner, piece: Piece, source: Read, back: int) -> Carried:
        found = find(self, piece, source, back)
        return Carried((found.entry + 1) % piece.length, found.back)

    monkeypatch.setattr(buffers._Planner, "carried", carried)
    assert any(found(make(seed)) for seed in range(20))


def found(case: LoopCase) -> bool:
    """Whether the judge finds something, or cannot even run the pieces."""
    try:
        return any(by_rows(case))
    except LookupError:
        return True


@pytest.mark.slow
def test_a_thousand_more() -> None:
    """The seeds from 1,000 on, by all judges; the rest with ``python -m tests.fuzz``."""
    for kind in ("loops", "nests"):
        seen, found = judge(1_000, 1_000, kind)
        assert found == []
        assert seen["loops by rows"] == 1_000
