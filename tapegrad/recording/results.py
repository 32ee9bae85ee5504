"""Takes results of recorded functions apart, or says why something cannot be a result."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, isnan
from typing import Any, Final, TypeAlias, cast

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import OutputError
from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand, primal
from tapegrad.pytree.key_paths import Keys, key_path
from tapegrad.pytree.matching import first_difference
from tapegrad.pytree.reachable import reaches_traced
from tapegrad.pytree.structure import LEAF, Branch, Leaf, Role, Static, Structure, flatten
from tapegrad.recording.recorder import Condition, Var

__all__ = ["FlatResult", "are_alike", "flat_result"]

FlatResult: TypeAlias = tuple[Structure, list[Operand]]
"""The structure and the numbers of a result."""

_ROUNDING: Final = 1e-6
"""How far apart two computations of one number may be, relatively."""


def are_alike(one: FlatResult, other: FlatResult, *, statics: bool = False) -> bool:
    """Whether two results are built alike and have the same numbers, but for rounding.

    With ``statics`` what else they hold is the same, too.
    """
    if first_difference(one[0], other[0], statics=statics) is not None:
        return False
    return all(map(_are_near, one[1], other[1]))


def _are_near(x: Operand, y: Operand) -> bool:
    if is_array(x) or is_array(y):
        parts = [cast(Any, array).ravel().tolist() for array in (x, y)]
        return all(map(_are_near, *parts))
    a, b = primal(x), primal(y)
    return a == b or isclose(a, b, rel_tol=_ROUNDING) or (isnan(a) and isnan(b))


def flat_result(returned: object, *, has_aux: bool = False) -> tuple[Structure, list[Operand]]:
    """The structure and the numbers of a result; with ``has_aux`` of the pair (result, aux).

    No traced number is left in the static parts of the structure.

    Raises:
        OutputError: when a part is a condition or an iterator, or holds traced numbers in a place
            from which they cannot be taken out.
    """
    if type(returned) is Var:
        return LEAF, [returned]
    if has_aux and type(returned) is tuple and len(returned) == 2:
        value, first = flatten(returned[0], Role.RESULT, _name)
        aux, rest = flatten(returned[1], Role.AUX, _name)
        structure: Structure = Branch(tuple, (0, 1), (value, aux))
        leaves = first + rest
    else:
        structure, leaves = flatten(returned, Role.RESULT, _name)
    if not isinstance(structure, Leaf):
        _require_plain_statics(structure, ())
    return structure, leaves


def _name(keys: Keys) -> str:
    return f"the result {key_path(keys)}".rstrip()


def _require_plain_statics(structure: Structure, keys: Keys) -> None:
    """Raises for what would lead to a traced number after its recording."""
    if isinstance(structure, Static):
        _require_plain(structure.value, keys)
    elif isinstance(structure, Branch):
        if structure.container.access == "key":
            _require_plain_keys(structure, keys)
        for key, child in zip(structure.keys, structure.children, strict=True):
            if isinstance(child, Branch | Static):
                _require_plain_statics(child, (*keys, key))


def _require_plain_keys(structure: Branch, keys: Keys) -> None:
    key = next(filter(reaches_traced, structure.keys), None)
    if key is not None:
        raise OutputError(
            f"{_name(keys)} has the key {describe(key)}, with a traced number in it ({here()}): "
            "use a key without one"
        )
    text = next((key for key in structure.keys if isinstance(key, str) and "<Var %" in key), None)
    if text is not None:
        raise OutputError(
            f"{_name(keys)} has the key {text!r}, which is the text of a traced number ({here()}): "
            "make the key of a plain number, int(x) or an argument that static_argnames names"
        )


def _is_array_condition(value: object) -> bool:
    """Whether a value, one that reaches a traced number, is a condition of arrays."""
    if not hasattr(value, "shape"):
        return False
    return isinstance(value, serving("recording.array_var").ArrayCondition)


def _require_plain(value: object, keys: Keys) -> None:
    what = f"{_name(keys)} is {describe(value)}"
    reached = reaches_traced(value)
    if isinstance(value, Condition) or (reached and _is_array_condition(value)):
        raise OutputError(f"{what} ({here()}): return tapegrad.where(c, 1.0, 0.0)")
    if isinstance(value, Iterator):
        raise OutputError(
            f"{what}, which can be read once ({here()}): return a list or a tuple of what it gives"
        )
    if reached:
        raise OutputError(
            f"{what}, with a traced number in it that cannot be taken out ({here()}): return it "
            "in a dict, a list or a tuple, or in a dataclass with fields annotated Real"
        )
