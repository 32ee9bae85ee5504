"""Generates sweeps: loops over the entries of a tape with a branch for each row of the table.

A sweep says what happens at one operand of one row, as Python source that mentions the row's
partial derivative in it. The derivative is spelled by running the row's partial on symbols, so the
table stays the one place that states derivatives. The rest is generated here: the loop, the choice
of the branch, and the call of a function for entries whose row has no branch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, reduce
from itertools import accumulate as running_sums
from itertools import chain
from textwrap import indent
from typing import Concatenate, Final, Generic, NamedTuple, ParamSpec, TypeAlias, cast, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.inline import INLINE, INLINE_NAMES, Symbol, call_name, joint
from tapegrad.ops.primitive import Operand, Primitive, Table

__all__ = ["Sweep", "SymbolicOperand", "accumulate", "fetches", "reads", "source_of", "times"]

P = ParamSpec("P")

Slots: TypeAlias = Iterable[int] | int
"""The entries that a sweep visits; of one that descends, the first."""


@final
@attrs.frozen
class SymbolicOperand:
    """One operand of a row, and the row's partial derivative in it, as Python source.

    ``slot`` is the name of its slot. ``partial`` may mention the result ``y``, the operands ``x0``
    and ``x1`` and the static operand ``n``. The branch fetches what is mentioned.
    ``is_first`` holds for the first operand of the row that has a partial.
    """

    row: Primitive
    index: int
    slot: str
    partial: str
    is_first: bool

    @property
    def is_constant(self) -> bool:
        """Whether the partial is a number."""
        return not fetches(self.partial) and not reads(self.partial)


@final
@attrs.frozen(eq=False)
class Sweep(Generic[P]):
    """A loop over entries of a tape of plain floats, compiled once for each table.

    ``state`` names the arguments that the loop takes beside the tape, separated by commas.
    ``arrive`` is source that runs at each entry ``k``; it may ``continue`` with the next one.
    ``operand`` gives the source that runs for each operand with a partial.
    ``any_entry`` is called for an entry whose row has its operands in the pool or is the user's;
    with ``pairs`` there are branches for the former where they have two operands.

    A sweep that ``descends`` is given one slot, from which it goes down to the inputs. It walks
    along the columns, which must be lists: that is quicker than to index each of them. Its state is
    one column as well, whose number at each entry is ``b``, and ``k`` is not there. Its loop may
    have branches for some codes alone; at an entry with another one, another function goes on.
    """

    state: str
    operand: Callable[[SymbolicOperand], str]
    any_entry: Callable[Concatenate[EntryColumns, int, P], None]
    arrive: str = ""
    pairs: bool = True
    descends: bool = False

    def __call__(
        self, columns: EntryColumns, slots: Slots, /, *state: P.args, **named: P.kwargs
    ) -> None:
        """Visit the entries ``slots`` in order."""
        self.loop(columns.table)(columns, slots, *state, **named)

    def loop(
        self,
        table: Table,
        codes: frozenset[int] | None = None,
        go_on: Callable[Concatenate[EntryColumns, int, P], None] | None = None,
    ) -> Callable[Concatenate[EntryColumns, Slots, P], None]:
        """The loop over the entries of tapes of a table: quicker to call than the sweep."""
        make = _compiled if codes is None else _compile
        return make(self, table.base or table, codes, go_on)

    def source(self, table: Table, codes: frozenset[int] | None = None) -> str:
        """Python source of the loop, a function called ``sweep``."""
        head = (_DESCENDING if self.descends else _INDEXING).format(self.state)
        arrive = self.arrive if self.descends else f"{self.arrive}code = codes[k]\n"
        end = f"return go_on(columns, {_BELOW}, {self.state})\n"
        branches = [
            self._fetching(self.branch(row)) or _NOTHING if codes is None or code in codes else end
            for code, row in enumerate(table.rows)
        ]
        if self.descends:
            branches[table.codes[ops.input]] = "break\n"
        return head + indent(arrive + _dispatch(table.rows, branches, self._call, end), " " * 8)

    @property
    def _call(self) -> str:
        """Source for entries whose row has no branch."""
        return f"any_entry(columns, {_BELOW if self.descends else 'k'}, {self.state})\n"

    def _fetching(self, source: str) -> str:
        """A source after statements that fetch what it mentions of the entry's own columns."""
        return source if self.descends else fetches(source) + source

    def branch(self, row: Primitive) -> str:
        """Source for the entries of one row, which mentions the entry's own columns by name."""
        is_pair = self.pairs and row.arity is None and not row.has_static
        if row.is_pooled and row.kind != "choice" and not is_pair:
            return self._call
        if row.kind == "choice":
            return _SELECT + self.operand(SymbolicOperand(row, 1, "i", "1.0", is_first=True))
        shares = self._shares(row)
        if not row.is_pooled:
            return shares
        return f"{_IF_PAIR}{indent(shares, '    ')}else:\n    {self._call}"

    def _shares(self, row: Primitive) -> str:
        """Source for all operands that a row has a partial in.

        Where several partials ask for ranges of the numbers, it asks for all of them at once.
        """
        partials = _partials(row)
        shares = self._each(row, {k: source_of(x) for k, x in partials.items()})
        usual = self._each(row, {k: source_of(x, usual=True) for k, x in partials.items()})
        asking = [x.needs for x in partials.values() if isinstance(x, Symbol) and x.needs]
        needs = joint(chain(*asking), usual) if len(asking) > 1 else None
        if needs is None:
            return reads(shares) + shares
        test = f"if {' and '.join(needs)}:\n"
        first = reads(test + usual)
        rare = "".join(x for x in reads(shares).splitlines(keepends=True) if x not in first)
        return f"{first}{test}{indent(usual, '    ')}else:\n{indent(rare + shares, '    ')}"

    def _each(self, row: Primitive, partials: Mapping[int, str]) -> str:
        first = next(iter(partials), None)
        return "".join(
            self.operand(SymbolicOperand(row, index, "ij"[index], text, is_first=index == first))
            for index, text in partials.items()
        )


