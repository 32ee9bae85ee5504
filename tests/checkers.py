"""Six type checkers, each run once over many files: what it reports, by file and line.

A line that a checker rejects through a limit of its own ends in ``# limit: checker, checker``.
ty, pyrefly and zuban do not know types that mypy and pyright do; where one says ``Unknown`` or
``Any`` for one that is asserted, that is no rejection.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import attrs

__all__ = [
    "CASES", "CHECKERS", "CORRECT", "MESSAGES", "MISTAKES", "MODELS", "PAGES", "ROOT", "Place",
    "Report", "all_reports", "found_mistakes", "functions", "limits", "mypy_with_plugin",
    "page_as_module", "rejections",
]  # fmt: skip

ROOT: Final = Path(__file__).parent.parent
CASES: Final = sorted((ROOT / "tests/typing/cases").glob("*.py"))
MISTAKES: Final = sorted((ROOT / "tests/typing/mistakes").glob("*.py"))
MODELS: Final = sorted((ROOT / "tests/typing/models").glob("*.py"))
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.py"))
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CORRECT: Final = [
    *(path for path in CASES if "# E:" not in path.read_text() and "plugin" not in path.name),
    *MODELS,
    *EXAMPLES,
]
"""Programs in which nothing is wrong."""

MESSAGES: Final = ROOT / "tests/typing/messages.py"
STUBS: Final = ROOT / "stubs"
VERSION: Final = "3.12"
"""The oldest version of Python that accepts every program (PEP 695)."""


@attrs.frozen
class Report:
    """One error: its file and line, the checker's name for its kind, and its first line of text."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.text} [{self.rule}]"


class Error(Protocol):
    """Where something is wrong."""

    @property
    def path(self) -> Path: ...
    @property
    def line(self) -> int: ...


@attrs.frozen
class Place:
    """The modules that a checker reads: those of an interpreter, and of folders before them."""

    python: Path
    folders: tuple[Path, ...] = ()

    @property
    def path(self) -> str:
        """The folders as in an environment variable."""
        return ":".join(map(str, self.folders))


HERE: Final = Place(Path(sys.executable), (ROOT, STUBS))


class Checker(Protocol):
    """Checks files, given a folder for its own configuration; ``strict``, or as it does unasked."""

    def __call__(
        self, files: Sequence[Path], folder: Path, /, *, strict: bool = True, place: Place = HERE
    ) -> list[Report]: ...


def _run(folder: Path, *command: str | Path) -> str:
    """What a checker prints; it ends with 1 where it found errors."""
    done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=folder)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def _program(name: str) -> Path:
    return Path(sys.executable).parent / name


def _mypy(
    files: Sequence[Path], folder: Path, *, strict: bool = True, place: Place = HERE
) -> list[Report]:
    options = ["--show-absolute-path", "--no-pretty"]
    return _as_mypy([_program("mypy"), *options], files, folder, strict=strict, place=place)


def mypy_with_plugin(files: Sequence[Path], folder: Path) -> list[Report]:
    """Everything that mypy reports of the files with our plugin."""
    options = ["--show-absolute-path", "--no-pretty"]
    plugin = "plugins = tapegrad.mypy_plugin"
    return _as_mypy([_program("mypy"), *options], files, folder, plugin)


def _zuban(
    files: Sequence[Path], folder: Path, *, strict: bool = True, place: Place = HERE
) -> list[Report]:
    options = ["mypy", "--show-error-codes", "--no-pretty"]
    return _as_mypy([_program("zuban"), *options], files, folder, strict=strict, place=place)


def _as_mypy(
    command: Sequence[str | Path],
    files: Sequence[Path],
    folder: Path,
    *settings: str,
    strict: bool = True,
    place: Place = HERE,
) -> list[Report]:
    """What a program reports that has mypy's settings, and prints as mypy does."""
    config = folder / "mypy.ini"
    given = f"strict = {strict}", f"mypy_path = {place.path}", "explicit_package_bases = True"
    config.write_text("\n".join(["[mypy]", *given, *settings]))
    options = [f"--python-executable={place.python}", f"--python-version={VERSION}"]
    said = _run(folder, *command, f"--config-file={config}", *options, *files)
    found = re.finditer(r"^(.+?):(\d+): error: (.*?)  \[([\w-]+)\]$", said, re.MULTILINE)
    return [Report((folder / m[1]).resolve(), int(m[2]), m[4], m[3]) for m in found]


def _pyright(program: str) -> Checker:
    def check(
        files: Sequence[Path], folder: Path, *, strict: bool = True, place: Place = HERE
    ) -> list[Report]:
        config = {
            "typeCheckingMode": "strict" if strict else "standard",
            "pythonVersion": VERSION,
            "extraPaths": list(map(str, place.folders)),
            "venvPath": str(place.python.parents[2]),
            "venv": place.python.parents[1].name,
            # Pages show answers beside bare expressions, and start with imports for all blocks.
            "reportUnusedExpression": False,
            "reportUnusedImport": False,
            "include": ["*.py"],
        }
        for file in files:
            (folder / f"{file.parent.name}_{file.name}").symlink_to(file)
        (folder / "pyrightconfig.json").write_text(json.dumps(config))
        command = _program(program), "--project=pyrightconfig.json", "--outputjson"
        return [
            Report(
                Path(said["file"]).resolve(),
                said["range"]["start"]["line"] + 1,
                said.get("rule", "syntax"),
                said["message"].partition("\n")[0],
            )
            for said in json.loads(_run(folder, *command))["generalDiagnostics"]
            if said["severity"] == "error"
        ]

    return check


