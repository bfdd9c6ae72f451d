"""One file over HTTP: continued where it broke off, refused where it cannot be the right one.

``requests`` does the protocol (redirects, proxies, certificates, time-outs); Snakemake brings it
already. What is here is what no client does by itself: deciding from status, headers and first
bytes whether this can be the file, and going on after a failure.
"""

import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from lmidiff.common.errors import StudyError
from lmidiff.common.progress import Progress

logger = logging.getLogger("lmidiff")

CHUNK = 1 << 20
LEAST_RATE = 100
"""Bytes a second; a server that brings less over the time allowed has stalled."""

PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Status codes that may be gone at the next attempt."""


class Refused(Exception):
    """This address will not give the file; trying it again is of no use."""


class Broken(Exception):
    """The transfer failed in a way that may pass."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        connect: seconds for a connection to be made.
        stall: seconds without data after which a transfer counts as broken.
        attempts: failures in a row, without progress, before an address is given up.
        pause: seconds before the second attempt; doubles with each failure in a row.
    """

    connect: float = 15.0
    stall: float = 60.0
    attempts: int = 5
    pause: float = 2.0


def download(url: str, part: Path, size: int | None, name: str, patience: Patience) -> None:
    """Bring the file at ``url`` into ``part``, continuing what ``part`` already holds.

    Args:
        url: http or https.
        part: where an unfinished download is kept; it stays when this fails.
        size: the file's bytes if known; a server that offers another number is refused.
        name: of the file, for the progress line.
        patience: with the server.

    Raises:
        Refused: this address does not give the file; the message says why.
        StudyError: the disk has no room.
    """
    if size is not None and _size(part) > size:
        discard(part)
    failures, best = 0, _size(part)
    while _size(part) != size:
        try:
            _attempt(url, part, size, name, patience)
            return
        except Broken as error:
            reached = _size(part)
            worthwhile = reached - best >= LEAST_RATE * patience.stall
            failures = 1 if worthwhile else failures + 1
            best = max(best, reached)
            if failures >= patience.attempts:
                raise Refused(f"{error}, {failures} times in a row") from error
            wait = patience.pause * 2 ** (failures - 1)
            logger.info("%s: %s; trying again in %.3g s", name, error, wait)
            time.sleep(wait)


def require_room(part: Path, total: int, name: str) -> None:
    """Raise StudyError if the disk has no room for ``total`` bytes, some of them in ``part``."""
    needed = total - _size(part)
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise StudyError(
            f"{part.parent}: no room for {name}, which needs {needed / 1e9:.3g} GB more and has "
            f"{free / 1e9:.3g} GB; make room, or put a folder on another disk first in data.roots"
        )


def save(chunks: Iterator[bytes], part: Path, start: int, total: int | None, name: str) -> None:
    """Write ``chunks`` into ``part`` from byte ``start`` on, with a progress line.

    Raises:
        Refused: more arrives than ``total``.
        StudyError: the disk is full or not writable; what has arrived is kept.
    """
    progress = Progress(f"fetch {name}", total or 0, start=start, unit="B")
    reached = start
    try:
        with open(part, "r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.truncate()
            for chunk in chunks:
                stream.write(chunk)
                reached += len(chunk)
                if total is not None and reached > total:
                    raise Refused(f"sends more than the {total} bytes that it announced")
                progress.step(count=len(chunk))
    except OSError as error:
        raise StudyError(
            f"{part}: cannot be written ({error.strerror}); make room and run again, "
            f"the download of {name} goes on from here"
        ) from error


def _attempt(url: str, part: Path, size: int | None, name: str, patience: Patience) -> None:
    """One request and all that it brings."""
    have = _size(part)
    with requests.Session() as session, _answer(session, url, part, have, patience) as answer:
        start, total = _place(answer, part, have)
        if size is not None and total is not None and total != size:
            raise Refused(f"offers {total} bytes, the ledger says {size}")
        if answer.status_code == 416:
            return
        total = size if total is None else total
        if start == 0:
            if have:
                logger.info("%s: the server sends all of it again", name)
            _remember(part, url, answer)
        if total is not None:
            require_room(part, total, name)
        save(_body(answer, start, patience), part, start, total, name)
    if total is not None and _size(part) < total:
        raise Broken(f"the connection was cut at {_size(part)} of {total} bytes")


def _answer(
    session: requests.Session, url: str, part: Path, have: int, patience: Patience
) -> requests.Response:
    """The server's answer to a request for the rest of the file, if it can be of use."""
    # Encoded, a range would be one of the encoded bytes.
    headers = {"Accept-Encoding": "identity", "User-Agent": "lmidiff"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := _validator(part, url):
            headers["If-Range"] = validator
    try:
        answer = session.get(
            url, headers=headers, stream=True, timeout=(patience.connect, patience.stall)
        )
    except requests.Timeout as error:
        raise Broken("no answer in time") from error
    except requests.ConnectionError as error:
        raise Broken("no connection") from error
    except requests.RequestException as error:
        raise Refused(" ".join(str(error).split())) from error
    code = answer.status_code
    if code in (200, 206):
        if "html" in answer.headers.get("Content-Type", "").lower():
            answer.close()
            raise Refused("sends a web page instead of the file")
        return answer
    answer.close()
    if code == 416:
        if answer.headers.get("Content-Range", "").strip() == f"bytes */{have}":
            return answer
        discard(part)
        raise Broken("the server has no such range; starting again")
    if code in PASSING:
        raise Broken(f"answers {code} {answer.reason}")
    raise Refused(f"answers {code} {answer.reason}")


def _place(answer: requests.Response, part: Path, have: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and the whole file's size if it is told; 416: its end."""
    if answer.status_code == 416:
        return have, have
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    given = answer.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given.strip())
    if not found or int(found[1]) != have:
        discard(part)
        raise Broken(f"answers with the range {given!r} instead of the one from byte {have}")
    return have, int(found[2]) if found[2].isdigit() else None


def _body(answer: requests.Response, start: int, patience: Patience) -> Iterator[bytes]:
    """The body as it arrives, undecoded."""
    first, window, came = start == 0, time.monotonic(), 0
    while True:
        try:
            chunk = answer.raw.read1(CHUNK, decode_content=False)
        except urllib3.exceptions.TimeoutError as error:
            raise Broken(f"stalled for {patience.stall:g} s") from error
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise Broken("the connection was cut") from error
        if not chunk:
            return
        if first and chunk[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise Refused("sends a web page instead of the file")
        first = False
        yield chunk
        came += len(chunk)
        now = time.monotonic()
        if now - window >= patience.stall:
            if came < LEAST_RATE * (now - window):
                raise Broken(f"brought {came} bytes in {now - window:.3g} s")
            window, came = now, 0


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    """Note what tells whether the server still has the same file when we come back."""
    validator = answer.headers.get("ETag", "")
    # RFC 9110, 13.1.5: a weak ETag must not be used in If-Range.
    if not validator or validator.startswith("W/"):
        validator = answer.headers.get("Last-Modified", "")
    _note(part).write_text(json.dumps({"url": url, "validator": validator}))


def _validator(part: Path, url: str) -> str:
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return ""
    return note["validator"] if note.get("url") == url else ""


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Remove an unfinished download."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
