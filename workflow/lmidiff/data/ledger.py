"""The data ledger: where each public file comes from, and how to tell that it is the right one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lmidiff.data.tsv import read_tsv
from lmidiff.errors import StudyError


@dataclass(frozen=True)
class Entry:
    """One public file; a row of the ledger.

    Attributes:
        dataset: short name of the data set it belongs to.
        file: its name, without a folder.
        url: where it is published.
        mirror: another address of the same bytes, or "".
        bytes: its size, or None if unknown.
        checksum: ``md5:...`` or ``sha256:...``, as the source gives it.
        licence: under which it is shared.
        citation: whom to credit.
    """

    dataset: str
    file: str
    url: str
    mirror: str
    bytes: int | None
    checksum: str
    licence: str
    citation: str


def read_ledger(path: str | Path) -> list[Entry]:
    """Read and check a ledger; a row fits ``workflow/schemas/ledger.schema.yaml``.

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
        size = int(row["bytes"]) if row["bytes"] else None
        entries.append(Entry(**{**row, "bytes": size}))
    if not entries:
        raise StudyError(f"{path}: the data ledger lists no file; add one line a file")
    return entries


def verify(entry: Entry, path: str | Path) -> None:
    """Check that a file on disk is the one the ledger means, by size and checksum.

    Raises:
        StudyError: it cannot be read, or its size or checksum differs.
    """
    kind, _, expected = entry.checksum.partition(":")
    mend = f"delete it and fetch it again from {entry.url}"
    try:
        size = Path(path).stat().st_size
        if entry.bytes is not None and size != entry.bytes:
            raise StudyError(
                f"{path}: has {size} bytes, {entry.file} of {entry.dataset} has {entry.bytes}; "
                f"{mend}"
            )
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, kind).hexdigest()
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}); fetch {entry.url}") from error
    if found != expected:
        raise StudyError(
            f"{path}: {kind} is {found}, that of {entry.file} of {entry.dataset} is {expected}; "
            f"{mend}"
        )
