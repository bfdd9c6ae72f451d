"""Helpers of the tests that kill drivers and jobs: a study smaller than the smoke study."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from slurmlab import SlurmLab
from workflows import SMOKE

# One network and the ceiling, from one source: each kind of job, and few of them.
SMALL = {
    "study": "small",
    "device": "cpu",
    "data": {
        "sources": ["PDw"],
        "cohorts": {"simulated": {"subjects": {"train": 2, "val": 1, "test": 1}}},
    },
    "rows": ["lmidiffusion", "oracle"],
}
SCORES = "results/small/metrics.csv"
PROFILE = ("--profile", "workflow/profiles/slurm", "--cores", "2")
BRIEFLY = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")
long_test = pytest.mark.skipif(
    not os.environ.get("LMIDIFF_LONG_TESTS"), reason="takes many minutes: make test-long"
)
HURRY = str(Path(__file__).parent / "hurry")


def has_plugin() -> bool:
    """Whether Snakemake can talk to Slurm."""
    return importlib.util.find_spec("snakemake_executor_plugin_slurm") is not None


def overlay(folder: Path, settings: dict, name: str = "part") -> tuple[str, ...]:
    """Arguments that lay ``settings`` over the smoke study."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return (*SMOKE, f"{name}.yaml")


class Driver:
    """Snakemake on the login node, sending the jobs of a project to the cluster."""

    def __init__(self, lab: SlurmLab, folder: Path, *arguments: str) -> None:
        self.folder, self.log = folder, folder / "driver.log"
        given = [sys.executable, "-m", "snakemake", *arguments, *PROFILE, *BRIEFLY]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                lab.wrap(*given),
                cwd=folder,
                env={**lab.environment(), "OMP_NUM_THREADS": "1", "PYTHONPATH": HURRY},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        """All it has said so far."""
        return self.log.read_text()

    def finish(self, ok: bool = True, seconds: float = 1500) -> str:
        """Wait for the end, which must be a good or a bad one; returns what it printed."""
        status = self.process.wait(timeout=seconds)
        assert (status == 0) is ok, self.printed[-6000:]
        return self.printed

    def wait_for(self, reached: Callable[[], object], seconds: float = 900) -> None:
        """Wait until something holds; the driver must not end before."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert self.process.poll() is None, self.printed[-6000:]
            assert time.monotonic() < deadline, self.printed[-6000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9: its jobs live on."""
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        for member in family:
            member.kill()
        self.process.wait()


def training_in(folder: Path) -> list[psutil.Process]:
    """Processes that train in a project."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if process.info["cwd"] == str(folder) and any(c.endswith(".train.py") for c in command):
            found += [process] if "python" in os.path.basename(command[0]) else []
    return found
