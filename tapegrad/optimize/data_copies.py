"""Copies of the data of an objective, with numbers in arrays that compiled code can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import zip_longest
from typing import Literal

import numpy as np

from tapegrad._support.source_position import here
from tapegrad.batch.arrays import (
    Namer,
    checked_array,
    is_static_column,
    require_no_nan,
    split_arrays,
)
from tapegrad.compile.cache import argument_namer
from tapegrad.errors import InputError
from tapegrad.pytree.key_paths import key_path_in
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import Role, build, flatten, key_paths
from tapegrad.transforms.static_arguments import StaticArguments

__all__ = ["copied"]


def copied(
    f: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    axes: Sequence[Literal[0] | None],
    static: StaticArguments,
    *,
    check_finite: bool,
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Copies the arguments of ``f`` after the first into arrays and containers of our own.

    What is ``static`` may hold anything, and without ``check_finite`` numbers may be nan. Files and
    arrays of other libraries that have rows stay where they are, and are not searched for nan.

    Raises:
        InputError: when a number is nan (the message names its row, or its key path), or an
            argument with rows is an iterator, or what ``vmap`` would refuse.
    """
    by_key: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    found: list[object] = []
    for (key, value), axis in zip_longest(by_key, axes):
        name = argument_namer(f, key + 1 if isinstance(key, int) else key)
        if axis == 0:
            found.append(_rows(value, name, check_finite=check_finite))
        else:
            kept = key in static
            found.append(
                deepcopy(value) if kept else _constant(value, name, check_finite=check_finite)
            )
    return tuple(found[: len(args)]), dict(zip(kwargs, found[len(args) :], strict=True))


def _rows(value: object, name: Namer, *, check_finite: bool) -> object:
    """A copy of an argument that has the rows first."""
    if isinstance(value, Iterator):
        raise InputError(
            f"{name(())} is an iterator, which can be read once, and a solver reads the data again "
            f"and again ({here()}): pass an array"
        )
    structure, arrays = split_arrays(value, name)
    return build(
        structure,
        [_copied(array, name(keys), check_finite=check_finite) for keys, array in arrays.items()],
    )


def _copied(value: object, name: str, *, check_finite: bool) -> object:
    """A copy of an array of numpy's; one of another kind as it is."""
    if is_static_column(value):
        return deepcopy(value)
    array = checked_array(value, name)
    if type(value) is not np.ndarray:
        return value
    if check_finite:
        require_no_nan(value, name)
    return np.array(array, dtype=np.float64, order="C")


def _constant(value: object, name: Namer, *, check_finite: bool) -> object:
    """A copy of an argument that is the same for all rows."""
    if type(value) is np.ndarray:
        if check_finite:
            require_no_nan(value, name(()))
        return value.copy()
    structure, leaves = flatten(value, Role.DATA, name)
    for path, leaf in zip(key_paths(structure), leaves, strict=True):
        if check_finite and leaf != leaf:
            raise InputError(
                f"{key_path_in(name(()), path)} is nan ({here()}): put a number there, or pass "
                "check_finite=False"
            )
    return build(unshared_statics(structure), leaves)
