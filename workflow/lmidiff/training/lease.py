"""A folder that one process at a time may work in, on local disks and on a cluster's.

The lock is flock: the kernel drops it when its process dies, so a dead job leaves nothing to
clean up, and NFS carries it between nodes. Some cluster file systems are mounted with locks that
hold on one node only, or with none. So the holder also leaves its name and a sign of life, and a
newcomer from another node waits to see whether that sign still moves.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import IOBase
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.locks import NO_LOCKS, take

logger = logging.getLogger("lmidiff")

BEAT = 15.0
"""Seconds between two signs of life."""
PATIENCE = 60.0
"""Seconds without one after which a holder on another node counts as dead."""


@dataclass(frozen=True)
class Owner:
    """Who works in a folder."""

    host: str
    pid: int
    token: str
    job: str = ""

    @classmethod
    def me(cls) -> "Owner":
        """This process."""
        job = os.environ.get("SLURM_JOB_ID", "")
        return cls(socket.gethostname(), os.getpid(), secrets.token_hex(8), job)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", Slurm job {self.job}" * bool(self.job))


class Lease:
    """The right to work in a folder; see :func:`lease`."""

    def __init__(self, path: Path, owner: Owner, beat: float) -> None:
        self.path, self.owner, self._beat = path, owner, beat
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def check(self) -> None:
        """Raise StudyError if another job took the folder, as it may from a suspended one."""
        found, _ = _read(self.path)
        if found is not None and found.token != self.owner.token:
            raise StudyError(f"{self.path.parent}: another job took over here ({found})")

    def _keep(self) -> None:
        while not self._done.wait(self._beat):
            found, _ = _read(self.path)
            if found is not None and found.token == self.owner.token:
                _touch(self.path)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._done.set()
        self._thread.join()
        found, _ = _read(self.path)
        if found is not None and found.token == self.owner.token:
            self.path.unlink(missing_ok=True)


@contextmanager
def lease(folder: Path, *, beat: float = BEAT, patience: float = PATIENCE) -> Iterator[Lease]:
    """Work in ``folder`` alone.

    Args:
        folder: is made if it is missing.
        beat: seconds between two signs of life.
        patience: seconds to watch for one of a holder on another node.

    Raises:
        StudyError: another job works there, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take(folder / "lock")
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise StudyError(f"{folder}: cannot be written ({error.strerror})") from error
        logger.warning("%s: this file system has no locks (%s)", folder, error.strerror)
        locks = nullcontext()
    else:
        if lock is None:
            found, _ = _read(folder / "owner.json")
            raise _refusal(folder, found)
        locks = lock
    with locks:
        owner = Owner.me()
        held = Lease(folder / "owner.json", owner, beat)
        _claim(held.path, owner, isinstance(locks, IOBase), patience)
        held.start()
        try:
            yield held
        finally:
            held.end()


def _claim(path: Path, owner: Owner, locks: bool, patience: float) -> None:
    while True:
        try:
            with open(path, "x") as stream:
                json.dump(vars(owner), stream)
            return
        except FileExistsError:
            found, sign = _read(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
        if sign is None:
            continue  # it ended just now
        if found is not None and found.host == owner.host:
            # On one node the kernel knows: had it been alive, its lock would have held.
            if not locks and _alive(found.pid):
                raise _refusal(path.parent, found)
        elif _moves(path, sign, patience):
            raise _refusal(path.parent, found)
        logger.info("%s: left by a job that died (%s), taken over", path.parent, found)
        path.unlink(missing_ok=True)


def _moves(path: Path, sign: int, patience: float) -> bool:
    """Whether a holder on another node shows life; its clock and ours need not agree."""
    logger.info("%s: held from another node; waiting for a sign of life", path.parent)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(min(1.0, patience / 20))
        _, now = _read(path)
        if now is None:
            return False  # it ended, and took its name with it
        if now != sign:
            return True
    return False


def _read(path: Path) -> tuple[Owner | None, int | None]:
    """The holder, if readable, and its sign of life; (None, None) without a file."""
    try:
        with open(path) as stream:  # opening makes NFS ask its server anew
            sign = os.fstat(stream.fileno()).st_mtime_ns
            return Owner(**json.load(stream)), sign
    except FileNotFoundError:
        return None, None
    except (ValueError, TypeError):
        return None, sign


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # a full or absent disk; the training will say so
        logger.debug("%s: no sign of life could be left", path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(folder: Path, found: Owner | None) -> StudyError:
    who = f" ({found})" if found else ""
    return StudyError(f"{folder}: another job is training here{who}; wait for it or stop it first")
