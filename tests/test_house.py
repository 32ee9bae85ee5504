"""The house: which file knows which, honest exports, documented names, true examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tapegrad
from tapegrad.primitive import Primitive

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tapegrad"
FILES = sorted(PACKAGE.rglob("*.py"))
LOADED = [file for file in FILES if file.stem != "mypy_plugin"]  # mypy loads that one
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "text": set(),
    "positions": set(),
    "floats": set(),
    "special": {"floats"},
    "gammas": {"floats", "special"},
    "primitive": {"errors"},
    "spelling": {"primitive"},
    "structure": {"errors", "positions", "primitive"},
    "ops": {"floats", "gammas", "primitive", "special"},
    "nodes": {"columns", "positions", "primitive"},
    "columns": {"errors", "primitive"},
    "tape": {"columns", "errors", "nodes", "positions", "primitive", "structure"},
    "checks": {"errors", "positions"},
    "recording": {
        "checks", "columns", "errors", "nodes", "ops", "positions", "primitive", "structure",
        "tape",
    },
    "ufuncs": {"errors", "ops", "positions", "primitive", "recording"},
    "labels": {"recording"},
    "choice": {"errors", "ops", "positions", "recording"},
    "signatures": {"recording"},
    "math": {"errors", "ops", "positions", "primitive", "recording", "special"},
    "calls": {
        "checks", "columns", "errors", "positions", "primitive", "recording", "structure", "tape",
    },
    "transforms": {
        "calls", "checks", "errors", "positions", "primitive", "recording", "structure", "tape",
    },
    "linear": {
        "calls", "errors", "positions", "primitive", "recording", "structure", "transforms",
    },
    "matrices": {
        "calls", "errors", "linear", "positions", "primitive", "recording", "structure",
        "transforms",
    },
    "series": {
        "calls", "checks", "errors", "positions", "primitive", "recording", "structure", "tape",
    },
    "coordinates": set(),
    "wires": {"columns"},
    "progress": set(),
    "pictures": {"text"},
    "layout": {"errors", "pictures", "progress", "text"},
    "drawing": {
        "errors", "layout", "names", "pictures", "positions", "primitive", "tape", "text",
    },
    "names": {"errors", "positions", "primitive", "structure", "tape", "text"},
    "sparse": {"coordinates", "calls", "linear", "primitive", "recording", "transforms"},
    "differences": set(),
    "custom": {
        "checks", "differences", "errors", "ops", "positions", "primitive", "recording",
        "structure",
    },
    "steps": {"columns", "names", "primitive"},
    "lecture": {"nodes", "pictures", "positions", "primitive", "steps", "tape", "text"},
    "course": {"columns", "floats", "nodes", "primitive", "tape", "text"},
    "findings": {"errors", "positions", "text"},
    "checking": {
        "calls", "checks", "columns", "course", "differences", "errors", "findings", "linear",
        "positions", "primitive", "recording", "structure", "tape",
    },
    "implicit": {
        "calls", "checks", "custom", "errors", "ops", "positions", "primitive", "recording",
        "structure",
    },
    "checkpointing": {
        "checks", "columns", "errors", "positions", "primitive", "recording", "structure", "tape",
    },
    "lowering": {"ops", "primitive", "special"},
    "program": {"columns", "primitive", "spelling"},
    "straight": {"program"},
    "packing": {"structure"},
    "backends": {"errors", "positions"},
    "reports": {"checks", "positions", "structure", "text"},
    "paths": {
        "calls", "errors", "positions", "primitive", "program", "recording", "reports", "tape",
    },
    "kernels": {"backends", "packing", "paths", "program", "reports"},  # it loads native by name
    "sources": {"errors", "positions", "program"},
    "compiling": {
        "backends", "calls", "checks", "errors", "kernels", "packing", "paths", "positions",
        "primitive", "reports", "structure",
    },
    "native": {"interpret.llvm", "program"},
    "arrays": set(),
    "batches": {"errors", "positions", "structure"},
    "sums": {"interpret.llvm"},
    "stored": set(),
    "rows": {"errors", "positions", "stored", "structure"},
    "rowcalls": {"checks", "errors", "mapping", "positions", "primitive", "rows", "structure"},
    "sweeping": {"backends", "errors", "paths", "program", "reports", "sums"},
    "fingerprints": set(),
    "working": {
        "backends", "errors", "fingerprints", "paths", "primitive", "rows", "structure", "sweeping",
    },
    "promises": {"rows"},
    "crews": {
        "errors", "fingerprints", "mapping", "positions", "rows", "structure", "sweeping",
        "working",
    },
    "learning": {
        "backends", "calls", "checks", "errors", "paths", "positions", "reports", "rowcalls",
        "structure", "sweeping",
    },
    "driving": {
        "crews", "errors", "positions", "progress", "rowcalls", "rows", "sums", "sweeping",
    },
    "mapping": {  # it loads batching by name
        "backends", "checks", "errors", "positions", "recording",
    },
    "batching": {
        "backends", "batches", "calls", "checks", "crews", "driving", "learning", "mapping",
        "paths", "reports", "rowcalls", "structure", "sums", "working",
    },
    "matrix_layout": {"backends", "coordinates"},
    "model_data": {"errors", "positions"},
    "data_copies": {"errors", "positions", "structure"},
    "vector_function": {
        "backends", "batches", "calls", "compiling", "coordinates", "mapping", "structure",
    },
    "vector_hessian": {"coordinates"},
    "vector_jacobian": {"coordinates", "sparse", "vector_function"},
    "unknowns": {
        "backends", "checks", "errors", "names", "positions", "structure", "vector_function",
    },
    "loss_objective": {
        "errors", "linear", "model_data", "positions", "recording", "transforms", "unknowns",
    },
    "model_residuals": {
        "checks", "errors", "model_data", "positions", "structure", "unknowns",
        "vector_function", "vector_jacobian",
    },
    "__init__": {
        "calls", "checking", "checkpointing", "choice", "coordinates", "custom", "errors",
        "findings", "implicit", "labels", "linear", "math", "matrices", "nodes", "recording",
        "series", "sparse", "tape", "transforms",
    },
    "demo": {"__init__", "errors", "math"},
    "arguments": {"errors", "names", "progress", "text"},
    "commands": {
        "arguments", "errors", "nodes", "positions", "progress", "structure", "tape", "text",
    },
    "__main__": {"__init__"},
    "mypy_plugin": set(),
}  # fmt: skip
"""What each file may import of ours as it is loaded; what is not listed it may not."""

READINGS = {
    "columns", "coordinates", "errors", "lecture", "names", "nodes", "pictures", "positions",
    "primitive", "program", "progress", "spelling", "straight", "structure", "tape", "text",
    "wires",
}  # fmt: skip
"""What a file of `interpret` may import: never another one, nor recording, ops or transforms."""

INSIDE = {
    "ops": {"lowering"},
    "recording": {"ufuncs"},
    "tape": {
        "drawing", "interpret.diff", "interpret.explain", "interpret.lines", "interpret.nonfinite",
        "interpret.replay", "interpret.reverse", "interpret.simplify", "interpret.sparsity",
        "interpret.stats", "interpret.table", "nodes",
    },
    "drawing": {
        "interpret.entries", "interpret.groups", "interpret.html", "interpret.quotient",
        "interpret.slices",
    },
    "calls": {"interpret.forward", "interpret.reverse"},
    "custom": {"differences", "interpret.replay"},
    "implicit": {"interpret.reverse"},
    "series": {"interpret.taylor"},
    "checking": {"interpret.forward", "interpret.reverse"},
    "sparse": {"interpret.colouring", "interpret.sparsity"},
    "linear": {"interpret.second"},
    "kernels": {"interpret.python"},
    "sources": {"interpret.c", "interpret.llvm", "interpret.python"},
    "compiling": {"sources"},
    "sweeping": {"interpret.numpy", "interpret.python", "native"},
    "fingerprints": {"native"},
    "working": {"__init__"},
    "crews": {"promises"},
    "batching": {"sources"},
    "unknowns": {"data_copies"},
    "loss_objective": {"vector_hessian"},
    "vector_hessian": {"interpret.colouring"},
    "vector_jacobian": {"matrix_layout"},
    "commands": {"checking", "demo", "transforms"},
    "__main__": {"commands", "errors"},
}  # fmt: skip
"""What is imported inside a function.

