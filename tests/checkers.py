"""Five type checkers, each run once over many files: what it reports, by file and line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

__all__ = [
    "CASES", "CHECKERS", "MISTAKES", "ROOT", "Report", "found_mistakes", "functions",
    "page_as_module",
]  # fmt: skip

ROOT: Final = Path(__file__).parent.parent
CASES: Final = sorted((ROOT / "tests/typing/cases").glob("*.py"))
MISTAKES: Final = sorted((ROOT / "tests/typing/mistakes").glob("*.py"))
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


class Checker(Protocol):
    """Checks files, given a folder for its own configuration; ``strict``, or as it does unasked."""

    def __call__(
        self, files: Sequence[Path], folder: Path, /, *, strict: bool = True
    ) -> list[Report]: ...


def _run(folder: Path, *command: str | Path) -> str:
    """What a checker prints; it ends with 1 where it found errors."""
    done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=folder)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def _program(name: str) -> Path:
    return Path(sys.executable).parent / name


def _mypy(files: Sequence[Path], folder: Path, *, strict: bool = True) -> list[Report]:
    config = folder / "mypy.ini"
    settings = f"strict = {strict}", f"mypy_path = {ROOT}:{STUBS}", "explicit_package_bases = True"
    config.write_text("\n".join(["[mypy]", *settings]))
    options = [f"--python-version={VERSION}", "--show-absolute-path", "--no-pretty"]
    said = _run(folder, _program("mypy"), f"--config-file={config}", *options, *files)
    found = re.finditer(r"^(.+?):(\d+): error: (.*?)  \[([\w-]+)\]$", said, re.MULTILINE)
    return [Report(Path(m[1]), int(m[2]), m[4], m[3]) for m in found]


def _pyright(program: str) -> Checker:
    def check(files: Sequence[Path], folder: Path, *, strict: bool = True) -> list[Report]:
        config = {
            "typeCheckingMode": "strict" if strict else "standard",
            "pythonVersion": VERSION,
            "extraPaths": [str(ROOT)],
            "stubPath": str(STUBS),
            "venvPath": str(Path(sys.prefix).parent),
            "venv": Path(sys.prefix).name,
            # Pages show answers beside bare expressions, and start with imports for all blocks.
            "reportUnusedExpression": False,
            "reportUnusedImport": False,
            "include": ["*.py"],
        }
        for file in files:
            (folder / file.name).symlink_to(file)
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


def _ty(files: Sequence[Path], folder: Path, *, strict: bool = True) -> list[Report]:
    places = [f"--extra-search-path={ROOT}", f"--extra-search-path={STUBS}"]
    options = [f"--python={sys.prefix}", f"--python-version={VERSION}", "--output-format=gitlab"]
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


def _pyrefly(files: Sequence[Path], folder: Path, *, strict: bool = True) -> list[Report]:
    config = {
        "preset": "strict" if strict else "basic",
        "python-version": VERSION,
        "python-interpreter-path": sys.executable,
        "search-path": [str(ROOT), str(STUBS)],
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
}


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
