"""The files around the code: what they say of it is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tapegrad
from tests.test_layers import LAYERS

ROOT = Path(__file__).parent.parent


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def test_the_version_is_the_same_wherever_it_stands() -> None:
    """In the code, for installers, and for those who cite it."""
    (cited,) = re.findall(
        r"^version: (.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE
    )
    assert tapegrad.__version__ == project()["version"] == cited


def test_nothing_that_a_compiler_writes_stands_beside_the_project() -> None:
    """Neither of ours, nor of what benchmarks compare us with."""
    made = {".c", ".o", ".so", ".dll", ".dylib", ".pyd"}
    assert not [path.name for path in ROOT.iterdir() if path.suffix in made]


def test_the_tests_run_on_every_python_that_is_promised() -> None:
    """The workflow has the versions that the classifiers name, and no others."""
    workflow = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    (versions,) = re.findall(r"^        python: \[(.*)\]$", workflow, re.MULTILINE)
    named = (text.rpartition(" :: ")[2] for text in project()["classifiers"])
    promised = [version for version in named if re.fullmatch(r"3\.\d+", version)]
    assert re.findall(r"[\d.]+", versions) == promised
    assert project()["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/design.md"])
def test_pages_have_the_layers_in_their_order(page: str) -> None:
    """The list that a page shows is the one that is tested."""
    text = (ROOT / page).read_text("utf-8")
    shown = re.findall(r"^ *(errors _support (?:\w+\s+)*cli)$", text, re.MULTILINE)
    single = [name for name in LAYERS if not name.startswith("__") and name != "mypy_plugin"]
    assert [one.split() for one in shown] == [single]


def test_the_page_on_installing_names_every_extra_for_users() -> None:
    """Those for developers are named where these read."""
    extras = project()["optional-dependencies"].keys() - {"bench", "dev", "docs"}
    page = (ROOT / "docs/tutorial/install.md").read_text("utf-8")
    assert extras
    assert extras == set(re.findall(r"^\| `tapegrad\[(\w+)\]`", page, re.MULTILINE))


def test_the_reference_has_every_name_of_the_package() -> None:
    """Each name in ``__all__`` is on one page of the reference."""
    pages = [page.read_text("utf-8") for page in (ROOT / "docs/reference/api").glob("*.md")]
    named = re.findall(r"^\.\. auto\w+:: (\w+)$|^`(\w+)`$", "\n".join(pages), re.MULTILINE)
    found = sorted(first or second for first, second in named)
    assert found == sorted(set(tapegrad.__all__) - {"errors", "math"})
