"""Compiled code on disk: the next process starts with it, and nothing but whole code is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tapegrad as tg
from tapegrad.compile.backends.llvm import object_cache
from tapegrad.compile.backends.llvm.object_cache import cache_folder, object_code

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")

ROOT = Path(__file__).parent.parent
on_posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX's")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, which is not there yet."""
    monkeypatch.setenv("TAPEGRAD_CACHE", str(tmp_path / "some" / "cache"))
    return tmp_path / "some" / "cache"


def kept(text: str = "text", code: bytes = b"code" * 100) -> Any:
    """What is found for a text, for which this code is made where there is none."""
    return object_code((text, "host"), lambda: code)


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


class TestWhatIsKept:
    def test_is_found_again(self, folder: Path) -> None:
        """The same bytes, by everything that they are made from, whatever is made elsewhere."""
        assert (kept().is_cached, kept().is_cached) == (False, True)
        assert kept(code=b"other").content == b"code" * 100
        assert not object_code(("text", "other host"), lambda: b"").is_cached
        assert not object_code(("texth", "ost"), lambda: b"").is_cached
        assert len([*folder.iterdir()]) == 3

    @on_posix
    def test_is_the_users_alone(self, folder: Path) -> None:
        """The folder is made so that no other user can open it, and so are the files."""
        kept()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert the_file(folder).stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("place", [0, 10, 30, 60, 200, -1])
    def test_with_a_wrong_byte_is_not_used(self, folder: Path, place: int) -> None:
        """Wherever it stands: the code is made anew, and written over it."""
        kept()
        content = bytearray(the_file(folder).read_bytes())
        content[place] ^= 1
        the_file(folder).write_bytes(content)
        again = kept(code=b"made anew")
        assert (again.is_cached, again.content) == (False, b"made anew")
        assert kept().content == b"made anew"

    @pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:20], lambda b: b[:0],
                                        lambda b: b + b"x", lambda _: b"foreign"])  # fmt: skip
    def test_that_is_not_whole_is_not_used(
        self, folder: Path, change: Callable[[bytes], bytes]
    ) -> None:
        """Truncated, longer, or another program's file."""
        kept()
        the_file(folder).write_bytes(change(the_file(folder).read_bytes()))
        assert not kept().is_cached
        assert kept().is_cached

    def test_under_another_name_is_not_used(self, folder: Path) -> None:
        """Code of one text is never taken for that of another."""
        kept("one")
        one = the_file(folder)
        kept("other")
        (other,) = {*folder.iterdir()} - {one}
        one.replace(other)
        assert not kept("other").is_cached

    @on_posix
    def test_is_no_link_and_no_pipe(self, folder: Path, tmp_path: Path) -> None:
        """Only a plain file in the folder is read."""
        kept()
        file = the_file(folder)
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
        assert not kept().is_cached
        file.unlink()
        os.mkfifo(file)
        assert not kept().is_cached

    def test_is_bounded(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was used longest ago goes first, and an unfinished file with it."""
        monkeypatch.setattr(object_cache, "_WRITES", 1)
        monkeypatch.setattr(object_cache, "MOST_FILES", 4)
        cache_folder()
        (folder / "tapegrad-123").touch()
        os.utime(folder / "tapegrad-123", (0.0, 0.0))
        for age, text in enumerate("abcd", 1):
            before = {*folder.iterdir()}
            kept(text)
            (new,) = {*folder.iterdir()} - before
            os.utime(new, (float(age), float(age)))
        assert kept("a").is_cached  # which makes it the youngest
        kept("e")
        assert len([*folder.iterdir()]) == 4
        assert [kept(text).is_cached for text in "ae"] == [True, True]
        monkeypatch.setattr(object_cache, "MOST_BYTES", 1500)
        kept("f", b"x" * 1000)
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 1500

    def test_takes_no_other_file_away(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that someone names may hold files of theirs."""
        monkeypatch.setattr(object_cache, "_WRITES", 1)
        monkeypatch.setattr(object_cache, "MOST_BYTES", 1)
        cache_folder()
        (folder / "thesis.tex").write_text("years of work")
        kept()
        assert the_file(folder).name == "thesis.tex"


class TestWhereThereIsNone:
    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
    @on_posix
    def test_others_can_open_it(self, folder: Path, mode: int) -> None:
        """Such a folder is left alone, whatever is in it."""
        kept()
        folder.chmod(mode)
        assert cache_folder() is None
        assert not kept().is_cached

    @on_posix
    def test_another_user_owns_it(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or it is a link to one's own folder."""
        kept()
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert not kept().is_cached
        monkeypatch.setattr(os, "geteuid", lambda: owner)
        assert kept().is_cached
        folder.rename(folder.with_name("moved"))
        folder.symlink_to(folder.with_name("moved"))
        assert not kept().is_cached

    def test_it_is_turned_off(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """``TAPEGRAD_CACHE=0`` reads nothing and writes nothing."""
        monkeypatch.setenv("TAPEGRAD_CACHE", "0")
        assert (kept().is_cached, kept().is_cached, folder.exists()) == (False, False, False)

    def test_it_cannot_be_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No home, a file in the way, a name that no file can have."""
        (tmp_path / "file").touch()
        for name in (str(tmp_path / "file" / "below"), "x" * 5000):
            monkeypatch.setenv("TAPEGRAD_CACHE", name)
            assert (kept().is_cached, kept().is_cached) == (False, False)
        monkeypatch.setenv("TAPEGRAD_CACHE", "")
        monkeypatch.setattr(object_cache, "_usual_folder", homeless)
        assert not kept().is_cached

    @pytest.mark.parametrize("call", ["mkstemp", "replace"])
    def test_the_disk_is_full(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """The code is used nevertheless, and no half of it is left."""
        owner: Any = object_cache if call == "mkstemp" else Path

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(owner, call, full)
        assert kept().content == b"code" * 100
        assert [*folder.iterdir()] == []


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_usual_folder_is_the_systems_for_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this user; on Linux where XDG says."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert object_cache._usual_folder() == Path("/there/tapegrad")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert object_cache._usual_folder() == Path.home() / ".cache" / "tapegrad"


def f(x: Any) -> Any:
    """Calls C's maths library and back into Python, and adds over rows."""
    return tg.math.sin(x) * tg.math.lgamma(x) + tg.math.exp(-x) if x > 0.5 else x * x


def answers() -> tuple[object, str, str]:
    """What compiled code gives, and what the reports say."""
    run = tg.jit(tg.value_and_grad(f), backend="llvm", eager_first=False)
    batch = tg.vmap(f, backend="llvm")
    total = tg.vmap(f, backend="llvm", reduce="sum")
    x = np.linspace(0.1, 3.0, 40)
    found = [run(one) for one in [0.7, 0.8, 0.3, 0.4]], batch(x).tolist(), total(x)
    return found, str(run.report()), str(batch.report())


class TestCodeFromTheCache:
    def test_gives_the_same_bits(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """For calls and rows, with calls into C and Python; the report says where it is from."""
        monkeypatch.setenv("TAPEGRAD_CACHE", "0")
        expected, *_ = answers()
        monkeypatch.setenv("TAPEGRAD_CACHE", str(folder))
        first, *made = answers()
        second, *loaded = answers()
        assert first == second == expected
        assert all("compiled in" in text and "the cache" not in text for text in made)
        assert all("loaded from the cache in" in text and "compiled" not in text for text in loaded)

    def test_is_found_by_another_process(self, folder: Path) -> None:
        """Which compiles nothing then."""
        expected, *_ = answers()
        script = (
            "from tests.test_object_cache import answers\n"
            "found, *texts = answers()\n"
            "print(found)\n"
            "assert all('from the cache' in text for text in texts)"
        )
        run = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT, env={**os.environ, "TAPEGRAD_CACHE": str(folder)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout.strip() == str(expected)
