"""Machine code reads and writes what it was given and nothing beside it, whoever calls it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.compile.backends import python
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.program import batch_program
from tests import strategies
from tests.strategies import points, programs
from tests.test_backends import program_of, slopes_tape

np = pytest.importorskip("numpy")
columns = pytest.importorskip("tapegrad.compile.backends.numpy")
native = pytest.importorskip("tapegrad.compile.backends.llvm.machine_code")
entry = pytest.importorskip("tapegrad.compile.backends.llvm.native_entry")

PACKAGE = Path(tg.__file__).parent
CANARY = 0x7FF4DEADBEEF0BAD
"""The bits of a number that no operation gives."""


def test_machine_code_is_entered_in_one_file() -> None:
    """Nothing else makes a function of an address, but for the calls back into Python."""
    files = [
        file.name
        for file in PACKAGE.rglob("*.py")
        if re.search(r"CFUNCTYPE|PYFUNCTYPE|\.restype|\.argtypes", file.read_text(encoding="utf-8"))
    ]
    assert sorted(files) == ["host_calls.py", "native_entry.py"]


# Arrays that do not fit.


def model(shared: Any, x: Any, ys: Sequence[Any]) -> list[Any]:
    return [shared * x + ys[0], tg.math.sin(ys[1]) * ys[2]]


def good_arrays(rows: int, *, sums: bool) -> dict[str, Any]:
    """What the code of ``model`` is run on: a shared number, a column, and one of three."""
    return {
        "shared": np.array([2.0]),
        "leaves": [np.linspace(0.0, 1.0, rows), np.ones((rows, 3))],
        "rows": range(rows),
        "out": np.zeros((2, 8)) if sums else np.empty((2, -(-rows // 16) * 16)),
        "flips": np.empty(-(-rows // 16) * 16, np.int32),
    }


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "no shared number": lambda a: a.update(shared=np.empty(0)),
    "two shared numbers": lambda a: a.update(shared=np.ones(2)),
    "shared numbers of another type": lambda a: a.update(shared=np.ones(1, np.float32)),
    "shared numbers in two axes": lambda a: a.update(shared=np.ones((1, 1))),
    "a column too few": lambda a: a["leaves"].pop(0),
    "a column too many": lambda a: a["leaves"].append(np.ones(20)),
    "a wider leaf": lambda a: a["leaves"].__setitem__(1, np.ones((20, 4))),
    "a narrower leaf": lambda a: a["leaves"].__setitem__(1, np.ones((20, 2))),
    "a leaf of another type": lambda a: a["leaves"].__setitem__(0, np.ones(20, np.float32)),
    "a leaf of ints": lambda a: a["leaves"].__setitem__(0, np.ones(20, np.int64)),
    "a leaf of three axes": lambda a: a["leaves"].__setitem__(1, np.ones((20, 3, 1))),
    "a leaf by columns": lambda a: a["leaves"].__setitem__(1, np.ones((3, 20)).T),
    "a leaf that is short": lambda a: a["leaves"].__setitem__(0, np.ones(19)),
    "a leaf between doubles": lambda a: a["leaves"].__setitem__(
        0, np.zeros(20, [("a", "i4"), ("x", "f8")])["x"]
    ),
    "rows beyond the last": lambda a: a.update(rows=range(1, 21)),
    "rows before the first": lambda a: a.update(rows=range(-1, 19)),
    "rows apart": lambda a: a.update(rows=range(0, 20, 2)),
    "a row that is not there": lambda a: a.update(rows=np.array([3, 20])),
    "a row below 0": lambda a: a.update(rows=np.array([3, -1])),
    "rows of another type": lambda a: a.update(rows=np.arange(20, dtype=np.int32)),
    "rows that are not side by side": lambda a: a.update(rows=np.arange(20)[::2]),
    "outputs of another type": lambda a: a.update(out=a["out"].astype(np.float32)),
    "an output too few": lambda a: a.update(out=a["out"][:1]),
    "an output too many": lambda a: a.update(out=np.zeros((3, a["out"].shape[1]))),
    "outputs without room": lambda a: a.update(out=np.zeros((2, 7))),
    "outputs by columns": lambda a: a.update(out=np.zeros(a["out"].shape[::-1]).T),
    "outputs in one axis": lambda a: a.update(out=np.zeros(64)),
    "guards without room": lambda a: a.update(flips=np.empty(19, np.int32)),
    "guards of another type": lambda a: a.update(flips=np.empty(32, np.int64)),
    "guards that are not side by side": lambda a: a.update(flips=np.empty(64, np.int32)[::2]),
    "outputs that are read-only": lambda a: a["out"].setflags(write=False),
}


def codes() -> dict[str, Any]:
    tape = tg.record(model)(2.0, 0.5, (0.1, 0.2, 0.3))
    program = batch_program(program_of(tape), (1, 2, 3, 4)).rows
    return {
        "llvm": native.rows(program, RowOptions(1)),
        "sums": native.rows(program, RowOptions(1, sums=True)),
        "numpy": columns.rows(program, RowOptions(1)),
    }


@pytest.fixture(scope="module", name="made")
def _made() -> dict[str, Any]:
    return codes()


@pytest.mark.parametrize("name", ["llvm", "sums", "numpy"])
@pytest.mark.parametrize("problem", BAD)
def test_arrays_that_do_not_fit_are_refused(made: dict[str, Any], name: str, problem: str) -> None:
    """Whatever the caller passes, the code is not entered."""
    arrays = good_arrays(20, sums=name == "sums")
    made[name](*arrays.values())
    BAD[problem](arrays)
    before = arrays["out"].tobytes()
    with pytest.raises(tg.errors.BackendError, match="compiled code for 1 numbers that all rows"):
        made[name](*arrays.values())
    assert arrays["out"].tobytes() == before


@pytest.mark.parametrize("given", [(), (1.0,), (1.0, 2.0, 3.0), (1.0, "x")])
def test_numbers_that_do_not_fit_one_call_are_refused(given: tuple[Any, ...]) -> None:
    """Neither fewer nor more than the code reads."""
    program = program_of(tg.record(lambda xs: xs[0] * xs[1])((2.0, 3.0)))
    run = native.ScalarFunction(program)
    with pytest.raises(tg.errors.BackendError, match="compiled code for 2 numbers was to run"):
        run(given)
    with pytest.raises(tg.errors.BackendError, match="compiled code for 2 numbers was to run"):
        run.run_bytes(b"\0" * 8 * 3)


# Canaries.


def guarded(shape: tuple[int, ...], dtype: Any = float) -> tuple[Any, Callable[[], bool]]:
    """An array inside a larger one, and whether what stands around it is untouched."""
    count, edge = int(np.prod(shape)), 24
    whole = np.full(count * np.dtype(dtype).itemsize // 8 + 1 + 2 * edge, CANARY, np.uint64)
    before = whole.copy()
    inside = whole[edge:-edge].view(dtype)[:count].reshape(shape)
    used = np.zeros(whole.shape, np.bool_)
    used[edge : edge + -(-inside.nbytes // 8)] = True
    return inside, lambda: bool((whole[~used] == before[~used]).all())


def filled(values: Any) -> tuple[Any, Callable[[], bool]]:
    """A guarded array with these values, which are to stay."""
    values = np.asarray(values)
    inside, around = guarded(values.shape, values.dtype)
    inside[...] = values
    return inside, lambda: around() and inside.tobytes() == values.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    programs(6),
    st.lists(points(3), min_size=1, max_size=40),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_code_for_rows_writes_nothing_beside_its_arrays(
    function: strategies.Program, rows: list[list[float]], sums: bool, quick: bool, shared: int
) -> None:
    """Random programs with patterns around all that they read and write, and around the buffer."""
    tape = slopes_tape(function, rows[0][: function.width])
    mapped = range(min(shared, function.width), function.width)
    parts = batch_program(program_of(tape), mapped)
    same = python.compiled(parts.shared)(rows[0][: mapped.start])
    if isinstance(same, int):
        return
    room = -(-len(rows) // 16) * 16
    values = np.array(rows)[:, mapped.start : function.width]
    given_shared, shared_kept = filled(np.array(same, dtype=float))
    columns_kept = [filled(values[:, index].copy()) for index in range(len(mapped))]
    outputs = len(parts.rows.outputs)
    out, out_kept = guarded((outputs, 8) if sums else (outputs, room))
    out[...] = -0.0
    flips, flips_kept = guarded((room,), np.int32)
    index, index_kept = filled(np.arange(len(rows))[::-1].copy())
    buffers: list[tuple[Any, Callable[[], bool]]] = []

    def empty(size: int) -> Any:
        buffers.append(guarded((size,)))
        return buffers[-1][0]

    run = native.rows(parts.rows, RowOptions(len(same), sums=sums, quick=quick))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "_buffer", empty)
        run(given_shared, [leaf for leaf, _ in columns_kept], index, out, flips)
    kept = [shared_kept, out_kept, flips_kept, index_kept]
    kept += [untouched for _, untouched in [*columns_kept, *buffers]]
    assert all(untouched() for untouched in kept)
    scratch = buffers[0][0].view(np.uint64)
    table = 1 + 3 * len(mapped)
    assert (scratch[-table - 8 : -table] == CANARY).all()


@settings(max_examples=30, deadline=None)
@given(programs(8), st.data())
def test_code_for_one_call_writes_nothing_beside_its_arrays(
    function: strategies.Program, data: Any
) -> None:
    """Random programs with patterns after their outputs and after the buffer."""
    start, other = (data.draw(points(function.width)) for _ in range(2))
    program = program_of(slopes_tape(function, start))
    run = native.ScalarFunction(program)
    inside = run.run_bytes.__self__
    made = []

    def longer(kind: Any) -> Callable[[], Any]:
        def make() -> Any:
            array = (entry.ctypes.c_uint64 * (kind._length_ + 16))(*[CANARY] * (kind._length_ + 16))
            made.append((array, kind._length_))
            return kind.from_buffer(array)

        return make

    inside._outputs, inside._buffer = longer(inside._outputs), longer(inside._buffer)
    for point in (start, other):
        run(point)
    assert len(made) == 3
    for array, count in made:
        assert list(array[count:]) == [CANARY] * 16


# Rows that have code of their own.


@settings(max_examples=30, deadline=None)
@given(st.lists(programs(6), min_size=1, max_size=3), st.data())
def test_rows_with_code_of_their_own_are_run_as_calls_one_by_one(
    functions: list[strategies.Program], data: Any
) -> None:
    """Outputs and guards have the bits of single calls, and nothing is written beside them."""
    width, made, inputs, counts = max(f.width for f in functions), [], [], []
    for function in functions:

        def f(xs: Any, function: Any = function) -> Any:
            return function(xs[: function.width]) + 0.0 * xs[-1]

        rows = data.draw(st.lists(points(width), min_size=1, max_size=5))
        made.append(native.ScalarFunction(program_of(tg.record(f)(rows[0]))))
        counts.append(len(rows))
        inputs += rows
    codes = [code for code, count in zip(made, counts, strict=True) for _ in range(count)]
    expected = [code(row) for code, row in zip(codes, inputs, strict=True)]
    entries = [code.entry for code in made]
    if any(one.calls_python for one in entries):
        return
    given, kept = filled(np.array(inputs))
    given.flags.writeable = False
    out, flips = native.each()(entries, counts, given)
    for found, flip, one in zip(out.tolist(), flips.tolist(), expected, strict=True):
        assert flip == (one if isinstance(one, int) else -1)
        assert isinstance(one, int) or strategies.bits(*found) == strategies.bits(*one)
    assert kept()


@pytest.mark.parametrize(
    ("counts", "inputs"),
    [
        ((2, 2), np.ones((3, 2))),
        ((4, -1), np.ones((3, 2))),
        ((2, 1), np.ones((3, 3))),
        ((2, 1), np.ones((3, 2), np.float32)),
        ((2, 1), np.ones((2, 3)).T),
    ],
)
def test_rows_that_do_not_fit_their_code_are_refused(counts: Any, inputs: Any) -> None:
    """There is a row for each that is counted, of as many numbers as the code reads."""
    code = native.ScalarFunction(program_of(tg.record(lambda xs: xs[0] * xs[1])((2.0, 3.0))))
    with pytest.raises(tg.errors.BackendError, match=r"compiled code for \d numbers was to run"):
        native.each()([code.entry] * 2, counts, inputs)
