"""The ledger's files on this machine: fetched, verified before anything reads them, once.

A *receipt* beside the file remembers what was verified. As long as the file keeps its size and its
time of change, the receipt stands and the checksum is not computed again.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_json
from lmidiff.common.locks import NO_LOCKS, take
from lmidiff.data.download import CHUNK, Patience, Refused, discard, download, require_room, save
from lmidiff.data.ledger import Entry, fault_of, verify

logger = logging.getLogger("lmidiff")


def fetch(
    entry: Entry,
    path: str | Path,
    receipt: str | Path,
    *,
    mirror: str = "",
    patience: Patience | None = None,
) -> None:
    """See that the ledger's file is at ``path``, verified, and write its receipt.

    A file that is there is verified, not fetched. Otherwise the addresses are tried in order:
    ``mirror``, the ledger's URL, the ledger's mirror. An unfinished download stays beside
    ``path`` as ``<file>.part`` and is continued by the next call; a finished one is verified and
    only then takes its place. Several processes may call this for one file at once.

    Args:
        entry: the file.
        path: where it belongs; put there by hand, it is taken from there.
        receipt: the file that remembers the verification.
        mirror: a folder, a ``file://`` address or a web address that holds ``entry.file``.
        patience: with servers.

    Raises:
        StudyError: the file at ``path`` is another one, no address gives it, or the disk is full.
    """
    path, receipt = Path(path), Path(receipt)
    with _alone(receipt, entry.file):
        if not path.exists():
            _bring(entry, path, mirror, patience or Patience())
        elif is_verified(entry, path, receipt):
            return
        else:
            logger.info("verify %s", path)
            verify(entry, path)
        write_json(receipt, _facts(entry, path))


def is_verified(entry: Entry, path: str | Path, receipt: str | Path) -> bool:
    """Whether the receipt stands: ``path`` is unchanged since it was found to be ``entry``."""
    try:
        return json.loads(Path(receipt).read_text()) == _facts(entry, Path(path))
    except (OSError, ValueError):
        return False


def require_verified(entry: Entry, path: str | Path, receipt: str | Path) -> None:
    """Raise StudyError unless ``path`` is the ledger's file.

    Cheap while the receipt stands. A file that was changed or touched since is checked anew, and
    a note beside the receipt remembers that; the receipt itself stays, as jobs depend on it.
    """
    note = Path(receipt).with_name(f".{Path(receipt).name}.again")
    if not Path(path).exists():
        raise StudyError(
            f"{path}: is gone since it was verified; put it back, or delete {receipt} "
            "to have it fetched again"
        )
    if not is_verified(entry, path, receipt) and not is_verified(entry, path, note):
        verify(entry, path)
        write_json(note, _facts(entry, Path(path)))


def addresses(entry: Entry, mirror: str = "") -> list[str]:
    """Where to look for a file, in order."""
    base = [f"{mirror.rstrip('/')}/{entry.file}"] if mirror else []
    return [address for address in (*base, entry.url, entry.mirror) if address]


def _facts(entry: Entry, path: Path) -> dict[str, object]:
    state = path.stat()
    return {
        "file": entry.file,
        "checksum": entry.checksum,
        "bytes": state.st_size,
        "changed_ns": state.st_mtime_ns,
    }


def _bring(entry: Entry, path: Path, mirror: str, patience: Patience) -> None:
    """Fetch the file from the first address that gives it, verify and publish it."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    faults = []
    for address in addresses(entry, mirror):
        try:
            _fill(entry, address, part, patience)
        except Refused as error:
            logger.info("%s: %s %s", entry.file, address, error)
            faults.append(f"{address} {error}")
            continue
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
        discard(part)
        return
    raise StudyError(
        f"{entry.file} of {entry.dataset} could not be fetched: {'; '.join(faults)}. "
        f"Download it by hand from {entry.url} and put it at {path.absolute()}"
    )


def _fill(entry: Entry, address: str, part: Path, patience: Patience) -> None:
    """Bring the right bytes into ``part``, or raise Refused and leave none that are wrong."""
    while True:
        resumed = part.exists()
        if urlsplit(address).scheme in ("http", "https"):
            logger.info("fetch %s from %s", entry.file, address)
            download(address, part, entry.bytes, entry.file, patience)
        else:
            resumed = False
            _copy(entry, address, part)
        fault = fault_of(entry, part)
        if not fault:
            return
        discard(part)
        # What was there before may be the bytes of another address: once more, from nothing.
        if not resumed:
            raise Refused(f"gives another file ({fault})")
        logger.info("%s: %s; starting again", entry.file, fault)


def _copy(entry: Entry, address: str, part: Path) -> None:
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise Refused(f"names the machine {parts.netloc}; file:// is for this machine")
    source = Path(url2pathname(parts.path) if parts.scheme == "file" else address).expanduser()
    try:
        total = source.stat().st_size
        stream = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from error
    with stream:
        require_room(part, total, entry.file)
        save(iter(lambda: stream.read(CHUNK), b""), part, 0, total, entry.file)


@contextmanager
def _alone(receipt: Path, name: str) -> Iterator[None]:
    """One process at a time works on a file; the lock goes with the process that holds it.

    Some file systems of clusters have no locks. There it is said, and fetched all the same: two
    jobs at once would then fetch a file twice, and each would verify what it got.
    """
    path, lock = receipt.with_name(f".{receipt.name}.lock"), None
    try:
        receipt.parent.mkdir(parents=True, exist_ok=True)
        lock = take(path)
        if lock is None:
            logger.info("%s: another process is fetching it; waiting", name)
            lock = take(path, wait=True)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise StudyError(f"{receipt.parent}: cannot be written ({error.strerror})") from error
        logger.warning(
            "WARNING %s: this file system has no locks (%s); fetch it in one job at a time",
            receipt.parent,
            error.strerror,
        )
    try:
        yield
    finally:
        if lock is not None:
            lock.close()
