"""The tape: a recorded program with the types of its function, and every reading as a method.

The data is in ``entries``; the readings take entries, and know nothing of this class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, final, overload

import attrs

from tapegrad.entries.columns import freeze_values
from tapegrad.entries.entries import Entries
from tapegrad.errors import OutputError
from tapegrad.pytree.structure import Leaf, build, describe_structure

if TYPE_CHECKING:
    import os
    import pathlib
    from collections.abc import Sequence
    from typing import Unpack

    import graphviz

    from tapegrad.draw.drawing import Drawing
    from tapegrad.draw.picture import View
    from tapegrad.inspect.diff import Difference
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


@final
@attrs.frozen(eq=False, repr=False)
class Tape(Entries, Generic[A, P, R_co]):
    """A recorded program, as a value: print it, index it, draw it, replay it, differentiate it.

    ``A`` is the type of the differentiated argument, ``P`` the other parameters and ``R_co`` what
    the program returned. Made by ``record``; equality and hash compare structure, constants, static
    operands, inputs, outputs and values bit by bit, and not labels, scopes or positions.

    Raises:
        TapeError: when made from columns that are not a tape.
    """

    @property
    def value(self) -> R_co:
        """What the recorded function returned, with plain numbers for the traced ones."""
        values = self.values
        return cast(R_co, build(self.result, (values[slot] for slot in self.outputs)))

    def cotangents(self) -> tuple[float | None, ...]:
        """For each slot the derivative of the one output in it; None where none arrived.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        return tuple(self._cotangents_from((self._only_output("cotangents need"),)))

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
        from tapegrad.sweep.sparsity import jacobian_sparsity

        return jacobian_sparsity(self.columns.as_lists(), self.width, self.outputs)

    def hessian_sparsity(self) -> Sparsity:
        """Where the second derivative of the one output can be not zero; a symmetric pattern.

        Raises:
            OutputError: when the tape has not exactly one output.
        """
        from tapegrad.sweep.sparsity import hessian_sparsity

        output = self._only_output("a Hessian needs")
        return hessian_sparsity(self.columns.as_lists(), self.width, output)

    def replay(self, x: A, /, *args: P.args, **kwargs: P.kwargs) -> Tape[A, P, R_co]:
        """The same program at other inputs, as a new tape; data not given stays as recorded.

        Raises:
            GuardError: when a recorded comparison comes out differently.
            InputError: when the arguments' structure is not the recorded one.
        """
        from tapegrad.entries.replay import replay
        from tapegrad.entries.replay_arguments import replay_inputs

        inputs = replay_inputs(self, x, args, kwargs)
        values = replay(self.columns, inputs, lambda slot: str(self.site(slot) or f"%{slot}"))
        return attrs.evolve(self, stored=freeze_values(values))

    def simplify(self, *, fast: bool = False) -> Simplified[A, P, R_co]:
        """The same program with less in it, and how many entries went for which reason.

        Removes what no output and no guard needs, and folds constants. On a tape that already
        holds its gradient (``record(grad(f))``) it also shares equal entries and drops ``x * 1``,
        ``x / 1``, ``x - 0.0``, ``x + -0.0`` and ``-(-x)``. Every output keeps its bits. With
        ``fast`` the latter is done on any tape, and small powers become products: results may
        then change in the last place.
        """
        from tapegrad.entries.simplify import simplify

        return Simplified(*simplify(self, fast=fast))

    def lines(self) -> Listing:
        """The user's source with what each line put on the tape in its margin.

        Print it: entries, the range of what the line hands on, that of its cotangents, and marks
        for nan, infinity and guards.
        """
        from tapegrad.inspect.lines import lines

        return lines(self.of_numbers(), self._known_cotangents())

    def stats(self) -> Stats:
        """The tape in figures: entries by row, inputs, guards, depth, bytes."""
        from tapegrad.inspect.stats import stats

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
        from tapegrad.inspect.explain import explain

        numbers = self.of_numbers()
        return explain(numbers, numbers._cotangents_from, of, wrt, top)

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

        numbers = self.of_numbers()
        return first_nonfinite(numbers, numbers._cotangents_from, sweep)

    def diff(self, other: Tape[Any, ..., Any]) -> Difference:
        """Where this recording and another part, in structure and in value."""
        from tapegrad.inspect.diff import diff

        return diff(self.of_numbers(), other.of_numbers())

    def _cotangents_from(self, slots: Iterable[int]) -> Sequence[float | None]:
        """The cotangents of every slot, swept from some of them at once."""
        from tapegrad.sweep.reverse import cotangents

        bars = cotangents(self.columns.as_lists(), dict.fromkeys(slots, 1.0))
        return cast("list[float | None]", bars)

    def _known_cotangents(self) -> Sequence[float | None]:
        """The cotangents where they are defined, for a reading that shows them.

        Those of traced values are computed on the numbers they stand for: looking records nothing.
        """
        return self.of_numbers().cotangents() if len(self.outputs) == 1 else (None,) * len(self)

    def _only_output(self, needs: str) -> int:
        """The slot of the one output, which some result ``needs``."""
        if len(self.outputs) != 1:
            raise OutputError(
                f"this tape has {len(self.outputs)} outputs, and {needs} one: record a function "
                "that returns one number"
            )
        return self.outputs[0]

    def __str__(self) -> str:
        from tapegrad.inspect.table import table

        return table(self, self._known_cotangents())

    def to_dot(self, **view: Unpack[View]) -> str:
        """The picture that ``draw`` describes as DOT text; the same bytes on every run.

        Raises:
            DrawingError: for an option that makes no sense.
            InputError: for a name that is not on the tape.
        """
        from tapegrad.draw.drawing import picture

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
        from tapegrad.draw.drawing import draw

        return draw(self, self._known_cotangents(), path, **view)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        from tapegrad.draw.drawing import bundle

        return bundle(self, self._known_cotangents, include, exclude)


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
