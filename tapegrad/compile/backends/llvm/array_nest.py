"""LLVM's text of a loop over the rows of arrays, which takes all steps for one row at a time.

A row is what an array has at one place of the first axis. What a step computes of it is in a
register when the next step reads it, or in memory that is used again for the next row. Sums have
numpy's order: eight partial sums of numbers that stand side by side; those of many are left
to numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from string import Template
from typing import Final, Literal, TypeAlias, final

import attrs

from tapegrad.compile.backends.llvm.array_loop import FUNCTIONS

__all__ = ["ALONG", "EACH", "TOGETHER", "NestLoop", "NestMemory", "NestStep", "Read", "array_nest"]

_PAIRED: Final = 128
"""The most numbers that numpy adds up without halving them."""
_AT_ONCE: Final = 32
"""The longest sums of which eight are computed at once."""
_UNROLLED: Final = 4
"""The most vectors that are written one after the other, without a loop."""
_LANES: Final = 8

TOGETHER: Final = 4
"""How many rows are added onto arrays together."""

ALONG: Final = ("add", "minimum", "maximum")
"""The functions that go along the last axis, in the order in which ``run`` is given numpy's."""

_COMPARED: Final[Mapping[str, str]] = {
    "less": "olt", "less_equal": "ole", "greater": "ogt", "greater_equal": "oge",
    "equal": "oeq", "not_equal": "une",
}  # fmt: skip
_EXTREME: Final[Mapping[str, str]] = {"maximum": "ogt", "minimum": "olt"}

EACH: Final = frozenset((*FUNCTIONS, *_COMPARED, *_EXTREME, "choose", "sign"))
"""The functions that go element by element; truth values are the numbers 1 and 0."""


@final
@attrs.frozen
class Read:
    """Names something that a step is given, and how far apart its numbers are along each axis."""

    name: str
    strides: tuple[int, ...] = ()


@final
@attrs.frozen
class NestStep:
    """A function, what it is given, and what it writes.

    It goes over ``each`` element, ``along`` the last axis, or adds to what it is ``onto``, of which
    so many numbers are ``cleared`` before. What goes over each element ``is_stored`` if something
    else than the loop reads it.
    """

    kind: Literal["each", "along", "onto"]
    function: str
    given: tuple[Read, ...]
    written: Read
    is_stored: bool = False
    cleared: int = 0


@final
@attrs.frozen
class NestLoop:
    """Steps that go through a row of this shape, in this order."""

    shape: tuple[int, ...]
    steps: tuple[NestStep, ...]


Registers: TypeAlias = Sequence[str]


