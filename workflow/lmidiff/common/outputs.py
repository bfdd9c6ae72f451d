"""No command writes over what it reads, and what cannot be written is said before any work."""

import os
from collections.abc import Iterable
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume

_LONGEST = 255 - len(".tmp-12345678-")
"""Bytes of a file's name: a file system takes 255, and the temporary file has more."""


def check_outputs(
    outputs: Iterable[str | Path], inputs: Iterable[str | Path], *, folder: str | Path | None = None
) -> None:
    """Check what a command will write against what it will read; call it before anything is read.

    A file is known by what it is, not by its name: relative paths, symbolic and hard links, and
    another case on a file system that ignores it name the same file.

    Args:
        outputs: files that will be written; they need not exist.
        inputs: files that will be read.
        folder: what the outputs lie in, if the command was given a folder; made if missing.

    Raises:
        StudyError: an output is an input, is a folder, or cannot be written; one line.
    """
    outputs = [Path(path) for path in outputs]
    inputs = [split_volume(path)[0] for path in inputs]
    if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
        raise StudyError(f"{folder}: is a file; name a folder for the results")
    read = [(path, _identity(path)) for path in inputs]
    for output in outputs:
        written = _identity(output)
        for path, known in read:
            if written is not None and written == known:
                raise StudyError(
                    f"{output}: is {path} itself, which is only read; name another file for the "
                    "result"
                )
            if _same_name(output, path):
                raise StudyError(
                    f"{output}: would take the place of {path}, which is only read; name another "
                    "file for the result"
                )
    for output in outputs:
        _check_writable(output)


def check_apart(folder: str | Path, scans: Iterable[str | Path], study: str) -> None:
    """Check that a study writes into no folder that it reads scans from.

    Args:
        folder: what the study writes into; it need not exist.
        scans: the files it reads.
        study: its name, for the message.

    Raises:
        StudyError: a scan lies in the folder, by whatever name.
    """
    top = os.path.realpath(folder)
    own = _identity(Path(top))
    for scan in scans:
        place = Path(os.path.realpath(scan))
        inside = str(place).startswith(top + os.sep)
        if inside or (own and any(_identity(parent) == own for parent in place.parents)):
            raise StudyError(
                f"config: study {study!r} writes into {folder}, where it also reads {scan}; give "
                "the study another name, or move the scans"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what a path leads to, None if that does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _same_name(one: Path, other: Path) -> bool:
    """Whether two names are of one place, though nothing may be there (a dangling link, say)."""
    return os.path.realpath(one) == os.path.realpath(other)


def _check_writable(output: Path) -> None:
    if len(os.fsencode(output.name)) > _LONGEST:
        raise StudyError(
            f"{output}: the name is longer than {_LONGEST} bytes; give the result a shorter one"
        )
    if output.is_dir():
        raise StudyError(f"{output}: is a folder; name a file for the result")
    if output.exists() and not output.is_file():
        raise StudyError(f"{output}: is no plain file; name another file for the result")
    if output.exists() and not output.stat().st_mode & 0o222:
        raise StudyError(f"{output}: is write-protected; name another file for the result")
    parent = output.parent
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        raise StudyError(f"{output}: {parent} is not a folder; name another place for the result")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StudyError(f"{output}: {parent} cannot be written; name another place for the result")
