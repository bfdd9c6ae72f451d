"""Which of a machine's GPUs a job takes: each job its own, by a lock that dies with the job."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lmidiff.common.errors import StudyError
from lmidiff.common.locks import take

GRACE = 30.0
"""Seconds to wait for a card that a job which is just ending still holds."""

PROMISE = "LMIDIFF_GPUS"
"""Environment variable that says that the machine's GPUs were promised to the run's jobs."""
GRANTED = (PROMISE, "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")

_held: list[IO[str]] = []  # open as long as this process lives, and locked as long as open


def promised(asked: int, environment: Mapping[str, str]) -> int:
    """GPUs that a job was promised: those it asks for, where somebody has granted any.

    Slurm grants them to a job that asks, and ``snakemake --resources gpu=2`` to the jobs of this
    machine. Otherwise the resource ``gpu`` says no more than that the job could use them.
    """
    return asked if any(environment.get(name) for name in GRANTED) else 0


def names(count: int, environment: Mapping[str, str]) -> list[str]:
    """Names of the ``count`` cards that this process sees, in the order torch numbers them.

    CUDA_VISIBLE_DEVICES gives them, so that jobs that see different parts of a machine agree on
    which card is meant.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    parts = [part.strip() for part in listed.split(",")] if listed else []
    return [parts[n] if n < len(parts) else str(n) for n in range(count)]


def scratch(environment: Mapping[str, str]) -> Path:
    """Where this machine's locks are: on its own disk, because its cards are its own.

    A Slurm job has a folder to itself: Slurm keeps the jobs apart, and may number the cards of
    each from 0.
    """
    job = environment.get("SLURM_JOB_ID", "local")
    return Path(tempfile.gettempdir()) / f"lmidiff-cards-{os.getuid()}" / job


def claim(
    cards: Sequence[str], count: int, folder: Path, *, promised: bool, grace: float = GRACE
) -> list[int]:
    """Take ``count`` of the cards until this process ends.

    Args:
        cards: names of the cards.
        count: how many are needed.
        folder: of the locks.
        promised: whether they must be this job's own. Jobs without a promise only spread over
            the cards, and share them when there are more jobs than cards.
        grace: seconds to wait for promised ones.

    Returns:
        Places in ``cards``, rising.

    Raises:
        StudyError: promised cards are all taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{card}.{'lock' if promised else 'shared'}" for card in cards]
    end = time.monotonic() + grace
    while True:
        taken = _free(files, count, folder)
        if len(taken) == count:
            break
        for lock in taken.values():
            lock.close()
        if not promised:
            return list(range(count))
        if time.monotonic() > end:
            raise StudyError(
                f"device: this job needs {count} GPU(s) of its own, but other jobs hold all but "
                f"{len(taken)} of the {len(cards)} it sees; give Snakemake --resources "
                f"gpu={len(cards)}, or wait for the other run"
            )
        time.sleep(0.2)
    _held.extend(taken.values())
    return sorted(taken)


def _free(files: Sequence[str], count: int, folder: Path) -> dict[int, IO[str]]:
    """At most ``count`` locks that nobody else holds, by place."""
    taken: dict[int, IO[str]] = {}
    for place, name in enumerate(files):
        if len(taken) == count:
            break
        if lock := take(folder / name.replace("/", "-")):
            taken[place] = lock
    return taken
