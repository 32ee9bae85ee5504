"""The signatures of the functions of arrays, as type checkers see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tapegrad import numpy
from tapegrad.numpy import arrays, signatures

FOLDER: Final = Path(signatures.__file__).parent
MODULES: Final = [
    path
    for path in sorted(FOLDER.glob("*.py"))
    if path.stem not in {"__init__", "arrays", "signatures"}
]
PUBLIC: Final = {*numpy.__all__, *numpy.linalg.__all__}
LOOSE: Final = {"Any", "Function"} | {name for name, it in vars(arrays).items() if it is Any}
"""Names of types that are anything to a checker."""

SHAPES: Final = {name for name in signatures.__all__ if name[0].isupper()}
DECLARING: Final = set(signatures.__all__) - SHAPES


def names_in(node: ast.AST | None) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} if node else set()


def in_signature(function: ast.FunctionDef) -> set[str]:
    """The names in the annotations of a function."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    notes = [function.returns, *(one.annotation for one in every if one)]
    return set().union(*map(names_in, notes))


def decorators(function: ast.FunctionDef) -> set[str]:
    return {one.id for one in function.decorator_list if isinstance(one, ast.Name)}


def public(path: Path) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The public names that a module defines, with what defines each."""
    body = ast.parse(path.read_text()).body
    names = {one.name for one in body if isinstance(one, ast.FunctionDef)}
    names |= set().union(*(names_in(one.target) for one in body if isinstance(one, ast.AnnAssign)))
    for name in sorted(names & PUBLIC):
        made = [one for one in body if isinstance(one, ast.FunctionDef) and one.name == name]
        given = [
            one for one in body if isinstance(one, ast.AnnAssign) and names_in(one.target) == {name}
        ]
        yield name, [*made, *given]


def loose_names(defined: list[ast.stmt], helpers: dict[str, ast.FunctionDef]) -> set[str]:
    """Names of loose types that callers of a function meet."""
    functions = [one for one in defined if isinstance(one, ast.FunctionDef)]
    overloads = [one for one in functions if "overload" in decorators(one)]
    if overloads or any(decorators(one) & DECLARING for one in functions):
        return LOOSE & set().union(*map(in_signature, overloads))
    if functions:
        return LOOSE & set().union(*map(in_signature, functions))
    value = defined[0].value if isinstance(defined[0], ast.AnnAssign) else None
    if isinstance(value, ast.Name):
        return set()
    assert isinstance(value, ast.Call)
    maker = ast.unparse(value.func)
    shape = ast.literal_eval(value.args[0]) if maker == "cast" else helpers[maker].returns
    named = names_in(ast.parse(shape) if isinstance(shape, str) else shape)
    return named - SHAPES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_public_function_of_arrays_is_anything_to_a_checker(path: Path) -> None:
    """It is declared by a shape, or overloads, or annotations, none of which mentions Any."""
    body = ast.parse(path.read_text()).body
    helpers = {one.name: one for one in body if isinstance(one, ast.FunctionDef)}
    found = {name: loose_names(defined, helpers) for name, defined in public(path)}
    assert {name: loose for name, loose in found.items() if loose} == {}


def test_no_shape_mentions_any() -> None:
    """What declares the functions is precise itself."""
    body = ast.parse((FOLDER / "signatures.py").read_text()).body
    calls = [one for shape in body if isinstance(shape, ast.ClassDef) for one in ast.walk(shape)]
    signed = [in_signature(one) for one in calls if isinstance(one, ast.FunctionDef)]
    assert len(signed) > 100
    assert not LOOSE & set().union(*signed)
