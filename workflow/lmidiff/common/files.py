"""Files that appear whole or not at all, and their hashes."""

import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.common.locks import hold, is_held

_UMASK = os.umask(0)
os.umask(_UMASK)  # the system tells it to nobody who does not set it
_OLD = 24 * 3600
"""Seconds after which a temporary file is nobody's, where the file system has no locks to say."""


def split_volume(path: str | Path) -> tuple[Path, int | None]:
    """``scan.nii.gz#1`` as the file and the number of a volume in it (the first is 0), else None.

    A file whose own name ends so is that file.
    """
    found = re.fullmatch(r"(.+)#(\d+)", str(path))
    if found is None or os.path.exists(path):
        return Path(path), None
    return Path(found[1]), int(found[2])


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, else it is removed.

    The temporary name keeps every suffix of ``path``, because writers such as nibabel choose
    the format by it. What a writer of ``path`` that was killed left behind is removed first;
    that of another writer who is still at it is left alone, and the last of the two stands.

    Raises:
        StudyError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix="-" + path.name, dir=path.parent)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    hold(handle)
    _clear_orphans(path, temporary)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` atomically."""
    with atomic(path) as temporary:
        # A file's name may be no text, and a locale no UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of(paths: Iterable[str | Path]) -> str:
    """One SHA-256 over the contents of several files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(sha256(path).encode())
    return digest.hexdigest()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its place when the block succeeds.

    Orphans as in :func:`atomic`.

    Raises:
        StudyError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", suffix="-" + path.name, dir=path.parent))
        handle = os.open(temporary, os.O_RDONLY)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
    hold(handle)
    _clear_orphans(path, temporary)
    try:
        yield temporary
        temporary.chmod(0o777 & ~_UMASK)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def _clear_orphans(path: Path, temporary: Path) -> None:
    """Remove the temporaries of ``path`` that a SIGKILL or a power cut left, but ``temporary``.

    Nobody holds their locks any more. Without locks they are those that are a day older than
    ``temporary``, which was just made, by the disk's own clock.
    """
    # tempfile puts eight random characters between prefix and suffix.
    for orphan in path.parent.glob(f".tmp-????????-{glob.escape(path.name)}"):
        try:
            held = orphan == temporary or is_held(orphan)
            if held is None:
                held = temporary.stat().st_mtime - orphan.stat().st_mtime < _OLD
            if held:
                continue
            if orphan.is_dir():
                shutil.rmtree(orphan, ignore_errors=True)
            else:
                orphan.unlink()
        except OSError:
            continue  # its writer has just put it in its place, or it is another user's
