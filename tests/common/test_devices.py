"""Each job its own card: faked lists of cards, real processes and locks. No GPU is used."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lmidiff.common import cards
from lmidiff.common.devices import pick_device, pick_devices
from lmidiff.common.errors import StudyError
from toys import PACKAGE

CPU = torch.device("cpu")
TAKE = """
import sys, time
sys.path.insert(0, {package!r})
from pathlib import Path
from lmidiff.common import cards
got = cards.claim({names!r}, {count}, Path({folder!r}), promised={promised}, grace=0.3)
print(*got, flush=True)
time.sleep(60)
"""


@pytest.fixture
def taker(tmp_path):
    """Starts processes that take cards and keep them."""
    running = []

    def take(names=("0", "1"), count=1, promised=True):
        code = TAKE.format(
            package=str(PACKAGE),
            names=names,
            count=count,
            folder=str(tmp_path / "locks"),
            promised=promised,
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield take
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def _let_go(monkeypatch):
    """What this process takes is free again after each test."""
    monkeypatch.setattr(cards, "_held", [])
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", *cards.GRANTED):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def granted(monkeypatch):
    """The run was given the machine's GPUs."""
    monkeypatch.setenv(cards.PROMISE, "promised")


def places(devices):
    return [device.index for device in devices]


# --- what a job is given --------------------------------------------------------------------


def test_jobs_that_start_together_get_a_card_each(taker):
    jobs = [taker(names=("0", "1", "2", "3")) for _ in range(4)]
    assert sorted(job.stdout.readline().strip() for job in jobs) == ["0", "1", "2", "3"]


def test_one_job_more_than_cards_fails_loudly(taker):
    for _ in range(2):
        taker().stdout.readline()
    late = taker()
    _, printed = late.communicate(timeout=20)
    assert late.returncode == 1
    assert "other jobs hold all but 0 of the 2" in printed
    assert "--resources gpu=2" in printed


def test_a_killed_jobs_card_is_free_at_once(taker):
    jobs = [taker(), taker()]
    first = [job.stdout.readline().strip() for job in jobs]
    jobs[0].send_signal(signal.SIGKILL)
    jobs[0].wait()
    assert taker().stdout.readline().strip() == first[0]


def test_a_job_waits_for_one_that_is_ending(tmp_path, taker):
    job = taker(names=("0",))
    job.stdout.readline()
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {job.pid}"])
    began = time.monotonic()
    assert cards.claim(["0"], 1, tmp_path / "locks", promised=True, grace=20) == [0]
    assert 0.3 < time.monotonic() - began < 10


def test_a_job_of_several_takes_all_or_none(tmp_path, taker):
    taker(names=("0", "1", "2")).stdout.readline()
    with pytest.raises(StudyError, match=r"needs 3 GPU.*all but 2 of the 3"):
        cards.claim(["0", "1", "2"], 3, tmp_path / "locks", promised=True, grace=0.2)
    assert taker(names=("0", "1", "2"), count=2).stdout.readline().strip() == "1 2"


def test_jobs_without_a_promise_spread_and_then_share(taker):
    jobs = [taker(promised=False) for _ in range(3)]
    got = sorted(job.stdout.readline().strip() for job in jobs)
    assert got == ["0", "0", "1"]
    # And they never keep a card from a job to which it was promised.
    assert taker(promised=True).stdout.readline().strip() in ("0", "1")


@pytest.mark.usefixtures("granted")
def test_jobs_agree_on_a_card_whatever_part_they_see(tmp_path, monkeypatch):
    def take(visible, seen):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return places(pick_devices("auto", 1, 1, seen=seen, locks=tmp_path))

    assert take("2,3", 2) == [0]  # card 2
    assert take("0,2,1", 3) == [0]  # card 0
    assert take("0,2,1", 3) == [2]  # card 1, since 0 and 2 are taken
    assert take("GPU-8f3a,2", 2) == [0]


def test_slurms_jobs_are_kept_apart_by_slurm():
    # Where Slurm confines a job to its cards, each sees its own as number 0.
    local, one, other = (
        cards.scratch(environment)
        for environment in ({}, {"SLURM_JOB_ID": "12"}, {"SLURM_JOB_ID": "13"})
    )
    assert len({local, one, other}) == 3


# --- promises -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", cards.GRANTED)
def test_slurm_and_the_command_line_make_promises(by):
    assert cards.promised(2, {by: "1"}) == 2
    assert cards.promised(2, {}) == 0
    assert cards.promised(0, {by: "1"}) == 0


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize(
    ("wanted", "count", "asked", "seen"),
    [("auto", 1, 1, 0), ("cuda", 1, 1, 0), ("cuda", 1, 0, 0), ("auto", 2, 2, 1), ("cuda", 2, 0, 1)],
)
def test_too_few_cards_are_an_error_that_says_so(tmp_path, wanted, count, asked, seen):
    with pytest.raises(StudyError, match="this job sees") as raised:
        pick_devices(wanted, count, asked, seen=seen, locks=tmp_path)
    assert "CUDA_VISIBLE_DEVICES=unset" in str(raised.value)
    assert "device: cpu" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize("seen", [0, 2])
def test_device_cpu_is_the_cpu_whatever_was_promised(tmp_path, seen):
    assert pick_devices("cpu", 2, 2, seen=seen, locks=tmp_path) == [CPU, CPU]
    assert not list(tmp_path.iterdir())


def test_auto_without_a_promise_takes_what_there_is(tmp_path):
    assert pick_devices("auto", 2, 2, seen=0, locks=tmp_path) == [CPU, CPU]
    assert pick_devices("auto", 2, 2, seen=2, locks=tmp_path) == [
        torch.device("cuda:0"),
        torch.device("cuda:1"),
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_on_this_machine_without_a_gpu(monkeypatch):
    assert pick_device("auto", 1) == CPU
    monkeypatch.setenv(cards.PROMISE, "promised")
    with pytest.raises(StudyError, match="sees no GPU"):
        pick_device("cuda")
    with pytest.raises(StudyError, match=r"1 GPU\(s\) were promised"):
        pick_device("auto", 1)


def test_the_locks_are_on_this_machine_and_this_users():
    assert str(os.getuid()) in str(cards.scratch({}))
    assert cards.scratch({}).is_relative_to(Path(os.environ.get("TMPDIR", "/tmp")))