@final
@attrs.frozen
class NestMemory:
    """The memory that ``run`` is given: where arrays begin, by their names, and what they have.

    That are arrays with ``rows`` of so many numbers, those that are ``fixed``, and ``numbers``.
    Some are ``written``. Of more memory, of some ``size`` for each row, ``scratch`` has places.
    """

    rows: Mapping[str, int]
    fixed: Sequence[str]
    numbers: Sequence[str]
    written: Collection[str]
    scratch: Mapping[str, int]
    size: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arrays, in order."""
        return *self.rows, *self.fixed, *self.numbers


def array_nest(loops: Sequence[NestLoop], memory: NestMemory, neutral: float) -> str:
    """The text of ``run`` and of ``rest``; sums begin with the ``neutral`` number.

    They are given the first row, the end of the rows, the arrays, other memory, and for each
    function of ``ALONG`` numpy's own loop, and what that is given. ``run`` takes ``TOGETHER`` rows
    at a time, each of which has its own part of the memory, and adds them onto arrays together.
    """
    run, rest = (_Text(memory, repr(neutral), count) for count in (TOGETHER, 1))
    for text in (run, rest):
        text.rows(loops)
    parameters = [f"ptr {'noalias ' * (name in memory.written)}%at_{name}" for name in memory.names]
    declared = [
        f"declare <{lanes} x double> @llvm.{name}.v{lanes}f64(<{lanes} x double>)"
        for name in ("fabs", "sqrt")
        for lanes in range(2, _LANES + 1)
    ]
    return _NEST.substitute(
        declared="\n".join(declared),
        parameters=", ".join(parameters),
        run="\n".join(run.lines),
        rest="\n".join(rest.lines),
    )


@final
class _Text:
    """The lines of the function; ``block`` is the label of the block that they are in.

    ``at`` has where memory begins, ``known`` the registers of what was computed at a place. Of so
    many rows ``together``, ``which`` is the one that lines are for.
    """

    def __init__(self, memory: NestMemory, neutral: str, together: int) -> None:
        self.lines: list[str] = []
        self.block, self.count = "begin", 0
        self.memory, self.neutral, self.together, self.which = memory, neutral, together, 0
        self.known: dict[tuple[str, ...], str] = {}
        self.at: Mapping[str, str] = {}
        self.one = {
            name: self.new(f"load double, ptr %at_{name}, align 8") for name in memory.numbers
        }
        self.one[""] = neutral
        self.wide = {name: self.splat(_WIDE, one) for name, one in self.one.items()}

    def rows(self, loops: Sequence[NestLoop]) -> None:
        """The loop over the rows; at the end of a turn some are added onto arrays together."""
        first = len(loops)
        while first and all(map(_is_onto, _sinks(loops[first - 1]))):
            first -= 1

        def turn(index: str, _: Registers) -> Registers:
            def row(which: str, _: Registers) -> Registers:
                self.at = self.row(index, which)
                for one in loops[:first]:
                    _Loop(self, one, [self.at]).write(one.shape[:-1])
                return ()

            if first:
                self.loop("0", str(self.together), 1, (), row)
            places = [self.row(index, str(which)) for which in range(self.together)]
            for one in loops[first:]:
                _Loop(self, one, places).write(one.shape[:-1])
            return ()

        self.loop("%first", "%end", self.together, (), turn)

    def row(self, index: str, which: str) -> dict[str, str]:
        """The places where memory begins, for one of some rows."""
        found = {name: f"%at_{name}" for name in self.memory.fixed}
        at = self.new(f"add i64 {index}, {which}")
        for name, size in self.memory.rows.items():
            found[name] = self.moved(f"%at_{name}", self.times(at, size))
        own = self.moved("%scratch", self.times(which, self.memory.size))
        return found | {name: self.moved(own, str(at)) for name, at in self.memory.scratch.items()}

    def new(self, text: str) -> str:
        """The register with the result of an instruction."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def label(self) -> str:
        """A new label."""
        self.count += 1
        return f"l{self.count}"

    def begin(self, label: str) -> None:
        """Begins a block."""
        self.lines.append(f"{label}:")
        self.block = label

    def loop(
        self,
        start: str,
        end: str,
        step: int,
        carried: Sequence[tuple[str, str]],
        body: Callable[[str, Registers], Registers],
    ) -> Registers:
        """A loop that runs at least once, and what it has carried from turn to turn at its end.

        Each thing that is carried has a type and begins as a register.
        """
        label, after, before = self.label(), self.label(), self.block
        self.lines.append(f"  br label %{label}")
        self.begin(label)
        first, index, then = len(self.lines), f"%i_{label}", f"%then_{label}"
        registers = [f"%c{place}_{label}" for place in range(len(carried))]
        self.known.clear()
        last = body(index, registers)
        turns = [("i64", index, start, then)]
        for (kind, begin), register, end_of_turn in zip(carried, registers, last, strict=True):
            turns.append((kind, register, begin, end_of_turn))
        self.lines[first:first] = [
            f"  {name} = phi {kind} [ {begin}, %{before} ], [ {later}, %{self.block} ]"
            for kind, name, begin, later in turns
        ]
        self.lines += [
            f"  {then} = add i64 {index}, {step}",
            f"  %more_{label} = icmp slt i64 {then}, {end}",
            f"  br i1 %more_{label}, label %{label}, label %{after}",
        ]
        self.begin(after)
        self.known.clear()
        return last

    def splat(self, kind: str, one: str) -> str:
        """A number in all lanes."""
        if kind == _ONE:
            return one
        first, lanes = self.new(f"insertelement {kind} poison, double {one}, i64 0"), _lanes(kind)
        mask = f"<{lanes} x i32> zeroinitializer"
        return self.new(f"shufflevector {kind} {first}, {kind} poison, {mask}")

    def lanes(self, x: str, y: str, places: Iterable[int]) -> str:
        """A vector of some lanes of two others."""
        mask = ", ".join(f"i32 {place}" for place in places)
        return self.new(f"shufflevector {_WIDE} {x}, {_WIDE} {y}, <8 x i32> <{mask}>")

    def moved(self, at: str, offset: str) -> str:
        """A place so many numbers later."""
        return at if offset == "0" else self.new(f"getelementptr double, ptr {at}, i64 {offset}")

    def times(self, index: str, factor: int) -> str:
        """A multiple of an index."""
        if index.isdecimal():
            return str(int(index) * factor)
        if factor < 2:
            return index if factor else "0"
        return self.new(f"mul i64 {index}, {factor}")

    def offset(self, places: Sequence[str], strides: Sequence[int]) -> str:
        """How far it is to places along axes."""
        found = "0"
        for at, apart in zip(places, strides, strict=True):
            part = self.times(at, apart)
            if part != "0":
                found = part if found == "0" else self.new(f"add i64 {found}, {part}")
        return found

    def each(self, function: str, kind: str, given: Sequence[str]) -> str:
        """A function of registers, element by element."""
        if function == "choose":
            holds = self.new(f"fcmp une {kind} {given[0]}, zeroinitializer")
            return self.select(kind, holds, given[1], given[2])
        if function in _COMPARED:
            holds = self.new(f"fcmp {_COMPARED[function]} {kind} {given[0]}, {given[1]}")
            return self.new(f"uitofp {_truth(kind)} {holds} to {kind}")
        if function in _EXTREME:
            return self.chosen(function, kind, given)
        if function == "sign":
            return self.sign(kind, given[0])
        text = FUNCTIONS[function]
        if not text:
            return given[0]
        for place, register in enumerate(given):
            text = text.replace(f"${place}", register)
        suffix = "f64" if kind == _ONE else f"v{_lanes(kind)}f64"
        return self.new(Template(text).substitute(type=kind, suffix=suffix))

    def chosen(self, function: str, kind: str, given: Sequence[str]) -> str:
        """The larger or the smaller of two; of two zeros the first, and nan beside a nan."""
        x, y = given
        found = self.extreme(function, kind, x, y)
        broken = self.new(f"fadd {kind} {x}, {y}")
        return self.select(kind, self.new(f"fcmp uno {kind} {x}, {y}"), broken, found)

    def sign(self, kind: str, x: str) -> str:
        """1 or -1; 0.0 for both zeros, and nan for nan."""
        found = self.new(f"fadd {kind} {x}, {self.constant(kind, 0.0)}")
        for how, sign in (("ogt", 1.0), ("olt", -1.0)):
            holds = self.new(f"fcmp {how} {kind} {x}, zeroinitializer")
            found = self.select(kind, holds, self.constant(kind, sign), found)
        return found

    def constant(self, kind: str, value: float) -> str:
        """A number, in all lanes of a vector."""
        lanes = ", ".join([f"double {value!r}"] * _lanes(kind))
        return repr(value) if kind == _ONE else f"<{lanes}>"

    def extreme(self, function: str, kind: str, x: str, y: str) -> str:
        """The second of two if it is larger, or smaller, than the first."""
        holds = self.new(f"fcmp {_EXTREME[function]} {kind} {y}, {x}")
        return self.select(kind, holds, y, x)

    def select(self, kind: str, holds: str, x: str, y: str) -> str:
        """One of two where something holds, else the other."""
        return self.new(f"select {_truth(kind)} {holds}, {kind} {x}, {kind} {y}")

    def store(self, kind: str, register: str, place: str) -> None:
        """Writes a register to memory."""
        self.lines.append(f"  store {kind} {register}, ptr {place}, align 8")

    def numpys(self, function: str, place: str, given: str, count: int) -> None:
        """Calls numpy's own loop along numbers; it goes on from the number at ``place``."""
        words = self.moved("%words", str(2 * ALONG.index(function)))
        self.lines.append(
            f"  call void @numpys(ptr {words}, ptr {place}, ptr {given}, i64 {count})"
        )


