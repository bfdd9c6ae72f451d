"""One log for people: progress and errors on the terminal and in the job's log file."""

import logging
import re
import sys
from pathlib import Path

logger = logging.getLogger("lmidiff")


def visible(text: str) -> str:
    """``text`` on one line, its control characters written out: a file's name may hold some."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], text)


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = visible(record.message)
        return super().formatMessage(record)


def set_up_logging(path: str | Path | None = None) -> None:
    """Send the package's messages to the terminal and, if ``path`` is given, to a file."""
    logger.handlers.clear()
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # On a full disk each message would come with a traceback of the log that cannot take it.
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path:
        handlers.append(logging.FileHandler(path, mode="w"))
    for handler in handlers:
        handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
