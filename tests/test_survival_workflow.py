"""A training that is stopped under the real Snakemake: retries and reruns give the same bytes."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml
from workflows import SMOKE, command, copy_project, environment, run

pytestmark = pytest.mark.study

STUDY = {
    "study": "stopped",
    "model_defaults": {"training": {"steps": 80, "checkpoint_every": 20}},
}
WEIGHTS = "results/stopped/models/lmidiffusion/weights.safetensors"
SECONDS = 20
"""What a scheduler is promised: a checkpoint within this time."""


def training(snakemake: psutil.Process) -> psutil.Process | None:
    """The process of the training script below Snakemake."""
    for process in snakemake.children(recursive=True):
        try:
            script = any(part.endswith("train.py") for part in process.cmdline())
            if script and "python" in process.name():
                return process
        except psutil.NoSuchProcess:
            continue
    return None


class Run:
    """Snakemake in the background."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.printed = folder, folder / "printed.txt"
        with open(self.printed, "w") as stream:
            self.process = subprocess.Popen(
                command(*arguments),
                cwd=folder,
                env=environment(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until_it_trains(self, beyond: int) -> psutil.Process:
        """Wait for a checkpoint made by a training process that has started since."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert self.process.poll() is None, self.printed.read_text()[-4000:]
            text = self.printed.read_text()
            found = training(psutil.Process(self.process.pid))
            if found is not None and text.count("train lmidiffusion [") > beyond:
                return found
            time.sleep(0.05)
        raise AssertionError(self.printed.read_text()[-4000:])

    def end(self) -> str:
        self.process.wait(timeout=120)
        return self.printed.read_text()


def test_stopped_by_signals_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "a project")
    (folder / "stopped.yaml").write_text(yaml.safe_dump(STUDY))
    arguments = (WEIGHTS, *SMOKE, "stopped.yaml")
    run(folder, *arguments)
    before = (folder / WEIGHTS).read_bytes()
    shutil.rmtree((folder / WEIGHTS).parent)
    shutil.rmtree(folder / "results" / ".state")

    # As at a time limit with retries in the profile: the job is stopped, and Snakemake tries again.
    stopped = Run(folder, *arguments, "--retries", "1")
    job = stopped.until_it_trains(0)
    began = time.monotonic()
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=SECONDS)
    assert time.monotonic() - began < SECONDS
    assert not (folder / WEIGHTS).exists()

    # As at a preemption of everything: Snakemake, its shells and the training, all at once.
    stopped.until_it_trains(1)
    family = psutil.Process(stopped.process.pid).children(recursive=True)
    for process in (psutil.Process(stopped.process.pid), *family):
        process.send_signal(signal.SIGTERM)
    printed = stopped.end()
    assert stopped.process.returncode != 0
    lines = [line for line in printed.splitlines() if "STOPPED lmidiffusion: asked to stop" in line]
    assert len(lines) == 2, printed
    assert "(SIGTERM) at step" in lines[0]
    assert "resumes at step" in printed
    assert "Traceback" not in printed.replace("STOPPED", "")
    assert not (folder / WEIGHTS).exists()

    printed = run(folder, *arguments, "--rerun-incomplete")
    assert "resumes at step" in printed
    assert (folder / WEIGHTS).read_bytes() == before
    assert not list((folder / "results").rglob(".tmp-*"))
    assert not list((folder / "results" / ".state").rglob("owner.json"))