@final
class _Loop:
    """The lines of a loop through a row, or through several, whose memory is at ``places``.

    ``outer`` has the places on the axes before the last one.
    """

    def __init__(self, text: _Text, loop: NestLoop, places: Sequence[Mapping[str, str]]) -> None:
        self.text, (*_, self.length) = text, loop.shape
        self.places = places
        self.made = {step.written: step for step in loop.steps if step.kind == "each"}
        self.sinks = _sinks(loop)
        along = [step for step in self.sinks if step.kind == "along"]
        self.left_to_numpy = [
            step for step in along if step.function == "add" and self.length > _PAIRED
        ]
        self.along = {step.written.name: step for step in along if step not in self.left_to_numpy}
        self.outer: list[str] = []
        self.whole = self.length - self.length % _LANES

    def write(self, shape: Sequence[int]) -> None:
        """All lines, for this shape of the axes before the last one."""
        text = self.text
        text.at = self.places[0]
        for step in self.sinks:
            if step.cleared:
                at = text.at[step.written.name]
                text.loop("0", str(step.cleared), 1, (), partial(self.clear, at))
        self.level(shape)

    def clear(self, at: str, index: str, _: Registers) -> Registers:
        """Begins a sum."""
        self.text.store("double", self.text.neutral, self.text.moved(at, index))
        return ()

    def level(self, shape: Sequence[int]) -> None:
        """The loops over axes before the last one, and what is inside."""
        if not shape:
            self.inner()
            return
        size, whole = shape[0], 0
        if len(shape) == 1 and self.is_at_once():
            whole = size - size % _LANES
        if whole:
            self.over(0, whole, _LANES, partial(self.several, _LANES))
        if whole and whole < size:
            self.outer.append(str(whole))
            self.several(size - whole)
            self.outer.pop()
        elif not whole:
            self.over(0, size, 1, partial(self.level, shape[1:]))

    def over(self, start: int, end: int, step: int, body: Callable[[], None]) -> None:
        """A loop over one axis."""

        def turn(index: str, _: Registers) -> Registers:
            self.outer.append(index)
            body()
            self.outer.pop()
            return ()

        self.text.loop(str(start), str(end), step, (), turn)

    def is_at_once(self) -> bool:
        """Whether eight sums are computed at once."""
        is_whole = self.whole == self.length and not self.left_to_numpy
        functions = {step.function for step in self.along.values()}
        return is_whole and self.length <= _AT_ONCE and functions == {"add"}

    def several(self, count: int) -> None:
        """Some sums, at places of the axis before the last one that follow each other."""
        text, index = self.text, self.outer[-1]
        vectors: dict[str, list[str]] = {name: [] for name in self.along}
        for lane in range(count):
            self.outer[-1] = text.new(f"add i64 {index}, {lane}") if lane else index
            for name, register in self.chunks().items():
                vectors[name].append(register)
        self.outer[-1] = index
        kind = _vector(count)
        for name, found in vectors.items():
            result = self.sums([*found, *found[:1] * (_LANES - count)])
            if count == 1:
                result = text.new(f"extractelement {_WIDE} {result}, i64 0")
            elif count < _LANES:
                places = ", ".join(f"i32 {lane}" for lane in range(count))
                mask = f"<{count} x i32> <{places}>"
                result = text.new(f"shufflevector {_WIDE} {result}, {_WIDE} poison, {mask}")
            begun = text.new(f"fadd {kind} {text.splat(kind, text.neutral)}, {result}")
            text.store(kind, begun, self.place(self.along[name].written))

    def sums(self, vectors: Sequence[str]) -> str:
        """The sums of eight vectors, of which each adds its lanes pair by pair."""
        text = self.text
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [
                text.new(f"fadd {_WIDE} {text.lanes(x, y, _EVEN)}, {text.lanes(x, y, _ODD)}")
                for x, y in pairs
            ]
        return vectors[0]

    def inner(self) -> None:
        """The last axis."""
        found = self.folded(self.chunks()) if self.whole else {}
        rest = self.length - self.whole
        kind = _vector(rest)
        lanes = self.steps(str(self.whole), kind) if rest else {}
        for lane in range(rest if lanes else 0):
            one = {name: self.lane(name, kind, lanes[name], lane) for name in lanes}
            found = self.joined(found, one, _ONE) if found else one
        for name, result in found.items():
            if name in self.along:
                self.end(self.along[name], result, found.get(name + _BAD, ""))
        text = self.text
        for step in self.left_to_numpy:
            at = self.place(step.written)
            text.store("double", text.neutral, at)
            text.numpys("add", at, self.place(step.given[0]), self.length)

    def lane(self, name: str, kind: str, register: str, lane: int) -> str:
        """A lane of what came of steps."""
        if kind == _ONE:
            return register
        whole = _truth(kind) if _BAD in name else kind
        return self.text.new(f"extractelement {whole} {register}, i64 {lane}")

    def chunks(self) -> dict[str, str]:
        """The steps for whole vectors along the last axis, and what comes of them lane by lane."""
        found = self.steps("0", _WIDE)
        if self.whole <= _UNROLLED * _LANES:
            for place in range(_LANES, self.whole, _LANES):
                found = self.joined(found, self.steps(str(place), _WIDE), _WIDE)
            return found

        def turn(index: str, carried: Registers) -> Registers:
            held = dict(zip(found, carried, strict=True))
            return tuple(self.joined(held, self.steps(index, _WIDE), _WIDE).values())

        carried = [(_truth(_WIDE) if _BAD in name else _WIDE, found[name]) for name in found]
        ends = self.text.loop(str(_LANES), str(self.whole), _LANES, carried, turn)
        return dict(zip(found, ends, strict=True))

    def steps(self, inner: str, kind: str) -> dict[str, str]:
        """The steps at a place, what those along the axis are given, and where that is nan."""
        found: dict[str, str] = {}
        text = self.text
        for step in self.sinks:
            if step in self.left_to_numpy:
                continue
            if step.kind == "each":
                text.store(kind, self.computed(step, inner, kind), self.place(step.written, inner))
                continue
            if step.kind == "onto":
                self.add(step, inner, kind)
                continue
            x = self.value(step.given[0], inner, kind)
            found[step.written.name] = x
            if step.function != "add":
                found[step.written.name + _BAD] = text.new(f"fcmp uno {kind} {x}, {x}")
        return found

    def add(self, step: NestStep, inner: str, kind: str) -> None:
        """Adds what a step is given of each row onto what is there."""
        text = self.text
        text.at = self.places[0]
        place = self.place(step.written, inner)
        found = text.new(f"load {kind}, ptr {place}, align 8")
        for text.which, text.at in enumerate(self.places):
            found = text.new(f"fadd {kind} {found}, {self.value(step.given[0], inner, kind)}")
        text.which, text.at = 0, self.places[0]
        text.store(kind, found, place)

    def joined(self, x: Mapping[str, str], y: Mapping[str, str], kind: str) -> dict[str, str]:
        """Takes what came of steps at some places together with what came of them at others."""
        return {
            name: self.text.new(f"or {_truth(kind)} {x[name]}, {y[name]}")
            if _BAD in name
            else self.join(name, kind, x[name], y[name])
            for name in x
        }

    def join(self, name: str, kind: str, x: str, y: str) -> str:
        """Takes two numbers of a step along the axis together."""
        function = self.along[name].function
        if function == "add":
            return self.text.new(f"fadd {kind} {x}, {y}")
        return self.text.extreme(function, kind, x, y)

    def folded(self, found: Mapping[str, str]) -> dict[str, str]:
        """The lanes of vectors taken together, pair by pair."""
        return {
            name: self.any(register) if _BAD in name else self.fold(name, register)
            for name, register in found.items()
        }

    def any(self, register: str) -> str:
        """Whether something holds in a lane."""
        bits = self.text.new(f"bitcast {_truth(_WIDE)} {register} to i8")
        return self.text.new(f"icmp ne i8 {bits}, 0")

    def fold(self, name: str, register: str) -> str:
        """The lanes of a vector taken together, pair by pair."""
        for apart in (1, 2, 4):
            places = [lane ^ apart for lane in range(_LANES)]
            other = self.text.lanes(register, "poison", places)
            register = self.join(name, _WIDE, register, other)
        return self.text.new(f"extractelement {_WIDE} {register}, i64 0")

    def end(self, step: NestStep, result: str, is_bad: str) -> None:
        """Writes what a step along the axis comes to.

        Where that is a zero, whose sign depends on the order, or nan, numpy's own loop finds it.
        """
        text, place = self.text, self.place(step.written)
        if step.function == "add":
            text.store("double", text.new(f"fadd double {text.neutral}, {result}"), place)
            return
        text.store("double", result, place)
        is_zero = text.new(f"fcmp oeq double {result}, 0.0")
        is_rare = text.new(f"or i1 {is_zero}, {is_bad}")
        rare, after = text.label(), text.label()
        text.lines.append(f"  br i1 {is_rare}, label %{rare}, label %{after}")
        text.begin(rare)
        given = self.place(step.given[0])
        first = text.new(f"load double, ptr {given}, align 8")
        text.store("double", first, place)
        text.numpys(step.function, place, text.moved(given, "1"), self.length - 1)
        text.lines.append(f"  br label %{after}")
        text.begin(after)

    def place(self, read: Read, inner: str = "0") -> str:
        """Where something stands in memory."""
        places = [*self.outer, inner][: len(read.strides)]
        return self.text.moved(self.text.at[read.name], self.text.offset(places, read.strides))

    def key(self, read: Read, inner: str, kind: str) -> tuple[str, ...]:
        """The key that distinguishes numbers from others that are read in this loop."""
        places = zip([*self.outer, inner], read.strides, strict=bool(read.strides))
        which = "" if read.name in self.text.memory.fixed else str(self.text.which)
        return read.name, kind, which, *(f"{at} {apart}" for at, apart in places if apart)

    def value(self, read: Read, inner: str, kind: str) -> str:
        """The register with what a step is given."""
        text = self.text
        if read.name in text.one and kind in {_ONE, _WIDE}:
            return (text.wide if kind == _WIDE else text.one)[read.name]
        if read in self.made:
            return self.computed(self.made[read], inner, kind)
        key = self.key(read, inner, kind)
        if key not in text.known:
            text.known[key] = self.loaded(read, inner, kind)
        return text.known[key]

    def loaded(self, read: Read, inner: str, kind: str) -> str:
        """Numbers from memory."""
        text = self.text
        if read.name in text.one:
            return text.splat(kind, text.one[read.name])
        place = self.place(read, inner)
        if kind == _ONE or read.strides[-1]:
            return text.new(f"load {kind}, ptr {place}, align 8")
        return text.splat(kind, text.new(f"load double, ptr {place}, align 8"))

    def computed(self, step: NestStep, inner: str, kind: str) -> str:
        """The register with what a step computes, which it does once at a place."""
        text, key = self.text, self.key(step.written, inner, kind)
        if key not in text.known:
            given = [self.value(read, inner, kind) for read in step.given]
            text.known[key] = text.each(step.function, kind, given)
        return text.known[key]


