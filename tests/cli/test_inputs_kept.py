"""No command and no study writes over what it reads."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.outputs import check_apart, check_outputs
from lmidiff.records.recorded import NEEDED, record
from lmidiff.study.study import Study
from small_scans import brain, refused, save, touch
from workflows import ROOT


def aliases(folder: Path, path: Path) -> dict[str, Path]:
    """Other names of a file."""
    links = {"itself": path, "relative": path.parent / ".." / path.parent.name / path.name}
    links["symbolic"] = folder / "symbolic.nii.gz"
    links["symbolic"].symlink_to(path)
    links["hard"] = folder / "hard.nii.gz"
    os.link(path, links["hard"])
    linked = folder / "linked"
    linked.symlink_to(path.parent)
    links["through a folder"] = linked / path.name
    return links


NAMES = ["itself", "relative", "symbolic", "hard", "through a folder"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("victim", ["scan", "mask"])
def test_translate_and_segment_never_write_over_what_they_read(
    name, victim, scan, mask, weights, kmeans, tmp_path, capsys
):
    out = aliases(tmp_path, {"scan": scan, "mask": mask}[victim])[name]
    before = {path: path.read_bytes() for path in (scan, mask, weights, kmeans)}
    given = ["--source", scan, "--mask", mask, "--out", out]
    for command in (["translate", "--weights", weights], ["segment", "--model", kmeans]):
        said = refused(capsys, *command, *given)
        assert "only read" in said
        assert str(out) in said
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_preprocess_never_writes_into_the_scans(name, tmp_path, capsys):
    raw = tmp_path / "raw"
    one, two = save(raw / "PDw.nii.gz", brain()), save(raw / "other.nii.gz", brain() + 1)
    folder = {"symbolic": tmp_path / "link", "through a folder": tmp_path / "link" / "." / ""}
    (tmp_path / "link").symlink_to(raw)
    out = folder.get(name, raw)
    if name == "hard":
        out = tmp_path / "elsewhere"
        out.mkdir()
        os.link(one, out / "PDw.nii.gz")
    before = one.read_bytes()
    said = refused(capsys, "preprocess", "--scans", f"PDw={one}", f"T1w={two}", "--out", out)
    assert "only read" in said
    assert one.read_bytes() == before
    assert sorted(path.name for path in raw.iterdir()) == ["PDw.nii.gz", "other.nii.gz"]


def test_a_volume_of_a_file_is_that_file(mask, weights, kmeans, tmp_path, capsys):
    scan = save(tmp_path / "raw" / "PDw.nii.gz", np.stack([brain(), brain() + 1], -1))
    before, link = scan.read_bytes(), tmp_path / "link.nii.gz"
    link.symlink_to(scan)
    for out in (scan, link):
        given = ["--source", f"{scan}#1", "--mask", mask, "--out", out]
        assert "only read" in refused(capsys, "translate", "--weights", weights, *given)
        assert "only read" in refused(capsys, "segment", "--model", kmeans, *given)
    given = ["--mask", mask, "--out", scan.parent]
    assert "only read" in refused(capsys, "preprocess", "--scans", f"PDw={scan}#1", *given)
    twice = ["--scans", f"PDw={scan}#1", f"T1w={link}#1", "--out", tmp_path / "new"]
    assert "is given as T1w and as PDw" in refused(capsys, "preprocess", *twice)
    assert scan.read_bytes() == before


def test_the_uncertainty_is_an_output_too(scan, mask, weights, tmp_path, capsys):
    victim = tmp_path / "out_uncertainty.nii.gz"
    shutil.copy(scan, victim)
    out = tmp_path / "out.nii.gz"
    given = ["--source", victim, "--mask", mask, "--out", out, "--uncertainty"]
    assert "only read" in refused(capsys, "translate", "--weights", weights, *given)
    assert not out.exists()


def test_nothing_is_read_before(tmp_path, capsys):
    """A scan that cannot be read is not read: the name alone is refused."""
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"no scan")
    given = ["--weights", tmp_path / "none", "--source", path, "--out", path]
    assert "only read" in refused(capsys, "translate", *given)


def test_another_case_is_the_same_file_where_the_file_system_says_so(tmp_path, monkeypatch):
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(b"x")
    check_outputs([tmp_path / "SCAN.nii.gz"], [scan])  # this file system tells them apart
    plain = Path.stat
    fold = lambda self, **how: plain(self.with_name(self.name.lower()), **how)  # noqa: E731
    monkeypatch.setattr(Path, "stat", fold)
    with pytest.raises(StudyError, match="only read"):
        check_outputs([tmp_path / "SCAN.nii.gz"], [scan])


def test_a_dangling_link_to_what_will_be_read_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "coming.nii.gz")
    with pytest.raises(StudyError, match="take the place of"):
        check_outputs([tmp_path / "link"], [tmp_path / "coming.nii.gz"])


@pytest.mark.parametrize(
    ("out", "says"),
    [("folder.nii.gz", "is a folder"), ("file/out.nii.gz", "is not a folder")],
)
def test_what_cannot_be_written_is_said_first(out, says, scan, weights, tmp_path, capsys):
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "file").write_text("")
    given = ["--weights", weights, "--source", scan, "--out", tmp_path / out]
    said = refused(capsys, "translate", *given)
    assert says in said or "is not a folder" in said


def test_a_read_only_place_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StudyError, match="cannot be written"):
        check_outputs([tmp_path / "new" / "out.nii.gz"], [])


@pytest.mark.parametrize("how", ["inside", "link"])
def test_a_study_writes_into_no_folder_that_it_reads(how, tmp_path):
    folder = tmp_path / "results" / "mine"
    scan = folder / "raw" / "x.nii.gz"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"x")
    given = scan
    if how == "link":
        (tmp_path / "scans").symlink_to(scan.parent)
        given = tmp_path / "scans" / "x.nii.gz"
    with pytest.raises(StudyError, match=r"study 'mine' writes into .* where it also reads"):
        check_apart(folder, [given], "mine")
    check_apart(tmp_path / "results" / "other", [given], "other")


def test_a_config_whose_sheet_names_its_own_results_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    rows = ["subject\tmodality\tpath\tsplit"]
    for number, split in enumerate(("train", "val", "test")):
        for name in ("T1w", "PDw", "T2w", "FLAIR"):
            path = save(Path(f"results/default/raw/{number}_{name}.nii.gz"), brain())
            rows.append(f"0{number}\t{name}\t{path.resolve()}\t{split}")
    Path("sheet.tsv").write_text("\n".join(rows) + "\n")
    config["data"]["cohorts"] = {"mine": {"kind": "sheet", "sheet": "sheet.tsv"}}
    with pytest.raises(StudyError, match="writes into results/default"):
        Study(config)


@pytest.mark.parametrize("place", ["absolute", "beside the people"])
def test_a_split_file_in_its_own_results_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    people = touch(
        tmp_path / "bids",
        *(
            f"sub-{n}/anat/sub-{n}_{m}.nii.gz"
            for n in "123"
            for m in ("T1w", "PDw", "T2w", "FLAIR")
        ),
    )
    split = tmp_path / "results" / "default" / "split.tsv"
    split.parent.mkdir(parents=True)
    split.write_text("subject\tsplit\n1\ttrain\n2\tval\n3\ttest\n")
    named = str(split) if place == "absolute" else "../results/default/split.tsv"
    config["data"]["cohorts"] = {"mine": {"kind": "bids", "folder": str(people), "split": named}}
    with pytest.raises(StudyError, match="writes into results/default"):
        Study(config)


def test_a_replay_never_writes_into_the_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for key in ("recorded", "checkpoints"):
        (tmp_path / "results" / key / "default").mkdir(parents=True)
        table = "subject\tsplit\n01\ttrain\n02\tval\n03\ttest\n"
        (tmp_path / "results" / key / "default" / "split.tsv").write_text(table)
        (tmp_path / "kept").symlink_to(tmp_path / "results" / key)
        with pytest.raises(StudyError, match=f"writes into results/{key}/default"):
            Study(config | {"study": "default", key: "kept/default"})
        (tmp_path / "kept").unlink()


def test_a_record_is_not_recorded_over_itself(tmp_path):
    folder = tmp_path / "reference" / "mine"
    touch(folder, *NEEDED)
    with pytest.raises(StudyError, match="is the record itself"):
        record(folder, tmp_path / "reference")
    assert all((folder / name).read_bytes() == b"x" for name in NEEDED)
