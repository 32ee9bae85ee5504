"""Type checkers on our programs: cases, pages, examples, and models of users' kinds.

Each limit of a checker's own is in ``docs/how-to/typing.md``, with the spelling that works.
"""

from __future__ import annotations

import runpy
import shutil
import sys
import sysconfig
import venv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.checkers import (
    CHECKERS,
    MODELS,
    ROOT,
    Place,
    Report,
    all_reports,
    found_mistakes,
    limits,
    page_as_module,
    rejections,
)
from tests.checkers_page import GUIDE, generated, with_generated


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Report]]:
    """The reports of each checker on all programs."""
    return all_reports(tmp_path_factory.mktemp("checkers"))


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_rejects_no_correct_program(
    checker: str, reports: Mapping[str, list[Report]]
) -> None:
    """Nothing is reported but on the lines that name the checker, and there it is."""
    wrong, known = rejections(reports[checker]), limits(checker)
    assert [str(r) for r in wrong if (r.path, r.line) not in known] == []
    assert known <= {(r.path, r.line) for r in wrong}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_passes_each_corrected_program(
    checker: str, reports: Mapping[str, list[Report]]
) -> None:
    """It reports mistakes, and no twin without the mistake."""
    found, alarms = found_mistakes(reports[checker])
    assert found
    assert not alarms


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_knows_the_gradient_in_what_cannot_be_written_to(
    checker: str, reports: Mapping[str, list[Report]]
) -> None:
    """Nor is a type unknown there, as it is to ty for a list, or from Python 3.13 on."""
    frozen = ROOT / "tests/typing/models/frozen.py"
    assert frozen in MODELS
    assert [str(report) for report in reports[checker] if report.path == frozen] == []


@pytest.mark.slow
def test_the_guide_says_what_the_checkers_print(
    reports: Mapping[str, list[Report]], tmp_path: Path
) -> None:
    """Its messages and its table are those that the script makes."""
    guide = GUIDE.read_text()
    assert guide == with_generated(guide, generated(reports, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_program_without_types_is_accepted(checker: str, tmp_path: Path) -> None:
    """As the guide begins, under the settings that a checker has unasked."""
    guide = (ROOT / "docs/how-to/typing.md").read_text()
    program = tmp_path / "untyped.py"
    program.write_text(page_as_module(guide, "```python untyped"))
    assert "def " in program.read_text()
    (tmp_path / checker).mkdir()
    found = CHECKERS[checker]([program], tmp_path / checker, strict=False)
    assert [str(report) for report in found if report.path == program] == []


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment of a user: what the wheel holds and what it needs, and no stubs of ours."""
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    shutil.copytree(ROOT / "tapegrad", packages / "tapegrad")
    for name in ("attr", "attrs", "graphviz"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        (packages / name).symlink_to(Path(found.origin).parent)
    return Place(folder / "bin/python")


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_user_who_has_none_of_our_stubs_sees_the_same_types(
    checker: str, user: Place, tmp_path: Path
) -> None:
    """Also those of what belongs to graphviz, which has none."""
    (tmp_path / checker).mkdir()
    program = ROOT / "tests/typing/models/drawn.py"
    assert CHECKERS[checker]([program], tmp_path / checker, place=user) == []


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_runs(path: Path) -> None:
    """What it asserts of its values holds."""
    if path.name.endswith("_py312.py") and sys.version_info < (3, 12):
        pytest.skip("written in the syntax of Python 3.12")
    runpy.run_path(str(path))
