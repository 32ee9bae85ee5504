"""Tapes and compiled functions with bits flipped: run as a process, since native code may end it.

``python -m tests.tampering SEED COUNT`` makes this many mutants, and ends with 0 where each of them
is refused with a ``TapeError``, or is a tape that everything runs.
"""

from __future__ import annotations

import pickle
import random
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, NamedTuple

import attrs

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.compile.backends import c, python
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.jit import Compiled
from tapegrad.compile.lower import lower
from tapegrad.entries.columns import Scope
from tapegrad.errors import TapeError, TapegradError
from tapegrad.pytree.structure import Branch, Leaf, Static

BYTES = ("codes", "left", "right", "stored", "pool", "site_of")


class Pair(NamedTuple, Generic[Real]):
    a: Real
    b: Real


def straight(x: Any) -> Any:
    return math.sin(x) * x + 2.0 / x - math.exp(-x) ** 3


def branches(p: Any, data: Any) -> Any:
    total = p["a"] * data[0]
    for step in range(4):
        total = total * 0.5 + data[1] if total > step * 0.1 else -total
    return tg.where((total > 0.0) & ~(p["b"] < 0.5), total, p["b"])


@tg.scope("wide")
def wide(pair: Any) -> Any:
    a, b = tg.label(pair.a, "first"), pair.b
    spread = math.fma(a, b, 2.0) + math.logsumexp([a, b, a]) + math.dot([a, b], [b, a])
    return spread + math.hypot(a, b) + math.polygamma(2, a) + math.lgamma(b) + a**2.5


def several(xs: Any, n: Any) -> Any:
    return {"sum": math.fsum(xs), "rest": [x * n for x in xs], "name": "static"}


CALLS: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...] = (
    (straight, (0.7,)),
    (tg.value_and_grad(straight), (0.7,)),
    (branches, ({"a": 0.3, "b": 0.8}, (0.5, 0.25))),
    (tg.grad(branches), ({"a": 0.3, "b": 0.8}, (0.5, 0.25))),
    (wide, (Pair(1.25, 2.5),)),
    (tg.grad(wide), (Pair(1.25, 2.5),)),
    (several, ([1.0, 2.0, 3.0], 4.0)),
)
TAPES = [tg.record(f)(*args) for f, args in CALLS]


# Mutants.


