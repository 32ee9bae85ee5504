"""Generates sweeps: loops over the entries of a tape with a branch for each row of the table.

A sweep says what happens at one operand of one row, as Python source that mentions the row's
partial derivative in it. The derivative is spelled by running the row's partial on symbols, so the
table stays the one place that states derivatives. The rest is generated here: the loop, the choice
of the branch, and the call of a function for entries whose row has no branch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate as running_sums
from itertools import chain
from textwrap import indent
from typing import Concatenate, Final, Generic, NamedTuple, ParamSpec, cast, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.inline import INLINE, INLINE_NAMES, Symbol, call_name, joint
from tapegrad.ops.primitive import Operand, Primitive, Table

__all__ = ["Sweep", "SymbolicOperand", "accumulate", "reads", "source_of", "times"]

P = ParamSpec("P")


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


@final
@attrs.frozen(eq=False)
class Sweep(Generic[P]):
    """A loop over entries of a tape of plain floats, compiled once for each table.

    ``state`` names the arguments that the loop takes beside the tape, separated by commas.
    ``arrive`` is source that runs at each entry ``k``; it may ``continue`` with the next one.
    ``operand`` gives the source that runs for each operand with a partial.
    ``any_entry`` is called for an entry whose row has its operands in the pool or is the user's;
    with ``pairs`` there are branches for the former where they have two operands.
    """

    state: str
    operand: Callable[[SymbolicOperand], str]
    any_entry: Callable[Concatenate[EntryColumns, int, P], None]
    arrive: str = ""
    pairs: bool = True

    def __call__(
        self, columns: EntryColumns, slots: Iterable[int], /, *state: P.args, **named: P.kwargs
    ) -> None:
        """Visit the entries ``slots`` in order."""
        self.loop(columns.table)(columns, slots, *state, **named)

    def loop(self, table: Table) -> Callable[Concatenate[EntryColumns, Iterable[int], P], None]:
        """The loop over the entries of tapes of a table: quicker to call than the sweep."""
        return _compiled(self, table.base or table)

    def source(self, table: Table) -> str:
        """Python source of the loop, a function called ``sweep``."""
        head = f"{_HEAD.format(self.state)}{indent(self.arrive, ' ' * 8)}        code = codes[k]\n"
        return head + indent(_dispatch(table, self.branch, self._call), " " * 8)

    @property
    def _call(self) -> str:
        """Source for entries whose row has no branch."""
        return f"any_entry(columns, k, {self.state})\n"

    def branch(self, row: Primitive) -> str:
        """Source for the entries of one row."""
        is_pair = self.pairs and row.arity is None and not row.has_static
        if row.is_pooled and row.kind != "choice" and not is_pair:
            return self._call
        if row.kind == "choice":
            return _SELECT + self.operand(SymbolicOperand(row, 1, "i", "1.0", is_first=True))
        shares = self._shares(row)
        if not row.is_pooled:
            return f"{_slots(shares)}{shares}" or "pass\n"
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


_HEAD: Final = """\
def sweep(columns, slots, {}):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in slots:
"""
_IF_PAIR: Final = "if right[k] == 2:\n    i = left[k]\n    i, j = pool[i], pool[i + 1]\n"
_SELECT: Final = "i = left[k]\ni = pool[i + (1 if values[pool[i]] else 2)]\n"
"""Finds the slot of the arm that a ``where`` selects."""


@cache
def _compiled(sweep: Sweep[...], table: Table) -> Callable[..., None]:
    """The loop as a function of this module."""
    namespace = {**INLINE_NAMES, **{call_name(row): row.value for row in table.rows}}
    namespace["any_entry"] = sweep.any_entry
    namespace["__name__"] = __name__  # so that an error is not said to be on one of its lines
    code = compile(sweep.source(table), "<spelled by tapegrad>", "exec")
    exec(code, namespace)  # noqa: S102  # the source is spelled from the table alone
    return cast(Callable[..., None], namespace["sweep"])


def _partials(row: Primitive) -> dict[int, Operand]:
    """The partials that a row has, by the index of the operand, on symbols."""
    count = 2 if row.arity is None else row.arity
    symbols = [Symbol(f"x{index}") for index in range(count)] + [Symbol("n")] * row.has_static
    partials = {index: row.partial(index, Symbol("y"), *symbols) for index in range(count)}
    value, _ = INLINE.get(row, ("", ""))
    result = value.format("x0", "x1", "n", call="")
    return {
        index: partial.knowing(result, "y") if isinstance(partial, Symbol) else partial
        for index, partial in partials.items()
        if partial is not None
    }


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
    negated = _NEGATED.fullmatch(y)
    return f"-({x} * {negated[1]})" if negated else f"{x} * {y}"


_NEGATED: Final = re.compile(r"\(-(\w+(?:\([^()]*\))?|\(.*\))\)")
"""A symbol's expression that is another one negated."""


def accumulate(total: str, share: str) -> str:
    """Statements that add ``share`` to ``total``, which is None as long as nothing was added."""
    sign, size = ("-", share[1:]) if share.startswith("-") else ("", share)
    if not size.isidentifier():
        return f"p = {size}\n{accumulate(total, sign + 'p')}"
    return f"c = {total}\n{total} = {share} if c is None else c {sign or '+'} {size}\n"


def _slots(source: str) -> str:
    """Statements that fetch the slots of operands which a source mentions."""
    text = Symbol(source)
    slots = (("i", "left[k]"), ("j", "right[k]"))
    return "".join(f"{name} = {slot}\n" for name, slot in slots if text.mentions(name))


def reads(source: str) -> str:
    """Statements that fetch the values which a source mentions."""
    text = Symbol(source)
    return "".join(f"{name} = {value}\n" for name, value in _VALUES if text.mentions(name))


_VALUES: Final = (
    ("y", "values[k]"), ("x0", "values[i]"), ("x1", "values[j]"), ("n", "statics[j]"),
)  # fmt: skip

_TESTED_FIRST: Final = 2
"""The number of operations, the first of the table, whose codes are tested in turn."""


def _dispatch(table: Table, branch: Callable[[Primitive], str], otherwise: str) -> str:
    """Statements that choose by ``code``, and run ``otherwise`` for a code beyond the table.

    Sums and products are tested first. The rest is found by a search that takes fewest steps for
    other operators, few for functions, and more for what is called or rarely swept.
    """
    branches = [branch(row) for row in table.rows]
    found = [code for code, source in enumerate(branches) if source != _NOTHING]
    first, cases = found[:_TESTED_FIRST], ""
    for code in first:
        cases += f"if code == {code}:\n{indent(branches[code], '    ')}    continue\n"
        branches[code] = _NOTHING
    leaves = [_Leaf(0, branches[0], _weight(table.rows[0]))]
    for code, row in enumerate(table.rows):
        if branches[code] != leaves[-1].source:
            leaves.append(_Leaf(code, branches[code], _weight(row)))
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
