"""Generates sweeps: loops over the entries of a tape with a branch for each row of the table.

A sweep says what happens at one operand of one row, as Python source that mentions the row's
partial derivative in it. The derivative is spelled by running the row's partial on symbols, so the
table stays the one place that states derivatives. The rest is generated here: the loop, the choice
of the branch, and the call of a function for entries whose row has no branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from textwrap import indent
from typing import Concatenate, Final, Generic, ParamSpec, cast, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.inline import INLINE, INLINE_NAMES, Symbol, call_name
from tapegrad.ops.primitive import Operand, Primitive, Table

__all__ = ["Sweep", "SymbolicOperand", "accumulate", "reads", "source_of", "times"]

P = ParamSpec("P")


@final
@attrs.frozen
class SymbolicOperand:
    """One operand of a row, and the row's partial derivative in it, as Python source.

    ``slot`` is the name of its slot. ``partial`` may mention the result ``y``, the operands ``x0``
    and ``x1`` and the static operand ``n``. The loop fetches what is mentioned.
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
        self.loop(columns)(columns, slots, *state, **named)

    def loop(
        self, columns: EntryColumns
    ) -> Callable[Concatenate[EntryColumns, Iterable[int], P], None]:
        """The loop over the entries of tapes like this one: quicker to call than the sweep."""
        return _compiled(self, columns.table.base or columns.table)

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
        call = self._call
        is_pair = self.pairs and row.arity is None and not row.has_static
        if row.is_pooled and row.kind != "choice" and not is_pair:
            return call
        shares = "".join(map(self.operand, _symbolic_operands(row)))
        if row.kind == "choice":
            return f"{_SELECT}{shares}"
        if not row.is_pooled:
            return f"{_reads(shares)}{shares}" or "pass\n"
        return f"{_IF_PAIR}{indent(reads(shares) + shares, '    ')}else:\n    {call}"


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


def _symbolic_operands(row: Primitive) -> Iterator[SymbolicOperand]:
    """The operands that a row has a partial in; of a ``where`` only the arm that it selects."""
    if row.kind == "choice":
        yield SymbolicOperand(row, 1, "i", "1.0", is_first=True)
        return
    count = 2 if row.arity is None else row.arity
    symbols = [Symbol(f"x{index}") for index in range(count)] + [Symbol("n")] * row.has_static
    partials = [row.partial(index, Symbol("y"), *symbols) for index in range(count)]
    for index, (slot, partial) in enumerate(zip("ij", partials, strict=False)):
        if partial is not None:
            is_first = all(before is None for before in partials[:index])
            yield SymbolicOperand(row, index, slot, _with_result(row, partial), is_first)


def _with_result(row: Primitive, partial: Operand) -> str:
    """The source of a partial, which does not compute the row's result again to look at it."""
    value, _ = INLINE.get(row, ("", ""))
    return source_of(partial).replace(f"(v := {value.format('x0', 'x1', 'n')})", "(v := y)")


def source_of(operand: Operand) -> str:
    """A symbol's expression, or a number as Python writes it."""
    return operand.text if isinstance(operand, Symbol) else repr(operand)


def times(x: str, y: str) -> str:
    """The expression ``x * y``, without a factor that is 1 or -1."""
    for one, other in ((x, y), (y, x)):
        if one in {"1.0", "-1.0"}:
            return other if one == "1.0" else f"-{other}"
    return f"{x} * {y}"


def accumulate(total: str, share: str) -> str:
    """Statements that add ``share`` to ``total``, which is None as long as nothing was added."""
    if not share.isidentifier():
        return f"p = {share}\n{accumulate(total, 'p')}"
    return f"c = {total}\n{total} = {share} if c is None else c + {share}\n"


def _reads(source: str) -> str:
    """Statements that fetch the operands' slots and all values which a source mentions."""
    values = reads(source)
    text = Symbol(source + values)
    slots = (("i", "left[k]"), ("j", "right[k]"))
    return "".join(f"{name} = {slot}\n" for name, slot in slots if text.mentions(name)) + values


def reads(source: str) -> str:
    """Statements that fetch the values which a source mentions."""
    text = Symbol(source)
    return "".join(f"{name} = {value}\n" for name, value in _VALUES if text.mentions(name))


_VALUES: Final = (
    ("y", "values[k]"), ("x0", "values[i]"), ("x1", "values[j]"), ("n", "statics[j]"),
)  # fmt: skip

_TESTED_FIRST, _TESTED_NEXT = 3, 6
"""The numbers of operations, the first of the table, whose codes are tested in turn."""


def _dispatch(table: Table, branch: Callable[[Primitive], str], otherwise: str) -> str:
    """Statements that choose by ``code``, and run ``otherwise`` for a code beyond the table.

    Arithmetic is tested first. The rest is found by binary search: functions, then the helpers of
    slopes, which are rarely swept.
    """
    branches = [(code, branch(row)) for code, row in enumerate(table.rows)]
    found = [(code, source) for code, source in branches if source != "pass\n"]
    first, rest = found[:_TESTED_FIRST], found[_TESTED_NEXT:]
    cases = [_case(f"code == {code}", source) for code, source in found[:_TESTED_NEXT]]
    functions = [pair for pair in rest if not table.rows[pair[0]].helper]
    helpers = [pair for pair in rest if table.rows[pair[0]].helper]
    last = _case(f"code >= {len(branches)}", otherwise) + (_search(helpers) if helpers else "")
    return (
        "".join(cases[: len(first)])
        + _below(rest[0][0], "".join(cases[len(first) :]))
        + _below(functions[-1][0] + 1, _search(functions))
        + last
    )


def _case(condition: str, body: str) -> str:
    """A branch after which the loop goes on with the next entry."""
    return f"if {condition}:\n{indent(body, '    ')}    continue\n"


def _below(code: int, body: str) -> str:
    """A branch for lower codes, which may be long.

    The jump over it is not the comparison's own: CPython is quick at a comparison only where the
    jump after it is short.
    """
    return f"if code >= {code}:\n    pass\nelse:\n{indent(body, '    ')}    continue\n"


def _search(branches: Sequence[tuple[int, str]]) -> str:
    """A binary search for the code, with a row's branch at each end."""
    if len(branches) == 1:
        code, source = branches[0]
        return f"if code == {code}:\n{indent(source, '    ')}"
    middle = len(branches) // 2
    low, high = _search(branches[:middle]), _search(branches[middle:])
    return _below(branches[middle][0], low) + high
