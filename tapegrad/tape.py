"""The tape: a recorded program with the types of its function, and every reading as a method.

The data is in ``entries``. The readings take entries and do not import this class, so methods
import them when they are called, which keeps ``import tapegrad`` light.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, final, overload

import attrs

from tapegrad._support.argument_checks import refuse_keywords
from tapegrad._support.text import Printed
from tapegrad.entries.entries import Entries
from tapegrad.ops.array_support import serving
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import build

if TYPE_CHECKING:
    import os
    import pathlib
    from collections.abc import Iterable
    from typing import Unpack

    from tapegrad.draw.drawing import Drawing
    from tapegrad.draw.graphviz_source import GraphvizSource
    from tapegrad.draw.picture import View
    from tapegrad.inspect.diff import TapeDifference
    from tapegrad.inspect.explain import Explanation
    from tapegrad.inspect.lines import Listing
    from tapegrad.inspect.nonfinite import Nonfinite
    from tapegrad.inspect.stats import Stats
    from tapegrad.recording.recorder import Var
    from tapegrad.sweep.sparse_matrix import Sparsity

__all__ = ["Simplified", "Tape"]

A = TypeVar("A")
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


F = TypeVar("F", bound="Callable[..., object]")


def _first_by_position(method: F) -> F:
    """The method of a tape, with an error of our own where its first argument is missing."""

    @functools.wraps(method)
    def checked(self: object, *args: object, **kwargs: object) -> object:
        if not args:
            refuse_keywords(method.__name__, kwargs, differentiates=False)
        return method(self, *args, **kwargs)

    return cast(F, checked)


@final
@attrs.frozen(eq=False, repr=False)
class Tape(Entries, Generic[A, P, R_co]):
    """A recorded program as a value: print it, index it, draw it, replay it, differentiate it.

    ``A`` is the type of the differentiated argument, ``P`` the other parameters and ``R_co`` what
    the program returned. Made by ``record``; equality and hash compare structure, constants, static
    operands, inputs, outputs and values bit by bit, and not labels, scopes or positions.

    Raises:
        TapeError: when made from columns that are not a tape.
    """

    @property
    def value(self) -> R_co:
        """The result of the recorded function, with plain numbers for the traced ones."""
        values = self.values
        numbers = (values[slot] for slot in self.outputs)
        return cast(R_co, build(unshared_statics(self.result), numbers))

    @property
    def steps(self) -> tuple[Tape[dict[str, object], ..., tuple[object, object]], ...]:
        """The tape of one step of each loop that ``scan`` recorded, in order."""
        return tuple(cast("Tape[Any, ..., Any]", loop.tape) for loop in self.loops.values())

    def cotangents(self) -> tuple[float | None, ...]:
        """For each slot the derivative of the one output in it; None where none arrived.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        from tapegrad.sweep.gradient import output_cotangents

        return tuple(output_cotangents(self))

    def named_cotangents(self) -> dict[str, float]:
        """The derivatives of the one output in parameters and labelled values, by their names.

        Where several entries have one name, each is followed by its slot: ``error %17``.

        Raises:
            OutputError: when the tape has not exactly one output.

        >>> from tapegrad import Real, label, record
        >>> def f(x: Real) -> Real:
        ...     return label(x * 3.0, "tripled") ** 2
        >>> record(f)(1.0).named_cotangents()
        {'x': 18.0, 'tripled': 6.0}
        """
        from tapegrad.inspect.names import named_cotangents

        return named_cotangents(self)

    def gradient(self: Tape[A, P, float | Var]) -> A:
        """The gradient of the one output in the first argument, in the argument's own shape.

        Raises:
            OutputError: when the recorded function returned anything but one number.
        """
        from tapegrad.sweep.gradient import gradient

        return cast(A, gradient(self))

    def jacobian_sparsity(self) -> Sparsity:
        """Where the derivative of the outputs in the first argument's numbers can be not zero.

        A pattern of this program, whatever the inputs are, as long as its guards hold; of arrays it
        is that of their numbers, those of ``expanded()``.
        """
        from tapegrad.sweep.sparsity import jacobian_sparsity

        numbers = self.expanded()
        return jacobian_sparsity(numbers.columns.as_lists(), numbers.width, numbers.outputs)

    def hessian_sparsity(self) -> Sparsity:
        """Where the second derivative of the one output can be not zero; a symmetric pattern.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        from tapegrad.sweep.gradient import only_output
        from tapegrad.sweep.sparsity import hessian_sparsity

        numbers = self.expanded()
        output = only_output(numbers, "a Hessian needs")
        return hessian_sparsity(numbers.columns.as_lists(), numbers.width, output)

    @_first_by_position
    def replay(self, x: A, /, *args: P.args, **kwargs: P.kwargs) -> Tape[A, P, R_co]:
        """The same program at other inputs, as a new tape; data not given stays as recorded.

        Raises:
            GuardError: when a recorded comparison comes out differently.
            InputError: when the arguments' structure is not the recorded one.
        """
        from tapegrad.entries.replay_arguments import replay_at

        return replay_at(self, x, args, kwargs)

    def simplify(self, *, fast: bool = False) -> Simplified[A, P, R_co]:
        """The same program with fewer entries, and how many were removed for which reason.

        Removes what no output and no guard needs, and folds constants. On a tape that already
        holds its gradient (``record(grad(f))``) it also shares equal entries and drops ``x * 1``,
        ``x / 1``, ``x - 0.0``, ``x + -0.0`` and ``-(-x)``. Every output keeps its bits. With
        ``fast`` the latter is done on any tape, and small powers become products: results may
        then change in the last place.
        """
        from tapegrad.entries.simplify import simplify

        return Simplified(*simplify(self, fast=fast))

    def expanded(self) -> Tape[A, P, R_co]:
        """The same program with arrays taken apart into numbers, each an entry of its own.

        Sums go from the first number to the last, so values may differ in the last place. Inputs
        are named ``w[0, 1]``. A tape without arrays is returned as it is.

        Raises:
            TapeError: where an operation on arrays cannot be taken apart.
        """
        if not self.on_arrays:
            return self
        return cast("Tape[A, P, R_co]", serving("entries.expand").expand(self.of_numbers()))

    def lines(self) -> Listing:
        """The user's source with what each line put on the tape in its margin.

        Print it: entries, the range of the line's results, that of their cotangents, and marks
        for nan, infinity and guards.
        """
        from tapegrad.inspect.lines import lines

        return lines(self)

    def stats(self) -> Stats:
        """The tape in figures: entries by row, inputs, guards, depth, bytes."""
        from tapegrad.inspect.stats import stats

        return stats(self)

    def explain(self, of: str | int | None = None, *, wrt: str | int, top: int = 5) -> Explanation:
        """The parts that add up to one derivative: by line that reads ``wrt``, by path, by label.

        ``of`` is the key path of an output, a label, or a slot, and the one output where it is not
        given; ``wrt`` the key path of an input, a label, or a slot. At most ``top`` paths, those of
        the largest magnitude, are listed one by one.

        Raises:
            InputError: when a name is unknown or stands for several entries, or ``top`` is
                negative.
        """
        from tapegrad.inspect.explain import explain

        return explain(self, of, wrt, top)

    def first_nonfinite(
        self, sweep: Literal["forward", "reverse"] | None = None
    ) -> Nonfinite | None:
        """Where the first nan or infinity arises, of a value or else of a cotangent; None if none.

        Constants are not looked at: an infinity that the program writes down is no accident. A
        ``sweep`` is looked at alone where it is given; the reverse one starts from every output.

        Raises:
            InputError: when ``sweep`` is unknown.
        """
        from tapegrad.inspect.nonfinite import first_nonfinite

        return first_nonfinite(self, sweep)

    def diff(self, other: Tape[Any, ..., Any]) -> TapeDifference:
        """The first entries in which this recording and another differ, in structure and value."""
        from tapegrad.inspect.diff import diff

        return diff(self, other)

    def __str__(self) -> str:
        from tapegrad.inspect.table import table

        return table(self)

    def tree(self) -> str:
        """The outputs as a tree: under each value those that it was computed from.

        Shared values are spelled out where they are met first, and later marked "(above)".

        >>> from tapegrad import Real, record
        >>> def f(x: Real, y: Real) -> Real:
        ...     return x * y + y
        >>> print(record(f)(2.0, 3.0).tree())
        %3 = %2 + y = 9   grad 1
        ├── %2 = x * y = 6   grad 1
        │   ├── x = 2   grad 3
        │   └── y = 3
        └── y = 3
        """
        from tapegrad.inspect.tree import tree

        return tree(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """The tape as JSON text, for other programs.

        An object with ``version`` (1), ``function``, ``inputs`` (their names), ``outputs`` (slots
        and names) and ``entries``, each with ``slot``, ``kind`` ("input", "constant", "operation"
        or "guard"), ``name``, ``operands`` (slots), ``value``, ``cotangent`` (null where there is
        none), ``output``, ``scope`` and ``site`` (file, line, function); an operation also has
        ``operation``, the name of its row, and its ``static`` operands. Arrays are nested lists,
        and "nan", "inf" and "-inf" are texts. Later versions may add keys.
        """
        from tapegrad.inspect.plain import to_json

        return to_json(self, indent)

    def to_dot(self, **view: Unpack[View]) -> str:
        """The picture that ``draw`` describes as DOT text; the same bytes on every run.

        Raises:
            DrawingError: for an option that makes no sense.
            InputError: for a name that is not on the tape.
        """
        from tapegrad.draw.drawing import picture

        return picture(self, **view).dot()

    def to_graphviz(self, **view: Unpack[View]) -> GraphvizSource:
        """The picture as a ``graphviz.Source``, an object of the ``graphviz`` package.

        That package has no types: those of the object are stated here, so that a type checker knows
        them without its stubs.
        """
        import graphviz

        return graphviz.Source(self.to_dot(**view))

    @overload
    def draw(self, path: None = None, **view: Unpack[View]) -> Drawing: ...
    @overload
    def draw(self, path: str | os.PathLike[str], **view: Unpack[View]) -> pathlib.Path: ...
    def draw(
        self, path: str | os.PathLike[str] | None = None, **view: Unpack[View]
    ) -> Drawing | pathlib.Path:
        """Writes the picture to a file: ``.svg``, ``.png``, ``.pdf``, ``.dot`` or ``.html``.

        Without a path it is a value that shows itself in a notebook, and in print as a tree.

        ``by="node"`` draws a box for each entry, ``"line"`` one for each source line and
        ``"scope"`` frames for scopes and functions; ``"auto"``, the default, goes by node up to 150
        entries and by line beyond. ``around="vol"`` keeps the entries within ``depth=2`` steps of
        the label, input or slot ``vol``, ``between=("spot", "price")`` those on paths from one to
        the other, and ``top=40`` those with the largest |cotangent * value|; the caption says what
        was left out. ``rankdir`` is "LR", the default for entries, or "TB", that for lines and
        functions, and ``gradient=False`` shows values only.

        Raises:
            DrawingError: without a layout program, for a file that cannot be written, or for an
                option that makes no sense.
            InputError: for a name that is not on the tape.
        """
        from tapegrad.draw.drawing import draw

        return draw(self, path, **view)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        from tapegrad.draw.drawing import bundle

        return bundle(self, include, exclude)


@final
@attrs.frozen
class Simplified(Printed, Generic[A, P, R_co]):
    """A simplified tape, and counts of the entries that were removed or replaced.

    ``dead`` entries were not needed by any output or guard, ``shared`` ones were equal to another,
    and ``dropped`` ones gave back an operand; ``folded`` ones became constants.
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