def _ty(
    files: Sequence[Path], folder: Path, *, strict: bool = True, place: Place = HERE
) -> list[Report]:
    places = [f"--extra-search-path={folder}" for folder in place.folders]
    options = [f"--python={place.python}", f"--python-version={VERSION}", "--output-format=gitlab"]
    said = json.loads(_run(folder, _program("ty"), "check", *places, *options, *files))
    return [
        Report(
            (folder / one["location"]["path"]).resolve(),
            one["location"]["positions"]["begin"]["line"],
            one["check_name"],
            one["description"].removeprefix(f"{one['check_name']}: "),
        )
        for one in said
        if one["severity"] == "major"
    ]


def _pyrefly(
    files: Sequence[Path], folder: Path, *, strict: bool = True, place: Place = HERE
) -> list[Report]:
    config = {
        "preset": "strict" if strict else "basic",
        "python-version": VERSION,
        "python-interpreter-path": str(place.python),
        "search-path": list(map(str, place.folders)),
    }
    lines = (f"{name} = {json.dumps(value)}" for name, value in config.items())
    (folder / "pyrefly.toml").write_text("\n".join(lines))
    command = _program("pyrefly"), "check", "--config=pyrefly.toml", "--output-format=json"
    said = json.loads(_run(folder, *command, *files))["errors"]
    return [
        Report(
            (folder / one["path"]).resolve(),
            one["line"],
            one["name"],
            one["description"].partition("\n")[0],
        )
        for one in said
        if one["severity"] == "error"
    ]


CHECKERS: Final[dict[str, Checker]] = {
    "mypy": _mypy,
    "pyright": _pyright("pyright"),
    "basedpyright": _pyright("basedpyright"),
    "ty": _ty,
    "pyrefly": _pyrefly,
    "zuban": _zuban,
}


def all_reports(folder: Path) -> Mapping[str, list[Report]]:
    """Everything that each checker reports of all programs: one run each, two at a time."""
    files = [*CORRECT, *MISTAKES, MESSAGES, *_pages(folder)]

    def run(name: str) -> list[Report]:
        (folder / name).mkdir()
        found = CHECKERS[name](files, folder / name)
        return sorted((report for report in set(found) if report.path in files), key=str)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CHECKERS, pool.map(run, CHECKERS), strict=True))


def _pages(folder: Path) -> Iterator[Path]:
    for page in PAGES:
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts)
        module = folder / f"page_{name.replace('-', '_')}.py"
        module.write_text(page_as_module(page.read_text()))
        yield module.resolve()


def rejections(reports: Iterable[Report]) -> list[Report]:
    """The reports of programs in which nothing is wrong."""
    wrong = {MESSAGES, *MISTAKES}
    return [report for report in reports if report.path not in wrong and not _is_unknown(report)]


def limits(checker: str) -> set[tuple[Path, int]]:
    """The lines that the checker is known to reject."""
    return {
        (path, number)
        for path in CORRECT
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (said := re.search(r"# limit: ([\w, ]+)", line)) and checker in said[1].split(", ")
    }


def _is_unknown(report: Report) -> bool:
    """Whether the checker names a type that it does not know where another is asserted."""
    asserted = r"(?:Type `|Expression is of type \")([^`\"]*)"
    found = re.match(asserted, report.text)
    return bool(found and re.search(r"\b(Unknown|Any)\b", found[1]))


def page_as_module(page: str, fence: str = "```python") -> str:
    """The blocks of Python of a page as one module, in which each line has the page's number."""
    lines = page.splitlines()
    code = [""] * len(lines)
    for block in _blocks(lines, fence):
        prompts = any(lines[n].startswith(">>>") for n in block)
        for n in block:
            code[n] = _typed_in(lines[n]) if prompts else lines[n]
    return "\n".join([*code, ""])


def _blocks(lines: Sequence[str], fence: str) -> Iterator[range]:
    start = None
    for number, line in enumerate(lines):
        if line == fence:
            start = number + 1
        elif line == "```" and start is not None:
            yield range(start, number)
            start = None


def _typed_in(line: str) -> str:
    return line[4:] if line.startswith((">>> ", "... ")) else ""


def functions(path: Path) -> Iterator[tuple[str, range]]:
    """The functions of a file of mistakes, and their lines."""
    lines = path.read_text().splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("def ")]
    for start, end in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        yield lines[start - 1].removeprefix("def ").partition("(")[0], range(start, end)


def found_mistakes(errors: Iterable[Error]) -> tuple[set[str], list[str]]:
    """The mistakes found, as file:name, and false alarms."""
    reported = list(errors)
    found: set[str] = set()
    alarms: list[str] = []
    for path in MISTAKES:
        lines_of = dict(functions(path))
        for error in (error for error in reported if error.path == path):
            name = next((n for n, lines in lines_of.items() if error.line in lines), "")
            if name.startswith("wrong_"):
                found.add(f"{path.stem}:{name.removeprefix('wrong_')}")
            else:
                alarms.append(str(error))
    return found, alarms
