"""How far a whole study is: jobs done, and about how long it will still take."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TextIO

FIRST, EVERY = 8.0, 60.0
"""Seconds to the first line, and between lines."""

TRUSTED = 60.0
"""Seconds of work that the estimate is worth, until this machine has shown its own pace."""


class Outlook:
    """Says from time to time how far a run is.

    Args:
        name: of the study.
        clock: seconds, rising.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.clock = name, clock
        self._ended = threading.Event()

    def begin(
        self,
        seconds: Mapping[object, float],
        done: Callable[[], set[object]],
        cores: int,
        stream: TextIO | None = None,
    ) -> None:
        """Print lines until :meth:`end`, or until this process ends.

        Args:
            seconds: estimated seconds of each job, by any key.
            done: keys of the jobs that have ended by now.
            cores: jobs that can run at once, for the time before the first has ended.
            stream: standard error if None.
        """
        self.seconds, self.done, self.cores = seconds, done, max(cores, 1)
        self.began = self.clock()
        threading.Thread(target=self._tell, args=(stream,), daemon=True).start()

    def line(self) -> str:
        """Such as ``study default: 12 of 186 jobs, 9 % of the work; about 17 min left``."""
        ended = self.done() & self.seconds.keys()
        whole = sum(self.seconds.values())
        worked = sum(self.seconds[key] for key in ended)
        passed = self.clock() - self.began
        # Work a second: as estimated with all cores at first, as seen later.
        rate = (worked + TRUSTED) / (passed + TRUSTED / self.cores)
        left = (whole - worked) / rate / 60
        share = 100 * worked / whole if whole else 100
        about = f"about {left:.0f} min left" if left >= 1.5 else "about a minute left"
        return (
            f"study {self.name}: {len(ended)} of {len(self.seconds)} jobs, {share:.0f} % of the "
            f"work; {about}"
        )

    def end(self) -> None:
        """No more lines."""
        self._ended.set()

    def _tell(self, stream: TextIO | None) -> None:
        pause = FIRST
        while not self._ended.wait(pause):
            print(self.line(), file=stream or sys.stderr, flush=True)
            pause = EVERY
