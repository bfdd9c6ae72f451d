"""Training in two processes that torchrun starts, on the CPU by gloo: the same as in one."""

import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.common.settings import settings_of
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.models import FAMILIES, Family, launch
from lmidiff.models.launch import train_model
from lmidiff.models.weights import state_folder
from lmidiff.models.worker import PATIENCE
from lmidiff.training import ranks
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.lease import lease
from toys import CPU

SIZE = 16
TOGETHER = [CPU, CPU]


def block(**training):
    """A tiny model of every part that draws or normalises: contrasts, self and cross maps."""
    brief = {"batch_size": 4, "warmup": 2, "precision": "float32", "log_every": 1}
    return {
        "family": "diffusion",
        "contrast_randomised": True,
        "diffusion": {},
        "guidance": {"condition": "both"},
        "contrast": {},
        "unet": {"channels": [8, 8], "attention": [False, True], "groups": 4, "head_channels": 8},
        "training": {**brief, **training},
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("volumes")
    random = np.random.default_rng(3)
    paths = []
    for number in range(3):
        image = np.zeros((SIZE, SIZE, 4), dtype=np.float32)
        image[3:13, 2:14] = random.uniform(0.05, 1, (10, 12, 4))
        paths.append(folder / f"sub-0{number}_T1w.nii.gz")
        write_nifti(paths[-1], image, np.eye(4))
    return paths


@pytest.fixture
def data(files) -> TrainingData:
    return TrainingData({"target": files}, FAMILIES["diffusion"].needs)


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory):
    """The weights and the curve of one process."""
    data = TrainingData({"target": files}, FAMILIES["diffusion"].needs)
    state = tmp_path_factory.mktemp("alone")
    return train_model(block(steps=30), data, state, [CPU], "tiny", 1)


@pytest.fixture
def log(caplog):
    logging.getLogger("lmidiff").propagate = True
    caplog.set_level(logging.INFO, "lmidiff")
    return caplog


def alike(ours, theirs) -> None:
    """The same to rounding, after some tens of steps of Adam from the same start."""
    np.testing.assert_allclose(ours[1].loss, theirs[1].loss, rtol=2e-5, atol=1e-9)
    assert list(ours[1].step) == list(theirs[1].step)
    for name, value in theirs[0].items():
        torch.testing.assert_close(ours[0][name], value, rtol=0, atol=5e-5)


def when(reached, act) -> threading.Thread:
    """Acts from another thread as soon as ``reached()``; after five minutes, in any case."""

    def wait() -> None:
        end = time.monotonic() + 300
        while not reached() and time.monotonic() < end:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def workers(pid: int | None = None) -> list[psutil.Process]:
    """The training processes below a process, in the order of their ranks."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        if "lmidiff.models.worker" in process.cmdline() and "RANK" in process.environ():
            found.append(process)
    return sorted(found, key=lambda process: int(process.environ()["RANK"]))


# --- what two give --------------------------------------------------------------------------


def test_two_processes_take_the_steps_of_one(tmp_path, data, alone, log):
    ours = train_model(block(steps=30), data, tmp_path / "state", TOGETHER, "tiny", 1)
    alike(ours, alone)
    assert ours[1].loss.iloc[-1] != ours[1].loss.iloc[0]
    lines = [record.getMessage() for record in log.records]
    assert sum("30/30" in line for line in lines) == 1  # progress from one of them
    assert len(lines) == len(set(lines))
    assert not list((tmp_path / "state").glob(".tmp-*"))
    assert not list((tmp_path / "state").glob("owner.json"))


@pytest.fixture
def toy(monkeypatch):
    """The settings of a family whose processes start quickly."""
    monkeypatch.setitem(FAMILIES, "toy", Family("toy_family", frozenset({"target"}), parallel=True))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "helpers"))

    def settings(**training):
        brief = {"batch_size": 4, "warmup": 2, "precision": "float32", "log_every": 1}
        return {"family": "toy", "training": {**brief, **training}}

    return settings


def saved(state: Path) -> int:
    """The step of the checkpoint, 0 without one."""
    path = state / "checkpoint.pt"
    return torch.load(path, weights_only=True)["step"] if path.exists() else 0


def test_asked_to_stop_they_save_and_one_process_goes_on(tmp_path, data, toy, log):
    # Steps so slow that a loaded machine has time to ask before the last of them.
    state, settings = tmp_path / "state", toy(steps=80, checkpoint_every=2)
    stop = when((state / "checkpoint.pt").exists, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"\(SIGTERM\) at step \d+ of 80"):
        train_model({**settings, "delay": 1.0}, data, state, TOGETHER, "toy", 1)
    stop.join()
    step = saved(state)
    assert 2 <= step < 80
    assert workers() == []
    ours = train_model(settings, data, state, [CPU], "toy", 1)
    assert f"resumes at step {step} of 80" in log.text
    alike(ours, train_model(settings, data, tmp_path / "alone", [CPU], "toy", 1))


# --- what fails -----------------------------------------------------------------------------


def test_one_that_is_killed_ends_all_with_one_line(tmp_path, data, toy):
    settings = {**toy(steps=300, checkpoint_every=1), "delay": 1.0}
    moments = []

    def kill_second() -> None:
        moments.append(time.monotonic())
        workers()[1].kill()

    killed = when((tmp_path / "checkpoint.pt").exists, kill_second)
    with pytest.raises(StudyError, match=r"training: (process 0 lost another|one of 2)") as raised:
        train_model(settings, data, tmp_path, TOGETHER, "toy", 1)
    killed.join()
    # Two minutes for a loaded machine; without the word of torchrun, it would wait PATIENCE.
    assert time.monotonic() - moments[0] < 120 < PATIENCE.total_seconds()
    assert "\n" not in str(raised.value)
    assert workers() == []
    assert saved(tmp_path) > 0


def test_an_error_in_one_ends_all_with_its_line(tmp_path, data, toy, log):
    # Only the first process takes the folder; the second waits for it in vain.
    with (
        lease(tmp_path),
        pytest.raises(StudyError, match="another job is training here") as raised,
    ):
        train_model(toy(steps=30), data, tmp_path, TOGETHER, "toy", 1)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "Traceback" not in log.text
    assert workers() == []


def test_a_family_that_trains_in_one_process_says_so(tmp_path, data):
    with pytest.raises(StudyError, match=r"processes is 2, but family histogram trains in one"):
        train_model({"family": "histogram"}, data, tmp_path, TOGETHER, "histogram", 1)


def test_a_batch_that_does_not_split_is_refused():
    with pytest.raises(StudyError, match="batch_size 5 does not split over 2 processes"):
        settings_of(TrainingSettings, {"batch_size": 5, "processes": 2}, "training")


# --- around it ------------------------------------------------------------------------------


def test_alone_nothing_is_shared_or_wrapped():
    batch = torch.arange(6)
    network = torch.nn.Linear(1, 1)
    assert ranks.share(batch, None) == (batch, None)
    assert ranks.averaging(network) is network
    assert (ranks.rank(), ranks.count(), ranks.mean(0.3), ranks.anywhere(True)) == (0, 1, 0.3, True)
    assert ranks.lifeline() is None


def test_the_number_of_processes_does_not_name_the_state(tmp_path, data):
    names = {
        state_folder(tmp_path, block(**changes), data, [launch.__file__])
        for changes in ({}, {"processes": 2}, {"checkpoint_every": 7}, {"checkpoint_minutes": 2.0})
    }
    assert len(names) == 1
    assert state_folder(tmp_path, block(steps=9), data, [launch.__file__]) not in names
