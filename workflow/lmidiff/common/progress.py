"""Progress for long work: a line every few seconds with a rate and an estimate.

Lines, not a moving bar: several jobs share one terminal, and the log file keeps them readable.
"""

import logging
import time
from collections.abc import Collection, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger("lmidiff")
Item = TypeVar("Item")


class Progress:
    """Counts steps and logs ``what: done/total, rate, time left`` at most every ``every`` s.

    The first line appears after the first step. ``start`` is where a resumed run begins, so that
    the rate counts this run's steps alone. With ``unit`` ("B") numbers get prefixes, as in 4.5GB;
    a ``total`` of 0 is unknown.
    """

    def __init__(
        self, what: str, total: int, *, start: int = 0, every: float = 8.0, unit: str = ""
    ) -> None:
        self.what, self.total, self.every, self.unit = what, total, every, unit
        self.done = self.start = start
        self.began = time.monotonic()
        self.next_line = self.began

    def step(self, note: str = "", count: int = 1) -> None:
        """Count ``count`` steps; ``note`` is appended to the line, for example the loss."""
        self.done += count
        now = time.monotonic()
        if now < self.next_line and (self.done < self.total or not self.total):
            return
        self.next_line = now + self.every
        rate = (self.done - self.start) / max(now - self.began, 1e-9)
        left = tqdm.format_interval((self.total - self.done) / rate) if rate and self.total else "?"
        share = int(20 * self.done / max(self.total, 1)) if self.total else 0
        bar = "#" * share + "." * (20 - share)
        counts = f"{self._say(self.done)}/{self._say(self.total) if self.total else '?'}"
        speed = self._say(rate) if self.unit else f"{rate:.3g}"
        text = f"{self.what} [{bar}] {counts}, {speed}/s, {left} left"
        logger.info(text + (f", {note}" if note else ""))

    def _say(self, count: float) -> str:
        return tqdm.format_sizeof(count, self.unit) if self.unit else str(count)


def track(items: Collection[Item], what: str) -> Iterator[Item]:
    """Iterate with a :class:`Progress` line."""
    progress = Progress(what, len(items))
    for item in items:
        yield item
        progress.step()
