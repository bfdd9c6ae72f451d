"""How far a whole study is: jobs done, and about how long it will still take."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TextIO

FIRST, EVERY, LOOK = 8.0, 60.0, 1.0
"""Seconds to the first line, between lines, and between looks at what runs."""

TRUSTED = 60.0
"""Seconds of work that the estimate is worth, until this machine has shown its own pace."""


class Outlook:
    """Says from time to time how far a run is.

    A job that runs counts with the time it has had, at the pace of the others, up to its estimate:
    a study that begins with long trainings is not taken for one that stands still.

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
        running: Callable[[], set[object]],
        cores: int,
        stream: TextIO | None = None,
    ) -> None:
        """Print lines until :meth:`end`, or until this process ends.

        Args:
            seconds: estimated seconds of each job, by any key.
            done: keys of the jobs that have ended by now.
            running: keys of the jobs that run now.
            cores: jobs that can run at once, for the time before the first has ended.
            stream: standard error if None.
        """
        self.seconds, self.done, self.running, self.cores = seconds, done, running, max(cores, 1)
        self.began = self.seen = self.clock()
        self.since: dict[object, float] = {}
        self.effort = 0.0
        threading.Thread(target=self._tell, args=(stream,), daemon=True).start()

    def look(self) -> None:
        """See what runs; between two looks nothing is known to begin or end."""
        now, running = self.clock(), self.running() & self.seconds.keys()
        self.effort += (now - self.seen) * len(self.since)
        self.since = {job: self.since.get(job, now) for job in running}
        self.seen = now

    def line(self) -> str:
        """Such as ``study default: 12 of 186 jobs, 9 % of the work; about 17 min left``."""
        self.look()
        ended = self.done() & self.seconds.keys()
        whole = sum(self.seconds.values())
        pace, worked = self._pace(ended)
        # Jobs at once: as told at first, as seen later.
        passed = self.seen - self.began
        at_once = (self.effort + TRUSTED * self.cores) / (passed + TRUSTED)
        left = (whole - worked) / (pace * at_once) / 60
        share = 100 * worked / whole if whole else 100
        about = f"about {left:.0f} min left" if left >= 1.5 else "about a minute left"
        return (
            f"study {self.name}: {len(ended)} of {len(self.seconds)} jobs, {share:.0f} % of the "
            f"work; {about}"
        )

    def end(self) -> None:
        """No more lines."""
        self._ended.set()

    def _pace(self, ended: set[object]) -> tuple[float, float]:
        """Estimated seconds in a second of a job; and those of all that lies behind the run."""
        had = {job: self.seen - since for job, since in self.since.items() if job not in ended}
        behind = sum(self.seconds[job] for job in ended)
        known, spent = behind + TRUSTED, self.effort - sum(had.values()) + TRUSTED
        # Of what runs, only what is over its estimate says something of the pace.
        for job in sorted(had, key=lambda job: self.seconds[job] / (had[job] + 1e-9)):
            if had[job] * known / spent > self.seconds[job]:
                known, spent = known + self.seconds[job], spent + had[job]
        pace = known / spent
        return pace, behind + sum(min(had[job] * pace, self.seconds[job]) for job in had)

    def _tell(self, stream: TextIO | None) -> None:
        due = self.began + FIRST
        while not self._ended.wait(LOOK):
            self.look()
            if self.seen >= due:
                print(self.line(), file=stream or sys.stderr, flush=True)
                due = self.seen + EVERY