_INDEXING: Final = """\
def sweep(columns, slots, {}):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in slots:
"""
_DESCENDING: Final = """\
def sweep(columns, start, {0}):
    values, pool, statics = columns.values, columns.pool, columns.statics
    codes, left, right = (
        columns.codes.__reversed__(), columns.left.__reversed__(), columns.right.__reversed__()
    )
    numbers, results = {0}.__reversed__(), values.__reversed__()
    if start < len(values) - 1:
        for column in (numbers, codes, left, right, results):
            column.__setstate__(start)
    for b, code, i, j, y in zip(numbers, codes, left, right, results):
"""
_BELOW: Final = "codes.__length_hint__()"
"""The slot of an entry in a loop that descends: the number of those that are left."""
_IF_PAIR: Final = "if j == 2:\n    i, j = pool[i], pool[i + 1]\n"
_SELECT: Final = "i = pool[i + (1 if values[pool[i]] else 2)]\n"
"""Finds the slot of the arm that a ``where`` selects."""


def _compile(
    sweep: Sweep[...],
    table: Table,
    codes: frozenset[int] | None,
    go_on: Callable[..., None] | None,
) -> Callable[..., None]:
    """The loop as a function of this module."""
    namespace = {**INLINE_NAMES, **{call_name(row): row.value for row in table.rows}}
    namespace["any_entry"], namespace["go_on"] = sweep.any_entry, go_on
    namespace["__name__"] = __name__  # so that an error is not said to be on one of its lines
    code = compile(sweep.source(table, codes), "<spelled by tapegrad>", "exec")
    exec(code, namespace)  # noqa: S102  # the source is spelled from the table alone
    return cast(Callable[..., None], namespace["sweep"])


_compiled: Final = cache(_compile)
"""The loops with branches for all codes, each of which is made once."""


def _partials(row: Primitive) -> dict[int, Operand]:
    """The partials that a row has, by the index of the operand, on symbols."""
    count = 2 if row.arity is None else row.arity
    symbols = [Symbol(f"x{index}") for index in range(count)] + [Symbol("n")] * row.has_static
    partials = {index: row.partial(index, Symbol("y"), *symbols) for index in range(count)}
    value, _ = INLINE.get(row, ("", ""))
    results = [value.format("x0", "x1", "n", call="")]
    if row.commutes_from == 0 and count > 1:
        results.append(value.format("x1", "x0", call=""))
    return {
        index: reduce(_knowing, results, partial)
        for index, partial in partials.items()
        if partial is not None
    }


def _knowing(partial: Operand, result: str) -> Operand:
    """A partial that knows an expression of the result."""
    return partial.knowing(result, "y") if isinstance(partial, Symbol) else partial


def source_of(operand: Operand, *, usual: bool = False) -> str:
    """A symbol's expression, or its usual one, or a number as Python writes it."""
    if isinstance(operand, Symbol):
        return operand.usual if usual else operand.text
    return repr(operand)


