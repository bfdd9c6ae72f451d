"""The data ledger: where each public file comes from, and how to tell that it is the right one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.data.tsv import read_tsv

SIZES = ("bytes", "member_bytes")


@dataclass(frozen=True)
class Entry:
    """One public file; a row of the ledger.

    Attributes:
        dataset: short name of the data set it belongs to.
        file: its name below the folder of the data set, for example ``t1/a.nii.gz``.
        url: where it is published.
        mirror: another address of the same bytes, or "".
        bytes: its size, or None if unknown.
        checksum: ``md5:...`` or ``sha256:...``, as the source gives it.
        licence: under which it is shared.
        citation: whom to credit.
        member_bytes: of an archive, how large one member may be; None for no archive.
    """

    dataset: str
    file: str
    url: str
    mirror: str
    bytes: int | None
    checksum: str
    licence: str
    citation: str
    member_bytes: int | None = None


def read_ledger(path: str | Path) -> list[Entry]:
    """Read and check a ledger; a row fits ``workflow/lmidiff/schemas/ledger.schema.yaml``.

    Raises:
        StudyError: one line that names the ledger, the line and the mend: an unreadable or empty
            ledger, a fault in header or cell, the same dataset and file twice.
    """
    entries: list[Entry] = []
    places: dict[tuple[str, str], str] = {}
    for place, row in read_tsv(path, "ledger", "data ledger", lambda row: row["file"]):
        key = row["dataset"], row["file"]
        if key in places:
            raise StudyError(
                f"{place}: a second line for {key[1]} of {key[0]}; keep one (see {places[key]})"
            )
        places[key] = place
        sizes = {name: int(row[name]) if row[name] else None for name in SIZES}
        entries.append(Entry(**{**row, **sizes}))
    if not entries:
        raise StudyError(f"{path}: the data ledger lists no file; add one line a file")
    return entries


def fault_of(entry: Entry, path: str | Path) -> str:
    """What tells that a file is not the one the ledger means, "" if it is the one.

    Size first, then the checksum.

    Raises:
        OSError: it cannot be read.
    """
    kind, _, expected = entry.checksum.partition(":")
    size = Path(path).stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        return f"has {size} bytes, {entry.file} of {entry.dataset} has {entry.bytes}"
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, kind).hexdigest()
    if found != expected:
        return f"{kind} is {found}, that of {entry.file} of {entry.dataset} is {expected}"
    return ""


def verify(entry: Entry, path: str | Path) -> None:
    """Check that a file on disk is the one the ledger means, by size and checksum.

    Raises:
        StudyError: it cannot be read, or its size or checksum differs.
    """
    try:
        fault = fault_of(entry, path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}); fetch {entry.url}") from error
    if fault:
        raise StudyError(f"{path}: {fault}; delete it and fetch it again from {entry.url}")
