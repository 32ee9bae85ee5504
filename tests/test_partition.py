"""Laws of programs partitioned into functions that share a buffer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

import tapegrad as tg
from tapegrad.compile.lower import lower
from tapegrad.compile.partition import partition, rematerialised, slots_read
from tapegrad.compile.program import Program


def mixed(xs: Sequence[Any]) -> list[Any]:
    """A program whose entries read others that are near and far, and that has guards."""
    draw, values = random.Random(5), list(xs)
    for _ in range(400):
        x, y = draw.choice(values[-9:]), draw.choice(values)
        values.append(draw.choice((x * y, x + y, tg.math.sin(x), tg.math.hypot(x, y), -x)))
        if draw.random() < 0.1 and x > y:
            values.append(x - 2.0 * y)
    return [*values[::97], values[-1]]


def program() -> Program:
    tape = tg.record(mixed)([0.3, 0.4, -0.2])
    return lower(tape.columns.as_lists(), tape.outputs)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("effort", [0, 3])
def test_a_function_finds_in_the_buffer_what_it_reads(size: int, effort: int) -> None:
    """Every place still holds the value that was written for it, and no value is out of reach."""
    whole = program()
    again = rematerialised(whole, effort)
    parts = partition(whole, size, again=again)
    assert [slot for part in parts.parts for slot in part.slots] == [
        slot for slot in range(whole.inputs, len(whole)) if slot not in whole.constants
    ]
    buffer: dict[int, int] = {}
    for index, part in enumerate(parts.parts):
        assert {place: buffer[place] for place in part.reads.values()} == {
            place: slot for slot, place in part.reads.items()
        }
        known = {*range(whole.inputs), *whole.constants, *part.reads, *part.slots}
        last = whole.outputs if part is parts.parts[-1] else ()
        for slot in (*part.slots, *last):
            for operand in slots_read(whole, slot) if slot in part.slots else (slot,):
                assert operand in known or again[operand] <= known
        buffer |= {place: slot for slot, place in part.writes.items()}
        assert len(part.slots) <= size, index
    assert max(buffer, default=-1) < parts.places


def test_what_is_computed_again_is_a_few_operations_from_one_value() -> None:
    """No entry is computed again that depends on two others, or that costs more."""
    whole = program()
    again = rematerialised(whole, 3)
    assert again
    for slot, bases in again.items():
        assert whole.rows[slot].quick
        assert len(bases) <= 1
        assert all(base < slot for base in bases)


def test_places_are_used_again() -> None:
    """The buffer is shorter than the number of values that pass through it."""
    parts = partition(program(), 10)
    assert parts.places < sum(len(part.writes) for part in parts.parts) / 2
