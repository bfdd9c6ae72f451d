"""The frame around a script's work: its log, and errors as one line instead of a traceback."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lmidiff.errors import StudyError
from lmidiff.logs import set_up_logging

logger = logging.getLogger("lmidiff")


@contextmanager
def job(log: Sequence[str] = ()) -> Iterator[None]:
    """Run a script's body; a :class:`StudyError` ends it with its one line and exit status 1."""
    set_up_logging(log[0] if log else None)
    try:
        yield
    except StudyError as error:
        logger.error("ERROR %s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        logger.error("ERROR %s: %s", error.filename, error.strerror)
        sys.exit(1)
