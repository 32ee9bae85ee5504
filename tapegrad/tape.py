"""The tape: a program of numbers as an immutable value.

A tape is a Wengert list. Entry *i* defines slot *i* from slots below it. It is held as columns of
bytes, about twenty of them an entry; nodes are views that are made when they are looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    cast,
    final,
    overload,
)

import attrs

from tapegrad import ops
from tapegrad.columns import Columns, Scope, check, freeze_values
from tapegrad.errors import InputError, OutputError
from tapegrad.positions import Site, here
from tapegrad.primitive import Operand, Table, primal
from tapegrad.structure import (
    Branch,
    Keys,
    Leaf,
    Role,
    Structure,
    build,
    describe_structure,
    flatten,
    in_order,
    join,
    misfit,
    paths,
    under,
)

if TYPE_CHECKING:
    import os
    import pathlib
    from typing import Unpack

    import graphviz

    from tapegrad.coordinates import Sparsity
    from tapegrad.drawing import Drawing
    from tapegrad.interpret.diff import Difference
    from tapegrad.interpret.explain import Explanation
    from tapegrad.interpret.lines import Listing
    from tapegrad.interpret.nonfinite import Nonfinite
    from tapegrad.interpret.stats import Stats
    from tapegrad.nodes import Node
    from tapegrad.pictures import View
    from tapegrad.recording import Var

__all__ = ["Nodes", "Simplified", "Tape"]  # fmt: skip

A = TypeVar("A")
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@final
@attrs.frozen(eq=False, repr=False)
class Tape(Generic[A, P, R_co]):
    """A recorded program, as a value: print it, index it, draw it, replay it, differentiate it.

    ``A`` is the type of the differentiated argument, ``P`` the other parameters and ``R_co`` what
    the program returned. Made by ``record``; equality and hash compare structure, constants, static
    operands, inputs, outputs and values bit by bit, and not labels, scopes or positions.

    Raises:
        TapeError: when made from columns that are not a tape.
    """

    table: Table
    codes: bytes
    left: bytes
    right: bytes
    stored: bytes | tuple[Operand, ...]
    pool: bytes
    statics: tuple[object, ...]
    parameters: Structure
    data: Structure
    names: tuple[str, ...]
    result: Structure
    outputs: tuple[int, ...]
    labels: tuple[tuple[int, str], ...]
    scopes: tuple[Scope, ...]
    holds_gradient: bool
    sites: tuple[Site, ...]
    site_of: bytes

    def __attrs_post_init__(self) -> None:
        check(self.columns, self.outputs)

    @property
    def columns(self) -> Columns:
        """The entries, column by column; read-only views of the tape's bytes."""
        return Columns(
            self.table,
            self.codes,
            memoryview(self.left).cast("i"),
            memoryview(self.right).cast("i"),
            self._values(),
            memoryview(self.pool).cast("i"),
            self.statics,
            isinstance(self.stored, tuple),
        )

    def _values(self) -> Sequence[Operand]:
        return self.stored if isinstance(self.stored, tuple) else memoryview(self.stored).cast("d")

    @property
    def inputs(self) -> range:
        """The slots of the inputs, those of the differentiated argument first."""
        code = bytes((self.table.codes[ops.input],))
        return range(len(self.codes) - len(self.codes.lstrip(code)))

    @property
    def paths(self) -> tuple[str, ...]:
        """The names of the inputs: ``layers.0.w`` in the first argument, ``xs:3`` in another."""
        first = [path or self.names[0] for path in paths(self.parameters)]
        rest = (under(name, path) for name, part in self._data() for path in paths(part))
        return (*first, *rest)

    @property
    def value(self) -> R_co:
        """What the recorded function returned, with plain numbers for the traced ones."""
        values = self._values()
        return cast(R_co, build(self.result, (values[slot] for slot in self.outputs)))

    @property
    def nodes(self) -> Nodes:
        """The entries as nodes: a lazy sequence of views."""
        return Nodes(self)

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @overload
    def __getitem__(self, slot: int, /) -> Node: ...
    @overload
    def __getitem__(self, slot: slice, /) -> tuple[Node, ...]: ...
    def __getitem__(self, slot: int | slice, /) -> Node | tuple[Node, ...]:
        return self.nodes[slot]

    def label(self, slot: int) -> str | None:
        """The name given to entry ``slot``, if any."""
        index = bisect_left(self.labels, slot, key=itemgetter(0))
        found = self.labels[index : index + 1]
        return found[0][1] if found and found[0][0] == slot else None

    def scope(self, slot: int) -> tuple[str, ...]:
        """The names of the scopes around entry ``slot``, outermost first."""
        names: list[str] = []
        index: int | None = bisect_right(self.scopes, slot, key=attrgetter("start")) - 1
        while index is not None and index >= 0:
            scope = self.scopes[index]
            if slot < scope.stop:
                names.append(scope.name)
            index = scope.parent
        return tuple(reversed(names))

    def site(self, slot: int) -> Site | None:
        """The user's line that recorded entry ``slot``, where positions were kept."""
        index = memoryview(self.site_of).cast("i")[slot] if self.site_of else -1
        return self.sites[index] if index >= 0 else None

    def cotangents(self) -> tuple[float | None, ...]:
        """For each slot the derivative of the one output in it; None where none arrived.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        from tapegrad.interpret.reverse import cotangents

        if len(self.outputs) != 1:
            raise OutputError(
                f"this tape has {len(self.outputs)} outputs, and cotangents need one: "
                "record a function that returns one number"
            )
        bars = cotangents(self.columns.thawed(), {self.outputs[0]: 1.0})
        return cast("tuple[float | None, ...]", tuple(bars))

    def gradient(self: Tape[A, P, float | Var]) -> A:
        """The gradient of the one output in the first argument, in the argument's own shape.

        Raises:
            OutputError: when the recorded function returned anything but one number.
        """
        if not isinstance(self.result, Leaf):
            raise OutputError(
                f"this tape returned {describe_structure(self.result)}, and a gradient needs one "
                "number: record a function that returns one, or use jacobian for one of several"
            )
        bars = self.cotangents()
        return cast(A, build(self.parameters, (0.0 if bar is None else bar for bar in bars)))

    def jacobian_sparsity(self) -> Sparsity:
        """Where the derivative of the outputs in the first argument's numbers can be not zero.

        A pattern of this program, whatever the inputs are, as long as its guards hold.
        """
        from tapegrad.interpret.sparsity import jacobian_sparsity

        return jacobian_sparsity(self.columns.thawed(), len(paths(self.parameters)), self.outputs)

    def hessian_sparsity(self) -> Sparsity:
        """Where the second derivative of the one output can be not zero; a symmetric pattern.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        from tapegrad.interpret.sparsity import hessian_sparsity

        if len(self.outputs) != 1:
            raise OutputError(
                f"this tape has {len(self.outputs)} outputs, and a Hessian needs one: "
                "record a function that returns one number"
            )
        width = len(paths(self.parameters))
        return hessian_sparsity(self.columns.thawed(), width, self.outputs[0])

    def replay(self, x: A, /, *args: P.args, **kwargs: P.kwargs) -> Tape[A, P, R_co]:
        """The same program at other inputs, as a new tape; data not given stays as recorded.

        Raises:
            GuardError: when a recorded comparison comes out differently.
            InputError: when the arguments' structure is not the recorded one.
        """
        from tapegrad.interpret.replay import replay

        leaves = self._leaves(x, args, kwargs)
        values = replay(self.columns, leaves, lambda slot: str(self.site(slot) or f"%{slot}"))
        return attrs.evolve(self, stored=freeze_values(values))

    def _leaves(
        self, x: object, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> list[Operand]:
        """The new inputs, those of data not given as recorded."""
        name = self.names[0]
        parameters, leaves = flatten(in_order(self.parameters, x), Role.PARAMETERS, _named(name))
        _require_same(self.parameters, parameters, name)
        given = self._given(args, kwargs)
        recorded = list(self._values()[len(leaves) : len(self.inputs)])
        for name, structure in self._data():
            count = len(paths(structure))
            old, recorded = recorded[:count], recorded[count:]
            if name in given:
                value = in_order(structure, given[name])
                now, old = flatten(value, Role.DATA, _named(name))
                _require_same(structure, now, name)
            leaves += old
        return leaves

    def _given(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The data of a replay by the names it was recorded under."""
        given = dict(zip(self.names[1:], args, strict=False))
        recorded = {name for name, _ in self._data()}
        wrong = [name for name in (*given, *kwargs) if name not in recorded]
        if twice := given.keys() & kwargs.keys():
            problem = f"{', '.join(sorted(twice))} is given by position and by name"
        elif len(args) >= len(self.names):
            problem = f"{len(args)} arguments after the first are too many"
        elif wrong:
            problem = f"{', '.join(wrong)} was not given when this tape was recorded"
        else:
            return given | dict(kwargs)
        raise InputError(f"{problem} ({here()}): pass the arguments it was recorded with")

    def _data(self) -> Iterator[tuple[str, Structure]]:
        if isinstance(self.data, Branch):
            yield from zip(map(str, self.data.keys), self.data.children, strict=True)

    def simplify(self, *, fast: bool = False) -> Simplified[A, P, R_co]:
        """The same program with less in it, and how many entries went for which reason.

        Removes what no output and no guard needs, and folds constants. On a tape that already
        holds its gradient (``record(grad(f))``) it also shares equal entries and drops ``x * 1``,
        ``x / 1``, ``x - 0.0``, ``x + -0.0`` and ``-(-x)``. Every output keeps its bits. With
        ``fast`` the latter is done on any tape, and small powers become products: results may
        then change in the last place.
        """
        from tapegrad.interpret.simplify import simplify

        return simplify(self, fast=fast)

    def lines(self) -> Listing:
        """The user's source with what each line put on the tape in its margin.

        Print it: entries, the range of what the line hands on, that of its cotangents, and marks
        for nan, infinity and guards.
        """
        from tapegrad.interpret.lines import lines

        return lines(self._of_numbers(), self._known_cotangents())

    def stats(self) -> Stats:
        """The tape in figures: entries by row, inputs, guards, depth, bytes."""
        from tapegrad.interpret.stats import stats

        return stats(self)

    def explain(self, of: str | int | None = None, *, wrt: str | int, top: int = 5) -> Explanation:
        """What one derivative is made of: by the lines that read ``wrt``, by path, by label.

        ``of`` is the path of an output, a label, or a slot, and the one output where it is not
        given; ``wrt`` the path of an input, a label, or a slot. At most ``top`` paths, those of
        the largest magnitude, are told one by one.

        Raises:
            InputError: when a name is unknown or stands for several entries, or ``top`` is
                negative.
        """
        from tapegrad.interpret.explain import explain

        numbers = self._of_numbers()
        return explain(numbers, numbers._bars, of, wrt, top)

    def first_nonfinite(
        self, sweep: Literal["forward", "reverse"] | None = None
    ) -> Nonfinite | None:
        """Where the first nan or infinity arises, of a value or else of a cotangent; None if none.

        Constants are not looked at: an infinity that the program writes down is no accident. A
        ``sweep`` is looked at alone where it is given; the reverse one starts from every output.

        Raises:
            InputError: when ``sweep`` is unknown.
        """
        from tapegrad.interpret.nonfinite import first_nonfinite

        numbers = self._of_numbers()
        return first_nonfinite(numbers, lambda: numbers._bars(numbers.outputs), sweep)

    def diff(self, other: Tape[Any, ..., Any]) -> Difference:
        """Where this recording and another part, in structure and in value."""
        from tapegrad.interpret.diff import diff

        return diff(self._of_numbers(), other._of_numbers())

    def _of_numbers(self) -> Tape[A, P, R_co]:
        """This tape, with the numbers that traced values stand for in their place."""
        if isinstance(self.stored, bytes):
            return self
        return attrs.evolve(self, stored=freeze_values(tuple(map(primal, self.stored))))

    def _bars(self, slots: Iterable[int]) -> Sequence[float | None]:
        """The cotangents of every slot, swept from some of them at once."""
        from tapegrad.interpret.reverse import cotangents

        bars = cotangents(self.columns.thawed(), dict.fromkeys(slots, 1.0))
        return cast("list[float | None]", bars)

    def __str__(self) -> str:
        from tapegrad.interpret.table import table

        return table(self, self._known_cotangents())

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self)} entries, {len(self.inputs)} inputs, {len(self.outputs)} outputs>"
        )

    def to_dot(self, **view: Unpack[View]) -> str:
        """The picture that ``draw`` describes as DOT text; the same bytes on every run.

        Raises:
            DrawingError: for an option that makes no sense.
            InputError: for a name that is not on the tape.
        """
        from tapegrad.drawing import picture

        return picture(self, self._known_cotangents(), **view).dot()

    def to_graphviz(self, **view: Unpack[View]) -> graphviz.Source:
        """The picture as an object of the ``graphviz`` package, which ships no types of its own."""
        import graphviz

        return graphviz.Source(self.to_dot(**view))

    @overload
    def draw(self, path: None = None, **view: Unpack[View]) -> Drawing: ...
    @overload
    def draw(self, path: str | os.PathLike[str], **view: Unpack[View]) -> pathlib.Path: ...
    def draw(
        self, path: str | os.PathLike[str] | None = None, **view: Unpack[View]
    ) -> Drawing | pathlib.Path:
        """Write the picture to a file: ``.svg``, ``.png``, ``.pdf``, ``.dot`` or ``.html``.

        Without a path it is a value that shows itself in a notebook, and in print as a tree.

        ``by="node"`` draws a box for each entry, ``"line"`` one for each source line and
        ``"scope"`` frames for scopes and functions; ``"auto"``, the default, goes by node up to 150
        entries and by line beyond. ``around="vol"`` keeps the entries within ``depth=2`` steps of
        the label, input or slot ``vol``, ``between=("spot", "price")`` those on paths from one to
        the other, and ``top=40`` those with the largest |cotangent * value|; the caption says what
        was left out. ``rankdir`` is "LR" or "TB", and ``gradient=False`` shows values only.

        Raises:
            DrawingError: without a layout program, for a file that cannot be written, or for an
                option that makes no sense.
            InputError: for a name that is not on the tape.
        """
        from tapegrad.drawing import draw

        return draw(self, self._known_cotangents(), path, **view)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        from tapegrad.drawing import bundle

        return bundle(self, self._known_cotangents, include, exclude)

    def _known_cotangents(self) -> tuple[float | None, ...]:
        """The cotangents where they are defined, for a reading that shows them.

        Those of traced values are computed on the numbers they stand for: looking records nothing.
        """
        if len(self.outputs) != 1:
            return (None,) * len(self)
        numbers = tuple(map(primal, self.stored)) if isinstance(self.stored, tuple) else None
        shown = self if numbers is None else attrs.evolve(self, stored=freeze_values(numbers))
        return shown.cotangents()

    def _identity(self) -> tuple[object, ...]:
        """What equality and hash see."""
        stored = self.stored
        values = tuple(map(id, stored)) if isinstance(stored, tuple) else stored
        columns = (self.codes, self.left, self.right, values, self.pool)
        statics = tuple((type(static), repr(static)) for static in self.statics)
        shapes = tuple(map(_outline, (self.parameters, self.data, self.result)))
        return (self.table.rows, columns, statics, self.paths, self.outputs, shapes)

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Tape) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __copy__(self) -> Tape[A, P, R_co]:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Tape[A, P, R_co]:
        return self


@final
@attrs.frozen
class Simplified(Generic[A, P, R_co]):
    """A simplified tape, and what was removed.

    ``dead`` entries were needed by nothing (any more), ``shared`` ones equal to another, and
    ``dropped`` ones gave back an operand; ``folded`` ones became constants.
    """

    tape: Tape[A, P, R_co]
    dead: int
    folded: int
    shared: int
    dropped: int

    def __str__(self) -> str:
        before = len(self.tape) + self.dead + self.shared + self.dropped
        return (
            f"{before:,} entries became {len(self.tape):,}: {self.dead:,} dead, {self.shared:,} "
            f"equal to another, {self.dropped:,} neutral; {self.folded:,} folded into constants"
        )


@final
@attrs.frozen
class Nodes(Sequence["Node"]):
    """The entries of a tape as nodes, each made when it is looked at."""

    tape: Tape[Any, ..., Any]

    def __len__(self) -> int:
        return len(self.tape)

    @overload
    def __getitem__(self, slot: int, /) -> Node: ...
    @overload
    def __getitem__(self, slot: slice, /) -> tuple[Node, ...]: ...
    def __getitem__(self, slot: int | slice, /) -> Node | tuple[Node, ...]:
        slots = range(len(self.tape))[slot]
        if isinstance(slots, range):
            return tuple(_nodes(self.tape, slots))
        return next(_nodes(self.tape, (slots,)))

    def __iter__(self) -> Iterator[Node]:
        return _nodes(self.tape, range(len(self.tape)))


def _nodes(tape: Tape[Any, ..., Any], slots: Iterable[int]) -> Iterator[Node]:
    from tapegrad.nodes import view

    columns, inputs = tape.columns, len(tape.inputs)
    names: tuple[str, ...] = ()
    for slot in slots:
        if slot < inputs and not names:
            names = tape.paths
        yield view(columns, slot, names, tape.label(slot), tape.scope(slot), tape.site(slot))


def _outline(structure: Structure) -> object:
    """A structure without its static values, which may have no hash."""
    if isinstance(structure, Branch):
        return structure.kind, structure.keys, tuple(map(_outline, structure.children))
    return type(structure)


def _named(name: str) -> Callable[[Keys], str]:
    return lambda keys: under(name, join(keys))


def _require_same(recorded: Structure, given: Structure, name: str) -> None:
    if (keys := misfit(recorded, given, statics=True)) is not None:
        raise InputError(
            f"{under(name, join(keys))} has another structure than this tape was recorded with, "
            f"or another static value ({here()}): record again"
        )