def flipped(column: bytes, draw: random.Random) -> bytes:
    """Some bits the other way; or a number of the column in the place of another."""
    changed = bytearray(column)
    if not changed:
        return bytes(draw.randrange(1, 9))
    if len(changed) >= 8 and draw.random() < 0.3:
        numbers = array("i", bytes(changed[: len(changed) // 4 * 4]))
        numbers[draw.randrange(len(numbers))] = draw.randrange(-2, len(column) // 3)
        return numbers.tobytes()
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed) if draw.random() < 0.95 else bytes(changed[: -draw.randrange(1, 9)])


def other_value(draw: random.Random) -> Any:
    """Something that may stand in a field by mistake."""
    return draw.choice(
        (None, 0, -1, 3, 2**40, 1.5, "x", b"", b"\0" * 8, (), (0,), (1, 2), ("x",), [], {}, Leaf(),
         Static(1.0), Branch(tuple, (0,), (Leaf(),)), Branch(dict, ("a", "b"), (Leaf(), Leaf())),
         Branch(int, (0,), (Leaf(),)), Branch(list, (0, 1), (Leaf(),)), Branch(Pair, ("a", "c"),
         (Leaf(), Leaf())), ((0, "x"),), ((9999, "x"),), ((2, "x"), (1, "y")),
         (Scope("s", 0, 2, None),), (Scope("s", 3, 2, None),), (Scope("s", 0, 9999, None),),
         (Scope("s", 0, 2, 0),), (Scope("s", 1, 3, None), Scope("t", 2, 9, 0)))
    )  # fmt: skip


def mutant(tape: Any, draw: random.Random) -> Any:
    """The tape with one field changed, made by ``evolve``."""
    if draw.random() < 0.8:
        name = draw.choice(BYTES)
        return attrs.evolve(tape, **{name: flipped(getattr(tape, name), draw)})
    field = draw.choice([field.name for field in attrs.fields(type(tape))])
    old = getattr(tape, field)
    if isinstance(old, tuple) and old and draw.random() < 0.5:
        changed = list(old)
        changed[draw.randrange(len(changed))] = other_value(draw)
        return attrs.evolve(tape, **{field: tuple(changed)})
    return attrs.evolve(tape, **{field: other_value(draw)})


# What is done with those that are accepted.


def use(tape: Any, draw: random.Random, *, native: bool) -> None:
    """Reads, replays and compiles a tape."""
    readings: tuple[Callable[[], object], ...] = (
        lambda: str(tape), lambda: list(tape), lambda: tape.value, tape.stats, tape.gradient,
        lambda: tape.simplify(fast=True), tape.jacobian_sparsity, lambda: hash(tape),
        tape.first_nonfinite, tape.to_dot, lambda: again(tape) == tape,
        lambda: tape.diff(tape), lambda: tape.explain(0, wrt=0),
    )  # fmt: skip
    for reading in draw.sample(readings, 3):
        allowed(reading)
    for options in ({"any_row": True}, {}, {"approximate": True}):
        allowed(partial(run, tape, options, native=native))


def again(tape: Any) -> object:
    return pickle.loads(pickle.dumps(tape))  # noqa: S301  # our own


def allowed(call: Callable[[], object]) -> None:
    """Calls; errors of ours are answers, too."""
    with suppress(TapegradError):
        call()


def run(tape: Any, options: Any, *, native: bool) -> None:
    program = lower(tape.columns.as_lists(), tape.outputs, **options)
    point = list(tape.numbers[: program.inputs])
    if options.get("any_row"):
        python.compiled(program)(point)
        return
    allowed(lambda: c.source(program))
    rows(program, point, numpy_rows)
    if native:
        from tapegrad.compile.backends.llvm import machine_code

        if not options:
            machine_code.ScalarFunction(program)(point)
        else:
            rows(program, point, machine_code.rows)


def numpy_rows(program: Any, options: Any) -> Any:
    from tapegrad.compile.backends.numpy import rows as compiled

    return compiled(program, options)


def rows(program: Any, point: list[float], compiled: Any) -> None:
    import numpy as np

    out, flips = np.empty((len(program.outputs), 16)), np.empty(16, np.int32)
    leaf = np.array([point, point, point], dtype=float).reshape(3, program.inputs)
    compiled(program, RowOptions(0, quick=True))(np.empty(0), [leaf], range(3), out, flips)


# Pickles.


def travelled() -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """Pickles of tapes, of compiled and of batched functions, and what to call them with."""
    import numpy as np

    for tape, (_, args) in zip(TAPES, CALLS, strict=True):
        yield pickle.dumps(tape), args
    for f, args in CALLS:
        yield pickle.dumps(tg.jit(f).compile(*args)), args
    column = np.array([0.7, 0.2, 1.5])
    batch: Any = tg.vmap(tg.value_and_grad(straight), backend="numpy")
    batch(column)
    yield pickle.dumps(batch), (column,)
    mapped = {"a": column, "b": column}
    batch = tg.vmap(branches, in_axes=(0, None))
    batch(mapped, (0.5, 0.25))
    yield pickle.dumps(batch), (mapped, (0.5, 0.25))


def from_pickle(given: tuple[bytes, tuple[Any, ...]], draw: random.Random) -> str:
    """Flips bits of a pickle; says what became of it."""
    data, args = given
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    try:
        found = pickle.loads(bytes(changed))  # noqa: S301  # our own, but for the bits
    except TapeError:
        return "refused"
    except Exception:  # noqa: BLE001  # whatever pickle raises
        return "no pickle"
    if isinstance(found, tg.Tape):
        use(found, draw, native=draw.random() < 0.1)
    elif isinstance(found, Compiled) or hasattr(found, "tapes"):
        allowed(lambda: found(*args))
    else:
        return "something else"
    return "accepted"


def main(seed: int, count: int) -> None:
    draw, pickles, seen = random.Random(seed), list(travelled()), Counter[str]()
    for index in range(count):
        if index % 2:
            seen[f"pickle {from_pickle(draw.choice(pickles), draw)}"] += 1
            continue
        try:
            tape = mutant(draw.choice(TAPES), draw)
        except TapeError:
            seen["refused"] += 1
            continue
        seen["accepted"] += 1
        use(tape, draw, native=draw.random() < 0.1)
    sys.stdout.write(repr(dict(seen)))


if __name__ == "__main__":
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
    main(int(sys.argv[1]), int(sys.argv[2]))
