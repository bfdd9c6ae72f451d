"""One log for people: progress and errors on the terminal and in the job's log file."""

import logging
import sys
from pathlib import Path

logger = logging.getLogger("lmidiff")


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
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
