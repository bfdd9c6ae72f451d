"""A training that is stopped under the real Snakemake: what is tried again gives the same bytes."""

import re
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

STEPS = 200
STUDY = {
    "study": "stopped",
    "data": {"cohorts": {"simulated": {"subjects": {"train": 2, "val": 1, "test": 1}}}},
    "model_defaults": {"training": {"steps": STEPS, "checkpoint_every": 20}},
}
WEIGHTS = "results/stopped/models/unconditional/weights.safetensors"
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

    def until_it_trains(self) -> psutil.Process:
        """Wait for the first step of a training process."""
        end = time.monotonic() + 400
        while time.monotonic() < end:
            assert self.process.poll() is None, self.printed.read_text()[-4000:]
            text = self.printed.read_text()
            found = training(psutil.Process(self.process.pid))
            if found is not None and "train unconditional [" in text:
                return found
            time.sleep(0.05)
        raise AssertionError(self.printed.read_text()[-4000:])

    def end(self) -> str:
        self.process.wait(timeout=400)
        return self.printed.read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a study of one model."""
    folder = copy_project(tmp_path_factory.mktemp("survival") / "a project")
    (folder / "stopped.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


ARGUMENTS = (WEIGHTS, *SMOKE, "stopped.yaml")


def test_a_job_that_was_promised_a_gpu_does_not_train_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    printed = run(folder, *ARGUMENTS, "--resources", "gpu=1", ok=False)
    assert "ERROR device: 1 GPU(s) were promised, but this job sees no GPU" in printed
    assert not (folder / WEIGHTS).exists()


def test_stopped_by_a_signal_it_ends_in_the_same_bytes(folder: Path) -> None:
    run(folder, *ARGUMENTS)
    before = (folder / WEIGHTS).read_bytes()
    shutil.rmtree((folder / WEIGHTS).parent)
    shutil.rmtree(folder / "results" / ".state")

    # As at a time limit, with retries in the profile: the job is stopped, and runs once more.
    stopped = Run(folder, *ARGUMENTS, "--retries", "1")
    job = stopped.until_it_trains()
    began = time.monotonic()
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=SECONDS)
    assert time.monotonic() - began < SECONDS
    assert not (folder / WEIGHTS).exists()
    printed = stopped.end()
    assert stopped.process.returncode == 0, printed
    lines = [
        line for line in printed.splitlines() if "STOPPED unconditional: asked to stop" in line
    ]
    assert len(lines) == 1, printed
    step = re.search(rf"\(SIGTERM\) at step (\d+) of {STEPS}", lines[0])[1]
    assert f"unconditional: resumes at step {step} of {STEPS}" in printed
    assert (folder / WEIGHTS).read_bytes() == before
    assert not list((folder / "results").rglob(".tmp-*"))
    assert not list((folder / "results" / ".state").rglob("owner.json"))
