"""Memory for time: a part of a program that the reverse sweep computes again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.entries.columns import CheckpointedBlock, Columns
from tapegrad.errors import RecordingError
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Role, Structure, build, flatten
from tapegrad.recording.recorder import Recorder, Var, recorder_among
from tapegrad.recording.trace import Trace, trace

__all__ = ["checkpoint"]

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(f: Callable[P, R], /) -> Callable[P, R]:
    """``f``, of which a gradient keeps the arguments and the results only.

    What ``f`` computes is dropped, and computed again when the reverse sweep comes to it: of a
    long loop cut into blocks the memory is that of the blocks' ends and of one block, for one more
    evaluation. Values and gradients have the same bits as without. Blocks may stand in blocks.

    It saves memory in ``grad``, ``value_and_grad``, ``partials`` and ``vjp``, where ``f`` gets all
    numbers that are traced as arguments. Elsewhere (under ``record`` and the other transforms, in
    a gradient of a gradient, for an ``f`` that reads traced numbers from around it) ``f`` is
    called as if it stood alone.

    Raises:
        RecordingError: when ``f`` computes something else the second time.

    >>> from tapegrad import Real, grad, math
    >>> @checkpoint
    ... def block(x: Real) -> Real:
    ...     for _ in range(100):
    ...         x = math.sin(x)
    ...     return x
    >>> def loop(x: Real) -> Real:
    ...     for _ in range(10):
    ...         x = block(x)
    ...     return x
    >>> grad(loop)(1.0)
    0.00012436381135847577
    """

    @functools.wraps(f)
    def checkpointed(*args: P.args, **kwargs: P.kwargs) -> R:
        recorder = recorder_among((args, kwargs))
        if recorder is not None and recorder.blocks and not recorder.outers:
            block = _block(f, (args, kwargs), recorder)
            if block is not None:
                return cast(R, block)
        return f(*args, **kwargs)

    return checkpointed


@final
@attrs.frozen
class _Call(CheckpointedBlock):
    """A call of ``f``: ``leaves`` are its numbers, an index for each that is an operand."""

    f: Callable[..., object]
    structure: Structure
    leaves: tuple[float | int, ...]
    values: tuple[float, ...] = ()

    def traced(self, operands: Sequence[float]) -> Trace:
        """The call on these operands, taken down."""

        def inside(given: tuple[Operand, ...]) -> object:
            leaves = (given[leaf] if isinstance(leaf, int) else leaf for leaf in self.leaves)
            args, kwargs = cast(
                "tuple[tuple[object, ...], dict[str, object]]", build(self.structure, leaves)
            )
            return self.f(*args, **kwargs)

        inside.__qualname__ = name_of(self.f)
        return trace(inside, tuple(operands), {}, blocks=True)

    def record_again(self, operands: Sequence[float]) -> tuple[Columns, Sequence[int]]:
        traced = self.traced(operands)
        results = _results(traced)
        values = tuple(traced.columns.values[slot] for slot in results)
        if repr(values) != repr(self.values):
            raise RecordingError(
                f"{name_of(self.f)} under checkpoint ({here()}) gave {self.values} when recorded "
                f"and {values} when computed again: let it depend on nothing but its arguments"
            )
        return traced.columns, results


def _block(
    f: Callable[..., object], arguments: tuple[object, object], recorder: Recorder
) -> object:
    """What the call gives as one entry of the recording; None if it has to be taken down."""
    recorder.require_open()
    structure, leaves = flatten(arguments, Role.DATA, key_path)
    numbers = [leaf for leaf in leaves if isinstance(leaf, Var)]
    if any(number._recorder is not recorder for number in numbers):
        return None
    operands = {number._slot: number for number in numbers}
    places = {slot: place for place, slot in enumerate(operands)}
    call = _Call(
        f,
        structure,
        tuple(
            places[leaf._slot] if isinstance(leaf, Var) else cast(float, leaf) for leaf in leaves
        ),
    )
    traced = call.traced([cast(float, operand._value) for operand in operands.values()])
    return None if traced.columns.traced else _entered(call, traced, tuple(operands.values()))


def _entered(call: _Call, traced: Trace, operands: tuple[Var, ...]) -> object:
    """What the call returned, with one entry for the block and one for each number it computed."""
    columns, results = traced.columns, _results(traced)
    given: dict[int, Operand] = dict(enumerate(operands))
    if results:
        values = tuple(cast(float, columns.values[slot]) for slot in results)
        whole = BLOCK(*operands, cast(float, attrs.evolve(call, values=values)))
        given |= {slot: RESULT(whole, value) for slot, value in zip(results, values, strict=True)}
    return build(traced.result, (given.get(slot, columns.values[slot]) for slot in traced.outputs))


def _results(traced: Trace) -> list[int]:
    """The slots of the numbers that were computed inside, and neither given nor constant."""
    computed = (slot for slot in traced.outputs if traced.columns.row(slot).is_operation)
    return sorted(set(computed))


def _no_partial(*_: object) -> Operand:
    raise RecordingError("a block of checkpoint has no partials: sweep what it stands for")


BLOCK: Final = Primitive(
    "checkpoint", lambda *_: 0.0, _no_partial, "A part computed again.",
    has_static=True, module="tapegrad.transforms.checkpoint", reference="BLOCK",
)  # fmt: skip
RESULT: Final = Primitive(
    "result", lambda _, value: value, (1.0,), "A result of such a part.",
    has_static=True, module="tapegrad.transforms.checkpoint", reference="RESULT",
)  # fmt: skip
