"""How far a study is: what is done, and a time left that its own pace corrects."""

import io
import re
import time

import pytest

from lmidiff.common import outlook
from lmidiff.common.outlook import Outlook


def left(line: str) -> float:
    return float(re.search(r"about (\d+) min left", line)[1])


def test_at_first_the_estimate_over_the_cores_then_the_pace_seen():
    now, done = [0.0], set()
    view = Outlook("x", lambda: now[0])
    view.begin(dict.fromkeys("abcdef", 600.0), lambda: done, 2, io.StringIO())
    assert view.line().startswith("study x: 0 of 6 jobs, 0 % of the work; ")
    assert left(view.line()) == pytest.approx(30, abs=1)
    now[0] = 1200.0  # on a machine of half that pace
    done |= {"a", "b"}
    assert view.line().startswith("study x: 2 of 6 jobs, 33 %")
    assert left(view.line()) == pytest.approx(40, rel=0.06)
    done |= set("cdef")
    assert view.line().endswith("6 of 6 jobs, 100 % of the work; about a minute left")


def test_jobs_of_other_runs_do_not_count():
    view = Outlook("x")
    view.begin({"a": 1.0, "b": 1.0}, lambda: {"a", "old"}, 1, io.StringIO())
    assert "1 of 2 jobs" in view.line()
    view.begin({}, set, 0, io.StringIO())
    assert "0 of 0 jobs, 100 %" in view.line()


def test_it_tells_by_itself_until_it_is_ended(monkeypatch):
    monkeypatch.setattr(outlook, "FIRST", 0.01)
    monkeypatch.setattr(outlook, "EVERY", 0.01)
    stream = io.StringIO()
    view = Outlook("x")
    view.begin({"a": 1.0}, set, 1, stream)
    end = time.monotonic() + 10
    while stream.getvalue().count("\n") < 3 and time.monotonic() < end:
        time.sleep(0.01)
    view.end()
    assert stream.getvalue().count("study x: 0 of 1 jobs") >= 3
