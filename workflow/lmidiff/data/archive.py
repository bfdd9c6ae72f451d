"""Members of a tar archive, read with suspicion and taken out one at a time.

The whole table of an archive is judged before anything leaves it, also the members nobody wants:
an archive with one bad member is not the archive it should be. Nothing is ever written under a
name from inside.
"""

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic

MEMBER_BYTES = 256 << 20
"""Largest member if the ledger names no bound: a raw brain scan, compressed, is below 64 MiB."""

MAX_MEMBERS = 100_000
CHUNK = 1 << 20
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a pipe",
}


def members(path: str | Path, member_bytes: int | None = None) -> dict[str, tarfile.TarInfo]:
    """The files of an archive by name, without their folders, in the archive's order.

    Args:
        path: an uncompressed tar.
        member_bytes: how large one member may be; ``MEMBER_BYTES`` if None.

    Raises:
        StudyError: one line that names the archive and the member: an absolute name or one with
            ``..``, a link, device, pipe or sparse file, two members of one name, a member larger
            than ``member_bytes`` or than the archive, more than ``MAX_MEMBERS``; an archive that
            is truncated, compressed, no tar, or has data behind its end.
    """
    with _opened(Path(path)) as stream:
        return _table(stream, Path(path), member_bytes or MEMBER_BYTES)


def extract(
    path: str | Path, wanted: Mapping[str, str | Path], member_bytes: int | None = None
) -> None:
    """Take members out of an archive; each destination appears whole or not at all.

    The archive must have been verified before, see :func:`lmidiff.data.fetch.require_verified`.

    Args:
        path: an uncompressed tar.
        wanted: member name, without folders, to the file to write.
        member_bytes: as in :func:`members`.

    Raises:
        StudyError: as in :func:`members`; a wanted member is not there; a destination cannot be
            written.
    """
    path = Path(path)
    with _opened(path) as stream:
        table = _table(stream, path, member_bytes or MEMBER_BYTES)
        missing = [name for name in wanted if name not in table]
        if missing:
            raise StudyError(
                f"{path}: has no member {missing[0]}; take its subject out of the split, or write "
                "the split anew from the archives (config/README.md)"
            )
        for name, destination in wanted.items():
            with atomic(destination) as temporary:
                _copy(stream, table[name], temporary, path)


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise StudyError(f"{path}: archive cannot be read ({error.strerror})") from error


def _table(stream: BinaryIO, path: Path, member_bytes: int) -> dict[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    size = os.fstat(stream.fileno()).st_size
    try:
        # "r:" takes no compressed archive: what that unpacks to, the ledger cannot bound.
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for count, info in enumerate(archive, start=1):
                if fault := _fault(info, size, member_bytes):
                    raise StudyError(f"{path}: member {info.name!r} {fault}; the archive is unsafe")
                if count > MAX_MEMBERS:
                    raise StudyError(f"{path}: has more than {MAX_MEMBERS} members; it is unsafe")
                if info.isdir():
                    continue
                name = PurePosixPath(info.name).name
                if name in found:
                    raise StudyError(
                        f"{path}: member {name!r} is there twice; the archive is unsafe"
                    )
                found[name] = info
            end = archive.offset
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StudyError(
            f"{path}: is truncated or no tar archive ({reason}); delete it and fetch it again"
        ) from error
    _check_end(stream, end, path)
    return found


def _fault(info: tarfile.TarInfo, archive_bytes: int, member_bytes: int) -> str:
    """What is wrong with a member, "" if nothing is."""
    name = PurePosixPath(info.name)
    if name.is_absolute() or PureWindowsPath(info.name).drive:
        return "has an absolute name"
    if ".." in name.parts or "\\" in info.name or "\0" in info.name:
        return "has a name that leads out of its folder"
    if info.issparse():
        return "is a sparse file, which unpacks to more than it shows"
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        return f"is {_KINDS.get(info.type, 'of an unknown kind')}"
    if info.size < 0:
        return "has a negative size"
    if info.size > member_bytes:
        return f"has {info.size} bytes, more than the {member_bytes} that the ledger allows"
    if info.isreg() and info.offset_data + info.size > archive_bytes:
        return f"has {info.size} bytes, more than the archive holds: it is truncated"
    return ""


def _check_end(stream: BinaryIO, end: int, path: Path) -> None:
    """A tar ends with two blocks of zeros; without them it was cut, and nothing follows them."""
    stream.seek(end)
    closing = stream.read(2 * tarfile.BLOCKSIZE)
    # tarfile stops behind the first block of zeros that it meets.
    if not closing or closing.strip(b"\0"):
        raise StudyError(f"{path}: is truncated (it has no end); delete it and fetch it again")
    while block := stream.read(CHUNK):
        if block.strip(b"\0"):
            raise StudyError(f"{path}: has data behind its end; the archive is unsafe")


def _copy(stream: BinaryIO, info: tarfile.TarInfo, destination: Path, path: Path) -> None:
    """Stream one member into a file, without holding it in memory."""
    stream.seek(info.offset_data)
    left = info.size
    with open(destination, "wb") as output:
        while left:
            chunk = stream.read(min(CHUNK, left))
            if not chunk:
                raise StudyError(f"{path}: is truncated in {info.name}; fetch it again")
            output.write(chunk)
            left -= len(chunk)
