"""A small study that is killed again and again, at random moments, ends as if it never was.

Twenty times: ``LMIDIFF_KILLS=20 .venv/bin/python -m pytest tests/test_kills.py``.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from clusters import SCORES, SMALL, overlay
from workflows import command, copy_project, environment, metrics, orphans, run

pytestmark = pytest.mark.study

KILLS = int(os.environ.get("LMIDIFF_KILLS", "3"))
JOBS = 11


def begun(folder: Path) -> int:
    """How many jobs of the study have ever begun: each has its log."""
    return sum(1 for _ in (folder / "results/small/logs").rglob("*.log"))


def at_work(process: subprocess.Popen) -> bool:
    """Whether a rule's script runs now."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return any("/scripts/tmp" in " ".join(member.cmdline()) for member in family)
    except psutil.NoSuchProcess:
        return False


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL a driver with all its children, none of which may act in between."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for member in family:
            try:
                member.send_signal(number)
            except psutil.NoSuchProcess:
                continue
    process.wait()


def test_killed_at_random_moments_it_ends_with_the_same_numbers(
    small: Path, tmp_path: Path
) -> None:
    folder = copy_project(tmp_path / "a project")
    # Locks are for a second driver; there is none, and unlocking takes a start each time.
    arguments = (SCORES, *overlay(folder, SMALL), "--rerun-incomplete", "--nolock")
    chance = random.Random(2024)
    # After so many jobs have begun, so long after a script started; or while Snakemake starts.
    moments = sorted((chance.randrange(JOBS), chance.uniform(0, 1.5)) for _ in range(KILLS))
    left = 0
    for number, (jobs, seconds) in enumerate(moments):
        process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 300
        while number % 4 != 3 and not (begun(folder) >= jobs and at_work(process)):
            assert process.poll() is None, "the study ended before its last kill"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(seconds)
        assert process.poll() is None, "the study ended before its last kill"
        kill_all(process)
        left += len(orphans(folder))
    run(folder, *arguments)
    assert metrics(folder, "small") == metrics(small, "small")
    assert begun(folder) == JOBS
    assert orphans(folder) == []
    print(f"{KILLS} kills after {[jobs for jobs, _ in moments]} jobs had begun; they left {left}")
