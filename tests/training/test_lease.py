"""One job a state folder: on one node, between nodes, and after a job that died."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.training.lease import Owner, lease
from toys import PACKAGE

QUICK = {"beat": 0.05, "patience": 1.0}
HOLD = """
import sys, time
sys.path.insert(0, {package!r})
from pathlib import Path
from lmidiff.training.lease import lease
with lease(Path({folder!r})):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """A process that holds the folder."""
    code = HOLD.format(package=str(PACKAGE), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def left_behind(folder: Path, **changes) -> Path:
    """The name of a holder, as it writes it."""
    folder.mkdir(exist_ok=True)
    path = folder / "owner.json"
    path.write_text(json.dumps(vars(replace(Owner.me(), token="theirs", **changes))))
    return path


def no_locks(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_it_is_given_back(tmp_path):
    for _ in range(2):
        with lease(tmp_path / "new" / "folder") as held:
            held.check()
            assert (tmp_path / "new" / "folder" / "owner.json").exists()
        assert not (tmp_path / "new" / "folder" / "owner.json").exists()


def test_a_second_process_is_refused_by_name_and_a_killed_one_leaves_nothing(holder, tmp_path):
    with pytest.raises(StudyError, match="another job is training here") as raised, lease(tmp_path):
        pass
    assert str(tmp_path) in str(raised.value)
    assert f"process {holder.pid} on " in str(raised.value)
    assert "\n" not in str(raised.value)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "owner.json").exists()  # it could not clean up
    began = time.monotonic()
    with lease(tmp_path):
        assert time.monotonic() - began < 2  # on one node nobody waits


def test_a_holder_on_another_node_that_lives_is_respected(tmp_path):
    # A file system whose locks hold on one node only: ours is free, but the other's job works.
    path = left_behind(tmp_path, host="node17", job="4711")
    done = threading.Event()

    def live():
        while not done.wait(0.1):
            os.utime(path)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(StudyError, match="on node17, Slurm job 4711"), lease(tmp_path, **QUICK):
            pass
    finally:
        done.set()
        thread.join()
    assert json.loads(path.read_text())["token"] == "theirs"


def test_a_holder_on_another_node_that_died_is_followed_after_a_while(tmp_path):
    left_behind(tmp_path, host="node17")
    began = time.monotonic()
    with lease(tmp_path, **QUICK) as held:
        assert time.monotonic() - began >= QUICK["patience"]
        held.check()


def test_a_holder_on_another_node_that_ends_meanwhile_is_followed_at_once(tmp_path):
    path = left_behind(tmp_path, host="node17")
    timer = threading.Timer(0.3, path.unlink)
    timer.start()
    began = time.monotonic()
    with lease(tmp_path, beat=1, patience=20):
        assert time.monotonic() - began < 5


def test_a_name_that_cannot_be_read_is_treated_like_another_nodes(tmp_path):
    (tmp_path / "owner.json").write_text("{")
    with lease(tmp_path, **QUICK) as held:
        held.check()


def test_without_locks_a_live_process_of_this_node_is_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    left_behind(tmp_path, pid=os.getppid())
    with pytest.raises(StudyError, match="another job"), lease(tmp_path, **QUICK):
        pass
    ended = subprocess.Popen(["true"])
    ended.wait()
    left_behind(tmp_path, pid=ended.pid)
    with lease(tmp_path, **QUICK) as held:
        held.check()


def test_without_locks_one_of_two_starters_wins(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        lease(tmp_path, **QUICK),
        pytest.raises(StudyError, match="another job"),
        lease(tmp_path, **QUICK),
    ):
        pass


def test_a_holder_shows_life_while_it_works(tmp_path):
    with lease(tmp_path, **QUICK):
        signs = set()
        for _ in range(10):
            signs.add((tmp_path / "owner.json").stat().st_mtime_ns)
            time.sleep(0.05)
    assert len(signs) > 2


def test_a_suspended_holder_learns_that_it_was_followed(tmp_path):
    with lease(tmp_path, **QUICK) as held:
        held.check()
        path = left_behind(tmp_path, host="node17")
        sign = path.stat().st_mtime_ns
        with pytest.raises(StudyError, match="another job took over"):
            held.check()
        time.sleep(0.3)
        assert path.stat().st_mtime_ns == sign  # it does not speak for the other
    assert path.exists()  # nor clean up after it


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot be written"), lease(tmp_path / "file" / "state"):
        pass