The reading methods of `Tape` are the one exception to the arrows; the others put off what
`import tapegrad` can do without.
"""

NUMBERS = {"floats", "gammas", "special"}
"""Functions on plain floats for the table, which takes them by module."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def module_of(file: Path) -> ModuleType:
    name = name_of(file).removesuffix("__init__").removesuffix(".")
    return importlib.import_module(f"tapegrad.{name}".removesuffix("."))


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Our modules that import statements name."""
    modules = {name_of(file) for file in FILES}
    found = set()
    for node in nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "tapegrad":
                inner = name.removeprefix("tapegrad").removeprefix(".")
                found.add(inner if inner in modules else inner.rpartition(".")[0] or "__init__")
    return found


def imports(file: Path) -> tuple[set[str], set[str]]:
    """What a file imports of ours as it is loaded, and what later; types alone do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    at_load = imported(iter(tree.body))
    tree.body = [node for node in tree.body if not for_checkers(node)]
    return at_load, imported(ast.walk(tree)) - at_load


def for_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


class TestLayers:
    def test_every_file_has_its_place(self) -> None:
        """A file that is not in the list of layers has no place in the house."""
        named = {name_of(file) for file in FILES if "interpret" not in file.parts}
        assert named == set(ARROWS)

    @pytest.mark.parametrize("file", FILES, ids=name_of)
    def test_a_file_imports_what_its_layer_knows(self, file: Path) -> None:
        """The arrows between files all point one way."""
        name = name_of(file)
        at_load, later = imports(file)
        if name.startswith("interpret."):
            allowed = set() if name.endswith("__init__") else READINGS
        else:
            allowed = ARROWS[name]
        assert at_load <= allowed
        assert later <= INSIDE.get(name, set())

    def test_the_arrows_make_no_circle(self) -> None:
        """There is an order in which every file comes after those it knows.

        Readings come where those are that they may import.
        """
        placed = {name_of(file) for file in FILES if "interpret" in file.parts}
        rest = dict(ARROWS)
        while rest:
            ready = {name for name, known in rest.items() if known <= placed}
            assert ready, f"a circle among {sorted(rest)}"
            placed |= ready
            for name in ready:
                del rest[name]

    def test_the_test_of_the_arrows_can_fail(self) -> None:
        """An import that breaks the layers is seen, however it is written."""
        for line in (
            "import tapegrad.ops",
            "from tapegrad import ops",
            "from tapegrad.ops import sin",
            "def f():\n    from tapegrad.ops import sin",
        ):
            assert imported(ast.walk(ast.parse(line))) == {"ops"}

    def test_importing_the_package_loads_no_reading_and_no_graphviz(self) -> None:
        """`import tapegrad` brings attrs and the standard library only."""
        import subprocess
        import sys

        script = (
            "import sys; before = set(sys.modules); import tapegrad; "
            "print(sorted(name for name in set(sys.modules) - before "
            "if name.startswith(('tapegrad.interpret.', 'graphviz', 'numpy', 'html'))))"
        )
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"


