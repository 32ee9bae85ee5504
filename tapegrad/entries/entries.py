"""The entries of a recorded program as one immutable value: the data that every reading takes.

Entry *i* defines slot *i* from slots below it. The entries are held as columns of bytes, about
twenty of them an entry; nodes are views that are made when they are looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Self, cast, final, overload

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad.entries.columns import EntryColumns, Scope, Stored, StoredArrays, freeze_values
from tapegrad.entries.invariants import (
    require_buffers,
    require_entries,
    require_frame,
    require_marks,
    require_shapes,
)
from tapegrad.entries.nodes import Node, view
from tapegrad.entries.static_keys import static_key
from tapegrad.errors import InputError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Table, primal, shape_of
from tapegrad.pytree.structure import Branch, Structure, argument_paths, data_paths, key_paths

__all__ = ["Entries", "Looped", "Nodes"]


class Looped:
    """A static operand that stands for ``count`` steps, each of which has entries."""

    __slots__ = ()

    count: int

    @property
    def tape(self) -> Entries:
        """The entries of the first step that was recorded."""
        raise NotImplementedError


@attrs.frozen(eq=False, repr=False)
class Entries:
    """A recorded program: its entries, the containers of its arguments and result, its names.

    ``parameters`` is the structure of the differentiated argument and ``data`` that of the others;
    ``names`` are the names of the arguments given by position, and ``function`` is that of the
    recorded function. Equality and hash compare structure, constants, static operands, inputs,
    outputs and values bit by bit, and not labels, scopes, positions or the function's name.

    Raises:
        TapeError: when made from columns that are not a tape.
    """

    table: Table
    codes: bytes
    left: bytes
    right: bytes
    stored: Stored
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
    function: str = ""

    def __attrs_post_init__(self) -> None:
        require_buffers(
            self.table, self.codes, self.left, self.right, self.stored, self.pool, self.statics
        )
        columns = self.columns
        require_entries(columns)
        if type(self.stored) is StoredArrays and not self._computed():
            serving("entries.stored_arrays").require_sound(columns)
        count, inputs = len(self.codes), len(self.inputs)
        require_frame(
            count, inputs, self.parameters, self.data, self.names, self.result, self.outputs
        )
        values = columns.values
        require_shapes(values, (self.parameters, self.data), self.inputs)
        require_shapes(values, (self.result,), self.outputs)
        require_marks(count, self.labels, self.scopes, self.sites, self.site_of, self.function)

    @property
    def computing(self) -> tuple[object, ...]:
        """All that the values were computed by."""
        return self.table, self.codes, self.left, self.right, self.pool, self.statics

    def _computed(self) -> bool:
        """Whether these entries are known to have computed the values."""
        *columns, statics = self.computing
        of = cast(StoredArrays, self.stored).of
        return of is not None and of[-1] is statics and of[:-1] == tuple(columns)

    @property
    def columns(self) -> EntryColumns:
        """The entries, column by column; read-only views of the bytes."""
        return self._with_values(self.values)

    def _with_values(self, values: Sequence[Operand]) -> EntryColumns:
        return EntryColumns(
            self.table,
            self.codes,
            memoryview(self.left).cast("i"),
            memoryview(self.right).cast("i"),
            values,
            memoryview(self.pool).cast("i"),
            self.statics,
            isinstance(self.stored, tuple),
            self.on_arrays,
        )

    @property
    def loops(self) -> dict[int, Looped]:
        """The loops that entries apply, by slot."""
        columns = self.columns
        if not any(isinstance(static, Looped) for static in self.statics):
            return {}
        found = ((slot, columns.static(slot)) for slot in range(len(self)))
        return {slot: loop for slot, static in found for loop in static if isinstance(loop, Looped)}

    @property
    def on_arrays(self) -> bool:
        """Whether some values are arrays."""
        if isinstance(self.stored, tuple):
            return any(map(shape_of, self.stored))
        return isinstance(self.stored, StoredArrays)

    @property
    def values(self) -> Sequence[Operand]:
        """The value of each entry; some are traced numbers where an outer recording was open.

        Arrays among them cannot be written to.
        """
        if isinstance(self.stored, tuple):
            return self.stored
        if isinstance(self.stored, bytes):
            return memoryview(self.stored).cast("d")
        read = serving("entries.stored_arrays").read
        return cast("list[Operand]", read(self.stored, self._with_values(())))

    @property
    def numbers(self) -> Sequence[float]:
        """The value of each entry as a plain number; that of a traced one is its primal."""
        values = self.values
        return tuple(map(primal, values)) if isinstance(values, tuple) else values  # type: ignore[return-value]  # plain

    def of_numbers(self) -> Self:
        """The same entries, with the numbers that traced values stand for in their place."""
        if not isinstance(self.stored, tuple):
            return self
        columns = attrs.evolve(self._with_values(self.numbers), traced=False)
        return attrs.evolve(self, stored=freeze_values(columns, self.computing))

    @property
    def inputs(self) -> range:
        """The slots of the inputs, those of the differentiated argument first."""
        code = bytes((self.table.codes[ops.input],))
        return range(len(self.codes) - len(self.codes.lstrip(code)))

    @property
    def width(self) -> int:
        """The number of inputs in the differentiated argument."""
        return len(key_paths(self.parameters))

    @property
    def paths(self) -> tuple[str, ...]:
        """The names of the inputs: ``layers.0.w`` in the first argument, ``xs:3`` in another."""
        first = argument_paths(self.parameters, self.names[0])
        rest = (path for name, part in self.data_by_name() for path in data_paths(part, name))
        return (*first, *rest)

    def data_by_name(self) -> Iterator[tuple[str, Structure]]:
        """The arguments after the first: the name and the structure of each."""
        if isinstance(self.data, Branch):
            yield from zip(map(str, self.data.keys), self.data.children, strict=True)

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
        if isinstance(slot, str):
            raise InputError(
                f"a tape was asked for {slot!r} ({here()}), and its entries go by their slots: "
                f"write tape[0], or tape.values[tape.paths.index({slot!r})] for an input"
            )
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

    @property
    def site_indices(self) -> Sequence[int]:
        """For each entry the index of its line in ``sites``; -1 where none was kept."""
        return memoryview(self.site_of).cast("i") if self.site_of else (-1,) * len(self)

    def __repr__(self) -> str:
        counts = f"{len(self)} entries, {len(self.inputs)} inputs, {len(self.outputs)} outputs"
        return f"<{type(self).__name__} of {counts}>"

    def _identity(self) -> tuple[object, ...]:
        """The parts that equality and hash see."""
        stored = self.stored
        values = tuple(map(id, stored)) if isinstance(stored, tuple) else stored
        columns = (self.codes, self.left, self.right, values, self.pool)
        statics = tuple(map(static_key, self.statics))
        shapes = tuple(map(_outline, (self.parameters, self.data, self.result)))
        return (self.table.rows, columns, statics, self.paths, self.outputs, shapes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Made again by the constructor, which checks what comes."""
        fields = attrs.fields(type(self))
        return type(self), tuple(getattr(self, field.name) for field in fields)


@final
@attrs.frozen
class Nodes(Sequence[Node]):
    """Entries as nodes, each made when it is looked at."""

    entries: Entries

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, slot: int, /) -> Node: ...
    @overload
    def __getitem__(self, slot: slice, /) -> tuple[Node, ...]: ...
    def __getitem__(self, slot: int | slice, /) -> Node | tuple[Node, ...]:
        slots = range(len(self))[slot]
        if isinstance(slots, range):
            return tuple(self._views(slots))
        return next(self._views((slots,)))

    def __iter__(self) -> Iterator[Node]:
        return self._views(range(len(self)))

    def _views(self, slots: Iterable[int]) -> Iterator[Node]:
        of, columns, inputs = self.entries, self.entries.columns, len(self.entries.inputs)
        names: tuple[str, ...] = ()
        for slot in slots:
            if slot < inputs and not names:
                names = of.paths
            yield view(columns, slot, names, of.label(slot), of.scope(slot), of.site(slot))


def _outline(structure: Structure) -> object:
    """The parts of a structure that have a hash: its static values may have none."""
    if isinstance(structure, Branch):
        return structure.kind, structure.keys, tuple(map(_outline, structure.children))
    return type(structure)
