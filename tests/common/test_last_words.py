"""What failed is said in one line after the workflow engine's own last line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lmidiff.common.last_words import MOST, LastWords
from workflows import ROOT, SMOKE, copy_project, run


def log(folder: Path, name: str, *lines: str) -> None:
    path = folder / "logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"12:00:00 {line}\n" for line in lines))


def test_only_what_this_run_said_last(tmp_path):
    log(tmp_path, "old.log", "ERROR of yesterday")
    log(tmp_path, "again.log", "ERROR of yesterday, too")
    words = LastWords([tmp_path / "logs", tmp_path / "none"])
    words.begin()
    assert words.errors() == []
    log(tmp_path, "again.log", "goes on")
    log(tmp_path, "sub/a.log", "ERROR x.nii: is empty; copy it again")
    log(tmp_path, "sub/b.log", "ERROR x.nii: is empty; copy it again")
    log(tmp_path, "mended.log", "ERROR no", "and then went well")
    log(tmp_path, "empty.log")
    assert words.errors() == ["ERROR x.nii: is empty; copy it again"]
    log(
        tmp_path,
        "train/net.log",
        "STOPPED net: asked to stop at step 3 of 9; it goes on from there",
    )
    assert words.errors()[1:] == [
        "STOPPED net: asked to stop at step 3 of 9; it goes on from there"
    ]


@pytest.mark.parametrize("count", [0, 1, MOST + 3])
def test_it_comes_after_all_else(count, tmp_path):
    program = """
import sys
from lmidiff.common.last_words import LastWords
LastWords([sys.argv[1] + "/logs"]).tell("engine.log")
print("the engine's last line", file=sys.stderr)
"""
    for number in range(count):
        log(tmp_path, f"{number:02d}.log", f"ERROR file {number}")
    package = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=package,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    first, *rest = said.splitlines()
    assert first == "the engine's last line"
    assert len(rest) == max(1, min(count, MOST)) + (count > MOST)
    if count == 0:
        assert "without a word" in rest[0]
        assert "engine.log" in rest[0]


def test_a_full_disk_takes_no_log_of_a_job(tmp_path, capsys, monkeypatch):
    said = []
    monkeypatch.setattr("lmidiff.common.last_words.say_last", said.extend)
    engine = tmp_path / "engine.log"
    engine.write_text("Error in rule x:\nOSError: [Errno 28] No space left on device: 'a'\n")
    LastWords([tmp_path / "logs"]).tell([str(engine)])
    (line,) = said
    assert line.startswith("ERROR results cannot be written (No space left on device)")
    assert capsys.readouterr().out == ""


def broken(folder: Path) -> tuple[str, ...]:
    """A study of three people whose scans are no scans."""
    rows = ["subject\tmodality\tpath\tsplit"]
    for number, split in enumerate(("train", "val", "test")):
        for name in ("T1w", "PDw", "T2w"):
            (folder / f"{number}_{name}.nii.gz").write_bytes(b"no scan")
            rows.append(f"0{number}\t{name}\t{number}_{name}.nii.gz\t{split}")
    (folder / "sheet.tsv").write_text("\n".join(rows) + "\n")
    defaults = yaml.safe_load((folder / "config/config.yaml").read_text())
    smoke = yaml.safe_load((folder / "config/smoke.yaml").read_text())
    names = {*defaults["methods"], *smoke.get("methods", {})}
    nobody = {"subjects": {"train": 0, "val": 0, "test": 0}}
    settings = {
        "study": "broken",
        "data": {
            "cohorts": {"own": {"kind": "sheet", "sheet": "sheet.tsv"}, "simulated": nobody},
        },
        "methods": dict.fromkeys(names - {"source", "inverted_histogram"}),
        "figures": {},
    }
    (folder / "broken.yaml").write_text(yaml.safe_dump(settings))
    return (*SMOKE, "broken.yaml")


@pytest.mark.study
def test_a_study_that_fails_says_last_what_and_how_to_mend_it(tmp_path):
    folder = copy_project(tmp_path / "a project")
    arguments = broken(folder)
    for quiet in ((), ("--quiet", "rules", "host")):
        printed = run(folder, "data", *arguments, *quiet, ok=False).rstrip()
        lines = printed.splitlines()
        engine = next(n for n, line in enumerate(lines) if "did not complete" in line)
        assert lines[engine + 1 :], printed
        for line in lines[engine + 1 :]:
            assert line.startswith("ERROR ")
            assert ".nii.gz (sub-0" in line
            assert "cannot be read as NIfTI" in line
            assert "copy it again" in line
    settings = yaml.safe_load((folder / "broken.yaml").read_text()) | {"study": "a b"}
    (folder / "broken.yaml").write_text(yaml.safe_dump(settings))
    printed = run(folder, "data", *arguments, ok=False).rstrip()
    assert printed.splitlines()[-1].startswith("ERROR config: study")
