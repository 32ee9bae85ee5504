"""The buffer through which the pieces of a program pass values on.

A loop's value that other pieces read has a place for each iteration, side by side by iteration:
they are the loop's *grid*. What an iteration reads of one shortly before it is *carried* along, in
variables. Numbers just outside a loop that are read as if they were one iteration more are copied
beside its grid before the piece that reads them begins. Numbers of straight pieces that a loop
reads one after the other have places side by side, too: they are *strung* together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias, final

import attrs

from tapegrad.compile.computed_again import computed_again
from tapegrad.compile.loops import Line, Piece, Read, Table

__all__ = [
    "Carried",
    "Input",
    "PieceBuffer",
    "Place",
    "PlacedPiece",
    "Source",
    "Stored",
    "piece_buffer",
]

_CARRIED: Final = 3
"""The most iterations that a value is carried."""

_ATTEMPTS: Final = 8
"""How often loops are shortened until they fit; then those that do not are left straight."""

_BESIDE: Final = 64
"""The most numbers that are copied beside a grid for one read."""


@final
@attrs.frozen
class Input:
    """The program's input ``first + step * t``."""

    first: int
    step: int


@final
@attrs.frozen
class Place:
    """The place ``first + step * t`` of the buffer."""

    first: int
    step: int


@final
@attrs.frozen
class Carried:
    """The value that entry ``entry`` of the body had ``back`` iterations before this one."""

    entry: int
    back: int


Source: TypeAlias = Input | Place | Table
"""Where a piece finds an input of its body that is not carried along."""


@final
@attrs.frozen
class Stored:
    """A value of the body that each iteration stores."""

    entry: int
    place: Place


@final
@attrs.frozen(eq=False)
class PlacedPiece:
    """A piece, and where it finds and leaves values.

    ``sources`` and ``carried`` are by the body's inputs. ``copies`` are pairs of places, to and
    from, for before it begins; ``starts`` has the places of what is carried into the first
    iteration, with all between an entry and the one that is read.
    """

    piece: Piece
    sources: Mapping[int, Source]
    carried: Mapping[int, Carried]
    stored: Sequence[Stored]
    copies: Sequence[tuple[int, int]]
    starts: Mapping[Carried, int]


@final
@attrs.frozen(eq=False)
class PieceBuffer:
    """The pieces of a program in order, and how many places their buffer has."""

    pieces: Sequence[PlacedPiece]
    places: int


def piece_buffer(line: Line, size: int, split: int = 0, *, again: bool = False) -> PieceBuffer:
    """The pieces of a line, straight ones of ``size`` entries, and where they pass values on.

    With ``again`` some compute again what others need not keep then.

    A loop that reads in a way that cannot be spelled is left straight: through the inputs on both
    sides of ``split``, for one. So are the last iterations of one that read its own first ones as
    what others made.
    """
    attempts = 0
    while True:
        pieces = tuple(line.pieces(size))
        planner = _Planner(computed_again(line, pieces, split) if again else pieces, split)
        if not planner.misfits:
            return planner.buffer()
        is_late = attempts >= _ATTEMPTS
        line = line.shortened(dict.fromkeys(planner.misfits, 0) if is_late else planner.misfits)
        attempts += 1


@final
@attrs.frozen
class _Single:
    """A number that is read by itself."""

    number: int


@final
@attrs.frozen
class _Row:
    """The values of an ``entry`` of the piece ``home``, from iteration ``turn`` by ``step``."""

    home: int
    entry: int
    turn: int
    step: int

    def turns(self, count: int) -> range:
        """The iterations that are read."""
        return range(self.turn, self.turn + count * self.step, self.step)


@final
@attrs.frozen
class _String:
    """Numbers ``residue + step * i`` that were made about the piece ``home``.

    Of these there are places side by side for those that are read.
    """

    home: int
    step: int
    residue: int

    def index(self, number: int) -> int:
        """Which one a number is."""
        return (number - self.residue) // self.step


@final
@attrs.frozen
class _Strung:
    """Numbers that are read one after the other, from ``first`` on, or before it."""

    string: _String
    first: int
    step: int


_Found: TypeAlias = "Input | Carried | Table | _Single | _Row | _Strung"


@final
class _Misfit(Exception):
    """A loop reads in a way that is not spelled: no error, all but ``count`` trips are straight."""

    def __init__(self, count: int = 0) -> None:
        super().__init__(count)
        self.count = count


