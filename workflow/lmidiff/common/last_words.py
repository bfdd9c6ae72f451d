"""What failed, after the workflow engine's own last line, so that nobody has to look for it."""

import atexit
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

MOST = 10
"""Lines at most; where one cause fails a hundred jobs, ten of them say it."""

_MARKS = ("ERROR", "STOPPED")
"""How a job's log begins what it has to say, after the time of day."""


class LastWords:
    """The errors of the jobs of one run.

    Args:
        folders: where jobs write their logs, in any depth; they need not exist.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        self.folders = [Path(folder) for folder in folders]
        self.before: dict[Path, tuple[int, ...]] = {}

    def begin(self) -> None:
        """Remember the logs of earlier runs; what they say is no news."""
        self.before = self._logs()

    def errors(self) -> list[str]:
        """Last lines of logs written since that say what went wrong, or that a job was stopped."""
        changed = [path for path, state in self._logs().items() if self.before.get(path) != state]
        said = []
        for path in sorted(changed):
            lines = path.read_text(errors="replace").rstrip().splitlines()
            for mark in _MARKS:
                _, found, words = lines[-1].partition(f" {mark} ") if lines else ("", "", "")
                if found and f"{mark} {words}" not in said:
                    said.append(f"{mark} {words}")
        return said

    def tell(self, log: str | Path | Sequence[str | Path]) -> None:
        """Say the errors when this process ends, after all else.

        Args:
            log: the engine's own, or several; named where no job has said what is wrong.
        """
        logs = [log] if isinstance(log, (str, Path)) else list(log)
        said = self.errors() or _unsaid(logs)
        more = [f"and {len(said) - MOST} more"] if len(said) > MOST else []
        say_last([*said[:MOST], *more])

    def _logs(self) -> dict[Path, tuple[int, ...]]:
        files = (path for folder in self.folders for path in folder.rglob("*.log"))
        states = {path: path.stat() for path in files}
        return {p: (s.st_ino, s.st_size, s.st_mtime_ns) for p, s in states.items()}


def _unsaid(logs: Sequence[str | Path]) -> list[str]:
    """What the engine's own logs know of jobs that left no word: a disk that takes none."""
    lines = [
        line.strip()
        for path in map(Path, logs)
        if path.is_file()
        for line in path.read_text(errors="replace").splitlines()
    ]
    mends = {"No space left on device": "make room", "Read-only file system": "make it writable"}
    for fault, mend in mends.items():
        if any(fault in line for line in lines):
            return [f"ERROR results cannot be written ({fault}); {mend}, and run it again"]
    return [
        "ERROR a job ended without a word, as one that is killed does (out of memory?); see "
        f"{', '.join(map(str, logs))}, give it more, and run the same command again"
    ]


def say_last(lines: Sequence[str]) -> None:
    """Print lines to standard error when this process ends, after all else."""
    atexit.register(lambda: print("\n".join(lines), file=sys.stderr, flush=True))
