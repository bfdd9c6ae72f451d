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


def split_volume(path: str | Path) -> tuple[Path, int | None]:
    """``scan.nii.gz#1`` as the file and the number of a volume in it (the first is 0), else None.

    A file whose own name ends so is that file.
    """
    found = re.fullmatch(r"(.+)#(\d+)", str(path))
    if found is None or Path(path).exists():
        return Path(path), None
    return Path(found[1]), int(found[2])


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, else it is removed.

    The temporary name keeps every suffix of ``path``, because writers such as nibabel choose
    the format by it. What a killed writer of ``path`` left behind is removed first, so a path
    may have one writer at a time, as Snakemake's lock and the lock of a training ensure.

    Raises:
        StudyError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_orphans(path)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix="-" + path.name, dir=path.parent)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text)


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

    One writer at a time and orphans as in :func:`atomic`.

    Raises:
        StudyError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_orphans(path)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", suffix="-" + path.name, dir=path.parent))
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _clear_orphans(path: Path) -> None:
    """Remove the temporaries of ``path`` that a SIGKILL or a power cut left."""
    # tempfile puts eight random characters between prefix and suffix.
    for orphan in path.parent.glob(f".tmp-????????-{glob.escape(path.name)}"):
        if orphan.is_dir():
            shutil.rmtree(orphan, ignore_errors=True)
        else:
            orphan.unlink(missing_ok=True)