@final
class _Planner:
    """Plans the buffer: first what has to be kept, and then where.

    ``singles`` are the numbers that are read by themselves, with their places; ``grids`` the
    entries of a loop that are kept for all its iterations, and ``reach`` from which iteration to
    which. ``beside`` are the numbers that a piece has to copy beside grids. ``strings`` has the
    numbers that are strung together, and ``fetched`` those of loops that a piece has to copy there.
    Loops that are ``misfits`` fit if they run so many times.
    """

    def __init__(self, pieces: Sequence[Piece], split: int) -> None:
        self.pieces, self.split = pieces, split
        self.firsts = [piece.first for piece in pieces]
        self.singles: dict[int, int] = {}
        self.grids: dict[int, dict[int, int]] = {}
        self.reach: dict[int, tuple[int, int]] = {}
        self.bases: dict[int, int] = {}
        self.beside: list[dict[tuple[int, int, int], int]] = [{} for _ in pieces]
        self.strings: dict[_String, set[int]] = {}
        self.fetched: list[set[tuple[_String, int]]] = [set() for _ in pieces]
        self.begins: dict[_String, int] = {}
        self.strung: dict[int, list[int]] = {}
        self.misfits: dict[int, int] = {}
        self.found: list[list[_Found]] = []
        for index, piece in enumerate(pieces):
            try:
                self.found.append([self.find(index, source) for source in piece.sources])
            except _Misfit as misfit:
                self.misfits[piece.first] = misfit.count

    # What has to be kept.

    def find(self, index: int, source: Read | Table) -> _Found:
        """Notes what a piece reads, to be kept where it is made."""
        piece = self.pieces[index]
        if isinstance(source, Table):
            return source
        if source.first < self.firsts[0]:
            if (source.first < self.split) != (source.at(piece.count - 1) < self.split):
                raise _Misfit
            return Input(source.first, source.step)
        if source.step == 0:
            self.keep(source.first)
            return _Single(source.first)
        if source.step == piece.length:
            back = -((source.first - piece.first) // piece.length)
            if back <= _CARRIED:
                return self.carried(piece, source, back)
        return self.row(index, source)

    def carried(self, piece: Piece, source: Read, back: int) -> Carried:
        """A value that is carried, of which the first iterations read others."""
        first = source.first + back * piece.length
        for turn in range(1, back + 1):
            self.keep(first - turn * piece.length)
        return Carried(first - piece.first, back)

    def keep(self, number: int) -> None:
        """Notes that a number is read by itself."""
        home = bisect_right(self.firsts, number) - 1
        piece = self.pieces[home]
        turn, entry = divmod(number - piece.first, piece.length)
        if turn == piece.count - 1:
            self.singles.setdefault(number, 0)
        else:
            self.keep_row(home, entry, turn, turn)

    def keep_row(self, home: int, entry: int, low: int, high: int) -> None:
        """Notes that an entry of a loop is kept for its iterations, and for those beside."""
        self.grids.setdefault(home, {})[entry] = 0
        reach = self.reach.get(home, (0, self.pieces[home].count - 1))
        self.reach[home] = min(low, reach[0]), max(high, reach[1])

    def row(self, index: int, source: Read) -> _Row | _Strung:
        """The iterations of a loop that a source goes through, or numbers of straight pieces."""
        reader = self.pieces[index]
        home = bisect_right(self.firsts, source.at(reader.count // 2)) - 1
        piece = self.pieces[home]
        if piece.count == 1:
            return self.string(index, source, home)
        if source.step % piece.length:
            raise _Misfit
        turn, entry = divmod(source.first - piece.first, piece.length)
        row = _Row(home, entry, turn, source.step // piece.length)
        turns = row.turns(reader.count)
        outside = [turn for turn in turns if not 0 <= turn < piece.count]
        numbers = [piece.first + turn * piece.length + entry for turn in outside]
        self.require_there(reader, source, numbers)
        self.keep_row(home, entry, min(turns), max(turns))
        for turn, number in zip(outside, numbers, strict=True):
            self.keep(number)
            self.beside[index][home, entry, turn] = number
        return row

    def require_there(self, reader: Piece, source: Read, numbers: Sequence[int]) -> None:
        """Lets numbers through that can be copied before a piece begins that reads them.

        Raises:
            _Misfit: for too many, and for those of the piece itself and of none.
        """
        if numbers and max(numbers) >= reader.first:
            if source.step <= 0:
                raise _Misfit
            # Its first steps do not lead into the loop itself.
            raise _Misfit(max(-((source.first - reader.first) // source.step), 0))
        if len(numbers) > _BESIDE or any(number < self.firsts[0] for number in numbers):
            raise _Misfit

    def string(self, index: int, source: Read, home: int) -> _Strung:
        """Numbers most of which are of straight pieces."""
        reader, size = self.pieces[index], abs(source.step)
        numbers = [source.at(turn) for turn in range(reader.count)]
        string = _String(home, size, source.first % size)
        of_loops = [number for number in numbers if self.is_of_loop(number)]
        self.require_there(reader, source, of_loops)
        self.strings.setdefault(string, set()).update(numbers)
        for number in of_loops:
            self.keep(number)
            self.fetched[index].add((string, number))
        return _Strung(string, source.first, source.step)

    def is_of_loop(self, number: int) -> bool:
        """Whether a number is made by a loop, or by none of the pieces."""
        home = bisect_right(self.firsts, number) - 1
        return home < 0 or self.pieces[home].count > 1

    # Where it is kept.

    def buffer(self) -> PieceBuffer:
        """The pieces with their places."""
        places = 0
        for places, number in enumerate(self.singles, 1):
            self.singles[number] = places - 1
        for home, entries in self.grids.items():
            low, high = self.reach[home]
            self.grids[home] = {entry: column for column, entry in enumerate(sorted(entries))}
            self.bases[home] = places - low * len(entries)
            places += (high - low + 1) * len(entries)
        for string, numbers in self.strings.items():
            low, high = string.index(min(numbers)), string.index(max(numbers))
            self.begins[string] = places - low
            places += high - low + 1
            for number in numbers:
                if not self.is_of_loop(number):
                    self.strung.setdefault(number, []).append(self.bead(string, number))
        return PieceBuffer([self.placed(index) for index in range(len(self.pieces))], places)

    def cell(self, home: int, entry: int, turn: int, step: int = 0) -> Place:
        """The place of an entry in an iteration of a loop."""
        columns = self.grids[home]
        return Place(self.bases[home] + turn * len(columns) + columns[entry], step * len(columns))

    def bead(self, string: _String, number: int) -> int:
        """The place of a number that is strung together with others."""
        return self.begins[string] + string.index(number)

    def place(self, number: int) -> int:
        """The place of a number that is read by itself."""
        if number in self.singles:
            return self.singles[number]
        home = bisect_right(self.firsts, number) - 1
        piece = self.pieces[home]
        turn, entry = divmod(number - piece.first, piece.length)
        return self.cell(home, entry, turn).first

    def placed(self, index: int) -> PlacedPiece:
        """A piece with its places."""
        piece, found = self.pieces[index], self.found[index]
        carried = {slot: x for slot, x in enumerate(found) if isinstance(x, Carried)}
        return PlacedPiece(
            piece,
            {slot: self.source(x) for slot, x in enumerate(found) if not isinstance(x, Carried)},
            carried,
            [*self.stored(index)],
            [*self.copies(index)],
            {
                x: self.place(piece.first + x.entry - x.back * piece.length)
                for last in carried.values()
                for x in (Carried(last.entry, back) for back in range(1, last.back + 1))
            },
        )

    def copies(self, index: int) -> Iterator[tuple[int, int]]:
        """The places to which a piece copies numbers before it begins, and theirs."""
        for cell, number in self.beside[index].items():
            yield self.cell(*cell).first, self.place(number)
        for string, number in sorted(self.fetched[index], key=lambda one: one[1]):
            yield self.bead(string, number), self.place(number)

    def source(self, found: Input | Table | _Single | _Row | _Strung) -> Source:
        """Where a piece finds what it reads."""
        if isinstance(found, _Strung):
            return Place(self.bead(found.string, found.first), 1 if found.step > 0 else -1)
        if isinstance(found, _Single):
            return Place(self.place(found.number), 0)
        if isinstance(found, _Row):
            return self.cell(found.home, found.entry, found.turn, found.step)
        return found

    def stored(self, index: int) -> Iterator[Stored]:
        """The values that an iteration of a piece stores."""
        piece = self.pieces[index]
        for entry in self.grids.get(index, ()):
            yield Stored(entry, self.cell(index, entry, 0, 1))
        last = piece.first + (piece.count - 1) * piece.length
        for entry in range(piece.length):
            if last + entry in self.singles:
                yield Stored(entry, Place(self.singles[last + entry], 0))
            for bead in self.strung.get(last + entry, ()):
                yield Stored(entry, Place(bead, 0))
