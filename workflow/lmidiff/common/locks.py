"""The one lock of the project: flock, which the kernel drops when the process that holds it ends.

A dead job leaves nothing to clean up, and NFS carries it between nodes. Some file systems of
clusters have none: what goes on without is for the caller to say.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system without locks answers."""
HELD = (errno.EAGAIN, errno.EACCES)


def take(path: str | Path, *, wait: bool = False) -> IO[str] | None:
    """Take the lock of a file, which is made if it is missing, until the result is closed.

    Args:
        path: of the lock.
        wait: whether to wait for whoever holds it.

    Returns:
        None where another process holds it.

    Raises:
        OSError: the file cannot be written, or (``NO_LOCKS``) the file system has no locks.
    """
    stream = open(path, "a")  # noqa: SIM115 - held
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        stream.close()
        if error.errno in HELD:
            return None
        raise
    return stream


def hold(handle: int) -> None:
    """Lock an open file or folder until it is closed, where the file system has locks."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool | None:
    """Whether somebody holds the lock of a file or folder; None where nobody can tell.

    Raises:
        OSError: it cannot be opened.
    """
    # NFS locks what is open for writing, and a folder never is.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in HELD else None
    finally:
        os.close(handle)
    return False
