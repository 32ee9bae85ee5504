"""Machine code kept on disk, so that the next process need not compile what this one did.

A file is named by a hash of everything that the code is made from, and holds a checksum, without
which no code is used. The folder is one that no other user can write to or read, else there is no
cache; nor is there one where a disk is full or cannot be written to. Whoever could write there can
run programs as this user anyway.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Final, final

import attrs

__all__ = ["MOST_BYTES", "MOST_FILES", "ObjectCode", "cache_folder", "object_code"]

MOST_BYTES: Final = 2**28
MOST_FILES: Final = 4096
"""The most that is kept; what was used longest ago goes first."""
_WRITES: Final = 32
"""About how many files are written until their number and their sizes are looked at."""
_PREFIX: Final = "tapegrad-"
"""Files whose names do not begin so are not ours, and stay where they are."""
_MAGIC: Final = b"tapegrad object code 1\n"
_DIGEST: Final = sha256().digest_size
_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@final
@attrs.frozen
class ObjectCode:
    """An object file, and whether it ``is_cached``: was found on disk."""

    content: bytes
    is_cached: bool


def object_code(made_from: Iterable[str], make: Callable[[], bytes]) -> ObjectCode:
    """The object file that ``make`` gives, or the same from an earlier time.

    It depends on nothing but the texts that it is ``made_from``.
    """
    folder = cache_folder()
    if folder is None:
        return ObjectCode(make(), is_cached=False)
    hashed = sha256(_MAGIC)
    for text in made_from:
        encoded = text.encode()
        hashed.update(b"%d:" % len(encoded))
        hashed.update(encoded)
    key = hashed.digest()
    file = folder / f"{_PREFIX}{key.hex()}"
    found = _read(file, key)
    if found is not None:
        return ObjectCode(found, is_cached=True)
    code = make()
    _write(file, key, code)
    if key[0] % _WRITES == 0:
        _drop_oldest(folder)
    return ObjectCode(code, is_cached=False)


def cache_folder() -> Path | None:
    """The folder of compiled code, made where there is none; None where there is to be none.

    That is so with ``TAPEGRAD_CACHE=0``, and where another user owns the folder or can read it.
    """
    named = os.environ.get("TAPEGRAD_CACHE", "")
    if named == "0":
        return None
    try:
        folder = Path(named) if named else _usual_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_private(folder.lstat()) else None
    except (OSError, RuntimeError, ValueError):  # no disk, no home, no such name
        return None


def _usual_folder() -> Path:
    """The folder for caches of this user, as the system has it.

    Raises:
        RuntimeError: where the user has no home.
    """
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "tapegrad" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tapegrad"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapegrad"


def _is_private(found: os.stat_result) -> bool:
    """Whether this is a folder of the user's own, which nobody else may open."""
    if not hasattr(os, "geteuid"):  # Windows: the user's own folders are
        return stat.S_ISDIR(found.st_mode)
    is_own = found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and is_own and not found.st_mode & 0o077


def _checksum(key: bytes, code: bytes) -> bytes:
    return sha256(_MAGIC + key + code).digest()


def _read(file: Path, key: bytes) -> bytes | None:
    """The code in a file; None unless the file is there, whole and what its name says."""
    try:
        with os.fdopen(os.open(file, _READ), "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
                return None
            content = opened.read()
        os.utime(file)
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    code = content[start:]
    return code if content[:start] == _MAGIC + _checksum(key, code) else None


def _write(file: Path, key: bytes, code: bytes) -> None:
    """Puts code into a file, in one step for whoever reads it; leaves it where that fails."""
    with suppress(OSError):
        descriptor, name = mkstemp(prefix=_PREFIX, dir=file.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(_MAGIC + _checksum(key, code) + code)
            unfinished.replace(file)
        except BaseException:
            unfinished.unlink()
            raise


def _drop_oldest(folder: Path) -> None:
    """Removes the files used longest ago, unfinished ones too, beyond the most that is kept."""
    with suppress(OSError):
        files = [(file.lstat(), file) for file in folder.glob(f"{_PREFIX}*")]
        files.sort(key=lambda one: one[0].st_mtime, reverse=True)
        size = 0
        for place, (found, file) in enumerate(files):
            size += found.st_size
            if size > MOST_BYTES or place >= MOST_FILES:
                file.unlink()
