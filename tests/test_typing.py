"""The static types: what mypy and pyright say of the programs in ``tests/typing``.

``cases`` hold lines that must pass and lines that end in ``# E: code``, the codes of the errors
that mypy must report there, or in ``# N: text``, a note. ``mistakes`` hold pairs of functions:
``wrong_*``, in which mypy must find something, and ``right_*``, the same mended, in which it must
find nothing and which runs.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest
from mypy import api

from tests.checkers import CASES, MISTAKES, ROOT, found_mistakes, functions

GUIDE: Final = ROOT / "docs/how-to/typing.md"

PAIRS: Final = 115
FOUND: Final = 108
ONLY_BY_THE_PLUGIN: Final = {
    "misspelt_partial",
    "model_for_plain_floats",
    "truth_value_as_result",
    "constant_model",
}
FOUND_WITH_PLUGIN: Final = 113
FOUND_BY_NEITHER: Final = {
    "gradient_in_place_of_the_parameters",  # it has their type, which is the idea
    "mapped_without_data",  # columns have not the types of the model's data
}


def _has_plugin(path: Path) -> bool:
    return path.name.startswith("plugin_")


PASSING: Final = [path for path in CASES if "# E:" not in path.read_text()]


@attrs.frozen
class Report:
    """One line of mypy's."""

    path: Path
    line: int
    severity: str
    text: str

    @property
    def code(self) -> str:
        """The code in brackets at the end."""
        return self.text.rpartition("[")[2].rstrip("]")

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.severity}: {self.text}"


def mypy(files: Iterable[Path], folder: Path, *, plugin: bool = False) -> list[Report]:
    """What ``mypy --strict`` reports of the files."""
    config = folder / "mypy.ini"
    plugins = "plugins = tapegrad.mypy_plugin\n" * plugin
    config.write_text(f"[mypy]\nstrict = True\nmypy_path = {ROOT}:{ROOT / 'stubs'}\n{plugins}")
    options = [f"--config-file={config}", f"--cache-dir={os.devnull}", "--python-version=3.12"]
    out, err, _ = api.run([*options, "--show-absolute-path", *map(str, files)])
    assert not err
    found = [_parse(line) for line in out.splitlines()]
    return [report for report in found if report is not None]


def _parse(line: str) -> Report | None:
    match = re.fullmatch(r"(.+?):(\d+): (error|note): (.*)", line)
    return match and Report(Path(match[1]), int(match[2]), match[3], match[4])


