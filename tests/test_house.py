"""The house: which file knows which, honest exports, documented names, true examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

import pytest

import tapegrad
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tapegrad"
FILES = sorted(PACKAGE.rglob("*.py"))
LOADED = [file for file in FILES if file.stem != "mypy_plugin"]  # mypy loads that one
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

BY_MODULE = {"ops.floats", "ops.gamma", "ops.table", "ops.smooth_pieces", "ops.special"}
"""The table, and what it takes: all names in there are offered, and written with the module's."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


@cache
def source_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def module_of(file: Path) -> ModuleType:
    name = name_of(file).removesuffix("__init__").removesuffix(".")
    return importlib.import_module(f"tapegrad.{name}".removesuffix("."))


class TestLayers:
    def test_importing_the_package_loads_no_reading_and_no_graphviz(self) -> None:
        """`import tapegrad` brings attrs, and the quick part of the standard library."""
        import subprocess
        import sys

        script = (
            "import sys; before = set(sys.modules); import tapegrad; "
            "print(sorted(name for name in set(sys.modules) - before "
            "if name.startswith(('tapegrad.inspect.', 'tapegrad.draw.', 'graphviz', 'numpy', "
            "'dataclasses', 'decimal', 'pickle'))))"
        )
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"


ROWS = {row.name: row.kind for row in ops.TABLE.rows}

SPELLINGS = {
    "compile.backends.c",
    "compile.backends.function_writer",
    "compile.backends.llvm.array_loop",
    "compile.backends.llvm.array_nest",
    "compile.backends.llvm.bits",
    "compile.backends.llvm.function",
    "compile.backends.llvm.quick_maths",
    "compile.backends.python",
}
"""Backends, whose dictionaries say how each of them writes a row."""


def asked_by_name(tree: ast.AST) -> list[str]:
    """Where a source asks for rows by their names, instead of for a column of the table."""
    nodes = [*ast.walk(tree)]
    aside = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    aside |= {id(node.value) for node in nodes if is_export(node)}
    return [
        ast.unparse(node)
        for node in nodes
        if id(node) not in aside
        and (is_comparison(node) or is_collection(node) or is_lookup(node) or is_case(node))
    ]


def is_export(node: ast.AST) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def is_comparison(node: ast.AST) -> bool:
    """`row.name == x` for any x, and a name compared with that of a row."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    names = [text for text in map(ast.unparse, sides) if re.search(r"\bname$", text)]
    return any(re.search(r"(\brow|primitive|[\])])\.name$", name) for name in names) or (
        bool(names) and any(text(part) in ROWS for side in sides for part in ast.walk(side))
    )


def is_collection(node: ast.AST) -> bool:
    """A dictionary with two keys or more that name operations, or a set, list or tuple of such."""
    if not isinstance(node, ast.Dict | ast.Set | ast.List | ast.Tuple):
        return False
    members = node.keys if isinstance(node, ast.Dict) else node.elts
    keys = [key.elts[0] if isinstance(key, ast.Tuple) and key.elts else key for key in members]
    operations = ROWS.keys() - {"input", "constant", "guard"}  # these words are kinds, too
    return len({text(key) for key in keys} & operations) > 1


def is_lookup(node: ast.AST) -> bool:
    """`table["add"]`."""
    return (
        isinstance(node, ast.Subscript)
        and text(node.slice) in ROWS
        and ast.unparse(node.value).lower().endswith("table")
    )


def is_case(node: ast.AST) -> bool:
    """`case "add":`, but for the kinds."""
    return isinstance(node, ast.MatchValue) and text(node.value) in ROWS.keys() - ROWS.values()


def text(node: ast.AST | None) -> str | None:
    """The text of a constant."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


class TestRows:
    def test_no_file_asks_for_rows_by_name(self) -> None:
        """What is known of a row stands in the table, where a new one cannot miss it."""
        files = [file for file in FILES if name_of(file) not in SPELLINGS | {"ops.primitive"}]
        asked = {name_of(file): asked_by_name(ast.parse(source_of(file))) for file in files}
        assert {name: found for name, found in asked.items() if found} == {}

    @pytest.mark.parametrize(
        "line",
        [
            'row.name == "where"',
            'name in {"and_", "x"}',
            "columns.row(slot).name in CONDITIONS",
            "program.rows[slot].name not in QUICK",
            'NEUTRAL = {("mul", 0): 1.0, ("add", 1): -0.0}',
            'STEPS = frozenset(("floor", "ceil"))',
            'UFUNCS = {"add": np.add, "sub": np.subtract}',
            'self.new.table["constant"]',
            'match row.name:\n    case "powc": pass',
        ],
    )
    def test_the_test_of_names_can_fail(self, line: str) -> None:
        """A question for a row's name is seen, however it is asked."""
        assert asked_by_name(ast.parse(line))

    @pytest.mark.parametrize(
        "line",
        [
            'row.kind == "guard"',
            "row is ops.powc",
            'choice.name == "llvm"',
            '__all__ = ["exp", "log"]',
            'Kind = Literal["input", "where", "add"]',
        ],
    )
    def test_what_is_no_question_for_a_name_passes(self, line: str) -> None:
        """Kinds, particular rows and other things' names may be asked for."""
        assert not asked_by_name(ast.parse(line))

    def test_the_table_reads_aloud(self) -> None:
        """No line is longer than a screen is wide, and columns of a paragraph are not shifted."""
        source = (PACKAGE / "ops" / "table.py").read_text(encoding="utf-8")
        assert max(map(len, source.splitlines())) <= 120
        annotated = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
        rows = [node for node in annotated if ast.unparse(node.annotation) == "Row"]
        assert len(rows) == len(ops.TABLE.rows)
        for above, below in pairwise(rows):
            if below.lineno == (above.end_lineno or 0) + 1:
                assert columns(above) == columns(below), ast.unparse(below.target)