def public(module: ModuleType) -> dict[str, object]:
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


class TestExports:
    @pytest.mark.parametrize("file", LOADED, ids=name_of)
    def test_a_module_lists_what_it_offers(self, file: Path) -> None:
        """`__all__` is there, without doubles, and every name in it exists."""
        module = module_of(file)
        if name_of(file) in NUMBERS | {"interpret.__init__"}:
            return
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name), name

    @pytest.mark.parametrize("file", LOADED, ids=name_of)
    def test_what_others_import_is_listed(self, file: Path) -> None:
        """A name that another of our files imports is no secret of its module."""
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tapegrad."):
                offered = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert not alias.name.startswith("_"), alias.name
                    listed = alias.name in getattr(offered, "__all__", vars(offered))
                    assert listed or isinstance(getattr(offered, alias.name), ModuleType), (
                        alias.name
                    )

    def test_the_package_offers_what_its_pages_use(self) -> None:
        """Names that README and docs take from the package are in its `__all__`."""
        used: set[str] = set()
        for page in PAGES:
            for block in blocks(page.read_text(encoding="utf-8")):
                used |= set(re.findall(r"\btg\.(\w+)", block.code))
                for line in re.findall(r"^from tapegrad import (.*)$", block.code, re.MULTILINE):
                    used |= {name.split(" as ")[0].strip(" ()") for name in line.split(",")}
        assert used - {""} <= set(tapegrad.__all__)

    def test_the_promised_names_are_there(self) -> None:
        """The names that the field knows, and the types that models are written with."""
        assert set(tapegrad.__all__) >= {
            "Real", "Scalar", "Tape", "ValueAndGrad", "Var", "Condition", "Node", "errors", "grad",
            "label", "math", "partials", "record", "scope", "stop_gradient", "value_and_grad",
            "where",
        }  # fmt: skip
        assert list(tapegrad.__all__) == sorted(tapegrad.__all__, key=lambda n: (n.islower(), n))