def times(x: str, y: str) -> str:
    """The expression ``x * y``, without a factor that is 1 or -1; a sign stands before it."""
    for one, other in ((x, y), (y, x)):
        if one in {"1.0", "-1.0"}:
            return other if one == "1.0" else f"-{other}"
    negated, choice = _NEGATED.fullmatch(y), _ONE_OR.fullmatch(y)
    if choice:
        return f"{x} if {choice[1]} else {x} * ({choice[2]})"
    return f"-({x} * {negated[1]})" if negated else f"{x} * {y}"


_NEGATED: Final = re.compile(r"\(-(\w+(?:\([^()]*\))?|\(.*\))\)")
"""A symbol's expression that is another one negated."""
_ONE_OR: Final = re.compile(r"\(1\.0 if ([^()]+?) else ([^()]+)\)")
"""A symbol's expression that is 1 under a condition, and else another one."""


def accumulate(total: str, share: str) -> str:
    """Statements that add ``share`` to ``total``, which is None as long as nothing was added."""
    sign, size = ("-", share[1:]) if share.startswith("-") else ("", share)
    if not size.isidentifier():
        return f"p = {size}\n{accumulate(total, sign + 'p')}"
    return f"c = {total}\n{total} = {share} if c is None else c {sign or '+'} {size}\n"


def fetches(source: str) -> str:
    """Statements that fetch what a source mentions of the entry's own columns."""
    return _mentioned(source, (("i", "left[k]"), ("j", "right[k]"), ("y", "values[k]")))


def reads(source: str) -> str:
    """Statements that fetch the values of operands which a source mentions."""
    return _mentioned(source, (("x0", "values[i]"), ("x1", "values[j]"), ("n", "statics[j]")))


def _mentioned(source: str, names: Iterable[tuple[str, str]]) -> str:
    text = Symbol(source)
    return "".join(f"{name} = {value}\n" for name, value in names if text.mentions(name))


_TESTED_FIRST: Final = 2
"""The number of operations, the first of the table, whose codes are tested in turn."""


def _dispatch(rows: Sequence[Primitive], branches: list[str], otherwise: str, unmet: str) -> str:
    """Statements that choose a row's branch by ``code``; they run ``otherwise`` for any other code.

    Sums and products are tested first. The rest is found by a search that takes fewest steps for
    other operators, few for functions, and more for what is called or rarely swept.
    """
    found = [code for code, source in enumerate(branches) if source not in {_NOTHING, unmet}]
    first, cases = [code for code in found if rows[code].is_operation][:_TESTED_FIRST], ""
    for code in first:
        cases += f"if code == {code}:\n{indent(branches[code], '    ')}    continue\n"
        branches[code] = _NOTHING
    leaves = [_Leaf(0, branches[0], _weight(rows[0]))]
    for code, row in enumerate(rows):
        if branches[code] != leaves[-1].source:
            weight = 0 if branches[code] == unmet else _weight(row)
            leaves.append(_Leaf(code, branches[code], weight))
    return cases + _search([*leaves, _Leaf(len(branches), otherwise, 1)])


_NOTHING: Final = "pass\n"


class _Leaf(NamedTuple):
    """Source that runs for the codes from ``first`` on, to the next leaf, and its weight."""

    first: int
    source: str
    weight: int


def _weight(row: Primitive) -> int:
    """How often entries of a row are swept, beside others: a guess."""
    if row.helper:
        return 1
    if row.kind == "input":
        return 32
    if row.kind == "choice" or not row.symbol.isidentifier():
        return 128 if row.python and row.kind == "operation" else 64
    return 16 if row in INLINE else 4


def _search(leaves: Sequence[_Leaf]) -> str:
    """A search for the code, in which both sides of a step are needed about equally often.

    The jump over what is below is not the comparison's own: CPython is quick at a comparison only
    where the jump after it is short.
    """
    if len(leaves) == 1:
        return leaves[0].source
    sums = [*running_sums(leaf.weight for leaf in leaves)]
    half = sums.pop() / 2
    middle = 1 + min(range(len(sums)), key=lambda k: abs(sums[k] - half))
    low, high = _search(leaves[:middle]), _search(leaves[middle:])
    step = f"if code >= {leaves[middle].first}:\n    pass\nelse:\n"
    return f"{step}{indent(low, '    ')}    continue\n{high}"
