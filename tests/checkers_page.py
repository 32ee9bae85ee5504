"""Writes the parts of ``docs/how-to/typing.md`` that type checkers decide: messages, and counts.

    python -m tests.checkers_page

The messages are those of ``tests/typing/messages.py``. A part stands between a comment with its
name and the next comment.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.checkers import (
    MESSAGES,
    MISTAKES,
    ROOT,
    Report,
    all_reports,
    found_mistakes,
    functions,
    limits,
    mypy_with_plugin,
    rejections,
)

__all__ = ["GUIDE", "generated", "with_generated"]

GUIDE: Final = ROOT / "docs/how-to/typing.md"

FOLLOW_UPS: Final = {"reportUnknownMemberType", "reportUnknownArgumentType", "no-any-return"}
"""Errors about types that are unknown because of another error."""


def generated(reports: Mapping[str, list[Report]], folder: Path) -> Mapping[str, str]:
    """Each part of the guide by its name."""
    (folder / "plugin").mkdir()
    with_plugin = mypy_with_plugin(MISTAKES, folder / "plugin")
    return {
        "versions": f"The versions are {_versions(reports)}.",
        "messages": "\n\n".join(_sections(reports)),
        "counts": "\n".join(_table(reports, with_plugin)),
    }


def with_generated(guide: str, parts: Mapping[str, str]) -> str:
    """The guide with these parts."""
    for name, text in parts.items():
        pattern = rf"(<!-- {name}, by tests/checkers_page.py -->\n).*?(\n<!-- end -->)"
        put = functools.partial(_between, text)
        guide, count = re.subn(pattern, put, guide, flags=re.DOTALL)
        assert count == 1, name
    return guide


def _between(text: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{text}\n{found[2]}"


def _versions(checkers: Mapping[str, object]) -> str:
    """The versions that are pinned for development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = (
        re.match(r"(\w+)[^=]*==([\d.]+\d)", one) for one in project["optional-dependencies"]["dev"]
    )
    version = {one[1]: one[2] for one in pinned if one}
    *some, last = (f"{name} {version[name]}" for name in checkers)
    return f"{', '.join(some)} and {last}"


def _sections(reports: Mapping[str, list[Report]]) -> Iterator[str]:
    """A mistake, its code, and the message of each checker."""
    lines = MESSAGES.read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"# \d+\. ", line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        code = "\n".join(lines[start + 1 : end]).strip()
        said = "\n".join(_said(reports, range(start + 1, end + 1)))
        title, _, cure = lines[start].removeprefix("# ").partition(": ")
        blocks = (f"```text\n{text}\n```" for text in (code, said))
        yield "\n\n".join([f"### {title}", cure[:1].upper() + cure[1:], *blocks])


def _said(reports: Mapping[str, list[Report]], lines: range) -> Iterator[str]:
    """The first message of each checker, once for those that say the same."""
    checkers_of: dict[str, list[str]] = {}
    for checker, found in reports.items():
        here = [one for one in found if one.path == MESSAGES and one.line in lines]
        here = sorted((one for one in here if one.rule not in FOLLOW_UPS), key=lambda one: one.line)
        text = f"{here[0].text}  [{here[0].rule}]" if here else "(nothing)"
        checkers_of.setdefault(text, []).append(checker)
    return (f"{', '.join(checkers)}: {text}" for text, checkers in checkers_of.items())


def _table(reports: Mapping[str, list[Report]], with_plugin: Sequence[Report]) -> Iterator[str]:
    """A row for each checker: mistakes found by kind of parameters, twins and models rejected."""
    count = {
        path.stem: sum(name.startswith("wrong_") for name, _ in functions(path))
        for path in MISTAKES
    }
    kinds = " | ".join(f"{kind.replace('_', ' ')}, of {count[kind]}" for kind in count)
    total = sum(count.values())
    yield (
        f"| | {kinds} | all, of {total} | correct twins rejected, of {total} | "
        "other programs rejected | lines that need another spelling |"
    )
    yield "|" + "---|" * (len(count) + 5)
    for checker, found in reports.items():
        yield _row(checker, found, count, _outcome(checker, found))
        if checker == "mypy":
            yield _row("mypy with the plugin", with_plugin, count, _outcome(checker, found))


def _row(
    name: str, reports: Sequence[Report], count: Mapping[str, int], outcome: Sequence[int]
) -> str:
    found, alarms = found_mistakes(reports)
    by_kind = [sum(one.startswith(f"{kind}:") for one in found) for kind in count]
    return f"| {' | '.join(map(str, [name, *by_kind, len(found), len(alarms), *outcome]))} |"


def _outcome(checker: str, reports: Sequence[Report]) -> tuple[int, int]:
    """The number of correct programs rejected for what is not listed, and of lines listed."""
    known = limits(checker)
    rejected = {one.path for one in rejections(reports) if (one.path, one.line) not in known}
    return len(rejected), len(known)


def main() -> None:
    """Writes the guide anew."""
    with TemporaryDirectory() as folder:
        parts = generated(all_reports(Path(folder)), Path(folder))
    GUIDE.write_text(with_generated(GUIDE.read_text(), parts))


if __name__ == "__main__":
    main()
