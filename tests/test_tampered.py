"""A tape is a tape, whoever made it: all else is a ``TapeError``, and nothing ends a process."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from array import array
from ast import literal_eval
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad import numpy as tnp
from tapegrad.compile.jit import _unpickled
from tapegrad.compile.paths import path_of
from tapegrad.entries import stored_arrays
from tapegrad.entries.columns import Scope
from tapegrad.errors import TapeError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Table
from tapegrad.pytree.structure import Branch, Leaf
from tests.places import refusal
from tests.tampering import allowed, flipped

ROOT = Path(__file__).parent.parent


def mixed(p: Any, n: float) -> Any:
    """%0 to %3 inputs; fma, dot, a power, a comparison and its guard, ..."""
    total = math.fma(p[0], p[1], p[2])
    total = total + math.dot([p[0], p[1]], [p[2], total]) ** 2.5
    return total * n if total > 0.0 else total


TAPE = tg.record(mixed)((2.0, 3.0, 4.0), 5.0)


def slot_of(name: str) -> int:
    return next(slot for slot in range(len(TAPE)) if TAPE.columns.row(slot).name == name)


def changed(column: str, places: dict[int, int]) -> dict[str, Any]:
    numbers = array("i", getattr(TAPE, column))
    for place, number in places.items():
        numbers[place] = number
    return {column: numbers.tobytes()}


FMA, DOT, POWER, COMPARISON, GUARD = map(slot_of, ("fma", "dot", "powc", "gt", "guard"))
START = array("i", TAPE.left)[DOT]


def stored(slot: int, value: float) -> dict[str, Any]:
    numbers = array("d", TAPE.numbers)
    numbers[slot] = value
    return {"stored": numbers.tobytes()}


def coded(slot: int, name: str) -> dict[str, Any]:
    codes = bytearray(TAPE.codes)
    codes[slot] = next(code for row, code in ops.TABLE.codes.items() if row.name == name)
    return {"codes": bytes(codes)}


CHANGES: list[tuple[dict[str, Any], str]] = [
    (changed("right", {FMA: 1}), f"entry {FMA} applies fma to 1 operands"),
    (changed("right", {FMA: 4}), f"entry {FMA} applies fma to 4 operands"),
    (changed("right", {DOT: 3}), f"entry {DOT} applies dot to 3 operands"),
    (changed("right", {DOT: 0}), f"entry {DOT} applies dot to 0 operands"),
    (changed("right", {DOT: -2}), f"entry {DOT} applies dot to -2 operands"),
    (changed("left", {DOT: 4}), f"entry {DOT} reads places 4 to 7 of a pool of 7"),
    (changed("left", {DOT: -1}), f"entry {DOT} reads places -1 to 2 of a pool of 7"),
    (changed("pool", {START: DOT}), f"entry {DOT} reads slot {DOT}, which is not one below it"),
    (changed("pool", {START: -1}), f"entry {DOT} reads slot -1, which is not one below it"),
    (changed("right", {POWER: 1}), f"entry {POWER} reads static operand 1 of 1"),
    (changed("right", {POWER: -1}), f"entry {POWER} reads static operand -1 of 1"),
    ({"statics": ("2",)}, f"entry {POWER} applies powc with a str ('2'), not with a float"),
    (changed("left", {0: 0}), "entry 0 reads slots 0 and -1, and takes no operands"),
    (changed("right", {GUARD: 0}), f"entry {GUARD} reads slots {COMPARISON} and 0, and takes one"),
    (changed("left", {GUARD: 0}), f"entry {GUARD} is a guard on entry 0, which is no condition"),
    (stored(COMPARISON, 0.5), f"entry {COMPARISON} is a condition, and its value 0.5"),
    (stored(GUARD, 2.0), f"entry {GUARD} is a condition, and its value 2.0"),
    (coded(0, "constant"), "entry 1 is an input after other entries"),
    (coded(3, "constant"), "a tape of 3 inputs has 4 numbers in its arguments"),
    ({"codes": list(TAPE.codes)}, "the codes of a tape are bytes, and its static operands a tuple"),
    ({"pool": b"123"}, "the column pool of a tape is not bytes of whole numbers"),
    ({"stored": b"1234"}, "the values of a tape are neither bytes of floats nor a tuple"),
    ({"stored": ("x",) * len(TAPE)}, "the value of entry 0 is a str ('x'), which is no number"),
    ({"table": ops.TABLE.rows}, "the table of a tape is a tuple"),
    ({"table": Table(ops.TABLE.rows[1:])}, "the table of a tape has no row input"),
    ({"outputs": ()}, "a tape with a tuple (()) of outputs has 1 in its result"),
    ({"outputs": (1.0,)}, f"output 1.0 is not a slot of a tape of {len(TAPE)} entries"),
    ({"result": Branch(int, (0,), (Leaf(),))}, "Branch stands for no container that can be made"),
    ({"parameters": Branch(tuple, (0, 1), (Leaf(),))}, "Branch stands for no container that can"),
    ({"parameters": Leaf()}, "a tape of 4 inputs has 2 numbers in its arguments"),
    ({"data": Leaf()}, "the data of a tape are a Leaf (Leaf(shape=())), and not by name"),
    ({"names": ()}, "the names of a tape's arguments are a tuple (())"),
    ({"labels": ((99, "x"),)}, f"the labels of a tape of {len(TAPE)} entries are not in order of"),
    ({"labels": ((1, "x"), (1, "y"))}, f"the labels of a tape of {len(TAPE)} entries are not in"),
    ({"labels": ("x",)}, "the labels of a tape are pairs of a slot and a name"),
    ({"scopes": (Scope("s", 0, 99, None),)}, "scope 's' has entries 0 to 99, which are not inside"),
    ({"scopes": (Scope("s", 3, 2, None),)}, "scope 's' has entries 3 to 2, which are not inside"),
    ({"scopes": (Scope("s", 0, 2, 0),)}, "scope 's' stands inside scope 0, which is later"),
    ({"scopes": (Scope("s", 2, 3, None), Scope("t", 1, 2, None))}, "scope 't' has entries 1 to 2"),
    ({"scopes": (Scope("s", 0, 2, None), Scope("t", 1, 3, 0))}, "scope 't' has entries 1 to 3"),
    ({"sites": ("x",)}, "the lines of a tape are no lines of files"),
    ({"sites": ()}, "an entry stands at a line beyond the 0 of its tape"),
    ({"function": 5}, "the name of a tape's function is no text"),
    ({"site_of": b"1234"}, f"a tape of {len(TAPE)} entries has not as many line numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), CHANGES)
class TestEveryInvariant:
    def test_is_checked_by_the_constructor(self, change: dict[str, Any], text: str) -> None:
        """With a sentence that names the entry or the field."""
        assert refusal(TapeError, lambda: attrs.evolve(TAPE, **change)).startswith(text)

    def test_is_checked_when_a_tape_is_unpickled(self, change: dict[str, Any], text: str) -> None:
        """With the same sentence."""
        make, fields = TAPE.__reduce__()
        names = [field.name for field in attrs.fields(type(TAPE))]
        given = {**dict(zip(names, fields, strict=True)), **change}

        class Tampered:
            def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
                return make, tuple(given.values())

        data = pickle.dumps(Tampered())
        assert refusal(TapeError, lambda: pickle.loads(data)).startswith(text)  # noqa: S301  # made above


def test_rows_that_backends_know_are_theirs() -> None:
    """A row by such a name that takes other operands is refused."""
    table = Table((*ops.TABLE.rows, attrs.evolve(ops.add, partials=(1.0,))))
    assert refusal(TapeError, lambda: attrs.evolve(TAPE, table=table)) == (
        "the row add of a tape is not that of tapegrad's table"
    )
    for rows in ((ops.add, ops.add), (1,)):
        with pytest.raises(TapeError, match="a table is made of rows, each of them once"):
            Table(rows)  # type: ignore[arg-type]  # on purpose


def test_a_tape_that_is_one_travels() -> None:
    """A pickle gives an equal tape, with its labels, scopes and lines."""
    there = pickle.loads(pickle.dumps(TAPE))  # noqa: S301  # made here
    assert there == TAPE
    assert (there.sites, there.labels, str(there)) == (TAPE.sites, TAPE.labels, str(TAPE))


# Compiled functions that travelled.


def state(f: Any, *args: Any) -> Any:
    """The shape and the tapes that a compiled function travels with."""
    compiled: Any = tg.jit(f).compile(*args)
    ((shape, tapes),) = compiled.__reduce__()[1][2]
    return shape, tapes


def test_tapes_and_shapes_that_do_not_fit_are_refused() -> None:
    """Of other arguments, of more of them, or of none."""
    one, two = state(lambda x: x * 2.0, 1.0), state(lambda p: p[0] * p[1], (1.0, 2.0))
    named = state(lambda p, n: p * n, 1.0, 2.0)
    for (shape, _), (_, tapes) in ((one, two), (two, one), (named, two), (two, named)):
        text = refusal(TapeError, partial(_unpickled, "f", "auto", [(shape, tapes)]))
        assert text == "tape 0 was not recorded from the arguments that it came with"
    for shape, tapes in (one, two, named):
        assert len(_unpickled("f", "auto", [(shape, tapes)]).tapes) == 1
    assert "not one of arguments" in refusal(
        TapeError,
        lambda: _unpickled("f", "auto", [(Leaf(), one[1])]),  # type: ignore[list-item]  # on purpose
    )


def test_batches_that_do_not_fit_are_refused() -> None:
    """Tapes of other rows, mapped inputs that are not there, and tapes of other results."""
    np = pytest.importorskip("numpy")
    from tapegrad.batch.batched_function import _unpickled as batch

    def made(f: Any, x: Any) -> Any:
        run: Any = tg.vmap(f, backend="numpy")
        run(x)
        return run.__reduce__()[1]

    name, options, ((shape, places, tapes),) = made(lambda x: x * 2.0, np.ones(3))
    _, _, ((wide, wide_places, wide_tapes),) = made(lambda p: p[0] + p[1], np.ones((3, 2)))
    _, _, ((_, _, others),) = made(lambda x: (x, x), np.ones(3))
    arrived: Any = batch(name, options, [(shape, places, tapes)])
    assert arrived(np.ones(2)).tolist() == [2.0, 2.0]
    for bad in (
        (shape, places, wide_tapes), (wide, wide_places, tapes), (shape, (1,), tapes),
        (wide, (1, 0), wide_tapes), (wide, (0, 0), wide_tapes), (shape, (-1,), tapes),
        (shape, places, (*tapes, *others)),
    ):  # fmt: skip
        with pytest.raises(TapeError):
            batch(name, options, [bad])
    # Fewer mapped inputs than the call has are found when rows are run.
    with pytest.raises(tg.errors.BackendError):
        batch(name, options, [(wide, (0,), wide_tapes)])(np.ones((3, 2)))


# Bits.


def mutants(seed: int, count: int) -> dict[str, int]:
    """What became of some mutants, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.tampering", str(seed), str(count)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = literal_eval(done.stdout)
    return found


