"""A study that is killed again and again, at random moments, ends as if it never was.

The suite kills a small study a few times; ``make test-long`` kills the smoke study twenty times.
"""

import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from clusters import SMALL, long_test, overlay
from workflows import (
    SMOKE,
    command,
    copy_project,
    environment,
    metrics,
    orphans,
    planned,
    run,
)

pytestmark = pytest.mark.variant

SEED = 2024


def begun(folder: Path) -> int:
    """How many jobs of the study have ever begun: each has its log."""
    return sum(1 for _ in folder.glob("results/*/logs/**/*.log"))


def at_work(process: subprocess.Popen) -> bool:
    """Whether a rule's script runs now."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return any("/scripts/tmp" in " ".join(member.cmdline()) for member in family)
    except psutil.NoSuchProcess:
        return False


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL a driver with all below it, none of which may act or start others in between."""
    driver = psutil.Process(process.pid)
    stopped: set[psutil.Process] = set()
    while family := {driver, *driver.children(recursive=True)} - stopped:
        send(family, signal.SIGSTOP)
        stopped |= family
    send(stopped, signal.SIGKILL)
    process.wait()


def send(family: set[psutil.Process], number: signal.Signals) -> None:
    """A signal to all that are still there."""
    for member in family:
        try:
            member.send_signal(number)
        except psutil.NoSuchProcess:
            continue


@dataclass
class Killed:
    """A study that is killed at some moments and started again each time.

    Attributes:
        folder: of the project.
        scores: the study's metrics.csv, in the folder.
        arguments: of Snakemake.
        left: temporaries that were found after a kill, summed over kills.
    """

    folder: Path
    scores: str
    arguments: tuple[str, ...]
    left: int = 0

    def at(self, jobs: int, seconds: float, starting: bool) -> None:
        """Run, and kill so many seconds after ``jobs`` jobs have begun and a script is at work.

        Args:
            jobs: of the study's whole life, not of this run.
            seconds: to wait then.
            starting: do not wait for jobs: kill while Snakemake starts.
        """
        while not self._killed(jobs, seconds, starting):
            # A fast machine was done before: its last step stays to be killed.
            (self.folder / self.scores).unlink()
        self.left += len(orphans(self.folder))

    def _killed(self, jobs: int, seconds: float, starting: bool) -> bool:
        printed = self.folder / "printed.txt"
        with open(printed, "w") as stream:
            process = subprocess.Popen(
                command(*self.arguments),
                cwd=self.folder,
                env=environment(),
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 900
        while not starting and not (begun(self.folder) >= jobs and at_work(process)):
            if process.poll() is not None:
                break
            assert time.monotonic() < deadline, printed.read_text()[-4000:]
            time.sleep(0.05)
        time.sleep(seconds)
        if process.poll() is None:
            kill_all(process)
            return True
        assert process.returncode == 0, printed.read_text()[-4000:]
        return False


@pytest.mark.parametrize(
    ("study", "kills"),
    [
        ("small", 4),
        pytest.param("small", 20, marks=long_test),
        pytest.param("smoke", 20, marks=long_test),
    ],
)
def test_killed_at_random_moments_it_ends_with_the_same_numbers(
    study: str, kills: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    reference = request.getfixturevalue({"small": "small", "smoke": "finished"}[study])
    folder = copy_project(tmp_path / "a project")
    given = overlay(folder, SMALL) if study == "small" else SMOKE
    scores = f"results/{study}/metrics.csv"
    # Locks are for a second driver; there is none, and unlocking takes a start each time.
    arguments = (scores, *given, "--rerun-incomplete", "--nolock")
    jobs = len(planned(folder, *arguments))
    chance = random.Random(SEED)
    moments = sorted((chance.randrange(jobs), chance.uniform(0, 1.5)) for _ in range(kills))
    killed = Killed(folder, scores, arguments)
    for number, (begun_before, seconds) in enumerate(moments):
        killed.at(begun_before, seconds, starting=number % 4 == 3)
    run(folder, *arguments)
    assert metrics(folder, study) == metrics(reference, study)
    assert orphans(folder) == []
    print(f"{kills} kills after {[n for n, _ in moments]} of {jobs} jobs left {killed.left} files")
