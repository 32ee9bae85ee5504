"""The layers: a package knows the packages to its left, and inside one there are no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tapegrad"

LAYERS = [
    "errors", "_support", "ops", "pytree", "entries", "recording", "sweep", "math",
    "inspect", "draw", "tape", "transforms", "numpy", "compile", "check", "batch", "optimize",
    "learn", "__init__", "cli", "__main__", "mypy_plugin",
]  # fmt: skip
"""The modules and packages of the top folder: each may import itself and those to its left."""


def name_of(file: Path) -> str:
    """The dotted name of a module inside the package."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file): file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}


def imported(source: str) -> Iterator[str]:
    """Our modules that a source imports, inside its functions and for type checkers, too."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.partition(".")[0] == "tapegrad":
                yield defining(name.partition(".")[2])


def defining(name: str) -> str:
    """The module that ``name`` is, or is defined in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or "__init__"


def layer(module: str) -> int:
    return LAYERS.index(module.partition(".")[0])


@cache
def imports() -> Mapping[str, set[str]]:
    """The modules that each module imports."""
    return {module: set(imported(source)) for module, source in MODULES.items()}


def test_a_module_imports_from_its_own_package_and_those_to_its_left() -> None:
    """No import points to the right, wherever in a module it stands."""
    assert {module.partition(".")[0] for module in MODULES} == set(LAYERS)
    pairs = ((module, other) for module, known in imports().items() for other in known)
    assert [(module, other) for module, other in pairs if layer(other) > layer(module)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """There is an order in which every module comes after those it imports."""
    assert set(TopologicalSorter(imports()).static_order()) == set(MODULES)


def test_nothing_is_imported_by_its_name_but_the_lazy_public_names() -> None:
    """``import_module`` serves ``__getattr__``, the pickles of rows, and arrays when one is met."""
    users = {module for module, source in MODULES.items() if "import_module(" in source}
    assert users == {"__init__", "ops.array_support", "ops.primitive"}


@pytest.mark.parametrize(
    "line",
    [
        "import tapegrad.ops.table",
        "from tapegrad.ops import table",
        "from tapegrad.ops.table import sin",
        "def f():\n    from tapegrad.ops.table import sin",
        "if TYPE_CHECKING:\n    from tapegrad.ops.table import sin",
    ],
)
def test_an_import_is_seen_however_it_is_written(line: str) -> None:
    """The tests above would see an import that breaks the rule."""
    assert set(imported(line)) == {"ops.table"}


def test_the_folder_of_the_package_can_be_taken_in_at_a_glance() -> None:
    """At most twenty modules and packages, beside what Python itself asks for."""
    ours = [file.name for file in PACKAGE.iterdir() if not file.name.startswith("__")]
    assert len(set(ours) - {"py.typed"}) <= 20
