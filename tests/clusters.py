"""Helpers of the tests on a cluster: a study smaller than the smoke study."""

import importlib.util
import subprocess
import sys
from pathlib import Path

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
PROFILE = ("--profile", "workflow/profiles/slurm", "--cores", "2")
BRIEFLY = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")
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

    def finish(self, ok: bool = True, seconds: float = 400) -> str:
        """Wait for the end, which must be a good or a bad one; returns what it printed."""
        status = self.process.wait(timeout=seconds)
        assert (status == 0) is ok, self.printed[-6000:]
        return self.printed
