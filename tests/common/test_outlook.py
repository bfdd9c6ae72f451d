"""How far a study is: what is done, and a time left that its own pace corrects."""

import io
import re
import time

import pytest

from lmidiff.common import outlook
from lmidiff.common.outlook import Outlook


def left(line: str) -> float:
    return float(re.search(r"about (\d+) min left", line)[1])


class Run:
    """A study whose jobs and clock are moved by hand."""

    def __init__(self, seconds, cores):
        self.now, self.done, self.running = 0.0, set(), set()
        self.view = Outlook("x", lambda: self.now)
        self.view.begin(
            seconds, lambda: set(self.done), lambda: set(self.running), cores, io.StringIO()
        )

    def work(self, jobs, seconds, ended=True):
        self.running = set(jobs)
        self.view.look()
        self.now += seconds
        if ended:
            self.done |= self.running
            self.running = set()
        return self.view.line()


def test_at_first_the_estimate_over_the_cores_then_the_pace_seen():
    run = Run(dict.fromkeys("abcdef", 600.0), 2)
    assert run.view.line().startswith("study x: 0 of 6 jobs, 0 % of the work; ")
    assert left(run.view.line()) == pytest.approx(30, abs=1)
    line = run.work("ab", 1200)  # on a machine of half that pace
    assert line.startswith("study x: 2 of 6 jobs, 33 %")
    assert left(line) == pytest.approx(40, rel=0.06)
    run.work("cd", 1200)
    assert run.work("ef", 1200).endswith("6 of 6 jobs, 100 % of the work; about a minute left")


def test_a_job_that_runs_counts_with_the_time_it_has_had():
    run = Run(dict.fromkeys("abcdef", 600.0), 2)
    line = run.work("ab", 300, ended=False)
    assert line.startswith("study x: 0 of 6 jobs, 17 %")
    assert left(line) == pytest.approx(25, abs=1)


def test_a_job_longer_than_its_estimate_shows_a_slower_machine():
    run = Run(dict.fromkeys("abcdef", 600.0), 2)
    line = run.work("ab", 1800, ended=False)
    assert "33 %" in line, "never more than the whole of what runs"
    assert left(line) == pytest.approx(60, rel=0.1)


def test_jobs_one_after_the_other_are_not_taken_for_two_at_once():
    run = Run(dict.fromkeys("abcdef", 600.0), 2)
    for job in "abc":
        line = run.work(job, 600)
    assert left(line) == pytest.approx(30, rel=0.1)


def test_jobs_of_other_runs_do_not_count():
    view = Outlook("x")
    view.begin({"a": 1.0, "b": 1.0}, lambda: {"a", "old"}, lambda: {"old"}, 1, io.StringIO())
    assert "1 of 2 jobs" in view.line()
    view.begin({}, set, set, 0, io.StringIO())
    assert "0 of 0 jobs, 100 %" in view.line()


def test_it_tells_by_itself_until_it_is_ended(monkeypatch):
    monkeypatch.setattr(outlook, "FIRST", 0.01)
    monkeypatch.setattr(outlook, "EVERY", 0.01)
    monkeypatch.setattr(outlook, "LOOK", 0.01)
    stream = io.StringIO()
    view = Outlook("x")
    view.begin({"a": 1.0}, set, set, 1, stream)
    end = time.monotonic() + 10
    while stream.getvalue().count("\n") < 3 and time.monotonic() < end:
        time.sleep(0.01)
    view.end()
    assert stream.getvalue().count("study x: 0 of 1 jobs") >= 3
