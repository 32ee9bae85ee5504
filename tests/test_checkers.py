"""What five type checkers say of our programs: cases, pages, examples, and models of users' kinds.

A line that a checker rejects through a limit of its own ends in ``# limit: checker, checker``; each
such limit is in ``docs/typing.md``, with the spelling that works. ty and pyrefly do not know types
that mypy and pyright do; where ty says ``Unknown`` for one, that is no rejection.
"""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.checkers import (
    CASES,
    CHECKERS,
    MISTAKES,
    ROOT,
    Report,
    found_mistakes,
    page_as_module,
)

MODELS: Final = sorted((ROOT / "tests/typing/models").glob("*.py"))
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.py"))
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CORRECT: Final = [
    *(path for path in CASES if "# E:" not in path.read_text() and "plugin" not in path.name),
    *MODELS,
    *EXAMPLES,
]
FOUND: Final = {"mypy": 72, "pyright": 70, "basedpyright": 70, "ty": 47, "pyrefly": 69}
"""How many of the mistakes each checker finds."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Report]]:
    """What each checker reports of all files: one run each, two at a time."""
    folder = tmp_path_factory.mktemp("checkers")
    files = [*CORRECT, *MISTAKES, *_pages(folder)]

    def run(name: str) -> list[Report]:
        (folder / name).mkdir()
        found = CHECKERS[name](files, folder / name)
        return sorted((report for report in set(found) if report.path in files), key=str)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CHECKERS, pool.map(run, CHECKERS), strict=True))


def _pages(folder: Path) -> Iterator[Path]:
    for page in PAGES:
        module = folder / f"page_{page.stem.replace('-', '_')}.py"
        module.write_text(page_as_module(page.read_text()))
        yield module.resolve()


def _limits(checker: str, files: Sequence[Path]) -> set[tuple[Path, int]]:
    """The lines that the checker is known to reject."""
    return {
        (path, number)
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (said := re.search(r"# limit: ([\w, ]+)", line)) and checker in said[1].split(", ")
    }


def _is_unknown(report: Report) -> bool:
    """Whether ty names a type that it does not know where another is asserted."""
    found = report.rule == "type-assertion-failure" and re.search(r"`([^`]*)`", report.text)
    return bool(found and re.search(r"\b(Unknown|Any)\b", found[1]))


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_rejects_no_correct_program(
    checker: str, reports: Mapping[str, list[Report]]
) -> None:
    """Nothing is reported but on the lines that name the checker, and there it is."""
    wrong = [r for r in reports[checker] if r.path not in MISTAKES and not _is_unknown(r)]
    limits = _limits(checker, CORRECT)
    assert [str(r) for r in wrong if (r.path, r.line) not in limits] == []
    assert limits <= {(r.path, r.line) for r in wrong}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_finds_as_many_mistakes_as_the_guide_says(
    checker: str, reports: Mapping[str, list[Report]]
) -> None:
    """Each corrected twin passes, too."""
    found, alarms = found_mistakes(reports[checker])
    assert not alarms
    assert len(found) == FOUND[checker]


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_program_without_types_is_accepted(checker: str, tmp_path: Path) -> None:
    """As the guide begins, under the settings that a checker has unasked."""
    guide = (ROOT / "docs/typing.md").read_text()
    program = tmp_path / "untyped.py"
    program.write_text(page_as_module(guide, "```python untyped"))
    assert "def " in program.read_text()
    (tmp_path / checker).mkdir()
    found = CHECKERS[checker]([program], tmp_path / checker, strict=False)
    assert [str(report) for report in found if report.path == program] == []


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_runs(path: Path) -> None:
    """What it asserts of its values holds."""
    if path.name.endswith("_py312.py") and sys.version_info < (3, 12):
        pytest.skip("written in the syntax of Python 3.12")
    runpy.run_path(str(path))