def test_flipped_bits_are_refused_or_run() -> None:
    """500 tapes and 500 pickles: an error, or a tape that every backend runs."""
    pytest.importorskip("llvmlite")
    found = mutants(1, 1000)
    assert found["refused"] > 300
    assert found["accepted"] > 65
    assert found["pickle refused"] > 30
    assert found["pickle accepted"] > 15


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, marks=pytest.mark.slow if seed < 4 else pytest.mark.long)
        for seed in range(2, 12)
    ],
)
def test_many_flipped_bits_are_refused_or_run(seed: int) -> None:
    """10,000 mutants of each seed, half of them tapes and half of them pickles."""
    pytest.importorskip("llvmlite")
    assert sum(mutants(seed, 10_000).values()) == 10_000


class TestArrays:
    """A tape with arrays has values that its entries give; numpy's own errors are never seen."""

    def test_bits_of_columns(self) -> None:
        """A mutant is refused when it is made, or every reading of it runs, or is refused."""
        refused, draw = 0, random.Random(3)
        for _ in range(300):
            name = draw.choice(("codes", "left", "right", "pool"))
            try:
                tape = attrs.evolve(OF_ARRAYS, **{name: flipped(getattr(OF_ARRAYS, name), draw)})
            except TapeError:
                refused += 1
                continue
            for reading in (
                tape.gradient, tape.simplify, tape.expanded, tape.first_nonfinite, tape.stats,
                partial(tape.replay, *ARRAYS), partial(str, tape), partial(path_of, tape),
            ):  # fmt: skip
                allowed(reading)
        assert 200 < refused < 300

    def test_bits_of_pickles(self) -> None:
        """So is a pickle, whose values are computed again; its rows may be no more."""
        data, draw, refused, others = pickle.dumps(OF_ARRAYS), random.Random(5), 0, 0
        for _ in range(300):
            changed = bytearray(data)
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            try:
                found = pickle.loads(bytes(changed))  # noqa: S301  # our own, but for the bits
            except TapeError:
                refused += 1
            except Exception as error:  # noqa: BLE001  # whatever pickle raises
                others += isinstance(error, ImportError) and "tapegrad.ops" in str(error)
            else:
                if isinstance(found, tg.Tape):
                    allowed(partial(found.replay, *ARRAYS))
        assert refused > 50
        assert not others

    def test_an_entry_that_computes_another_shape(self) -> None:
        """It is named, with the shapes of its operands and its own."""
        slot = next(n for n in range(len(OF_ARRAYS)) if OF_ARRAYS.columns.row(n).name == "matmul")
        left = array("i", OF_ARRAYS.left)
        left[slot] = 1
        with pytest.raises(TapeError) as caught:
            attrs.evolve(OF_ARRAYS, left=left.tobytes())
        assert str(caught.value) == (
            f"entry {slot} of a tape applies matmul to shapes (2,), (2, 2), and has shape (2, 2)"
        )

    def test_own_tapes_are_not_computed_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Recording and replaying take no check of values that they have computed; loading does."""
        checked: list[object] = []
        monkeypatch.setattr(stored_arrays, "require_sound", checked.append)
        tape = tg.record(of_arrays)(*ARRAYS).replay(*ARRAYS)
        assert tape.simplify().tape.value == tape.value
        assert not checked
        assert pickle.loads(pickle.dumps(tape)) == tape  # noqa: S301  # our own
        assert len(checked) == 1


def of_arrays(p: Any, x: Any) -> Any:
    inside = tnp.tanh(x @ p["w"]) * p["b"]
    total = tnp.sum(inside) + tnp.max(p["w"]) + tnp.sort(p["b"])[0] + tnp.linalg.det(p["w"])
    return total if total > 0.0 else tnp.sum(tnp.concatenate([inside, x])[1:].T)


ARRAYS: Any = (
    {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5, 0.25])}, np.eye(2) + 0.5
)  # fmt: skip
OF_ARRAYS = tg.record(of_arrays)(*ARRAYS)