def _sinks(loop: NestLoop) -> list[NestStep]:
    """The steps of a loop that write to memory."""
    return [step for step in loop.steps if step.is_stored or step.kind != "each"]


def _is_onto(step: NestStep) -> bool:
    """Whether a step adds rows onto an array."""
    return step.kind == "onto" and not step.cleared


_WIDE: Final = "<8 x double>"
_ONE: Final = "double"
_EVEN, _ODD = range(0, 2 * _LANES, 2), range(1, 2 * _LANES, 2)
_BAD: Final = " is nan"


def _vector(lanes: int) -> str:
    """The type of so many numbers."""
    return _ONE if lanes == 1 else f"<{lanes} x double>"


def _lanes(kind: str) -> int:
    """How many lanes a vector of this type has."""
    return int(kind[1]) if kind[0] == "<" else 1


def _truth(kind: str) -> str:
    """The type of truth values beside one of numbers."""
    return kind.replace("double", "i1")


_NEST: Final = Template("""\
declare double @llvm.fabs.f64(double)
declare double @llvm.sqrt.f64(double)
$declared
define internal void @numpys(ptr %words, ptr %place, ptr %given, i64 %count) noinline nounwind {
begin:
  %arrays = alloca [3 x ptr], align 8
  %size = alloca i64, align 8
  %strides = alloca [3 x i64], align 8
  %second = getelementptr ptr, ptr %arrays, i64 1
  %third = getelementptr ptr, ptr %arrays, i64 2
  store ptr %place, ptr %arrays, align 8
  store ptr %given, ptr %second, align 8
  store ptr %place, ptr %third, align 8
  store i64 %count, ptr %size, align 8
  store [3 x i64] [i64 0, i64 8, i64 0], ptr %strides, align 8
  %loop = load ptr, ptr %words, align 8
  %data_at = getelementptr i64, ptr %words, i64 1
  %data = load ptr, ptr %data_at, align 8
  call void %loop(ptr %arrays, ptr %size, ptr %strides, ptr %data)
  ret void
}
define void @run(i64 %first, i64 %end, $parameters, ptr noalias %scratch, ptr %words) nounwind {
begin:
$run
  ret void
}
define void @rest(i64 %first, i64 %end, $parameters, ptr noalias %scratch, ptr %words) nounwind {
begin:
$rest
  ret void
}
""")