def _expected(path: Path, mark: str) -> Iterator[tuple[Path, int, str]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        comment = re.search(rf"# {mark}: (.*)$", line)
        for part in comment[1].split(", ") if comment and mark == "E" else ():
            yield path, number, part
        if comment and mark == "N":
            yield path, number, comment[1]


def _require_as_commented(cases: list[Path], reports: list[Report]) -> None:
    about = [r for r in reports if r.path in cases and r.severity == "error"]
    errors = {(r.path, r.line, r.code) for r in about}
    expected = {error for path in cases for error in _expected(path, "E")}
    assert not [str(r) for r in about if (r.path, r.line, r.code) not in expected]
    assert not expected - errors, "mypy no longer reports these"
    notes = {(r.path, r.line): r.text for r in reports if r.severity == "note"}
    for path in cases:
        for _, line, text in _expected(path, "N"):
            assert text in notes[path, line]


def _names(pairs: Iterable[str]) -> set[str]:
    return {pair.partition(":")[2] for pair in pairs}


def _pairs() -> set[str]:
    """Every pair, each with both of its halves."""
    halves: dict[str, set[str]] = {"wrong": set(), "right": set()}
    for path in MISTAKES:
        for name, _ in functions(path):
            half, _, rest = name.partition("_")
            if half in halves:
                halves[half].add(f"{path.stem}:{rest}")
    assert halves["wrong"] == halves["right"]
    return halves["wrong"]


def _transcripts() -> Mapping[str, tuple[str, list[str]]]:
    """The programs in the guide that mypy is shown at, by file name, and what it says of them."""
    pattern = r"```console\n\$ cat (\w+\.py)\n(.*?)\n\$ mypy [^\n]*\n(.*?)\n```"
    blocks = re.findall(pattern, GUIDE.read_text(), re.DOTALL)
    return {name: (program, output.splitlines()) for name, program, output in blocks}


def _write_transcripts(folder: Path) -> list[Path]:
    paths = [folder / name for name in _transcripts()]
    for path in paths:
        path.write_text(_transcripts()[path.name][0] + "\n")
    return paths


def _require_quoted(paths: list[Path], reports: list[Report]) -> None:
    assert paths
    for path in paths:
        said = [str(r) for r in reports if r.path == path and r.severity == "error"]
        quoted = [line for line in _transcripts()[path.name][1] if not line.startswith("Found ")]
        assert quoted == said


def test_mypy_finds_what_the_comments_say_and_nothing_in_a_corrected_program(
    tmp_path: Path,
) -> None:
    """Errors and comments agree line by line; the corpus counts hold."""
    cases = [path for path in CASES if not _has_plugin(path)]
    reports = mypy([*cases, *MISTAKES], tmp_path)
    _require_as_commented(cases, reports)
    found, alarms = found_mistakes(r for r in reports if r.severity == "error")
    assert not alarms
    assert _names(_pairs() - found) == ONLY_BY_THE_PLUGIN | FOUND_BY_NEITHER
    assert (len(_pairs()), len(found)) == (PAIRS, FOUND)


def test_the_plugin_finds_more_and_raises_no_false_alarm(tmp_path: Path) -> None:
    """With it only what no type can tell stays unfound; twins pass; the guide quotes mypy."""
    cases = [path for path in CASES if _has_plugin(path)]
    quoted = _write_transcripts(tmp_path)
    reports = mypy([*cases, *MISTAKES, *quoted], tmp_path, plugin=True)
    _require_as_commented(cases, reports)
    found, alarms = found_mistakes(r for r in reports if r.severity == "error")
    assert not alarms
    assert _names(_pairs() - found) == FOUND_BY_NEITHER
    assert len(found) == FOUND_WITH_PLUGIN
    _require_quoted(quoted, reports)


@pytest.mark.parametrize("path", PASSING, ids=lambda path: path.stem)
def test_a_case_that_passes_also_runs(path: Path) -> None:
    """The values are what the assertions in the file say."""
    if path.name.endswith("_py312.py") and sys.version_info < (3, 12):
        pytest.skip("written in the syntax of Python 3.12")
    runpy.run_path(str(path))


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_corrected_program_runs(path: Path) -> None:
    """Every `right_*` runs, and its assertions hold."""
    for name, function in runpy.run_path(str(path)).items():
        if name.startswith("right_"):
            function()


WITHOUT_ARRAYS: Final = """\
import tapegrad as tg
from tapegrad import Real


def square(x: Real) -> Real:
    return x * x


print(tg.grad(square)(3.0), tg.jit(square)(3.0), tg.objective(square, 3.0).names)
"""


def test_checking_a_program_that_uses_no_numpy_does_not_read_its_types(tmp_path: Path) -> None:
    """No module that such a program leads a checker to is seen to import numpy."""
    program, cache = tmp_path / "program.py", tmp_path / "cache"
    program.write_text(WITHOUT_ARRAYS)
    paths = f"[mypy]\nstrict = True\nmypy_path = {ROOT}:{ROOT / 'stubs'}\n"
    (tmp_path / "mypy.ini").write_text(paths)
    options = [f"--config-file={tmp_path / 'mypy.ini'}", f"--cache-dir={cache}"]
    out, _, status = api.run([*options, "--no-sqlite-cache", str(program)])
    assert not status, out
    read = {entry.name for entry in cache.glob("3.*/*")}
    assert "tapegrad" in read
    assert not read & {"llvmlite", "numpy", "scipy"}
