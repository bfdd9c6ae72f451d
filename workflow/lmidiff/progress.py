"""Progress for long work: a line every few seconds with a rate and an estimate.

Lines, not a moving bar: several jobs share one terminal, and the log file keeps them readable.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger("lmidiff")
Item = TypeVar("Item")


class Progress:
    """Counts steps and logs ``what: done/total, rate, time left`` at most every ``every`` s.

    The first line appears after the first step. ``start`` is where a resumed run begins, so that
    the rate counts this run's steps alone.
    """

    def __init__(self, what: str, total: int, *, start: int = 0, every: float = 8.0) -> None:
        self.what, self.total, self.every = what, total, every
        self.done = self.start = start
        self.began = time.monotonic()
        self.next_line = self.began

    def step(self, note: str = "", count: int = 1) -> None:
        """Count ``count`` steps; ``note`` is appended to the line, for example the loss."""
        self.done += count
        now = time.monotonic()
        if now < self.next_line and self.done < self.total:
            return
        self.next_line = now + self.every
        rate = (self.done - self.start) / max(now - self.began, 1e-9)
        left = tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        share = int(20 * self.done / max(self.total, 1))
        bar = "#" * share + "." * (20 - share)
        text = f"{self.what} [{bar}] {self.done}/{self.total}, {rate:.3g}/s, {left} left"
        logger.info(text + (f", {note}" if note else ""))


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Iterate with a :class:`Progress` line."""
    progress = Progress(what, total)
    for item in items:
        yield item
        progress.step()