def documented(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The public classes and functions of a module, and the public methods of its classes."""
    for name, value in public(module).items():
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if getattr(value, "__module__", None) != module.__name__:
            continue
        yield name, value
        if inspect.isclass(value):
            for method, member in vars(value).items():
                if not method.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    yield f"{name}.{method}", member


class TestWords:
    @pytest.mark.parametrize("file", LOADED, ids=name_of)
    def test_every_public_name_has_a_docstring(self, file: Path) -> None:
        """A module, a public class, function or method says what it promises."""
        module = module_of(file)
        assert inspect.getdoc(module)
        missing = [name for name, value in documented(module) if not inspect.getdoc(value)]
        assert not [name for name in missing if not overrides(module, name)]

    def test_every_row_and_every_function_of_math_has_a_docstring(self) -> None:
        """A row says what it computes in a line, and its function repeats it."""
        for row in tapegrad.record(lambda x: x)(1.0).table.rows:
            assert isinstance(row, Primitive)
            assert row.doc
            assert len(row.doc.split("\n")) == 1
        for name in tapegrad.math.__all__:
            value = getattr(tapegrad.math, name)
            assert not callable(value) or inspect.getdoc(value), name

    @pytest.mark.parametrize("file", LOADED, ids=name_of)
    def test_examples_in_docstrings_are_true(self, file: Path) -> None:
        """Every `>>>` of every docstring gives what is written under it."""
        module = module_of(file)
        if name_of(file) == "__main__":
            return
        failed, _ = doctest.testmod(module)
        assert not failed


def overrides(module: ModuleType, name: str) -> bool:
    """Whether a method is documented by the class it comes from."""
    owner, _, method = name.partition(".")
    value: Any = getattr(module, owner)
    return any(hasattr(base, method) for base in value.__mro__[1:])


class Block:
    """One fenced block of Python, and the line it starts on."""

    def __init__(self, code: str, line: int) -> None:
        self.code = code
        self.line = line


def blocks(page: str) -> list[Block]:
    """The blocks of a page that are marked as Python."""
    found = re.finditer(
        r"^```(?:python|py|pycon)[^\n]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    return [Block(match[1], page[: match.start(1)].count("\n")) for match in found]


def run_page(page: str, namespace: dict[str, Any]) -> int:
    """Run the blocks of a page in order in one namespace; how many answers were checked."""
    return sum(run_block(block, namespace) for block in blocks(page))


def run_block(block: Block, namespace: dict[str, Any]) -> int:
    """Run one block: doctests as they are, and lines with `# -> answer` against their answer."""
    if ">>>" in block.code:
        test = doctest.DocTestParser().get_doctest(block.code, namespace, "page", "page", 0)
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(test, clear_globs=False)
        namespace |= test.globs
        assert not runner.failures, f"the block after line {block.line}"
        return runner.tries
    lines = block.code.split("\n")
    checked = 0
    for statement in ast.parse(block.code).body:
        answer = re.search(r"# -> (.*)$", lines[(statement.end_lineno or 1) - 1])
        run = compile(ast.Module([statement], []), "page", "exec")
        exec(run, namespace)  # noqa: S102  # our own pages
        if answer and isinstance(statement, ast.Expr | ast.Assign):
            shown = statement.value if isinstance(statement, ast.Expr) else statement.targets[0]
            got = repr(eval(ast.unparse(shown), namespace))  # noqa: S307  # our own pages
            assert got == answer[1].strip(), f"line {block.line + statement.lineno}"
            checked += 1
    return checked


class TestPages:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_block_of_python_runs_and_tells_the_truth(
        self, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All blocks of a page, in order, in one namespace, with the answers they show."""
        monkeypatch.chdir(tmp_path)
        run_page(page.read_text(encoding="utf-8"), {"__name__": "page"})

    def test_readme_shows_answers(self) -> None:
        """The first block of README.md is checked against three answers or more."""
        first = blocks((ROOT / "README.md").read_text(encoding="utf-8"))[0]
        assert run_block(first, {"__name__": "page"}) >= 3

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_links_between_pages_lead_somewhere(self, page: Path) -> None:
        """A relative link names a file that is there."""
        code = re.compile(r"^```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)
        text = code.sub("", page.read_text("utf-8"))
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        assert [link for link in links if not (page.parent / link).exists()] == []

    @pytest.mark.parametrize(
        ("page", "outcome"),
        [
            ("```python\nx = 2\n```\ntext\n```python\nx + 1  # -> 3\n```\n", 1),
            ("```python\nx = 2  # -> 2\n```\n", 1),
            ("```python\n>>> 1 + 1\n2\n```\n", 1),
            ("```python\n1 + 1  # -> 3\n```\n", None),
            ("```python\nx = 1  # -> 3\n```\n", None),
            ("```python\n>>> 1 + 1\n3\n```\n", None),
            ("```python\nraise AssertionError\n```\n", None),
            ("```sh\nexit 1\n```\n", 0),
        ],
    )
    def test_the_test_of_pages_can_fail(
        self, page: str, outcome: int | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A page that shows a wrong answer is seen, and so is one that raises."""
        if outcome is None:
            with pytest.raises(AssertionError):
                run_page(page, {})
            capsys.readouterr()
        else:
            assert run_page(page, {}) == outcome


def test_the_stub_names_all_that_is_used_of_graphviz() -> None:
    """What the package takes from graphviz is in the stub."""
    stub = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "stubs").rglob("*.pyi"))
    used: set[str] = set()
    for file in FILES:
        used |= set(re.findall(r"\bgraphviz\.(\w+)", file.read_text(encoding="utf-8")))
    assert used
    for name in used:
        assert re.search(rf"\b{name}\b", stub), name


@pytest.mark.parametrize("file", LOADED, ids=name_of)
def test_nothing_at_module_level_changes_but_the_counter(file: Path) -> None:
    """Module-level lists, sets and dicts are not appended to: recordings share one counter."""
    module = module_of(file)
    allowed = {"_KNOWN_FIELDS", "_KNOWN", "_EXPECTED"}
    for name, value in vars(module).items():
        if name.startswith("__") or name in allowed or name.isupper() or name.strip("_").isupper():
            continue
        assert not isinstance(value, list | dict | set | bytearray), name


def test_callables_are_what_they_say() -> None:
    """Functions of math carry the names they are called by."""
    for name in tapegrad.math.__all__:
        value = getattr(tapegrad.math, name)
        if isinstance(value, Callable):  # type: ignore[arg-type]  # a callable of any kind
            assert value.__name__ == name
