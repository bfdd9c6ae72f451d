"""The frame around a script's work: its log, and errors as one line instead of a traceback."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.common.logs import set_up_logging

logger = logging.getLogger("lmidiff")

#: Exit status of a job that was asked to stop and can go on from its checkpoint (75).
TRY_AGAIN = os.EX_TEMPFAIL


@contextmanager
def job(log: Sequence[str] = ()) -> Iterator[None]:
    """Run a script's body.

    A :class:`StudyError` ends it with its one line and exit status 1, an :class:`Interrupted`
    with its one line and exit status 75.
    """
    set_up_logging(log[0] if log else None)
    try:
        yield
    except StudyError as error:
        logger.error("ERROR %s", error)
        sys.exit(1)
    except MemoryError:
        logger.error("ERROR the memory is not enough; ask for more (resources: mem_mb)")
        sys.exit(1)
    except Interrupted as stop:
        logger.warning("STOPPED %s", stop)
        sys.exit(TRY_AGAIN)
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        logger.error("ERROR %s: %s", error.filename, error.strerror)
        sys.exit(1)