def columns(row: ast.AnnAssign) -> list[int]:
    """Where value, partials and description of a row of the table start."""
    assert isinstance(row.value, ast.Call)
    return [argument.col_offset for argument in row.value.args[1:4]]


def public(module: ModuleType) -> dict[str, object]:
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


class TestExports:
    def test_a_module_lists_what_it_offers(self) -> None:
        """`__all__` is there, without doubles, and every name in it exists."""
        for file in LOADED:
            if name_of(file) in BY_MODULE or file.stem == "__init__":
                continue
            module = module_of(file)
            offered = Counter(module.__all__)
            wrong = [name for name in offered if offered[name] > 1 or not hasattr(module, name)]
            assert wrong == [], file

    def test_what_others_import_is_listed(self) -> None:
        """A name that another of our files imports is no secret of its module."""
        for file in LOADED:
            module_of(file)  # loads the modules that it imports from their packages
            for node in ast.walk(ast.parse(source_of(file))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tapegrad."):
                    offered = importlib.import_module(node.module or "")
                    for alias in node.names:
                        assert not alias.name.startswith("_"), (file, alias.name)
                        if alias.name not in getattr(offered, "__all__", vars(offered)):
                            importlib.import_module(f"{node.module}.{alias.name}")

    def test_the_package_offers_what_its_pages_use(self) -> None:
        """Names that README and docs take are in its `__all__`, but for packages of their own."""
        used: set[str] = set()
        for page in PAGES:
            for block in blocks(page.read_text(encoding="utf-8")):
                used |= set(re.findall(r"\btg\.(\w+)", block.code))
                for line in re.findall(r"^from tapegrad import (.*)$", block.code, re.MULTILINE):
                    used |= {name.split(" as ")[0].strip(" ()") for name in line.split(",")}
        assert used - {"", "learn", "numpy"} <= set(tapegrad.__all__)

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
    def test_every_public_name_has_a_docstring(self) -> None:
        """A module, a public class, function or method says what it promises."""
        for file in LOADED:
            module = module_of(file)
            assert inspect.getdoc(module), file
            missing = [name for name, value in documented(module) if not inspect.getdoc(value)]
            assert [name for name in missing if not overrides(module, name)] == [], file

    def test_a_docstring_says_what_a_thing_is_or_does(self) -> None:
        """It has a subject and a verb, and is no "What ..." or "So many ..." to be guessed at."""
        for file in FILES:
            assert re.findall(r'"""(?:What|So many)\b.*', source_of(file)) == [], file

    def test_every_row_and_every_function_of_math_has_a_docstring(self) -> None:
        """A row says what it computes in a line, and its function repeats it."""
        for row in tapegrad.record(lambda x: x)(1.0).table.rows:
            assert isinstance(row, Primitive)
            assert row.doc
            assert len(row.doc.split("\n")) == 1
        for name in tapegrad.math.__all__:
            value = getattr(tapegrad.math, name)
            assert not callable(value) or inspect.getdoc(value), name

    @pytest.mark.parametrize(
        "file", [file for file in LOADED if ">>>" in source_of(file)], ids=name_of
    )
    def test_examples_in_docstrings_are_true(self, file: Path) -> None:
        """Every `>>>` of every docstring gives what is written under it."""
        failed, tried = doctest.testmod(module_of(file))
        assert not failed
        assert tried


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
    def test_modules_that_pages_name_are_there(self, page: Path) -> None:
        """A page that says `package/module` names a file or a folder of the package."""
        packages = "|".join(folder.name for folder in PACKAGE.iterdir() if folder.is_dir())
        named = re.findall(rf"`((?:{packages})(?:/\w+)+)`", page.read_text(encoding="utf-8"))
        there = [(PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() for name in named]
        assert [name for name, found in zip(named, there, strict=True) if not found] == []

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
        used |= set(re.findall(r"\bgraphviz\.(\w+)", source_of(file)))
    assert used
    for name in used:
        assert re.search(rf"\b{name}\b", stub), name


def test_nothing_at_module_level_changes_but_the_counter() -> None:
    """Module-level lists, sets and dicts are not appended to: recordings share one counter."""
    for file in LOADED:
        for name, value in vars(module_of(file)).items():
            if name.startswith("__") or name.strip("_").isupper():
                continue
            assert not isinstance(value, list | dict | set | bytearray), (file, name)


def test_callables_are_what_they_say() -> None:
    """Functions of math carry the names they are called by."""
    for name in tapegrad.math.__all__:
        value = getattr(tapegrad.math, name)
        if isinstance(value, Callable):  # type: ignore[arg-type]  # a callable of any kind
            assert value.__name__ == name
