"""Files that appear whole: what two writers and dead ones leave behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmidiff.common import locks
from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic, atomic_folder, write_text
from lmidiff.common.outputs import check_outputs

WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from lmidiff.common.files import {0}
with {0}(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("writer", [atomic, atomic_folder])
def test_two_writers_of_one_path_leave_each_other_alone(writer, tmp_path):
    def write(place: Path, text: str) -> None:
        (place / "a" if place.is_dir() else place).write_text(text)

    out = tmp_path / "out"
    with writer(out) as first:
        with writer(out) as second:
            write(second, "second")
        write(first, "first")
    assert (out / "a" if out.is_dir() else out).read_text() == "first"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("writer", ["atomic", "atomic_folder"])
def test_what_a_killed_writer_left_goes_at_once(writer, tmp_path):
    out, package = tmp_path / "out", Path(locks.__file__).parents[2]
    code = WRITER.format(writer)
    ended = subprocess.run([sys.executable, "-c", code, str(out), str(package)])
    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".tmp-*"))
    write_text(out, "x")
    assert list(tmp_path.iterdir()) == [out]


def test_without_locks_what_is_a_day_old_goes(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(locks.NO_LOCKS[0], "no locks")

    monkeypatch.setattr("fcntl.flock", none)
    old, young = (tmp_path / f".tmp-{eight}-out" for eight in ("aaaaaaaa", "bbbbbbbb"))
    for path in (old, young):
        path.write_text("")
    before = young.stat().st_mtime - 25 * 3600
    os.utime(old, (before, before))
    write_text(tmp_path / "out", "x")
    assert sorted(tmp_path.iterdir()) == [young, tmp_path / "out"]


def test_a_name_too_long_for_its_temporary_file_is_refused_first(tmp_path):
    check_outputs([tmp_path / ("x" * 241)], [])
    write_text(tmp_path / ("x" * 241), "x")
    with pytest.raises(StudyError, match="the name is longer than 241 bytes"):
        check_outputs([tmp_path / ("é" * 121)], [])
