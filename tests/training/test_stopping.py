"""Training that is asked to stop: a checkpoint, exit status 75, and the same bits in the end."""

import os
import signal
import threading
import time

import pytest
import torch

from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.common.jobs import TRY_AGAIN, job
from lmidiff.training.loop import fit
from lmidiff.training.stopping import SIGNALS, StopRequest
from toys import Duel, line_of, same_bits, settings_of, start, wait_for


@pytest.fixture(autouse=True)
def _ctrl_c():
    """As in a terminal: a process that a shell starts in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def step_of(state) -> int:
    return torch.load(state / "checkpoint.pt", weights_only=True)["step"]


def whole(folder, kind=line_of, **changes):
    settings = settings_of(**changes)
    return fit(kind(settings), settings, folder, "toy")


def signalled_at(step, settings, number=signal.SIGTERM):
    """A learner in whose step of that number this process gets a signal."""
    learner, taken = line_of(settings), []
    one = learner.step

    def counted(generator):
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), number)
        return one(generator)

    learner.step = counted
    return learner


def test_the_status_is_the_one_of_the_docs():
    assert TRY_AGAIN == 75


def test_a_process_asked_to_stop_saves_and_the_rest_gives_the_same_bits(tmp_path):
    state = tmp_path / "state"
    process = start(state, "Duel", delay=0.03, steps=60)
    wait_for((state / "checkpoint.pt").exists, process)
    began = time.monotonic()
    for _ in range(3):  # a scheduler may signal more than once
        process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=20)
    assert process.returncode == TRY_AGAIN
    assert time.monotonic() - began < 20
    stopped = [line for line in printed.splitlines() if "STOPPED" in line]
    assert len(stopped) == 1
    assert "(SIGTERM)" in stopped[0]
    assert str(state) in stopped[0]
    assert "Traceback" not in printed
    step = step_of(state)
    assert f"step {step} of 60" in stopped[0]
    assert 10 <= step < 60
    taken = []
    settings = settings_of(steps=60)
    learner = Duel(settings)
    one = learner.step
    learner.step = lambda generator: taken.append(1) or one(generator)
    resumed = fit(learner, settings, state, "toy")
    assert len(taken) == 60 - step  # nothing twice, nothing left out
    same_bits(whole(tmp_path / "whole", Duel, steps=60), resumed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_each_signal_is_a_request(tmp_path, number):
    state = tmp_path / "state"
    with pytest.raises(Interrupted, match=rf"\({number.name}\) at step 13 of 40"):
        fit(signalled_at(13, settings_of(), number), settings_of(), state, "toy")
    assert step_of(state) == 13
    same_bits(whole(tmp_path / "whole"), whole(state))


def test_a_kill_loses_an_interval_at_most_and_no_bit(tmp_path):
    state = tmp_path / "state"
    steps = tmp_path / "steps"
    # Each step leaves a byte behind, so what was really taken is known.
    spy = (
        "import time\n"
        f"note = open({str(steps)!r}, 'ab', buffering=0)\n"
        "time.sleep = lambda s, sleep=time.sleep: (sleep(s), note.write(b'.'))\n"
    )
    process = start(state, before=spy, steps=200, checkpoint_every=7)
    wait_for(lambda: steps.exists() and steps.stat().st_size > 40, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    taken = steps.stat().st_size
    assert taken - 7 - 1 <= step_of(state) <= taken
    same_bits(whole(tmp_path / "whole", steps=200), whole(state, steps=200))


def test_checkpoints_come_by_time_too(tmp_path):
    settings = settings_of(steps=8, checkpoint_every=1000, checkpoint_minutes=0.2 / 60)
    learner, seen = line_of(settings, delay=0.07), []
    one = learner.step

    def step(generator):
        seen.append(step_of(tmp_path) if (tmp_path / "checkpoint.pt").exists() else 0)
        return one(generator)

    learner.step = step
    fit(learner, settings, tmp_path, "toy")
    saved = sorted(set(seen) - {0})
    assert 1 <= len(saved) <= 3  # every third step or so, and not each
    assert step_of(tmp_path) == 8


# --- signals of the process around it -------------------------------------------------------


def test_what_was_there_before_is_put_back(tmp_path):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    whole(tmp_path, steps=2)
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_another_thread_trains_and_touches_no_signal(tmp_path):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    during, result = [], []

    def work():
        settings = settings_of(steps=4)
        learner = line_of(settings)
        one = learner.step
        learner.step = lambda g: during.append(signal.getsignal(signal.SIGTERM)) or one(g)
        result.append(fit(learner, settings, tmp_path / "thread", "toy"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=30)
    same_bits(result[0], whole(tmp_path / "whole", steps=4))
    assert set(during) == {before[signal.SIGTERM]}


def test_a_signal_in_the_last_step_is_no_interruption(tmp_path):
    weights, _ = fit(signalled_at(40, settings_of()), settings_of(), tmp_path, "toy")
    assert weights
    assert step_of(tmp_path) == 40


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not stop
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop
            assert stop.reason == "SIGTERM"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_second_ctrl_c_interrupts_at_once():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_end_of_the_lifeline_is_a_request():
    end, ours = os.pipe()
    with StopRequest(end) as stop:
        assert not stop
        os.close(ours)
        assert stop
    os.close(end)


def test_a_job_ends_with_its_line_and_status(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(SystemExit) as ended, job([str(log)]):
        raise Interrupted("half way")
    assert ended.value.code == 75
    assert log.read_text().rstrip().endswith("STOPPED half way")


# --- a disk that fills up -------------------------------------------------------------------


def test_a_full_disk_is_named_and_leaves_the_checkpoints(tmp_path):
    state = tmp_path / "state"
    with pytest.raises(Interrupted):
        fit(signalled_at(20, settings_of()), settings_of(), state, "toy")
    kept = (state / "checkpoint.pt").read_bytes()
    # No file may grow beyond this: what a quota does to a job.
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(kept) // 2},) * 2)\n"
    process = start(state, before=limit, delay=0, steps=40)
    _, printed = process.communicate(timeout=40)
    assert process.returncode == 1, printed
    assert "checkpoint.pt: cannot be written" in printed
    assert "Traceback" not in printed
    assert (state / "checkpoint.pt").read_bytes() == kept
    assert (state / "checkpoint-before.pt").exists()
    assert not list(state.glob(".tmp-*"))
    same_bits(whole(tmp_path / "whole"), whole(state))


def test_a_diverged_loss_is_no_interruption(tmp_path):
    settings = settings_of()
    learner = line_of(settings)
    learner.loss = lambda _: learner.network.net[0].weight.sum() * float("nan")
    with pytest.raises(StudyError, match="learning_rate"):
        fit(learner, settings, tmp_path, "toy")
